"""Rules and configurations on a scaled clock: every duration divided by one number.

Three forms of time are divided, wherever they stand:
- a YAML key of `KEYS` with a duration as its value (`for: 5m`);
- a PromQL range (`[15m]`);
- the number of seconds that an age is compared with (`time() - x < bool 240`).

Nothing else is: counts of drops, fractions of time (`rate` of seconds is one), the lag of the
event loop, and what is left of a certificate, whose lifetime no test can scale.
"""

from __future__ import annotations

import re

from rules_file import SECONDS

__all__ = ["scaled"]

KEYS = (
    *("for", "keep_firing_for", "interval"),
    *("group_wait", "group_interval", "repeat_interval"),
    *("scrape_interval", "scrape_timeout"),
)
DURATION = r"(\d+)([smhd])"
KEY = re.compile(rf"^(\s*(?:{'|'.join(KEYS)}): ){DURATION}$", re.MULTILINE)
RANGE = re.compile(rf"(\[){DURATION}(?=\])")
AGE = re.compile(r"(time\(\) - [^<>\n]*[<>] (?:bool )?)(\d+)\b")


def scaled(text: str, factor: int) -> str:
    """`text` with every duration divided by `factor`, to the millisecond."""

    def shorter(found: re.Match[str]) -> str:
        return f"{found[1]}{int(found[2]) * SECONDS[found[3]] * 1000 // factor}ms"

    def younger(found: re.Match[str]) -> str:
        return f"{found[1]}{int(found[2]) / factor:g}"

    return AGE.sub(younger, RANGE.sub(shorter, KEY.sub(shorter, text)))
