"""The reference deployment: each single broken segment, with all legs of the design."""

from __future__ import annotations

import pytest

from t3probe.verdict.exact.case import Case
from t3probe.verdict.exact.labels import solve

SEGMENTS = [
    "wan",
    "doh",
    "cf-edge",
    "tunnel",
    "traefik",
    "carve-out",
    "wall",
    "devvm",
    "dispatch",
    "serve",
    "rack",
    "upstream-a",
    "upstream-b",
]
LEGS = {
    "egress": "wan",
    "resolver": "wan doh",
    "edge": "wan cf-edge",
    "cloudflare": "wan cf-edge tunnel traefik carve-out devvm dispatch",
    "internal": "traefik carve-out devvm dispatch",
    "traefik": "traefik",
    "dispatch": "devvm dispatch",
    "devvm": "devvm",
    "t3serve": "devvm serve",
    "walloff-probe": "wan cf-edge tunnel traefik carve-out",
    "walled-root": "traefik wall",
    "envoy-a": "rack upstream-a",
    "envoy-b": "rack upstream-b",
}
HELD = ["resolver", "edge", "cloudflare", "internal", "traefik", "dispatch", "devvm", "t3serve"]
PATHS = {leg: tuple(path.split()) for leg, path in LEGS.items()}
OWN = {"rack", "upstream-a", "upstream-b"}


def broken(segment: str, legs: list[str]) -> Case:
    return Case(
        segments=tuple(SEGMENTS),
        legs=PATHS,
        paths=tuple(PATHS.values()),
        failed=tuple(leg for leg in legs if segment in PATHS[leg]),
        passed=tuple(leg for leg in legs if segment not in PATHS[leg]),
    )


@pytest.mark.parametrize("segment", [one for one in SEGMENTS if one not in OWN])
def test_a_segment_that_is_down_is_convicted_by_itself(segment: str) -> None:
    verdict = solve(broken(segment, list(LEGS)))
    assert verdict.convicted == (segment,)
    assert verdict.ambiguous == ()
    assert verdict.minimal_sets == ((segment,),)
    assert verdict.status == "localised"


def test_everything_else_is_cleared_when_nothing_hides_it() -> None:
    verdict = solve(broken("serve", list(LEGS)))
    assert set(verdict.exonerated) == set(SEGMENTS) - {"serve"}


CUTTABLE = [one for one in SEGMENTS if any(one in PATHS[leg] for leg in HELD)]


@pytest.mark.parametrize("segment", [one for one in CUTTABLE if one != "wan"])
def test_a_segment_that_is_cut_is_convicted_by_the_held_legs(segment: str) -> None:
    verdict = solve(broken(segment, HELD))
    assert verdict.convicted == (segment,)
    assert verdict.ambiguous == ()


def test_a_cut_wan_is_the_only_simplest_explanation() -> None:
    verdict = solve(broken("wan", HELD))
    assert verdict.convicted == ()
    assert verdict.at_least_one_of == (("wan", "doh"), ("wan", "cf-edge"))
    assert verdict.minimal_sets == (("wan",), ("doh", "cf-edge"))
    assert verdict.masked == ("tunnel",)
    assert set(verdict.ambiguous) == {"wan", "doh", "cf-edge"}
