"""A day of remote rigs, in made-up reports: what stays in memory, and how much people are told."""

from __future__ import annotations

import gc
import io
import random
from itertools import pairwise
from typing import Any

from t3probe.config.types import Deployment, Experiments
from t3probe.timing import FakeClock, RunClock
from t3probe.upstreams.experiments.rigs import Offered, Rig, RigList, RigStream
from t3probe.upstreams.experiments.wire import LastSent, ServiceReport
from t3probe.watch.log import Log
from t3probe.watch.rigs import RigServices, RigWatch

NAMES = [f"spin{number:02d}" for number in range(20)]


class Book:
    """Book, with every rig in it."""

    def __init__(self) -> None:
        self.offers = {f"r-{name}": Offered(True) for name in NAMES}
        self.writes = 0

    def rigs(self) -> RigList:
        return RigList(
            tuple(
                Rig(name, f"r-{name}", tuple(
                    RigStream(stream, f"{name}-st-{stream}") for stream in ("data", "video")
                ))
                for name in NAMES
            )
        )  # fmt: skip

    def offered(self, resource: str) -> Offered:
        return self.offers[resource]

    def write(self, resource: str, available: bool, reason: str) -> None:
        self.writes += 1
        self.offers[resource] = Offered(available, reason)


class Day:
    """A held mode whose services are made up, one report of each a second."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        run_clock = RunClock(self.clock)
        table = Experiments(
            relay="http://127.0.0.1/relay", jump="http://127.0.0.1/jump", book="http://127.0.0.1/book",
            manage=True,
        )  # fmt: skip
        self.book = Book()
        self.told: list[str] = []
        nobody: Any = None
        self.log = Log(self.clock.wall, io.StringIO())
        self.watch = RigWatch(
            Deployment(name="lab", file="x", segments=(), legs=(), experiments=table),
            table,
            RigServices(nobody, nobody, self.book),  # type: ignore[arg-type]
            clock=run_clock,
            log=self.log,
        )
        self.watch.tell = lambda subject, text: self.told.append(subject)

    async def second(self, silent: set[str]) -> None:
        at = self.watch._clock.now()
        topics = {
            f"{name}-st-{stream}": LastSent(60.0 if name in silent else 0.1)
            for name in NAMES
            for stream in ("data", "video")
        }
        self.watch._heard(ServiceReport("relay", at, topics, len(topics) + 1))
        jumps = dict.fromkeys(NAMES, LastSent(unsaid=True))
        self.watch._heard(ServiceReport("jump", at, jumps, len(jumps) + 1))
        self.watch.evaluate()
        await self.watch._reconcile()
        self.clock.advance(1.0)


async def test_a_thousand_flaps_are_no_message() -> None:
    day = Day()
    await day.watch._read_book()
    for number in range(2000):  # silent for five seconds, well for five
        await day.second({"spin03"} if number % 10 < 5 else set())
    assert day.told == []
    assert day.book.writes == 0


async def test_what_nobody_looked_at_does_not_last() -> None:
    """The prober stood still behind a flap: the rig is neither told nor taken out for it."""
    day = Day()
    await day.watch._read_book()
    for _ in range(100):
        await day.second(set())
    await day.second({"spin03"})
    day.clock.advance(25.0)  # longer than `settle`
    await day.watch._reconcile()
    await day.second({"spin03"})
    assert (day.told, day.book.writes) == ([], 0)
    for _ in range(30):
        await day.second(set())
    assert (day.told, day.book.writes) == ([], 0)
    for _ in range(30):
        await day.second({"spin03"})
    assert (len(day.told), day.book.writes) == (1, 1)


async def test_messages_are_at_least_settle_apart_whoever_changes() -> None:
    day, random_ = Day(), random.Random(7)
    await day.watch._read_book()
    at: list[float] = []
    day.watch.tell = lambda subject, text: at.append(day.clock.monotonic())
    silent: set[str] = set()
    for _ in range(3000):
        if random_.random() < 0.05:
            silent ^= {random_.choice(NAMES)}
        await day.second(set(silent))
        assert sum(not one.available for one in day.book.offers.values()) <= len(NAMES) // 3
    settle = float(day.watch.table.settle)
    assert len(at) > 20
    assert all(after - before >= settle for before, after in pairwise(at))


async def test_a_day_leaves_nothing_behind() -> None:
    day, random_ = Day(), random.Random(3)
    await day.watch._read_book()
    silent: set[str] = set()
    objects = []
    for number in range(6000):
        if number % 40 == 0:
            silent ^= {random_.choice(NAMES)}
        await day.second(set(silent))
        if number % 1500 == 1499:
            gc.collect()
            objects.append(len(gc.get_objects()))
    # Events are kept up to a bound for each rig, and these are not full yet.
    events = sum(len(day.watch.events.events(name)) for name in NAMES)
    assert objects[-1] - objects[1] < 12 * events + 500
