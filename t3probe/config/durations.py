"""Durations as people write them: `500ms`, `10s`, `2m`, `1.5h`.

A duration is a number, whole or decimal, and a unit, nothing else: no sign, no space, no
exponent. It lies between 0.1 ms and 24 h. `0` and `0s` are durations only where nothing is
a sensible length, which is the hold.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from .errors import Wrong
from .table import Duration

SHORTEST = Duration(0.0001)
LONGEST = Duration(24 * 3600)
PATTERN = r"[0-9]{1,8}(\.[0-9]{1,9})?(ms|s|m|h)"
"""The form of a duration, for the JSON Schema; the bounds are checked apart."""

_DURATION = re.compile(r"([0-9]{1,8}(?:\.[0-9]{1,9})?)(ms|s|m|h)")
_SCALE = {"s": 1, "m": 60, "h": 3600}
_FORM = "a duration such as 500ms, 10s or 2m"
_NUMBER = r"[0-9]{1,8}(?:[.,][0-9]{1,9})?"
_PIECE = re.compile(
    rf"({_NUMBER})\s*(us|µs|ms|msecs?|milliseconds?|s|secs?|seconds?|m|mins?|minutes?|h|hrs?|hours?|"
    r"d|days?|w|weeks?)(?![a-z])[\s,]*(?:and\s+)?", re.I
)  # fmt: skip
_ISO = re.compile(
    rf"P(?:({_NUMBER})W)?(?:({_NUMBER})D)?(?:T(?:({_NUMBER})H)?(?:({_NUMBER})M)?(?:({_NUMBER})S)?)?",
    re.I,
)
"""ISO 8601: `PT1M30S`."""
_CLOCK = re.compile(r"([0-9]{1,3}):([0-5][0-9])(?::([0-5][0-9]))?")
_LONG = {"u": 1e-6, "µ": 1e-6, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


def parse_duration(text: str, *, allow_zero: bool = False) -> Duration:
    """The seconds that `text` stands for. Raises `Wrong`."""
    if allow_zero and text == "0":
        return Duration(0)
    match = _DURATION.fullmatch(text)
    if match is None:
        raise Wrong(_FORM, _hint(text))
    number, unit = float(match[1]), match[2]
    # Dividing keeps 300ms equal to 0.3s.
    seconds = number / 1000 if unit == "ms" else number * _SCALE[unit]
    if seconds == 0 and allow_zero:
        return Duration(0)
    if seconds == 0:
        raise Wrong("a duration longer than zero")
    if seconds < SHORTEST or seconds > LONGEST:
        raise Wrong("a duration from 0.1ms to 24h")
    return Duration(seconds)


def _hint(text: str) -> str:
    """What to write in place of a duration of another form."""
    if re.fullmatch(r"[0-9]+(\.[0-9]+)?", text):
        return "add a unit: ms, s, m or h"
    seconds = meant_seconds(text.strip())
    if seconds is None:
        return ""
    if not SHORTEST <= seconds <= LONGEST:
        return "0.1ms is the shortest, 24h the longest"
    return f"write {written(seconds)}"


def written(seconds: float) -> str:
    """Seconds as `parse_duration` reads them: in the largest unit that is whole, `90s`, `24h`."""
    for unit, size in (("h", 3600), ("m", 60), ("s", 1)):
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:.0f}{unit}"
    if seconds < 1:
        return f"{seconds * 1000:.6f}".rstrip("0").rstrip(".") + "ms"
    return f"{seconds:.6f}".rstrip("0").rstrip(".") + "s"


def meant_seconds(text: str) -> float | None:
    """The seconds of `1m30s`, `10 s`, `2 minutes`, `1d`, `PT10S` and `1:30:00`; None: of no form
    that means a duration."""
    iso = _ISO.fullmatch(text)
    if iso and any(iso.groups()):
        return _sum(zip(iso.groups(), (604800.0, 86400.0, 3600.0, 60.0, 1.0), strict=True))
    if clock := _CLOCK.fullmatch(text):
        hours, minutes, seconds = clock.groups()
        return None if seconds is None else _sum([(hours, 3600), (minutes, 60), (seconds, 1)])
    pieces, at = [], 0
    while at < len(text):
        piece = _PIECE.match(text, at)
        if piece is None:
            return None
        unit = piece[2].lower()
        size = 0.001 if unit.startswith(("ms", "milli")) else _LONG[unit[0]]
        pieces.append((piece[1], size))
        at = piece.end()
    return _sum(pieces) if pieces else None


def _sum(pieces: Iterable[tuple[str | None, float]]) -> float:
    return sum(float(number.replace(",", ".")) * size for number, size in pieces if number)
