"""Reading a few lines of logs in a test."""

from __future__ import annotations

import io
from collections.abc import Iterable
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from t3probe.ask.forensics.bursts import Burst, find
from t3probe.ask.forensics.kinds import KINDS, SegmentMap
from t3probe.ask.forensics.read import LogQuery, read_log
from t3probe.ask.forensics.tally import Tally

UTC_ZONE = ZoneInfo("UTC")


def unix(text: str) -> int:
    """A time with its zone, as Unix seconds."""
    return int(datetime.fromisoformat(text).timestamp())


NOW = unix("2026-11-21T12:00:00+00:00")
AT = unix("2026-11-20T14:03:07+00:00")


def read(lines: Iterable[str | bytes], name: str = "any", **asked: Any) -> Tally:
    """The tally of some lines; times without a zone are UTC."""
    raw = b"".join((one.encode() if isinstance(one, str) else one) + b"\n" for one in lines)
    wanted = LogQuery(**{"now": NOW, "zone": UTC_ZONE, **asked})
    return read_log(name, io.BytesIO(raw), wanted)[0]


def told(tally: Tally) -> dict[str, int]:
    """Lines per kind, by name."""
    return {
        kind.name: count for kind, count in zip(KINDS, tally.counts, strict=True) if count
    }  # fmt: skip


def bursts(lines: Iterable[str], places: SegmentMap | None = None, **asked: Any) -> list[Burst]:
    """The bursts in some lines."""
    return find(read(lines, **asked), places or SegmentMap())


def stamp(at: int) -> str:
    """Unix seconds as RFC 3339 in UTC."""
    return datetime.fromtimestamp(at, UTC_ZONE).strftime("%Y-%m-%dT%H:%M:%SZ")


def refused(at: int) -> str:
    return f"{stamp(at)} http: proxy error: dial tcp 127.0.0.1:3773: connect: connection refused"


def gone(at: int) -> str:
    return f"{stamp(at)} http: proxy error: context canceled"


def lost(at: int, connection: int) -> str:
    return (
        f'{stamp(at)} ERR Failed to serve quic connection error="timeout: no recent network '
        f'activity" connIndex={connection} event=0 ip=192.0.2.7'
    )


def access(began: int, status: int, took_ms: int = 20, path: str = "/") -> str:
    when = datetime.fromtimestamp(began, UTC_ZONE).strftime("%d/%b/%Y:%H:%M:%S +0000")
    return (
        f'192.0.2.1 - - [{when}] "GET {path} HTTP/1.1" {status} 0 "-" "-" 7 "t3@file" '
        f'"http://10.0.0.2:8080" {took_ms}ms'
    )


def quiet(first: int, last: int) -> list[str]:
    """A log that covers a time and tells of no fault."""
    return [access(at, 200) for at in range(first, last + 1, 5)]
