"""The Pushgateway's own account of its groups (`GET /api/v1/metrics`), read while it comes.

The answer has no filter: it holds every group there is. Only those asked for are looked into, and
only they are kept. Its form (pushgateway 1.x, README, section "Query API"): `data` is a list of
objects, each with `labels` (the grouping key), `last_push_successful`, and one object per family
with `type`, `help` and `metrics`. Every series repeats the group's labels and has an empty
`instance`. Keys come in the order of the alphabet, so a group's labels stand before our families.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NoReturn, TypeVar

import msgspec

from t3probe.bounds import GATEWAY_KEPT_BYTES, MIB
from t3probe.json_stream import Into, JsonError, JsonStream, Node, NotJsonError, typed
from t3probe.metrics.carry import Family, Group, Histogram, Kind, Labels, histogram, key_of, sane

__all__ = ["Groups", "Head", "NotMetricsError", "read_group"]

KINDS: dict[str, Kind] = {
    "COUNTER": "counter",
    "GAUGE": "gauge",
    "UNTYPED": "gauge",
    "HISTOGRAM": "histogram",
}
OURS = "t3probe_"
PUSHED = "push_time_seconds"
OF_THE_GATEWAY = frozenset({"labels", PUSHED, "push_failure_time_seconds"})
_SERIES_BYTES, _LABEL_BYTES, _HEAD_BYTES = 250, 200, 600
"""About what one that is kept costs beside its text."""


class NotMetricsError(Exception):
    """The answer is not what a Pushgateway says, or beyond a bound; `str()` is a noun and its
    clause, the end of a sentence; `start` is how it begins; None: that does not matter."""

    def __init__(self, what: str, start: bytes | None = None) -> None:
        super().__init__(what)
        self.start = start


class _Series(msgspec.Struct):
    labels: dict[str, str]
    value: str = ""
    buckets: dict[str, str] = {}
    count: str = ""
    sum: str = ""


class _Sample(msgspec.Struct):
    value: str = ""


class _Stamp(msgspec.Struct):
    metrics: list[_Sample] = []


class Head(msgspec.Struct):
    """A group without its metrics."""

    labels: dict[str, str]
    pushed: str = ""
    """When the gateway took it, Unix seconds by its own clock, as it writes them."""


T = TypeVar("T")
_LABELS = msgspec.json.Decoder(dict[str, str])
_SERIES = msgspec.json.Decoder(_Series)
_STAMP = msgspec.json.Decoder(_Stamp)
_TEXT = msgspec.json.Decoder(str)
_START_BYTES = 60
_NONE = "something that is no list of metrics"


class Groups:
    """The groups under some grouping keys, out of an answer that comes in pieces.

    What lies beside is only ever replaced: of 10,000 upstreams no series need be read.
    """

    def __init__(self, *wanted: Mapping[str, str], heads: bool = False) -> None:
        """`heads`: every group's labels are kept, too."""
        self._wanted = [_plain(one) for one in wanted]
        self._repeated = {"instance", *(wanted[0] if wanted else ())}
        """The labels of a group whose own are not known yet."""
        self._found: dict[tuple[tuple[str, str], ...], Group] = {}
        self._filled: set[tuple[tuple[str, str], ...]] = set()
        self._keeps_heads = heads
        self.heads: list[Head] = []
        """All groups, where they were asked for."""
        self._pairs: dict[tuple[str, str], tuple[str, str]] = {}
        self._start, self._kept, self._whole = b"", 0, False
        # The group that comes now, the family in it, and its series.
        self._labels: dict[str, str] | None = None
        self._group: Group = {}
        self._pushed = ""
        self._any = False
        self._family = ""
        self._type: str | None = None
        self._help = ""
        self._series: list[tuple[Labels, _Series]] | None = None
        one = Into(self._of_group, None, self._begin, self._over, self._no)
        every = Into(item=one, opened=self._anew, wrong=self._no)
        self._stream = JsonStream(Into({"data": every}, wrong=self._no))

    def feed(self, piece: bytes) -> None:
        """Read a piece. Raises NotMetricsError."""
        if len(self._start) < _START_BYTES:
            self._start += piece[: _START_BYTES - len(self._start)]
        try:
            self._stream.feed(piece)
        except JsonError as error:
            raise self._bad(error) from None

    def close(self) -> None:
        """Nothing more comes. Raises NotMetricsError."""
        try:
            self._stream.close()
        except JsonError as error:
            raise self._bad(error) from None
        if not self._whole:
            raise self._bad(NotJsonError())

    def group(self, key: Mapping[str, str]) -> Group:
        """The group under a grouping key that was asked for; empty where there is none."""
        return self._found.get(_sorted(_plain(key)), {})

    def has_metrics(self, key: Mapping[str, str]) -> bool:
        """Whether the gateway has a group under this key, with any metric in it."""
        return _sorted(_plain(key)) in self._filled

    def _bad(self, error: JsonError) -> NotMetricsError:
        if isinstance(error, NotJsonError):
            return NotMetricsError(_NONE, self._start)
        return NotMetricsError(f"{_NONE} ({error})")

    def _no(self) -> NoReturn:
        raise NotMetricsError(_NONE, self._start)

    def _keep(self, size: int) -> None:
        self._kept += size
        if self._kept > GATEWAY_KEPT_BYTES:
            raise NotMetricsError(
                f"groups of this job that need more than {GATEWAY_KEPT_BYTES // MIB} MiB, which is "
                "the most; delete those that nobody writes any more"
            )

    def _decoded(self, raw: bytes, decoder: msgspec.json.Decoder[T]) -> T:
        found = typed(raw, decoder)
        if found is None:
            self._no()
        return found

    # -- a group

    def _anew(self, _: bool) -> None:
        self._whole, self._found, self.heads = True, {}, []
        self._filled.clear()

    def _begin(self, _: bool) -> None:
        self._labels, self._group, self._any, self._pushed = None, {}, False, ""

    def _of_group(self, name: str) -> Node:
        if name == "labels":
            return self._named
        if name == PUSHED and self._keeps_heads:
            return self._stamp
        if name in OF_THE_GATEWAY:
            return None
        if self._labels in self._wanted or (self._labels is None and name.startswith(OURS)):
            self._family = name
            series = Into(item=self._one, opened=self._none_yet, wrong=self._no)
            keys: dict[str, Node] = {"type": self._typed, "help": self._helped, "metrics": series}
            return Into(keys, None, self._begin_family, self._family_over)
        # It matters that there is one, and nothing in it.
        return Into({}, opened=self._seen)

    def _named(self, raw: bytes) -> None:
        self._labels = {k: v for k, v in self._decoded(raw, _LABELS).items() if v}

    def _stamp(self, raw: bytes) -> None:
        stamp = self._decoded(raw, _STAMP)
        self._pushed = stamp.metrics[0].value if stamp.metrics else ""

    def _seen(self, _: bool) -> None:
        self._any = True

    def _over(self) -> None:
        if self._labels is None:
            self._no()
        key = _sorted(self._labels)
        if self._labels in self._wanted:
            self._found[key] = self._group
        if self._any:
            if key not in self._filled:
                self._keep(_HEAD_BYTES)
            self._filled.add(key)
        if self._keeps_heads:
            self._keep(_HEAD_BYTES + sum(len(k) + len(v) for k, v in key))
            self.heads.append(Head(self._labels, self._pushed))

    # -- a family

    def _begin_family(self, _: bool) -> None:
        self._any, self._type, self._help, self._series = True, None, "", None

    def _typed(self, raw: bytes) -> None:
        self._type = self._decoded(raw, _TEXT)

    def _helped(self, raw: bytes) -> None:
        self._help = self._decoded(raw, _TEXT)

    def _none_yet(self, _: bool) -> None:
        self._series = []

    def _one(self, raw: bytes) -> None:
        series = self._decoded(raw, _SERIES)
        before = len(self._pairs)
        without = self._repeated if self._labels is None else {"instance", *self._labels}
        key = tuple(self._pairs.setdefault(pair, pair) for pair in key_of(series.labels, without))
        series.labels = {}
        size = _SERIES_BYTES + (len(self._pairs) - before) * _LABEL_BYTES
        self._keep(size + (len(raw) if size > _SERIES_BYTES or series.buckets else 0))
        assert self._series is not None
        self._series.append((key, series))

    def _family_over(self) -> None:
        if self._type is None or self._series is None:
            self._no()
        kind = KINDS.get(self._type)
        if kind is None:
            return  # a summary: nothing of ours
        into = self._group[self._family] = Family(kind, self._help)
        for key, series in self._series:
            value = _value(kind, series)
            if value is not None:
                into.series[key] = value
        self._series = None


def read_group(
    body: bytes, key: Mapping[str, str], beside: Mapping[str, str]
) -> tuple[Group, bool]:
    """The group under a grouping key in a whole answer, and whether `beside` has any. Raises
    NotMetricsError."""
    groups = Groups(key)
    groups.feed(body)
    groups.close()
    return groups.group(key), groups.has_metrics(beside)


def _plain(labels: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in labels.items() if value}


def _sorted(labels: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(labels.items()))


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
