"""Upstreams: one table, the bad ones first, searched and sorted by the page's script.

Beyond the first rows they are packed: ten thousand as elements would be more than a megabyte.
"""

from __future__ import annotations

from collections.abc import Sequence

from t3probe.observation import WORST_FIRST, badness
from t3probe.show.page.markup import Cell, Child, Html, packed_block, section, shown, table, tag
from t3probe.show.page.view import LegView, View
from t3probe.text.words import count, some, span

__all__ = ["IN_PAGE", "upstreams_section"]

IN_PAGE = 200
"""Rows that are elements of the page, and so there without scripts."""
HEADS = ("upstream", "address", "route", "port", "outcome", "connect", "reason")
VIEWS_SHOWN = 5


def upstreams_section(view: View) -> Html | None:
    """How many there are, the tools, the first rows, and the packed rest."""
    if not view.upstreams:
        return None
    good = sum(one.outcome == "passed" for one in view.upstreams)
    total = len(view.upstreams)
    rows = sorted(view.upstreams, key=_worst_first)
    asked = any(one.seen.views for one in rows)
    heads = [*HEADS, "Envoy says"] if asked else HEADS
    first = table(
        "Upstreams",
        heads,
        (_cells(one, asked) for one in rows[:IN_PAGE]),
        class_="upstreams",
        identifier="upstreams-table",
        sortable=True,
    )
    rest = rows[IN_PAGE:]
    return section(
        "upstreams",
        "Upstreams",
        tag("p", f"{good:,} of {count(total, 'upstream')} can be reached."),
        _tools([one for one in WORST_FIRST if any(leg.outcome == one for leg in rows)]),
        first,
        [
            tag("noscript", tag("p", f"Without scripts: the first {IN_PAGE}.", class_="note")),
            packed_block("up-packed", _columns(rest, asked)),
        ]
        if rest
        else None,
    )


def _tools(outcomes: Sequence[str]) -> Html:
    return tag(
        "div",
        tag(
            "label",
            "Search ",
            tag("input", type="search", id="up-search", autocomplete="off", spellcheck="false"),
        ),
        tag(
            "label",
            "Outcome ",
            tag(
                "select",
                tag("option", "all", value=""),
                (tag("option", one, value=one) for one in outcomes),
                id="up-outcome",
            ),
        ),
        tag("button", "Previous", type="button", id="up-back"),
        tag("button", "Next", type="button", id="up-next"),
        tag("output", id="up-said", role="status"),
        class_="tools",
        hidden=True,
    )


def _worst_first(leg: LegView) -> tuple[int, str]:
    return badness(leg.outcome), leg.name


def _texts(leg: LegView) -> list[str]:
    """The cells' texts, but for what Envoy says."""
    seen = leg.seen
    return [
        seen.labels.get("backend") or leg.name,
        seen.address or (seen.addresses[0].address if seen.addresses else "-"),
        seen.labels.get("route", "") or "-",
        seen.labels.get("listen_port", "") or "-",
        leg.outcome,
        span(leg.median),
        leg.why or "-",
    ]


def _views(leg: LegView) -> list[str]:
    views = sorted(leg.seen.views, key=lambda one: not one.sentence)
    return some([f"{one.route}: {one.sentence or one.opinion}" for one in views], VIEWS_SHOWN)


def _cells(leg: LegView, asked: bool) -> Sequence[Cell | Child]:
    cells: list[Cell | Child] = [*_texts(leg)]
    # The mark is drawn by the style, as in the rows that the script makes.
    cells[4] = Cell(leg.outcome, class_=f"u-{leg.outcome}")
    if asked:
        cells.append([tag("p", one) for one in _views(leg)] or "-")
    return cells


def _columns(legs: Sequence[LegView], asked: bool) -> list[list[str]]:
    """Column by column, since what is alike packs well."""
    rows = [[*_texts(one), *(["; ".join(_views(one)) or "-"] if asked else [])] for one in legs]
    return [[shown(one) for one in column] for column in zip(*rows, strict=True)]
