"""What is counted over the life of the held mode, leg by leg, as it happens.

Observations keep minutes, counters go on for months: a beat or a drop is counted once, when it
is noted, into the same table of metrics that a run fills.
"""

from __future__ import annotations

from t3probe.config.types import Leg
from t3probe.metrics.sheet import Sheet
from t3probe.observation import REASONS, Beat, Drop, Strand
from t3probe.probes import ONE_SHOT
from t3probe.watch.memory import Memory

__all__ = ["Tally"]

_UPSTREAM = "envoy-"


class Tally:
    """One leg's counters and histograms. An upstream has none, as in a run."""

    def __init__(self, leg: Leg) -> None:
        self.name = leg.name
        self.sheet = Sheet()
        self.drops = 0
        self.memory: Memory | None = None
        """What is usual for the leg; None for an upstream, as in a run."""
        self._counts = not leg.name.startswith(_UPSTREAM)
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
