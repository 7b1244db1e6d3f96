"""Whether the page's words say what its record says."""

from __future__ import annotations

import re
import time
from typing import Any

HOW = {
    "down": "neither the open connection nor a new one",
    "cut": "only the open connection was lost",
    "refusing": "new connections failed, while the open one went on",
    "blip": "the next one worked",
    "unknown": "is not known",
}
DEVICE = {
    "slept": "slept",
    "frozen": "froze this page",
    "late": "stood still",
    "offline": "offline",
    "network": "changed to another network",
    "stepped": "clock of this device was set",
}


def differences(said: dict[str, Any], record: dict[str, Any]) -> list[str]:
    """What the page says otherwise, or not at all. `said`: its `state`, its `caption`, and the
    lines of its list as [kind, text], the newest first."""
    found = []
    drops = record["drops"]
    lines = [text for kind, text in said["lines"] if kind == "drop"]
    if len(lines) != len(drops):
        found.append(f"{len(lines)} drops in the list, {len(drops)} in the record: {lines}")
    newest = sorted(drops, key=lambda one: -one["began"])
    for line, drop in zip(lines, newest, strict=False):
        wanted = [_clock(drop["began"]), HOW[drop["symptom"]]]
        wanted.append("not over yet" if drop["ended"] is None else _clock(drop["ended"]))
        if drop["ended"] is not None:
            lengths = _lengths(drop["ended"] - drop["began"])
            if not any(one in line for one in lengths):
                found.append(f"none of {lengths} in {line!r}")
        found += [f"no {one!r} in {line!r}" for one in wanted if one not in line]
    gaps = [one for one in record["gaps"] if one["kind"] != "hidden"]
    lines = [text for kind, text in said["lines"] if kind == "device"]
    if len(lines) != len(gaps):
        found.append(f"{len(lines)} of the device in the list, {len(gaps)} in the record: {lines}")
    newest = sorted(gaps, key=lambda one: -one["began"])
    for gap in newest:
        if not any(DEVICE[gap["kind"]] in line for line in lines):
            found.append(f"nothing about {gap}")
    number = f"{len(drops)} drop{'' if len(drops) == 1 else 's'}" if drops else "no drop"
    if not re.search(rf"\b{number}\b", said["caption"]):
        found.append(f"no {number!r} in {said['caption']!r}")
    on = all(one["ended"] is not None for one in drops)
    if on != said["state"].startswith("Connected since"):
        found.append(f"{said['state']!r}, and the record ends {'well' if on else 'in a drop'}")
    return found


def _clock(at: float) -> str:
    return time.strftime("%H:%M:%S", time.localtime(at))


def _lengths(seconds: float) -> list[str]:
    """As the page may write one: the record has milliseconds, the page more."""
    found = []
    for one in (seconds - 0.001, seconds, seconds + 0.001):
        if one < 1:
            found.append(f"({one * 1000:.0f} ms)")
        else:
            found.append(f"({one:.1f} s)" if one < 9.95 else f"({one:.0f} s)")
    return found
