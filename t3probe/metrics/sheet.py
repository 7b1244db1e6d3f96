"""Collects values by name and labels and turns them into metric families.

Two values for one series are merged, so that no exposition ever holds a series twice.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from t3probe.metrics.table import BY_NAME, TABLE, Spec

if TYPE_CHECKING:
    from prometheus_client.core import Metric

__all__ = ["Sheet"]

LIMIT = 1e12
"""No count and no time is larger; a record that says so is wrong, and no sum may overflow."""

Labels = tuple[str, ...]


class Sheet:
    """Values of one run. Negative, endless and undefined numbers are not measurements."""

    def __init__(self) -> None:
        self._numbers: dict[str, dict[Labels, float]] = {}
        self._histograms: dict[str, dict[Labels, _Histogram]] = {}

    def gauge(
        self,
        name: str,
        labels: Labels,
        value: float,
        merge: Callable[[float, float], float] = max,
    ) -> None:
        """Set a gauge; `merge` decides between two values for one series."""
        if math.isfinite(value):
            series, key = self._numbers.setdefault(name, {}), _clean(labels)
            series[key] = merge(series[key], value) if key in series else value

    def count(self, name: str, labels: Labels, amount: float) -> None:
        """Add to a counter; by nothing, it exists at 0."""
        series, key = self._numbers.setdefault(name, {}), _clean(labels)
        series[key] = series.get(key, 0.0) + (amount if 0 <= amount <= LIMIT else 0.0)

    def observe(self, name: str, labels: Labels, values: Iterable[float]) -> None:
        """Put values into a histogram; without any, it exists at 0."""
        series, key = self._histograms.setdefault(name, {}), _clean(labels)
        if key not in series:
            series[key] = _Histogram(BY_NAME[name].buckets)
        for value in values:
            if 0 <= value <= LIMIT:
                series[key].observe(value)

    def absorb(self, other: Sheet) -> None:
        """Take over a copy of every series of `other`. None of them may be here yet."""
        for name, numbers in other._numbers.items():
            self._numbers.setdefault(name, {}).update(numbers)
        for name, histograms in other._histograms.items():
            copies = {labels: one.copy() for labels, one in histograms.items()}
            self._histograms.setdefault(name, {}).update(copies)

    def families(self) -> list[Metric]:
        """The families that have a series, in the table's order."""
        return [
            family
            for spec in TABLE
            if (family := self._family(spec)) is not None and family.samples
        ]

    def _family(self, spec: Spec) -> Metric | None:
        from prometheus_client.core import (
            CounterMetricFamily,
            GaugeMetricFamily,
            HistogramMetricFamily,
        )

        if spec.type == "histogram":
            histogram = HistogramMetricFamily(spec.name, spec.help, labels=spec.labels)
            for labels, one in self._histograms.get(spec.name, {}).items():
                histogram.add_metric(labels, one.cumulative(), one.sum)
            return histogram
        kind = CounterMetricFamily if spec.type == "counter" else GaugeMetricFamily
        family = kind(spec.name, spec.help, labels=spec.labels)
        for labels, value in self._numbers.get(spec.name, {}).items():
            family.add_metric(labels, value)
        return family


class _Histogram:
    """Counts per bucket, and the sum."""

    __slots__ = ("_bounds", "_counts", "sum")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def copy(self) -> _Histogram:
        made = _Histogram(self._bounds)
        made._counts, made.sum = list(self._counts), self.sum
        return made

    def observe(self, value: float) -> None:
        self._counts[bisect_left(self._bounds, value)] += 1
        self.sum += value

    def cumulative(self) -> list[tuple[str, float]]:
        out: list[tuple[str, float]] = []
        total = 0
        # `le` as prometheus_client writes it: 1.0, not 1.
        bounds = (*map(repr, self._bounds), "+Inf")
        for bound, count in zip(bounds, self._counts, strict=True):
            total += count
            out.append((bound, float(total)))
        return out


def _clean(labels: Labels) -> Labels:
    """UTF-8 has no lone surrogates; an edited record may."""
    if all(one.isascii() for one in labels):
        return labels
    return tuple(one.encode("utf-8", "backslashreplace").decode() for one in labels)
