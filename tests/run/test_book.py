"""What a leg's book makes of beats, drops and attempts; no network and no loop."""

from __future__ import annotations

from typing import Any

import pytest

from t3probe.config.types import Leg, Timing
from t3probe.observation import AddressTry, Attempt, Observation, Strand, TcpSample
from t3probe.probes.facts import Echo, Facts, ProbeError
from t3probe.run.book import Book, continued
from t3probe.run.footing import Footing
from t3probe.timing import FakeClock, RunClock

LEG = Leg(name="leg", kind="ws_echo", path=("a", "b", "c"), tcp_ends_at="b")


def book(leg: Leg = LEG, started: float = 0.0) -> Book:
    return Book(leg, started, Footing(RunClock(FakeClock()), Timing()))


def error(reason: Any = "rtt_timeout", stage: Any = "ask", **more: Any) -> ProbeError:
    return ProbeError(reason, stage, f"it was {reason}", **more)


def good(
    one: Book, at: float, conn: int = 0, tcp: TcpSample | None = None, strand: Strand = "held"
) -> None:
    one.good(Echo(sent=at, ended=at + 0.1), conn, 0, tcp, strand)


def drop(one: Book, at: float, failed: ProbeError | None = None, **more: Any) -> None:
    given: dict[str, Any] = {
        "began": at, "sent": at, "noticed": at + 1, "call": 1, "strand": "held",
        "conn": 0, "age": at, "facts": Facts(), "tcp": None, **more,
    }  # fmt: skip
    one.drop(failed or error(), **given)


# -- outages ------------------------------------------------------------------------------------


def test_a_leg_is_down_from_its_drop_to_its_recovery() -> None:
    one = book()
    assert not one.down
    good(one, 0.0)
    one.recover(0.5)
    assert not one.down
    drop(one, 1.0)
    assert one.down
    one.recover(5.0)
    one.recover(6.0)  # nothing to recover from
    assert not one.down
    assert [(one.began, one.noticed, one.recovered) for one in one.drops] == [(1.0, 2.0, 5.0)]
    assert one.quiet_since(9.0) == 7.0
    assert book().quiet_since(9.0) == 9.0


def test_the_age_of_a_connection_is_kept_to_the_microsecond() -> None:
    one = book()
    drop(one, 1.0, age=1.23456789)
    drop(one, 2.0, age=None)
    assert [found.connection_age_seconds for found in one.drops] == [1.234568, None]


def test_only_the_newest_drop_is_amended() -> None:
    one = book()
    drop(one, 1.0)
    one.recover(2.5)
    drop(one, 5.0)
    one.amend(symptom="cut", recovered=6.5)
    first, second = one.drops
    assert (first.symptom, first.recovered) == ("unknown", 2.5)
    assert (second.symptom, second.recovered) == ("cut", 6.5)


def test_a_drop_never_begins_after_it_was_noticed() -> None:
    one = book()
    drop(one, 1.0, began=9.0)
    assert (one.drops[0].began, one.drops[0].noticed) == (2.0, 2.0)


@pytest.mark.parametrize("held", [False, True])
def test_a_second_look_that_failed_leaves_what_the_first_failure_said(held: bool) -> None:
    """While a connection is held, nobody knows yet whether it is down or refusing."""
    one = book()
    good(one, 0.0)
    drop(one, 1.0, error("http_5xx", answered=True), strand="fresh")
    assert one.undecided
    attempt = Attempt(started=3.0, ended=4.0, ok=False, reason="connect_timeout", stage="connect")
    one.looked_again(attempt, error("connect_timeout", "connect"), held)
    (found,) = one.drops
    assert (found.symptom, found.attempt) == ("unknown" if held else "down", attempt)
    assert (found.reason, found.answered, found.carried) == ("http_5xx", True, ("a",))
    assert (one.undecided, one.down) == (False, True)
    one.turns_out("refusing")
    one.turns_out("cut")  # it is known by now
    assert one.drops[0].symptom == ("refusing" if held else "down")


