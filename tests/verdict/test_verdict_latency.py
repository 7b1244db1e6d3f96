"""What segments take, from the differences of legs: only where the difference is theirs."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from slowness_script import REFERENCE, paced, slowness

from t3probe.observation import Observation
from t3probe.verdict.slow.latency import Latency, LegTimes, latency, solve

TAKES = {
    "wan": 0.008, "cf-edge": 0.004, "doh": 0.006, "tunnel": 0.02, "traefik": 0.001,
    "carve-out": 0.001, "devvm": 0.0005, "dispatch": 0.0005, "serve": 0.002, "wall": 0.003,
}  # fmt: skip


def run(*names: str, **changed: Observation) -> dict[str, Observation]:
    """These legs of the reference deployment, each as long as its path."""
    legs = {
        name: paced(name, REFERENCE[name], sum(TAKES[one] for one in REFERENCE[name].split()))
        for name in names or REFERENCE
    }
    return {**legs, **changed}


def told(seen: dict[str, Observation]) -> Latency:
    return latency(tuple(TAKES), seen)


def test_the_reference_deployment() -> None:
    found = told(run())
    assert found.segments == pytest.approx(
        {one: TAKES[one] for one in ("wan", "cf-edge", "doh", "tunnel")}
    )
    assert dict(found.groups) == pytest.approx(
        {("traefik", "carve-out"): 0.002, ("devvm", "dispatch"): 0.001}
    )


def test_answers_of_a_part_of_the_path_are_not_compared() -> None:
    pinged = paced("internal", REFERENCE["internal"], 0.001, clears=("traefik",))
    assert told(run("cloudflare", internal=pinged)) == told(run("cloudflare"))


def test_the_same_url_by_two_ways_is_a_sum() -> None:
    found = told(run("cloudflare", "internal"))
    assert found.segments == {}
    assert dict(found.groups) == pytest.approx({("wan", "cf-edge", "tunnel"): 0.032})
    text = slowness(run("cloudflare", "internal").values()).latency_text
    assert text == "wan + cf-edge + tunnel add 32 ms"


def test_a_handshake_less_than_a_request_is_what_lies_behind_it() -> None:
    found = told(run("egress", "edge"))
    assert found.segments == pytest.approx({"wan": 0.008, "cf-edge": 0.004})
    assert (
        slowness(run("egress", "edge").values()).latency_text == "wan adds 8 ms, cf-edge adds 4 ms"
    )


def test_two_servers_answers_are_not_compared() -> None:
    assert told(run("devvm", "t3serve")) == Latency()  # one page is not another
    assert told(run("traefik", "internal")) == Latency()  # nor is a page an echo
    assert told(run("resolver", "edge")) == Latency()


def test_one_end_asked_in_two_ways_is_not_compared() -> None:
    page = paced("page", REFERENCE["dispatch"], 0.001, kind="http")
    assert told(run("internal", page=page)) == Latency()


def test_sums_that_only_together_tell_each() -> None:
    sums = {"ab": 5.0, "bc": 7.0, "ac": 6.0}
    paces = [LegTimes("tcp", tuple(path), True, value, 0.0) for path, value in sums.items()]
    assert solve(tuple("abc"), paces).segments == pytest.approx({"a": 2, "b": 3, "c": 4})


@pytest.mark.parametrize(
    "change",
    [
        {"outcome": "failed"},
        {"outcome": "degraded"},
        {"outcome": "inconclusive"},
        {"planned": "until noon"},
        {"beats": 2},
    ],
)
def test_only_legs_that_passed_tell(change: dict[str, Any]) -> None:
    bad = paced("internal", REFERENCE["internal"], 0.003, **change)
    assert told(run("cloudflare", internal=bad)) == Latency()


def test_below_zero_within_noise_is_zero_and_beyond_it_is_absent() -> None:
    near = run("egress", edge=paced("edge", "wan cf-edge", 0.0078))
    assert told(near).segments == {"wan": 0.008, "cf-edge": 0.0}
    far = run("egress", edge=paced("edge", "wan cf-edge", 0.004))
    assert told(far).segments == {"wan": 0.008}


def test_segments_of_upstreams_are_not_told() -> None:
    seen = {"envoy-a": paced("envoy-a", "upstream-a", 0.01, kind="tcp"), **run("egress")}
    assert told(seen).segments == {"wan": 0.008}


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.booleans(), st.lists(st.sampled_from("abcde"), min_size=1, unique=True)),
        max_size=8,
    ),
    st.lists(st.integers(1, 100), min_size=5, max_size=5),
)
def test_whatever_is_said_is_true(legs: list[tuple[bool, list[str]]], takes: list[int]) -> None:
    """When a round trip really is the sum of its path, so is all that is said."""
    takes_of = dict(zip("abcde", takes, strict=True))
    paces = [
        LegTimes("http", tuple(path), handshake, float(sum(takes_of[one] for one in path)), 0.0)
        for handshake, path in legs
    ]
    found = solve(tuple("abcde"), paces)
    for name, value in found.segments.items():
        assert value == pytest.approx(takes_of[name])
    for names, value in found.groups:
        assert value == pytest.approx(sum(takes_of[one] for one in names))
    for handshake, path in legs:
        if handshake and len(path) == 1:
            assert path[0] in found.segments
