"""What the held mode shows at one moment: made by the probing loop, read by another thread.

A snapshot never changes after it was made, so whoever answers a scrape needs no lock, and is
not held up by a loop that stands still.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from t3probe.metrics import BY_NAME, TABLE, families
from t3probe.metrics.sheet import Sheet
from t3probe.observation import Observation, RunRecord
from t3probe.verdict.run import RunVerdict

if TYPE_CHECKING:
    from prometheus_client.core import Metric

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
_ORDER = {one.name.removesuffix("_total"): number for number, one in enumerate(TABLE)}


@dataclass(frozen=True, eq=False)
class Snapshot:
    """The present as a run would have recorded it, and the counts of a lifetime."""

    record: RunRecord
    observations: Sequence[Observation]
    judged: RunVerdict
    counts: Sheet
    """A copy: nobody else writes into it."""

    def collect(self) -> list[Metric]:
        """All families, in the table's order; a collector of the client library's kind."""
        assert all(name in BY_NAME for name in LIVING)
        living = {name.removesuffix("_total") for name in LIVING}
        told = families(self.record, self.observations, self.judged)
        both = [one for one in told if one.name not in living] + self.counts.families()
        both.sort(key=lambda one: _ORDER.get(one.name, len(_ORDER)))
        vantage = self.record.vantage
        return list(_labelled(both, {"vantage": vantage}) if vantage else both)

    def text(self) -> bytes:
        """The Prometheus text format, as UTF-8."""
        from prometheus_client.exposition import generate_latest
        from prometheus_client.registry import CollectorRegistry

        registry = CollectorRegistry()
        registry.register(self)  # it has what a collector needs
        return generate_latest(registry)


def _labelled(some: Iterable[Metric], labels: dict[str, str]) -> Iterable[Metric]:
    for one in some:
        one.samples = [
            sample._replace(labels={**labels, **sample.labels}) for sample in one.samples
        ]
        yield one
