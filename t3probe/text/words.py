"""How people are told numbers, moments, lists and labels: one answer to each question.

The terminal, the page, Markdown, `explain` and the MCP server all write them so. Everything is
ASCII, since a log may have no encoding. Pure, and it imports nothing that is slow to load.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime

CENTURY_SECONDS = 86_400 * 36_525
_UNITS = (
    (60, "min", 1, "s", 60),
    (3600, "h", 60, "min", 24),
    (86_400, "d", 3600, "h", math.inf),
)
"""A unit, its part, the seconds of both, and how many of it are one of the next."""


def span(seconds: float | None) -> str:
    """A length of time, to a microsecond, three digits or two units: `0.64 ms`, `65 ms`, `2.04 s`,
    `1 min`, `3 min 20 s`, `2 h 5 min`, `41 d 3 h`. None, which was not measured, is a dash."""
    if seconds is None:
        return "-"
    if not math.isfinite(seconds):
        return "beyond measure"
    if seconds < 0:
        text = span(-seconds)
        return text if text == "0 s" else f"-{text}"
    if seconds < 0.001:
        text = f"{seconds * 1e3 + 0.0:.3f}".rstrip("0").rstrip(".")
        return "0 s" if text == "0" else f"{text} ms"
    if (text := f"{seconds * 1e3:.3g}") != "1e+03" and seconds < 1:
        return f"{text} ms"
    if (text := f"{seconds:.3g}") != "60" and seconds < 60:
        return f"{text} s"
    if seconds >= CENTURY_SECONDS:
        return "more than a century"
    text = ""
    for size_seconds, name, part_seconds, part, fewer in _UNITS:
        many, rest = divmod(round(seconds / part_seconds), size_seconds // part_seconds)
        text = f"{many} {name} {rest} {part}" if rest else f"{many} {name}"
        if many < fewer:
            break
    return text


def change(seconds: float) -> str:
    """A difference of two lengths, with its sign: `+33 ms`, `-0.5 s`."""
    text = span(seconds)
    return text if seconds < 0 or text == "0 s" else f"+{text}"


def offset(seconds: float) -> str:
    """A moment of a run, counted from the run's start: `12.345 s`."""
    return f"{seconds + 0.0:.3f} s"


def ago(seconds: float) -> str:
    """How long ago, to the second: `40 s ago`, `2 h 10 min ago`."""
    return f"{span(max(0, round(seconds)))} ago"


def utc(unix_seconds: float) -> str:
    """A moment as RFC 3339 text in UTC with milliseconds, `2026-01-31T12:00:00.000Z`; one that no
    calendar has as its number."""
    try:
        when = datetime.fromtimestamp(unix_seconds, UTC)
    except (OverflowError, ValueError, OSError):
        return f"Unix time {unix_seconds:.6g}"
    return when.strftime("%Y-%m-%dT%H:%M:%S.") + f"{when.microsecond // 1000:03d}Z"


def clock(unix_seconds: float) -> str:
    """The time of day of a moment in UTC, `03:50:13.343`."""
    text = utc(unix_seconds)
    return text[11:23] if text.endswith("Z") else text


def moment(unix_seconds: float) -> str:
    """Day and time of day, `2026-11-21 03:50:13 UTC`."""
    text = utc(unix_seconds)
    return f"{text[:10]} {text[11:19]} UTC" if text.endswith("Z") else text


def percent(share: float) -> str:
    """A share of one: `50%`, `97.3%`. Only nothing is `0%`, and only all is `100%`."""
    text = f"{100 * share + 0.0:.1f}"
    if text == "0.0" and share > 0:
        return "<0.1%"
    if text == "100.0" and share < 1:
        return ">99.9%"
    return text.removesuffix(".0") + "%"


def size(number_bytes: float) -> str:
    """Bytes to three digits: `512 bytes`, `64 KiB`, `1.5 GiB`."""
    if number_bytes < 1024:
        return count(round(number_bytes), "byte")
    number, unit = number_bytes / 1024, "KiB"
    for larger in ("MiB", "GiB", "TiB"):
        if number < 999.5:
            break
        number, unit = number / 1024, larger
    return f"{number:.3g} {unit}" if number < 999.5 else f"{number:,.0f} {unit}"


def count(number: int, one: str, several: str = "") -> str:
    """`1 run`, `24 runs`, `10,000 runs`."""
    return f"{number:,} {one if number == 1 else several or one + 's'}"


def some(names: Sequence[str], most: int) -> list[str]:
    """The names, or the first ones and how many more there are, `most` in all."""
    if len(names) <= most:
        return [*names]
    return [*names[: most - 1], f"{len(names) - most + 1:,} more"]


def at_places(pairs: Iterable[tuple[str, str]], most: int = 12) -> str:
    """Names by the place where they are, `FRA: edge, cloudflare; AMS: other`; empty without any."""
    found: dict[str, list[str]] = {}
    for name, place in pairs:
        if place:
            found.setdefault(place, []).append(name)
    said = [f"{place}: {', '.join(some(names, most))}" for place, names in found.items()]
    return "; ".join(some(said, most))


def listed(names: Iterable[str], most: int = 6, word: str = "and") -> str:
    """Names in a sentence: `a, b and c`; of more than `most`, `a, b and 10 more`."""
    shown = some([*names], most)
    return f"{', '.join(shown[:-1])} {word} {shown[-1]}" if shown[1:] else "".join(shown)


def glossed(names: Iterable[str], gloss: Mapping[str, str]) -> list[str]:
    """Names of segments, each with what the file adds to it. A sentence names them so unless it
    says that they are cleared: then what the gloss holds against them is cleared as well."""
    return [f"{one} ({gloss[one]})" if one in gloss else one for one in names]


def label_word(label: str) -> str:
    """A segment's label as people read it: `exonerated`, the word of the data, is "cleared"."""
    return "cleared" if label == "exonerated" else label
