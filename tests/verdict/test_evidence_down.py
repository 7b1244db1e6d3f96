"""Who clears what of `down` and `refusing`: both looked at one moment. Of blips nobody can tell.

`x` over `wan a` fails at 15 s; its second look is under way from 15.02 s to 15.2 s. `y` over
`wan b` is the leg that does or does not clear `wan`.
"""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from verdict_script import (
    CALLED,
    blip,
    both,
    cut,
    down,
    fresh,
    held,
    judge,
    leg,
    only,
    refusing,
    suspects,
    unknown,
    usual,
    well,
)

from t3probe.observation import Attempt, Drop, Observation

X = leg("x", "wan a", usual(until=15), down())
REFUSING = leg("x", "wan a", usual(), held(CALLED), refusing())
BLIP = leg("x", "wan a", usual(), blip())


def y(*facts: Any, **more: Any) -> Observation:
    return leg("y", "wan b", *facts, **more)


@pytest.mark.parametrize("x", [X, REFUSING], ids=["down", "refusing"])
def test_a_good_fresh_beat_of_the_same_moment_clears(x: Observation) -> None:
    run = judge(x, y(well()), segments="wan a b")
    assert only(run).cleared_by == {"y": "fresh beat"}
    assert run.verdict.labels() == {"a": "convicted", "wan": "exonerated", "b": "exonerated"}
    assert run.verdict.simplest == ("a",)


@pytest.mark.parametrize("x", [X, REFUSING], ids=["down", "refusing"])
@pytest.mark.parametrize(
    ("sent", "found"),
    [
        (14.9, "wan|a"),  # before the first failed attempt had ended: maybe before the onset
        (15.0, "wan|a"),
        (15.001, "a"),
        (15.199, "a"),
        (15.2, "wan|a"),  # the second look had ended
        (16.0, "wan|a"),
    ],
)
def test_it_must_begin_after_the_first_attempt_ended_and_before_the_second_did(
    x: Observation, sent: float, found: str
) -> None:
    assert suspects(judge(x, y(usual(), fresh(sent)))) == found


@pytest.mark.parametrize(
    ("sent", "took", "found"),
    [
        (CALLED, 0.1, "a"),
        (15.26, 0.1, "a"),
        (15.28, 0.1, "wan|a"),  # by then it may have been over: the second look asked once
        (19.9, 0.1, "wan|a"),  # such as a heartbeat's beat
        (15.125, 1.0, "a"),
        (CALLED, 1.1, "wan|a"),  # it may have waited until it was over
    ],
)
def test_a_silent_second_look_is_compared_with_beats_that_began_with_it_and_did_not_wait(
    sent: float, took: float, found: str
) -> None:
    # From 15.02 s to 20 s.
    x = leg("x", "wan a", usual(until=15), down(second=5.0, stage="connect"))
    assert suspects(judge(x, y(usual(), fresh(sent, took=took)))) == found


@pytest.mark.parametrize("second", [0.2, 0.9, 5.0])
def test_an_answer_that_took_long_may_have_come_when_the_outage_was_over(second: float) -> None:
    x = leg("x", "wan a", usual(until=15), down(second=second))
    assert suspects(judge(x, y(usual(), fresh(CALLED, took=0.24)))) == "a"
    assert suspects(judge(x, y(usual(), fresh(CALLED, took=0.26)))) == "wan|a"


def test_what_began_earlier_and_ended_meanwhile_clears_nothing() -> None:
    assert suspects(judge(X, y(usual(), fresh(14.95, took=0.2)))) == "wan|a"


def test_connections_that_held_through_clear_nothing_of_them() -> None:
    assert suspects(judge(X, y(usual(), held(CALLED)))) == "wan|a"
    assert suspects(judge(REFUSING, y(usual(), held(CALLED)))) == "wan|a"


def test_a_beat_that_failed_or_told_nothing_clears_nothing() -> None:
    for bad in (fresh(CALLED, ok=False), fresh(CALLED, ok=False, conclusive=False)):
        assert suspects(judge(X, y(usual(), bad))) == "wan|a"


def test_without_a_second_look_nothing_does() -> None:
    x = leg("x", "wan a", usual(until=15), down(second=None))
    assert suspects(judge(x, y(well()))) == "wan|a"
    x = leg("x", "wan a", usual(until=15), unknown())
    assert suspects(judge(x, y(well()))) == "wan|a"


