"""The rules of evidence, each as a scripted run.

A script says, per leg, which beats went well and what dropped. `h` is a leg that holds one
connection; the interesting drop is mostly that of `x` over `wan a`, and `y` over `wan b` is
the leg that does or does not clear `wan`.
"""

from __future__ import annotations

import msgspec
import pytest
from verdict_script import bad, cut, down, good, judge, leg
from verdict_timeline_helpers import BESIDE, X_CUT, X_DOWN, only

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
    assert one.cleared_by == BESIDE
    assert one.verdict.at_least_one_of == (("wan", "a"),)
    assert one.verdict.exonerated == ("b",), "y passed"
    assert one.verdict.unobserved == ("c",)


def test_two_good_beats_inside_are_not_held_through() -> None:
    one = only(judge(X_CUT, leg("y", "wan b", good(11, 15, 19))))
    assert one.cleared_by == BESIDE


def test_a_connection_opened_after_the_onset_has_not_held() -> None:
    one = only(judge(X_CUT, leg("y", "wan b", good(12, 21, 30))))
    assert one.cleared_by == BESIDE


def test_the_beat_before_must_have_been_answered_before() -> None:
    slow = (Beat(sent=10.05, ended=10.2, ok=True, conn=0), *good(20, 30))
    assert only(judge(X_CUT, leg("y", "wan b", slow))).cleared_by == BESIDE
    quick = (Beat(sent=9.95, ended=10.0, ok=True, conn=0), *good(20, 30))
    assert only(judge(X_CUT, leg("y", "wan b", quick))).cleared_by == {"y": "held through"}


def test_a_beat_that_failed_between_is_not_held() -> None:
    y = leg("y", "wan b", good(0, 10), bad(15), good(20, 30))
    assert only(judge(X_CUT, y)).cleared_by == BESIDE


def test_a_beat_that_told_nothing_between_does_not_matter() -> None:
    y = leg("y", "wan b", good(0, 10), bad(15, tells=False), good(20, 30))
    assert only(judge(X_CUT, y)).cleared_by == {"y": "held through"}


def test_a_leg_that_only_asks_never_holds() -> None:
    y = leg("y", "wan b", good(0, 10, 20, 30), level="ask")
    assert only(judge(X_CUT, y)).cleared_by == BESIDE


def test_a_cut_is_not_cleared_by_a_beat_inside() -> None:
    y = leg("y", "wan b", good(15), good(20, conn=1, call=1), level="ask")
    assert only(judge(X_CUT, y)).cleared_by == BESIDE


def test_an_undecided_drop_needs_a_leg_that_held_through() -> None:
    x = leg("x", "wan a", good(0, 10), cut(10.1, 20, symptom="unknown", recovered=None))
    asking = leg("y", "wan b", good(15), level="ask")
    one = only(judge(x, asking, leg("z", "b", good(0, 30))))
    assert one.symptom == "unknown"
    assert one.cleared_by == {"y": "beside", "z": "held through"}
    assert one.verdict.at_least_one_of == (("wan", "a"),)


def test_the_onset_may_be_before_the_last_answer() -> None:
    # The answer was on its way for 4 s; y's connection is from meanwhile.
    slow = (Beat(sent=10, ended=14, ok=True, conn=0),)
    x = leg("x", "wan a", good(0), slow, cut(14, 15), good(15.2, conn=1))
    assert only(judge(x, leg("y", "wan b", good(13, 15.1), good(0, conn=9)))).cleared_by == BESIDE
    assert only(judge(x, leg("y", "wan b", good(9, 15.1)))).cleared_by == {"y": "held through"}


def test_drops_of_one_event_that_came_late_are_one_incident() -> None:
    slow = (Beat(sent=10, ended=14, ok=True, conn=0),)
    x = leg("x", "wan a", good(0), slow, cut(14, 15))
    z = leg("z", "wan c", good(0, 9), cut(9.1, 12))
    assert only(judge(x, z)).failed == ("z", "x")


def test_a_younger_connection_says_nothing_about_a_limit_on_age() -> None:
    x = leg("x", "wan a", good(0, 10), cut(10.1, 20, connection_age_seconds=20.0))
    one = only(judge(x, leg("y", "wan b", good(5, 20.1))))
    assert one.cleared_by == {"y": "beside"}
    assert one.verdict.exonerated == ("b",), "what x does not cross was seen to work"
    grown = leg("y", "wan b", good(5, 20.1, 26))
    assert only(judge(x, grown)).cleared_by == {"y": "held through"}


