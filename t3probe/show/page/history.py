"""Many runs, each kept in a few numbers: a month of records fits into memory.

History drawn: runs in a strip, segments x runs, drops and round trips of each leg.

One column is one run, whenever it was; where runs are further apart than usual a line marks the
gap. What repeats is drawn once as one bar, so a thousand quiet runs are a few bytes.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from itertools import groupby
from typing import NamedTuple

from t3probe.observation import median, worst
from t3probe.record.facts import Recording
from t3probe.record.reading import RunKey, run_key
from t3probe.show.availability import Availability, Looks, look_of
from t3probe.show.page.markup import (
    Cell,
    Child,
    Html,
    details,
    icon,
    join,
    row_head,
    scroll,
    section,
    table,
    tag,
)
from t3probe.show.page.view import View
from t3probe.show.summary import headline
from t3probe.text.words import clock, count, moment, some, span, utc
from t3probe.verdict.exact.labels import Label, Status
from t3probe.verdict.limits.found import Histories, histories

BAD: tuple[Status, ...] = ("localised", "ambiguous", "inconsistent")
"""The statuses of a run in which something failed."""
GAP_FACTOR = 3.0
"""Runs further apart than this many times the usual interval leave a gap in coverage."""


class LegPoint(NamedTuple):
    """One leg in one run."""

    outcome: str
    drops: int
    median: float | None
    """Seconds."""


class RunPoint(NamedTuple):
    """One run."""

    started_at: float
    duration: float
    deployment: str
    vantage: str
    shard: int | None
    version: int
    """Of its record."""
    status: Status
    said: str
    """The verdict's sentence."""
    incidents: int
    segments: dict[str, Label]
    """The declared ones only."""
    legs: dict[str, LegPoint]
    """Without upstreams."""
    upstreams: tuple[int, int]
    """(k, n): how many passed."""


class History:
    """Runs by their start. Of one that was written twice the later record holds."""

    def __init__(self) -> None:
        self.newest: View | None = None
        """The newest run, whole."""
        self.older = 0
        """How many older runs there are, which are not looked into."""
        self._points: dict[RunKey, RunPoint] = {}
        self._looks = Looks()
        self._lived: dict[tuple[str, str], Histories] = {}

    def add(self, recording: Recording) -> None:
        """Take one run in."""
        view = View(recording)
        key = run_key(recording)
        if key not in self._points:
            lived = self._lived.setdefault((view.run.deployment, view.run.vantage), Histories())
            lived.add(histories(recording.observations, view.run.started_at))
        self._points[key] = _point(view)
        self._looks.add(key, look_of(recording, view.judged))
        if self.newest is None or self.newest.run.started_at <= view.run.started_at:
            self.newest = view

    @classmethod
    def of(cls, recordings: Iterable[Recording]) -> History:
        """The history of these runs."""
        out = cls()
        for one in recordings:
            out.add(one)
        return out

    @cached_property
    def runs(self) -> Sequence[RunPoint]:
        """All runs, the oldest first. Add none after this was read."""
        return [self._points[key] for key in sorted(self._points)]

    @cached_property
    def limits(self) -> list[str]:
        """Ages and silences at which connections die, in all runs of the newest one's deployment
        and vantage, in words."""
        run = None if self.newest is None else self.newest.run
        lived = None if run is None else self._lived.get((run.deployment, run.vantage))
        if run is None or lived is None:
            return []
        return [one.text(run.gloss) for one in lived.limits(run.spread)]

    @cached_property
    def availability(self) -> Availability:
        """How much of the time from the first run to the last was good."""
        return self._looks.between()

    @cached_property
    def gaps(self) -> dict[int, float]:
        """Before which runs (by position) no run was made, and for how many seconds."""
        runs = self.runs
        apart = [b.started_at - a.started_at for a, b in itertools.pairwise(runs)]
        if len(apart) < 3:
            return {}
        # The shards of one run begin together: what lies between these is no interval.
        own = [
            one
            for run, one in zip(runs, apart, strict=False)
            if run.shard is None or one > run.duration
        ]
        usual = median(own or apart)
        return {
            at + 1: one - runs[at].duration
            for at, one in enumerate(apart)
            if usual > 0 and one > GAP_FACTOR * usual
        }

    def names(self, runs: Sequence[RunPoint], what: str) -> list[str]:
        """The `segments` or `legs` of these runs, those of the newest first."""
        return list(dict.fromkeys(name for one in reversed(runs) for name in getattr(one, what)))


