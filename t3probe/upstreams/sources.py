"""What every source of upstreams shares: its one signature, what it finds, and how it fails.

A source is `async def find(source, fetch) -> NamedUpstreams`. It asks with `fetch`, which feeds
what comes back to a `SourceAnswer` while it comes; time, size and login are the caller's. What it
cannot use at all is a SourceError, whose text is a sentence; what it can only partly use it says in
`warnings` and goes on.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from t3probe.config.endpoints import check_host, is_address, plain_host
from t3probe.config.errors import Wrong
from t3probe.config.types import UpstreamPlace, UpstreamSource
from t3probe.exchange.json_stream import Into, JsonError, JsonStream, NotJsonError

LABEL_LIMIT = 120
"""How many characters of a foreign name become a label."""
MOST_WORDS = 24

Opinion = Literal["healthy", "degraded", "unhealthy", "draining", "unknown"]
"""What Envoy believes of one host: it sends it requests (healthy, degraded), it does not
(unhealthy), it lets it run out (draining), or it has not made up its mind."""


class SourceError(Exception):
    """A source that told nothing; `str()` is the end of a sentence about it."""


class UnreadableError(SourceError):
    """It answered with something that cannot be read."""


class SourceAnswer:
    """One answer of a source, read while it comes: what is used of it is kept, and nothing else."""

    where = ""
    """What was asked for, as it stands in a sentence: ` /clusters`."""
    instead = "something that is not JSON"
    """What an answer is that is none, in words."""

    def __init__(self, root: Into) -> None:
        self._stream = JsonStream(root)
        self.kept = 0
        """About so many bytes are kept of it."""

    def feed(self, piece: bytes) -> None:
        """Read a piece. Raises SourceError."""
        try:
            self._stream.feed(piece)
        except JsonError as error:
            raise self._unreadable(error) from None

    def close(self) -> None:
        """Nothing more comes. Raises SourceError."""
        try:
            self._stream.close()
        except JsonError as error:
            raise self._unreadable(error) from None

    def refuse(self) -> None:
        """It is something else. Raises SourceError."""
        raise UnreadableError(f"answers{self.where} with {self.instead}")

    def _unreadable(self, error: JsonError) -> UnreadableError:
        words = self.instead if isinstance(error, NotJsonError) else str(error)
        return UnreadableError(f"answers{self.where} with {words}")


@dataclass(frozen=True, slots=True)
class Backend:
    """One address behind one route."""

    host: str
    """An IP address, or a name that we resolve ourselves."""
    port: int
    place: UpstreamPlace

    @property
    def address(self) -> str:
        """`host:port`, an IPv6 address in brackets."""
        return backend_of(self.host, self.port)


@dataclass(frozen=True, slots=True)
class Hostless:
    """A route without a host: there is no address to dial, and a request gets an error."""

    place: UpstreamPlace
    words: str
    """A sentence."""


@dataclass(frozen=True, slots=True)
class HostView:
    """What Envoy thinks of one resolved address of a backend."""

    address: str
    """`address:port`; empty when Envoy knows none."""
    opinion: Opinion
    detail: str = ""
    """Envoy's own words, such as `failed_active_health_check`."""


ViewKey = tuple[str, str]
"""A route's label (Envoy's cluster) and a backend's address."""
Views = Mapping[ViewKey, tuple[HostView, ...]]


@dataclass(frozen=True, slots=True)
class NamedUpstreams:
    """What one source named."""

    backends: tuple[Backend, ...] = ()
    views: Views | None = None
    """Envoy's opinion; None where the source has none."""
    notes: tuple[str, ...] = ()
    """Sentences that are worth saying, about what was left out on purpose."""
    warnings: tuple[str, ...] = ()
    """Sentences about what could not be read."""
    hostless: tuple[Hostless, ...] = ()
    """Routes without a host."""


Fetch = Callable[[str | None, SourceAnswer], Awaitable[None]]
"""Asks for a path behind the source's URL, or for the URL itself (None), and feeds the answer.
Raises SourceError."""
Find = Callable[[UpstreamSource, Fetch], Awaitable[NamedUpstreams]]
"""The one signature of a source. Raises SourceError."""


@dataclass(slots=True)
class Notes:
    """Counts what is to be said, so that a thousand equal cases make one sentence."""

    counts: dict[str, int] = field(default_factory=dict)
    examples: dict[str, list[str]] = field(default_factory=dict)

    def add(self, what: str, example: str = "") -> None:
        """Note `what`, things in the plural, and one of them by name."""
        self.counts[what] = self.counts.get(what, 0) + 1
        named = self.examples.setdefault(what, [])
        if example and len(named) < 3 and (short := label(example)) not in named:
            named.append(short)

    def merge(self, other: Notes) -> None:
        """What `other` has counted, too."""
        for what, number in other.counts.items():
            self.counts[what] = self.counts.get(what, 0) + number
            named = self.examples.setdefault(what, [])
            named += [one for one in other.examples[what] if one not in named][: 3 - len(named)]

    def sentences(self) -> tuple[str, ...]:
        """`clusters that no route uses: 3 (a, b, c)`."""
        return tuple(
            f"{what}: {number}" + (f" ({', '.join(some)})" if (some := self.examples[what]) else "")
            for what, number in self.counts.items()
        )


def either_weight(one: int | None, other: int | None) -> int | None:
    """The weight of what two ways lead to: the larger one; None where one has none."""
    return None if one is None or other is None else max(one, other)


def backend_of(host: str, port: int) -> str:
    """`host:port`, an IPv6 address in brackets: one text for one backend, however a source writes
    its address."""
    host = plain_host(host)
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def label(text: str) -> str:
    """A foreign name as a label: printable ASCII, bounded."""
    if len(text) <= LABEL_LIMIT and text.isascii() and text.isprintable():
        return text
    clean = "".join(one if " " <= one <= "~" else "?" for one in text[: LABEL_LIMIT + 1])
    return clean if len(clean) <= LABEL_LIMIT else clean[: LABEL_LIMIT - 3] + "..."


def words_of(*texts: str) -> tuple[str, ...]:
    """Names to be asked for by: each once, without empty ones, a bounded number."""
    return tuple(dict.fromkeys(label(one) for one in texts if one))[:MOST_WORDS]


def dialled(host: str, port: int) -> bool:
    """Whether `host` is an address or a name, and `port` one that can be dialled."""
    if not 0 < port <= 65535:
        return False
    if is_address(host):
        return host not in {"0.0.0.0", "::"}
    try:
        check_host(host)
    except Wrong:
        return False
    return True