def test_a_connection_that_no_longer_answered_was_dead_before_the_watchdog_expired() -> None:
    drop = cut(10.1, 30, connection_age_seconds=30.0, reason="rtt_timeout")
    x = leg("x", "wan a", good(0, 10), (Beat(sent=15, ended=30, ok=False, conn=0),), drop)
    # 21 s old at its last sign of life: older than x was at 15 s, younger than at 30 s.
    assert only(judge(x, leg("y", "wan b", good(9, 30)))).cleared_by == {"y": "held through"}
    lost = msgspec.structs.replace(drop, reason="connection_reset")
    x = leg("x", "wan a", good(0, 10), lost)
    assert only(judge(x, leg("y", "wan b", good(9, 30)))).cleared_by == {"y": "beside"}


def test_a_leg_that_falls_itself_within_a_second_falls_with_it() -> None:
    y = leg("y", "wan b", good(0, 10, 20.1), cut(20.2, 21.0), good(22, conn=1))
    one = only(judge(X_CUT, y))
    assert (one.failed, one.cleared_by) == (("x", "y"), {})
    later = leg("y", "wan b", good(0, 10, 20.1), cut(20.2, 21.1), good(22, conn=1))
    first, second = judge(X_CUT, later).incidents
    assert (first.cleared_by, second.failed) == ({"y": "held through"}, ("y",))


def test_so_does_one_that_fell_within_the_second_before() -> None:
    late = leg("x", "wan a", good(0, 10), down(10.1, 10.4))
    y = leg("y", "wan b", good(0), cut(0.1, 9.5), good(9.6, 10.41, 12, conn=1))
    one = only(judge(late, y))
    assert (one.failed, one.cleared_by) == (("y", "x"), {})
    y = leg("y", "wan b", good(0), cut(0.1, 9.3), good(9.6, 10.41, 12, conn=1))
    first, second = judge(late, y).incidents
    assert (first.cleared_by, second.failed) == ({"y": "held through"}, ("y",))


def test_a_leg_with_a_drop_elsewhere_in_the_run_is_not_beside() -> None:
    # It did not pass. What it proves about the drop itself, it proves all the same.
    y = leg("y", "wan b", good(0), cut(0.1, 2), good(2.2, 12, conn=1))
    early = [one for one in judge(X_CUT, y).incidents if one.failed == ("x",)]
    assert [one.cleared_by for one in early] == [{}]
    assert early[0].verdict.unobserved == ("b", "c")


def test_an_open_websocket_says_nothing_about_requests() -> None:
    x = leg("x", "wan a", good(0, 10), down(10.1, 20, reason="http_5xx"))
    echo = leg("y", "wan b", good(0, 10, 20.01, 30), kind="ws_echo")
    one = only(judge(x, echo))
    assert one.cleared_by == {"y": "beside"}
    assert one.verdict.exonerated == ("b",)
    asking = leg("y", "wan b", good(0, 10, 20.01, 30), kind="http")
    assert only(judge(x, asking)).cleared_by == {"y": "held through"}


def test_an_open_connection_says_nothing_about_new_ones() -> None:
    x = leg("x", "wan a", good(0, 10), down(10.1, 20, stage="connect", conn=None))
    held = leg("y", "wan b", good(0, 10, 20.01, 30))
    one = only(judge(x, held))
    assert one.cleared_by == {"y": "beside"}
    assert one.verdict.exonerated == ("b",)
    anew = leg("y", "wan b", good(0, 10), good(20.01, conn=1))
    assert only(judge(x, anew)).cleared_by == {"y": "common beat"}


def test_a_leg_clears_what_the_drops_it_cannot_clear_do_not_cross() -> None:
    x = leg("x", "wan a", good(0, 10), down(10.1, 20))
    other = leg("up", "a far", good(0, 10), down(10.1, 20, stage="connect", conn=None))
    one = only(judge(x, other, leg("y", "wan b", good(0, 10, 20.01)), segments="wan a b far"))
    assert one.cleared_by == {"y": "beside"}
    assert one.verdict.exonerated == ("wan", "b")
    assert (one.verdict.convicted, one.verdict.masked) == (("a",), ("far",))


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
    assert one.cleared_by == BESIDE
    assert one.verdict.at_least_one_of == (("wan", "a"),)


def test_a_beat_that_was_answered_inside_but_sent_before_clears_nothing() -> None:
    y = leg("y", "wan b", (Beat(sent=10.0, ended=12.0, ok=True, conn=0),), level="ask")
    assert only(judge(X_DOWN, y)).cleared_by == BESIDE


