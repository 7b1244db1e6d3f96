"""The only module that reads a clock.

Monotonic time measures durations and sets deadlines; wall time stamps records and is never
used for a deadline. A run keeps all its times as seconds since its own start, on one
monotonic clock, and stores the wall time of that start once.
"""

from __future__ import annotations

import math
import time
from typing import Protocol

__all__ = ["Clock", "FakeClock", "RunClock", "SystemClock", "next_beat"]


class Clock(Protocol):
    """What a run needs of a clock. Tests put a `FakeClock` in its place."""

    def monotonic(self) -> float:
        """Seconds on a clock that never steps; only differences mean anything."""
        ...

    def wall(self) -> float:
        """Unix time in seconds; may step."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Suspend the calling task for `seconds` (at once, yielding, when <= 0)."""
        ...


class SystemClock:
    """The machine's clocks."""

    def monotonic(self) -> float:
        return time.monotonic()

    def wall(self) -> float:
        return time.time()

    async def sleep(self, seconds: float) -> None:
        import asyncio  # not by those who only want to know the time: it takes long to load

        await asyncio.sleep(max(0.0, seconds))


class FakeClock:
    """A clock that stands still until somebody sleeps on it.

    `sleep` advances it at once and yields, so that a test of hours takes milliseconds.
    """

    def __init__(self, wall: float = 1_700_000_000.0, monotonic: float = 0.0) -> None:
        self._wall = wall
        self._monotonic = monotonic

    def monotonic(self) -> float:
        return self._monotonic

    def wall(self) -> float:
        return self._wall

    def advance(self, seconds: float) -> None:
        """Let `seconds` pass on both clocks."""
        self._monotonic += seconds
        self._wall += seconds

    async def sleep(self, seconds: float) -> None:
        import asyncio

        self.advance(max(0.0, seconds))
        await asyncio.sleep(0)


class RunClock:
    """Seconds since the start of one run, rounded to the microsecond.

    Rounding at the source keeps a record equal to itself after JSON.
    """

    def __init__(self, clock: Clock | None = None) -> None:
        self.clock: Clock = clock or SystemClock()
        self.started_at = round(self.clock.wall(), 6)
        """Unix time of the run's start, in seconds."""
        self._origin = self.clock.monotonic()

    def now(self) -> float:
        """Seconds since the run's start."""
        return round(self.clock.monotonic() - self._origin, 6)

    def wall_at(self, moment: float) -> float:
        """Unix time of `moment`, by what the wall clock says now.

        Over days the wall clock is set and slewed; the run's start plus what has passed since
        would keep the mistake that it had then.
        """
        return round(self.clock.wall() - (self.now() - moment), 6)

    async def sleep_until(self, moment: float) -> None:
        """Sleep until `moment`, in seconds since the run's start."""
        await self.clock.sleep(moment - self.now())


def next_beat(now: float, heartbeat: float) -> float:
    """The next multiple of `heartbeat` after `now`, so that beats do not drift by their length.

    What lies less than a millionth of a heartbeat ahead counts as now: a clock that rounds must
    not make two beats of one.
    """
    return round((math.floor(now / heartbeat + 1e-6) + 1) * heartbeat, 6)
