"""Tables: one builder for all, so that each has a caption, scopes and a place to scroll."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from t3probe.report.markup import Child, Html, tag

__all__ = ["Cell", "details", "mono", "row_head", "scroll", "section", "table"]

LONG_NAME = 32
"""Characters; longer names may break anywhere, shorter ones never do."""


class Cell:
    """A cell whose order is not that of its text: `by` is what it is sorted by."""

    def __init__(self, content: Child, by: float | str | None = None, class_: str = "") -> None:
        self.content, self.by, self.class_ = content, by, class_


def table(
    caption: str,
    heads: Sequence[str],
    rows: Iterable[Sequence[Cell | Child]],
    *,
    class_: str = "",
    identifier: str | None = None,
    sortable: bool = False,
) -> Html:
    """A table whose first column names its rows. `sortable` lets the page's script put buttons
    into its heads."""
    head = tag("tr", (tag("th", tag("span", one), scope="col") for one in heads))
    return scroll(
        caption,
        tag(
            "table",
            tag("caption", caption, class_="vh"),
            tag("thead", head),
            tag("tbody", (_row(one) for one in rows)),
            class_=class_ or None,
            id=identifier,
            data_sort=sortable,
        ),
    )


def _row(cells: Sequence[Cell | Child]) -> Html:
    return tag("tr", (_cell(one, at == 0) for at, one in enumerate(cells)))


def _cell(cell: Cell | Child, first: bool) -> Html:
    if not isinstance(cell, Cell):
        return row_head(cell) if first else tag("td", cell)
    name, scope = ("th", "row") if first else ("td", None)
    return tag(name, cell.content, scope=scope, class_=cell.class_ or None, data_v=cell.by)


def row_head(name: Child) -> Html:
    """The cell that names a row."""
    return tag("th", name, scope="row", class_=_long(name))


def _long(name: Child) -> str | None:
    return "long" if isinstance(name, str) and len(name) > LONG_NAME else None


def mono(text: str) -> Html:
    """An address or a path."""
    return tag("span", text, class_="mono" if _long(text) is None else "mono long")


def scroll(caption: str, *children: Child) -> Html:
    """Something wide that scrolls by itself, by keyboard, too."""
    return tag("div", children, class_="scroll", role="region", tabindex=0, aria_label=caption)


def details(summary: str, *children: Child) -> Html:
    """Something that is folded away at first."""
    return tag("details", tag("summary", summary), children)


def section(identifier: str, heading: str, *children: Child) -> Html:
    """A section with its heading."""
    return tag(
        "section",
        tag("h2", heading, id=f"{identifier}-h"),
        children,
        id=identifier,
        aria_labelledby=f"{identifier}-h",
    )
