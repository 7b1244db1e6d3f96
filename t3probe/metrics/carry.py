"""Counters that continue from run to run, and the text they are written as. Pure.

`increase()` over per-run counts is wrong: 1, then 1, reads as no increase. So whoever writes a
run's metrics reads what stands there, and writes the sum.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from t3probe.metrics.table import TABLE

if TYPE_CHECKING:
    from prometheus_client.core import Metric
    from prometheus_client.samples import Sample

__all__ = [
    "Key",
    "continued",
    "exposition",
    "filled",
    "labelled",
    "missing",
    "series",
]

Key = tuple[str, tuple[tuple[str, str], ...]]
"""A series: its sample name (with `_bucket`, `_total`, …) and its sorted labels. `le` is
written one way, whoever wrote it: the gateway says 1 where a direct scrape says 1.0."""

Labels = tuple[tuple[str, str], ...]

ORDER = {spec.name.removesuffix("_total"): number for number, spec in enumerate(TABLE)}
LEGS = "t3probe_disconnects"
"""The family in which every leg is, whatever was seen of it."""


def labelled(families: Iterable[Metric], labels: Mapping[str, str]) -> list[Metric]:
    """The same families with further labels on every series. A series' own labels win."""
    return [
        _like(one, [sample._replace(labels={**labels, **sample.labels}) for sample in one.samples])
        for one in families
    ]


def exposition(families: Iterable[Metric]) -> bytes:
    """The Prometheus text format, version 0.0.4, as UTF-8."""
    from prometheus_client.exposition import generate_latest
    from prometheus_client.registry import Collector

    class Once(Collector):
        def collect(self) -> Iterable[Metric]:
            return families

    return generate_latest(Once())


def series(families: Iterable[Metric], without: Iterable[str] = ()) -> dict[Key, float]:
    """Every series and its value; labels named in `without` are left out."""
    gone = frozenset(without)
    return {
        _key(sample.name, sample.labels, gone): sample.value
        for one in families
        for sample in one.samples
    }


def continued(fresh: Sequence[Metric], before: Mapping[Key, float]) -> list[Metric]:
    """What one run says, its counters and histograms raised by what stood there before.

    `before` must have the same labels as `fresh`. Series that only `before` has are dropped:
    what still belongs here is in `fresh`, at 0 if need be. Only a gauge that outlives its run
    (`t3probe_last_disconnect_timestamp`) is kept for the legs that `fresh` knows. A number
    that no counter can have, and a histogram that lacks a bucket or is torn, are taken as not
    there: their series begins anew, as after any reset.
    """
    out = []
    for one in fresh:
        if one.type == "counter":
            out.append(_like(one, [_raised(sample, before) for sample in one.samples]))
        elif one.type == "histogram":
            samples: list[Sample] = []
            for group in _groups(one).values():
                samples += _raised_histogram(one.name, group, before)
            out.append(_like(one, samples))
        else:
            out.append(one)
    return _in_order(_with_outliving(out, before))


def missing(there: Iterable[Metric], zeros: Iterable[Metric]) -> bool:
    """Whether any series of `zeros` is not `there`."""
    have = series(there)
    return any(key not in have for key in series(zeros))


def filled(there: Iterable[Metric], zeros: Iterable[Metric]) -> list[Metric]:
    """Everything that is `there`, as it is, and of `zeros` what is missing.

    A family of another type than the table's, and a histogram that lacks a bucket, give way to
    the zeros.
    """
    out = {one.name: one for one in there}
    for zero in zeros:
        old = out.get(zero.name)
        if old is None or old.type != zero.type:
            out[zero.name] = zero
            continue
        new, have = _groups(zero), _groups(old)
        for labels, group in new.items():
            if labels not in have or not _keys(group) <= _keys(have[labels]):
                have[labels] = group
        out[zero.name] = _like(zero, [sample for group in have.values() for sample in group])
    return _in_order(out.values())


def _with_outliving(fresh: list[Metric], before: Mapping[Key, float]) -> list[Metric]:
    known: set[frozenset[tuple[str, str]]] = set()
    for one in fresh:
        if one.name == LEGS:
            for sample in one.samples:
                known.add(frozenset(sample.labels.items() - {("reason", sample.labels["reason"])}))
    named = {one.name: one for one in fresh}
    for spec in TABLE:
        if not spec.outlives:
            continue
        family = named.get(spec.name)
        have = series([family] if family is not None else [])
        kept = [
            (labels, value)
            for (name, labels), value in before.items()
            if name == spec.name
            and (name, labels) not in have
            and frozenset(labels) in known
            and math.isfinite(value)
        ]
        if not kept:
            continue
        from prometheus_client.core import GaugeMetricFamily
        from prometheus_client.samples import Sample

        old = family.samples if family is not None else []
        named[spec.name] = GaugeMetricFamily(spec.name, spec.help)
        named[spec.name].samples = [
            *old,
            *(Sample(spec.name, dict(labels), value) for labels, value in kept),
        ]
    return list(named.values())


def _raised(sample: Sample, before: Mapping[Key, float]) -> Sample:
    old = before.get(_key(sample.name, sample.labels), 0.0)
    return sample._replace(value=sample.value + (old if _countable(old) else 0.0))


def _raised_histogram(
    name: str, group: Sequence[Sample], before: Mapping[Key, float]
) -> list[Sample]:
    """One labelled histogram. It continues as a whole or not at all."""
    old: dict[int, float] = {}
    buckets, counts = [], []
    for number, sample in enumerate(group):
        value = before.get(_key(sample.name, sample.labels), -1.0)
        if not _countable(value):
            return list(group)
        old[number] = value
        if sample.name == f"{name}_bucket":
            buckets.append(value)
        elif sample.name == f"{name}_count":
            counts.append(value)
    if buckets != sorted(buckets) or counts != buckets[-1:]:
        return list(group)
    return [one._replace(value=one.value + old[number]) for number, one in enumerate(group)]


def _groups(family: Metric) -> dict[Labels, list[Sample]]:
    """The samples of each labelled counter, gauge or histogram."""
    out: dict[Labels, list[Sample]] = {}
    for sample in family.samples:
        key = _key(sample.name, sample.labels, frozenset({"le"}))[1]
        out.setdefault(key, []).append(sample)
    return out


def _keys(group: Sequence[Sample]) -> set[Key]:
    return {_key(sample.name, sample.labels) for sample in group}


def _key(name: str, labels: Mapping[str, str], without: frozenset[str] = frozenset()) -> Key:
    return name, tuple(
        (key, _bound(value) if key == "le" else value)
        for key, value in sorted(labels.items())
        if key not in without
    )


def _bound(text: str) -> str:
    try:
        return repr(float(text))
    except ValueError:
        return text


def _countable(value: float) -> bool:
    return math.isfinite(value) and value >= 0


def _like(family: Metric, samples: Iterable[Sample]) -> Metric:
    from prometheus_client.core import Metric

    copy = Metric(family.name, family.documentation, family.type, family.unit)
    copy.samples = list(samples)
    return copy


def _in_order(families: Iterable[Metric]) -> list[Metric]:
    return sorted(families, key=lambda one: ORDER.get(one.name, len(ORDER)))
