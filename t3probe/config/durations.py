"""Durations as people write them: `500ms`, `10s`, `2m`, `1.5h`.

A duration is a number, whole or decimal, and a unit, nothing else: no sign, no space, no
exponent. It lies between 0.1 ms and 24 h. `0` and `0s` are durations only where nothing is
a sensible length, which is the hold.
"""

from __future__ import annotations

import re

from .errors import Wrong
from .types import Duration

__all__ = ["LONGEST", "PATTERN", "SHORTEST", "parse_duration"]

SHORTEST = Duration(0.0001)
LONGEST = Duration(24 * 3600)
PATTERN = r"[0-9]{1,8}(\.[0-9]{1,9})?(ms|s|m|h)"
"""The form of a duration, for the JSON Schema; the bounds are checked apart."""

_DURATION = re.compile(r"([0-9]{1,8}(?:\.[0-9]{1,9})?)(ms|s|m|h)")
_SCALE = {"s": 1, "m": 60, "h": 3600}
_FORM = "a duration such as 500ms, 10s or 2m"


def parse_duration(text: str, *, allow_zero: bool = False) -> Duration:
    """The seconds that `text` stands for. Raises `Wrong`."""
    if allow_zero and text == "0":
        return Duration(0)
    match = _DURATION.fullmatch(text)
    if match is None:
        hint = ""
        if re.fullmatch(r"[0-9]+(\.[0-9]+)?", text):
            hint = "add a unit: ms, s, m or h"
        raise Wrong(_FORM, hint)
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
