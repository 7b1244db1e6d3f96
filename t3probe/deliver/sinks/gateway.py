"""Talking to a Pushgateway: its groups' addresses, reading those asked for, writing one.

Requests that may succeed when asked again are asked again, three times at most and never past the
budget. Writing whole groups with absolute values makes that harmless. What is special about a group
of the gateway is that others may write it and that upstreams lie beside it; how its counts go on is
`t3probe.deliver.metrics.carry`.

`GET /api/v1/metrics` has no filter: it holds every group there is, and is read while it comes. Only
the groups asked for are looked into and kept. Its form (pushgateway 1.x, README, section "Query
API"): `data` is a list of objects, each with `labels` (the grouping key), `last_push_successful`,
and one object per family with `type`, `help` and `metrics`. Every series repeats the group's labels
and has an empty `instance`. Keys come in the order of the alphabet, so a group's labels stand
before our families.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Mapping
from typing import NoReturn, TypeVar
from urllib.parse import quote

import msgspec

from t3probe.deliver.metrics.carry import (
    RUN_TIMESTAMP,
    Family,
    Group,
    Histogram,
    Kind,
    Labels,
    histogram,
    key_of,
    sane,
    size,
)
from t3probe.deliver.metrics.exposition import rendered
from t3probe.exchange.bounds import (
    GATEWAY_ANSWER_BYTES,
    GATEWAY_EXCHANGE_SECONDS,
    GATEWAY_KEPT_BYTES,
    GATEWAY_METRICS_BYTES,
)
from t3probe.exchange.client import Answer, Budget, Login, Site, Trouble, exchange
from t3probe.exchange.json_stream import Into, JsonError, JsonStream, Node, NotJsonError, typed
from t3probe.text import showable
from t3probe.text.names import UPSTREAM_LEG
from t3probe.text.words import size as size_text

UPSTREAM_FAMILIES = "t3probe_backend_"
NAMING = frozenset({"leg", "check"})
"""Labels whose value names a leg."""


def overlapped(before: Group, after: Group) -> bool:
    """Whether somebody counted into the group between these two looks at it."""
    stamps = [one.get(RUN_TIMESTAMP, Family("gauge")).series for one in (before, after)]
    newest = [max(map(size, one.values()), default=0.0) for one in stamps]
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
            if other is not None and size(value) > size(other):
                return True
    return False


def split(group: Group) -> tuple[Group, Group]:
    """The group's own series, and the gauges of upstreams, which go into a group beside it.

    Counts never do: one group carries all of them, so that one write delivers them.
    """
    main: Group = {}
    beside: Group = {}
    for name, family in group.items():
        if family.kind != "gauge":
            main[name] = family
            continue
        whole = name.startswith(UPSTREAM_FAMILIES)
        for key, value in family.series.items():
            upstream = whole or any(k in NAMING and v.startswith(UPSTREAM_LEG) for k, v in key)
            into = (beside if upstream else main).setdefault(name, Family(family.kind, family.help))
            into.series[key] = value
        if not family.series and not whole:
            main.setdefault(name, Family(family.kind, family.help))
    return main, beside


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


class GroupHead(msgspec.Struct):
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
        self.heads: list[GroupHead] = []
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
                f"groups of this job that need more than {size_text(GATEWAY_KEPT_BYTES)}, which is "
                "the most; delete those that are no longer written"
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
            self.heads.append(GroupHead(self._labels, self._pushed))

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


ATTEMPTS = 3
PAUSE_SECONDS = 0.15
TEXT_FORMAT = "text/plain; version=0.0.4; charset=utf-8"


class Gateway(msgspec.Struct, frozen=True):
    """Where a run's group is, and how much time each end of the run may spend on it."""

    url: str
    job: str
    vantage: str = ""
    shard: str = ""
    login: Login = msgspec.field(default_factory=Login)
    start_seconds: float = 1.8
    end_seconds: float = 4.0

    @property
    def key(self) -> dict[str, str]:
        """The grouping key. A deployment without vantages has none in it."""
        pairs = {"job": self.job, "vantage": self.vantage, "shard": self.shard}
        return {name: value for name, value in pairs.items() if value}

    @property
    def upstream_key(self) -> dict[str, str]:
        """The grouping key of the upstreams' gauges."""
        return {**self.key, "part": "upstreams"}


