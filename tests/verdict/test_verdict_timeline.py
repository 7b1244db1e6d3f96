"""The rules of evidence, each as a scripted run.

A script says, per leg, which beats went well and what dropped. `h` is a leg that holds one
connection; the interesting drop is mostly that of `x` over `wan a`, and `y` over `wan b` is
the leg that does or does not clear `wan`.
"""

from __future__ import annotations

import pytest
from verdict_script import bad, cut, down, good, judge, leg
from verdict_timeline_helpers import X_CUT, X_DOWN, only

from t3probe.observation import Beat, Drop

# Held through.


def test_a_leg_that_held_through_clears_a_cut() -> None:
    one = only(judge(X_CUT, leg("y", "wan b", good(0, 10, 20, 30))))
    assert one.cleared_by == {"y": "held through"}
    assert one.verdict.exonerated == ("wan", "b")
    assert one.verdict.convicted == ("a",)
    assert one.symptom == "cut"
    assert (one.began, one.noticed, one.recovered) == (10.1, 20, 20.2)


def test_a_leg_that_held_through_clears_a_segment_that_is_down() -> None:
    one = only(judge(X_DOWN, leg("y", "wan b", good(0, 10), good(20.1, call=1))))
    assert one.cleared_by == {"y": "held through"}
    assert one.recovered is None


def test_a_polite_reconnect_between_is_not_held() -> None:
    one = only(judge(X_CUT, leg("y", "wan b", good(0, 10), good(20, 30, conn=1, call=1))))
    assert one.cleared_by == {}
    assert one.verdict.at_least_one_of == (("wan", "a"),)
    assert one.verdict.unobserved == ("b", "c")


def test_two_good_beats_inside_are_not_held_through() -> None:
    one = only(judge(X_CUT, leg("y", "wan b", good(11, 15, 19))))
    assert one.cleared_by == {}


def test_a_connection_opened_after_the_onset_has_not_held() -> None:
    one = only(judge(X_CUT, leg("y", "wan b", good(12, 21, 30))))
    assert one.cleared_by == {}


def test_the_beat_before_must_have_been_answered_before() -> None:
    slow = (Beat(sent=10.05, ended=10.2, ok=True, conn=0), *good(20, 30))
    assert only(judge(X_CUT, leg("y", "wan b", slow))).cleared_by == {}
    quick = (Beat(sent=10.05, ended=10.1, ok=True, conn=0), *good(20, 30))
    assert only(judge(X_CUT, leg("y", "wan b", quick))).cleared_by == {"y": "held through"}


def test_a_beat_that_failed_between_is_not_held() -> None:
    y = leg("y", "wan b", good(0, 10), bad(15), good(20, 30))
    assert only(judge(X_CUT, y)).cleared_by == {}


def test_a_beat_that_told_nothing_between_does_not_matter() -> None:
    y = leg("y", "wan b", good(0, 10), bad(15, tells=False), good(20, 30))
    assert only(judge(X_CUT, y)).cleared_by == {"y": "held through"}


def test_a_leg_that_only_asks_never_holds() -> None:
    y = leg("y", "wan b", good(0, 10, 20, 30), level="ask")
    assert only(judge(X_CUT, y)).cleared_by == {}


def test_a_cut_is_not_cleared_by_a_beat_inside() -> None:
    y = leg("y", "wan b", good(15), good(20, conn=1, call=1), level="ask")
    assert only(judge(X_CUT, y)).cleared_by == {}


def test_an_undecided_drop_needs_a_leg_that_held_through() -> None:
    x = leg("x", "wan a", good(0, 10), cut(10.1, 20, symptom="unknown", recovered=None))
    asking = leg("y", "wan b", good(15), level="ask")
    one = only(judge(x, asking, leg("z", "b", good(0, 30))))
    assert one.symptom == "unknown"
    assert one.cleared_by == {"z": "held through"}


# Sent inside, and the common beat.


def test_a_beat_sent_inside_clears_what_is_down() -> None:
    one = only(judge(X_DOWN, leg("y", "wan b", good(12), level="ask")))
    assert one.cleared_by == {"y": "sent inside"}
    assert one.verdict.convicted == ("a",)


@pytest.mark.parametrize("sent", [10.1, 20])
def test_the_interval_is_closed(sent: float) -> None:
    one = only(judge(X_DOWN, leg("y", "wan b", good(sent), level="ask")))
    assert one.cleared_by == {"y": "sent inside"}


def test_a_pass_from_before_the_onset_clears_nothing() -> None:
    y = leg("y", "wan b", good(0, 10), level="ask")
    one = only(judge(X_DOWN, y))
    assert one.cleared_by == {}
    assert one.verdict.at_least_one_of == (("wan", "a"),)


