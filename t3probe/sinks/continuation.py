"""How counters go on from run to run. Pure: no socket, no clock, no file.

A run counts from zero; what is published must never step back. Here are the values of a
group as data, and the rules of joining them: `added` sums counts, `continued` puts a run's
counts on top of what a group holds, `missing` names the series that nobody has seen yet.

Of histograms the cumulative buckets go on as well. When the bounds changed, the old buckets
are read off at the new bounds: the count at a new bound is taken as that at the next lower
old one, so count, sum and every bound that both have stay exact, and none steps back.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from prometheus_client.core import Metric

__all__ = [
    "DISCONNECTS",
    "LOST",
    "OVERLAPPED",
    "RUN_TIMESTAMP",
    "Family",
    "Group",
    "Histogram",
    "Labels",
    "added",
    "continued",
    "counter",
    "counts",
    "drops",
    "excluding",
    "filled",
    "from_metrics",
    "key_of",
    "missing",
    "older",
    "overlapped",
    "rendered",
    "split",
    "total",
    "zeroed",
]

DISCONNECTS = "t3probe_disconnects_total"
LOST = "t3probe_counts_lost_total"
OVERLAPPED = "t3probe_runs_overlapped_total"
RUN_TIMESTAMP = "t3probe_run_timestamp_seconds"

CARRIED = frozenset({"t3probe_last_disconnect_timestamp"})
"""Gauges that a run without news leaves as they stand: their fact is older than the run."""

UPSTREAM_FAMILIES = "t3probe_backend_"
UPSTREAM_PREFIX = "envoy-"

Kind = Literal["counter", "gauge", "histogram"]
Labels = tuple[tuple[str, str], ...]
"""Label pairs sorted by name: one series inside its family."""


@dataclass(frozen=True)
class Histogram:
    """Cumulative buckets at finite upper bounds, the count (the bucket `+Inf`) and the sum."""

    bounds: tuple[float, ...]
    cumulative: tuple[float, ...]
    count: float
    sum: float

    def at(self, bounds: tuple[float, ...]) -> Histogram:
        """The same observations read off at other bounds; never more than there were."""
        if bounds == self.bounds:
            return self
        steps = (0.0, *self.cumulative)
        read = tuple(steps[bisect_right(self.bounds, one)] for one in bounds)
        return Histogram(bounds, read, self.count, self.sum)

    def plus(self, other: Histogram) -> Histogram:
        """Both together, at the bounds of `other`."""
        mine = self.at(other.bounds)
        together = tuple(a + b for a, b in zip(mine.cumulative, other.cumulative, strict=True))
        return Histogram(other.bounds, together, mine.count + other.count, mine.sum + other.sum)

    @property
    def empty(self) -> Histogram:
        """The same bounds with nothing observed."""
        return Histogram(self.bounds, (0.0,) * len(self.bounds), 0.0, 0.0)


@dataclass
class Family:
    """All series of one metric name. A counter's name ends in `_total`."""

    kind: Kind
    help: str = ""
    series: dict[Labels, float | Histogram] = field(default_factory=dict)


Group = dict[str, Family]
"""What one group of the gateway holds, or what one run wants to say: family by name."""


def key_of(labels: Mapping[str, str], without: Iterable[str] = ()) -> Labels:
    """The series these labels name, without those called `without`."""
    left_out = set(without)
    return tuple(sorted((k, v) for k, v in labels.items() if k not in left_out))


def from_metrics(metrics: Iterable[Metric], without: Iterable[str] = ()) -> Group:
    """Client-library families as a group; labels called `without` are the group's own.

    Anything that is neither counter nor histogram is a gauge here. Creation times are left
    out.
    """
    left_out = tuple(without)
    group: Group = {}
    for metric in metrics:
        if metric.type == "histogram":
            family = group.setdefault(metric.name, Family("histogram", metric.documentation))
            family.series.update(_histograms(metric, left_out))
            continue
        kind: Kind = "counter" if metric.type == "counter" else "gauge"
        name = f"{metric.name}_total" if kind == "counter" else metric.name
        family = group.setdefault(name, Family(kind, metric.documentation))
        for sample in metric.samples:
            if sample.name == name:
                family.series[key_of(sample.labels, left_out)] = float(sample.value)
    return group


