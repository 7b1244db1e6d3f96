"""Availability over the runs of the page: a table per vantage."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from t3probe.show.availability import Availability, Place, Row
from t3probe.show.availability.text import CLASSES, HEADS, cells
from t3probe.show.page.history import History
from t3probe.show.page.markup import Cell, Child, Html, details, section, table, tag
from t3probe.text.words import count, moment, span

ROWS_SHOWN = 120
PLACES_SHOWN = 12
ABOUT = (
    "Good and bad are shares of the observed time alone. Not observed is the time between runs, of "
    "legs that could not tell, and of segments that were one of several suspects: neither good nor "
    "bad."
)


def availability_section(history: History) -> Html | None:
    """Nothing for one run alone."""
    if len(history.runs) < 2:
        return None
    whole = history.availability
    older = f" {history.older:,} older ones are not counted." if history.older else ""
    said = (
        f"{count(len(history.runs), 'run')} from {moment(whole.began)} to {moment(whole.ended)}, "
        f"{span(whole.seconds)}.{older}"
    )
    return section(
        "availability",
        "Availability",
        tag("p", f"{said} {ABOUT}", class_="note"),
        [_place(whole, one) for one in whole.places[:PLACES_SHOWN]],
    )


def _place(whole: Availability, place: Place) -> Html:
    rows = [*(("leg", one) for one in place.legs), *(("segment", one) for one in place.segments)]
    shown = rows[:ROWS_SHOWN]
    left = len(rows) - len(shown)
    bad = [row for _, row in shown if row.incidents]
    where = f" from {place.vantage}" if place.vantage else ""
    return tag(
        "div",
        tag("h3", f"Legs and segments{where}") if where else None,
        table(
            f"Availability{where}",
            ("of", "", *HEADS),
            (_row(kind, row, whole) for kind, row in shown),
        ),
        tag("p", f"{left:,} more are not shown.", class_="note") if left else None,
        details(
            "Incidents by length",
            table(f"Incidents by length{where}", ("of", *CLASSES), _lengths(bad)),
        )
        if bad
        else None,
    )


def _row(kind: str, row: Row, whole: Availability) -> Sequence[Cell | Child]:
    return (row.name, kind, *cells(row, whole))


def _lengths(rows: Sequence[Row]) -> Iterator[Sequence[Cell | Child]]:
    for row in rows:
        yield (row.name, *(f"{one:,}" if one else "-" for one in row.by_length))
