"""What each leg saw, its first good attempt as bars, and what is slow beside the verdict.

Upstreams are one table, the bad ones first, searched and sorted by the page's script. Beyond the
first rows they are packed: ten thousand as elements would be more than a megabyte.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from t3probe.deliver.metrics.table import PHASES
from t3probe.observation import WORST_FIRST, badness, worst
from t3probe.show.page.markup import (
    Cell,
    Child,
    Html,
    mono,
    outcome,
    packed_block,
    row_head,
    scroll,
    section,
    shown,
    table,
    tag,
)
from t3probe.show.page.view import LegView, View
from t3probe.text.words import count, percent, some, span

LEGS_SHOWN = 100
"""Of more the worst."""
PHASES_SHOWN = 40
SENTENCES_SHOWN = 8
_NAMES = {"first_echo": "first echo"}


def legs_section(view: View) -> Html:
    """A row per leg; upstreams have a table of their own."""
    heads = ("leg", "outcome", "median", "worst", "drops", "looked for", "addresses", "in words")
    legs = view.drawn(view.legs, LEGS_SHOWN)
    left = len(view.legs) - len(legs)
    return section(
        "legs",
        "What each leg saw",
        table(
            "What each leg saw", heads, (_row(one) for one in legs), class_="wide-last",
            sortable=True,
        ),
        tag("p", f"{left:,} more are not shown.", class_="note") if left else None,
    )  # fmt: skip


def _row(leg: LegView) -> Sequence[Cell | Child]:
    seen = leg.seen
    answered, tried = seen.answered
    where = seen.address or (seen.addresses[0].address if seen.addresses else "")
    share = f"{answered} of {tried}" if tried > 1 else ""
    place = " ".join(one for one in (seen.colo, seen.cf_ray) if one)
    words = [
        tag("p", one)
        for one in (
            seen.planned,
            leg.why,
            leg.strands,
            *some(seen.evidence, SENTENCES_SHOWN),
            place and f"CDN: {place}",
        )
        if one
    ]
    worst = max(leg.good, default=None)
    return [
        leg.name,
        Cell(outcome(leg.outcome), leg.outcome),
        Cell(span(leg.median), _by(leg.median), "n"),
        Cell(span(worst), _by(worst), "n"),
        Cell(str(len(leg.drops)), len(leg.drops), "n"),
        Cell(span(seen.observed_seconds), seen.observed_seconds, "n"),
        [mono(where), " ", share and mono(share)],
        Cell(words or "-", leg.why),
    ]


def _by(value: float | None) -> float:
    return math.inf if value is None else value


def phases_section(view: View) -> Html | None:
    """Stacked bars on one scale, with every number in the table beside them."""
    every = [one for one in view.legs if _phases(one)]
    if not every:
        return None
    legs = view.drawn(every, PHASES_SHOWN)
    left = len(every) - len(legs)
    longest = max(sum(_phases(one).values()) for one in legs)
    longest = longest if 0 < longest < math.inf else 1.0
    heads = tag(
        "tr",
        tag("th", "leg", scope="col"),
        tag("th", "first good attempt", scope="col", class_="plot"),
        (
            tag("th", tag("i", class_=f"dot p-{name}"), _NAMES.get(name, name), scope="col")
            for name in PHASES
        ),
        tag("th", "together", scope="col"),
    )
    caption = "How long each phase of the first good attempt took"
    return section(
        "phases",
        "Phases of the first attempt",
        scroll(
            caption,
            tag(
                "table",
                tag("caption", caption, class_="vh"),
                tag("thead", heads),
                tag("tbody", (_bars(one, longest) for one in legs)),
                class_="phases",
            ),
        ),
        tag(
            "ul",
            (
                tag("li", tag("i", class_=f"dot p-{name}"), _NAMES.get(name, name))
                for name in PHASES
            ),
            class_="key",
        ),
        tag("p", f"{left:,} more are not shown.", class_="note") if left else None,
    )


def _phases(leg: LegView) -> dict[str, float]:
    """The phases that were measured, in their order."""
    found = leg.seen.phases
    return {name: max(0.0, found[name]) for name in PHASES if name in found}


def _bars(leg: LegView, longest: float) -> Html:
    phases = _phases(leg)
    total = sum(phases.values())
    picture = tag(
        "svg",
        list(_rects(phases, longest)),
        height=18,
        role="img",
        aria_label=f"{leg.name}: {span(total)}",
    )
    return tag(
        "tr",
        row_head(leg.name),
        tag("td", picture, class_="plot"),
        (tag("td", span(phases.get(name)), class_="n") for name in PHASES),
        tag("td", tag("b", span(total)), class_="n"),
    )


def _rects(phases: dict[str, float], longest: float) -> Iterator[Html]:
    at = 0.0
    for name, seconds in phases.items():
        share = min(1.0 - at, seconds / longest)
        if share >= 0.0005:
            yield tag(
                "rect",
                tag("title", f"{_NAMES.get(name, name)} {span(seconds)}"),
                x=f"{at:.2%}",
                width=f"{share:.2%}",
                height=18,
                class_=f"p-{name}",
            )
            at += share


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
    rows = [(name, Cell(percent(p), class_="n")) for name, p in likely[:SUSPECTS_SHOWN]]
    return [
        tag(
            "p",
            "How probable a fault of each segment is, from how often what failed. An estimate "
            "that also reckons with wrong outcomes, so a short run says little; the verdict "
            "makes no use of it.",
        ),
        table("Probability of a fault", ("segment", "probability"), rows, class_="fit"),
    ]


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
