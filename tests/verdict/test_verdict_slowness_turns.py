"""A pace that changes: legs know of it at moments of their own, and nobody is named meanwhile who
only stands between two of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from slowness_script import slowness

from t3probe.observation import Baseline, Beat, Observation

USUAL, SLOW = 0.01, 0.2
HEARTBEAT = 5.0  # of the script's record, in seconds


def leg(name: str, path: str, since: float, turns: list[float], until: float) -> Observation:
    """A leg over a segment that becomes slow at the first of `turns`, usual at the second, and so
    on; judged by what it saw from `since` on."""
    beats, sent = [], 0.0
    while sent < until:
        trip = SLOW if sum(turn <= sent for turn in turns) % 2 else USUAL
        beats.append(Beat(sent=sent, ended=sent + trip, ok=True, conn=0))
        sent += HEARTBEAT
    known = Baseline(beats=400, moving_seconds=USUAL, until_seconds=since)
    return Observation(
        leg=name, kind="http", path=tuple(path.split()), outcome="passed", beats=tuple(beats),
        baseline=known,
    )  # fmt: skip


LEGS = {"edge": "wan cf-edge", "whole": "wan cf-edge tunnel lb", "inside": "lb", "resolver": "wan"}


@pytest.mark.parametrize("lasts", [1e9, 60.0])
@given(
    st.dictionaries(st.sampled_from(sorted(LEGS)), st.integers(0, 16), min_size=len(LEGS)),
    st.integers(1, 30),
)
def test_only_what_is_slow_is_named_whenever_one_looks(
    lasts: float, windows: dict[str, int], later: int
) -> None:
    onset = 100.0
    now = onset + later * HEARTBEAT
    seen = []
    for name, path in LEGS.items():
        turns = [onset, onset + lasts] if "cf-edge" in path else []
        # A minute may begin at any moment; what is judged is one or two of them.
        seen.append(leg(name, path, now - 120 + windows[name] * HEARTBEAT, turns, now))
    found = slowness(seen)
    assert {name for name, value in found.segments.items() if value} <= {"cf-edge"}
    assert found.status != "localised" or found.segments["cf-edge"]
    if later >= 25 and lasts > later * HEARTBEAT:  # all of them know
        assert found.status == "localised"


def test_a_leg_with_fewer_slow_beats_than_usual_ones_clears_nothing_yet() -> None:
    # Both sent two slow beats; one judges four beats, the other one six.
    seen = [
        leg("whole", LEGS["whole"], 89.0, [100.0], 110.0),
        leg("edge", LEGS["edge"], 79.0, [100.0], 110.0),
        leg("inside", LEGS["inside"], 60.0, [], 110.0),
    ]
    found = slowness(seen)
    assert found.legs["whole"].slow
    assert not found.legs["edge"].slow
    assert found.status == "ambiguous"
    assert "cf-edge" not in found.segments


def test_a_lone_slow_beat_hides_nothing() -> None:
    edge = leg("edge", LEGS["edge"], 0.0, [100.0, 101.0], 150.0)
    whole = leg("whole", LEGS["whole"], 0.0, [30.0], 150.0)
    found = slowness([edge, whole, leg("inside", "lb", 0.0, [], 150.0)])
    assert [name for name, value in found.segments.items() if value] == ["tunnel"]


def test_a_leg_that_becomes_slow_later_than_another_clears_nothing_any_more() -> None:
    seen = [
        leg("whole", LEGS["whole"], 60.0, [85.0], 110.0),
        leg("edge", LEGS["edge"], 60.0, [100.0], 110.0),
        leg("inside", LEGS["inside"], 60.0, [], 110.0),
    ]
    found = slowness(seen)
    assert not found.legs["edge"].slow
    assert "cf-edge" not in found.segments


def test_what_is_over_is_slow_no_more() -> None:
    seen = [
        leg(name, LEGS[name], 0.0, [10.0, 85.0] if name != "inside" else [], 100.0)
        for name in ("whole", "edge", "inside")
    ]
    found = slowness(seen)
    assert found.legs["edge"].slow, "by its median"
    assert found.status == "usual"
