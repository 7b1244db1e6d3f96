"""Counters, histograms and gauges that outlive a run: how they go on. Pure: no file, no socket.

A run counts from zero; what is published must never step back: `increase()` over per-run counts
is wrong, as 1, then 1, reads as no increase. So whoever writes a run's metrics reads what stands
there, and writes the sum. Here are the values of a group of series as data (`Group`), and the
rules of joining them. Two readers make a `Group` of what stands there: `standing` of the
families in a file's text, and `t3probe.deliver.sinks.gateway` of the gateway's JSON.
No group is changed once it was made: every function here makes a new one.

Of histograms the cumulative buckets go on as well. When the bounds changed, the old buckets
are read off at the new bounds: the count at a new bound is taken as that at the next lower
old one, so count, sum and every bound that both have stay exact, and none steps back.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Collection, Iterable, Mapping
from itertools import pairwise
from typing import TYPE_CHECKING, Literal

import msgspec

from t3probe.deliver.metrics.table import TABLE
from t3probe.observation import Baseline
from t3probe.text.names import INGEST_LEG
from t3probe.verdict.slow.baseline import from_buckets

if TYPE_CHECKING:
    from prometheus_client.core import Metric

BASELINE = "t3probe_rtt_baseline_seconds"
DISCONNECTS = "t3probe_disconnects_total"
LOST = "t3probe_counts_lost_total"
OVERLAPPED = "t3probe_runs_overlapped_total"
RTT = "t3probe_rtt_seconds"
SINCE = "t3probe_segment_since_timestamp_seconds"
RUN_TIMESTAMP = "t3probe_run_timestamp_seconds"

OF_SEGMENTS = ("t3probe_segment_", "t3probe_verdict_info")

CARRIED = tuple(spec.name for spec in TABLE if spec.outlives)
"""Gauges that a run without news leaves as they stand: their fact is older than the run."""

Kind = Literal["counter", "gauge", "histogram"]
Labels = tuple[tuple[str, str], ...]
"""Label pairs sorted by name: one series inside its family."""


class Histogram(msgspec.Struct, frozen=True):
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


class Family(msgspec.Struct):
    """All series of one metric name. A counter's name ends in `_total`."""

    kind: Kind
    help: str = ""
    series: dict[Labels, float | Histogram] = {}


Group = dict[str, Family]
"""What stands somewhere, or what one run wants to say: family by name."""

# -- reading -----------------------------------------------------------------------------


def key_of(labels: Mapping[str, str], without: Collection[str] = ()) -> Labels:
    """The series these labels name, without those called `without`."""
    return tuple(sorted([pair for pair in labels.items() if pair[0] not in without]))


def from_metrics(metrics: Iterable[Metric]) -> Group:
    """The families of a text that the client library parsed, as a group.

    Anything that is neither counter nor histogram is a gauge here. Creation times are left out,
    and so are values that no such series can have (`sane`).
    """
    group: Group = {}
    for metric in metrics:
        if metric.type == "histogram":
            family = group.setdefault(metric.name, Family("histogram", metric.documentation))
            family.series.update(_histograms(metric))
            continue
        kind: Kind = "counter" if metric.type == "counter" else "gauge"
        name = f"{metric.name}_total" if kind == "counter" else metric.name
        family = group.setdefault(name, Family(kind, metric.documentation))
        for sample in metric.samples:
            value = float(sample.value)
            if sample.name == name and (kind == "gauge" or sane(value)):
                family.series[key_of(sample.labels)] = value
    return group


def standing(families: Iterable[Metric], own: Group) -> Group:
    """What the text of a file holds, as far as `own` can go on from it.

    Text can be damaged line by line. So a histogram that lacks a bucket of `own` is taken as not
    there, and begins anew as after any reset; the gateway's JSON is whole or no JSON.
    """
    group = from_metrics(families)
    for name, family in group.items():
        wanted = own[name].series if name in own else {}
        for key, new in wanted.items():
            old = family.series.get(key)
            if (
                isinstance(old, Histogram)
                and isinstance(new, Histogram)
                and not set(new.bounds) <= set(old.bounds)
            ):
                del family.series[key]
    return group


def _histograms(metric: Metric) -> dict[Labels, Histogram]:
    buckets: dict[Labels, dict[float, float]] = {}
    sums: dict[Labels, float] = {}
    sizes: dict[Labels, float] = {}
    for sample in metric.samples:
        key, value = key_of(sample.labels, ("le",)), float(sample.value)
        if sample.name == f"{metric.name}_bucket":
            buckets.setdefault(key, {})[_bound(sample.labels.get("le", ""))] = value
        elif sample.name == f"{metric.name}_sum":
            sums[key] = value
        elif sample.name == f"{metric.name}_count":
            sizes[key] = value
    found = {
        key: histogram(steps, sums.get(key, math.nan), sizes.get(key, math.nan))
        for key, steps in buckets.items()
        if math.inf in steps
    }
    return {key: one for key, one in found.items() if sane(one)}


