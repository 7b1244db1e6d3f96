"""Who clears what of a cut: like is compared with like.

`x` over `wan a` is cut at 15 s; `y` over `wan b` is the leg that does or does not clear `wan`.
"""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from verdict_script import (
    CALLED,
    both,
    cut,
    fresh,
    held,
    judge,
    leg,
    only,
    opening,
    suspects,
    usual,
    well,
)

from t3probe.observation import Beat, Observation

X = leg("x", "wan a", usual(until=15), cut(), opening(15.02, 1), both(20, 30, conn=1))


def y(*facts: Any, **more: Any) -> Observation:
    return leg("y", "wan b", *facts, **more)


def test_a_leg_that_held_through_clears_a_cut() -> None:
    run = judge(X, y(well()), segments="wan a b")
    one = only(run)
    assert (one.symptom, one.failed, one.cleared_by) == ("cut", ("x",), {"y": "held through"})
    assert (one.began, one.noticed, one.recovered) == (10.1, 15.0, 15.2)
    assert run.verdict == one.verdict
    assert run.verdict.labels() == {"a": "convicted", "wan": "exonerated", "b": "exonerated"}
    assert run.verdict.status == "localised"
    assert run.verdict.simplest == ("a",)


NOT_HELD: dict[str, tuple[Any, ...]] = {
    "good fresh beats only": (*fresh(0, 10, CALLED, 20, 30),),
    "a connection closed politely and reopened": (
        *opening(0), *held(10), *opening(14, 1), *held(CALLED, 20, 30, conn=1)),
    "a connection opened after the onset": (*opening(12), *held(CALLED, 20, 30)),
    "good beats before only": (*opening(0), *held(10)),
    "good beats after only": (*fresh(0, 10), *opening(CALLED), *held(20, 30)),
    "a beat that failed between": (*opening(0), *held(10), *held(13, ok=False), *held(20, 30)),
    "a connection that a kernel reset, which was answer enough": (
        *opening(0), *held(10), *held(CALLED, refused=True), *opening(20, 1), *held(30, conn=1)),
    "one whose end was answer enough, and beats after it": (
        *opening(0), *held(10), *held(13, refused=True), *held(20, 30)),
    "the answer from before came after the last good one of the cut leg":
        (*opening(9.95, took=0.3), *held(20, 30)),
    "a last beat sent before the cut was noticed": (*opening(0), *held(10, 14.99)),
}  # fmt: skip


@pytest.mark.parametrize("name", NOT_HELD)
def test_nothing_else_clears_a_cut(name: str) -> None:
    run = judge(X, y(NOT_HELD[name]), segments="wan a b")
    assert suspects(run) == "wan|a"
    assert run.verdict.at_least_one_of == (("wan", "a"),)
    # It passed, and no failed leg crosses b.
    assert only(run).cleared_by == {"y": "beside"}
    assert run.verdict.exonerated == ("b",)


def test_the_edges_of_held_through() -> None:
    # Answered when the last good beat was sent, and sent when the cut was noticed.
    beats = (*opening(9.9), *held(15.0))
    x = leg("x", "wan a", usual(until=15), cut(connection_age_seconds=5.0))
    assert suspects(judge(x, y(beats))) == "a"


def test_a_beat_that_told_nothing_between_does_not_matter() -> None:
    told_nothing = held(13, ok=False, conclusive=False)
    assert suspects(judge(X, y(opening(0), held(10), told_nothing, held(CALLED, 20)))) == "a"


def test_held_through_an_interval_of_ones_own() -> None:
    evidence = judge(X, y(usual()), leg("z", "c", fresh(0, 10, 20, 30))).evidence
    assert evidence.held_through(0.1, 30.0) == {"y": ("wan", "b")}
    assert evidence.held_through(0.0, 30.0) == {}
    assert evidence.held_through(0.1, 30.1) == {}
    # The new connection of the leg that was cut, but for what is too near its own drop.
    assert set(evidence.held_through(20.1, 29.0)) == {"x", "y"}
    assert set(evidence.held_through(15.2, 15.9)) == {"y"}


def test_an_interval_of_ones_own_and_several_machines() -> None:
    evidence = judge(X, y(usual()), spread="wan").evidence
    assert evidence.held_through(0.1, 30.0) == {"y": ("b",)}


def test_a_leg_that_holds_nothing_never_held_through() -> None:
    beats = (*opening(0), *held(10, CALLED, 20, 30))
    assert suspects(judge(X, y(beats, level="ask"))) == "wan|a"


