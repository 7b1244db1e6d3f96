"""Faults whose legs' beats tempt one into blaming, or clearing, the wrong segment."""

from __future__ import annotations

from typing import NamedTuple

import pytest

PUBLIC = ("egress", "resolver", "edge", "cloudflare", "walloff-probe")


class Case(NamedTuple):
    """Faults, the hold in seconds, the legs that run, and who may be convicted."""

    faults: list[str]
    hold: float
    legs: tuple[str, ...]
    broken: set[str]
    convicted: set[str] | None
    """Who must be, in the run's verdict; None: nobody need be."""


CASES = {
    # The public page is up again by the time that it is asked.
    "an outage that is over at the common beat, seen from outside": Case(
        ["tunnel:refuse@560ms+313ms"], 1.8, PUBLIC, {"tunnel"}, None
    ),
    # cloudflare is cut with the others, but knows it later: its last answer was still on its way.
    "a cut while an answer is on its way": Case(
        ["devvm:cut@321ms", "cf-edge:slow:100ms"], 0.6, (), {"devvm", "cf-edge"}, {"devvm"}
    ),
    # Open WebSockets live on, requests fail.
    "5xx in mid-hold": Case(["traefik:http502@600ms"], 1.8, (), {"traefik"}, {"traefik"}),
    "carve-out lost in mid-hold": Case(["carve-out:sso@600ms"], 1.8, (), {"carve-out"}, None),
    # Each connection ends when it is 0.7 s old, those opened a little later a little later.
    "a limit on age": Case(["traefik:close:700ms"], 1.8, (), {"traefik"}, None),
    # What waited for a silent resolver is up late, when the wan is back.
    "a common beat that comes after the outage": Case(
        ["carve-out:stall", "wan:blackhole+1165ms"], 1.45, (), {"carve-out", "wan"}, {"carve-out"}
    ),
    # A cut after the last beat of the hold: one more at its end shows who outlived it.
    "a cut at the end of the hold": Case(["tunnel:cut@1100ms"], 1.18, (), {"tunnel"}, {"tunnel"}),
}


@pytest.mark.parametrize("name", CASES)
def test_a_hard_case(field, name: str) -> None:
    case = CASES[name]
    seen = field.run(case.faults, case.hold, case.legs)
    assert seen.verdict["incidents"]
    for incident in seen.verdict["incidents"]:
        assert set(incident["verdict"]["convicted"]) <= case.broken, seen.legs
        assert incident["verdict"]["status"] != "inconsistent", seen.legs
    if case.convicted is not None:
        assert case.convicted <= set(seen.verdict["convicted"]), seen.legs