def _histograms(metric: Metric, left_out: tuple[str, ...]) -> dict[Labels, Histogram]:
    buckets: dict[Labels, dict[float, float]] = {}
    sums: dict[Labels, float] = {}
    for sample in metric.samples:
        key = key_of(sample.labels, (*left_out, "le"))
        if sample.name == f"{metric.name}_bucket":
            buckets.setdefault(key, {})[float(sample.labels["le"])] = float(sample.value)
        elif sample.name == f"{metric.name}_sum":
            sums[key] = float(sample.value)
    return {key: histogram(found, sums.get(key, 0.0)) for key, found in buckets.items()}


def histogram(
    buckets: Mapping[float, float], total: float, count: float | None = None
) -> Histogram:
    """A histogram from cumulative buckets by upper bound; `le` 1 and 1.0 are the same bound."""
    bounds = tuple(sorted(one for one in buckets if not math.isinf(one)))
    cumulative = tuple(buckets[one] for one in bounds)
    return Histogram(bounds, cumulative, buckets.get(math.inf, count or 0.0), total)


def counter(name: str, value: float, labels: Labels = ()) -> Group:
    """A group of one counter."""
    return {name: Family("counter", series={labels: value})}


def counts(group: Group) -> Group:
    """Only what counts: counters and histograms that are not zero."""
    return _mapped(group, lambda value: value if _size(value) else None)


def zeroed(group: Group) -> Group:
    """All counters and histograms of `group`, at zero."""
    return _mapped(group, lambda value: value.empty if isinstance(value, Histogram) else 0.0)


def _mapped(group: Group, change: Callable[[float | Histogram], float | Histogram | None]) -> Group:
    result: Group = {}
    for name, family in group.items():
        if family.kind == "gauge":
            continue
        changed = {
            key: new for key, old in family.series.items() if (new := change(old)) is not None
        }
        if changed:
            result[name] = Family(family.kind, family.help, changed)
    return result


def _size(value: float | Histogram) -> float:
    return value.count if isinstance(value, Histogram) else value


def _sum(old: float | Histogram | None, new: float | Histogram) -> float | Histogram:
    """Old and new together; an old value of another kind counts for nothing."""
    if isinstance(new, Histogram):
        return old.plus(new) if isinstance(old, Histogram) else new
    return old + new if isinstance(old, float) else new


def added(*groups: Group) -> Group:
    """The sum of counts. Series that only one of them has are kept; gauges are left out."""
    result: Group = {}
    for group in groups:
        for name, family in group.items():
            if family.kind == "gauge":
                continue
            into = result.setdefault(name, Family(family.kind, family.help))
            into.help = into.help or family.help
            for key, value in family.series.items():
                into.series[key] = _sum(into.series.get(key), value)
    return result


def missing(wanted: Group, present: Group) -> Group:
    """Counters and histograms of `wanted` that `present` does not have under the same type."""
    result: Group = {}
    for name, family in wanted.items():
        if family.kind == "gauge":
            continue
        there = present.get(name)
        known = there.series if there is not None and there.kind == family.kind else {}
        new = {key: value for key, value in family.series.items() if key not in known}
        if new:
            result[name] = Family(family.kind, family.help, new)
    return result


def excluding(group: Group, others: Group) -> Group:
    """`group` without the series that `others` has."""
    result: Group = {}
    for name, family in group.items():
        out = others[name].series if name in others else {}
        left = {key: value for key, value in family.series.items() if key not in out}
        if left:
            result[name] = Family(family.kind, family.help, left)
    return result


def filled(group: Group, more: Group) -> Group:
    """`group`, and from `more` every series that it does not have."""
    result = {name: Family(f.kind, f.help, dict(f.series)) for name, f in group.items()}
    for name, family in more.items():
        into = result.setdefault(name, Family(family.kind, family.help))
        if into.kind != family.kind:
            # Another program's idea of this name: ours replaces it.
            into = result[name] = Family(family.kind, family.help)
        into.help = into.help or family.help
        for key, value in family.series.items():
            into.series.setdefault(key, value)
    return result


