"""What the held mode remembers of each leg: counts for its life, blips of a minute, what is usual.

Observations keep minutes, counters go on for months: a beat or a drop is counted once, when it is
noted, into the same table of metrics that a run fills. A blip that stands alone is no drop, and two
on legs that share a segment are: they come one after another, so one is counted when the next one
comes, if it does so within a minute. What is usual for a leg is learned from its round trips, a
minute at a time, when the next one is full: what is judged is never part of what it is judged by.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable

import msgspec

from t3probe.config.types import Leg
from t3probe.deliver.metrics.exposition import Sheet
from t3probe.observation import REASONS, Baseline, Beat, Drop, Strand
from t3probe.probes import ONE_SHOT
from t3probe.verdict.limits.lives import Lives
from t3probe.verdict.slow.baseline import MIN_TRIPS, remembered


class LegCounts:
    """One leg's counters and histograms. An upstream has none, as in a run."""

    def __init__(self, leg: Leg) -> None:
        self.name = leg.name
        self.sheet = Sheet()
        self.drops = 0
        self.memory: Memory | None = None
        """What is usual for the leg; None for an upstream, as in a run."""
        self.lives = Lives()
        """Of its connections: how long they lived, and how they ended."""
        self._counts = not leg.upstream
        self._strand: Strand = "fresh" if leg.kind in ONE_SHOT else "held"
        if self._counts:
            for reason in REASONS:
                self.sheet.count("t3probe_disconnects_total", (self.name, reason), 0)
            self.sheet.observe("t3probe_connection_age_seconds", (self.name,), ())
            self.sheet.observe("t3probe_rtt_seconds", (self.name,), ())
            self.sheet.count("t3probe_observed_seconds_total", (self.name,), 0)

    def learn_anew(self, moment: float, floor: float) -> None:
        """The leg is a new one, or leads elsewhere now: nothing is known to be usual for it."""
        self.memory = Memory(moment, floor) if self._counts else None
        self.lives = Lives()

    def beat(self, beat: Beat) -> None:
        """A beat that says something about the leg. The round trips of fresh ones count only where
        no connection is held."""
        if self._counts and beat.ok and beat.strand == self._strand:
            self.sheet.observe("t3probe_rtt_seconds", (self.name,), (beat.rtt_seconds,))
            if self.memory is not None:
                self.memory.beat(beat)

    def observed(self, seconds: float) -> None:
        """For so long we were really looking."""
        if self._counts:
            self.sheet.count("t3probe_observed_seconds_total", (self.name,), seconds)

    def drop(self, drop: Drop, noticed_at: float) -> None:
        """A drop that counts; `noticed_at` in Unix seconds."""
        self.drops += 1
        if self.memory is not None:
            self.memory.drop()
        if not self._counts:
            return
        self.sheet.count("t3probe_disconnects_total", (self.name, drop.reason), 1)
        if drop.connection_age_seconds is not None:
            self.died(drop.connection_age_seconds)
        name = "t3probe_last_disconnect_timestamp"
        self.sheet.gauge(name, (self.name,), noticed_at, max)

    def died(self, age_seconds: float) -> None:
        """A held connection died."""
        if self._counts:
            self.sheet.observe("t3probe_connection_age_seconds", (self.name,), (age_seconds,))


BESIDE_SECONDS = 60.0
MOST = 1000
"""So many blips of the last minute are looked at: more of them have met one another already."""


class _Blip:
    def __init__(self, noticed: float, path: Iterable[str], count: Callable[[], None]) -> None:
        self.noticed, self.path = noticed, frozenset(path)
        self._count, self._counted = count, False

    def count(self) -> None:
        if not self._counted:
            self._counted = True
            self._count()


class Blips:
    """The newest blips of all legs."""

    def __init__(self) -> None:
        self._known: deque[_Blip] = deque(maxlen=MOST)

    def add(self, noticed: float, path: tuple[str, ...], count: Callable[[], None]) -> None:
        """A leg had a blip. `count` is called, once, when it has company: now or later."""
        while self._known and self._known[0].noticed < noticed - BESIDE_SECONDS:
            self._known.popleft()
        mine = _Blip(noticed, path, count)
        beside = [one for one in self._known if one.path & mine.path]
        self._known.append(mine)
        for one in [*beside, mine] if beside else []:
            one.count()


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
