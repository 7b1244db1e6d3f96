"""Answered requests: what a status, a duration and the side that ended it say; Traefik's two forms.

A line of Traefik, haproxy or Envoy bears the time at which the request *began*; what matters here
is when it ended, so the duration is added. nginx writes the end. In Traefik's common format both
are cut to a second and a millisecond, so an end can be early by a second. See doc.traefik.io,
"Access Logs".
"""

from __future__ import annotations

import re
from typing import NamedTuple

from t3probe.ask.forensics.kinds import BY_NAME, code
from t3probe.ask.forensics.rows import JsonFields, own_time
from t3probe.ask.forensics.stamps import Stamps

_COMMON = re.compile(
    rb"\[(\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d) ([+-]\d{4})\] "
    rb'"([A-Z]{1,20}) [^"]*" (\d{1,3}|-) '
)
LONGEST_SECONDS = 10 * 366 * 86_400


class Codes(NamedTuple):
    """The numbers of one proxy's kinds."""

    gone: int
    gave_up: int
    bad: int
    unavailable: int
    timeout: int
    ended: int
    slow: int
    served: int


def codes_of(source: str) -> Codes:
    """Of Traefik, haproxy, nginx or Envoy."""
    names = (
        "client_gone", "client_gave_up", "bad_gateway", "unavailable", "gateway_timeout",
        "websocket_ended", "slow", "served",
    )  # fmt: skip
    return Codes(*(code(f"{source}_{name}") for name in names))


TRAEFIK = codes_of("traefik")
ENDED = frozenset(BY_NAME[name] for name in BY_NAME if name.endswith("_websocket_ended"))
TOOK = frozenset(BY_NAME[name] for name in BY_NAME if name.endswith(("_served", "_slow")))


class LineFacts(NamedTuple):
    """What one line of a program says."""

    kind: int
    ended: int | None = None
    """Unix seconds, when the line itself says them."""
    seconds: float | None = None
    """How long it took or lived; None: not said."""
    begins: bool = False
    """Whether the times that the line itself holds are those of the begin."""
    remark: str = ""
    """What such lines do not say."""
    zoned: bool = True
    """Whether `ended` was written with its zone."""


def answered(codes: Codes, status: int, seconds: float | None, slow_seconds: float) -> int:
    """What a status and a duration say, where nothing else says who ended it."""
    if status == 101:
        return codes.ended
    if status == 502:
        return codes.bad
    if status == 503:
        return codes.unavailable
    if status == 504:
        return codes.timeout
    if status == 499:
        # Whoever waited long, or nobody says how long, may have had enough of what lies behind.
        return codes.gone if seconds is not None and seconds < slow_seconds else codes.gave_up
    return codes.slow if seconds is not None and seconds >= slow_seconds else codes.served


def _traefik(status: int, method: bytes | str, seconds: float, slow_seconds: float) -> int:
    """Status 0 or none on a GET is an upgrade whose status was never seen by the log: Traefik 2
    writes WebSockets so."""
    if status == 0 and method in (b"GET", "GET"):
        return TRAEFIK.ended
    return answered(TRAEFIK, status, seconds, slow_seconds)


def read_common(body: bytes, stamps: Stamps, slow_seconds: float) -> LineFacts | None:
    """A line in Traefik's common format; None: it is none."""
    took = body[body.rfind(b'" ') + 2 :].rstrip()
    if took[-2:] != b"ms" or not took[:-2].isdigit() or len(took) > 17:
        return None
    found = _COMMON.search(body)
    if found is None:
        return None
    text, zone, method, status = found.groups()
    seconds = min(int(took[:-2]) / 1000, LONGEST_SECONDS)
    began = stamps.clf(text, zone)
    kind = _traefik(0 if status == b"-" else int(status), method, seconds, slow_seconds)
    return LineFacts(kind, None if began is None else began + int(seconds), seconds)


def read_json(row: JsonFields, stamps: Stamps, slow_seconds: float) -> LineFacts | None:
    """A JSON line of Traefik, duration in nanoseconds; None: it is none.

    Without a start that can be read the time of writing is the end.
    """
    took, status = row.duration_ns, row.downstream
    if not isinstance(took, (int, float)) or not isinstance(status, int):
        return None
    seconds = min(max(took / 1e9, 0.0), LONGEST_SECONDS)
    began = stamps.any(row.start_utc)
    if began is None:
        began = stamps.any(row.start_local)
    if began is None:
        written, _ = own_time(row, stamps)
        ended = None if written is None else int(written)
    else:
        ended = int(began + seconds)
    method = row.method if isinstance(row.method, str) else ""
    return LineFacts(_traefik(status, method, seconds, slow_seconds), ended, seconds)