def test_the_onset_may_lie_before_the_last_answer() -> None:
    # x's last answer was on its way for 4 s; the connection of y is from meanwhile.
    slow = (Beat(sent=10, ended=14, ok=True, conn=0, strand="held"),)
    x = leg("x", "wan a", opening(0), slow, cut(14))
    assert suspects(judge(x, y(opening(12), held(15.1, 30), opened=0))) == "wan|a"
    assert suspects(judge(x, y(opening(9), held(15.1, 30), opened=0))) == "a"


# At least as old, or an hour.


@pytest.mark.parametrize(("opened", "found"), [(0.0, "a"), (0.005, "a"), (0.02, "wan|a")])
def test_the_connection_must_be_at_least_as_old_as_the_one_that_died(
    opened: float, found: str
) -> None:
    # It died at the age of 15 s; that of y has its last beat at 15.01 s.
    assert suspects(judge(X, y(held(5, 10, CALLED), opened=opened))) == found


def test_a_younger_one_that_grows_as_old_clears() -> None:
    assert suspects(judge(X, y(opening(5), held(10, CALLED)))) == "wan|a"
    assert suspects(judge(X, y(opening(5), held(10, CALLED, 19.5)))) == "wan|a"
    assert suspects(judge(X, y(opening(5), held(10, CALLED, 20)))) == "a"  # 15 s, as old as that


def test_one_that_no_longer_answered_was_dead_when_it_was_asked() -> None:
    silent = cut(10.1, 30.0, reason="rtt_timeout", asked=10.2, connection_age_seconds=30.0)
    x = leg("x", "wan a", opening(0), held(10), silent)
    younger = y(opening(9), held(10, 30.01))
    assert suspects(judge(x, younger)) == "a"
    reset = leg("x", "wan a", opening(0), held(10), cut(10.1, 30.0, connection_age_seconds=30.0))
    assert suspects(judge(reset, younger)) == "wan|a"


def test_an_hour_is_old_enough() -> None:
    x = leg("x", "wan a", held(0, 10), cut(connection_age_seconds=90_000))
    assert suspects(judge(x, y(held(0, 10, CALLED), opened=-3590))) == "a"
    assert suspects(judge(x, y(held(0, 10, CALLED), opened=-3500))) == "wan|a"


@pytest.mark.parametrize(("age", "found"), [(90_000, "wan|a"), (83_000, "wan|a"), (50_000, "a")])
def test_unless_the_last_two_cuts_came_at_about_the_same_age(age: float, found: str) -> None:
    before = cut(1.0, 2.0, connection_age_seconds=age)
    x = leg("x", "wan a", held(0), before, held(10), cut(connection_age_seconds=90_000))
    young = y(held(0, 9, CALLED), opened=-3700)
    run = judge(x, young)
    assert [one.suspect_sets for one in run.incidents][1] == [tuple(found.split("|"))]


def test_the_order_in_which_drops_are_written_does_not_matter() -> None:
    before = cut(1.0, 2.0, connection_age_seconds=90_000)
    x = leg("x", "wan a", cut(connection_age_seconds=90_000), before, held(0, 10))
    young = y(held(0, 9, CALLED), opened=-3700)
    assert [one.suspect_sets for one in judge(x, young).incidents][1] == [("wan", "a")]


# The same remote address.


@pytest.mark.parametrize(
    ("address", "found"),
    [
        ("192.0.2.1:443", "c"),
        ("192.0.2.1:8443", "c"),  # another port of the same machine
        ("[::ffff:192.0.2.1]:443", "c"),  # the same address, mapped
        ("192.0.2.2:443", "wan|a|c"),
        ("", "wan|a|c"),  # nobody knows
    ],
)
def test_another_machine_clears_only_what_lies_behind_the_end_of_tcp(
    address: str, found: str
) -> None:
    # b lies behind the machine at which the TCP connection of x ends.
    x = leg("x", "wan a b c", usual(until=15), cut(), ends_at="a")
    w = leg("w", "wan a b", well(), address=address)
    assert suspects(judge(x, w)) == found


def test_without_an_end_of_tcp_the_whole_path_needs_the_same_address() -> None:
    x = leg("x", "wan a b c", usual(until=15), cut())
    assert suspects(judge(x, leg("w", "wan a b", well(), address="192.0.2.2:1"))) == "wan|a|b|c"
    assert suspects(judge(x, leg("w", "wan a b", well()))) == "c"


def test_the_address_is_that_of_the_connection_that_held() -> None:
    # Since then the leg has another one; and one that nobody wrote down was the leg's.
    moved = msgspec.structs.replace(y(well()), address="192.0.2.2:443")
    assert suspects(judge(X, moved)) == "a"
    assert suspects(judge(X, msgspec.structs.replace(moved, connections=()))) == "wan|a"
    assert suspects(judge(X, msgspec.structs.replace(y(well()), connections=()))) == "a"


