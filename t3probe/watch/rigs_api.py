"""The read-only interface about rigs, on an address of its own: names and shapes that clients of
the status server know, with RFC 3339 times, and with false and empty values present.

| path | what |
|---|---|
| `/api/v1/experiments` | an array of all rigs |
| `/api/v1/experiments/events/NAME` | the events of one rig, the oldest first; 404 for no such rig |
| `/api/v1/experiments/verdict` | who of relay, jump, rigs and streams is convicted or cleared |

Made of a snapshot that never changes, in the server's own thread.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import msgspec

from t3probe.exchange.json_stream import NotJsonError, typed
from t3probe.exchange.terminal import json_text
from t3probe.observation import RunRecord
from t3probe.text.names import SERVICE_SEGMENTS
from t3probe.text.words import utc
from t3probe.upstreams.experiments.condition import RigCondition
from t3probe.upstreams.experiments.events import RigEvent
from t3probe.upstreams.experiments.rigs import STREAM_MARK
from t3probe.upstreams.experiments.wire import RIG_SCOPE, Service, ServiceReport, age_of
from t3probe.verdict.incident.run import judge_run
from t3probe.watch.rigs import SERVICES, RigSnapshot
from t3probe.watch.serving import PLAIN, Listen, ReadOnlyServer, response

BASE = "/api/v1/experiments"
EVENTS = f"{BASE}/events/"
VERDICT = f"{BASE}/verdict"
JSON = "application/json"
NEVER_SECONDS = 999 * 3600
"""What clients are told of a side that never sent anything, beside `never`."""
MOST_ARRAYS = 16
"""Of so many beginnings of an array, from the end on, one is tried after the other."""
_ARRAY = re.compile(rb"\[\s*\{")
_ANY = msgspec.json.Decoder(dict[str, Any])
_ENTRIES = msgspec.json.Decoder(list[msgspec.Raw])


class _Named(msgspec.Struct):
    topic: str
    scopes: list[str] | None = None


_NAMED = msgspec.json.Decoder(_Named)
_UNKNOWN = f"there are {BASE}, {EVENTS}NAME and {VERDICT}\n".encode()


class RigsServer(ReadOnlyServer):
    """Shows the newest snapshot of the rigs."""

    def __init__(self, listen: Listen) -> None:
        """Raises OSError when the address cannot be had."""
        super().__init__(listen, "t3probe-api")
        self._shown: RigSnapshot | None = None
        self._made: dict[str, tuple[RigSnapshot, bytes]] = {}
        """What was made of the newest snapshot, by path."""

    def publish(self, shown: RigSnapshot) -> None:
        """From now on show this. Called by the probing loop; never waits."""
        self._shown = shown

    def unknown(self, path: str) -> bytes:
        return b"" if path in (BASE, VERDICT) or path.startswith(EVENTS) else _UNKNOWN

    def answer(self, method: str, path: str) -> bytes:
        shown = self._shown
        if shown is None:
            return response(503, PLAIN, b"nothing is known of the rigs yet\n", method)
        if path.startswith(EVENTS):
            events = shown.events.get(path.removeprefix(EVENTS))
            if events is None:
                return response(404, JSON, b"", method)
            return response(200, JSON, _json([event_facts(one) for one in events]), method)
        made = self._made.get(path)
        if made is None or made[0] is not shown:
            body = _json(experiments(shown) if path == BASE else verdict(shown))
            made = self._made[path] = shown, body
        return response(200, JSON, made[1], method)


def _json(found: object) -> bytes:
    return f"{json_text(found)}\n".encode()


def verdict(shown: RigSnapshot) -> dict[str, Any]:
    """Who broke, by what is known now: a verdict's keys, and `at`."""
    seen = shown.seen()
    own = [name for one in seen for name in one.path if name not in SERVICE_SEGMENTS]
    record = RunRecord(
        deployment="", segments=SERVICE_SEGMENTS, own_segments=tuple(dict.fromkeys(own))
    )
    return {"at": utc(shown.at_unix), **judge_run(record, seen).verdict.to_dict()}


def experiments(shown: RigSnapshot) -> list[dict[str, Any]]:
    """Every rig. What could not be told is null: `healthy`, `available`, `jump_ok`, streams."""
    relay, jump = (_connections(one, shown.newest[one]) for one in SERVICES)
    return [_rig(shown, one, relay, jump) for one in shown.conditions]


