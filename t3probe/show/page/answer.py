"""The first screen: what broke, since when, what is cleared, and what is not."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence

from t3probe.show.page.history import BAD, History, RunPoint
from t3probe.show.page.markup import Child, Html, icon, tag
from t3probe.show.page.view import View
from t3probe.show.summary import headline
from t3probe.text.words import count, glossed, listed, moment, span
from t3probe.verdict.incident.run import Incident

__all__ = ["answer", "onset", "title"]

NAMED = 30
_PREFIXES = ("clean: ", "inconsistent: ")


def title(view: View) -> str:
    """The verdict as a heading: the status stands beside it, and names stay as they are."""
    said = headline(view.judged)[1]
    for prefix in _PREFIXES:
        said = said.removeprefix(prefix)
    return said if view.verdict.convicted else said[:1].upper() + said[1:]


def answer(view: View, history: History) -> Html:
    """A row each; what there is nothing to say about has none."""
    rows = (
        (*_what(view), list(_found(view))),
        ("since", "Since", _since(view, history)),
        ("degraded", "Slow", _slow(view)),
        ("exonerated", "Cleared", _cleared(view)),
        ("unobserved", "Not cleared", _open(view)),
    )
    return tag(
        "dl",
        (
            tag("div", tag("dt", icon(mark), word), tag("dd", said))
            for mark, word, said in rows
            if said
        ),
        class_="answer",
    )


def _what(view: View) -> tuple[str, str]:
    if view.verdict.convicted:
        return "convicted", "Broken"
    if view.verdict.status == "inconsistent":
        return "degraded", "In conflict"
    return "ambiguous", "Suspected"


def _found(view: View) -> Iterator[Child]:
    if not view.incidents:
        return
    yield f"{view.incidents[0].finding}."
    others = len(view.judged.incidents) - 1
    if others:
        first = view.incidents[0].verdict.convicted
        also = [one for one in view.verdict.convicted if one not in first]
        yield f" {count(others, 'more incident')} in this run"
        yield f", which convicted {listed(glossed(also, view.run.gloss), 8)}." if also else "."
    if view.verdict.at_least_one_of and view.verdict.simplest:
        names = glossed(view.verdict.simplest, view.run.gloss)
        yield f" Simplest explanation: {listed(names, NAMED)}."
    if view.verdict.ambiguous and view.verdict.extra_leg:
        yield f" One more leg would tell: over {' > '.join(view.verdict.extra_leg)}."


def onset(view: View, one: Incident) -> tuple[bool, str]:
    """Whether a failed leg worked before the incident began, and the moment in words."""
    failed = set(one.failed)
    worked = any(
        beat.ok and beat.ended <= one.began + 1e-6
        for leg in view.every
        if leg.name in failed
        for beat in leg.seen.beats
    )
    return worked, view.at(one.began)


def _since(view: View, history: History) -> list[Child]:
    parts: list[Child] = []
    if view.incidents:
        worst = view.incidents[0]
        worked, at = onset(view, worst)
        parts = [tag("b", at)]
        parts.append(", the last good beat" if worked else ", the first attempt: it never worked")
        parts.append(f"; noticed after {span(worst.noticed - worst.began)}")
        if worst.recovered is None:
            parts.append("; not over at the run's end.")
        else:
            back, lost = view.at(worst.recovered), span(worst.recovered - worst.began)
            parts.append(f"; over at {back}, after {lost}.")
    if len(view.judged.incidents) > 1:
        parts.append(tag("span", _all_incidents(view)))
    before = _before(view, history)
    if before:
        parts.append(tag("span", before))
    return parts


def _all_incidents(view: View) -> str:
    every = view.judged.incidents
    ends = [one.recovered for one in every]
    last = max((one for one in ends if one is not None), default=0.0)
    end = "the run's end" if None in ends else view.brief(last)
    first = min(one.began for one in every)
    return f"All {len(every):,} incidents: from {view.brief(first)} to {end}."


def _before(view: View, history: History) -> str:
    """What earlier runs of the same deployment, from the same place, say about it."""
    run = view.run
    mine = [
        one
        for one in history.runs
        if (one.deployment, one.vantage, one.shard) == (run.deployment, run.vantage, run.shard)
    ]
    if len(mine) < 2:
        return ""
    convicted = view.verdict.convicted
    if convicted:
        streak = _streak(mine, lambda one: "convicted" in map(one.segments.get, convicted))
        if streak < 1:
            return ""  # a single upstream: history keeps declared segments only
        if streak == 1:
            return f"New in this run: the one of {moment(mine[-2].started_at)} did not convict it."
        return _in_the_last(streak, mine, "Convicted")
    if view.verdict.status in BAD:
        return _in_the_last(_streak(mine, lambda one: one.status in BAD), mine, "Something failed")
    streak = _streak(mine, lambda one: one.status not in BAD)
    said = _in_the_last(streak, mine, "Nothing failed")
    if streak < len(mine):
        last = mine[-streak - 1]
        said += f" Before that, at {moment(last.started_at)}: {last.said}."
    return said


def _streak(runs: Sequence[RunPoint], holds: Callable[[RunPoint], bool]) -> int:
    return sum(1 for _ in itertools.takewhile(holds, reversed(runs)))


def _in_the_last(streak: int, runs: Sequence[RunPoint], what: str) -> str:
    if streak == 1:
        return f"{what} in this run only; the one before was {moment(runs[-2].started_at)}."
    which = "all" if streak == len(runs) else "the last"
    return f"{what} in {which} {streak:,} runs, since {moment(runs[-streak].started_at)}."


def _slow(view: View) -> str:
    slowness = view.judged.slowness
    return f"{slowness.text}." if slowness.slow else ""


def _cleared(view: View) -> str:
    names = [one for one in view.verdict.exonerated if one not in view.own]
    return f"{listed(names, NAMED)}." if names else ""


def _open(view: View) -> list[Child]:
    """Masked and unobserved segments; suspects are named above."""
    parts: list[Child] = []
    for word in ("masked", "unobserved"):
        names = [one for one in getattr(view.verdict, word) if one not in view.own]
        if names:
            between = "; " if parts else ""
            said = listed(glossed(names, view.run.gloss), NAMED)
            parts.append(f"{between}{said} ({word})")
    return [*parts, ". ", tag("a", "What was not observed", href="#blind"), "."] if parts else []
