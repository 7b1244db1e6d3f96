"""Availability as text for a terminal and as JSON."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from t3probe.show.availability.tally import LENGTHS, Availability, BadTime, Row
from t3probe.text import distinct
from t3probe.text.words import count, moment, span, utc

HEADS = ("good", "observed", "bad", "not observed", "incidents", "longest")
CLASSES = ("< 10 s", "< 1 min", "< 5 min", "< 30 min", "< 2 h", "longer")
"""The words for the classes of lengths: below each bound, and beyond the last."""
NAME = 16
LONGEST_LISTED = 20


def share(row: Row) -> str:
    """The good part of the observed time; never rounded up to more than it was."""
    found = row.good_share
    if found is None:
        return "-"
    if row.bad_seconds <= 0:
        return "100 %"
    return f"{math.floor(found * 1e5) / 1e3:.3f} %"


def cells(row: Row, whole: Availability) -> tuple[str, ...]:
    """One row under `HEADS`."""
    longest = max((one.seconds for one in row.incidents), default=None)
    return (
        share(row),
        span(row.observed_seconds),
        span(row.bad_seconds),
        span(whole.unobserved(row)),
        f"{len(row.incidents):,}",
        span(longest),
    )


def to_lines(whole: Availability, source: str, notes: Iterable[str] = ()) -> Iterator[str]:
    """The lines."""
    if whole.ended:  # of no run at all no time is known
        yield f"{moment(whole.began)} to {moment(whole.ended)} ({span(whole.seconds)})"
    yield f"from {source}"
    for place in whole.places:
        yield ""
        if place.vantage or len(whole.places) > 1:
            yield f"from {place.vantage or 'no vantage'}, {count(place.looks, 'look')}"
        for what, rows in (("leg", place.legs), ("segment", place.segments)):
            if rows:
                yield from _table(what, HEADS, [(row, cells(row, whole)) for row in rows])
                yield ""
            bad = [(row, [str(n or "-") for n in row.by_length]) for row in rows if row.incidents]
            if bad:
                yield from _table("incidents by length", CLASSES, bad)
                yield ""
    yield from notes


def _table(
    what: str, heads: Sequence[str], rows: Sequence[tuple[Row, Sequence[str]]]
) -> Iterator[str]:
    names = distinct([row.name for row, _ in rows], NAME)
    first = max(len(what), *(len(one) for one in names.values()))
    widths = [max(len(head), *(len(cell[at]) for _, cell in rows)) for at, head in enumerate(heads)]
    lines = [(what, heads), *((names[row.name], cell) for row, cell in rows)]
    for name, cell in lines:
        right = "  ".join(f"{text:>{width}}" for text, width in zip(cell, widths, strict=True))
        yield f"{name:<{first}}  {right}"


def to_dict(whole: Availability, source: str, notes: Iterable[str] = ()) -> dict[str, Any]:
    """The JSON form. Times are RFC 3339, lengths are in seconds; a share that is not known is
    null."""
    return {
        "began": utc(whole.began) if whole.ended else None,
        "ended": utc(whole.ended) if whole.ended else None,
        "seconds": round(whole.seconds, 3),
        "source": source,
        "vantages": [
            {
                "vantage": place.vantage,
                "looks": place.looks,
                "legs": [_row(one, whole) for one in place.legs],
                "segments": [_row(one, whole) for one in place.segments],
            }
            for place in whole.places
        ],
        "notes": list(notes),
    }


def _row(row: Row, whole: Availability) -> dict[str, Any]:
    found = row.good_share
    longest = sorted(row.incidents, key=lambda one: -one.seconds)[:LONGEST_LISTED]
    bounds: tuple[float | None, ...] = (*LENGTHS, None)
    return {
        "name": row.name,
        "good_share": None if found is None else math.floor(found * 1e8) / 1e8,
        "observed_seconds": round(row.observed_seconds, 3),
        "good_seconds": round(row.observed_seconds - row.bad_seconds, 3),
        "bad_seconds": round(row.bad_seconds, 3),
        "not_observed_seconds": round(whole.unobserved(row), 3),
        "incidents": len(row.incidents),
        "incidents_by_length": [
            {"below_seconds": bound, "incidents": number}
            for bound, number in zip(bounds, row.by_length, strict=True)
        ],
        "longest": [_incident(one) for one in longest],
    }


def _incident(one: BadTime) -> dict[str, Any]:
    return {
        "began": utc(one.began),
        "ended": utc(one.ended),
        "seconds": round(one.seconds, 3),
        "open": one.open,
    }