def test_the_held_beat_is_the_first_failed_attempt_where_it_was_noticed_first() -> None:
    # Sent at 10.2 s, given up at 15 s: what was good in between may be from before the onset.
    x = leg("x", "wan a", usual(until=10), down(asked=10.2, reason="rtt_timeout"))
    assert suspects(judge(x, y(usual(), fresh(12, 14)))) == "wan|a"
    assert suspects(judge(x, y(usual(), fresh(12, 14, CALLED)))) == "a"


# A leg that only connects.


@pytest.mark.parametrize(
    ("first", "second", "found"),
    [
        ("connect", "connect", "a"),
        ("hold", "connect", "a"),
        ("ask", "connect", "a"),
        ("ask", "ask", "wan|a"),
        ("connect", "ask", "wan|a"),  # the second look, at the same moment, did connect
    ],
)
def test_a_leg_that_only_connects_clears_only_failed_connects(
    first: Any, second: Any, found: str
) -> None:
    x = leg("x", "wan a", usual(until=15), down(first_stage=first, stage=second))
    egress = leg("egress", "wan", fresh(0, 10, CALLED, 20, 30), level="connect")
    assert suspects(judge(x, egress)) == found


def test_a_good_beat_that_was_a_refusal_exercised_no_more_than_a_connect() -> None:
    machine = leg("m", "wan", usual(), fresh(CALLED, refused=True))
    connects = leg("x", "wan a", usual(until=15), down(stage="connect"))
    assert suspects(judge(connects, machine)) == "a"
    assert suspects(judge(X, machine)) == "wan|a"


def test_a_held_beat_that_was_reset_is_no_fresh_one() -> None:
    machine = leg("m", "wan", usual(), held(CALLED, refused=True))
    connects = leg("x", "wan a", usual(until=15), down(stage="connect"))
    assert suspects(judge(connects, machine)) == "wan|a"


# Blips.


@pytest.mark.parametrize("sent", [14.9, 14.985, 15.0, CALLED])
def test_what_was_under_way_with_a_blip_clears_nothing_of_it(sent: float) -> None:
    # It may have been answered before the onset, or after the end.
    run = judge(BLIP, y(usual(), fresh(sent)), segments="wan a b")
    assert only(run).symptom == "blip"
    assert only(run).cleared_by == {"y": "beside"}
    assert run.verdict.at_least_one_of == (("wan", "a"),)


def test_own_answers_clear_for_a_blip() -> None:
    assert suspects(judge(leg("x", "wan a", usual(), blip(own="wan")))) == "a"


def test_of_a_silent_blip_nobody_can_tell() -> None:
    silent = blip(reason="connect_timeout", answered=False, asked=10.2)
    x = leg("x", "wan a", usual(), silent)
    run = judge(x, y(usual(), fresh(11, 12, 13, 14.9, CALLED)), segments="wan a b")
    assert suspects(run) == "wan|a"
    assert run.verdict.at_least_one_of == (("wan", "a"),)
    assert run.verdict.exonerated == ("b",)


def test_a_lone_blip_accuses_nobody_and_two_that_share_a_segment_do() -> None:
    lone = leg("x", "wan a", usual(), blip(lone=True))
    run = judge(lone, y(well()), segments="wan a b")
    assert run.incidents == ()
    assert run.verdict.status == "clean"
    other = leg("z", "wan c", usual(), blip(10.1, 15.5))
    run = judge(BLIP, other, y(usual()), segments="wan a b c")
    assert only(run).failed == ("x", "z")
    assert suspects(run) == "wan|a wan|c"
    assert run.verdict.convicted == ()
    assert run.verdict.simplest == ("wan",)


# Spread.


@pytest.mark.parametrize("x", [X, REFUSING], ids=["down", "refusing"])
def test_fresh_beats_clear_no_spread_segment(x: Observation) -> None:
    other = y(well(), fresh(14.97))
    assert suspects(judge(x, other)) == "a"
    assert suspects(judge(x, other, spread="wan")) == "wan|a"


def test_the_failing_legs_own_answers_do() -> None:
    x = leg("x", "wan a", usual(until=15), down(first_own="wan", answered=True))
    assert suspects(judge(x, y(well()), spread="wan")) == "a"


