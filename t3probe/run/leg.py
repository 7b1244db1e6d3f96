"""One leg's life: its two strands, its outages with their second looks, and common beats.

The held strand beats on the leg's one long-lived connection, the fresh one on a connection of its
own for every beat. The first to notice that something does not work tells the leg (`_notice`):
all legs then beat at once, and this leg looks a second time by a fresh attempt, as its part of that
common beat.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Coroutine
from contextlib import ExitStack, suppress
from functools import partial
from typing import Any

from t3probe.config.types import Leg
from t3probe.guard import LoopbackOnlyError
from t3probe.observation import Strand, TcpSample
from t3probe.probes.base import Channel
from t3probe.probes.facts import Collapsed, ProbeError
from t3probe.probes.resolve import ResolveError
from t3probe.run.attempt import AddressAttempt, Attempts, addresses, attempt_of
from t3probe.run.engine import Engine
from t3probe.run.idle import IdleConnection
from t3probe.timing import next_beat

SECOND_LOOK_SECONDS = 0.25
"""A second look waits for others' fresh beats at most: what is good by then was good between two
failures, whatever comes after."""
MOST_OPEN = 4
"""So many fresh attempts of one leg are under way at most."""


class LegRun:
    """Runs one leg until the run is over and keeps what was seen."""

    def __init__(self, leg: Leg, run: Engine) -> None:
        self.leg, self.run = leg, run
        self.wake = asyncio.Event()
        self.looked = 0
        """The newest common beat for which this leg's fresh beat is over, or will not come."""
        self.answered = 0
        """The newest common beat that this leg has answered or is answering."""
        self.done = 0
        """The newest common beat whose beats are over."""
        self.retired = False
        """It beats no more, for now or for good: no common beat waits for it."""
        self.settled = False
        """Its first attempt is over."""
        self.leaving = False
        """Told to end although the run goes on."""
        self.closing = False
        self.book = run.new_book(leg)
        self.book.holding = self.holding
        self.book.gloss = run.deployment.gloss
        self._held_at_end = False
        self._attempts = Attempts(leg, run, self.book, self.wake)
        self._idle = IdleConnection(leg, run, self.book, self._attempts)
        self.muted = False
        """It called too often, or is under planned downtime: it calls no common beat until it was
        well for a heartbeat."""
        self._joined_at = -math.inf
        seldom = ("walloff", "walled", "ingest", "ingest_gate")
        self._joins_all = not leg.upstream and leg.kind not in seldom
        self._line: Channel | None = None
        self._line_conn = -1
        self._line_began = 0.0
        self._looking_since = run.clock.now()
        self._strikes = 0
        self._retry_at = math.inf
        self._slot = 0
        """How many heartbeats have come since the opening."""
        self._next_at = 0.0
        self._open = 0
        """How many fresh attempts are under way."""
        self._held_busy = False
        self._held_good: asyncio.Event = asyncio.Event()
        """A held beat was answered, or there is no held connection any more."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._failed: BaseException | None = None

    @property
    def _gives_up(self) -> bool:
        """It ends by itself, and closes what is open: what fails now fails by our own hand."""
        return self.closing or self._failed is not None

    @property
    def over(self) -> bool:
        """Whether this leg is to end."""
        return self.leaving or self.run.finished

    def holding(self) -> bool:
        """Whether a held connection works now, or did when the leg closed what it had."""
        if self.closing:
            return self._held_at_end
        line = self._line
        return line is not None and not line.left_politely and line.lost is None

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
                if not await self._rest(self.run.clock.now() + pause):
                    break
                self.book.forget_good()
        except asyncio.CancelledError:
            if not self.over:
                raise
            task = asyncio.current_task()
            if task is not None:
                task.uncancel()
        finally:
            self._retire()
            self._settle()
            await self._close_all()

    async def _to_an_end(self) -> bool:
        """Until the run is over; False when the leg cannot go on before."""
        try:
            if await self._resolve():
                if self.retired:
                    self._rejoin()
                self.looked = self.answered = call = self.run.call_number
                self._next_at = self._next_slot()
                self._open += 1
                self._spawn(self._opening(call))
                await self._beat_on()
                failed, self._failed = self._failed, None
                if failed is not None:
                    raise failed
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
        self._retire()
        self._settle()
        return False

    def _retire(self) -> None:
        self.retired = True
        self.run.changed()

    def _rejoin(self) -> None:
        """Beat again, from the next common beat on."""
        self.retired = False
        self.looked = self.answered = self.done = self.run.call_number

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
            self._retire()
            self.book.looked(clock.now())
            if not await self._rest(clock.now() + self.run.timing.heartbeat):
                return False
            self._rejoin()

    async def _rest(self, due: float) -> bool:
        """Until `due`, whatever is called; False when the run is over."""
        clock, due = self.run.clock, round(due, 6)
        while not self.over:
            if not self.run.hold_over and clock.now() >= due:
                return True
            await self._sleep(due)
        return False

    async def _sleep(self, due: float) -> None:
        self.wake.clear()
        limit = None if self.run.hold_over else max(0.0, due - self.run.clock.now())
        with suppress(TimeoutError):
            async with asyncio.timeout(None if limit == math.inf else limit):
                await self.wake.wait()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        working = ExitStack()
        working.enter_context(self.run.working())  # from now on, not only from when it has begun
        task = asyncio.ensure_future(self._work(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(lambda _: working.close())
        task.add_done_callback(lambda _: work.close())  # it may have been cut before it began

    async def _work(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except (Exception, asyncio.CancelledError) as error:
            if isinstance(error, asyncio.CancelledError) and not self.over:
                raise
            if not isinstance(error, asyncio.CancelledError):
                self._failed = self._failed or error
            self.wake.set()

    # -- what is to be done next -------------------------------------------------------

    async def _opening(self, call: int) -> None:
        """The first fresh beat, whose connection is held. Common beats do not wait for it."""
        try:
            kept, tried = await self._attempts.all()
            self.book.addresses = addresses(tried)
            await self._fresh_over(kept, call)
        finally:
            self._open -= 1
            self.wake.set()
            self.done = max(self.done, call)
            self._settle()

    def _next_slot(self) -> float:
        return next_beat(self.run.clock.now(), self.run.interval(self.leg, self.book.down))

    async def _beat_on(self) -> None:
        """Begin what is due, until the run is over or the leg cannot go on."""
        run, clock = self.run, self.run.clock
        while not self.over and self._failed is None:
            line = self._line
            if line is not None and line.lost is not None and not self._held_busy:
                error = line.lost
                self._held_failed(line, error, clock.now(), clock.now())
                continue
            # Where too many are under way, the next one that is over makes room.
            called = self.answered < run.call_number and self._open < MOST_OPEN
            if called and not self._joins():
                self.looked = self.answered = self.done = run.call_number
                run.changed()
                continue
            due = not run.hold_over and clock.now() >= min(self._next_at, self._retry_at)
            if called or due:
                if not called:
                    run.looks_anew(self.leg)
                self._beat(regular=clock.now() >= self._next_at and not run.hold_over)
                continue
            await self._sleep(min(self._next_at, self._retry_at))

    def _joins(self) -> bool:
        """Whether it answers a common beat now: walls, gates and upstreams do once a heartbeat."""
        now = self.run.clock.now()
        if self.run.call_number == self.run.first_call:
            return True
        if not self._joins_all and now - self._joined_at < self.run.timing.heartbeat:
            return False
        self._joined_at = now
        return True

    def _beat(self, regular: bool) -> None:
        """Begin a beat on each strand: the common one, a heartbeat's, or a retry."""
        run = self.run
        called = self.answered < run.call_number
        self.answered = call = run.call_number
        if regular:
            self._slot += 1
            self._next_at = self._next_slot()
        every = self.leg.fresh_every
        gone = self.settled if self._line is None else self._line.left_politely
        fresh = every > 0 and (called or self._slot % every == 0)
        wanted = fresh or gone or self.book.down
        self._retry_at = math.inf
        strands: list[Callable[[], Coroutine[Any, Any, None]]] = []
        if self._line is not None and not gone and not self._held_busy and (regular or called):
            self._held_busy = True  # before the beat's task begins: there is never a second one
            strands.append(partial(self._held_beat, self._line, call))
        if wanted and self._open < MOST_OPEN:
            self._open += 1
            strands.append(partial(self._fresh_beat, call))
        else:
            self.looked = max(self.looked, call)
        self._spawn(self._strands(strands, call))

    async def _strands(
        self, strands: list[Callable[[], Coroutine[Any, Any, None]]], call: int
    ) -> None:
        works = [begin() for begin in strands]
        try:
            # Where one strand ends the leg, the other one is still waited for, or cut.
            await asyncio.gather(*map(self._work, works))
        finally:
            for work in works:
                work.close()  # it may have been cut before it began
            self.looked = max(self.looked, call)
            self.done = max(self.done, call)
            self.run.changed()

    # -- the fresh strand --------------------------------------------------------------

    async def _fresh_beat(self, call: int) -> None:
        try:
            kept, tried = await self._dial(call)
        finally:
            self._open -= 1
            self.wake.set()
        self._note_addresses(kept, tried)
        await self._fresh_over(kept, call)

    async def _dial(self, call: int) -> tuple[AddressAttempt, list[AddressAttempt]]:
        """A fresh attempt at every address."""
        if self._attempts.resolve_is_due:
            await self._resolve_again()
        try:
            return await self._attempts.all()
        finally:
            self.looked = max(self.looked, call)
            self.run.changed()

    def _note_addresses(self, kept: AddressAttempt, tried: list[AddressAttempt]) -> None:
        """How each address answered: the newest in the held mode. In a run one that once was silent
        beside others that answered is remembered; when all are, that is a drop."""
        if self.run.lasting or (kept.error is None and any(one.error for one in tried)):
            self.book.addresses = addresses(tried)

    async def _resolve_again(self) -> None:
        """Ask for the addresses anew, without losing what is known when no resolver answers."""
        try:
            async with asyncio.timeout(self.run.timing.connect_timeout):
                if await self._attempts.resolve():
                    return
        except (ResolveError, TimeoutError):
            pass
        self._attempts.keep_addresses()

    async def _fresh_over(self, kept: AddressAttempt, call: int) -> None:
        """Go on from a fresh beat: hold its line or close it; open or continue an outage."""
        book = self.book
        if kept.error is None:
            since = book.drops[-1].noticed if book.down else -math.inf
            self._keep_or_close(kept, call)
            if kept.started >= since and not book.undecided:
                book.recover(kept.ended)
                if self._line is None or not book.drops:
                    self._strikes = 0
            if book.quiet_since(kept.ended) >= self.run.timing.heartbeat:
                self._strikes = 0
            return
        if self._gives_up:
            book.cut_short(kept.started, kept.ended, kept.conn, call, "fresh")
            return
        book.bad(kept.started, kept.ended, kept.conn, kept.error, call, "fresh")
        if not kept.error.conclusive:
            return
        if book.down and book.goes_on(kept.started, kept.ended):
            if not book.undecided:
                self._strike()
            return
        if book.drops and not book.drops[-1].stalled and kept.started < book.well_since:
            return  # it began while the outage that is over now went on
        self._notice(kept.error, kept.started, "fresh")

    def _keep_or_close(self, kept: AddressAttempt, call: int, second_look: bool = False) -> None:
        """Note a good fresh beat. Its line becomes the held one when there is none.

        Nobody waits for the close of another one: a polite one takes a second where a proxy passes
        on only half of it, and what the beat said would be said of whatever came meanwhile.
        """
        line = kept.line
        assert line is not None
        assert kept.echo is not None
        book, run = self.book, self.run
        gone = self._line is None or self._line.left_politely or self._line.lost is not None
        # What was opened before an outage was noticed says nothing about now.
        newer = second_look or (
            not book.undecided and (not book.down or kept.started >= book.drops[-1].noticed)
        )
        holds = line.holds and run.holds and gone and newer and not self.over
        first = book.last_good["fresh"] is None
        book.good(kept.echo, kept.conn, call, line.tcp(), "fresh", kept.started, line.facts)
        book.learn(line.facts)
        if first or (run.lasting and (holds or not line.holds)):
            line.facts.phases = {**book.facts.phases, **line.facts.phases}
            book.facts = line.facts
        else:
            known = [] if run.lasting else book.facts.evidence
            book.facts.evidence = line.facts.evidence or known
        if holds:
            old, self._line = self._line, line
            self._line_conn, self._line_began = kept.conn, kept.started
            self._held_good.clear()
            book.address = str(kept.target)
            book.holds(kept.conn, kept.started, str(kept.target))
            self._idle.begin(lambda: self._line.target if self._line else None)
            if old is not None:
                self._spawn(self._attempts.close(old))
        else:
            book.address = book.address if self._line is not None else str(kept.target)
            self._spawn(self._attempts.close(line))

    # -- the held strand ---------------------------------------------------------------

    async def _held_beat(self, line: Channel, call: int) -> None:
        """One beat on the held connection; the caller says that it is busy."""
        run, sent, conn = self.run, self.run.clock.now(), self._line_conn
        try:
            echo = await line.beat()
        except asyncio.CancelledError:
            self.book.cut_short(sent, run.clock.now(), conn, call, "held")
            raise
        except ProbeError as error:
            self._held_busy = False
            if self._line is not line:
                return
            if self._gives_up:
                self.book.cut_short(sent, run.clock.now(), conn, call, "held")
                return
            polite = line.left_politely and not error.answered
            if polite:
                error.conclusive = False  # our question and its close crossed on the way
            self.book.bad(sent, run.clock.now(), conn, error, call, "held", line.facts)
            if polite:
                self.book.doubts.pop("held", None)  # what follows is asked anew
                await self._let_go(line)
                self._retry_at = min(self._retry_at, run.clock.now())
                self.wake.set()
            elif error.conclusive or line.lost is not None:
                self._held_failed(line, error, sent, run.clock.now())
            return
        finally:
            self._held_busy = False
        self.book.good(echo, conn, call, line.tcp(), "held", facts=line.facts)
        self._held_good.set()
        run.changed()
        if echo.ended - self._line_began >= run.timing.heartbeat and not self.book.down:
            self._strikes = 0

    def _held_failed(self, line: Channel, error: ProbeError, sent: float, noticed: float) -> None:
        """The held connection does not work any more."""
        if self._line is not line:
            return
        book, conn, age = self.book, self._line_conn, noticed - self._line_began
        tcp, facts = line.tcp(), line.facts
        self._line = None
        self._held_good.set()
        self.run.changed()
        if not error.conclusive:
            # It ended by a limit of our own: no drop, and nothing is known.
            book.doubts["held"] = error.reason, error.detail
            self._spawn(self._attempts.close(line))
            return
        if book.down and book.goes_on(sent, noticed):
            book.held_failed_too(error, conn=conn, age=age, facts=facts, tcp=tcp)
            self._spawn(self._attempts.close(line))
            return
        self._spawn(self._attempts.close(line))
        self._notice(error, sent, "held", conn=conn, age=age, line=line, tcp=tcp)

    async def _let_go(self, line: Channel) -> None:
        if self._line is line:
            self._line = None
            self._held_good.set()
        await self._attempts.close(line)

    # -- outages and second looks ------------------------------------------------------

    def _notice(
        self,
        error: ProbeError,
        sent: float,
        strand: Strand,
        *,
        conn: int | None = None,
        age: float | None = None,
        line: Channel | None = None,
        tcp: TcpSample | None = None,
    ) -> None:
        """Record an outage, let all legs beat at once, and look a second time."""
        run, book, noticed = self.run, self.book, self.run.clock.now()
        self._strikes += 1
        call = run.call_for(self, noticed)
        self.answered = max(self.answered, call)
        last = book.last_good[strand]
        book.drop(
            error,
            # A leg that never worked is down since we began to look, not since its first dial.
            began=self._looking_since if last is None else last,
            sent=sent,
            noticed=noticed,
            call=call,
            strand=strand,
            conn=conn,
            age=age,
            facts=line.facts if line is not None else error.facts or book.facts,
            tcp=tcp,
        )
        held = self._line
        if held is not None and call and not self._held_busy and not held.left_politely:
            self._held_good.clear()
            self._held_busy = True
            self._spawn(self._held_beat(held, call))
        self._spawn(self._second_look(call, noticed))

    async def _second_look(self, call: int, noticed: float) -> None:
        run, book = self.run, self.book
        await run.until(lambda: run.all_looked(call, self), noticed + SECOND_LOOK_SECONDS)
        began = run.clock.now()
        try:
            kept, tried = await self._dial(call)
        except asyncio.CancelledError:
            if run.clock.now() - began >= run.timing.connect_timeout:
                book.cut_second_look(began, run.clock.now(), self._line is not None)
            raise
        finally:
            self.done = max(self.done, call)
            run.changed()
        self._note_addresses(kept, tried)
        attempt = attempt_of(kept, self.leg, tried)
        if kept.error is None:
            held_failed = book.drops[-1].strand == "held"
            self._keep_or_close(kept, call, second_look=True)
            symptom = "cut" if held_failed else "blip"
            book.amend(symptom=symptom, attempt=attempt, recovered=kept.ended, lone=not held_failed)
            book.decided()
            if held_failed and self._strikes > 1 and self._line is not None:
                await self._let_go(self._line)  # do not reconnect as fast as connections die
                self._wait_before_retry()
            return
        if self._gives_up:
            book.cut_short(kept.started, kept.ended, kept.conn, call, "fresh")
            return
        book.bad(kept.started, kept.ended, kept.conn, kept.error, call, "fresh")
        if not kept.error.conclusive or book.own_doing(kept.error, kept.started, kept.ended):
            book.amend(attempt=attempt)
            book.decided()
            self._wait_before_retry()
            return
        book.looked_again(attempt, kept.error, held=self._line is not None)
        self._wait_before_retry()
        if self._line is not None:
            await self._refusing()

    async def _refusing(self) -> None:
        """Whether the held connection answers a beat that was sent after fresh ones failed."""
        run, book = self.run, self.book
        while self._line is not None and not self.over:
            sent = book.last_held_sent
            if sent is not None and sent >= book.drops[-1].noticed:
                book.turns_out("refusing")
                return
            if not self._held_busy:
                line = self._line
                if line.left_politely:
                    break
                if line.lost is not None:
                    self.wake.set()  # whoever watches the line lets go of it
                    await self._held_good.wait()
                    continue
                self._held_busy = True
                await self._held_beat(line, run.call_number)
                continue
            self._held_good.clear()
            await self._held_good.wait()
        if not self.over:
            book.turns_out("down")

    def _strike(self) -> None:
        self._strikes += 1
        self._wait_before_retry()

    def _wait_before_retry(self) -> None:
        timing = self.run.timing
        pause = min(timing.backoff * max(1, self._strikes), timing.backoff_max)
        self._retry_at = self.run.clock.now() + pause
        self.wake.set()

    async def _close_all(self) -> None:
        self._held_at_end = self.holding()
        self.closing = True
        self._line = None
        await self._idle.end()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._open, self._held_busy = 0, False  # some may have been cut before they began
        await self._attempts.close_all()
