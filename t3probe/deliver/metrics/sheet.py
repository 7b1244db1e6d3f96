"""Collects values by name and labels into a group of metric families.

Two values for one series are merged, so that no exposition ever holds a series twice.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Iterable
from itertools import accumulate
from operator import add

from t3probe.deliver.metrics.carry import Family, Group, Histogram
from t3probe.deliver.metrics.table import BY_NAME, TABLE

__all__ = ["Sheet"]

LIMIT = 1e12
"""No count and no time is larger; a record that says so is wrong, and no sum may overflow."""

Values = tuple[str, ...]
"""Of a series' labels, in the order of the table."""


class Sheet:
    """Values of one run. Negative, endless and undefined numbers are not measurements."""

    def __init__(self) -> None:
        self._numbers: dict[str, dict[Values, float]] = {}
        self._histograms: dict[str, dict[Values, Histogram]] = {}

    def gauge(
        self,
        name: str,
        labels: Values,
        value: float,
        merge: Callable[[float, float], float] = max,
    ) -> None:
        """Set a gauge; `merge` decides between two values for one series."""
        if math.isfinite(value):
            series, key = self._numbers.setdefault(name, {}), _clean(labels)
            series[key] = float(merge(series[key], value) if key in series else value)

    def count(self, name: str, labels: Values, amount: float) -> None:
        """Add to a counter; by nothing, it exists at 0."""
        series, key = self._numbers.setdefault(name, {}), _clean(labels)
        series[key] = series.get(key, 0.0) + (amount if 0 <= amount <= LIMIT else 0.0)

    def observe(self, name: str, labels: Values, values: Iterable[float]) -> None:
        """Put values into a histogram; without any, it exists at 0."""
        series, key = self._histograms.setdefault(name, {}), _clean(labels)
        bounds = BY_NAME[name].buckets
        old = series.get(key) or Histogram(bounds, (0.0,) * len(bounds), 0.0, 0.0)
        steps, total = [0.0] * (len(bounds) + 1), old.sum
        for value in values:
            if 0 <= value <= LIMIT:
                steps[bisect_left(bounds, value)] += 1
                total += value
        *more, count = accumulate(steps)
        below = tuple(map(add, old.cumulative, more))
        series[key] = Histogram(bounds, below, old.count + count, total)

    def absorb(self, other: Sheet) -> None:
        """Take over every series of `other` as it is now. None of them may be here yet."""
        for name, numbers in other._numbers.items():
            self._numbers.setdefault(name, {}).update(numbers)
        for name, histograms in other._histograms.items():
            self._histograms.setdefault(name, {}).update(histograms)

    def families(self) -> Group:
        """The families that have a series, in the table's order."""
        found: Group = {}
        for spec in TABLE:
            series = self._numbers.get(spec.name) or self._histograms.get(spec.name)
            if series:
                found[spec.name] = Family(spec.type, spec.help)
                for values, value in series.items():
                    key = tuple(sorted(zip(spec.labels, values, strict=True)))
                    found[spec.name].series[key] = value
        return found


def _clean(labels: Values) -> Values:
    """UTF-8 has no lone surrogates; an edited record may."""
    if "".join(labels).isascii():
        return labels
    return tuple(one.encode("utf-8", "backslashreplace").decode() for one in labels)
