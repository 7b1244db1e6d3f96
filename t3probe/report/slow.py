"""What is slow, and what fails only some of the time: beside the verdict, never in it."""

from __future__ import annotations

from t3probe.report.markup import Child, Html, tag
from t3probe.report.tables import Cell, section, table
from t3probe.report.view import View
from t3probe.report.words import span
from t3probe.words import worst

__all__ = ["slow_section"]

SUSPECTS_SHOWN = 12
LEGS_SHOWN = 60
LIKELY = 0.02


def slow_section(view: View) -> Html:
    """Slow legs against what was usual, and how probable a fault of each segment is."""
    return section("slow", "Slow, or failing now and then", _slow(view), _posterior(view))


def _slow(view: View) -> list[Child]:
    slowness = view.judged.slowness
    parts: list[Child] = [tag("p", f"Slowness: {slowness.text}.")]
    legs = slowness.legs
    if legs:
        rows = [
            (
                name,
                Cell(f"{span(one.usual_low)} to {span(one.usual_high)}", one.usual_high, "n"),
                Cell(span(one.median), one.median, "n"),
                "slow" if one.slow else "as usual",
            )
            for name, one in worst(list(legs.items()), LEGS_SHOWN, lambda leg: not leg[1].slow)
        ]
        heads = ("leg", "usual median", "now", "finding")
        parts.append(table("Round trips against what is usual", heads, rows, sortable=True))
        if left := len(legs) - len(rows):
            parts.append(tag("p", f"{left:,} more are not shown.", class_="note"))
    if slowness.latency_text:
        parts.append(tag("p", f"Of the round trips, {slowness.latency_text}."))
    return parts


def _posterior(view: View) -> Child:
    found = view.judged.posterior.to_dict().get("posterior", {})
    likely = sorted(
        (one for one in found.items() if one[1] >= LIKELY and one[0] not in view.own),
        key=lambda one: (-one[1], one[0]),
    )
    if not view.judged.incidents or not likely:
        return None
    rows = [(name, Cell(f"{p:.0%}", class_="n")) for name, p in likely[:SUSPECTS_SHOWN]]
    return [
        tag(
            "p",
            "How probable a fault of each segment is, from how often what failed. An estimate "
            "that also reckons with wrong outcomes, so a short run says little; the verdict "
            "makes no use of it.",
        ),
        table("Probability of a fault", ("segment", "probability"), rows, class_="fit"),
    ]