# Own answers.


@pytest.mark.parametrize("made", [down, refusing])
@pytest.mark.parametrize(
    ("told", "found"),
    [
        ({"first_own": "wan"}, "a|b"),
        ({"first_own": "wan", "answered": True}, "a|b"),
        ({"own": "wan a", "first_own": "wan", "answered": True}, "b"),
        ({"own": "wan a", "first_own": "wan"}, "a|b"),  # the first ended in no answer
        ({"own": "wan a"}, "wan|a|b"),
        ({"own": "wan a", "answered": True}, "b"),
    ],
)
def test_own_answers_of_the_first_attempt_and_after_an_answer_of_the_second(
    made: Any, told: Any, found: str
) -> None:
    assert suspects(judge(leg("x", "wan a b", usual(until=15), made(**told)))) == found


def test_own_answers_clear_for_their_own_drop_only() -> None:
    x = leg("x", "wan a", usual(until=15), down(first_own="wan"))
    z = leg("z", "wan c", usual(until=15), down())
    run = judge(x, z)
    assert suspects(run) == "a wan|c"
    assert only(run).carried == {"x": ("wan",)}
    assert run.verdict.convicted == ("a",)
    assert run.verdict.at_least_one_of == (("wan", "c"),), "wan is not cleared for z"


# Accused by an HTTP answer.

PUBLIC = "wan edge tunnel lb rule app"


def public(**told: Any) -> Observation:
    told = {"answered": True, "reason": "http_4xx", "first_own": "wan"} | told
    return leg("x", PUBLIC, usual(until=15), down(**told), ends_at="edge")


def test_whoever_made_an_answer_stays_suspect_up_to_the_first_that_was_crossed_through() -> None:
    # `edge` ends at the edge: it proves that it answers, not that it forwards.
    ends = leg("edge", "wan edge", well())
    inner = leg("inner", "lb rule app", well())
    run = judge(public(accused="edge"), ends, inner, segments=PUBLIC)
    assert suspects(run) == "edge|tunnel"
    assert run.verdict.at_least_one_of == (("edge", "tunnel"),)
    assert run.verdict.exonerated == ("wan", "lb", "rule", "app")


def test_without_an_accusation_a_leg_that_ends_there_clears_it() -> None:
    # A gateway's status says that what lies behind it did not answer: nobody is accused.
    ends = leg("edge", "wan edge", well())
    inner = leg("inner", "lb rule app", well())
    run = judge(public(reason="http_5xx"), ends, inner, segments=PUBLIC)
    assert run.verdict.convicted == ("tunnel",)


def test_the_accusation_ends_at_once_where_another_leg_crossed_through() -> None:
    ends = leg("edge", "wan edge", well())
    through = leg("other", "wan edge tunnel", well())
    inner = leg("inner", "lb rule app", well())
    run = judge(public(accused="edge"), ends, through, inner, segments=PUBLIC)
    # The edge forwarded; `other` ends at the tunnel, but nothing accuses it any more.
    assert only(run).verdict.status == "inconsistent"
    part = leg("inner", "lb rule", well())
    run = judge(public(accused="edge"), ends, through, part, segments=PUBLIC)
    assert suspects(run) == "app"


def test_a_later_mark_accuses_from_there_on() -> None:
    # The answer has the mark of the load balancer: everything before is cleared by it.
    told = public(accused="lb", first_own="wan edge tunnel")
    lb = leg("lb", "lb", well())
    app = leg("app", "app", well())
    assert suspects(judge(told, lb, app, segments=PUBLIC)) == "lb|rule|app"
    through = leg("app", "rule app", well())
    assert suspects(judge(told, lb, through, segments=PUBLIC)) == "lb"


def test_of_an_answer_from_nobody_knows_where_the_author_lies_behind_what_others_crossed() -> None:
    x = leg("x", PUBLIC, usual(until=15), down(accused="wan", answered=True, reason="http_4xx"))
    ends, inner = leg("edge", "wan edge", well()), leg("inner", "lb rule app", well())
    assert suspects(judge(x, ends, inner, segments=PUBLIC)) == "edge|tunnel"
    assert suspects(judge(x, ends, segments=PUBLIC)) == "edge|tunnel|lb|rule|app"
    # Another one crossed all of it, and ended at the same far end.
    whole = leg("other", PUBLIC, well())
    assert only(judge(x, ends, whole, segments=PUBLIC)).verdict.status == "inconsistent"
    alone = leg("x", "app", usual(until=15), down(accused="app", answered=True, reason="http_4xx"))
    assert suspects(judge(alone, leg("y", "app", well()))) == "app"


