"""Remote rigs: a row each, with its streams and its log-in channel, the broken ones first."""

from __future__ import annotations

from collections.abc import Sequence

from t3probe.observation import WORST_FIRST, badness
from t3probe.show.page.markup import Cell, Child, Html, outcome, section, table, tag
from t3probe.show.page.view import LegView, View
from t3probe.text.words import count

HEADS = ("rig", "worst", "streams", "log-in channel", "in words")


def rigs_section(view: View) -> Html | None:
    """Every rig; all are in the page, so that a browser's search finds each."""
    rigs: dict[str, list[LegView]] = {}
    for one in view.every:
        if one.seen.kind in ("stream", "jump"):
            rigs.setdefault(one.seen.labels.get("experiment", ""), []).append(one)
    if not rigs:
        return None
    ranked = sorted(rigs.items(), key=lambda pair: (badness(_worst(pair[1])), pair[0]))
    good = sum(_worst(legs) == "passed" for legs in rigs.values())
    return section(
        "rigs",
        "Remote rigs",
        tag("p", f"{good:,} of {count(len(rigs), 'rig')} are well."),
        table("Remote rigs", HEADS, (_rig(name, legs) for name, legs in ranked), class_="walls"),
    )


def _worst(legs: Sequence[LegView]) -> str:
    return WORST_FIRST[min(badness(one.outcome) for one in legs)]


def _rig(name: str, legs: Sequence[LegView]) -> Sequence[Cell | Child]:
    streams = [one for one in legs if one.seen.kind == "stream"]
    jump = next((one for one in legs if one.seen.kind == "jump"), None)
    wrong = [one for one in legs if one.outcome != "passed"]
    return [
        name,
        Cell(outcome(_worst(legs))),
        [
            tag("p", one.seen.labels.get("stream", one.name), " ", outcome(one.outcome))
            for one in streams
        ]
        or "-",
        "-" if jump is None else Cell(outcome(jump.outcome)),
        [tag("p", one.seen.detail or one.why or one.name) for one in wrong] or "-",
    ]
