"""Rigs over time: the two truth tables, the cases of the facts, events, and what is written."""

from __future__ import annotations

import itertools
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rig_reports import SPIN07, jump_entry, recorded, relay_entry, report, rigs_of

from t3probe.config.experiments import most_unavailable
from t3probe.upstreams.experiments.condition import RigCondition, Sightings
from t3probe.upstreams.experiments.events import RigEvent, RigEvents, RigState
from t3probe.upstreams.experiments.manage import OURS, Reconciled, ours, reconciled
from t3probe.upstreams.experiments.rigs import Offered, Rig

ACTIVE, REPORTED, STARTUP = 10.0, 30.0, 60.0
WELL = RigState(healthy=True, jump=True)


class World:
    """Rigs, what is reported about them, and a book: one evaluation a second."""

    def __init__(
        self,
        *rigs: Rig,
        settle: float = 0.0,
        startup: float = STARTUP,
        remembered: dict[str, RigState] | None = None,
        most: int = 9,
    ) -> None:
        self.rigs = rigs or (SPIN07,)
        self.seen = Sightings(active=ACTIVE, reported=REPORTED)
        self.events = RigEvents(settle=settle, startup=startup, remembered=remembered)
        self.book = {one.name: Offered(True) for one in self.rigs}
        self.most = most
        self.planned: dict[str, str] = {}
        self.now = 0.0
        self.told: list[tuple[float, RigEvent]] = []
        self.evaluations_with_events = 0
        self.puts: list[tuple[float, str, bool]] = []
        self.last = Reconciled()

    def conditions(self) -> list[RigCondition]:
        return self.seen.all(self.rigs, self.now)

    def run(self, seconds: float, relay: object = None, jump: object = None) -> None:
        """Every 5 s a report of each service that has one; None: it reports nothing."""
        end = self.now + seconds
        step = 0
        while True:
            if relay is not None and step % 5 == 0:
                self.seen.take(report("relay", relay, self.now))
            if jump is not None and step % 5 == 0:
                self.seen.take(report("jump", jump, self.now))
            found = self.conditions()
            events = self.events.take(found, self.now, self.now)
            self.told += [(self.now, one) for one in events]
            self.evaluations_with_events += bool(events)
            self.last = reconciled(
                found, self.events, self.book, self.now, most=self.most, planned=self.planned
            )
            for put in self.last.writes:
                self.puts.append((self.now, put.rig, put.available))
                words = "" if put.available else f"unavailable because {put.reason}"
                self.book[put.rig] = Offered(put.available, words)
            if self.now >= end:
                return
            self.now += 1.0
            step += 1

    def recorded(self, seconds: float, name: str) -> None:
        self.run(seconds, recorded(name, "relay"), recorded(name, "jump"))


class Case(NamedTuple):
    before: str
    message: str
    healthy: bool
    available: bool
    event: bool
    put: bool | None
    after: float = 0.0
    """From when on it is so, since a stream counts as reported for so long."""


CASES = {
    1: Case("", "M1", True, True, False, None),
    2: Case("M1", "M1", True, True, False, None),
    3: Case("M1", "M2", False, True, True, None, REPORTED),
    4: Case("M1", "M3", False, False, True, False),
    5: Case("M1", "M4", False, False, True, False, REPORTED),
    6: Case("M1", "M5", False, False, True, False, REPORTED),
    7: Case("", "M4", False, False, True, False),
    8: Case("M1", "M6", False, True, True, None),
    9: Case("", "M7", False, False, True, False),
    10: Case("M2", "M8", False, False, True, False),
    11: Case("M8", "M1", True, True, True, True),
    12: Case("M1", "M9", True, True, False, None),
    13: Case("M1", "M10", True, True, False, None),
    14: Case("M1", "M11", False, False, True, False),
}


@pytest.mark.parametrize("number", CASES)
def test_the_cases(number: int) -> None:
    case, world = CASES[number], World()
    if case.before:
        world.recorded(STARTUP + 40, case.before)
        world.told.clear()
        world.puts.clear()
    else:
        case = case._replace(after=STARTUP)
    began = world.now
    world.recorded(case.after + 10, case.message)
    condition = world.conditions()[0]
    assert (condition.healthy, condition.available) == (case.healthy, case.available)
    assert [one.state.healthy for _, one in world.told] == [case.healthy] * case.event
    assert [put for _, _, put in world.puts] == ([] if case.put is None else [case.put])
    for at in [*(at for at, _ in world.told), *(at for at, *_ in world.puts)]:
        assert began + case.after <= at <= began + case.after + 6


