"""The Pushgateway's own account of its groups (`GET /api/v1/metrics`), read into `Group`s.

The answer has no filter: it holds every group there is. Only those asked for are looked into.
Its form (pushgateway 1.x, README, section "Query API"): `data` is a list of objects, each with
`labels` (the grouping key), `last_push_successful`, and one object per family with `type`,
`help` and `metrics`. Every series repeats the group's labels and has an empty `instance`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import msgspec

from t3probe.sinks.continuation import Family, Group, Histogram, Kind, histogram, key_of

__all__ = ["NotMetricsError", "read_groups"]

KINDS: dict[str, Kind] = {
    "COUNTER": "counter",
    "GAUGE": "gauge",
    "UNTYPED": "gauge",
    "HISTOGRAM": "histogram",
}
OF_THE_GATEWAY = frozenset({"labels", "push_time_seconds", "push_failure_time_seconds"})


class NotMetricsError(ValueError):
    """The answer is not what a Pushgateway says."""


class _Series(msgspec.Struct):
    labels: dict[str, str]
    value: str = ""
    buckets: dict[str, str] = {}
    count: str = ""
    sum: str = ""


class _Family(msgspec.Struct):
    type: str
    metrics: list[_Series]
    help: str = ""


class _Answer(msgspec.Struct):
    data: list[dict[str, msgspec.Raw]]
    status: str = ""


_ANSWER = msgspec.json.Decoder(_Answer)
_LABELS = msgspec.json.Decoder(dict[str, str])
_FAMILY = msgspec.json.Decoder(_Family)


def read_groups(body: bytes | bytearray, keys: Sequence[Mapping[str, str]]) -> list[Group]:
    """The group under each grouping key, empty where there is none. Raises NotMetricsError."""
    found: list[Group] = [{} for _ in keys]
    try:
        for raw in _ANSWER.decode(body).data:
            labels = _LABELS.decode(raw["labels"])
            for number, key in enumerate(keys):
                if labels == {name: value for name, value in key.items() if value}:
                    found[number] = _group(raw, {*key, "instance"})
    except (msgspec.MsgspecError, UnicodeDecodeError, KeyError, RecursionError) as error:
        raise NotMetricsError(str(error)) from error
    return found


def _group(raw: Mapping[str, msgspec.Raw], without: set[str]) -> Group:
    group: Group = {}
    for name, content in raw.items():
        if name in OF_THE_GATEWAY or bytes(memoryview(content)[:1]) != b"{":
            continue
        family = _FAMILY.decode(content)
        kind = KINDS.get(family.type)
        if kind is None:
            continue  # a summary: nothing of ours
        into = group[name] = Family(kind, family.help)
        for series in family.metrics:
            value = _value(kind, series)
            if value is not None:
                into.series[key_of(series.labels, without)] = value
    return group


def _value(kind: Kind, series: _Series) -> float | Histogram | None:
    """A series' value; None when no such series could have written it: it begins anew."""
    try:
        if kind == "gauge":
            return float(series.value)
        if kind == "counter":
            value = float(series.value)
            return value if math.isfinite(value) and value >= 0 else None
        buckets = {float(bound): float(count) for bound, count in series.buckets.items()}
        whole = histogram(buckets, float(series.sum), float(series.count))
    except ValueError:
        return None
    steps = [*whole.cumulative, whole.count]
    sane = steps == sorted(steps) and steps[0] >= 0 and math.isfinite(steps[-1])
    return whole if sane and math.isfinite(whole.sum) else None