def test_a_second_look_that_the_deadline_cut_late_counts_as_failed() -> None:
    for held, symptom in ((False, "down"), (True, "unknown")):
        one = book()
        drop(one, 1.0)
        one.cut_second_look(3.0, 8.0, held)
        (found,) = one.drops
        assert found.symptom == symptom
        assert found.attempt is not None
        assert (found.attempt.started, found.attempt.ended, found.attempt.ok) == (3.0, 8.0, False)


def test_the_connection_that_dies_in_an_outage_gives_it_its_reason_and_age() -> None:
    one = book()
    good(one, 0.0)
    drop(one, 1.0, error("connect_refused", "connect"), strand="fresh", conn=None, age=None)
    one.amend(symptom="refusing")
    facts = Facts(local_address="l", remote_address="r", family="ipv4")
    died = error("connection_reset", "hold")
    one.held_failed_too(died, conn=7, age=30.12345678, facts=facts, tcp=None)
    (found,) = one.drops
    assert (found.strand, found.reason, found.stage) == ("held", "connection_reset", "hold")
    assert (found.conn, found.connection_age_seconds) == (7, 30.123457)
    assert (found.local_address, found.remote_address) == ("l", "r")
    assert found.symptom == "down"
    # When it began, what failed first, and what that proved stay as they are.
    assert (found.began, found.noticed, found.answered, found.carried) == (1.0, 2.0, True, ("a",))
    one.held_failed_too(error("io_error"), conn=8, age=1.0, facts=facts, tcp=None)
    assert one.drops[0] == found  # another one was opened meanwhile, and died


def test_the_kernels_numbers_of_the_connection_that_died_second() -> None:
    mine, others = (
        TcpSample(state=1, rtt_seconds=0.001, unacked=3),
        TcpSample(state=1, rtt_seconds=0.001, unacked=7),
    )
    for first, errors, given, kept in (
        (None, None, mine, mine),
        (None, others, mine, others),  # at the moment when it failed, not later
        (others, None, mine, others),  # what failed first said more already
    ):
        one = book()
        drop(one, 1.0, strand="fresh", conn=None, age=None)
        one.amend(tcp=first)
        died = error("connection_reset", "hold")
        died.tcp = errors
        one.held_failed_too(died, conn=7, age=1.0, facts=Facts(), tcp=given)
        assert one.drops[0].tcp == kept


@pytest.mark.parametrize("symptom", ["unknown", "down"])
def test_a_connection_that_dies_changes_no_other_symptom(symptom: Any) -> None:
    one = book()
    drop(one, 1.0, strand="fresh")
    one.amend(symptom=symptom)
    one.held_failed_too(error(), conn=0, age=1.0, facts=Facts(), tcp=None)
    assert one.drops[0].symptom == symptom


def test_how_long_a_leg_has_been_well() -> None:
    one = book()
    assert one.well_for(5.0) == float("inf")
    drop(one, 1.0)
    assert one.well_for(5.0) == 0.0
    one.recover(4.0)
    assert one.well_for(5.0) == 1.0


# -- beats --------------------------------------------------------------------------------------


def test_a_good_beat_ends_the_doubt_of_its_strand() -> None:
    one = book()
    one.collapsed, one.broken = "elsewhere", "a bug"
    one.bad(0.0, 0.1, 0, error(conclusive=False), 0, "held")
    one.bad(0.0, 0.1, 1, error("http_4xx", conclusive=False), 0, "fresh")
    assert one.doubts == {
        "held": ("rtt_timeout", "it was rtt_timeout"),
        "fresh": ("http_4xx", "it was http_4xx"),
    }
    good(one, 1.0)
    assert list(one.doubts) == ["fresh"]
    assert (one.collapsed, one.broken) == ("", "")
    assert one.last_good == {"held": 1.1, "fresh": None}
    good(one, 1.5, 2, strand="fresh")
    assert one.doubts == {}
    assert one.last_good == {"held": 1.1, "fresh": 1.6}
    one.bad(2.0, 2.1, 0, error(), 0, "held")
    assert one.doubts == {}
    assert [(beat.ok, beat.conclusive, beat.strand) for beat in one.beats] == [
        (False, False, "held"),
        (False, False, "fresh"),
        (True, True, "held"),
        (True, True, "fresh"),
        (False, True, "held"),
    ]