def test_a_relay_that_does_not_say_when_a_stream_sent_lets_us_say_no_more_than_connected() -> None:
    """The twelfth case: available, and the condition says of what nobody knows whether it sends."""
    world = World()
    world.recorded(5, "M9")
    condition = world.conditions()[0]
    assert {one.state for one in condition.streams} == {"connected"}
    assert condition.unsaid == ("data", "video")
    assert condition.available is True


def test_the_fifteenth_case_is_written_again_as_long_as_book_says_otherwise() -> None:
    """Whoever writes backs off; what is to be written does not change meanwhile."""
    world = World()
    world.recorded(70, "M1")
    world.book["spin07"] = Offered(False, f"unavailable because {OURS} old")
    for _ in range(3):
        found = reconciled(world.conditions(), world.events, world.book, world.now, most=9)
        assert [one.available for one in found.writes] == [True]


# The truth tables: each stream in each state, the log-in channel in each.

STATES = ("active", "connected", "silent", "absent", "unknown")


def made(data: str, video: str, log: str, jump: bool | None) -> RigCondition:
    lasts = {"active": "1s", "silent": "45s", "connected": None}
    seen = Sightings(active=ACTIVE, reported=REPORTED)
    states = {"spin07-st-data": data, "spin07-st-video": video, "spin07-st-log": log}
    if "unknown" not in states.values():
        seen.take(
            report(
                "relay",
                [
                    {"topic": "stats", "scopes": ["read"]},
                    *(
                        relay_entry(topic, lasts[state])
                        for topic, state in states.items()
                        if state in lasts
                    ),
                ],
            )
        )
    if jump is not None:
        seen.take(report("jump", [jump_entry("spin07" if jump else "other")]))
    return seen.of(SPIN07, 0.0)


KNOWN = STATES[:4]


@pytest.mark.parametrize(
    ("data", "video", "log", "jump"), [*itertools.product(KNOWN, KNOWN, KNOWN, (True, False, None))]
)
def test_the_truth_tables(data: str, video: str, log: str, jump: bool | None) -> None:
    found = made(data, video, log, jump)
    good = ("active", "connected")
    available = data in good and video in good
    assert found.available is available
    well = available and log in (*good, "absent")  # one that book does not list is not missed
    assert found.healthy is (jump if well else False)
    assert bool(found.issues) is (found.healthy is False)


def test_without_a_fresh_report_nothing_is_known_and_nothing_changes() -> None:
    found = made("unknown", "active", "active", True)
    assert (found.available, found.healthy, found.issues) == (None, None, ())
    world = World()
    world.recorded(70, "M1")
    world.run(200)
    assert (world.told, world.puts) == ([], [])
    world.recorded(20, "M1")
    assert (world.told, world.puts) == ([], [])


def test_a_jump_server_that_is_not_heard_hides_no_stream() -> None:
    world = World()
    world.recorded(70, "M1")
    world.run(70, relay=recorded("M3", "relay"))
    [(at, rig, put)] = world.puts
    assert (rig, put) == ("spin07", False)
    assert 70 <= at <= 76


def test_an_entry_that_could_not_be_read_may_be_the_one_that_is_missed() -> None:
    world = World()
    world.run(70, [*recorded("M4", "relay"), 7], recorded("M1", "jump"))
    assert world.conditions()[0].available is None
    assert (world.told, world.puts) == ([], [])


# Events


def test_a_restart_is_no_event() -> None:
    for name, was in (
        ("M1", WELL),
        ("M2", RigState(False, False, ("missing jump",))),
    ):
        world = World(remembered={"spin07": was})
        world.recorded(100, name)
        assert world.told == []
        assert world.events.settled() == {"spin07": was}


def test_what_changed_while_nobody_watched_is_an_event() -> None:
    world = World(remembered={"spin07": RigState(False, False, ("missing jump",))})
    world.recorded(100, "M1")
    assert [one.state for _, one in world.told] == [WELL]


