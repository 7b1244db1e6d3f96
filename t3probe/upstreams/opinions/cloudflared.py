"""cloudflared's metrics server: `/ready`, and what of `/metrics` tells of its connections. Pure.

`/ready` answers 200 or 503 with `{"status": …, "readyConnections": n, "connectorId": …}`; n counts
its connections to the edge, four by default, and 200 means that there is one at least (cloudflared,
metrics/readiness.go). Names and labels of its metrics: connection/metrics.go, proxy/metrics.go and
quic/metrics.go; the label of a location is `edge_location`, `location` before 2023.

- A connection that was registered once and is not ready makes it degraded.
- Errors of requests are counted behind it: they are its origin's, so they are said and mark
  nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from t3probe.exchange.bounds import OPINION_SAMPLES
from t3probe.observation import OpinionWord
from t3probe.text import showable
from t3probe.text.words import count, listed
from t3probe.upstreams.opinions.said import SelfReport, unknown

READY, METRICS = "/ready", "/metrics"
READY_NUMBERS = range(1001)
COLOS_SHOWN = 8
COLO_CHARACTERS = 16
LARGEST = 2.0**53
"""Beyond it a number counts nothing any more; the sum of those within it is finite."""

_LOCATIONS = "cloudflared_tunnel_server_locations"
_STARTED = "process_start_time_seconds"
_REGISTERED = "cloudflared_tunnel_tunnel_register_success"
_CLOSED = "quic_client_closed_connections"
_WRONG = {
    "cloudflared_tunnel_tunnel_register_fail": "failed registration",
    "cloudflared_tunnel_tunnel_rpc_fail": "failed edge call",
    "cloudflared_tunnel_request_errors": "failed origin request",
}
_WANTED = (_LOCATIONS, _STARTED, _REGISTERED, _CLOSED, *_WRONG)

Sample = tuple[str, dict[str, str], float]


class _Ready(msgspec.Struct):
    status: int
    readyConnections: int  # noqa: N815


def said(status: int, ready: bytes, metrics: bytes | str) -> SelfReport:
    """From the answer to `/ready`, and the page `/metrics`, or a sentence why there is none."""
    if status not in (200, 503):
        return unknown(f"it answers {status} to {READY}")
    try:
        told = msgspec.json.decode(ready, type=_Ready)
    except (UnicodeError, RecursionError, msgspec.MsgspecError):
        return unknown(f"it answers {READY} with something that is none of its answers")
    number = told.readyConnections
    if number not in READY_NUMBERS or (number > 0) != (status == 200):
        return unknown(f"it answers {READY} with {status} and {number} connections")
    words = [f"{count(number, 'connection')} to the edge"]
    if isinstance(metrics, str):
        words.append(f"{METRICS} {metrics}, so nothing is compared")
        return SelfReport("healthy" if number else "unhealthy", tuple(words))
    try:
        page = _Page(metrics)
    except ValueError:
        words.append(f"{METRICS} is no page of metrics, so nothing is compared")
        return SelfReport("healthy" if number else "unhealthy", tuple(words))
    opinion: OpinionWord = "healthy" if number else "unhealthy"
    if 0 < number < page.known:
        opinion = "degraded"
        words = [f"{number} of {count(page.known, 'connection')} to the edge"]
    colos = page.colos if number else ()
    if colos:
        words[0] += f", in {listed(colos)}"
    return SelfReport(
        opinion,
        tuple(words),
        colos,
        marks=(number, page.registered, page.closed, page.places),
        started=page.started,
        counts=page.wrong,
    )


class _Page:
    """What is used of `/metrics`. Raises ValueError when it is no such page."""

    def __init__(self, text: bytes) -> None:
        self.started: float | None = None
        self.registered = self.closed = 0.0
        self.wrong = dict.fromkeys(_WRONG.values(), 0.0)
        ids: set[str] = set()
        here: dict[str, str] = {}
        seen = False
        for name, labels, value in _samples(text):
            seen = True
            if name == _LOCATIONS:
                ids.add(labels.get("connection_id", ""))
                place = labels.get("edge_location") or labels.get("location") or ""
                if value > 0 and place:
                    here[labels.get("connection_id", "")] = showable(place, COLO_CHARACTERS)
            elif name == _STARTED:
                self.started = value
            elif name == _REGISTERED:
                self.registered += value
            elif name == _CLOSED:
                self.closed += value
            else:
                self.wrong[_WRONG[name]] += value
        if not seen:
            raise ValueError("none of its metrics")
        self.known = len(ids)
        """How many connections were registered once."""
        self.places = tuple(sorted(here.items()))
        self.colos = tuple(sorted(set(here.values())))[:COLOS_SHOWN]


def _samples(text: bytes) -> Iterator[Sample]:
    """The wanted ones: lines of other names cost no parse. Raises ValueError."""
    from prometheus_client.parser import text_string_to_metric_families

    wanted = []
    for line in text.decode("utf-8", "replace").split("\n"):
        if line.startswith(_WANTED):
            wanted.append(line)
            if len(wanted) > OPINION_SAMPLES:
                raise ValueError("too many")
    found: Any
    for family in text_string_to_metric_families("\n".join(wanted) + "\n"):
        for found in family.samples:
            # Without a TYPE line a counter keeps its own name.
            if found.name in _WANTED and 0 <= found.value <= LARGEST:
                yield found.name, found.labels, float(found.value)
