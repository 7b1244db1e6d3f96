"""The idle connection of a leg: one more that is held, and says nothing for as long as it is told.

Then it asks once; when it is answered it is silent again. What becomes of it is evidence about
limits alone (`t3probe.verdict.limits`): it is no strand of the leg, its death is no drop, calls no
common beat, and says nothing of whether the leg works. It goes where the held connection goes.

A run asks a little before its hold ends, however long the silence was to be. So a silence longer
than the hold is seen for as long as the hold is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from t3probe.config.types import Leg
from t3probe.observation import Silence, SilenceEnd
from t3probe.probes.base import Channel
from t3probe.probes.facts import Collapsed, Echo, ProbeError, Target
from t3probe.run.book import Book

if TYPE_CHECKING:
    from t3probe.run.attempt import Attempts
    from t3probe.run.engine import Engine

BEFORE_THE_END = 0.1
"""The last question of a run comes this share of a heartbeat, or of the hold, before its end."""


class IdleConnection:
    """Lives beside a leg, from its first held connection to its end."""

    def __init__(self, leg: Leg, run: Engine, book: Book, attempts: Attempts) -> None:
        self._leg, self._run, self._book, self._attempts = leg, run, book, attempts
        self._conn = -1
        self._deaths = 0
        """In a row, each after a silence shorter than a heartbeat or the one before."""
        self._task: asyncio.Task[None] | None = None

    def begin(self, target: Callable[[], Target | None]) -> None:
        """Live from now on. `target`: where the held connection goes; None: there is none."""
        if self._leg.idle is not None and self._run.holds and self._task is None:
            self._task = asyncio.create_task(self._live(target))

    async def end(self) -> None:
        """Be gone. Its line is closed with the leg's others."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def _live(self, target: Callable[[], Target | None]) -> None:
        run = self._run
        while not (run.finished or run.hold_over):
            place = target()
            if place is not None:
                try:
                    await self._one(place)
                except (ProbeError, Collapsed):
                    self._deaths += 1  # whether the leg works others tell
            timing = run.timing
            pause = min(timing.backoff * max(1, self._deaths), timing.backoff_max)
            await run.clock.clock.sleep(pause)

    async def _one(self, target: Target) -> None:
        """One connection, until it dies. Raises ProbeError or Collapsed when there is none."""
        run, clock = self._run, self._run.clock
        opened = clock.now()
        line = await self._attempts.open_beside(target)
        self._conn += 1
        woken = asyncio.Event()
        line.on_lost = woken.set
        began: float | None = None
        try:
            with run.working():
                began = (await line.beat()).ended
            while True:
                asks = began + (self._leg.idle or 0.0)
                last = run.ends_hold - BEFORE_THE_END * min(run.timing.heartbeat, run.ends_hold)
                if clock.now() < last:
                    asks = min(asks, last)
                await self._rest(line, woken, asks)
                echo = await self._ask(line, opened, began, str(target))
                if echo is None:
                    return
                began = echo.ended
        except asyncio.CancelledError:
            if began is not None:
                self._note(opened, began, clock.now(), "untold", str(target))
            raise
        finally:
            line.on_lost = lambda: None
            await self._attempts.close(line)

    async def _rest(self, line: Channel, woken: asyncio.Event, asks: float) -> None:
        """Say nothing until `asks`, or until the connection has ended."""
        left = asks - self._run.clock.now()
        while line.lost is None and not line.left_politely and left > 0:
            with suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await woken.wait()
            woken.clear()
            left = asks - self._run.clock.now()

    async def _ask(self, line: Channel, opened: float, began: float, where: str) -> Echo | None:
        """Note what became of a silence; the answer, where the connection lives on."""
        run, clock = self._run, self._run.clock
        sent = clock.now()
        if line.lost is not None or line.left_politely:
            # No byte of ours was on its way: the other end, or something between, ended it.
            gone = line.lost is None or line.lost.conclusive
            self._died(opened, began, sent, "closed" if gone else "untold", where, line, line.lost)
            return None
        try:
            with run.working():
                echo = await line.beat()
        except ProbeError as error:
            end: SilenceEnd = "unanswered"
            if line.left_politely:
                end, sent = "closed", clock.now()  # our question and its close crossed on the way
            elif not error.conclusive or error.answered or error.reason not in _DEAD:
                end = "untold"  # somebody answered, if only that something is wrong
            self._died(opened, began, sent, end, where, line, error)
            return None
        self._note(opened, began, echo.sent, "answered", where)
        self._deaths = 0
        return echo

    def _died(
        self,
        opened: float,
        began: float,
        ended: float,
        end: SilenceEnd,
        where: str,
        line: Channel,
        error: ProbeError | None,
    ) -> None:
        run, now = self._run, self._run.clock.now()
        self._deaths += 1
        silence = Silence(
            conn=self._conn,
            opened=opened,
            began=began,
            ended=ended,
            end=end,
            reason=None if error is None else error.reason,
            polite=end == "closed" and line.left_politely,
            stalled=run.footing.stalled(ended, now, ended if end == "unanswered" else None),
            remote_address=where,
        )
        self._book.note_silence(silence)

    def _note(self, opened: float, began: float, ended: float, end: SilenceEnd, where: str) -> None:
        self._book.note_silence(
            Silence(
                conn=self._conn,
                opened=opened,
                began=began,
                ended=max(began, ended),
                end=end,
                remote_address=where,
            )
        )


_DEAD = frozenset({"rtt_timeout", "closed_by_peer", "connection_reset", "io_error"})
"""How a question shows that the connection it was asked on is dead."""
