"""Traefik's access log: the common format with Traefik's own end, and JSON.

A line bears the time at which the request *began*; what matters here is when it ended, so the
duration is added. In the common format both are cut to a second and a millisecond, so an end
can be early by a second. See doc.traefik.io, "Access Logs".
"""

from __future__ import annotations

import re
from typing import NamedTuple

from t3probe.forensics.formats import Journal
from t3probe.forensics.kinds import code
from t3probe.forensics.stamps import Stamps

__all__ = ["Access", "access_kind", "read_common", "read_json"]

_COMMON = re.compile(
    rb"\[(\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d) ([+-]\d{4})\] "
    rb'"([A-Z]{1,20}) [^"]*" (\d{1,3}|-) .*" (\d{1,15})ms\s*\Z',
    re.DOTALL,
)
_ISO = re.compile(rb"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d{1,9})?(Z|[+-]\d\d:?\d\d)?")
LONGEST_SECONDS = 10 * 366 * 86_400

GONE = code("traefik_client_gone")
BAD = code("traefik_bad_gateway")
UNAVAILABLE = code("traefik_unavailable")
TIMEOUT = code("traefik_gateway_timeout")
ENDED = code("traefik_websocket_ended")
SLOW = code("traefik_slow")
SERVED = code("traefik_served")
_STATUS = {101: ENDED, 499: GONE, 502: BAD, 503: UNAVAILABLE, 504: TIMEOUT}


class Access(NamedTuple):
    """One answered request."""

    kind: int
    ended: int | None
    """Unix seconds."""
    seconds: float


def access_kind(status: int, method: bytes | str, seconds: float, slow_seconds: float) -> int:
    """What a status and a duration say. Status 0 or none on a GET is an upgrade whose status
    was never seen by the log: Traefik 2 writes WebSockets so."""
    kind = _STATUS.get(status)
    if kind is None:
        if status == 0 and method in (b"GET", "GET"):
            return ENDED
        return SLOW if seconds >= slow_seconds else SERVED
    return kind


def read_common(body: bytes, stamps: Stamps, slow_seconds: float) -> Access | None:
    """A line in the common format; None: it is none."""
    found = _COMMON.search(body)
    if found is None:
        return None
    text, zone, method, status, took = found.groups()
    seconds = min(int(took) / 1000, LONGEST_SECONDS)
    began = stamps.clf(text, zone)
    kind = access_kind(0 if status == b"-" else int(status), method, seconds, slow_seconds)
    return Access(kind, None if began is None else began + int(seconds), seconds)


def read_json(row: Journal, stamps: Stamps, slow_seconds: float) -> Access | None:
    """A JSON line, duration in nanoseconds; None: it is none."""
    took, status = row.duration, row.status
    if not isinstance(took, (int, float)) or not isinstance(status, int):
        return None
    seconds = min(max(took / 1e9, 0.0), LONGEST_SECONDS)
    ended: int | None = None
    if isinstance(row.start, str):
        found = _ISO.match(row.start.encode(errors="replace"))
        began = stamps.iso(found[1], found[3]) if found else None
        if found and began is not None:
            ended = int(began + float(found[2] or 0) + seconds)
    method = row.method if isinstance(row.method, str) else ""
    return Access(access_kind(status, method, seconds, slow_seconds), ended, seconds)