def test_the_second_looks_answer_accuses_as_well() -> None:
    told = public(reason="http_5xx", second_accused="edge", own="wan")
    ends = leg("edge", "wan edge", well())
    inner = leg("inner", "lb rule app", well())
    assert suspects(judge(told, ends, inner, segments=PUBLIC)) == "edge|tunnel"


def test_an_accused_segment_that_is_not_on_the_path_changes_nothing() -> None:
    x = leg("x", "wan a", usual(until=15), down(accused="far", answered=True))
    assert suspects(judge(x, y(well()))) == "a"


def test_a_leg_whose_evidence_was_withdrawn_is_not_named() -> None:
    ends = leg("edge", "edge", well())
    run = judge(public(accused="edge"), ends, segments=PUBLIC)
    assert only(run).cleared_by == {"x": "own answer"}


@pytest.mark.parametrize("at", ["first", "second"])
@pytest.mark.parametrize("reason", ["gate_open", "not_walled"])
def test_an_open_gate_or_wall_is_cleared_by_nobody(at: str, reason: str) -> None:
    """Legs that may pass ask nothing about strangers, and another path's rule is another rule."""
    told: dict[str, Any] = {"first": {"reason": reason, "accused": "gate"},
        "second": {"second_reason": reason, "second_accused": "gate"}}[at]  # fmt: skip
    told |= {"answered": True, "first_own": "wan", "own": "wan"}
    x = leg("x", "wan gate", usual(until=15), down(**told), ends_at="gate")
    app, senders = leg("app", "wan gate app", well()), leg("i", "wan gate store", well())
    run = judge(x, app, senders, segments="wan gate app store")
    assert run.verdict.labels() == {
        "gate": "convicted", "wan": "exonerated", "app": "exonerated", "store": "exonerated"
    }  # fmt: skip
    assert run.verdict.contradictions == ()
    assert (run.verdict.status, only(run).verdict.status) == ("localised", "localised")


def test_a_wall_is_known_by_its_name_wherever_it_stands() -> None:
    told: dict[str, Any] = {"reason": "not_walled", "answered": True, "first_own": "wan"}
    x = leg("x", "wan wall app", usual(until=15), down(**told, own="wan"), ends_at="wan")
    run = judge(x, leg("app", "wan wall app", well()), segments="wan wall app")
    assert run.verdict.convicted == ("wall",)


# Drops of the witness.


@pytest.mark.parametrize(
    ("fall", "found"),
    [
        (cut(15.1, 15.9), "wan|a"),
        (cut(15.2, 16.1), "a"),
        (blip(14.8, 17.0), "wan|a"),
        (blip(10.1, 14.5), "wan|a"),
        (cut(5, 13.9), "wan|a"),  # x may have been broken since 10 s
        (cut(5, 9.9), "a"),
        (down(10.1, 14.5, stalled=True), "a"),  # we stood still: it is none
    ],
)
def test_a_leg_clears_nothing_near_a_drop_of_its_own(fall: Drop, found: str) -> None:
    run = judge(X, y(well(), fall))
    mine = next(one for one in run.incidents for fault in one.faults if fault.leg == "x")
    at = [one.leg for one in mine.faults].index("x")
    assert "|".join(mine.suspect_sets[at]) == found


def test_a_failed_leg_never_clears_its_own_drop() -> None:
    x = leg("x", "wan a", usual(), both(CALLED), down())
    assert suspects(judge(x)) == "wan|a"


# Refusals, and firewalls.


def refused(name: str, path: str, host: str, own: str, ends_at: str) -> Observation:
    """A leg whose connects are refused at its host, which clears what lies before."""
    told = down(
        stage="connect",
        strand="fresh",
        reason="connect_refused",
        second_reason="connect_refused",
        answered=True,
        first_own=own,
        own=own,
        address=host,
        conn=None,
    )
    beats = (*usual(until=15), *fresh(14.99, CALLED, ok=False))
    return leg(name, path, beats, told, ends_at=ends_at, address=host)


