"""One run: all legs at once in one event loop, common beats, the hold, and a bounded end."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from urllib.parse import urlsplit

from t3probe.config.types import Deployment, Leg
from t3probe.observation import Observation
from t3probe.probes.base import Probing
from t3probe.resolve import Resolver, split_address
from t3probe.run.footing import Footing
from t3probe.run.leg import LegRun
from t3probe.timing import RunClock
from t3probe.tls import TlsStore

__all__ = ["Run"]

_CLOSE_SECONDS = 2.0
_MAX_CONNECTS_AT_ONCE = 64


class Run:
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
    ) -> None:
        self.deployment = deployment
        self.timing = deployment.timing
        self.hold = hold
        self.clock = clock or RunClock()
        self.deadline = (
            self.timing.deadline
            if self.timing.deadline is not None
            else hold + 2 * (self.timing.watchdog + self.timing.connect_timeout)
        )
        self._began = self.clock.now()
        self.footing = Footing(self.clock, self.timing)
        self.probing = Probing(
            clock=self.clock,
            timing=self.timing,
            sso=deployment.sso,
            tls=TlsStore(deployment.tls_ca),
            resolver=Resolver(),
            crowd=asyncio.Semaphore(_MAX_CONNECTS_AT_ONCE),
            internal_addresses=_internal_addresses(deployment),
        )
        self.internal_addresses = self.probing.internal_addresses
        self.call_number = call
        self.hold_over = False
        self.finished = False
        self.interrupted = False
        self._planned = planned
        self._progress = progress
        self._working = 0
        self._changed = asyncio.Event()
        self.legs = [LegRun(leg, self) for leg in legs]

    # -- what the legs use ---------------------------------------------------------------

    @contextmanager
    def working(self) -> Iterator[None]:
        """While inside, the run does not end but at its deadline."""
        self._working += 1
        try:
            yield
        finally:
            self._working -= 1
            self.changed()

    def changed(self) -> None:
        """Something happened that the end of the run, or its first common beat, waits for."""
        self._changed.set()

    def call(self) -> int:
        """Call a common beat: every leg beats at once. Its number."""
        self.call_number += 1
        self._wake_all()
        return self.call_number

    def _wake_all(self) -> None:
        for leg in self.legs:
            leg.wake.set()

    # -- the run -------------------------------------------------------------------------

    def stop(self) -> None:
        """End now: open beats are neither pass nor drop. Safe to call from a signal handler."""
        self.interrupted = True
        self.hold_over = self.finished = True
        self.changed()
        self._wake_all()

    async def measure(self) -> list[Observation]:
        """Probe until the hold is over and every open beat is judged or the deadline is there.

        Raises LoopbackOnlyError when the process may not leave loopback and a leg tried to.
        """
        tasks = [asyncio.create_task(leg.live(), name=leg.leg.name) for leg in self.legs]
        for task in tasks:
            task.add_done_callback(lambda _: self.changed())
        side = [asyncio.create_task(self.footing.watch())]
        if self.hold > 0:
            side.append(asyncio.create_task(self._first_common_beat()))
        if self._progress is not None:
            side.append(asyncio.create_task(self._show()))
        try:
            await self._until(lambda: False, self._began + self.hold, tasks)
            self.hold_over = True
            self._wake_all()
            await self._until(self._quiet, self._began + self.deadline, tasks)
            self.finished = True
            self._wake_all()
            await self._end(tasks)
            self.footing.look()
        finally:
            self.finished = True
            for task in [*tasks, *side]:
                task.cancel()
            await asyncio.gather(*tasks, *side, return_exceptions=True)
            await self.probing.resolver.aclose()
        for task in tasks:
            error = None if task.cancelled() else task.exception()
            while isinstance(error, BaseExceptionGroup):
                error = error.exceptions[0]
            if error is not None:
                raise error
        return [leg.book.observation(self.footing, self._planned(leg.leg)) for leg in self.legs]

    def _quiet(self) -> bool:
        # A leg whose task has not begun yet is not working either, hence `settled`.
        return self._working == 0 and all(
            leg.settled and leg.answered >= self.call_number for leg in self.legs
        )

    async def _until(
        self, done: Callable[[], bool], moment: float, tasks: list[asyncio.Task[None]]
    ) -> None:
        """Until `done`, or `moment`, or a stop, or a leg that broke the rules of the house."""
        while not (done() or self.finished or all(task.done() for task in tasks)):
            if any(_broke_rules(task) for task in tasks):
                self.finished = True
                return
            left = moment - self.clock.now()
            if left <= 0:
                return
            self._changed.clear()
            try:
                async with asyncio.timeout(left):
                    await self._changed.wait()
            except TimeoutError:
                pass

    async def _end(self, tasks: list[asyncio.Task[None]]) -> None:
        """Let idle legs close politely, cut open beats short; bounded."""
        if self._working or self.interrupted:
            for leg, task in zip(self.legs, tasks, strict=True):
                if not leg.closing:  # cancelled there, it would leave its connection open
                    task.cancel()
        await asyncio.wait(tasks, timeout=_CLOSE_SECONDS)

    async def _first_common_beat(self) -> None:
        """Once every leg is up, all beat together once more.

        After that each has a good beat before any other's last good one, so that whatever
        breaks from now on finds every other leg held through.
        """
        limit = min(self.timing.heartbeat, self.hold) / 4
        while not all(leg.settled for leg in self.legs) and self.clock.now() < limit:
            self._changed.clear()
            try:
                async with asyncio.timeout(max(0.0, limit - self.clock.now())):
                    await self._changed.wait()
            except TimeoutError:
                break
        if not self.finished:
            self.call()

    async def _show(self) -> None:
        assert self._progress is not None
        while True:
            self._progress(self)
            await self.clock.clock.sleep(0.5)


def _broke_rules(task: asyncio.Task[None]) -> bool:
    return task.done() and not task.cancelled() and task.exception() is not None


def _internal_addresses(deployment: Deployment) -> frozenset[str]:
    """Addresses that public DNS must never answer: pins, and literal ones of DoH-less legs."""
    found: set[str] = set()
    for leg in deployment.legs:
        if leg.pin is not None:
            found.add(split_address(leg.pin)[0])
        elif leg.url is not None and not leg.doh:
            host = urlsplit(leg.url).hostname or ""
            try:
                found.add(str(ipaddress.ip_address(host)))
            except ValueError:
                continue
    return frozenset(found)
