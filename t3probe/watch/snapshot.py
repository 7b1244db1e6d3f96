"""What the held mode shows at one moment: made by the probing loop, read by another thread.

A snapshot never changes after it was made, so whoever answers a scrape needs no lock, and is
not held up by a loop that stands still.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from t3probe.deliver.metrics import families, rendered
from t3probe.deliver.metrics.carry import labelled
from t3probe.deliver.metrics.sheet import Sheet
from t3probe.observation import Observation, RunRecord
from t3probe.verdict.incident.run import RunVerdict

__all__ = ["CONTENT_TYPE", "Snapshot"]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

LIVING = (
    "t3probe_disconnects_total",
    "t3probe_rtt_seconds",
    "t3probe_connection_age_seconds",
    "t3probe_last_disconnect_timestamp",
    "t3probe_observed_seconds_total",
)
"""Families that count over the whole life; all others tell of the present, as after a run."""


@dataclass(frozen=True, eq=False)
class Snapshot:
    """The present as a run would have recorded it, and the counts of a lifetime."""

    record: RunRecord
    observations: Sequence[Observation]
    judged: RunVerdict
    counts: Sheet
    """A copy: nobody else writes into it."""

    def text(self) -> bytes:
        """The Prometheus text format, as UTF-8."""
        told = families(self.record, self.observations, self.judged)
        present = {name: family for name, family in told.items() if name not in LIVING}
        vantage = self.record.vantage
        whole = present | self.counts.families()
        return rendered(labelled(whole, {"vantage": vantage}) if vantage else whole)