ONE = refused("one", "wan a", "192.0.2.1:443", "wan", "a")
TWO = refused("two", "wan b", "192.0.2.2:443", "wan", "b")


def test_a_refusal_is_the_far_machines_own_answer() -> None:
    run = judge(ONE, y(well()), segments="wan a b")
    assert run.verdict.convicted == ("a",)
    alone = judge(ONE, segments="wan a")
    assert (alone.verdict.convicted, alone.verdict.exonerated) == (("a",), ("wan",))


def test_when_every_connect_was_refused_at_two_addresses_it_was_one_firewall() -> None:
    run = judge(ONE, TWO, segments="wan a b")
    assert suspects(run) == "wan|a wan|b"
    assert run.verdict.convicted == ()
    assert run.verdict.simplest == ("wan",)
    assert only(run).cleared_by == {}
    assert only(run).carried == {}


def test_at_one_address_it_was_one_machine() -> None:
    same = refused("two", "wan b", "192.0.2.1:8443", "wan", "b")
    assert judge(ONE, same, segments="wan a b").verdict.convicted == ("a", "b")


def test_one_leg_that_was_refused_at_all_of_its_addresses_met_a_firewall() -> None:
    """Both resolvers refuse, and so does what the way out is asked at: that was nobody's own."""
    (drop,) = ONE.drops
    assert drop.attempt is not None
    both = ("192.0.2.1:443", "198.51.100.1:443")
    attempt = msgspec.structs.replace(drop.attempt, refused_at=both)
    doh = msgspec.structs.replace(ONE, drops=(msgspec.structs.replace(drop, attempt=attempt),))
    egress = leg(
        "egress",
        "wan",
        fresh(0, 10, 20, 30),
        fresh(CALLED, refused=True),
        level="connect",
        address="192.0.2.1:9",
    )
    run = judge(doh, egress, segments="wan a")
    assert run.verdict.convicted == ()
    assert suspects(run) == "wan|a"
    through = leg("z", "wan c", well())
    assert judge(doh, egress, through, segments="wan a c").verdict.convicted == ("a",)


def test_one_connect_that_got_through_disproves_it() -> None:
    through = leg("z", "wan c", well())
    run = judge(ONE, TWO, through, segments="wan a b c")
    assert run.verdict.convicted == ("a", "b")
    assert run.verdict.exonerated == ("wan", "c")


def test_one_that_was_not_answered_disproves_it_as_well() -> None:
    silent = leg("z", "wan c", usual(until=15), down(stage="connect"), fresh(CALLED, ok=False))
    assert judge(ONE, TWO, silent, segments="wan a b c").verdict.convicted == ("a", "b")


def test_a_leg_that_connected_to_nobody_then_does_not_matter() -> None:
    # Upstreams and walls join one common beat a heartbeat at most.
    away = leg("z", "wan c", usual(), held(CALLED))
    run = judge(ONE, TWO, away, segments="wan a b c")
    assert run.verdict.simplest == ("wan",)
    assert run.verdict.convicted == ()


def test_nothing_that_these_legs_share_is_cleared() -> None:
    one = refused("one", "wan lan a", "192.0.2.1:443", "wan lan", "a")
    two = refused("two", "wan lan b", "192.0.2.2:443", "wan lan", "b")
    run = judge(one, two, segments="wan lan a b")
    assert suspects(run) == "wan|lan|a wan|lan|b"


def test_what_only_one_of_them_crosses_its_refusal_still_clears() -> None:
    one = refused("one", "wan near a", "192.0.2.1:443", "wan near", "a")
    run = judge(one, TWO, segments="wan near a b")
    assert suspects(run) == "wan|a wan|b"


def test_a_leg_that_asks_for_the_machine_only_is_no_witness_against_a_firewall() -> None:
    # Its refused connect is a good beat, and went to another address.
    machine = leg(
        "egress",
        "wan",
        fresh(0, 10, 20, 30),
        fresh(CALLED, refused=True),
        level="connect",
        address="198.51.100.53:53",
    )
    run = judge(ONE, machine, segments="wan a")
    assert suspects(run) == "wan|a"
    # To the same address it was the machine itself.
    same = leg(
        "m",
        "wan",
        fresh(0, 10, 20, 30),
        fresh(CALLED, refused=True),
        level="connect",
        address="192.0.2.1:9",
    )
    assert judge(ONE, same, segments="wan a").verdict.convicted == ("a",)


