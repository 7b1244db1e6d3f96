"""Messages of relay and jump for tests: the recorded ones, and those that are written here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from t3probe.upstreams.experiments.rigs import BookList, Rig
from t3probe.upstreams.experiments.wire import Service, ServiceReport, read_frame

RECORDED: dict[str, Any] = json.loads(
    (Path(__file__).parent / "recorded" / "rigs.json").read_text(encoding="utf-8")
)


def recorded(name: str, service: Service) -> list[dict[str, Any]]:
    """The message `name` of a service, such as M1, as JSON values."""
    found: list[dict[str, Any]] = json.loads(json.dumps(RECORDED["pairs"][name][service]))
    return found


def report(service: Service, message: object, at: float = 0.0) -> ServiceReport:
    """A message as the report it is."""
    found = read_frame(service, json.dumps(message).encode(), at)
    assert found is not None
    return found


def relay_entry(topic: str, last: object = "41ms", *scopes: str, **more: Any) -> dict[str, Any]:
    """One connection of a rig as the relay writes it."""
    stats = {"tx": {"last": last, "size": 1, "fps": 1}, "rx": {"last": "Never"}}
    return {"topic": topic, "scopes": [*(scopes or ("write", "expt"))], "stats": stats, **more}


def jump_entry(topic: str, scope: str = "host") -> dict[str, Any]:
    return {"topic": topic, "scopes": [scope, "read"], "statistcs": {"last": "1s"}}


def rigs_of(resources: object, *only: str) -> tuple[Rig, ...]:
    """The rigs of an answer of book."""
    answer = BookList()
    answer.feed(json.dumps(resources).encode())
    return answer.close(only).rigs


SPIN07 = rigs_of(RECORDED["book_resources"])[0]