def test_a_beat_that_was_answered_inside_but_sent_before_clears_nothing() -> None:
    y = leg("y", "wan b", (Beat(sent=10.0, ended=12.0, ok=True, conn=0),), level="ask")
    assert only(judge(X_DOWN, y)).cleared_by == {}


def test_a_failed_beat_inside_clears_nothing() -> None:
    y = leg("y", "wan b", good(5), bad(12), level="ask")
    assert only(judge(X_DOWN, y)).cleared_by == {}


def test_the_common_beat_answered() -> None:
    one = only(judge(X_DOWN, leg("y", "wan b", good(5), good(20.01, call=1), level="ask")))
    assert one.cleared_by == {"y": "common beat"}
    assert one.verdict.convicted == ("a",)


def test_the_common_beat_failed_and_a_later_one_answered() -> None:
    y = leg("y", "wan b", good(5), bad(20.01, call=1), good(30, call=1), level="ask")
    assert only(judge(X_DOWN, y)).cleared_by == {}


def test_a_beat_that_was_not_for_this_call_is_no_answer() -> None:
    y = leg("y", "wan b", good(5), good(20.01, call=0), level="ask")
    assert only(judge(X_DOWN, y)).cleared_by == {}


def test_an_answer_from_before_the_drop_was_noticed_is_none() -> None:
    y = leg("y", "wan b", good(9, call=1), level="ask")
    assert only(judge(X_DOWN, y)).cleared_by == {}


def test_a_newer_call_counts_for_an_older_one() -> None:
    y = leg("y", "wan b", good(5), good(20.01, call=4), level="ask")
    assert only(judge(X_DOWN, y)).cleared_by == {"y": "common beat"}


def test_a_drop_that_called_nobody_gets_no_answer() -> None:
    x = leg("x", "wan a", good(0, 10), down(10.1, 20, call=0))
    y = leg("y", "wan b", good(5), good(25, call=0), level="ask")
    assert only(judge(x, y)).cleared_by == {}


def test_an_answer_after_the_recovery_clears_nothing() -> None:
    x = leg("x", "wan a", good(0, 10), down(10.1, 20, recovered=24), good(24, conn=1))
    late = leg("y", "wan b", good(5), good(24.5, call=1), level="ask")
    assert only(judge(x, late)).cleared_by == {}
    early = leg("y", "wan b", good(5), good(23.5, call=1), level="ask")
    assert only(judge(x, early)).cleared_by == {"y": "common beat"}


# A pass clears only what it exercised.


def test_connecting_does_not_clear_a_wan_that_accepts_and_stays_silent() -> None:
    egress = leg("egress", "wan", good(0, 12), good(20.01, call=1), level="connect")
    one = only(judge(X_DOWN, egress))
    assert one.cleared_by == {}
    assert one.verdict.at_least_one_of == (("wan", "a"),)


def test_connecting_clears_a_wan_when_connecting_was_what_failed() -> None:
    x = leg("x", "wan a", good(0, 10), down(10.1, 20, stage="connect"))
    egress = leg("egress", "wan", good(0, 12), level="connect")
    one = only(judge(x, egress))
    assert one.cleared_by == {"egress": "sent inside"}
    assert one.verdict.convicted == ("a",)


def test_an_attempt_that_failed_while_holding_needs_no_more_than_asking() -> None:
    x = leg("x", "wan a", good(0, 10), down(10.1, 20, stage="hold"))
    y = leg("y", "wan b", good(12), level="ask")
    assert only(judge(x, y)).cleared_by == {"y": "sent inside"}


def test_without_an_attempt_the_drop_itself_says_what_failed() -> None:
    drop = Drop(began=10.1, noticed=20, reason="rtt_timeout", symptom="down", stage="hold", call=1)
    x = leg("x", "wan a", good(0, 10), drop)
    assert only(judge(x, leg("y", "wan b", good(12), level="ask"))).cleared_by == {"y": "beside"}
    assert only(judge(x, leg("y", "wan b", good(12)))).cleared_by == {"y": "sent inside"}


def test_an_attempt_that_worked_does_not_say_what_failed() -> None:
    x = leg("x", "wan a", good(0, 10), cut(10.1, 20, symptom="down"))
    assert only(judge(x, leg("y", "wan b", good(12), level="ask"))).cleared_by == {"y": "beside"}
    assert only(judge(x, leg("y", "wan b", good(12)))).cleared_by == {"y": "sent inside"}


def test_a_lower_level_clears_only_what_no_failed_leg_crosses() -> None:
    x = leg("x", "wan a", good(0, 10), down(10.1, 20, stage="ask"))
    lower = leg("y", "wan b", good(12), level="connect")
    one = only(judge(x, lower))
    assert one.cleared_by == {"y": "beside"}
    assert one.verdict.exonerated == ("b",)
    assert one.verdict.ambiguous == ("wan", "a")
    cut_off = leg("x", "wan a", good(0, 10), cut(10.1, 20))
    assert only(judge(cut_off, lower)).cleared_by == {}


