"""The Prometheus text format, version 0.0.4: the one writer of all that is delivered. Pure.

https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format

A `Sheet` collects values by name and labels into a group of metric families. Two values for one
series are merged, so that no exposition ever holds a series twice.
"""

from __future__ import annotations

import math
from bisect import bisect, bisect_left
from collections.abc import Callable, Iterable
from itertools import accumulate
from operator import add

from t3probe.deliver.metrics.carry import Family, Group, Histogram, Labels
from t3probe.deliver.metrics.table import BY_NAME, TABLE

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


ORDER = {spec.name: number for number, spec in enumerate(TABLE)}


def rendered(group: Group) -> bytes:
    """A group as text, UTF-8, in the order of the table; b"" when it has no series.

    Byte for byte what `prometheus_client.generate_latest` writes, in a third of its time.
    """
    lines: list[str] = []
    for name in sorted(group, key=lambda one: ORDER.get(one, len(ORDER))):
        if group[name].series:
            lines += _family(name, group[name])
    return "\n".join([*lines, ""]).encode()


def _family(name: str, family: Family) -> list[str]:
    text = family.help.replace("\\", "\\\\").replace("\n", "\\n")
    lines = [f"# HELP {name} {text}", f"# TYPE {name} {family.kind}"]
    for key, value in family.series.items():
        if isinstance(value, Histogram):
            lines += _histogram(name, key, value)
        else:
            lines.append(f"{name}{_labels(key)} {_number(value)}")
    return lines


def _histogram(name: str, key: Labels, value: Histogram) -> list[str]:
    place = bisect(key, ("le", ""))
    before = "".join([f"{one}," for one in _pairs(key[:place])])
    behind = "".join([f",{one}" for one in _pairs(key[place:])])
    buckets = zip((*map(repr, value.bounds), "+Inf"), (*value.cumulative, value.count), strict=True)
    return [
        *(f'{name}_bucket{{{before}le="{le}"{behind}}} {_number(count)}' for le, count in buckets),
        f"{name}_count{_labels(key)} {_number(value.count)}",
        f"{name}_sum{_labels(key)} {_number(value.sum)}",
    ]


def _labels(key: Labels) -> str:
    return f"{{{','.join(_pairs(key))}}}" if key else ""


def _pairs(key: Labels) -> list[str]:
    return [f'{label}="{_escaped(text)}"' for label, text in key]


def _escaped(text: str) -> str:
    if "\\" in text or '"' in text or "\n" in text:
        return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return text


def _number(value: float) -> str:
    """As `prometheus_client` writes it: with an exponent from a million on, as Go does."""
    text = repr(float(value))
    if -math.inf < value < 1e6:
        return text
    whole, _, rest = text.partition(".")
    if len(whole) < 7:  # Python wrote an exponent itself, or it is no number
        return {"inf": "+Inf", "-inf": "-Inf", "nan": "NaN"}.get(text, text)
    digits = f"{whole[1:]}{rest}".rstrip("0")
    return f"{whole[0]}{'.' if digits else ''}{digits}e+{len(whole) - 1:02d}"
