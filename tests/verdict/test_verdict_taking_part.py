"""The rules of evidence: who takes no part, and what a failed leg clears itself."""

from __future__ import annotations

import pytest
from verdict_script import cut, down, good, judge, leg
from verdict_timeline_helpers import BESIDE, X_CUT, X_DOWN, only

# Who takes no part.


def test_a_stalled_drop_takes_no_part() -> None:
    x = leg("x", "wan a", good(0, 10), down(10.1, 20, stalled=True))
    run = judge(x, segments="wan a")
    assert run.incidents == ()
    assert run.verdict.status == "clean"


def test_a_leg_that_failed_only_while_we_stalled_is_not_blamed() -> None:
    x = leg("x", "wan a", down(10.1, 20, stalled=True), outcome="failed")
    run = judge(x, segments="wan a")
    assert run.incidents == ()
    assert run.verdict.status == "incomplete"
    assert run.verdict.unobserved == ("wan", "a")


def test_an_inconclusive_leg_neither_fails_nor_passes() -> None:
    facts = good(0, 10, 20, 30)
    y = leg("y", "wan b", facts, outcome="inconclusive", reason="leg_collapsed")
    assert only(judge(X_CUT, y)).cleared_by == {}
    x = leg("x", "wan a", down(10.1, 20), outcome="inconclusive", reason="prober_stalled")
    assert judge(x).incidents == ()


def test_planned_downtime_takes_no_part() -> None:
    x = leg("x", "wan a", down(10.1, 20), planned="until tomorrow: new disks")
    run = judge(x, leg("y", "wan b", good(0, 30)))
    assert run.incidents == ()
    assert run.verdict.exonerated == ("wan", "b")
    y = leg("y", "wan b", good(0, 30), planned="the same")
    assert only(judge(X_CUT, y)).cleared_by == {}


# A leg that failed without a drop, and checks with a body of their own.


def test_a_failure_without_drops_lasted_from_start_to_end() -> None:
    wall = leg("wall", "wan a", outcome="failed", reason="walled_off", level="ask", started=1.0)
    inside = leg("y", "wan b", good(2), level="ask")
    one = only(judge(wall, inside))
    assert (one.began, one.noticed, one.symptom) == (1.0, 35.0, "down")
    assert one.cleared_by == {"y": "sent inside"}
    assert one.verdict.convicted == ("a",)
    connecting = leg("y", "wan b", good(2), level="connect")
    assert only(judge(wall, connecting)).cleared_by == {"y": "beside"}
    # What such a check asked is not known, but an open WebSocket asks nothing.
    echo = leg("y", "wan b", good(0, 2, 36), kind="ws_echo")
    assert only(judge(wall, echo)).verdict.exonerated == ("b",)


def test_a_check_after_the_hold_is_judged_by_the_same_rules() -> None:
    check = leg("check", "wan a", down(36, 37, call=0), level="ask", after_hold=True)
    y = leg("y", "wan b", good(0, 30))
    one = only(judge(check, y))
    assert one.cleared_by == BESIDE, "y's last beat is from before the onset"
    other = leg("other", "wan c", good(36.5), level="ask", after_hold=True)
    assert only(judge(check, y, other)).cleared_by == BESIDE | {"other": "sent inside"}


# What a failed leg's own record clears.


def test_segments_that_carried_the_failed_beat_are_cleared_for_it() -> None:
    x = leg("x", "wan a", good(0), down(0.1, 20, carried=("wan",), carried_at=5.0))
    one = only(judge(x))
    assert one.carried == {"x": ("wan",)}
    assert one.verdict.exonerated == ("wan",)
    assert one.verdict.convicted == ("a",)


def test_they_are_cleared_for_a_cut_as_well_but_only_for_their_own() -> None:
    x = leg("x", "wan a", good(0), cut(0.1, 20, carried=("wan",), carried_at=5.0))
    assert only(judge(x)).verdict.convicted == ("a",)
    y = leg("y", "wan b", cut(1, 20))
    one = only(judge(x, y))
    assert one.carried == {}
    assert one.verdict.convicted == ()


@pytest.mark.parametrize(("began", "cleared"), [(4.0, True), (6.0, False)])
def test_for_another_drop_they_must_have_carried_inside_it(began: float, cleared: bool) -> None:
    x = leg("x", "wan a", good(0), down(0.1, 20, carried=("wan",), carried_at=5.0))
    y = leg("y", "wan b", down(began, 20))
    one = only(judge(x, y))
    assert ("wan" in one.verdict.exonerated) == cleared
    assert one.carried == ({"x": ("wan",)} if cleared else {})


def test_one_of_its_drops_without_that_evidence_is_enough_to_clear_nothing() -> None:
    x = leg("x", "wan a", down(0.1, 20, carried=("wan",), carried_at=5.0), down(19, 22))
    assert only(judge(x)).carried == {}


# No incident at all.


def test_without_drops_passes_clear_and_degraded_ones_too() -> None:
    run = judge(leg("x", "wan a"), leg("y", "b", outcome="degraded"), segments="wan a b")
    assert run.verdict.status == "clean"
    assert run.verdict.exonerated == ("wan", "a", "b")
    assert run.verdict.minimal_sets == ((),)


def test_a_declared_segment_nobody_saw_makes_it_incomplete() -> None:
    run = judge(leg("x", "wan a"), segments="wan a b")
    assert run.verdict.status == "incomplete"
    assert run.verdict.unobserved == ("b",)
    run = judge(leg("x", "wan a"), segments="wan a", own="upstream-b")
    assert run.verdict.status == "clean", "an upstream's own segment is not declared"
    assert run.verdict.unobserved == ("upstream-b",)


def test_with_an_incident_what_passed_beside_it_is_cleared() -> None:
    y = leg("y", "b", good(0, 5), level="ask")
    one = only(judge(X_DOWN, y, segments="wan a b c"))
    assert one.cleared_by == BESIDE
    assert (one.verdict.exonerated, one.verdict.unobserved) == (("b",), ("c",))
    assert one.verdict.status == "ambiguous"
    nothing = leg("y", "b", good(0, 5), outcome="inconclusive")
    assert only(judge(X_DOWN, nothing, segments="wan a b")).verdict.unobserved == ("b",)
