"""One leg's life in a run: attempts, beats, drops, back-off, and answering common beats."""

from __future__ import annotations

import asyncio
import ipaddress
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from t3probe.config.types import Leg
from t3probe.guard import LoopbackOnlyError
from t3probe.observation import AddressTry, Attempt
from t3probe.probes import ONE_SHOT, opener
from t3probe.probes.base import Collapsed, Echo, Line, ProbeError, Target
from t3probe.resolve import ResolveError, targets
from t3probe.run.book import Book, carried

if TYPE_CHECKING:
    from t3probe.run.controller import Run

__all__ = ["LegRun", "next_beat"]


@dataclass(slots=True)
class _Tried:
    """One attempt at one address."""

    target: Target
    conn: int
    started: float
    ended: float = 0.0
    line: Line | None = None
    echo: Echo | None = None
    error: ProbeError | None = None


class LegRun:
    """Runs one leg until the run is over and keeps what was seen."""

    def __init__(self, leg: Leg, run: Run) -> None:
        self.leg, self.run = leg, run
        self.wake = asyncio.Event()
        self.answered = 0
        """The newest common beat that this leg has answered or is answering."""
        self.settled = False
        """Its first attempt is over."""
        self.closing = False
        self.book = Book(leg, run.clock.now())
        self._open = opener(leg.kind)
        self._one_shot = leg.kind in ONE_SHOT
        self._targets: list[Target] = []
        self._line: Line | None = None
        self._lines: set[Line] = set()
        self._conn = self._line_conn = -1
        self._line_began = 0.0
        self._looking_since = run.clock.now()
        self._strikes = 0
        self._retry_at = self._tried_at = 0.0

    # -- the life of a leg -------------------------------------------------------------

    async def live(self) -> None:
        """Everything from the first attempt to the last close. Never raises ProbeError."""
        try:
            if await self._resolve():
                await self._first_attempt()
                self._settle()
                while await self._next():
                    pass
        except Collapsed as error:
            self.book.collapsed = error.detail
        except Exception as error:
            inner: BaseException = error
            while isinstance(inner, BaseExceptionGroup):
                inner = inner.exceptions[0]
            if isinstance(inner, LoopbackOnlyError):
                raise
            self.book.broke(inner)
        except asyncio.CancelledError:
            if not self.run.finished:
                raise
            task = asyncio.current_task()
            if task is not None:
                task.uncancel()
        finally:
            self.answered = math.inf  # type: ignore[assignment]  # nobody waits for this leg
            self._settle()
            await self._close_all()

    def _settle(self) -> None:
        if not self.settled:
            self.settled = True
            self.run.changed()

    async def _resolve(self) -> bool:
        clock, timing = self.run.clock, self.run.timing
        while True:
            began = self._looking_since = clock.now()
            try:
                with self.run.working():
                    self._targets = await targets(self.leg, self.run.probing)
            except ResolveError as error:
                self.book.unresolved = error.detail
                self._settle()
            else:
                if self._targets:
                    self.book.facts.phases["resolve"] = round(clock.now() - began, 6)
                    self._check_not_internal()
                    if self._targets[0].from_file:
                        words = "no DoH provider answered; dialled the address in the file"
                        self.book.notes.append(words)
                    return True
                self.book.unresolved = "the resolver knows no address"
            self.answered = math.inf  # type: ignore[assignment]
            if not await self._wait(clock.now() + timing.heartbeat, only_time=True):
                return False
            self.answered = self.run.call_number

    def _check_not_internal(self) -> None:
        if self.leg.doh and self.leg.kind != "doh":
            for target in self._targets:
                address = ipaddress.ip_address(target.address)
                address = getattr(address, "ipv4_mapped", None) or address
                # 0.0.0.0 is how filtering resolvers say "no"; dialled, it is this very machine.
                if str(address) in self.run.internal_addresses or address.is_unspecified:
                    raise Collapsed(
                        f"public DNS answers {target.address}, which is an internal address: "
                        "the leg would take another way"
                    )

    async def _next(self) -> bool:
        """Wait for the next thing to do and do it; False when the run is over."""
        heartbeat = self.run.timing.heartbeat
        now = self.run.clock.now()
        down = self.book.down
        waiting = self._line is None and not self._one_shot and (down or self._retry_at > now)
        due = self._retry_at if waiting else next_beat(now, heartbeat)
        if not await self._wait(due):
            return False
        with self.run.working():
            self.answered = self.run.call_number
            line = self._line
            if line is not None and line.lost is not None:
                await self._drop(line.lost, self.run.clock.now(), self._line_conn)
            elif line is None or line.left_politely or self._one_shot:
                await self._close_line()
                await self._attempt_again()
            else:
                await self._beat(line)
        return True

    async def _wait(self, due: float, only_time: bool = False) -> bool:
        """Until `due`, a common beat, or a lost line; False when the run is over."""
        clock, run = self.run.clock, self.run
        while not run.finished:
            if not only_time and self.answered < run.call_number:
                if not self._just_tried():
                    return True
                self.answered = run.call_number
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
        rested = self._tried_at + self.run.timing.backoff
        restless = self._strikes > 1 or self.book.down
        return idle and restless and self.run.clock.now() < rested

    # -- attempts ----------------------------------------------------------------------

    async def _try(self, target: Target) -> _Tried:
        self._conn += 1
        tried = _Tried(target, self._conn, self.run.clock.now())
        line: Line | None = None
        try:
            line = await self._open(self.leg, target, self.run.probing)
            self._lines.add(line)
            tried.echo = await line.beat()
            tried.line = line
            line.on_lost = self.wake.set
        except ProbeError as error:
            tried.error = error
            facts = line.facts if line is not None else error.facts
            if facts is not None:
                self.book.learn(facts)
            if line is not None:
                error.facts = line.facts
                await self._close(line)
        finally:
            tried.ended = self.run.clock.now()
        return tried

    async def _try_all(self) -> tuple[_Tried, list[_Tried]]:
        """Try every address at once: the one to keep (or the most telling failure), and all."""
        if len(self._targets) == 1:
            tried = [await self._try(self._targets[0])]
        else:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._guarded(one)) for one in self._targets]
            results = [task.result() for task in tasks]
            collapsed = next((one for one in results if isinstance(one, Collapsed)), None)
            if collapsed is not None:
                raise collapsed
            tried = [one for one in results if isinstance(one, _Tried)]
        self._tried_at = self.run.clock.now()
        good = [one for one in tried if one.error is None]
        if not good:
            worst = max(tried, key=lambda one: _telling(one.error))
            if worst.error is not None and worst.error.unroutable:
                worst.error.tells = False  # this machine could try none of the addresses
            return worst, tried
        kept = good[0]
        for other in good[1:]:
            if other.line is not None:
                await self._close(other.line)
        return kept, tried

    async def _guarded(self, target: Target) -> _Tried | Collapsed:
        try:
            return await self._try(target)
        except Collapsed as error:
            return error

    async def _first_attempt(self) -> None:
        with self.run.working():
            self.answered = self.run.call_number
            call = self.answered
            kept, tried = await self._try_all()
            self.book.addresses = tuple(
                AddressTry(
                    address=str(one.target),
                    ok=one.error is None,
                    reason=one.error.reason if one.error else None,
                    detail=one.error.detail if one.error else "",
                    skipped=one.error.unroutable if one.error else False,
                )
                for one in tried
            )
            await self._take(kept, call)

    async def _attempt_again(self) -> None:
        call = self.answered
        kept, _ = await self._try_all()
        await self._take(kept, call)

    async def _take(self, kept: _Tried, call: int) -> None:
        """Go on from an attempt: hold its line, or open or continue an outage."""
        if kept.error is None:
            self._good(kept, call)
            self.book.recover(kept.ended)
            if self._one_shot and self.book.quiet_since(kept.ended) >= self.run.timing.heartbeat:
                self._strikes = 0
            return
        self.book.bad(kept.started, kept.ended, kept.conn, kept.error, call)
        if not kept.error.tells:
            return
        if self.book.down:
            self._strike()
            return
        await self._drop(kept.error, kept.started, None)

    def _good(self, kept: _Tried, call: int) -> None:
        assert kept.line is not None
        assert kept.echo is not None
        first = self.book.last_good is None
        self._keep(kept.line, kept.conn, kept.started)
        self.book.good(kept.echo, kept.conn, call, kept.line.tcp())
        self.book.address = str(kept.target)
        facts = kept.line.facts
        if first:
            facts.phases = {**self.book.facts.phases, **facts.phases}
            self.book.facts = facts
        else:
            self.book.facts.evidence = facts.evidence

    def _keep(self, line: Line, conn: int, began: float) -> None:
        if self._line is not None and self._line is not line:
            self._lines.discard(self._line)
        self._line, self._line_conn, self._line_began = line, conn, began
        self.book.learn(line.facts)

    # -- beats and drops ---------------------------------------------------------------

    async def _beat(self, line: Line) -> None:
        call, sent = self.answered, self.run.clock.now()
        try:
            echo = await line.beat()
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
        kept, _ = await self._try_all()
        failed = kept.error
        attempt = Attempt(
            started=kept.started,
            ended=kept.ended,
            ok=failed is None,
            reason=failed.reason if failed else None,
            stage=failed.stage if failed else "ask",
            detail=failed.detail if failed else "",
        )
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
            again = carried(self.leg, failed)
            if again:
                self.book.amend(carried=again, carried_at=kept.started)
            self.book.amend(symptom="down", attempt=attempt)
        self._wait_before_retry()

    def _strike(self) -> None:
        self._strikes += 1
        self._wait_before_retry()

    def _wait_before_retry(self) -> None:
        timing = self.run.timing
        pause = min(timing.backoff * max(1, self._strikes), timing.backoff_max)
        self._retry_at = self.run.clock.now() + pause

    async def _close(self, line: Line) -> None:
        self._lines.discard(line)
        await line.close()

    async def _close_line(self) -> None:
        line, self._line = self._line, None
        if line is not None:
            await self._close(line)

    async def _close_all(self) -> None:
        self.closing = True
        self._line = None
        await asyncio.gather(*(line.close() for line in self._lines), return_exceptions=True)
        self._lines.clear()


def next_beat(now: float, heartbeat: float) -> float:
    """The next multiple of `heartbeat` after `now`, so that beats do not drift by their length."""
    return (math.floor(now / heartbeat) + 1) * heartbeat


def _telling(error: ProbeError | None) -> tuple[bool, int]:
    order = {"connect": 0, "ask": 1, "hold": 2}
    assert error is not None
    return (not error.unroutable, order[error.stage])
