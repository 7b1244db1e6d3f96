"""The Pushgateway's own account of its groups (`GET /api/v1/metrics`), read into a `Group`.

The answer has no filter: it holds every group there is. Only the one asked for is looked into.
Its form (pushgateway 1.x, README, section "Query API"): `data` is a list of objects, each with
`labels` (the grouping key), `last_push_successful`, and one object per family with `type`,
`help` and `metrics`. Every series repeats the group's labels and has an empty `instance`.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from t3probe.metrics.carry import Family, Group, Histogram, Kind, histogram, key_of, sane

__all__ = ["NotMetricsError", "read_group"]

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


def read_group(
    body: bytes | bytearray, key: Mapping[str, str], beside: Mapping[str, str]
) -> tuple[Group, bool]:
    """The group under a grouping key, empty where there is none, and whether `beside` has any.

    What lies beside is only ever replaced: of 10,000 upstreams no series need be read. Raises
    NotMetricsError.
    """
    found: Group = {}
    there = False
    wanted, other = ({k: v for k, v in one.items() if v} for one in (key, beside))
    try:
        for raw in _ANSWER.decode(body).data:
            labels = _LABELS.decode(raw["labels"])
            if labels == wanted:
                found = _group(raw, {*key, "instance"})
            elif labels == other:
                there = any(_is_family(name, content) for name, content in raw.items())
    except (msgspec.MsgspecError, UnicodeDecodeError, KeyError, RecursionError) as error:
        raise NotMetricsError(str(error)) from error
    return found, there


def _is_family(name: str, content: msgspec.Raw) -> bool:
    return name not in OF_THE_GATEWAY and bytes(memoryview(content)[:1]) == b"{"


def _group(raw: Mapping[str, msgspec.Raw], without: set[str]) -> Group:
    group: Group = {}
    for name, content in raw.items():
        if not _is_family(name, content):
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
        value: float | Histogram
        if kind == "counter":
            value = float(series.value)
        else:
            buckets = {float(bound): float(count) for bound, count in series.buckets.items()}
            value = histogram(buckets, float(series.sum), float(series.count))
    except ValueError:
        return None
    return value if sane(value) else None
