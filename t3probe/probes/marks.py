"""Marks: response headers that only one segment adds, or what lies behind it.

An answer with a segment's mark came from that segment or from behind it, so it proves how far the
request came. That holds only for an answer made for this very request. So every request carries a
nonce and asks caches to stand aside, and a mark counts when its header returns that nonce, or when
nothing in the answer says that it came out of a cache.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from t3probe.config.types import Leg

NONCE_HEADER = "T3Probe-Nonce"
OWN_QUERY = "t3probe"
_OURS = "t3probe-"
"""How the headers begin in which a nonce comes back."""
_NONCE = re.compile(r"[0-9a-f]{32}")
_CACHE_STATUS = re.compile(r"(?:[a-z0-9]+-)*cache(?:-(?:status|lookup|hit|result))?")
"""`cf-cache-status`, `x-cache`, `cache-status` (RFC 9211), `x-proxy-cache`, `x-cache-status`."""
_KEPT = re.compile(
    r"(?<![a-z0-9])(?:tcp_)?(?:[a-z]+_)?(?:hit|stale|updating|revalidated)(?![a-z0-9])"
)
_EDGES_OWN = re.compile(
    r"(?:error|redirect|lambdageneratedresponse|functiongeneratedresponse|limitexceeded"
    r"|capacityexceeded) from cloudfront"
)
"""What CloudFront says in `x-cache` of an answer that it made, or mapped to another, itself."""
_TOLD_OTHERWISE = {
    "x-varnish": re.compile(r"[0-9][ ,]{1,9}[0-9]"),  # the second: of who filled the cache
    "x-cache-hits": re.compile(r"[1-9]"),
    "server-timing": re.compile(r'\bcdn-cache[^,]{0,40};\s{0,9}desc="?hit\b'),
}
"""Header -> its value when a cache answered."""
_WALLS = frozenset({"walloff", "walled", "ingest_gate"})


def new_nonce() -> str:
    """A nonce for one request: 32 hex digits."""
    return secrets.token_hex(16)


def asking(nonce: str) -> dict[str, str]:
    """The headers with which a request asks for an answer of its own."""
    return {NONCE_HEADER: nonce, "Cache-Control": "no-cache"}


def asked_apart(url: str, nonce: str) -> str:
    """The URL with a query of its own, where it has none: no cache has seen it before."""
    return url if "?" in url else f"{url}?{OWN_QUERY}={nonce}"


def from_a_cache(headers: Mapping[str, Any]) -> bool:
    """Whether an answer says that it was kept somewhere, or made by a CDN itself: an `Age` over 0,
    or a cache's status.

    `headers` has names in any case.
    """
    for name, value in headers.items():
        name, value = name.lower(), str(value).strip().lower()
        if name == "age":
            if value.isdecimal() and value.isascii() and value.strip("0"):
                return True
        elif _CACHE_STATUS.fullmatch(name) and (_KEPT.search(value) or _EDGES_OWN.match(value)):
            return True
        told = _TOLD_OTHERWISE.get(name)
        if told is not None and told.search(value):
            return True
    return False


def replayed(headers: Mapping[str, Any], nonce: str) -> bool:
    """Whether an answer was made for another request than the one with this nonce."""
    return from_a_cache(headers) or any(
        name.lower().startswith(_OURS) and _of_another(str(value), nonce)
        for name, value in headers.items()
    )


def nearby(leg: Leg, marked: str) -> tuple[str, ...] | None:
    """What an answer proves to work when its author is not known: what lies before the end of the
    TCP connection, with that end, and what its last mark clears. None: the whole path."""
    path, end = leg.path, leg.tcp_ends_at
    if marked and marked == path[-1]:
        return None
    sure = path.index(end) + 1 if end else 1
    return path[: max(sure, path.index(marked) if marked else 0)]


@dataclass(frozen=True, slots=True)
class Marks:
    """Which header is whose mark, and which segments lie behind which."""

    segments: Mapping[str, str] = field(default_factory=dict)
    """Header in lower case -> the segment that adds it."""
    paths: Sequence[Sequence[str]] = ()
    """Real end-to-end paths."""

    def counting(self, headers: Mapping[str, Any], nonce: str) -> dict[str, str]:
        """The marks of an answer that count: header -> segment. `headers` finds lower-case
        names."""
        found = {name: one for name, one in self.segments.items() if name in headers}
        if not found:
            return {}
        kept = replayed(headers, nonce)
        return {
            name: one
            for name, one in found.items()
            if not kept or nonce in str(headers[name]).lower()
        }

    def last(self, leg: Leg, found: Mapping[str, str]) -> str:
        """The last segment of the leg's path with one of these marks; empty when none has one.

        A public path ends at its rule. A mark of what lies behind the whole path is one of its
        last segment.
        """
        places = [leg.path.index(one) for one in found.values() if one in leg.path]
        if self.behind(leg, found):
            return leg.path[-1]
        return leg.path[max(places)] if places else ""

    def behind(self, leg: Leg, found: Mapping[str, str]) -> bool:
        """Whether one of these is of something behind the whole path of a leg about a rule."""
        return leg.kind in _WALLS and any(self._behind(leg.path, one) for one in found.values())

    def elsewhere(self, leg: Leg, found: Mapping[str, str]) -> str:
        """The header among these that this leg's route never has; empty when there is none.

        The rules around the SSO, and a gate, are asked about through whatever serves the path: a
        mark of what lies behind one of such a leg's segments is no sign of another route.
        """
        for name, one in found.items():
            if one in leg.path:
                continue
            if leg.kind not in _WALLS or not self._behind(leg.path[:1], one):
                return name
        return ""

    def _behind(self, path: Sequence[str], segment: str) -> bool:
        """Whether `segment` lies on a real path behind all of `path`."""
        if segment in path:
            return False
        for real in self.paths:
            if segment in real and set(path) <= {*real[: list(real).index(segment)]}:
                return True
        return False


def _of_another(value: str, nonce: str) -> bool:
    """Whether it returns the nonce of another request."""
    value = value.strip().lower()
    return _NONCE.fullmatch(value) is not None and value != nonce
