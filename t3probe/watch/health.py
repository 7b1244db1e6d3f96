"""Is the held mode alive? Written by the probing loop, read by the thread that answers HTTP."""

from __future__ import annotations

from dataclasses import dataclass

from t3probe.config.types import Timing
from t3probe.timing import Clock

__all__ = ["LOOP_LIMIT_SECONDS", "Health", "beat_limit"]

LOOP_LIMIT_SECONDS = 5.0
"""A loop that has not turned for so long stands still. It turns every second."""


def beat_limit(timing: Timing, holds: bool) -> float:
    """How long after the newest beat of all legs another one is overdue, in seconds.

    `holds` says whether any leg holds a connection; without one, only sweeps are made. An
    attempt may take the connect timeout twice and then the watchdog, and a drop two of them.
    """
    apart = timing.heartbeat if holds else timing.sweep_interval
    attempt = 2 * timing.connect_timeout + timing.watchdog
    return apart + max(timing.backoff_max, 2 * attempt)


@dataclass(frozen=True, slots=True)
class _Sign:
    """The newest sign of life. Replaced as a whole: a reader sees one or the other."""

    turned: float
    beat: float
    limit: float
    oldest: str


class Health:
    """Signs of life and their age. Times are of the monotonic clock, in seconds."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        now = clock.monotonic()
        self._sign = _Sign(now, now, float("inf"), "")

    def turned(self, beat_age: float, limit: float, oldest: str = "") -> None:
        """The loop turns; the newest beat of all legs is so old and may be as old as `limit`.

        `oldest` names the leg that waits longest for a beat.
        """
        now = self._clock.monotonic()
        self._sign = _Sign(now, now - beat_age, limit, oldest)

    def check(self) -> tuple[bool, str]:
        """Whether all is well, and one sentence."""
        sign, now = self._sign, self._clock.monotonic()
        still, silent = now - sign.turned, now - sign.beat
        if still > LOOP_LIMIT_SECONDS:
            return False, f"the probing loop has stood still for {still:.1f} s"
        if silent > sign.limit:
            return False, f"no leg has beaten for {silent:.1f} s, at most {sign.limit:g} s expected"
        last = f"; {sign.oldest} waits longest" if sign.oldest else ""
        return True, f"the loop turns, the newest beat is {max(0.0, silent):.1f} s old{last}"
