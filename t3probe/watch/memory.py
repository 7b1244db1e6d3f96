"""What is usual for a leg, remembered by the held mode itself: it reads no gateway.

Round trips are gathered a minute at a time. A minute is learned from when the next one is full,
so what is judged, the newest one or two minutes, is never part of what it is judged by.
"""

from __future__ import annotations

import msgspec

from t3probe.baseline import MIN_TRIPS, remembered
from t3probe.observation import Baseline, Beat

__all__ = ["Memory"]

MINUTE_SECONDS = 60.0
MAX_TRIPS = 1000
"""More round trips of one minute add nothing to its median."""


class Memory:
    """The usual round trip of one leg, from the moment this is made."""

    def __init__(self, moment: float, floor: float) -> None:
        """`moment` in seconds of the run's clock; `floor`: the deployment's `slow_floor`."""
        self.floor = floor
        self._known = Baseline()
        self._full: list[float] = []
        self._full_from = self._from = self._last = moment
        self._newest: list[float] = []

    @property
    def baseline(self) -> Baseline:
        """What was usual until the minutes that are under judgement."""
        return msgspec.structs.replace(self._known, until_seconds=self._full_from)

    def beat(self, beat: Beat) -> None:
        """A good beat. A minute with fewer than three of them goes on until it has them."""
        if beat.ended - self._from >= MINUTE_SECONDS and len(self._newest) >= MIN_TRIPS:
            self._known = remembered(self._known, self._full, self.floor)
            self._full, self._full_from = self._newest, self._from
            self._newest, self._from = [], self._last
        self._last = beat.ended
        if len(self._newest) < MAX_TRIPS:
            self._newest.append(beat.rtt_seconds)

    def drop(self) -> None:
        """The leg did not work: nothing is learned from this minute, as from such a run."""
        self._newest.clear()
