"""Made-up runs with known counts, and a scraper that adds up raw, reset-aware steps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from t3probe.deliver.metrics.carry import (
    DISCONNECTS,
    LOST,
    OVERLAPPED,
    RUN_TIMESTAMP,
    Family,
    Group,
    Histogram,
)
from t3probe.deliver.sinks import Batch, Receipt
from t3probe.deliver.sinks.pushgateway import Gateway, Pushgateway
from t3probe.deliver.sinks.spool import Spool
from t3probe.exchange.client import Login, Site

LEGS = ("cloudflare", "internal", "t3serve")
REASONS = ("rtt_timeout", "closed_by_peer")
BOUNDS = (0.05, 0.1, 0.25, 1.0, 20.0)
DEAD = "http://127.0.0.1:1"
"""A port of loopback on which nobody listens."""


def run_families(
    drops: Mapping[tuple[str, str], int] | None = None,
    trips: Mapping[str, list[float]] | None = None,
    stamp: float | None = None,
) -> Group:
    """What a run says; without a stamp, the zeros of a start."""
    counter, rtt = Family("counter", "Drops."), Family("histogram", "Round trips.")
    for leg in LEGS:
        for reason in REASONS:
            key = ("leg", leg), ("reason", reason)
            counter.series[key] = float((drops or {}).get((leg, reason), 0))
        seen = (trips or {}).get(leg, [])
        steps = tuple(float(sum(trip <= one for trip in seen)) for one in BOUNDS)
        rtt.series[("leg", leg),] = Histogram(BOUNDS, steps, float(len(seen)), float(sum(seen)))
    group = {
        DISCONNECTS: counter,
        "t3probe_rtt_seconds": rtt,
        LOST: Family("counter", "Lost.", {(): 0.0}),
        OVERLAPPED: Family("counter", "Overlapped.", {(): 0.0}),
    }
    if stamp is not None:
        broken = {leg for leg, _ in drops or {}}
        group["t3probe_connected"] = Family(
            "gauge", "Connected.", {(("leg", leg),): float(leg not in broken) for leg in LEGS}
        )
        group[RUN_TIMESTAMP] = Family("gauge", "When.", {(): float(stamp)})
    return group


Series = tuple[str, tuple[tuple[str, str], ...]]


@dataclass
class Scraper:
    """What Prometheus would make of the samples it sees."""

    last: dict[Series, float] = field(default_factory=dict)
    steps: dict[Series, float] = field(default_factory=dict)

    def scrape(self, text: str) -> None:
        """Look once. A series' first value is no step; a smaller one is a reset."""
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                key = (sample.name, tuple(sorted(sample.labels.items())))
                if key in self.last:
                    before = self.last[key]
                    more = sample.value - before if sample.value >= before else sample.value
                    self.steps[key] = self.steps.get(key, 0.0) + more
                self.last[key] = sample.value

    def total(self, name: str) -> float:
        return sum(more for (one, _), more in self.steps.items() if one == name)

    def of(self, name: str, **labels: str) -> float:
        return sum(
            more
            for (one, have), more in self.steps.items()
            if one == name and labels.items() <= dict(have).items()
        )


class OneRun:
    """A run that can be pointed at another gateway between its start and its end."""

    def __init__(
        self, url: str, memory: Spool | None = None, vantage: str = "cluster", seconds: float = 5.0
    ) -> None:
        gateway = Gateway(
            url, "t3-probe", vantage, start_seconds=seconds, end_seconds=seconds, login=Login()
        )
        self.push = Pushgateway(gateway, memory)

    def at(self, url: str) -> OneRun:
        self.push.wire.site = Site(url)
        return self

    def start(self) -> Receipt:
        return self.push(Batch(run_families(), opening=True))

    def end(
        self,
        drops: Mapping[tuple[str, str], int] | None = None,
        trips: Mapping[str, list[float]] | None = None,
        stamp: float = 1.0,
    ) -> Receipt:
        return self.push(Batch(run_families(drops, trips, stamp)))


def spool(folder: Path, keep: bool = True) -> Spool:
    return Spool(folder, keep=keep)
