"""The whole page: head, the verdict first, then the sections. The same facts, the same bytes.

`answer` is the first screen: what broke, since when, what is cleared, and what is not.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from importlib.resources import files

from t3probe.observation import of_old, parts_said, worst
from t3probe.show.page.availability import availability_section
from t3probe.show.page.blind import blind_section
from t3probe.show.page.checks import certificates_section, gates_section, walls_section
from t3probe.show.page.evidence import evidence_section, onset
from t3probe.show.page.history import BAD, History, RunPoint, history_section
from t3probe.show.page.legs import legs_section, phases_section, slow_section, upstreams_section
from t3probe.show.page.markup import (
    SHEET,
    STATUS_MEANS,
    Child,
    Html,
    constant,
    csp_hash,
    data_block,
    icon,
    join,
    tag,
)
from t3probe.show.page.markup import status as badge
from t3probe.show.page.opinions import opinions_section
from t3probe.show.page.path import path_section
from t3probe.show.page.rigs import rigs_section
from t3probe.show.page.timeline import timeline_section
from t3probe.show.page.view import View
from t3probe.show.summary import headline
from t3probe.text.words import count, glossed, listed, moment, span

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
        ("degraded", "Limit", _limits(view, history)),
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


def _limits(view: View, history: History) -> str:
    """Of this run; where it shows none by itself, of all runs together."""
    texts = view.judged.limit_texts or [f"over all runs, {one}" for one in history.limits]
    return " ".join(f"{one[:1].upper()}{one[1:]}." for one in texts)


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


SEGMENTS_TOLD = 500
_SECTIONS = (
    ("history", "History"),
    ("availability", "Availability"),
    ("path", "Path"),
    ("timeline", "Timeline"),
    ("incidents", "Evidence"),
    ("legs", "Legs"),
    ("opinions", "Opinions"),
    ("phases", "Phases"),
    ("walls", "Walls"),
    ("gates", "Gates"),
    ("upstreams", "Upstreams"),
    ("rigs", "Remote rigs"),
    ("certificates", "Certificates"),
    ("slow", "Slow"),
    ("blind", "Not observed"),
)


@cache
def _asset(name: str) -> str:
    return files("t3probe.show.page").joinpath(name).read_text("utf-8").strip()


def render_page(history: History) -> bytes:
    """The page as UTF-8. Raises ValueError when there is no run."""
    view = history.newest
    if view is None:
        raise ValueError("expected at least one run")
    sections = {
        "history": history_section(history),
        "availability": availability_section(history),
        "path": path_section(view),
        "timeline": timeline_section(view),
        "incidents": evidence_section(view),
        "legs": legs_section(view),
        "opinions": opinions_section(view),
        "phases": phases_section(view),
        "walls": walls_section(view),
        "gates": gates_section(view),
        "upstreams": upstreams_section(view),
        "rigs": rigs_section(view),
        "certificates": certificates_section(view),
        "slow": slow_section(view),
        "blind": blind_section(view),
    }
    links = (
        tag("a", word, href=f"#{name}") for name, word in _SECTIONS if sections[name] is not None
    )
    body = tag(
        "body",
        tag("a", "Skip to the path", href="#path", class_="skip"),
        SHEET,
        _header(view, history),
        tag("nav", links, aria_label="Sections"),
        tag("main", sections.values()),
        _footer(view),
        data_block("t3probe-verdict", _data(view)),
        constant(f"<script>{_asset('page.js')}</script>"),
    )
    page = join([constant("<!doctype html>\n"), tag("html", _head(view), body, lang="en")])
    return (page + "\n").encode("utf-8")


def _head(view: View) -> Html:
    style, script = _asset("page.css"), _asset("page.js")
    policy = (
        f"default-src 'none'; style-src {csp_hash(style)}; script-src {csp_hash(script)}; "
        "base-uri 'none'; form-action 'none'"
    )
    words = f"{title(view)} · {view.run.deployment or 't3probe'}"
    return tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=policy),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("meta", name="referrer", content="no-referrer"),
        tag("title", words),
        constant(f"<style>{style}</style>"),
    )


def _header(view: View, history: History) -> Html:
    run, status = view.run, view.verdict.status
    runs = len(history.runs) + history.older
    means = STATUS_MEANS[status] if status != "incomplete" else None  # there it is the heading
    facts = [
        run.deployment or "unnamed deployment",
        f"from {run.vantage}" if run.vantage else "",
        moment(run.started_at),
        f"held {span(run.hold_seconds)}",
        count(len(view.every), "leg"),
        f"newest of {count(runs, 'run')}" if runs > 1 else "",
        f"trace {run.trace_id[:32]}" if run.trace_id else "",
    ]
    return tag(
        "header",
        tag("p", badge(status), tag("span", means) if means else None, class_="over"),
        tag("h1", title(view)),
        answer(view, history),
        tag("p", (tag("span", one) for one in facts if one), class_="facts"),
        [tag("p", one, class_="warning") for one in _warnings(view, history)],
    )


def _warnings(view: View, history: History) -> list[str]:
    run = view.run
    out = []
    if run.interrupted:
        out.append("Interrupted: this is what was seen so far.")
    if run.partial:
        out.append("Only a part of the deployment's legs was probed.")
    if parts := parts_said((run,)):
        out.append(f"Of {parts}.")
    if old := of_old(*(one.version for one in history.runs)):
        out.append(f"{old[0].upper()}{old[1:]}.")
    return out


def _footer(view: View) -> Html:
    run = view.run
    numbers = (
        ("heartbeat", run.heartbeat_seconds),
        ("watchdog", run.watchdog_seconds),
        ("hold", run.hold_seconds),
        ("took", run.duration_seconds),
        ("own loop late by up to", run.loop_lag_seconds),
    )
    said = " · ".join(f"{name} {span(value)}" for name, value in numbers)
    return tag(
        "footer",
        tag("p", f"t3probe · record version {run.version} · {said}"),
        tag("p", "All times are UTC, and seconds since the run began."),
    )


def _label_rank(segment: tuple[str, str]) -> int:
    return ("convicted", "ambiguous", "masked", "unobserved", "exonerated").index(segment[1])


def _data(view: View) -> dict[str, object]:
    """The verdict for other tools, declared segments only."""
    run = view.run
    declared = [one for one in view.labels.items() if one[0] not in view.own]
    shown = worst(declared, SEGMENTS_TOLD, _label_rank)
    left = len(declared) - len(shown)
    return {
        "deployment": run.deployment[:200],
        "vantage": run.vantage[:200],
        "shard": run.shard,
        "shards": run.shards,
        "started_at": run.started_at,
        "status": view.verdict.status,
        "segments": {name[:200]: label for name, label in shown},
        **({"segments_left_out": left} if left else {}),
    }
