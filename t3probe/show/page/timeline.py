"""The timeline: beats and drops of all legs on one axis, with the incidents over them.

A table again: a row is a leg, its picture stands in one cell, its numbers in the next. Many beats
fall onto the same spot of the axis: each spot is drawn once, so a long run is no larger.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence

from t3probe.observation import SYMPTOMS, Drop, worst
from t3probe.show.page.markup import (
    Cell,
    Child,
    Html,
    details,
    join,
    outcome,
    row_head,
    scroll,
    section,
    table,
    tag,
)
from t3probe.show.page.view import WIDTH, LegView, View
from t3probe.text.words import clock, count, moment, span

HEIGHT = 30
"""Pixels of a lane."""
DROPS_DRAWN = 150
"""Of one leg, the longest; more would be one red bar anyway."""
EVENTS_SHOWN = 200
LANES_SHOWN = 40
FLAG_ROOM = 18
"""Units of the axis that a letter of an incident's flag needs."""
LABEL_ROOM = 100
"""Units of the axis that a drop's word needs."""


def timeline_section(view: View) -> Html:
    """The picture, the cursor's place, and the events as a table."""
    lanes = [*view.legs, *(one for one in view.upstreams if one.seen.drops)]
    shown = view.drawn(lanes, LANES_SHOWN)
    left = len(view.every) - len(shown)
    quiet = sum(not one.seen.drops for one in view.upstreams)
    note = None
    if left:
        said = f"{count(quiet, 'upstream')} without a drop" if quiet == left else f"{left:,} legs"
        note = tag("p", f"Not drawn: {said}.", class_="note")
    picture = tag(
        "table",
        tag("caption", "Beats and drops of every leg over the run", class_="vh"),
        tag(
            "thead",
            tag(
                "tr",
                tag("th", "leg", scope="col"),
                tag("th", "outcome", scope="col"),
                tag("th", _axis(view), scope="col", class_="plot"),
                (tag("th", one, scope="col", class_="n") for one in ("good", "drops", "median")),
            ),
        ),
        tag("tbody", (_row(view, one) for one in shown)),
        class_="lanes",
        data_span=view.span,
        data_start=view.run.started_at,
    )
    start, end = view.run.started_at, view.run.started_at + view.span
    when = f"{moment(start)} to {clock(end)[:8]}, {span(view.span)}."
    return section(
        "timeline",
        "Timeline",
        tag("p", when, class_="note"),
        scroll("Beats and drops of every leg over the run", picture),
        _key(),
        note,
        details("Every drop and its end as a table", _events(view)),
    )


def _key() -> Html:
    items = (
        ("beat", "good beat, on the connection it held"),
        ("miss", "beat that failed"),
        ("mute", "beat that says neither yes nor no"),
        ("drop", "drop, from its last good beat to when it was noticed"),
        ("after", "not back yet"),
        ("inc", "incident"),
        ("stall", "the prober itself stood still: says nothing about the path"),
    )
    return tag("ul", (tag("li", _sample(name), word) for name, word in items), class_="key")


def _sample(name: str) -> Html:
    shape = {
        "beat": tag("path", d="M0 10H28M5 5v10M14 5v10M23 5v10", class_="beat"),
        "miss": tag("path", d="M8 1v18M19 1v18", class_="miss"),
        "mute": tag("path", d="M8 5v10M19 5v10", class_="mute"),
    }.get(name, tag("rect", width=28, height=12, y=4, class_=name))
    return tag("svg", shape, width=28, height=20, aria_hidden="true", focusable="false")


def _ticks(view: View) -> Iterator[float]:
    """At most seven round moments."""
    rough = view.span / 6
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * one for one in (1, 2, 5, 10) if power * one >= rough * 0.999)
    for number in range(8):
        if number * step <= view.span * 1.0001:
            yield number * step


def _anchor(x: float) -> str:
    return "start" if x < 20 else "end" if x > WIDTH - 45 else "middle"