def group_path(key: Mapping[str, str]) -> str:
    """The path of a group; values that do not fit a path segment go in as base64url."""
    words = []
    for name, value in key.items():
        if value and "/" not in value and value not in {".", ".."}:
            words += [name, quote(value, safe="")]
        else:
            coded = base64.urlsafe_b64encode(value.encode()).decode("ascii").rstrip("=")
            words += [f"{name}@base64", coded or "="]
    return "/metrics/" + "/".join(words)


class Wire:
    """Requests to one gateway."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self.site = Site(gateway.url, gateway.login)
        self.in_doubt = False
        """Whether the gateway may have taken a request whose answer we did not see."""

    def read(self, budget: Budget) -> tuple[Group, bool]:
        """The run's group, and whether there is one of its upstreams. Raises Trouble."""
        key, beside = self._gateway.key, self._gateway.upstream_key
        for again in self._attempts(budget):
            with again:
                groups = Groups(key)
                try:
                    self._ask("GET", "/api/v1/metrics", b"", budget, groups.feed)
                    groups.close()
                except NotMetricsError as error:
                    raise not_metrics(error) from None
                return groups.group(key), groups.has_metrics(beside)
        raise AssertionError("unreachable")

    def write(self, method: str, key: Mapping[str, str], group: Group, budget: Budget) -> None:
        """Send one group. Raises Trouble."""
        body = rendered(group)
        for again in self._attempts(budget):
            with again:
                self._ask(method, group_path(key), body, budget)
                return

    def _attempts(self, budget: Budget) -> Iterator[_Attempt]:
        for number in range(1, ATTEMPTS + 1):
            attempt = _Attempt(last=number == ATTEMPTS, budget=budget)
            yield attempt
            budget.pause(PAUSE_SECONDS * number)

    def _ask(
        self,
        method: str,
        path: str,
        body: bytes,
        budget: Budget,
        into: Callable[[bytes], None] | None = None,
    ) -> Answer:
        try:
            answer = exchange(
                self.site,
                method,
                path,
                budget.part(GATEWAY_EXCHANGE_SECONDS),
                body=body,
                headers={"Content-Type": TEXT_FORMAT} if body else None,
                max_bytes=GATEWAY_METRICS_BYTES if method == "GET" else GATEWAY_ANSWER_BYTES,
                into=into,
            )
        except Trouble as trouble:
            self.in_doubt |= trouble.sent
            raise
        self.in_doubt |= answer.status >= 500
        raise_for(answer)
        return answer


class _Attempt:
    """Lets a trouble that may pass pass, while there are attempts and time left."""

    def __init__(self, *, last: bool, budget: Budget) -> None:
        self._last, self._budget = last, budget

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        if not isinstance(error, Trouble) or not error.passing or self._last:
            return False
        return self._budget.left_seconds > PAUSE_SECONDS


def not_metrics(error: NotMetricsError) -> Trouble:
    """The trouble with an answer that is not read."""
    if error.start is None:
        return Trouble(f"answers with {error}")
    start = showable(error.start, 40, ascii=False)
    return Trouble(f"answers with {error} ({start!r})")


def raise_for(answer: Answer) -> None:
    """Raise Trouble unless the answer says yes."""
    status = answer.status
    if 200 <= status < 300:
        return
    if 300 <= status < 400:
        to = showable(answer.headers.get("location", "nowhere"), 80)
        raise Trouble(f"redirects to {to} ({status}), which is not followed")
    text = showable(answer.body, 240, ascii=False)
    if status == 400:
        conflict = "inconsistent" in text
        why = "another group holds one of these names with another type, or " if conflict else ""
        raise Trouble(f"refuses the metrics with 400: {why}{text or 'it gives no reason'}")
    if status in {401, 403}:
        raise Trouble(
            f"refuses us with {status}; set T3PROBE_GATEWAY_TOKEN, or T3PROBE_GATEWAY_USER and "
            "T3PROBE_GATEWAY_PASSWORD"
        )
    if status in {404, 405}:
        raise Trouble(f"answers {status}; name the URL of a Pushgateway")
    raise Trouble(f"answers {status}", passing=status >= 500 or status == 429)