def _point(view: View) -> RunPoint:
    run = view.run
    declared = [one for one in view.judged.segments if one not in view.own]
    return RunPoint(
        started_at=run.started_at,
        duration=run.duration_seconds,
        deployment=run.deployment,
        vantage=run.vantage,
        shard=run.shard,
        version=run.version,
        status=view.verdict.status,
        said=headline(view.judged)[1],
        incidents=len(view.judged.incidents),
        segments={name: view.labels[name] for name in declared if name in view.labels},
        legs={
            one.name: LegPoint(one.outcome, len(one.drops), one.median)
            for one in view.legs
            if not one.seen.after_hold
        },
        upstreams=(
            sum(one.outcome == "passed" for one in view.upstreams),
            len(view.upstreams),
        ),
    )


RUNS_DRAWN = 1500
RUNS_LISTED = 300
SEGMENTS_SHOWN = 60
LEGS_SHOWN = 60
HEIGHT = 24
_BAR = {
    # Height as well as colour: from a hairline to the full lane.
    "exonerated": 7, "clean": 7, "unobserved": 2, "incomplete": 4, "masked": 12,
    "ambiguous": 18, "inconsistent": 18, "convicted": 24, "localised": 24,
}  # fmt: skip
_BAD = ("convicted", "ambiguous", "masked", "unobserved")


def history_section(history: History) -> Html | None:
    """Nothing for one run alone."""
    runs = history.runs[-RUNS_DRAWN:]
    if len(runs) < 2:
        return None
    first = len(history.runs) - len(runs)
    gaps = {at - first: seconds for at, seconds in history.gaps.items() if at > first}
    first += history.older
    older = f" {first:,} older ones are not drawn." if first else ""
    bad = sum(one.status in BAD for one in runs)
    since = f"{moment(runs[0].started_at)} to {moment(runs[-1].started_at)}"
    places = dict.fromkeys(one.vantage or "no vantage" for one in runs)
    said = f"{count(len(runs), 'run')} from {since}; something failed in {bad:,}.{older}"
    if len(places) > 1:
        said += f" Vantages: {', '.join(some(list(places), 8))}."
    return section(
        "history",
        f"History: {count(len(runs), 'run')}",
        tag("p", said, class_="note"),
        _states(history, runs, gaps),
        _key(),
        _legs(history, runs, gaps),
        _gaps(runs, gaps),
        details("Every run as a table", _listing(runs)),
    )


def _strip(runs: Sequence[RunPoint], word: Callable[[RunPoint], str], spoken: str) -> Html:
    """A lane with a bar per stretch of runs that say the same."""
    width = len(runs)
    bars: list[Html] = []
    at = 0
    for name, group in groupby(word(one) for one in runs):
        many = sum(1 for _ in group)
        tall = _BAR.get(name, 0)
        if tall:
            bars.append(
                tag("rect", x=at, width=many, y=HEIGHT - tall, height=tall, class_=f"b-{name}")
            )
        at += many
    return _lane(bars, width, spoken)


def _lane(shapes: Child, width: int, spoken: str) -> Html:
    return tag(
        "svg",
        shapes,
        viewBox=f"0 0 {width} {HEIGHT}",
        preserveAspectRatio="none",
        width="100%",
        height=HEIGHT,
        role="img",
        aria_label=spoken,
    )


def _gap_lines(gaps: dict[int, float]) -> Html | None:
    lines = "".join(f"M{at} 0v{HEIGHT}" for at in gaps)
    return tag("path", d=lines, class_="gap") if lines else None


def _with_gaps(strip: Html, gaps: dict[int, float]) -> Html:
    lines = _gap_lines(gaps)
    return strip if lines is None else Html(strip.removesuffix("</svg>") + lines + "</svg>")