def test_a_failed_beat_inside_clears_nothing() -> None:
    y = leg("y", "wan b", good(5), bad(12), level="ask")
    assert only(judge(X_DOWN, y)).cleared_by == BESIDE


def test_the_common_beat_answered() -> None:
    one = only(judge(X_DOWN, leg("y", "wan b", good(5), good(20.01, call=1), level="ask")))
    assert one.cleared_by == {"y": "common beat"}
    assert one.verdict.convicted == ("a",)


def test_the_common_beat_failed_and_a_later_one_answered() -> None:
    y = leg("y", "wan b", good(5), bad(20.01, call=1), good(30, call=1), level="ask")
    assert only(judge(X_DOWN, y)).cleared_by == BESIDE


def test_a_beat_inside_is_named_before_the_common_one() -> None:
    y = leg("y", "wan b", bad(1), good(12), good(20.01, call=1), level="ask")
    assert only(judge(X_DOWN, y)).cleared_by == {"y": "sent inside"}


def test_a_beat_of_the_same_moment_is_as_good_as_an_answer() -> None:
    y = leg("y", "wan b", good(5), good(20.01, call=0), level="ask")
    assert only(judge(X_DOWN, y)).cleared_by == {"y": "common beat"}


def test_an_answer_that_comes_late_may_come_after_the_outage() -> None:
    late = leg("y", "wan b", good(5), good(20.3, call=1), level="ask")
    assert only(judge(X_DOWN, late)).cleared_by == BESIDE
    still_down = leg("x", "wan a", good(0, 10), down(10.1, 20), bad(20.4, conn=2))
    assert only(judge(still_down, late)).cleared_by == {"y": "common beat"}


def test_a_beat_inside_whose_successor_told_nothing_may_be_from_before_the_onset() -> None:
    y = leg("y", "wan b", good(12), bad(20.01, tells=False), good(30), level="ask")
    assert only(judge(X_DOWN, y)).cleared_by == BESIDE


def test_what_later_beats_do_not_ask_again_may_lie_before_the_onset() -> None:
    x = leg("x", "wan a", good(0, 10), bad(19.9), down(10.1, 20, conn=None, stage="connect"))
    # y opened a connection at that moment, and kept it: nobody knows when opening one broke.
    for opened, how in ((18.95, "beside"), (19.89, "beside"), (19.95, "sent inside")):
        y = leg("y", "wan b", good(5, conn=1), good(opened, 20.01, 25))
        assert only(judge(x, y)).cleared_by == {"y": how}
    # One that never worked is down all along.
    never = leg("x", "wan a", bad(19.9), down(0, 20, conn=None, stage="connect"))
    assert only(judge(never, leg("y", "wan b", good(2, 20.01)))).cleared_by == {"y": "sent inside"}


def test_an_answer_from_before_the_drop_was_noticed_is_none() -> None:
    y = leg("y", "wan b", good(9, call=1), level="ask")
    assert only(judge(X_DOWN, y)).cleared_by == BESIDE


def test_a_newer_call_counts_for_an_older_one() -> None:
    y = leg("y", "wan b", good(5), good(20.01, call=4), level="ask")
    assert only(judge(X_DOWN, y)).cleared_by == {"y": "common beat"}


def test_a_drop_that_called_nobody_gets_no_answer() -> None:
    x = leg("x", "wan a", good(0, 10), down(10.1, 20, call=0))
    y = leg("y", "wan b", good(5), good(25, call=0), level="ask")
    assert only(judge(x, y)).cleared_by == BESIDE


def test_an_answer_after_the_recovery_clears_nothing() -> None:
    x = leg(
        "x", "wan a", good(0, 10), down(10.1, 20, recovered=24), bad(23.6, conn=2), good(24, conn=1)
    )
    late = leg("y", "wan b", good(5), good(24.5, call=1), level="ask")
    assert only(judge(x, late)).cleared_by == BESIDE
    early = leg("y", "wan b", good(5), good(23.5, call=1), level="ask")
    assert only(judge(x, early)).cleared_by == {"y": "common beat"}
    soon = leg("x", "wan a", good(0, 10), down(10.1, 20, recovered=20.1))
    assert only(judge(soon, leg("y", "wan b", good(5, 20.15), level="ask"))).cleared_by == BESIDE


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
    assert only(judge(cut_off, lower)).cleared_by == BESIDE