def _connections(service: Service, report: ServiceReport | None) -> dict[str, msgspec.Raw]:
    """The connections of rigs that a report names, by topic: of several the freshest."""
    frame = b"" if report is None else report.frame
    found: dict[str, tuple[float, msgspec.Raw]] = {}
    for raw in _entries(frame):
        one = typed(raw, _NAMED)
        if one is None or RIG_SCOPE[service] not in (one.scopes or ()):
            continue
        age = connection(raw)["stats"]["tx"]["last"]
        if one.topic not in found or age < found[one.topic][0]:
            found[one.topic] = age, raw
    return {topic: raw for topic, (_, raw) in found.items()}


def _entries(frame: bytes) -> list[msgspec.Raw]:
    """Those of the last array of a message, which may hold several."""
    try:
        return _ENTRIES.decode(frame)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass
    for start in (at.start() for at in reversed([*_ARRAY.finditer(frame)][-MOST_ARRAYS:])):
        with suppress(msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return _ENTRIES.decode(frame[start:])
    return []


def _rig(
    shown: RigSnapshot,
    one: RigCondition,
    relay: Mapping[str, msgspec.Raw],
    jump: Mapping[str, msgspec.Raw],
) -> dict[str, Any]:
    rig = one.rig.name
    return {
        "available": one.available,
        "first_checked": _time(shown.first_seen.get(rig)),
        "healthy": one.healthy,
        "health_events": len(shown.events.get(rig, ())),
        "jump_ok": one.jump,
        "jump_report": connection(jump[rig]) if rig in jump else {},
        "last_checked_jump": _time(shown.last_seen["jump"].get(rig)),
        "last_checked_streams": _time(shown.last_seen["relay"].get(rig)),
        "last_found_in_manifest": _time(shown.in_book),
        "resource_name": one.rig.resource,
        "stream_ok": {_stream(each.stream.topic): each.active for each in one.streams},
        "stream_reports": {
            _stream(each.stream.topic): connection(relay[each.stream.topic])
            for each in one.streams
            if each.stream.topic in relay
        },
        "stream_required": {
            _stream(each.stream.topic): True for each in one.streams if each.stream.required
        },
        "topic_name": rig,
    }


def event_facts(event: RigEvent) -> dict[str, Any]:
    """One event."""
    return {
        "healthy": event.state.healthy,
        "issues": list(event.state.issues),
        "jump_ok": event.state.jump,
        "stream_ok": {_stream(topic): ok for topic, ok in event.streams.items()},
        "when": utc(event.at_unix),
    }


def connection(raw: msgspec.Raw | bytes) -> dict[str, Any]:
    """What a service wrote of one connection, in one spelling."""
    try:
        found = typed(raw, _ANY) or {}
    except NotJsonError:
        found = {}
    stats = found.get("stats")
    sides = stats if isinstance(stats, dict) else {}
    scopes = found.get("scopes")
    given = scopes if isinstance(scopes, list) else []
    return {
        "connected": _text(found, "connected", "connected_at"),
        "expires_at": _text(found, "expiresAt", "expires_at"),
        "scopes": [one for one in given if isinstance(one, str)],
        "stats": {side: _side(sides.get(side)) for side in ("rx", "tx")},
        "topic": _text(found, "topic"),
        "user_agent": _text(found, "userAgent", "user_agent"),
    }


def _side(found: object) -> dict[str, Any]:
    """`last` in nanoseconds, `size` in bytes, `fps` in messages a second."""
    told = found if isinstance(found, dict) else {}
    last = told.get("last")
    age = age_of(last) if isinstance(last, str | int | float) else None
    never = bool(told.get("never")) or age is None or math.isinf(age)
    seconds = NEVER_SECONDS if never or age is None else age
    return {
        "fps": _number(told.get("fps")),
        "last": round(seconds * 1e9),
        "never": never,
        "size": _number(told.get("size")),
    }


def _number(value: object) -> float:
    good = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return value if good else 0  # type: ignore[return-value]


def _text(found: Mapping[str, Any], *keys: str) -> str:
    for key in keys:
        if isinstance(found.get(key), str):
            return str(found[key])
    return ""


def _stream(topic: str) -> str:
    """`st-video` of `spin07-st-video`: as book lists it."""
    _, mark, name = topic.rpartition(STREAM_MARK)
    return f"{mark.strip('-')}-{name}" if mark else topic


def _time(unix_seconds: float | None) -> str | None:
    return None if unix_seconds is None else utc(unix_seconds)