def _states(history: History, runs: Sequence[RunPoint], gaps: dict[int, float]) -> Html:
    segments = history.names(runs, "segments")
    rows = [_status_row(runs, gaps)]
    shown = worst(segments, SEGMENTS_SHOWN, lambda one: _how_bad(runs, one))
    rows += [_state_row(runs, one, gaps) for one in shown]
    caption = "The state of every segment in every run"
    left = len(segments) - len(shown)
    return join(
        [
            scroll(
                caption,
                tag(
                    "table",
                    tag("caption", caption, class_="vh"),
                    _head(runs, "segment", "how often"),
                    tag("tbody", rows),
                    class_="strips",
                ),
            ),
            tag("p", f"{left:,} segments are not drawn.", class_="note") if left else None,
        ]
    )


def _how_bad(runs: Sequence[RunPoint], segment: str) -> tuple[float, ...]:
    """The lower, the more often it was convicted, then ambiguous, then not cleared."""
    found = Counter(str(one.segments.get(segment)) for one in runs)
    return tuple(-found[label] for label in _BAD)


def _head(runs: Sequence[RunPoint], what: str, *more: str) -> Html:
    same_day = utc(runs[0].started_at)[:10] == utc(runs[-1].started_at)[:10]
    ends = [
        clock(one.started_at)[:8] if same_day else utc(one.started_at)[:16].replace("T", " ")
        for one in (runs[0], runs[-1])
    ]
    axis = tag("span", tag("span", ends[0]), tag("span", ends[1]), class_="ends")
    heads = (tag("th", one, scope="col") for one in more)
    return tag(
        "thead",
        tag("tr", tag("th", what, scope="col"), tag("th", axis, scope="col", class_="plot"), heads),
    )


def _status_row(runs: Sequence[RunPoint], gaps: dict[int, float]) -> Html:
    counts = {
        name: sum(1 for one in runs if one.status == name)
        for name in ("localised", "ambiguous", "inconsistent", "incomplete", "clean")
    }
    said = ", ".join(f"{number:,} {name}" for name, number in counts.items() if number)
    strip = _with_gaps(_strip(runs, lambda one: one.status, f"status of the runs: {said}"), gaps)
    return tag(
        "tr",
        tag("th", "all: the run's status", scope="row"),
        tag("td", strip, class_="plot"),
        tag("td", said),
        class_="total",
    )


def _state_row(runs: Sequence[RunPoint], segment: str, gaps: dict[int, float]) -> Html:
    counts = {label: sum(1 for one in runs if one.segments.get(segment) == label) for label in _BAD}
    said = ", ".join(f"{label} {number:,}" for label, number in counts.items() if number)
    strip = _strip(
        runs,
        lambda one: one.segments.get(segment, ""),
        f"{segment}: {said or 'cleared in every run'}",
    )
    worst = next((one for one in _BAD[:3] if counts[one]), "")
    return tag(
        "tr",
        row_head(segment),
        tag("td", _with_gaps(strip, gaps), class_="plot"),
        tag("td", icon(worst) if worst else None, said or "always cleared"),
        class_=f"s-{worst}" if worst else None,
    )


def _key() -> Html:
    names = ("exonerated", "convicted", "ambiguous", "masked", "unobserved")
    items = (
        tag(
            "li",
            tag(
                "svg",
                tag(
                    "rect",
                    y=HEIGHT - _BAR[name],
                    width=18,
                    height=_BAR[name],
                    class_=f"b-{name}",
                ),
                width=18,
                height=HEIGHT,
                aria_hidden="true",
                focusable="false",
            ),
            name,
        )
        for name in names
    )
    return tag("ul", items, class_="key")


def _legs(history: History, runs: Sequence[RunPoint], gaps: dict[int, float]) -> Html:
    every = history.names(runs, "legs")
    names = worst(every, LEGS_SHOWN, lambda name: -_drops_of(runs, name))
    left = len(every) - len(names)
    caption = "Drops and median round trips of every leg over the runs"
    heads = tag(
        "tr",
        tag("th", "leg", scope="col"),
        tag("th", "drops", scope="col", class_="plot"),
        tag("th", "in all", scope="col"),
        tag("th", "median round trip", scope="col", class_="plot"),
        tag("th", "usual, and worst", scope="col"),
    )
    return tag(
        "div",
        tag("h3", "Legs over the runs"),
        scroll(
            caption,
            tag(
                "table",
                tag("caption", caption, class_="vh"),
                tag("thead", heads),
                tag("tbody", (_leg_row(runs, one, gaps) for one in names)),
                class_="strips two",
            ),
        ),
        tag("p", f"{left:,} legs are not drawn.", class_="note") if left else None,
    )