# Incidents.


def test_an_outage_shorter_than_the_gap_between_two_beats() -> None:
    # x is cut and back within 0.2 s. y beat before and after on one connection, z on two.
    x = leg("x", "wan a", good(0, 10), cut(10.1, 13), good(13.2, 20, conn=1))
    y = leg("y", "wan b", good(0, 9, 18, 27))
    z = leg("z", "a c", good(0, 9), good(18, 27, conn=1))
    one = only(judge(x, y, z))
    assert one.cleared_by == {"y": "held through"}
    assert one.verdict.convicted == ("a",)
    assert one.verdict.unobserved == ("c",)


def test_two_outages_apart_are_two_incidents() -> None:
    x = leg("x", "wan a", good(0), down(0.1, 5, recovered=6), good(8, conn=1))
    y = leg("y", "wan b", good(0, 7), good(20), down(20.1, 30))
    run = judge(x, y)
    assert [one.failed for one in run.incidents] == [("x",), ("y",)]
    assert run.incidents[0].cleared_by == {"y": "held through"}
    assert run.incidents[1].cleared_by == {}
    assert run.verdict == run.incidents[0].verdict


def test_a_later_outage_of_the_same_leg_is_another_incident() -> None:
    x = leg("x", "wan a", cut(1, 2), cut(12, 13), cut(22, 23))
    assert [one.began for one in judge(x).incidents] == [1, 12, 22]


def test_drops_that_overlap_through_a_third_are_one_incident() -> None:
    x = leg("x", "wan a", down(1, 5))
    y = leg("y", "wan b", down(9, 12))
    z = leg("z", "wan c", down(5, 9))
    one = only(judge(x, y, z))
    assert one.failed == ("x", "z", "y")
    assert (one.began, one.noticed) == (1, 12)
    assert one.verdict.minimal_sets[0] == ("wan",)


def test_a_short_drop_within_a_long_one_does_not_end_the_chain() -> None:
    x = leg("x", "wan a", down(1, 20))
    y = leg("y", "wan b", down(2, 3), down(10, 12))
    one = only(judge(x, y))
    assert (one.began, one.noticed) == (1, 20)


def test_a_failed_leg_never_clears_its_own_incident() -> None:
    x = leg("x", "wan a", good(1.5, conn=1), good(0, 9), down(1, 2))
    one = only(judge(x))
    assert one.cleared_by == {}
    assert one.verdict.exonerated == ()


def test_a_leg_must_clear_every_drop_of_the_incident() -> None:
    x = leg("x", "wan a", down(1, 5))
    z = leg("z", "wan c", down(4, 9))
    first_only = leg("y", "wan b", good(2), level="ask")
    assert only(judge(x, z, first_only)).cleared_by == {}
    both = leg("y", "wan b", good(2), good(8), level="ask")
    assert only(judge(x, z, both)).cleared_by == {"y": "sent inside"}
    mixed = leg("y", "wan b", good(2), good(9.5, call=1), level="ask")
    assert only(judge(x, z, mixed)).cleared_by == {"y": "common beat"}


def test_a_cut_within_the_incident_must_be_held_through() -> None:
    x = leg("x", "wan a", down(1, 5))
    z = leg("z", "wan c", cut(4, 9))
    asking = leg("y", "wan b", good(2), good(8), level="ask")
    assert only(judge(x, z, asking)).cleared_by == {}
    one = only(judge(x, z, leg("y", "wan b", good(0, 10))))
    assert one.cleared_by == {"y": "held through"}
    assert one.symptom == "down"


def test_a_leg_that_dropped_too_does_not_clear() -> None:
    x = leg("x", "wan a", down(10, 20))
    y = leg("y", "wan b", good(12, 15), down(15.1, 21))
    one = only(judge(x, y))
    assert one.cleared_by == {}
    assert one.failed == ("x", "y")


def test_the_worst_incident_gives_the_verdict() -> None:
    early_cut = [leg(f"p{at}", f"wan c{at}", cut(1, 2)) for at in range(3)]
    x = leg("x", "a", down(10, 12))
    run = judge(*early_cut, x)
    assert run.verdict.convicted == ("a",), "down before cut, whatever the number of legs"
    more = judge(leg("x", "a", down(1, 2)), leg("y", "b", down(5, 6)), leg("z", "b", down(5, 6)))
    assert more.verdict.convicted == ("b",), "then more failed legs"
    first = judge(leg("x", "a", down(1, 2)), leg("y", "b", down(5, 6)))
    assert first.verdict.convicted == ("a",), "then the earlier"
    undecided = judge(leg("x", "a", cut(1, 2, symptom="unknown")), leg("y", "b", cut(5, 6)))
    assert undecided.verdict.convicted == ("b",), "a cut before one that is undecided"