# In the held mode, and without drops.


def test_a_failure_without_drops_lasted_from_start_to_end_and_nobody_looked_again() -> None:
    wall = leg("wall", "wan a", outcome="failed", reason="walled_off", level="ask", started=1.0)
    run = judge(wall, y(well()), segments="wan a b")
    one = only(run)
    assert (one.began, one.noticed, one.symptom) == (1.0, 35.0, "down")
    assert suspects(run) == "wan|a"
    assert one.cleared_by == {"y": "beside"}


def test_a_failed_check_of_its_own_is_followed_by_one_common_beat() -> None:
    # Its second look is part of that beat.
    after = down(36.0, 37.0, second=0.2, strand="fresh", stage="ask", conn=None)
    check = leg("check", "wan a", fresh(36.0, ok=False), after, level="ask", after_hold=True)
    assert suspects(judge(check, y(usual()))) == "wan|a"
    assert suspects(judge(check, y(usual(), both(37.01)))) == "a"


def test_two_failed_beats_of_an_outage_that_goes_on_take_the_place_of_both_looks() -> None:
    going_on = Drop(
        began=0.0,
        noticed=50.0,
        asked=49.9,
        reason="io_error",
        symptom="down",
        stage="connect",
        strand="held",
        call=0,
        attempt=Attempt(started=60.0, ended=60.1, ok=False, stage="connect"),
    )
    x = leg("x", "wan a", fresh(49.9, 60.0, ok=False), going_on, ended=60.1)
    assert suspects(judge(x, y(usual(), fresh(49.95)))) == "wan|a"
    assert suspects(judge(x, y(usual(), fresh(55.0)))) == "a"


# What takes no part.


@pytest.mark.parametrize(
    "more", [{"outcome": "inconclusive", "reason": "leg_collapsed"}, {"planned": "until noon"}]
)
def test_who_takes_no_part_neither_clears_nor_accuses(more: Any) -> None:
    assert only(judge(X, y(well(), **more))).cleared_by == {}
    x = leg("x", "wan a", usual(until=15), down(), **more)
    assert judge(x, y(well())).incidents == ()


def test_a_stalled_drop_accuses_nobody() -> None:
    x = leg("x", "wan a", usual(), down(stalled=True))
    run = judge(x, segments="wan a")
    assert run.incidents == ()
    assert run.verdict.status == "clean"
    told_failed = leg("x", "wan a", down(stalled=True), outcome="failed")
    run = judge(told_failed, segments="wan a")
    assert run.incidents == ()
    assert (run.verdict.status, run.verdict.unobserved) == ("incomplete", ("wan", "a"))


def test_a_pass_clears_only_what_it_exercised() -> None:
    # Without a status to expect a 404 passes the rule, and clears nothing behind the edge.
    wall = leg("wall", "wan edge tunnel", fresh(0, 10, CALLED), level="ask", clears=("wan", "edge"))
    x = leg("x", "wan edge tunnel a", usual(until=15), down())
    assert suspects(judge(x, wall)) == "tunnel|a"


def test_bytes_that_were_lost_are_words_only() -> None:
    words = "3 segments unacknowledged, 5 retransmissions, nothing heard for 20 s: lost at a"
    x = leg("x", "wan a b", usual(until=15), down(evidence=words))
    plain = leg("x", "wan a b", usual(until=15), down())
    assert judge(x).to_dict() == judge(plain).to_dict()


@pytest.mark.parametrize(
    ("stage", "reason", "found"),
    [("ask", "rtt_timeout", "a"), ("connect", "connect_timeout", "wan|a")],
)
def test_bytes_that_were_acknowledged_before_a_silent_connect_clear_nobody(
    stage: Any, reason: str, found: str
) -> None:
    """A network fell silent between the acknowledgment and the answer; a proxy behind a network
    that works has a kernel that takes the second look's connect."""
    drop = down(first_own="wan", first_stage="ask", stage=stage, second=5.0, second_reason=reason)
    assert suspects(judge(leg("x", "wan a", usual(until=15), drop))) == found
