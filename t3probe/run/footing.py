"""The prober's own footing: was our event loop on time while we measured?

When we stood still ourselves (a busy machine, a throttled container, SIGSTOP), whatever
failed meanwhile says nothing about the path.
"""

from __future__ import annotations

from t3probe.config.types import Timing
from t3probe.timing import RunClock

__all__ = ["Footing", "stall_threshold"]

STEP_SECONDS = 0.1
"""How often a run samples; a held mode that lasts for days need not look as often."""
_EDGE_SECONDS = 0.2
"""What is noticed this soon after a stall belongs to it."""


def stall_threshold(timing: Timing) -> float:
    """From what lateness of the loop on, in seconds, we no longer trust ourselves."""
    return max(0.25, min(1.0, timing.watchdog / 4))


class Footing:
    """Samples the loop's lateness for as long as `watch` runs.

    `step` is the time between two samples and `keep` how long a stall is remembered, both in
    seconds; None: to the end of the run.
    """

    def __init__(
        self,
        clock: RunClock,
        timing: Timing,
        *,
        step: float = STEP_SECONDS,
        keep: float | None = None,
    ) -> None:
        self._clock = clock
        self._step = step
        self._last = clock.now()
        self.worst_seconds = 0.0
        self.stalls: list[tuple[float, float]] = []
        self.use(timing, keep)

    def use(self, timing: Timing, keep: float | None) -> None:
        """From now on judge by this timing's threshold, and remember for so long."""
        self._threshold = stall_threshold(timing)
        self._keep = keep

    async def watch(self) -> None:
        """Sample until cancelled."""
        while True:
            self._last = self._clock.now()
            await self._clock.clock.sleep(self._step)
            self.look()

    def look(self) -> None:
        """Judge the time since the last sample; also called at the very end of a run."""
        now = self._clock.now()
        self.worst_seconds = max(self.worst_seconds, round(now - self._last - self._step, 6))
        self.stalls += self._unseen(now)
        self._last = now
        if self._keep is not None and self.stalls and self.stalls[0][1] < now - self._keep:
            self.stalls = [one for one in self.stalls if one[1] >= now - self._keep]

    def stalled(self, began: float, ended: float) -> bool:
        """Whether we stood still at some time in [began, ended] or just before its end."""
        return any(start <= ended and end + _EDGE_SECONDS >= began for start, end in self._all())

    def stood_still(self, began: float, ended: float) -> float:
        """For how long of [began, ended] we stood still, in seconds."""
        return sum(max(0.0, min(end, ended) - max(start, began)) for start, end in self._all())

    def _all(self) -> list[tuple[float, float]]:
        """The stalls, and the one that we come out of just now, if we do: whoever asks may run
        before the next sample."""
        return [*self.stalls, *self._unseen(self._clock.now())]

    def _unseen(self, now: float) -> list[tuple[float, float]]:
        late = now - self._last - self._step
        return [(self._last, now)] if late >= self._threshold else []
