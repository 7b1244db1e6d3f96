"""Reads the dashboard as Grafana does: its panels, their queries, its variables."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
DASHBOARD = ROOT / "cronjob" / "dashboards" / "t3probe.json"
SECONDS = {"s": 1, "m": 60, "h": 3600}


def dashboard() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(DASHBOARD.read_text())
    return loaded


def panels() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = dashboard()["panels"]
    return found


def panel(title: str) -> dict[str, Any]:
    """The one panel with this title."""
    (found,) = [one for one in panels() if one["title"] == title]
    return found


@dataclass(frozen=True)
class Target:
    """One query of one panel."""

    title: str
    expr: str
    interval: int
    """The panel's shortest step, in seconds."""
    number: int
    """Which of the panel's queries it is, from 0."""
    legend: str

    def __str__(self) -> str:
        return f"{self.title} {self.number}".replace(" ", "-")


def targets() -> list[Target]:
    return [
        Target(one["title"], query["expr"], seconds(one["interval"]), number, query["legendFormat"])
        for one in panels()
        for number, query in enumerate(one["targets"])
    ]


def target(title: str, number: int = 0) -> Target:
    (found,) = [one for one in targets() if (one.title, one.number) == (title, number)]
    return found


def seconds(text: str) -> int:
    match = re.fullmatch(r"(\d+)([smh])", text)
    assert match, f"no duration: {text}"
    return int(match[1]) * SECONDS[match[2]]


def substituted(text: str, values: dict[str, str]) -> str:
    """The text with each `$name` and `${name}` replaced. One that has no value fails."""

    def value(match: re.Match[str]) -> str:
        name = match[1] or match[2]
        assert name in values, f"${name} is no variable of the dashboard"
        return values[name]

    return re.sub(r"\$(?:(\w+)|\{(\w+)\})", value, text)


def named(legend: str, labels: dict[str, str]) -> str:
    """What a legend calls a series."""
    return re.sub(r"\{\{(\w+)\}\}", lambda match: labels.get(match[1], ""), legend).strip()
