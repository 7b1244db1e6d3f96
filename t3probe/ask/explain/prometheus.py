"""Raw samples out of a Prometheus, bounded in time, size and range.

A range selector in an instant query answers with the samples as they were scraped: nothing is
interpolated and nothing is extrapolated (Prometheus' HTTP API, `/api/v1/query`).
"""

from __future__ import annotations

import json
import math
from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NoReturn, TypeVar, overload
from urllib.parse import urlencode

import msgspec

from t3probe.exchange.bounds import PROMETHEUS_BYTES, PROMETHEUS_KEPT_BYTES, PROMETHEUS_SECONDS
from t3probe.exchange.client import Budget, Login, Site, Trouble, exchange
from t3probe.exchange.json_stream import (
    Into,
    JsonError,
    JsonStream,
    Node,
    NotJsonError,
    TooMuchError,
    typed,
)
from t3probe.text import showable
from t3probe.text.words import size
from t3probe.timing import Clock

LONGEST_SECONDS = 6 * 3600.0
"""No question reaches further."""
MOST_WARNINGS = 20

Sample = tuple[float, float]
"""Unix seconds and the value."""


class PrometheusError(Exception):
    """Prometheus cannot be asked, or does not answer; one sentence."""


class Samples(Sequence[Sample]):
    """The samples of one series by time, in 16 bytes each."""

    __slots__ = ("_times", "_values")

    def __init__(self, samples: Iterable[Sample] = ()) -> None:
        self._times, self._values = array("d"), array("d")
        for at, value in sorted(samples):
            self._times.append(at)
            self._values.append(value)

    def __len__(self) -> int:
        return len(self._times)

    def __iter__(self) -> Iterator[Sample]:
        return zip(self._times, self._values, strict=True)

    @overload
    def __getitem__(self, at: int) -> Sample: ...
    @overload
    def __getitem__(self, at: slice) -> Samples: ...
    def __getitem__(self, at: int | slice) -> Sample | Samples:
        if isinstance(at, slice):
            return Samples(zip(self._times[at], self._values[at], strict=True))
        return self._times[at], self._values[at]

    def newest(self, since: float, at: float) -> float | None:
        """The newest value after `since` and up to `at`."""
        last = bisect_right(self._times, at) - 1
        return self._values[last] if last >= 0 and self._times[last] > since else None

    def rise(self, since: float, at: float) -> float | None:
        """What a counter rose by after `since` and up to `at`; after a reset it began at 0. None
        when its first sample lies there, so that it is not known."""
        first = max(1, bisect_right(self._times, since))
        after = range(first, bisect_right(self._times, at))
        return sum(self._step(one) for one in after) if after else None

    def rises(self) -> Iterator[Sample]:
        """What it rose by up to each sample but the first."""
        return ((self._times[one], self._step(one)) for one in range(1, len(self)))

    def _step(self, at: int) -> float:
        value, before = self._values[at], self._values[at - 1]
        return value - before if value >= before else value


@dataclass(frozen=True)
class Series:
    """One series: its labels and its samples by time."""

    labels: Mapping[str, str]
    samples: Samples

    @property
    def name(self) -> str:
        """The metric's name."""
        return self.labels.get("__name__", "")


class _Result(msgspec.Struct):
    metric: dict[str, str] = {}
    values: list[tuple[float, str]] = []


class _Refusal(msgspec.Struct):
    status: str = ""
    error: str = ""


_RESULT = msgspec.json.Decoder(_Result)
_REFUSAL = msgspec.json.Decoder(_Refusal)
_TEXT = msgspec.json.Decoder(str)
_WARNINGS = msgspec.json.Decoder(list[str])
_SERIES_BYTES, _LABEL_BYTES, _SAMPLE_BYTES = 500, 150, 16
"""About what one costs beside its text."""
T = TypeVar("T")