def _axis(view: View) -> Html:
    parts: list[Html] = []
    for at in _ticks(view):
        place, anchor = view.percent(at), _anchor(view.x(at))
        parts += [
            tag("line", x1=place, x2=place, y1=36, y2=44),
            tag("text", f"{at:g} s", x=place, y=16, text_anchor=anchor),
            tag(
                "text",
                clock(view.run.started_at + at)[: 12 if view.span < 5 else 8],
                x=place,
                y=31,
                text_anchor=anchor,
                class_="utc",
            ),
        ]
    parts += _flags(view)
    height = 62 if view.incidents else 44
    return tag("svg", parts, height=height, class_="axis", role="img", aria_label="seconds, UTC")


def _flags(view: View) -> Iterator[Html]:
    """The incidents' numbers, where there is room."""
    free = -1.0
    for number, one in enumerate(view.incidents, 1):
        at = view.x(one.began)
        words = f"incident {number}" if free < 0 else str(number)
        room = FLAG_ROOM * len(words)
        near = at > WIDTH - 60  # the words end there
        if free < 0 or (at - room if near else at) >= free:
            free = at if near else at + room
            place = view.percent(one.began)
            anchor = "end" if near else "start"
            yield tag("text", words, x=place, y=57, text_anchor=anchor, class_="flag")


def _row(view: View, leg: LegView) -> Html:
    drops = leg.drops
    words = f"{count(len(leg.good), 'good beat')}, " + (
        count(len(drops), "drop") if drops else "no drop"
    )
    spoken = f"{leg.name}: {leg.outcome}, {words}"
    picture = tag(
        "svg",
        join(_bands(view)),
        join(_drops(view, leg)),
        _beats(view, leg),
        join(_words(view, leg)),
        height=HEIGHT,
        role="img",
        aria_label=spoken,
    )
    return tag(
        "tr",
        row_head(leg.name),
        tag("td", outcome(leg.outcome)),
        tag("td", picture, class_="plot"),
        tag("td", len(leg.good), class_="n"),
        tag("td", len(drops) or "-", class_="n"),
        tag("td", span(leg.median), class_="n"),
        class_=f"l-{leg.outcome}",
    )


def _bands(view: View) -> Iterator[Html]:
    """The incidents behind a lane."""
    for one in view.incidents:
        end = max(one.noticed, view.span if one.recovered is None else one.recovered)
        place = view.percent(one.began)
        yield tag(
            "rect", x=place, width=view.width(one.began, end), y=0, height=HEIGHT, class_="inc"
        )
        yield tag("line", x1=place, x2=place, y1=0, y2=HEIGHT, class_="inc-line")


def _drops(view: View, leg: LegView) -> Iterator[Html]:
    drops = leg.seen.drops
    for drop in worst(drops, DROPS_DRAWN, lambda one: (one.stalled, one.began - one.noticed)):
        end = view.span if drop.recovered is None else drop.recovered
        name = "stall" if drop.stalled else "drop"
        yield tag(
            "rect",
            tag("title", _told(view, drop)),
            x=view.percent(drop.began),
            width=view.width(drop.began, drop.noticed),
            y=8,
            height=14,
            class_=name,
        )
        if not drop.stalled and end > drop.noticed:
            yield tag(
                "rect",
                x=view.percent(drop.noticed),
                width=view.width(drop.noticed, end),
                y=8,
                height=14,
                class_="after",
            )


def _words(view: View, leg: LegView) -> Iterator[Html]:
    """The drops' symptoms, where there is room: within a wide one, behind a narrow one."""
    free = 0.0
    for drop in leg.drops[:DROPS_DRAWN]:
        began = view.x(drop.began)
        ended = view.x(view.span if drop.recovered is None else drop.recovered)
        at = began if ended - began >= LABEL_ROOM else ended
        near = at > WIDTH - LABEL_ROOM
        at = began if near else at
        if at < free:
            continue
        free = at + LABEL_ROOM
        yield tag(
            "text",
            drop.symptom,
            x=f"{at / WIDTH:.2%}",
            dx=-5 if near else 6,
            y=19,
            text_anchor="end" if near else "start",
            class_="what",
        )