def continued(base: Group, own: Group, increments: Group | None = None) -> Group:
    """The group to write: the gauges of `own`, and its counts on top of those in `base`.

    `increments` replaces the counts of `own` (whose series they then still need to be). What
    only `base` has is dropped, so that a leg that left the deployment leaves the gateway too;
    but a gauge in `CARRIED` stays for legs that still count drops.
    """
    result: Group = {}
    legs = {_leg(key) for key in own.get(DISCONNECTS, Family("counter")).series}
    for name, family in own.items():
        old = base.get(name, family)
        old_series = old.series if old.kind == family.kind and old is not family else {}
        if family.kind == "gauge":
            result[name] = Family("gauge", family.help, dict(family.series))
            continue
        more = family if increments is None else increments.get(name, Family(family.kind))
        into: dict[Labels, float | Histogram] = {}
        for key, value in family.series.items():
            # Adding zero of our own first brings old buckets to the bounds now in force.
            zero = value.empty if isinstance(value, Histogram) else 0.0
            new = more.series.get(key, zero) if more.kind == family.kind else zero
            into[key] = _sum(_sum(old_series.get(key), zero), _sum(new, zero))
        result[name] = Family(family.kind, family.help, into)
    for name in CARRIED & base.keys():
        kept = {k: v for k, v in base[name].series.items() if _leg(k) in legs}
        if kept:
            into_family = result.setdefault(name, Family("gauge", base[name].help))
            into_family.series = {**kept, **into_family.series}
    return result


def _leg(key: Labels) -> str:
    return dict(key).get("leg", "")


def overlapped(before: Group, after: Group) -> bool:
    """Whether somebody counted into the group between these two looks at it."""
    stamps = [one.get(RUN_TIMESTAMP, Family("gauge")).series for one in (before, after)]
    newest = [max(map(_size, one.values()), default=0.0) for one in stamps]
    return newest[1] > newest[0] or _any_above(after, before)


def older(before: Group, after: Group) -> bool:
    """Whether a count stepped back between these two looks: the gateway has older state."""
    return _any_above(before, after)


def _any_above(high: Group, low: Group) -> bool:
    for name, family in high.items():
        there = low.get(name)
        if family.kind == "gauge" or there is None or there.kind != family.kind:
            continue
        for key, value in family.series.items():
            other = there.series.get(key)
            if other is not None and _size(value) > _size(other):
                return True
    return False


def total(group: Group, name: str) -> int:
    """The sum over all series of a counter."""
    return int(sum(map(_size, group.get(name, Family("counter")).series.values())))


def drops(group: Group) -> int:
    """How many drops these counts hold."""
    return total(group, DISCONNECTS)


def split(group: Group) -> tuple[Group, Group]:
    """The group's own series, and the gauges of upstreams, which go into a group beside it.

    Counts never do: one group carries all of them, so that one write delivers them.
    """
    main: Group = {}
    beside: Group = {}
    for name, family in group.items():
        for key, value in family.series.items():
            upstream = family.kind == "gauge" and (
                name.startswith(UPSTREAM_FAMILIES)
                or any(k in {"leg", "check"} and v.startswith(UPSTREAM_PREFIX) for k, v in key)
            )
            into = (beside if upstream else main).setdefault(name, Family(family.kind, family.help))
            into.series[key] = value
        if not family.series and not name.startswith(UPSTREAM_FAMILIES):
            main.setdefault(name, Family(family.kind, family.help))
    return main, beside


def rendered(group: Group) -> bytes:
    """The group in the Prometheus text format, version 0.0.4."""
    lines: list[str] = []
    for name, family in group.items():
        if not family.series:
            continue
        text = family.help.replace("\\", "\\\\").replace("\n", "\\n")
        lines += [f"# HELP {name} {text}", f"# TYPE {name} {family.kind}"]
        for key, value in family.series.items():
            pairs = ",".join([f'{label}="{_escaped(text)}"' for label, text in key])
            if isinstance(value, Histogram):
                lines += _histogram_lines(name, pairs, value)
            else:
                lines.append(f"{name}{{{pairs}}} {_number(value)}")
    return ("\n".join(lines) + "\n").encode()


def _histogram_lines(name: str, pairs: str, value: Histogram) -> list[str]:
    before = f"{pairs}," if pairs else ""
    lines = [
        f'{name}_bucket{{{before}le="{bound!r}"}} {_number(count)}'
        for bound, count in zip(value.bounds, value.cumulative, strict=True)
    ]
    return [
        *lines,
        f'{name}_bucket{{{before}le="+Inf"}} {_number(value.count)}',
        f"{name}_sum{{{pairs}}} {_number(value.sum)}",
        f"{name}_count{{{pairs}}} {_number(value.count)}",
    ]


def _escaped(text: str) -> str:
    if "\\" in text or '"' in text or "\n" in text:
        return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return text


def _number(value: float) -> str:
    if value == math.inf:
        return "+Inf"
    if value == -math.inf:
        return "-Inf"
    return "NaN" if value != value else repr(value)