def test_a_fresh_beat_began_when_it_was_dialled_and_its_round_trip_is_the_exchange() -> None:
    one = book()
    one.good(Echo(sent=1.5, ended=1.75), 0, 0, None, "fresh", began=1.0)
    (beat,) = one.beats
    assert (beat.sent, beat.ended, beat.rtt_seconds) == (1.0, 1.75, 0.25)
    one.good(Echo(sent=2.5, ended=2.75, measured_seconds=0.125), 1, 0, None, "fresh", began=2.0)
    assert one.beats[1].rtt_seconds == 0.125


def test_a_beat_that_was_cut_short_is_no_sign_of_life() -> None:
    one = book()
    one.cut_short(1.0, 9.0, 3, 2, "fresh")
    (beat,) = one.beats
    assert (beat.ok, beat.conclusive, beat.sent, beat.ended, beat.conn, beat.call, beat.strand) == (
        False, False, 1.0, 9.0, 3, 2, "fresh",
    )  # fmt: skip
    assert one.observation("").ended == 0.0  # the leg's time ends at its last judged beat
    assert one.observation("").outcome == "inconclusive"


def test_a_drop_is_more_than_a_leg_that_took_another_way() -> None:
    one = book()
    one.collapsed, one.broken = "elsewhere", "a bug"
    drop(one, 1.0)
    assert (one.collapsed, one.broken) == ("", "")
    assert one.observation("").outcome == "failed"


SAMPLE = TcpSample(state=1, rtt_seconds=0.001, bytes_acked=100)


def test_the_numbers_of_a_drop_are_the_probes_else_the_lines() -> None:
    one = book()
    drop(one, 1.0, tcp=SAMPLE)
    assert one.drops[0].tcp is SAMPLE
    own = TcpSample(state=1, rtt_seconds=0.002)
    failed = error()
    failed.tcp = own
    drop(one, 2.0, failed, tcp=SAMPLE)
    assert one.drops[1].tcp is own


def test_the_numbers_before_are_those_of_the_same_connection() -> None:
    one = book()
    assert one.before(0) is None
    good(one, 0.0, 0, SAMPLE)
    one.bad(1.0, 1.1, 1, error(), 0, "held")
    assert one.before(0) is SAMPLE
    assert one.before(1) is None
    assert one.before(None) is None
    good(one, 2.0, 1)
    assert (one.before(0), one.before(1)) == (SAMPLE, None)
    good(one, 3.0, 0)
    assert one.before(0) is None  # the last one on it, and that has none


# -- the observation ----------------------------------------------------------------------------


def test_what_is_learned_on_the_way() -> None:
    one = book()
    one.learn(Facts(cf_ray="a-FRA", colo="FRA", cert_not_after=5.0))
    one.learn(Facts())
    assert (one.facts.cf_ray, one.facts.colo, one.cert_not_after) == ("a-FRA", "FRA", 5.0)
    one.learn(Facts(cf_ray="b", cert_not_after=6.0))
    seen = one.observation("")
    assert (seen.cf_ray, seen.colo, seen.cert_not_after) == ("b", "", 6.0)


def test_the_note_comes_before_what_the_line_says() -> None:
    one = book()
    one.facts.evidence = ["line"]
    assert one.observation("").evidence == ("line",)
    one.note = "note"
    assert one.observation("").evidence == ("note", "line")


def test_a_leg_is_seen_from_its_start_to_its_last_judged_beat() -> None:
    one = book(started=10.0)
    good(one, 11.0)
    drop(one, 12.0)
    one.cut_short(13.0, 30.0, 0, 0, "held")
    seen = one.observation("planned")
    assert (seen.started, seen.ended, seen.observed_seconds) == (10.0, 13.0, 3.0)
    assert (seen.planned, seen.connected) == ("planned", False)
    good(one, 20.0)
    assert one.observation("").ended == 20.1


