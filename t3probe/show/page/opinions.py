"""What programs on the path say of themselves, beside the verdict that they are no part of."""

from __future__ import annotations

from collections.abc import Sequence

from t3probe.show.page.markup import Cell, Child, Html, label, section, table, tag
from t3probe.show.page.view import View
from t3probe.text.words import some
from t3probe.verdict.opinions import OpinionBeside

HEADS = ("who", "segment", "says", "in words", "our verdict", "beside it")
COLOS_SHOWN = 8


def opinions_section(view: View) -> Html | None:
    """A row each; none without one."""
    found = view.judged.opinions
    if not found:
        return None
    return section(
        "opinions",
        "Their own opinion",
        tag("p", "What programs on the path say of themselves. It is no evidence.", class_="note"),
        table("Their own opinion", HEADS, (_row(view, one) for one in found), class_="wide-last"),
    )


def _row(view: View, one: OpinionBeside) -> Sequence[Cell | Child]:
    state = view.labels.get(one.view.segment)
    told = [one.view.detail]
    if one.view.colos:
        told.append(f"CDN: {', '.join(some(one.view.colos, COLOS_SHOWN))}")
    beside = "agrees" if one.compared else "not compared"
    return [
        one.view.name,
        one.view.segment,
        one.view.opinion,
        [tag("p", words) for words in told if words] or "-",
        label(state) if state else "-",
        f"disagrees: {one.beside}" if one.beside else beside,
    ]
