"""One leg's life: attempts, beats, drops, back-off, and answering common beats."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING

from t3probe.config.types import Leg
from t3probe.guard import LoopbackOnlyError
from t3probe.probes import ONE_SHOT
from t3probe.probes.base import Collapsed, Line, ProbeError
from t3probe.resolve import ResolveError
from t3probe.run.attempt import Attempts, Tried, addresses, attempt_of

if TYPE_CHECKING:
    from t3probe.run.engine import Engine

__all__ = ["LegRun", "next_beat"]


class LegRun:
    """Runs one leg until the run is over and keeps what was seen."""

    def __init__(self, leg: Leg, run: Engine) -> None:
        self.leg, self.run = leg, run
        self.wake = asyncio.Event()
        self.answered = 0
        """The newest common beat that this leg has answered or is answering."""
        self.done = 0
        """The newest common beat whose beat is over."""
        self.settled = False
        """Its first attempt is over."""
        self.leaving = False
        """Told to end although the run goes on."""
        self.closing = False
        self.book = run.new_book(leg)
        self._attempts = Attempts(leg, run, self.book, self.wake)
        self._one_shot = leg.kind in ONE_SHOT
        self._line: Line | None = None
        self._line_conn = -1
        self._line_began = 0.0
        self._looking_since = run.clock.now()
        self._strikes = 0
        self._retry_at = 0.0

    @property
    def over(self) -> bool:
        """Whether this leg is to end."""
        return self.leaving or self.run.finished

    # -- the life of a leg -------------------------------------------------------------

    async def live(self) -> None:
        """Everything from the first attempt to the last close. Never raises ProbeError."""
        try:
            while not await self._to_an_end() and self.run.lasting:
                # Where there is no end in sight, nothing is for ever: look again later.
                await self._close_all()
                self.closing = False
                self.book.looked(self.run.clock.now())
                pause = self.run.timing.backoff_max
                if not await self._wait(self.run.clock.now() + pause, only_time=True):
                    break
                self.book.last_good = None
        except asyncio.CancelledError:
            if not self.over:
                raise
            task = asyncio.current_task()
            if task is not None:
                task.uncancel()
        finally:
            self._answer_nothing()
            self._settle()
            await self._close_all()

    async def _to_an_end(self) -> bool:
        """Until the run is over; False when the leg cannot go on before."""
        try:
            if await self._resolve():
                await self._first_attempt()
                self._settle()
                while await self._next():
                    pass
            return True
        except Collapsed as error:
            self.book.collapsed = error.detail
        except Exception as error:
            inner: BaseException = error
            while isinstance(inner, BaseExceptionGroup):
                inner = inner.exceptions[0]
            if isinstance(inner, LoopbackOnlyError):
                raise
            self.book.broke(inner)
        self._answer_nothing()
        self._settle()
        return False

    def _answer_nothing(self) -> None:
        """Nobody waits for this leg."""
        self.answered = self.done = math.inf  # type: ignore[assignment]
        self.run.changed()

    def _settle(self) -> None:
        if not self.settled:
            self.settled = True
            self.run.changed()

    async def _resolve(self) -> bool:
        clock = self.run.clock
        while True:
            began = self._looking_since = clock.now()
            try:
                with self.run.working():
                    found = await self._attempts.resolve()
            except ResolveError as error:
                self.book.unresolved = error.detail
                self._settle()
            else:
                if found:
                    self.book.facts.phases["resolve"] = round(clock.now() - began, 6)
                    return True
                self.book.unresolved = "the resolver knows no address"
            self._answer_nothing()
            self.book.looked(clock.now())
            pause = self.run.timing.heartbeat
            if not await self._wait(clock.now() + pause, only_time=True):
                return False
            self.answered = self.done = self.run.call_number

    async def _next(self) -> bool:
        """Wait for the next thing to do and do it; False when the run is over."""
        now = self.run.clock.now()
        down = self.book.down
        waiting = self._line is None and not self._one_shot and (down or self._retry_at > now)
        due = self._retry_at if waiting else next_beat(now, self.run.interval(self.leg, down))
        if not await self._wait(due):
            return False
        with self.run.working():
            if self.answered >= self.run.call_number:
                self.run.looks_anew(self.leg)
            self.answered = self.run.call_number
            line = self._line
            if line is not None and line.lost is not None:
                await self._drop(line.lost, self.run.clock.now(), self._line_conn)
            elif line is None or line.left_politely or self._one_shot:
                await self._close_line()
                await self._attempt_again()
            else:
                await self._beat(line)
            self.done = self.answered
        return True

    async def _wait(self, due: float, only_time: bool = False) -> bool:
        """Until `due`, a common beat, or a lost line; False when the run is over."""
        clock, run = self.run.clock, self.run
        due = round(due, 6)  # as the clock does, or the last step would be waited for in vain
        while not self.over:
            if not only_time and self.answered < run.call_number:
                if not self._just_tried():
                    return True
                self.answered = self.done = run.call_number
                run.changed()
            line = self._line
            if line is not None and line.lost is not None:
                return True
            if not run.hold_over and clock.now() >= due:
                return True
            self.wake.clear()
            try:
                async with asyncio.timeout(None if run.hold_over else max(0.0, due - clock.now())):
                    await self.wake.wait()
            except TimeoutError:
                pass
        return False

    def _just_tried(self) -> bool:
        """Whether a leg that keeps dropping would only reconnect again, faster than it may.

        Without this, two flapping legs whose drops call each other would never pause.
        """
        idle = self._one_shot or self._line is None
        rested = self._attempts.tried_at + self.run.timing.backoff
        restless = self._strikes > 1 or self.book.down
        return idle and restless and self.run.clock.now() < rested

    # -- attempts ----------------------------------------------------------------------

    async def _first_attempt(self) -> None:
        with self.run.working():
            self.answered = call = self.run.call_number
            kept, tried = await self._attempts.all()
            self.book.addresses = addresses(tried)
            await self._take(kept, call)
            self.done = self.answered

    async def _attempt_again(self) -> None:
        call = self.answered
        if self._attempts.resolve_is_due:
            await self._resolve_again()
        kept, tried = await self._attempts.all()
        if self.run.lasting:
            self.book.addresses = addresses(tried)
        await self._take(kept, call)

    async def _resolve_again(self) -> None:
        """Ask for the addresses anew, without losing what is known when nobody answers."""
        try:
            async with asyncio.timeout(self.run.timing.connect_timeout):
                if await self._attempts.resolve():
                    return
        except (ResolveError, TimeoutError):
            pass
        self._attempts.keep_addresses()

    async def _take(self, kept: Tried, call: int) -> None:
        """Go on from an attempt: hold its line, or open or continue an outage."""
        if kept.error is None:
            self._good(kept, call)
            self.book.recover(kept.ended)
            interval = self.run.interval(self.leg, False)
            if self._one_shot and self.book.quiet_since(kept.ended) >= interval:
                self._strikes = 0
            return
        self.book.bad(kept.started, kept.ended, kept.conn, kept.error, call)
        if not kept.error.tells:
            return
        if self.book.goes_on(kept.started, kept.ended):
            self._strike()
            return
        await self._drop(kept.error, kept.started, None)

    def _good(self, kept: Tried, call: int) -> None:
        assert kept.line is not None
        assert kept.echo is not None
        first = self.book.last_good is None
        self._keep(kept.line, kept.conn, kept.started)
        self.book.good(kept.echo, kept.conn, call, kept.line.tcp())
        self.book.address = str(kept.target)
        facts = kept.line.facts
        if first or self.run.lasting:
            facts.phases = {**self.book.facts.phases, **facts.phases}
            self.book.facts = facts
        else:
            self.book.facts.evidence = facts.evidence

    def _keep(self, line: Line, conn: int, began: float) -> None:
        if self._line is not None and self._line is not line:
            self._attempts.forget(self._line)
        self._line, self._line_conn, self._line_began = line, conn, began
        self.book.learn(line.facts)

    # -- beats and drops ---------------------------------------------------------------

    async def _beat(self, line: Line) -> None:
        call, sent = self.answered, self.run.clock.now()
        try:
            echo = await line.beat()
        except asyncio.CancelledError:
            self.book.cut_short(sent, self.run.clock.now(), self._line_conn, call)
            raise
        except ProbeError as error:
            polite = line.left_politely and not error.answered
            if polite:
                error.tells = False  # our question and its close crossed on the way
            self.book.bad(sent, self.run.clock.now(), self._line_conn, error, call)
            if polite:
                await self._close_line()
                await self._attempt_again()
                return
            await self._drop(error, sent, self._line_conn)
            return
        self.book.good(echo, self._line_conn, call, line.tcp())
        if echo.ended - self._line_began >= self.run.timing.heartbeat:
            self._strikes = 0

    async def _drop(self, error: ProbeError, sent: float, conn: int | None) -> None:
        """Record a drop, call the common beat, and decide the symptom by a new attempt."""
        clock, line = self.run.clock, self._line
        noticed = clock.now()
        self._strikes += 1
        call = self.run.call()
        self.answered = call
        self.book.drop(
            error,
            # A leg that never worked is down since we began to look, not since its first dial.
            began=self._looking_since if self.book.last_good is None else self.book.last_good,
            sent=sent,
            noticed=noticed,
            call=call,
            conn=conn,
            age=noticed - self._line_began if conn is not None else None,
            facts=line.facts if line is not None else error.facts or self.book.facts,
            tcp=line.tcp() if line is not None else None,
        )
        await self._close_line()
        kept, _ = await self._attempts.all()
        failed = kept.error
        attempt = attempt_of(kept)
        if failed is None:
            self.book.amend(symptom="cut", attempt=attempt, recovered=kept.ended)
            self._good(kept, call)
            if self._strikes > 1 and not self._one_shot:
                # A connection that keeps dying: do not reconnect as fast as it dies.
                await self._close_line()
                self._wait_before_retry()
            return
        self.book.bad(kept.started, kept.ended, kept.conn, failed, call)
        if not failed.tells:
            self.book.amend(attempt=attempt)
        else:
            self.book.tried_again(attempt, failed)
        self._wait_before_retry()

    def _strike(self) -> None:
        self._strikes += 1
        self._wait_before_retry()

    def _wait_before_retry(self) -> None:
        timing = self.run.timing
        pause = min(timing.backoff * max(1, self._strikes), timing.backoff_max)
        self._retry_at = self.run.clock.now() + pause

    async def _close_line(self) -> None:
        line, self._line = self._line, None
        if line is not None:
            await self._attempts.close(line)

    async def _close_all(self) -> None:
        self.closing = True
        self._line = None
        await self._attempts.close_all()


def next_beat(now: float, heartbeat: float) -> float:
    """The next multiple of `heartbeat` after `now`, so that beats do not drift by their length.

    What lies less than a millionth of a heartbeat ahead counts as now: a clock that rounds must
    not make two beats of one.
    """
    return round((math.floor(now / heartbeat + 1e-6) + 1) * heartbeat, 6)
