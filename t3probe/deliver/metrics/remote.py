"""The form of remote write 1.0: a run's series with their times, as a snappy block. Pure.

Stateless: each counter and bucket is written twice, as 0 when its run began and as what the run
counted when it ended, so that `increase()` over many runs is their sum, whatever was lost between
them. Gauges are written once, at the end. A series that the run did not measure gets a stale marker
there, or the last run's value would stay for minutes.

https://prometheus.io/docs/specs/prw/remote_write_spec/. Needs the extra `remote-write`.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import NamedTuple

import cramjam

from t3probe.deliver.metrics.carry import Group, Histogram, Labels
from t3probe.deliver.metrics.remote_write_pb2 import WriteRequest

STALE: float = struct.unpack("<d", struct.pack("<Q", 0x7FF0000000000002))[0]
"""The NaN that ends a series ("Stale markers" in the specification)."""


class Written(NamedTuple):
    """One request."""

    body: bytes
    series: int


def written(
    group: Group,
    labels: Mapping[str, str],
    began_ms: int,
    ended_ms: int,
    gauges: Group | None = None,
) -> Written:
    """One run's request. `labels` (job, vantage, shard) go onto every series; a series' own win.

    `began_ms` and `ended_ms` are Unix milliseconds, the second at least one later. `gauges` names
    series that a run of this deployment may have: those that `group` lacks get a stale marker.
    """
    if ended_ms <= began_ms:
        raise ValueError(f"expected an end after {began_ms}, found {ended_ms}")
    request = WriteRequest()
    lines = _Lines(request, labels, began_ms, ended_ms)
    for name, family in group.items():
        for key, value in family.series.items():
            if isinstance(value, Histogram):
                lines.histogram(name, key, value)
            elif family.kind == "counter":
                lines.count(name, lines.pairs(name, key), value)
            else:
                lines.gauge(lines.pairs(name, key), value)
    for name, family in (gauges or {}).items():
        there = group[name].series if name in group else {}
        for key in family.series:
            if key not in there:
                lines.gauge(lines.pairs(name, key), STALE)
    # Its own kind of bytes otherwise.
    body = bytes(cramjam.snappy.compress_raw(request.SerializeToString()))
    return Written(body, len(request.timeseries))


Pairs = list[tuple[str, str]]


class _Lines:
    """Adds series to a request. Their labels are sorted by name, and none is empty."""

    def __init__(
        self, request: WriteRequest, labels: Mapping[str, str], began_ms: int, ended_ms: int
    ) -> None:
        self._add = request.timeseries.add
        self._labels = {name: value for name, value in labels.items() if value}
        self._began, self._ended = began_ms, ended_ms

    def pairs(self, name: str, key: Labels) -> Pairs:
        """All labels of a series but a bucket's bound."""
        own = {label: value for label, value in key if value}
        return sorted({**self._labels, **own, "__name__": name}.items())

    def gauge(self, pairs: Pairs, value: float) -> None:
        series = self._add()
        add = series.labels.add
        for name, text in pairs:
            add(name=name, value=text)
        series.samples.add(value=value, timestamp=self._ended)

    def count(self, name: str, pairs: Pairs, value: float) -> None:
        series = self._add()
        add = series.labels.add
        for label, text in pairs:
            # `__name__` is a histogram's family there.
            add(name=label, value=name if label == "__name__" else text)
        series.samples.add(value=0.0, timestamp=self._began)
        series.samples.add(value=value, timestamp=self._ended)

    def histogram(self, name: str, key: Labels, value: Histogram) -> None:
        pairs = self.pairs(name, key)
        place = sum(label < "le" for label, _ in pairs)
        before, behind = pairs[:place], pairs[place:]
        for bound, below in zip(value.bounds, value.cumulative, strict=True):
            self.count(f"{name}_bucket", [*before, ("le", _bound(bound)), *behind], below)
        self.count(f"{name}_bucket", [*before, ("le", "+Inf"), *behind], value.count)
        self.count(f"{name}_count", pairs, value.count)
        self.count(f"{name}_sum", pairs, value.sum)


def _bound(value: float) -> str:
    """A bucket's bound as a Pushgateway writes it: `1` and not `1.0`."""
    return repr(int(value)) if value.is_integer() and abs(value) < 1e6 else repr(value)
