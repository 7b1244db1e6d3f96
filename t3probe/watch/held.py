"""The engine without an end: legs that come, stay for months, and go."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from t3probe.config import planned
from t3probe.config.types import Deployment, Leg
from t3probe.probes import ONE_SHOT
from t3probe.probes.marks import Marks
from t3probe.probes.tls import TlsStore
from t3probe.run.engine import Engine, internal_addresses, left_loopback
from t3probe.run.footing import Footing
from t3probe.run.leg import LegRun
from t3probe.timing import RunClock
from t3probe.watch.counts import Blips, LegCounts
from t3probe.watch.window import BookListener, WindowBook, window_seconds

FOOTING_STEP_SECONDS = 0.25
RESOLVE_AGAIN_SECONDS = 60.0
FINISH_SECONDS = 1.0
"""How long open beats may go on once the held mode is told to end ..."""
CLOSE_SECONDS = 2.0
"""... and how long connections may take to close."""


class Held(Engine):
    """Holds legs until told to stop. `run` may be called once."""

    lasting = True
    resolve_again = RESOLVE_AGAIN_SECONDS

    def __init__(
        self,
        deployment: Deployment,
        legs: Sequence[Leg],
        *,
        clock: RunClock,
        listener: BookListener,
    ) -> None:
        self._keep_seconds = window_seconds(deployment.timing)
        footing = Footing(
            clock, deployment.timing, step=FOOTING_STEP_SECONDS, keep=self._keep_seconds
        )
        super().__init__(deployment, clock, footing)
        self._listener = listener
        self._tasks: dict[LegRun, asyncio.Task[None]] = {}
        self._ending = asyncio.Event()
        self.tallies: dict[str, LegCounts] = {}
        self.books: dict[str, WindowBook] = {}
        self._blips = Blips()
        self.legs: list[LegRun] = [LegRun(leg, self) for leg in legs]

    # -- what the legs use ---------------------------------------------------------------

    def new_book(self, leg: Leg) -> WindowBook:
        # A leg that is started anew because its definition changed goes on counting.
        tally = self.tallies.setdefault(leg.name, LegCounts(leg))
        tally.learn_anew(self.clock.now(), float(self.timing.slow_floor))
        if leg.name in self.books:
            self.books[leg.name].count_rest()
        self.books[leg.name] = book = WindowBook(
            leg,
            self.clock.now(),
            self.footing,
            tally=tally,
            keep=lambda: self._keep_seconds,
            heartbeat=lambda: self.timing.heartbeat,
            planned=lambda: self.planned(leg),
            wall=self.clock.wall_at,
            listener=self._listener,
            blips=self._blips,
        )
        return book

    def interval(self, leg: Leg, down: bool) -> float:
        sweeps = leg.kind in ONE_SHOT and not down
        return self.timing.sweep_interval if sweeps else self.timing.heartbeat

    def looks_anew(self, leg: Leg) -> None:
        mine = f"{leg.name} "
        self.probing.once -= {one for one in self.probing.once if one.startswith(mine)}

    # -- for those who hold ----------------------------------------------------------------

    def planned(self, leg: Leg) -> str:
        if not self.deployment.downtime:
            return ""
        return planned(self.deployment, leg, self.clock.wall_at(self.clock.now()))

    def all_done(self, call: int) -> bool:
        """Whether every leg's beat for this common beat is over."""
        return all(leg.retired or leg.done >= call for leg in self.legs)

    def beaten_since(self, moment: float) -> bool:
        """Whether every leg that holds a connection has beaten since then."""
        return all(
            book.alive_at >= moment or book.down or book.leg.kind in ONE_SHOT
            for book in self.books.values()
        )

    def stop(self) -> None:
        """End: open beats have a second, then every connection is closed."""
        self.interrupted = True
        self._ending.set()

    async def run(self) -> None:
        """Hold until `stop`. Raises LoopbackOnlyError as a run does."""
        side = [
            asyncio.create_task(self.footing.watch()),
            asyncio.create_task(self.first_common_beat(self.timing.heartbeat / 4)),
        ]
        tasks: list[asyncio.Task[None]] = []
        try:
            self._start(self.legs)
            await self._ending.wait()
            self.hold_over = True
            self.wake_all()
            await self.until(lambda: self._working == 0, self.clock.now() + FINISH_SECONDS)
            self.finished = True
            tasks = list(self._tasks.values())
            await self._let_go(self.legs)
        finally:
            self.finished = True
            for task in side:
                task.cancel()
            await asyncio.gather(*side, return_exceptions=True)
            await self._let_go(self.legs)
            await self.resolver.aclose()
            for book in self.books.values():
                book.count_rest()
        for task in tasks:
            if left_loopback(task):
                task.result()

    def _start(self, legs: Sequence[LegRun]) -> None:
        for leg in legs:
            task = asyncio.create_task(leg.live(), name=leg.leg.name)
            task.add_done_callback(self._ended)
            self._tasks[leg] = task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self.changed()
        if left_loopback(task):
            self._ending.set()

    async def _let_go(self, legs: Sequence[LegRun]) -> None:
        """End these legs: idle ones close politely, open beats are cut short; bounded."""
        pairs = [(leg, self._tasks.pop(leg)) for leg in legs if leg in self._tasks]
        if not pairs:
            return
        for leg, _ in pairs:
            leg.leaving = True
            leg.wake.set()
        await asyncio.sleep(0)
        await asyncio.sleep(0)  # those that wait are closing now
        for leg, task in pairs:
            if not leg.closing:
                task.cancel()
        tasks = [task for _, task in pairs]
        await asyncio.wait(tasks, timeout=CLOSE_SECONDS)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def change(self, deployment: Deployment, legs: Sequence[Leg]) -> tuple[int, int, int]:
        """Go on with these legs: how many stayed, began and ended.

        A leg whose definition is the same keeps its connection and what it has seen. New times
        hold from now on, without a reconnect.
        """
        wanted = {leg.name: leg for leg in legs}
        here = {one.leg.name: one for one in self.legs}
        stay = {name: one for name, one in here.items() if wanted.get(name) == one.leg}
        gone = [one for name, one in here.items() if name not in stay]
        self.legs = list(stay.values())
        await self._let_go(gone)
        retimed = deployment.timing != self.timing
        self._use(deployment)
        for name in [name for name in self.tallies if name not in wanted]:
            del self.tallies[name], self.books[name]
        fresh = {leg.name: LegRun(leg, self) for leg in legs if leg.name not in stay}
        self.legs = [stay.get(name) or fresh[name] for name in wanted]
        self._start(list(fresh.values()))
        if retimed:
            self.call()  # whoever waits for a beat of the old times waits no longer
        return len(stay), len(fresh), len(gone)

    def _use(self, deployment: Deployment) -> None:
        self.deployment = deployment
        self.timing = self.probing.timing = deployment.timing
        for book in self.books.values():
            book.gloss = deployment.gloss
        self._keep_seconds = window_seconds(deployment.timing)
        for tally in self.tallies.values():
            if tally.memory is not None:
                tally.memory.floor = float(deployment.timing.slow_floor)
        self.footing.use(deployment.timing, self._keep_seconds)
        self.probing.sso = deployment.sso
        self.probing.marks = Marks(deployment.marks, deployment.paths)
        self.probing.tls = TlsStore(deployment.tls_ca)  # the file may hold other authorities
        self.probing.internal_addresses = internal_addresses(deployment)
        self.resolver.forget()