def _bound(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def histogram(buckets: Mapping[float, float], total: float, count: float) -> Histogram:
    """A histogram from cumulative buckets by upper bound; `le` 1 and 1.0 are the same bound.

    Where the bucket `+Inf` contradicts the count, the count is NaN, which is not `sane`.
    """
    bounds = tuple(sorted(one for one in buckets if math.isfinite(one)))
    cumulative = tuple(buckets[one] for one in bounds)
    whole = count if buckets.get(math.inf, count) == count else math.nan
    return Histogram(bounds, cumulative, whole, total)


def sane(value: float | Histogram) -> bool:
    """Whether a counter or a histogram of ours can have this value."""
    if not isinstance(value, Histogram):
        return 0 <= value < math.inf
    steps = (0.0, *value.cumulative, value.count)
    return 0 <= value.sum < math.inf and all(
        low <= high < math.inf for low, high in pairwise(steps)
    )


# -- joining -----------------------------------------------------------------------------


def labelled(group: Group, labels: Mapping[str, str]) -> Group:
    """`group` with these labels on every series; a series' own label wins."""
    return {
        name: Family(
            family.kind,
            family.help,
            {key_of({**labels, **dict(key)}): value for key, value in family.series.items()},
        )
        for name, family in group.items()
    }


def of_shard(group: Group, shard: int | None) -> Group:
    """What a run of this shard publishes. Shard 0 has the legs; what another one knows of a
    segment is next to nothing."""
    if not shard:
        return group
    return {name: family for name, family in group.items() if not name.startswith(OF_SEGMENTS)}


def counter(name: str, value: float, labels: Labels = ()) -> Group:
    """A group of one counter."""
    return {name: Family("counter", series={labels: value})}


def counts(group: Group) -> Group:
    """Only what counts: counters and histograms that are not zero."""
    return _mapped(group, lambda value: value if size(value) else None)


def zeroed(group: Group) -> Group:
    """All counters and histograms of `group`, at zero."""
    return _mapped(group, _zero)


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


def size(value: float | Histogram) -> float:
    """A number's value; how many observations a histogram has."""
    return value.count if isinstance(value, Histogram) else value


def _zero(value: float | Histogram) -> float | Histogram:
    return value.empty if isinstance(value, Histogram) else 0.0


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
    """What to write: the gauges of `own`, and its counts on top of those in `base`.

    `increments` replaces the counts of `own` (whose series they then still need to be). What
    only `base` has is dropped, so that a leg that left the deployment leaves this place too;
    but a gauge in `CARRIED` stays for legs that still count drops.
    """
    result: Group = {}
    for name, family in own.items():
        old = base.get(name, family)
        old_series = old.series if old.kind == family.kind and old is not family else {}
        if family.kind == "gauge":
            result[name] = Family("gauge", family.help, dict(family.series))
            if name == SINCE:
                result[name].series |= _earlier(family.series, old_series)
            continue
        more = family if increments is None else increments.get(name, Family(family.kind))
        into: dict[Labels, float | Histogram] = {}
        for key, value in family.series.items():
            # Adding zero of our own first brings old buckets to the bounds now in force.
            zero = _zero(value)
            new = more.series.get(key, zero) if more.kind == family.kind else zero
            into[key] = _sum(_sum(old_series.get(key), zero), _sum(new, zero))
        result[name] = Family(family.kind, family.help, into)
    legs = {
        tuple(pair for pair in key if pair[0] != "reason")
        for key in own.get(DISCONNECTS, Family("counter")).series
    }
    for name in CARRIED:
        there = base.get(name, Family("gauge"))
        kept = {
            key: value
            for key, value in there.series.items()
            if _leg_of(key) in legs and not isinstance(value, Histogram) and math.isfinite(value)
        }
        if kept:
            into_family = result.setdefault(name, Family("gauge", there.help))
            into_family.series = {**kept, **into_family.series}
    return result


def _earlier(
    new: Mapping[Labels, float | Histogram], old: Mapping[Labels, float | Histogram]
) -> dict[Labels, float | Histogram]:
    """Of moments since when something is so, those that stood there before and are earlier."""
    return {
        key: before
        for key, now in new.items()
        if isinstance(before := old.get(key), float) and isinstance(now, float) and 0 < before < now
    }


def _leg_of(key: Labels) -> Labels:
    """The leg that a gauge is about: an ingest gate is looked at by the leg `ingest-NAME`."""
    gate = dict(key).get("gate")
    return key if gate is None else (("leg", f"{INGEST_LEG}{gate}"),)


def total(group: Group, name: str) -> int:
    """The sum over all series of a counter."""
    return int(sum(map(size, group.get(name, Family("counter")).series.values())))


def drops(group: Group) -> int:
    """How many drops these counts hold."""
    return total(group, DISCONNECTS)


def baselines(group: Group | None) -> dict[str, Baseline]:
    """What is usual for every leg that has a histogram there; empty when nothing could be read."""
    held = group or {}
    gauges = {
        dict(key).get("leg", ""): value
        for key, value in held.get(BASELINE, Family("gauge")).series.items()
        if not isinstance(value, Histogram) and math.isfinite(value) and value > 0
    }
    found: dict[str, Baseline] = {}
    for key, value in held.get(RTT, Family("histogram")).series.items():
        leg = dict(key).get("leg")
        if leg is not None and isinstance(value, Histogram):
            found[leg] = from_buckets(value.bounds, value.cumulative, value.count, gauges.get(leg))
    return found
