"""The prober's own footing: was our event loop on time while we measured?

When we stood still ourselves (a busy machine, a throttled container, SIGSTOP), whatever
failed meanwhile says nothing about the path.
"""

from __future__ import annotations

from t3probe.config.types import Timing
from t3probe.timing import RunClock

__all__ = ["Footing", "stall_threshold"]

_STEP_SECONDS = 0.1
_EDGE_SECONDS = 0.2
"""What is noticed this soon after a stall belongs to it."""


def stall_threshold(timing: Timing) -> float:
    """From what lateness of the loop on, in seconds, we no longer trust ourselves."""
    return max(0.25, min(1.0, timing.watchdog / 4))


class Footing:
    """Samples the loop's lateness for as long as `watch` runs."""

    def __init__(self, clock: RunClock, timing: Timing) -> None:
        self._clock = clock
        self._threshold = stall_threshold(timing)
        self._last = clock.now()
        self.worst_seconds = 0.0
        self.stalls: list[tuple[float, float]] = []

    async def watch(self) -> None:
        """Sample until cancelled."""
        while True:
            self._last = self._clock.now()
            await self._clock.clock.sleep(_STEP_SECONDS)
            self.look()

    def look(self) -> None:
        """Judge the time since the last sample; also called at the very end of a run."""
        now = self._clock.now()
        late = now - self._last - _STEP_SECONDS
        self.worst_seconds = max(self.worst_seconds, round(late, 6))
        if late >= self._threshold:
            self.stalls.append((self._last, now))
        self._last = now

    def stalled(self, began: float, ended: float) -> bool:
        """Whether we stood still at some time in [began, ended] or just before its end."""
        return any(start <= ended and end + _EDGE_SECONDS >= began for start, end in self.stalls)