def _beats(view: View, leg: LegView) -> Html:
    """All beats in a few paths: connections, good ones, failed ones, those that tell nothing."""
    good: set[int] = set()
    bad: set[int] = set()
    mute: set[int] = set()
    held: dict[int, tuple[int, int]] = {}
    for beat in leg.seen.beats:
        at = round(view.x(beat.sent))
        if beat.ok:
            good.add(at)
        else:
            (bad if beat.conclusive and leg.outcome != "inconclusive" else mute).add(at)
        if beat.ok and leg.seen.level == "hold":
            first, last = held.get(beat.conn, (at, at))
            held[beat.conn] = (min(first, at), max(last, at))
    line = "".join(f"M{first} 15H{last}" for first, last in _joined(held.values()))
    paths = [
        tag("path", d=line, class_="held") if line else None,
        tag("path", d=_ticks_at(good, 9, 12), class_="beat") if good else None,
        # Upright only: a slope would be stretched with the axis.
        tag("path", d=_ticks_at(bad, 3, 24), class_="miss") if bad else None,
        tag("path", d=_ticks_at(mute, 9, 12), class_="mute") if mute else None,
    ]
    box = f"0 0 {WIDTH} {HEIGHT}"
    return tag("svg", paths, viewBox=box, preserveAspectRatio="none", height=HEIGHT, width="100%")


def _joined(stretches: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Stretches longer than a point; those that touch on the axis are one."""
    open_ = (0, -2)
    for first, last in sorted(one for one in stretches if one[1] > one[0]):
        if first > open_[1] + 1:
            if open_[1] > open_[0]:
                yield open_
            open_ = (first, last)
        else:
            open_ = (open_[0], max(open_[1], last))
    if open_[1] > open_[0]:
        yield open_


def _ticks_at(places: set[int], y: int, height: int) -> str:
    """Upright ticks; where they touch, one block."""
    parts = []
    for at in sorted(places):
        if at - 1 not in places:
            end = at
            while end + 1 in places:
                end += 1
            wide = f"H{end}v-{height}z" if end > at else ""
            parts.append(f"M{at} {y}v{height}{wide}")
    return "".join(parts)


def _told(view: View, drop: Drop) -> str:
    end = "not over at the run's end"
    if drop.recovered is not None:
        end = f"back at {view.at(drop.recovered)}"
    if drop.stalled:
        return (
            f"the prober itself stood still from {view.at(drop.began)} to {view.at(drop.noticed)}"
        )
    return f"{drop.symptom}: {drop.reason}, noticed at {view.at(drop.noticed)}, {end}"


def _events(view: View) -> Html:
    every = [(leg, drop) for leg in view.every for drop in leg.seen.drops]
    every.sort(key=lambda one: one[1].noticed)
    if not every:
        return tag("p", "No leg dropped.")
    shown = worst(every, EVENTS_SHOWN, lambda one: _rank(one[1]))
    more = len(every) - len(shown)
    return join(
        [
            table(
                "Every drop and its end",
                ("leg", "last good beat", "noticed", "back", "out for", "what", "reason"),
                (_event(view, leg, drop) for leg, drop in shown),
                sortable=True,
            ),
            tag("p", f"And {more:,} more, no worse.", class_="note") if more > 0 else None,
        ]
    )


def _rank(drop: Drop) -> tuple[float, ...]:
    """Those that are not over first, our own stalls last."""
    return drop.stalled, drop.recovered is not None, SYMPTOMS.index(drop.symptom)


def _event(view: View, leg: LegView, drop: Drop) -> Sequence[Cell | Child]:
    lost = None if drop.recovered is None else drop.recovered - drop.began
    back = drop.recovered
    return [
        leg.name,
        Cell(view.brief(drop.began), drop.began),
        Cell(view.brief(drop.noticed), drop.noticed),
        Cell("not yet" if back is None else view.brief(back), math.inf if back is None else back),
        Cell("to the end" if lost is None else span(lost), math.inf if lost is None else lost),
        "our own stall" if drop.stalled else drop.symptom,
        ": ".join(one for one in (drop.reason, drop.detail) if one),
    ]
