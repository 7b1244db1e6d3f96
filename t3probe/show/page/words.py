"""Numbers and labels as people read them."""

from __future__ import annotations

import math
from collections.abc import Sequence

from t3probe.timing import utc_text

__all__ = ["LABEL_MEANS", "STATUS_MEANS", "clock", "count", "listed", "moment", "span", "utc"]

LABEL_MEANS = {
    "exonerated": "a leg that passed crosses it",
    "convicted": "broken: the only suspect of some failed leg",
    "ambiguous": "broken, or another suspect is: these legs cannot tell",
    "masked": "behind a failure that others explain: probe again after the repair",
    "unobserved": "on no leg that took part",
}
STATUS_MEANS = {
    "clean": "nothing failed",
    "incomplete": "nothing failed, but not every segment was observed",
    "localised": "something failed, and what it was is certain",
    "ambiguous": "something failed, and these legs cannot tell everything about it",
    "inconsistent": "the outcomes contradict each other: at least one is wrong",
}


def span(seconds: float | None) -> str:
    """A length of time: `640 µs`, `5.9 ms`, `2.04 s`, `3 min 20 s`, `2 h 5 min`, `41 d 3 h`."""
    if seconds is None:
        return "-"
    if not math.isfinite(seconds):
        return "beyond measure"
    if seconds < 0:
        return f"-{span(-seconds)}"
    if seconds == 0:
        return "0 s"
    if seconds < 0.001:
        return f"{seconds * 1e6:.0f} µs"
    if seconds < 1:
        return f"{seconds * 1e3:.3g} ms" if seconds < 0.9995 else "1.00 s"
    if seconds < 99.995:
        return f"{seconds:.2f} s"
    if seconds < 3600:
        return f"{int(seconds) // 60} min {int(seconds) % 60} s"
    if seconds < 86400:
        return f"{int(seconds) // 3600} h {int(seconds) % 3600 // 60} min"
    if seconds < 86400 * 36525:
        return f"{int(seconds) // 86400} d {int(seconds) % 86400 // 3600} h"
    return "more than a century"


def utc(unix_seconds: float) -> str:
    """A moment as RFC 3339 text in UTC; one that no calendar has as its number."""
    try:
        return utc_text(unix_seconds)
    except (OverflowError, ValueError, OSError):
        return f"Unix time {unix_seconds:.6g}"


def clock(unix_seconds: float, milliseconds: bool = True) -> str:
    """The time of day of a moment in UTC, `03:50:13.343`."""
    found = utc(unix_seconds)
    return found[11 : 23 if milliseconds else 19] if found.endswith("Z") else found


def moment(unix_seconds: float) -> str:
    """Day and time of day, `2026-11-21 03:50:13 UTC`."""
    found = utc(unix_seconds)
    return f"{found[:10]} {found[11:19]} UTC" if found.endswith("Z") else found


def count(number: int, one: str, several: str = "") -> str:
    """`1 run`, `24 runs`, `10,000 runs`."""
    return f"{number:,} {one if number == 1 else several or one + 's'}"


def listed(names: Sequence[str], most: int = 12) -> str:
    """Names in a row; beyond `most` only how many more."""
    if len(names) <= most:
        return ", ".join(names)
    return f"{', '.join(names[: most - 1])} and {len(names) - most + 1:,} more"
