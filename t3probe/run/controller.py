"""One run: all legs at once in one event loop, common beats, the hold, and a bounded end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence

from t3probe.config.types import Deployment, Leg
from t3probe.observation import Observation
from t3probe.probes import preload
from t3probe.run.conclude import settled
from t3probe.run.engine import Engine, left_loopback
from t3probe.run.footing import Footing
from t3probe.run.leg import LegRun
from t3probe.timing import RunClock

_CLOSE_SECONDS = 2.0


class Run(Engine):
    """Probes `legs` for `hold` seconds. `measure` may be called once."""

    def __init__(
        self,
        deployment: Deployment,
        legs: Sequence[Leg],
        *,
        hold: float,
        call: int = 0,
        clock: RunClock | None = None,
        planned: Callable[[Leg], str] = lambda leg: "",
        progress: Callable[[Run], None] | None = None,
        beside: Callable[[Run], Coroutine[None, None, None]] | None = None,
    ) -> None:
        """`beside` runs beside the legs, as one of them: the run does not end before it does,
        but at the deadline, or when it is told to."""
        preload(legs)
        clock = clock or RunClock()
        super().__init__(deployment, clock, Footing(clock, deployment.timing))
        self.hold = hold
        self.holds = hold > 0
        self.deadline = (
            self.timing.deadline
            if self.timing.deadline is not None
            else hold + 2 * (self.timing.watchdog + self.timing.connect_timeout)
        )
        self._began = self.clock.now()
        self.ends_hold = self._began + hold
        self.call_number = call
        self._planned = planned
        self._progress = progress
        self._beside = beside
        self.legs: list[LegRun] = [LegRun(leg, self) for leg in legs]

    def planned(self, leg: Leg) -> str:
        return self._planned(leg)

    @property
    def ends_at(self) -> float:
        """When the run is over at the latest, on its clock."""
        return self._began + self.deadline

    def stop(self) -> None:
        """End now: open beats are neither pass nor drop. Safe to call from a signal handler."""
        self.interrupted = True
        self.hold_over = self.finished = True
        self.changed()
        self.wake_all()

    async def measure(self) -> list[Observation]:
        """Probe until the hold is over and every open beat is judged or the deadline is there.

        Raises LoopbackOnlyError when the process may not leave loopback and a leg tried to.
        """
        tasks = [asyncio.create_task(leg.live(), name=leg.leg.name) for leg in self.legs]
        if self._beside is not None:
            tasks.append(asyncio.create_task(self._work_beside(self._beside(self))))
            self._working += 1  # from now on, not only from when it has begun
        for task in tasks:
            task.add_done_callback(lambda _: self.changed())
        side = [asyncio.create_task(self.footing.watch())]
        if self.hold > 0:
            limit = min(self.timing.heartbeat, self.hold) / 4
            side.append(asyncio.create_task(self.first_common_beat(limit)))
        if self._progress is not None:
            side.append(asyncio.create_task(self._show()))
        try:
            await self._hold_until(lambda: False, self._began + self.hold, tasks)
            if self._dropped_late():
                self.call()
            self.hold_over = True
            self.wake_all()
            await self._hold_until(lambda: self.quiet, self.ends_at, tasks)
            self.finished = True
            self.wake_all()
            await self._end(tasks)
            self.footing.look()
        finally:
            self.finished = True
            for task in [*tasks, *side]:
                task.cancel()
            await asyncio.gather(*tasks, *side, return_exceptions=True)
            await self.resolver.aclose()
        for task in tasks:
            error = None if task.cancelled() else task.exception()
            while isinstance(error, BaseExceptionGroup):
                error = error.exceptions[0]
            if error is not None:
                raise error
        return settled([leg.book.observation(self._planned(leg.leg)) for leg in self.legs])

    async def _work_beside(self, beside: Coroutine[None, None, None]) -> None:
        try:
            await beside
        finally:
            self._working -= 1

    async def _hold_until(
        self, done: Callable[[], bool], moment: float, tasks: list[asyncio.Task[None]]
    ) -> None:
        """Until `done`, or `moment`, or a stop, or a leg that broke the rules of the house."""

        def over() -> bool:
            return done() or all(task.done() for task in tasks) or any(map(left_loopback, tasks))

        await self.until(over, moment)
        if any(map(left_loopback, tasks)):
            self.finished = True

    def _dropped_late(self) -> bool:
        """Whether something dropped in the hold's last heartbeat: then all beat once more at its
        end, so that their connections are seen to grow older than one that was cut."""
        late = self._began + self.hold - self.timing.heartbeat
        drops = [one for leg in self.legs for one in leg.book.drops[-1:]]
        return self.hold > 0 and not self.finished and any(one.noticed >= late for one in drops)

    async def _end(self, tasks: list[asyncio.Task[None]]) -> None:
        """Let idle legs close politely, cut open beats short; bounded."""
        if self._working or self.interrupted:
            for leg, task in zip(self.legs, tasks, strict=False):
                if not leg.closing:  # cancelled there, it would leave its connection open
                    task.cancel()
        await asyncio.wait(tasks, timeout=_CLOSE_SECONDS)

    async def _show(self) -> None:
        assert self._progress is not None
        while True:
            self._progress(self)
            await self.clock.clock.sleep(0.5)
