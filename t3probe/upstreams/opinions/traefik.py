"""Traefik's API: `/api/overview`, and of each named service what it knows of its servers. Pure.

A service is `{"status": "enabled|warning|disabled", "error": […], "serverStatus": {URL: "UP|DOWN"},
"loadBalancer": {"servers": […], "healthCheck": {…}}, …}` (Traefik, pkg/config/runtime and pkg/api).
Servers that nobody checks are "UP" whatever happens to them: that is no opinion. Nor is what its
passive check finds: a server that this took out is "UP" there, while requests get 503 (3.7). A
service without a server answers 503 and has no `serverStatus`, and nor has one that no router uses.
An error somewhere in the configuration may be anybody's: without named services the opinion is at
worst degraded.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from t3probe.exchange.bounds import OPINION_SERVERS
from t3probe.observation import OpinionWord
from t3probe.text import showable
from t3probe.text.words import count, listed
from t3probe.upstreams.opinions.said import SelfReport, unknown

OVERVIEW = "/api/overview"
SERVICE = "/api/http/services/"
NAMED = 3
_WORST_FIRST: tuple[OpinionWord, ...] = ("unhealthy", "unknown", "degraded", "healthy")
_SECTIONS = ("http", "tcp", "udp")


class _Count(msgspec.Struct):
    total: int = 0
    warnings: int = 0
    errors: int = 0


class _Service(msgspec.Struct):
    status: str = ""
    error: list[str] = []
    serverStatus: dict[str, str] = {}  # noqa: N815
    loadBalancer: dict[str, Any] | None = None  # noqa: N815


class _Found(NamedTuple):
    opinion: OpinionWord
    words: str
    marks: tuple[object, ...]


def said(overview: bytes, services: Mapping[str, bytes | str]) -> SelfReport:
    """From the overview and the named services' answers, or a sentence why there is none."""
    try:
        total, wrong = _counted(overview)
    except (UnicodeError, RecursionError, msgspec.MsgspecError):
        return unknown(f"it answers {OVERVIEW} with something that is none of its answers")
    errors = f"{wrong:,} of {count(total, 'part')} of its configuration have an error"
    if not services:
        well = f"no error in {count(total, 'part')} of its configuration"
        opinion: OpinionWord = "degraded" if wrong else "healthy"
        return SelfReport(opinion, (errors if wrong else well,), marks=(wrong,))
    found = {name: _of_service(raw) for name, raw in services.items()}
    worst = min((one.opinion for one in found.values()), key=_WORST_FIRST.index)
    words = [f"{name}: {one.words}" for name, one in found.items()]
    words += [errors] if wrong else []
    return SelfReport(worst, tuple(words), marks=tuple(one.marks for one in found.values()))


def _counted(raw: bytes) -> tuple[int, int]:
    """How many routers, services and middlewares there are, and how many have an error."""
    whole = msgspec.json.decode(raw, type=dict[str, Any])
    parts = [whole[one] for one in _SECTIONS if isinstance(whole.get(one), dict)]
    if not parts:
        raise msgspec.ValidationError("no section")
    counts = [msgspec.convert(one, _Count) for part in parts for one in part.values()]
    return sum(one.total for one in counts), sum(one.errors for one in counts)


def _of_service(raw: bytes | str) -> _Found:
    if isinstance(raw, str):
        return _Found("unknown", raw, ())
    try:
        told = msgspec.json.decode(raw, type=_Service)
    except (UnicodeError, RecursionError, msgspec.MsgspecError):
        return _Found("unknown", "something that is none of its answers", ())
    up = sum(one == "UP" for one in told.serverStatus.values())
    every = len(told.serverStatus)
    marks = (told.status, tuple(sorted(told.serverStatus.items())))
    if told.status == "disabled":
        why = showable(told.error[0], 80) if told.error else "without a word why"
        return _Found("unhealthy", f"disabled, {why}", marks)
    balancer = told.loadBalancer
    if balancer is not None and not balancer.get("servers"):
        return _Found("unhealthy", "it has no server", marks)
    if balancer is None or not every or every > OPINION_SERVERS:
        return _Found("unknown", "nothing is said of its servers", marks)
    if not balancer.get("healthCheck"):
        return _Found("unknown", "nobody checks its servers' health", marks)
    words = f"{up} of {count(every, 'server')} up"
    if up < every:
        down = sorted(name for name, state in told.serverStatus.items() if state != "UP")
        words += f", down: {listed((showable(one, 60) for one in down), NAMED)}"
    return _Found("healthy" if up == every else "degraded" if up else "unhealthy", words, marks)
