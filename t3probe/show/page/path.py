"""The path as it is: segments in a row, legs as lanes over them.

It is a table: columns are segments, rows are legs, and a cell holds the piece of lane where a leg
crosses a segment. So it reads without sight and scrolls on a small screen.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from t3probe.observation import worst
from t3probe.show.page.markup import (
    Child,
    Html,
    icon,
    legend,
    outcome,
    row_head,
    scroll,
    section,
    tag,
)
from t3probe.show.page.view import LegView, View
from t3probe.text.names import CARVE_OUT_SEGMENT, UPSTREAM_SEGMENT, WALL_SEGMENT
from t3probe.text.words import count, label_word, span

OWN_SHOWN = 3
"""Columns for segments of single upstreams that are suspects; all others share one."""
FAILED_SHOWN = 5
"""Lanes for upstreams that failed; all others share one."""
LONG_SEGMENT = 16
"""Characters; longer names may break anywhere."""
LANES_SHOWN = 40
COLUMNS_SHOWN = 32
EDGE = "-1"
"""A thick line begins a pixel before its cell: cells end at fractions of one."""
REST = "\0"
"""The column of all other segments: single upstreams, path rules, and of too many the cleared."""


def path_section(view: View) -> Html:
    """The picture, and what its marks mean."""
    columns = _columns(view)
    failing = view.drawn([one for one in view.upstreams if one.outcome != "passed"], FAILED_SHOWN)
    drawn = view.drawn(view.legs, LANES_SHOWN)
    rows = [_lane(view, columns, leg) for leg in (*drawn, *failing)]
    rest = [one for one in view.upstreams if one not in failing]
    left = len(view.legs) - len(drawn)
    if rest:
        rows.append(_upstreams(view, columns, rest))
    picture = tag(
        "table",
        tag("caption", "The path: which leg crosses which segment", class_="vh"),
        tag("thead", tag("tr", tag("th", "leg", scope="col"), _heads(view, columns), _OUTCOME)),
        tag("tbody", rows),
        class_="path",
    )
    return section(
        "path",
        "The path",
        scroll("The path: which leg crosses which segment", picture),
        tag("p", f"Not drawn: {count(left, 'leg')} of the least notable.", class_="note")
        if left
        else None,
        legend(),
        _key(),
    )


def _key() -> Html:
    line = tag("line", x1=0, x2=30, y1="50%", y2="50%")
    thin = tag("line", x1=0, x2=30, y1="50%", y2="50%", class_="by")
    ring = tag("circle", cx=15, cy="50%", r=4.5)
    items = (
        ("l-passed", (line, ring), "crosses the segment"),
        ("l-passed", (thin,), "goes past it"),
        ("l-failed", (line, _mark("convicted", "15")), "a failed leg, and where it broke"),
        ("l-failed", (line, _mark("exonerated", "15")), "cleared by the failed leg's own answer"),
        ("l-inconclusive", (line, ring), "could not tell"),
    )
    return tag(
        "ul",
        (
            tag(
                "li",
                tag("svg", shapes, width=30, height=18, aria_hidden="true", focusable="false"),
                word,
                class_=kind,
            )
            for kind, shapes, word in items
        ),
        class_="key lines",
    )


def _mark(name: str, x: str) -> Html:
    use = tag("use", href=f"#m-{name}", width=16, height=16, x=-8, y=-8)
    return tag("svg", use, x=x, y="50%", overflow="visible", class_=f"k-{name}")


_OUTCOME = tag("th", "outcome", scope="col", class_="end")


def _columns(view: View) -> list[str]:
    declared = [one for one in view.judged.segments if one not in view.own]
    own = [one for one in view.judged.segments if one in view.own]
    ranks = {"convicted": 0, "ambiguous": 1, "exonerated": 3}

    def rank(segment: str) -> int:
        return ranks.get(view.labels.get(segment, ""), 2)

    notable = [one for one in own if rank(one) < 2]
    columns = [*worst(declared, COLUMNS_SHOWN, rank), *worst(notable, OWN_SHOWN, rank)]
    if len(view.judged.segments) > len(columns):
        columns.append(REST)
    return columns


def _heads(view: View, columns: Sequence[str]) -> Iterator[Html]:
    for segment in columns:
        if segment == REST:
            yield _rest_head(view, columns)
            continue
        label = view.labels.get(segment, "unobserved")
        word = tag("small", label_word(label))
        long = " long" if len(segment) > LONG_SEGMENT else ""
        yield tag(
            "th",
            tag("span", icon(label), tag("b", segment), word, class_=f"seg k-{label}{long}"),
            scope="col",
            class_=f"c-{label}",
            data_segment=segment,
            data_label=label,
        )


def _rest_head(view: View, columns: Sequence[str]) -> Html:
    rest = [one for one in view.judged.segments if one not in columns]
    counts = dict.fromkeys(("exonerated", "ambiguous", "masked", "unobserved", "convicted"), 0)
    for one in rest:
        counts[view.labels.get(one, "unobserved")] += 1
    label = max(counts, key=lambda name: counts[name])
    said = ", ".join(f"{number:,} {label_word(name)}" for name, number in counts.items() if number)
    if counts[label] == len(rest):
        said = label_word(label)
    name = _rest_name(rest)
    return tag(
        "th",
        tag("span", icon(label), tag("b", name), tag("small", said), class_=f"seg k-{label}"),
        scope="col",
        class_=f"c-{label}",
    )


def _rest_name(rest: Sequence[str]) -> str:
    if all(one.startswith(UPSTREAM_SEGMENT) for one in rest):
        return count(len(rest), "upstream").replace(" ", "\u00a0")
    if all(one.startswith((CARVE_OUT_SEGMENT, WALL_SEGMENT)) for one in rest):
        return count(len(rest), "path rule")
    return count(len(rest), "other")


def _lane(view: View, columns: Sequence[str], leg: LegView) -> Html:
    on = [_column_of(columns, one) for one in leg.seen.path]
    crossed = {at for at in on if at is not None}
    carried = {
        at
        for drop in leg.drops
        for at in (_column_of(columns, one) for one in drop.carried)
        if at is not None
    }
    cells = _pieces(columns, crossed, view, leg.outcome, carried)
    bad = leg.outcome in ("failed", "inconclusive")
    trips = leg.seen.reason if bad or not leg.good else span(leg.median)
    if leg.outcome == "failed":
        trips = leg.seen.symptom or trips
    end = tag("td", outcome(leg.outcome), tag("small", trips), class_="end")
    return tag("tr", row_head(leg.name), cells, end, class_=f"l-{leg.outcome}")


def _column_of(columns: Sequence[str], segment: str) -> int | None:
    if segment in columns:
        return columns.index(segment)
    return len(columns) - 1 if columns and columns[-1] == REST else None


def _upstreams(view: View, columns: Sequence[str], legs: Sequence[LegView]) -> Html:
    good = sum(one.outcome == "passed" for one in legs)
    known = {name: _column_of(columns, name) for leg in legs for name in leg.seen.path}
    crossed = {at for at in known.values() if at is not None}
    said = tag("small", f"{good:,} of {len(legs):,} passed")
    return tag(
        "tr",
        row_head(count(len(legs), "upstream")),
        _pieces(columns, crossed, view, "passed" if good else "inconclusive", set()),
        tag("td", outcome("passed") if good == len(legs) else said, class_="end"),
        class_="l-passed" if good else "l-inconclusive",
    )


def _pieces(
    columns: Sequence[str], crossed: set[int], view: View, word: str, carried: set[int]
) -> Iterator[Html]:
    """The cells of a lane: a node where it crosses, a thick line to the next node, and a thin one
    over segments that it passes by."""
    first, last = min(crossed, default=0), max(crossed, default=-1)
    for at, segment in enumerate(columns):
        label = view.labels.get(segment, "")
        style = f"c-{label}" if label else None
        if not first <= at <= last:
            yield tag("td", class_=style)
            continue
        if at not in crossed:
            yield tag("td", _drawing(_line("0", "100%", thick=False)), class_=style)
            continue
        left = None if at == first else _line("0", "50%", thick=at - 1 in crossed)
        right = None if at == last else _line("50%", "100%", thick=at + 1 in crossed)
        culprit = word == "failed" and label == "convicted"
        mark = "convicted" if culprit else "exonerated" if at in carried else ""
        node = _mark(mark, "50%") if mark else tag("circle", cx="50%", cy="50%", r=4.5)
        said = (
            "broken here"
            if culprit
            else "cleared by its own answer"
            if at in carried
            else "crosses"
        )
        yield tag("td", _drawing(left, right, node), tag("span", said, class_="vh"), class_=style)


def _line(start: str, end: str, *, thick: bool) -> Html:
    if thick and start == "0":
        start = EDGE
    return tag("line", x1=start, x2=end, y1="50%", y2="50%", class_=None if thick else "by")


def _drawing(*shapes: Child) -> Html:
    return tag("svg", shapes, aria_hidden="true", focusable="false")
