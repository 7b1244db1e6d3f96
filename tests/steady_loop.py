"""An event loop on which only waiting takes time, so that no test depends on the machine's speed.

Its clock goes on while the loop waits for what comes next, and never by more than it wanted to
wait. What is computed in between takes the same little time on every machine, and standing still
while others have the processor takes none. Where both ends of every connection live in this loop, a
busy machine makes a test longer by everybody else's clock, and changes nothing by this one. Sockets
are real, and the kernel keeps its own time, which is not behind while `pace` is 1.
"""

from __future__ import annotations

import asyncio
import selectors
import time
from collections.abc import Mapping
from typing import Any

import pytest

WALL = 1_700_000_000.0
WOKEN_SECONDS = 0.005
"""The longest that a wait counts which a socket ended: whoever was woken may have had to wait for
the processor."""


TURN_SECONDS = 10e-6
"""What a turn of the loop takes."""


class SteadyClock(selectors.DefaultSelector):
    """A clock that is also the loop's selector: whoever waits in it lets the time pass."""

    def __init__(self) -> None:
        super().__init__()
        self._now = 1000.0
        self.pace = 1.0
        """How many seconds of this clock a second of waiting is. Above 1 the kernel's own time may
        fall behind: what it sends again, or has heard nothing of for so long."""

    def select(self, timeout: float | None = None) -> Any:
        began = time.monotonic()
        found = super().select(timeout if timeout is None else timeout / self.pace)
        waited = (time.monotonic() - began) * self.pace
        if found:
            waited = min(waited, WOKEN_SECONDS)
        if timeout is not None:
            waited = min(waited, max(0.0, timeout))
        self._now += waited + TURN_SECONDS
        return found

    def stand_still(self, seconds: float) -> None:
        """Let time pass in which nobody here runs, as when the process is stopped."""
        self._now += seconds

    def monotonic(self) -> float:
        return self._now

    def wall(self) -> float:
        return WALL + self._now

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(max(0.0, seconds))


class SteadyLoop(asyncio.SelectorEventLoop):
    """A loop on a clock of its own."""

    def __init__(self) -> None:
        self.clock = SteadyClock()
        super().__init__(self.clock)

    def time(self) -> float:
        return self.clock.monotonic()


def steady_loops(config: pytest.Config, item: pytest.Item) -> Mapping[str, type[SteadyLoop]]:
    """The hook `pytest_asyncio_loop_factories` for a conftest: its tests run on steady loops."""
    return {"steady": SteadyLoop}


def stand_still(seconds: float) -> None:
    """Let the running loop find that it stood still for so long."""
    clock = running_clock()
    assert clock is not None
    clock.stand_still(seconds)


def running_clock() -> SteadyClock | None:
    """The running loop's own clock; None when it has none and the system's are meant."""
    loop = asyncio.get_running_loop()
    return loop.clock if isinstance(loop, SteadyLoop) else None
