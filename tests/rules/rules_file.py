"""Reads the rules file without a YAML library: the few forms it uses, and no others."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
RULES = ROOT / "cronjob" / "rules" / "t3probe.rules.yml"
FRAGMENT = ROOT / "cronjob" / "rules" / "alertmanager-fragment.yml"
RUNBOOK = ROOT / "docs" / "runbook.md"
SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


@dataclass
class Alert:
    """One alert as it stands in the file; durations in seconds."""

    name: str
    expr: str = ""
    wait: int = 0
    keep: int = 0
    labels: dict[str, str] = field(default_factory=dict)
    annotations: dict[str, str] = field(default_factory=dict)


def _seconds(text: str) -> int:
    match = re.fullmatch(r"(\d+)([smhd])", text)
    assert match, f"no duration: {text}"
    return int(match[1]) * SECONDS[match[2]]


def _block(lines: list[str], at: int, indent: int, joiner: str) -> tuple[str, int]:
    """The text of a block scalar whose lines stand deeper than `indent`."""
    taken = []
    while at < len(lines) and lines[at].startswith(" " * (indent + 1)):
        taken.append(lines[at].strip())
        at += 1
    return joiner.join(taken), at


def alerts(text: str | None = None) -> dict[str, Alert]:
    """All alerts by name. A line of a form that is not known fails."""
    source = RULES.read_text() if text is None else text
    lines = [line for line in source.splitlines() if line.strip() and line.strip()[0] != "#"]
    found: dict[str, Alert] = {}
    at, section = 0, ""
    current: Alert | None = None
    while at < len(lines):
        line = lines[at]
        indent = len(line) - len(line.lstrip())
        key, _, value = line.strip().partition(":")
        value = value.strip()
        at += 1
        if value in ("|", ">-"):
            value, at = _block(lines, at, indent, "\n" if value == "|" else " ")
        if key == "- alert":
            assert value not in found, f"{value} stands there twice"
            current = found[value] = Alert(value)
        elif key == "- record":
            current = None
        elif current is None:
            assert key in {"groups", "- name", "interval", "rules", "expr"}, line
        elif key in {"labels", "annotations"} and indent == 8:
            section = key
        elif indent == 10:
            getattr(current, section)[key] = value
        elif key == "expr":
            current.expr = value
        elif key == "for":
            current.wait = _seconds(value)
        elif key == "keep_firing_for":
            current.keep = _seconds(value)
        else:
            assert key in {"- name", "interval", "rules"}, line
    return found
