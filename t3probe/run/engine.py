"""What legs need of the run: one clock, one footing, common beats.

A run (`t3probe.run.controller`) and the held mode (`t3probe.watch`) are this same engine with
two different ends: what a leg does when it drops is decided here and in `leg`, once for both.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol
from urllib.parse import urlsplit

from t3probe.config.endpoints import is_address, plain_host
from t3probe.config.types import Deployment, Leg
from t3probe.probes.base import Probing
from t3probe.probes.marks import Marks
from t3probe.probes.resolve import Resolver, split_address
from t3probe.probes.tls import TlsStore
from t3probe.run.book import Book
from t3probe.run.footing import Footing
from t3probe.timing import RunClock

MAX_CONNECTS_AT_ONCE = 64
MOST_CALLS, MOST_CALLS_OF_ONE = 10, 3
"""Common beats that all legs, and that one leg, may call in a heartbeat."""
CALLS_APART_SECONDS = 1.0


class Member(Protocol):
    """A leg as the engine knows it; `t3probe.run.leg.LegRun` is the one there is."""

    leg: Leg
    book: Book
    muted: bool
    """Whether its drops call no common beat for now."""
    wake: asyncio.Event
    looked: int
    """The newest common beat whose fresh beat is over."""
    answered: int
    """The newest common beat that it is through with."""
    retired: bool
    """Whether it beats no more."""

    @property
    def settled(self) -> bool:
        """Whether its first attempt is over."""


class Engine:
    """Legs in one event loop, woken together."""

    holds = True
    """Whether connections are held; a run with a hold of 0 makes one fresh beat of each leg."""
    lasting = False
    """Whether there is no end in sight: then nothing is final, and everything is bounded."""
    ends_hold = math.inf
    """When the hold is over, on the run's clock."""
    resolve_again: float | None = None
    """How old an answer about a name may be, in seconds, when a leg reconnects. None: it is
    asked once."""

    def __init__(self, deployment: Deployment, clock: RunClock, footing: Footing) -> None:
        self.deployment = deployment
        self.timing = deployment.timing
        self.clock = clock
        self.footing = footing
        self.probing = Probing(
            clock=clock,
            timing=self.timing,
            sso=deployment.sso,
            tls=TlsStore(deployment.tls_ca),
            crowd=asyncio.Semaphore(MAX_CONNECTS_AT_ONCE),
            internal_addresses=internal_addresses(deployment),
            marks=Marks(deployment.marks, deployment.paths),
            lasting=self.lasting,
        )
        self.resolver = Resolver(self.resolve_again)
        self.call_number = 0
        self.first_call = 0
        """The number of the common beat that no drop called."""
        self.hold_over = False
        self.finished = False
        self.interrupted = False
        self.legs: Sequence[Member] = ()
        self._working = 0
        self._called: deque[tuple[float, Member]] = deque()
        self._changed = asyncio.Event()

    # -- what the legs use ---------------------------------------------------------------

    def new_book(self, leg: Leg) -> Book:
        """What a leg is to write into."""
        return Book(leg, self.clock.now(), self.footing)

    def interval(self, leg: Leg, down: bool) -> float:
        """The time between two beats of a leg, in seconds."""
        return self.timing.heartbeat

    def looks_anew(self, leg: Leg) -> None:
        """A regular beat of this leg is about to begin."""

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
        """Something happened that the end of the run, or somebody else here, waits for."""
        self._changed.set()

    def call(self) -> int:
        """Call a common beat: every leg beats at once. Its number."""
        self.call_number += 1
        self.wake_all()
        return self.call_number

    def call_for(self, leg: Member, now: float) -> int:
        """Call a common beat because this leg dropped; 0 when that is too much.

        A leg calls at most one a second, all together ten in a heartbeat. One that called three
        in a heartbeat, or is under planned downtime, calls none until it was well for one.
        """
        heartbeat = self.timing.heartbeat
        while self._called and self._called[0][0] <= now - max(heartbeat, CALLS_APART_SECONDS):
            self._called.popleft()
        if leg.muted and leg.book.well_for(now) < heartbeat:
            return 0
        leg.muted = bool(self.planned(leg.leg))
        mine = [at for at, who in self._called if who is leg]
        recent = sum(at > now - heartbeat for at, _ in self._called)
        if leg.muted or recent >= MOST_CALLS:
            return 0
        if mine and now - mine[-1] < CALLS_APART_SECONDS:
            return 0
        self._called.append((now, leg))
        leg.muted = sum(at > now - heartbeat for at in mine) + 1 >= MOST_CALLS_OF_ONE
        return self.call()

    def planned(self, leg: Leg) -> str:
        """The planned downtime that the leg is under now, as a sentence, or ""."""
        return ""

    def all_looked(self, call: int, but: Member) -> bool:
        """Whether the fresh beat of every other leg in this common beat is over."""
        return all(leg.retired or leg.looked >= call for leg in self.legs if leg is not but)

    def wake_all(self) -> None:
        """Let every leg look at what there is to do."""
        for leg in self.legs:
            leg.wake.set()

    # -- for those who run it --------------------------------------------------------------

    @property
    def quiet(self) -> bool:
        """Whether no beat is open, and every common beat is answered."""
        # A leg whose task has not begun yet is not working either, hence `settled`.
        return self._working == 0 and all(
            leg.settled and (leg.retired or leg.answered >= self.call_number) for leg in self.legs
        )

    async def until(self, done: Callable[[], bool], moment: float) -> None:
        """Until `done`, or `moment` in seconds of the run's clock, or the end."""
        moment = round(moment, 6)  # as the clock does
        while not (done() or self.finished):
            left = moment - self.clock.now()
            if left <= 0:
                return
            self._changed.clear()
            try:
                async with asyncio.timeout(left):
                    await self._changed.wait()
            except TimeoutError:
                pass

    async def first_common_beat(self, limit: float) -> None:
        """Once every leg is up, or at `limit` on the run's clock, all beat together once more.

        After that each has a good beat before any other's last good one, so that whatever
        breaks from now on finds every other leg held through.
        """
        await self.until(lambda: all(leg.settled for leg in self.legs), limit)
        if not self.finished:
            self.first_call = self.call_number + 1  # known before any leg is woken
            self.call()


def left_loopback(task: asyncio.Task[None]) -> bool:
    """Whether a leg ended by an error that is not about the path: it tried to leave loopback."""
    return task.done() and not task.cancelled() and task.exception() is not None


def internal_addresses(deployment: Deployment) -> frozenset[str]:
    """Addresses that public DNS must never answer: pins, and literal ones of DoH-less legs. In
    the form of `plain_host`."""
    found: set[str] = set()
    for leg in deployment.legs:
        if leg.pin is not None:
            found.add(plain_host(split_address(leg.pin)[0]))
        elif leg.url is not None and not leg.doh:
            host = urlsplit(leg.url).hostname or ""
            if is_address(host):
                found.add(plain_host(host))
    return frozenset(found)
