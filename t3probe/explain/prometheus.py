"""Raw samples out of a Prometheus, bounded in time, size and range.

A range selector in an instant query answers with the samples as they were scraped: nothing is
interpolated and nothing is extrapolated (Prometheus' HTTP API, `/api/v1/query`).
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from urllib.parse import urlencode

import msgspec

from t3probe.config.secrets import secret
from t3probe.showing import showable
from t3probe.sinks.gateway_client import Budget, Login, Site, Trouble, exchange
from t3probe.timing import Clock

__all__ = ["Prometheus", "PrometheusError", "Series", "login_from", "quoted", "rises"]

ANSWER_BYTES = 32 << 20
TIMEOUT_SECONDS = 20.0
LONGEST_SECONDS = 6 * 3600.0
"""No question reaches further."""

Sample = tuple[float, float]
"""Unix seconds and the value."""


class PrometheusError(Exception):
    """Prometheus cannot be asked, or does not answer; one sentence."""


@dataclass(frozen=True)
class Series:
    """One series: its labels and its samples by time."""

    labels: Mapping[str, str]
    samples: tuple[Sample, ...]

    @property
    def name(self) -> str:
        """The metric's name."""
        return self.labels.get("__name__", "")


class _Result(msgspec.Struct):
    metric: dict[str, str] = {}
    values: list[tuple[float, str]] = []


class _Data(msgspec.Struct):
    result: list[_Result] = []
    resultType: str = ""  # noqa: N815  (Prometheus' own key)


class _Answer(msgspec.Struct):
    status: str = ""
    error: str = ""
    data: _Data | None = None
    warnings: list[str] = []


def login_from(environ: Mapping[str, str]) -> Login:
    """`T3PROBE_PROMETHEUS_TOKEN`, or `_USER` and `_PASSWORD`, each also with `_FILE`;
    `T3PROBE_PROMETHEUS_CA_FILE`. Raises DeploymentError, or ValueError with a sentence."""
    token, user, password = (
        secret(f"prometheus_{name}", environ) or "" for name in ("token", "user", "password")
    )
    if (token and (user or password)) or bool(user) != bool(password):
        raise ValueError(
            "expected T3PROBE_PROMETHEUS_TOKEN, or T3PROBE_PROMETHEUS_USER with "
            "T3PROBE_PROMETHEUS_PASSWORD, found another mixture; set one of the two"
        )
    return Login(token, user, password, environ.get("T3PROBE_PROMETHEUS_CA_FILE"))


def quoted(value: str) -> str:
    """A label's value as a string of PromQL."""
    return json.dumps(value, ensure_ascii=False)


class Prometheus:
    """The HTTP API at a URL. All questions together end within 20 seconds."""

    def __init__(self, url: str, login: Login, clock: Clock) -> None:
        """Raises ValueError, one sentence, for what is no URL."""
        self._site = Site(url, login)
        self._budget = Budget(clock, TIMEOUT_SECONDS)
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
        try:
            answer = exchange(
                self._site, "GET", f"/api/v1/query?{words}", self._budget, max_bytes=ANSWER_BYTES
            )
        except Trouble as error:
            raise self._error(error.what) from error
        try:
            found = msgspec.json.decode(bytes(answer.body), type=_Answer)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            what = f"answered HTTP {answer.status} and not with the JSON of Prometheus"
            raise self._error(what) from error
        if answer.status != 200 or found.status != "success" or found.data is None:
            why = showable(found.error) or f"HTTP {answer.status}"
            raise self._error(f"refused the question ({why})")
        if found.data.resultType != "matrix":
            raise self._error(f"answered with {showable(found.data.resultType)!r}, not a matrix")
        self.warnings += [showable(one) for one in found.warnings if one not in self.warnings]
        return [_series(one) for one in found.data.result]

    def _error(self, what: str) -> PrometheusError:
        return PrometheusError(
            f"--prometheus: {self.name} {what}; name the URL below which /api/v1/query answers"
        )


def _series(found: _Result) -> Series:
    return Series(found.metric, tuple(sorted(_numbers(found.values))))


def _numbers(values: Sequence[tuple[float, str]]) -> Iterator[Sample]:
    for at, text in values:
        try:
            value = float(text)
        except ValueError:
            continue
        if math.isfinite(value):
            yield at, value


def rises(samples: Sequence[Sample]) -> list[Sample]:
    """What a counter rose by up to each sample but the first; after a reset it began at 0."""
    return [
        (at, value - before if value >= before else value)
        for (_, before), (at, value) in pairwise(samples)
    ]