def test_a_changed_set_of_issues_is_an_event_though_it_stays_unhealthy() -> None:
    world = World()
    world.recorded(100, "M2")
    world.recorded(10, "M8")
    assert [one.state.issues for _, one in world.told] == [
        ("missing jump",),
        ("missing jump", "unhealthy spin07-st-video"),
    ]


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(1, 19), min_size=4, max_size=40))
def test_a_flap_that_is_shorter_than_settle_makes_no_event_and_no_write(lengths: list[int]) -> None:
    world = World(settle=20.0)
    world.recorded(100, "M1")
    for number, length in enumerate(lengths):
        world.recorded(length - 1, ("M3", "M1")[number % 2])
    world.recorded(40, "M1")
    assert (world.told, world.puts) == ([], [])


def test_a_thousand_flaps_make_one_message_a_settle_at_most() -> None:
    world = World(settle=20.0, startup=0.0)
    for number in range(1000):
        world.recorded(6, ("M3", "M1")[number % 2])
    assert world.evaluations_with_events <= world.now / 20.0


def test_an_event_keeps_what_was_when_it_was_made() -> None:
    world = World()
    world.recorded(100, "M1")
    world.recorded(10, "M3")
    world.recorded(10, "M1")
    first, second = world.events.events("spin07")
    assert first.streams == {"spin07-st-data": True, "spin07-st-video": False}
    assert second.streams == {"spin07-st-data": True, "spin07-st-video": True}


def test_events_are_kept_in_a_bounded_ring_and_rigs_that_are_gone_are_forgotten() -> None:
    world = World(startup=0.0)
    for number in range(250):
        world.recorded(1, ("M3", "M1")[number % 2])
    assert len(world.events.events("spin07")) == 100
    world.events.keep([])
    assert world.events.events("spin07") == ()
    assert world.events.settled() == {}


# What is written


def many(number: int) -> tuple[Rig, ...]:
    return rigs_of(
        {f"r{n:02}": {"topic_stub": f"spin{n:02}", "streams": ["st-data"]} for n in range(number)}
    )


def reports(rigs: tuple[Rig, ...], *silent: str) -> tuple[list[Any], list[Any]]:
    relay = [
        relay_entry(f"{one.name}-st-data", "45s" if one.name in silent else "1s") for one in rigs
    ]
    return relay, [jump_entry(one.name) for one in rigs]


def test_no_more_than_max_unavailable_are_taken_out() -> None:
    rigs = many(9)
    world = World(*rigs, most=most_unavailable("1/3", len(rigs)))
    world.run(100, *reports(rigs))
    world.run(10, *reports(rigs, *(one.name for one in rigs)))
    assert [rig for _, rig, _ in world.puts] == ["spin00", "spin01", "spin02"]
    assert world.last.held_back == tuple(f"spin0{n}" for n in range(3, 9))
    world.run(20, *reports(rigs))
    assert all(one.available for one in world.book.values())


def test_a_persons_maintenance_stays_and_counts() -> None:
    rigs = many(3)
    world = World(*rigs, most=1)
    world.book["spin00"] = Offered(False, "unavailable because we change the lamp")
    world.run(100, *reports(rigs))
    world.run(10, *reports(rigs, "spin01"))
    assert world.puts == []
    assert world.last.held_back == ("spin01",)


def test_nothing_is_written_in_startup_in_planned_downtime_and_before_settle() -> None:
    world = World(settle=20.0)
    world.recorded(STARTUP - 1, "M3")
    assert world.puts == []
    world.planned["spin07"] = "until tonight"
    world.recorded(60, "M3")
    assert world.puts == []
    world.planned.clear()
    world.recorded(0, "M3")
    assert [put for *_, put in world.puts] == [False]
    began = world.now
    world.recorded(60, "M1")
    assert began + 20 <= world.puts[-1][0] <= began + 27


def test_after_book_forgot_it_is_taken_out_again() -> None:
    world = World()
    world.recorded(100, "M3")
    assert [put for *_, put in world.puts] == [False]
    world.book["spin07"] = Offered(True)
    world.recorded(5, "M3")
    assert [put for *_, put in world.puts] == [False, False]


@pytest.mark.parametrize(
    ("reason", "is_ours"),
    [
        (f"{OURS} missing required x", True),
        (f"unavailable because {OURS} missing required x", True),
        (f"Unavailable because  {OURS} x", True),
        ("unavailable because the lamp is out", False),
        (f"we saw {OURS} and agreed", False),
        ("", False),
    ],
)
def test_whose_reason_it_is(reason: str, is_ours: bool) -> None:
    assert ours(reason) is is_ours