@pytest.mark.parametrize(
    ("kind", "level"),
    [("tcp", "connect"), ("walled", "ask"), ("walloff", "ask"), ("http", "hold"),
     ("ws_echo", "hold"), ("doh", "hold")],
)  # fmt: skip
def test_how_much_a_leg_exercises(kind: Any, level: str) -> None:
    assert book(Leg(name="x", kind=kind, path=("a",))).observation("").level == level


@pytest.mark.parametrize(
    ("leg", "labels"),
    [
        (Leg(name="w", kind="walloff", path=("a",), url="https://h.example/p?q=1"),
         {"path": "/p", "expected": "public"}),
        (Leg(name="w", kind="walled", path=("a",), url="https://h.example"),
         {"path": "/", "expected": "walled"}),
        (Leg(name="envoy-db", kind="tcp", path=("a",), upstream=True, route="r", listen_port=80,
             backend="be"),
         {"route": "r", "listen_port": "80", "backend": "be"}),
        (Leg(name="envoy-db", kind="tcp", path=("a",), upstream=True),
         {"route": "", "listen_port": "", "backend": "db"}),
        (LEG, {}),
    ],
)  # fmt: skip
def test_labels_come_from_the_file(leg: Leg, labels: dict[str, str]) -> None:
    assert book(leg).observation("").labels == labels


def test_where_a_probe_broke_is_said() -> None:
    one = book()
    try:
        raise ZeroDivisionError
    except ZeroDivisionError as wrong:
        one.broke(wrong)
    assert one.broken.startswith("the probe itself broke: ZeroDivisionError at test_book.py:")
    one.broke(KeyError("secret"))
    assert one.broken == "the probe itself broke: KeyError"


# -- a later look of the same run ----------------------------------------------------------------


def seen(outcome: Any, started: float, conn: int = 0, **more: Any) -> Observation:
    from t3probe.observation import Beat

    values: dict[str, Any] = {
        "leg": "x", "kind": "http", "path": ("a",), "outcome": outcome, "started": started,
        "ended": started + 1, "observed_seconds": 1.0, "detail": f"{outcome} at {started:g}",
        "beats": (Beat(sent=started, ended=started + 1, ok=outcome == "passed", conn=conn),),
        **more,
    }  # fmt: skip
    return Observation(**values)


@pytest.mark.parametrize(
    ("first", "second", "told"),
    [
        ("passed", "passed", "passed at 0"),
        ("passed", "failed", "failed at 5"),
        ("failed", "failed", "failed at 0"),
        ("failed", "passed", "failed at 0"),
        ("inconclusive", "failed", "failed at 5"),
        ("degraded", "passed", "degraded at 0"),
    ],
)
def test_the_first_look_tells_unless_only_the_second_failed(
    first: str, second: str, told: str
) -> None:
    assert continued(seen(first, 0.0), seen(second, 5.0)).detail == told


def test_two_looks_are_one_observation() -> None:
    try_ = AddressTry(address="1", ok=True)
    one = continued(
        seen("passed", 0.0, 2, connected=True, phases={"tls": 1.0}),
        seen("failed", 5.0, 0, connected=False, phases={"tls": 9.0}, addresses=(try_,)),
    )
    assert (one.started, one.ended, one.observed_seconds) == (0.0, 6.0, 2.0)
    assert [beat.conn for beat in one.beats] == [2, 3]
    assert (one.connected, one.phases, one.addresses) == (False, {"tls": 1.0}, (try_,))
    kept = continued(seen("passed", 0.0, connected=True), seen("inconclusive", 5.0))
    assert kept.connected is True
    assert kept.addresses == ()
    none = continued(seen("passed", 0.0, beats=()), seen("passed", 5.0))
    assert [beat.conn for beat in none.beats] == [1]