def _drops_of(runs: Sequence[RunPoint], leg: str) -> int:
    return sum(point.drops for one in runs if (point := one.legs.get(leg)) is not None)


def _leg_row(runs: Sequence[RunPoint], leg: str, gaps: dict[int, float]) -> Html:
    points = [one.legs.get(leg) for one in runs]
    drops = [0 if one is None else one.drops for one in points]
    trips = [None if one is None else one.median for one in points]
    known = [one for one in trips if one is not None]
    most, total = max(drops), sum(drops)
    dropped = sum(1 for one in drops if one)
    said = f"{total:,} in {count(dropped, 'run')}" if total else "none"
    bars = [
        tag(
            "rect",
            x=at,
            width=1,
            y=round(HEIGHT - max(6, HEIGHT * one / most)),
            height=round(max(6, HEIGHT * one / most)),
            class_="b-drop",
        )
        for at, one in enumerate(drops)
        if one
    ]
    drawn = _with_gaps(_lane(bars, len(runs), f"{leg}: drops {said}"), gaps)
    usual = f"{span(median(known))}, {span(max(known))}" if known else "-"
    line = _lane(_line(trips), len(runs), f"{leg}: median round trip {usual}")
    return tag(
        "tr",
        row_head(leg),
        tag("td", drawn, class_="plot"),
        tag("td", said),
        tag("td", line, class_="plot"),
        tag("td", usual),
        class_="s-convicted" if total else None,
    )


def _line(trips: Sequence[float | None]) -> Html | None:
    """A line from run to run, up from 0; it breaks where there is no number."""
    top = max((one for one in trips if one is not None), default=0.0)
    parts: list[str] = []
    pen = False
    for at, one in enumerate(trips):
        if one is None:
            pen = False
            continue
        y = HEIGHT - 2 - (min(1.0, max(0.0, one / top)) if top > 0 else 0.0) * (HEIGHT - 4)
        parts.append(f"{'L' if pen else 'M'}{at + 0.5:g} {y:.1f}")
        if not pen:
            parts.append("h.01")  # a single run is a dot
        pen = True
    return tag("path", d="".join(parts), class_="line") if parts else None


def _gaps(runs: Sequence[RunPoint], gaps: dict[int, float]) -> Html | None:
    if not gaps:
        return None
    lines = [
        tag("li", f"before {moment(runs[at].started_at)}: no run for {span(seconds)}")
        for at, seconds in list(gaps.items())[-50:]
    ]
    more = "" if len(gaps) <= 50 else ", the newest 50"
    return details(f"{count(len(gaps), 'gap')} between runs{more}", tag("ul", lines))


def _listing(runs: Sequence[RunPoint]) -> Html:
    newest = worst(list(reversed(runs)), RUNS_LISTED, lambda one: one.status not in BAD)
    heads = ("began", "vantage", "status", "verdict", "incidents", "upstreams", "legs that dropped")
    left = len(runs) - len(newest)
    return join(
        [
            table("Every run", heads, (list(_listed(one)) for one in newest), sortable=True),
            tag("p", f"{left:,} are not listed, those that were well first.", class_="note")
            if left
            else None,
        ]
    )


def _listed(one: RunPoint) -> Iterator[Cell | Child]:
    dropped = [f"{name} ({leg.drops})" for name, leg in one.legs.items() if leg.drops]
    good, all_of_them = one.upstreams
    yield Cell(moment(one.started_at), one.started_at)
    yield one.vantage or "-"
    yield one.status
    yield one.said
    yield Cell(str(one.incidents), one.incidents, "n")
    yield f"{good:,} of {all_of_them:,}" if all_of_them else "-"
    yield ", ".join(some(dropped, 12)) or "-"