class _Matrix:
    """A matrix that comes in pieces."""

    def __init__(self) -> None:
        self.status = self.error = ""
        self.type: str | None = None
        """Of the result; None when there is none."""
        self.series: list[Series] = []
        self.warnings: list[str] = []
        self._kept = 0
        data = Into(
            {"resultType": self._typed, "result": Into(item=self._one, opened=self._anew)},
            opened=self._data,
        )
        keys: dict[str, Node] = {
            "status": self._told, "error": self._why, "warnings": self._warned, "data": data,
        }  # fmt: skip
        self.stream = JsonStream(Into(keys, wrong=self._no))

    def _data(self, _: bool) -> None:
        self.type, self.series = "", []

    def _anew(self, _: bool) -> None:
        self.series = []

    def _told(self, raw: bytes) -> None:
        self.status = self._decoded(raw, _TEXT)

    def _why(self, raw: bytes) -> None:
        self.error = self._decoded(raw, _TEXT)

    def _warned(self, raw: bytes) -> None:
        self.warnings = self._decoded(raw, _WARNINGS)[:MOST_WARNINGS]

    def _typed(self, raw: bytes) -> None:
        self.type = self._decoded(raw, _TEXT)

    def _one(self, raw: bytes) -> None:
        found = self._decoded(raw, _RESULT)
        samples = Samples(_numbers(found.values))
        self._kept += _SERIES_BYTES + _SAMPLE_BYTES * len(samples)
        self._kept += sum(_LABEL_BYTES + len(k) + len(v) for k, v in found.metric.items())
        if self._kept > PROMETHEUS_KEPT_BYTES:
            raise TooMuchError(
                f"series that need more than {size(PROMETHEUS_KEPT_BYTES)}, which is the most "
                "that is kept"
            )
        self.series.append(Series(found.metric, samples))

    def _decoded(self, raw: bytes, decoder: msgspec.json.Decoder[T]) -> T:
        found = typed(raw, decoder)
        if found is None:
            self._no()
        return found

    def _no(self) -> NoReturn:
        raise NotJsonError


def quoted(value: str) -> str:
    """A label's value as a string of PromQL."""
    return json.dumps(value, ensure_ascii=False)


class Prometheus:
    """The HTTP API at a URL. All questions together end within a budget."""

    def __init__(
        self, url: str, login: Login, clock: Clock, seconds: float = PROMETHEUS_SECONDS
    ) -> None:
        """`seconds`: the budget. Raises ValueError, one sentence, for what is no URL."""
        self._site = Site(url, login)
        self._budget = Budget(clock, seconds)
        self.warnings: list[str] = []
        """What it had to say beside its answers."""

    @property
    def name(self) -> str:
        """Host and port, for sentences."""
        return self._site.name

    def samples(self, selector: str, began: float, ended: float) -> list[Series]:
        """The raw samples of a selector from `began` to `ended`, Unix seconds.

        Raises PrometheusError.
        """
        seconds = math.ceil(min(LONGEST_SECONDS, max(1.0, ended - began)))
        words = urlencode({"query": f"{selector}[{seconds}s]", "time": f"{ended:.3f}"})
        return self._ranged(f"/api/v1/query?{words}")

    def steps(self, query: str, began: float, ended: float, step: float) -> list[Series]:
        """What a query gives at every `step` seconds from `began` to `ended`, Unix seconds
        (`/api/v1/query_range`): of each series the newest sample of the five minutes before.

        Raises PrometheusError.
        """
        span = {"start": f"{began:.3f}", "end": f"{ended:.3f}", "step": f"{step:g}"}
        return self._ranged(f"/api/v1/query_range?{urlencode({'query': query, **span})}")

    def _ranged(self, path: str) -> list[Series]:
        """The series of an answer. Raises PrometheusError."""
        found = _Matrix()
        try:
            answer = exchange(
                self._site,
                "GET",
                path,
                self._budget,
                max_bytes=PROMETHEUS_BYTES,
                into=found.stream.feed,
            )
            if answer.status == 200:
                found.stream.close()
        except Trouble as error:
            raise self._error(error.what) from error
        except JsonError as error:
            what = "answered HTTP 200 and not with the JSON of Prometheus"
            more = "" if isinstance(error, NotJsonError) else f" ({error})"
            raise self._error(what + more) from error
        if answer.status != 200:
            raise self._refused(answer.status, answer.body)
        if found.status != "success" or found.type is None:
            raise self._error(f"refused the question ({showable(found.error) or 'HTTP 200'})")
        if found.type != "matrix":
            raise self._error(f"answered with {showable(found.type)!r}, not a matrix")
        self.warnings += [showable(one) for one in found.warnings if one not in self.warnings]
        return found.series

    def _refused(self, status: int, body: bytes) -> PrometheusError:
        try:
            said = _REFUSAL.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return self._error(f"answered HTTP {status} and not with the JSON of Prometheus")
        return self._error(f"refused the question ({showable(said.error) or f'HTTP {status}'})")

    def _error(self, what: str) -> PrometheusError:
        return PrometheusError(
            f"--prometheus: {self.name} {what}; name the URL below which /api/v1/query answers"
        )


def _numbers(values: Sequence[tuple[float, str]]) -> Iterator[Sample]:
    for at, text in values:
        try:
            value = float(text)
        except ValueError:
            continue
        if math.isfinite(value):
            yield at, value
