"""What was not observed: a clean report proves nothing about what was not looked at."""

from __future__ import annotations

from collections.abc import Iterator

from t3probe.show.page.markup import Html, section, tag
from t3probe.show.page.view import LegView, View
from t3probe.text.words import count, glossed, listed, offset, some, span

NAMED = 40
GAPS_SHOWN = 30
LAG_SECONDS = 0.25
THROTTLED_SECONDS = 0.1


def blind_section(view: View) -> Html:
    """Legs that did not run or told nothing, segments no leg saw, gaps, and our own stalls."""
    found = [
        tag("div", tag("dt", head), tag("dd", tag("ul", (tag("li", one) for one in lines))))
        for head, lines in (
            ("Segments", list(_segments(view))),
            ("Legs that did not run", list(_not_run(view))),
            ("Legs that could not tell", list(_unclear(view))),
            ("Gaps in coverage", list(_gaps(view))),
            ("Our own footing", list(_footing(view))),
        )
        if lines
    ]
    said = "Every declared segment and leg was observed, without a gap."
    body = tag("dl", found, class_="blind") if found else tag("p", said)
    return section("blind", "What was not observed", body)


def _segments(view: View) -> Iterator[str]:
    for label, means in (
        ("unobserved", "on no leg that took part"),
        ("masked", "behind a failure: not cleared"),
    ):
        names = [one for one in getattr(view.verdict, label) if one not in view.own]
        names = glossed(names, view.run.gloss)
        own = [one for one in getattr(view.verdict, label) if one in view.own]
        names += own if len(own) <= 6 else [f"{len(own):,} of single upstreams and path rules"]
        if names:
            yield f"{label}: {listed(names, NAMED)} ({means})"


def _not_run(view: View) -> Iterator[str]:
    if view.run.not_run:
        yield view.leg_names(view.run.not_run, NAMED)


def _unclear(view: View) -> Iterator[str]:
    silent = [one for one in view.every if one.outcome in ("inconclusive", "planned")]
    for leg in view.drawn(silent, NAMED):
        why = leg.seen.planned or leg.why
        yield f"{leg.name}, {leg.outcome}" + (f": {why}" if why else "")
    if len(silent) > NAMED:
        yield f"and {len(silent) - NAMED:,} more"


def _gaps(view: View) -> Iterator[str]:
    lines = [line for leg in view.legs for line in _gaps_of(view, leg)]
    yield from lines[:GAPS_SHOWN]
    if len(lines) > GAPS_SHOWN:
        yield f"and {len(lines) - GAPS_SHOWN:,} more"


def _gaps_of(view: View, leg: LegView) -> Iterator[str]:
    """Stretches of the hold without a beat that are no drop of the leg."""
    if not leg.seen.beats or leg.seen.after_hold:
        return
    longest = max(2.5 * view.run.heartbeat_seconds, 1.0)
    known = [(one.began, one.noticed if one.recovered is None else one.recovered)
             for one in leg.seen.drops]  # fmt: skip
    last = leg.seen.started
    for beat in leg.seen.beats:
        if beat.sent - last > longest and not any(a < beat.sent and b > last for a, b in known):
            yield f"{leg.name}: no beat from {offset(last)} to {offset(beat.sent)}"
        last = max(last, beat.ended)
    hold = view.run.hold_seconds
    if hold - last > longest and not any(b > last for _, b in known) and not leg.drops:
        yield f"{leg.name}: no beat after {offset(last)}, of {span(hold)}"


def _footing(view: View) -> Iterator[str]:
    run = view.run
    if run.interrupted:
        yield "The run was interrupted: this is what was seen so far."
    if run.partial:
        yield "The run probed only a part of the deployment's legs."
    if run.loop_lag_seconds >= LAG_SECONDS:
        yield f"Our own event loop was late by up to {span(run.loop_lag_seconds)}."
    if (run.throttled_seconds or 0.0) >= THROTTLED_SECONDS:
        yield f"Our own CPU limit stopped us for {span(run.throttled_seconds)}."
    if run.clock_step_seconds:
        yield f"The wall clock was set by {run.clock_step_seconds:+.2f} s during the run."
    stalls = sum(len(one.stalls) for one in view.every)
    if stalls:
        yield f"The prober itself stood still in {count(stalls, 'drop')}, which say nothing."
    yield from some(run.warnings, NAMED)