def test_two_unknown_addresses_are_not_the_same() -> None:
    x = leg("x", "wan a", usual(until=15), cut(remote_address=""))
    assert suspects(judge(x, y(well(), address=""))) == "wan|a"


def test_the_end_of_tcp_is_that_of_the_leg_that_dropped() -> None:
    # x ends at wan; y, which ends at a and went to another machine there, held through.
    x = leg("x", "wan a b", usual(until=15), cut(), ends_at="wan")
    other = leg("y", "a c", well(), ends_at="a", address="198.51.100.7:443")
    assert suspects(judge(x, other)) == "wan|b"


# Own answers, and drops of the witness.


def test_own_answers_clear_what_lies_before() -> None:
    x = leg("x", "wan a", usual(until=15), cut(own="wan"))
    one = only(judge(x))
    assert one.carried == {"x": ("wan",)}
    assert one.cleared_by == {"x": "own answer"}
    assert one.verdict.convicted == ("a",)


def test_a_second_look_that_worked_proves_nothing_about_the_drop() -> None:
    from t3probe.observation import Attempt

    worked = Attempt(started=15.02, ended=15.2, ok=True, carried=("wan",), accused="wan")
    x = leg("x", "wan a", usual(until=15), cut(attempt=worked))
    assert suspects(judge(x, y(usual()))) == "a"
    assert suspects(judge(x)) == "wan|a"


@pytest.mark.parametrize(
    ("fall", "found"),
    [
        (cut(15.3, 16.0), "wan|a"),  # within a second after
        (cut(15.3, 16.1), "a"),
        (cut(14.8, 17.0), "wan|a"),  # overlaps
        (cut(0.2, 13.9), "wan|a"),  # overlaps, noticed more than a second before
        (cut(9.0, 9.9), "a"),
    ],
)
def test_a_leg_clears_nothing_of_a_drop_near_one_of_its_own(fall: Any, found: str) -> None:
    # Its connection outlived both, so nothing but its own drop can speak against it.
    run = judge(X, y(well(), fall))
    mine = next(one for one in run.incidents for fault in one.faults if fault.leg == "x")
    sets = dict(zip((one.leg for one in mine.faults), mine.suspect_sets, strict=True))
    assert "|".join(sets["x"]) == found


def test_a_long_drop_of_its_own_is_seen_behind_a_short_one() -> None:
    # Its held beat is silent from 10 s to 30 s; a fresh one failed at 25 s, after x was cut.
    falls = (cut(10.1, 30.0), cut(24.0, 25.0))
    run = judge(X, y(well(), *falls))
    mine = next(one for one in run.incidents for fault in one.faults if fault.leg == "x")
    at = [one.leg for one in mine.faults].index("x")
    assert mine.suspect_sets[at] == ("wan", "a")


# Spread, and unknown.


def test_a_connection_that_held_through_clears_no_spread_segment() -> None:
    # It may have gone over the other machine; the leg's own answers came over this one.
    assert suspects(judge(X, y(well()), spread="wan")) == "wan|a"
    x = leg("x", "wan a", usual(until=15), cut(own="wan"))
    assert suspects(judge(x, y(well()), spread="wan")) == "a"


def test_it_clears_nothing_of_what_is_unknown() -> None:
    from verdict_script import unknown

    x = leg("x", "wan a", usual(until=15), unknown())
    run = judge(x, y(well()), segments="wan a b")
    assert only(run).symptom == "unknown"
    assert suspects(run) == "wan|a"
    assert only(run).cleared_by == {"y": "beside"}


@pytest.mark.parametrize(
    ("kind", "reason", "clears"),
    [
        ("http", "http_5xx", False),
        ("http", "resolver_failed", False),
        ("http", "rtt_timeout", False),
        ("ws_echo", "rtt_timeout", True),
        ("http", "connection_reset", True),
    ],
)
def test_what_failed_as_a_request_is_cleared_only_by_a_leg_that_asks(
    kind: str, reason: Any, clears: bool
) -> None:
    """A 502 on a kept-alive connection ends nobody's open WebSocket."""
    facts = usual(until=15), cut(reason=reason), opening(15.02, 1), both(20, 30, conn=1)
    x = leg("x", "wan a", *facts, kind=kind)
    beside = only(judge(x, y(well(), kind="ws_echo"), segments="wan a b")).cleared_by
    assert beside == {"y": "held through" if clears else "beside"}
    asking = only(judge(x, y(well(), kind="http"), segments="wan a b")).cleared_by
    assert asking == {"y": "held through"}
