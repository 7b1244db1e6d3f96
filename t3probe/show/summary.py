"""The closing summary: a line per leg, then the verdict. Pure: facts in, lines out.

Fits 80 columns and a log without colour: colour only repeats what the words say.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from t3probe.observation import (
    SYMPTOMS,
    WORST_FIRST,
    Drop,
    Observation,
    RunRecord,
    badness,
    median,
    parts_said,
    worst,
)
from t3probe.text import cut, distinct, fold, plain, showable
from t3probe.text.words import at_places, change, clock, count, glossed, listed, some, span
from t3probe.verdict.incident.evidence import HOW

if TYPE_CHECKING:
    from t3probe.verdict.incident.run import Incident, RunVerdict

StyledLine = tuple[str, str]
"""Style words for the terminal (red, green, yellow, bold; or none) and the text."""

_STYLES = {"passed": "green", "degraded": "yellow", "failed": "red", "inconclusive": "yellow"}
_STAYED = {"refusing": "and went on", "unknown": "to the end"}
"""Of a drop that was not over: how it ended."""
_DROPS = 3
_MANY_LEGS = 60
_MANY_BAD = 20
_MANY_IN_ROW = 40
_MANY_SETS = 8
_MANY_INCIDENTS = 10
_MANY_NAMES = 13
COLO_CHARACTERS = 16
"""What the CDN calls one of its places has three or four."""


def render(
    run: RunRecord, observations: Sequence[Observation], judged: RunVerdict, width: int = 80
) -> Iterator[StyledLine]:
    """The lines of the summary, in order: ASCII, none longer than `width`."""
    for style, line in _lines(run, observations, judged, width):
        yield style, cut(plain(line), width)


def row(name: str, text: str, width: int = 80, whole: bool = False) -> Iterator[str]:
    """One more row below the verdict, on as many lines as it takes. `whole`: a word that is longer
    than a line, such as a path, stays in one piece: it is there to be copied."""
    for _, line in _wrap("", name, plain(text).split(" "), width, " ", whole=whole):
        yield line


_ONE_BY_ONE = 4
"""So many legs whose own answers clear the same are named."""
_OF_MANY = {"tcp": "TCP leg", "stream": "stream", "jump": "log-in channel"}
"""Kinds of which only those are listed that did not pass, where there are many legs."""


def _lines(
    run: RunRecord, observations: Sequence[Observation], judged: RunVerdict, width: int
) -> Iterator[StyledLine]:
    yield "", ""
    yield (
        "bold",
        (f"{'leg':<16}{'outcome':<13}{'beats':>5}{'median':>9}{'worst':>9}{'drops':>6}  address"),
    )
    swept = [one for one in observations if one.kind in _OF_MANY]
    if len(observations) <= _MANY_LEGS:
        swept = []
    bad = [one for one in swept if one.outcome != "passed" or _disagreements(one)]
    shown = worst(bad, _MANY_BAD, lambda one: badness(_shown_as(one)))
    left_out = {id(one) for one in swept} - {id(one) for one in shown}
    rows = [one for one in observations if id(one) not in left_out]
    names = distinct((one.leg for one in rows), 15)
    for seen in rows:
        yield from _leg(run, seen, names[seen.leg], width)
    if len(bad) > len(shown):
        counts = Counter(_shown_as(one) for one in bad if id(one) in left_out)
        said = ", ".join(f"{counts[word]} {word}" for word in WORST_FIRST if counts[word])
        yield "", f"... and {len(bad) - len(shown)} more ({said}); the JUnit file has all"
    if len(swept) > len(bad):
        kinds = Counter(one.kind for one in swept)
        kinds.subtract(one.kind for one in bad)
        said = listed([count(kinds[kind], word) for kind, word in _OF_MANY.items() if kinds[kind]])
        yield "", f"... and {said} that passed"
    yield from _notes(run, width)
    yield "", ""
    yield from _verdict(run, judged, width)


def _leg(run: RunRecord, seen: Observation, name: str, width: int) -> Iterator[StyledLine]:
    good = seen.trips
    middle = span(median(good)) if good else "-"
    worst = span(max(good)) if good else "-"
    answered, tried = seen.answered
    where = seen.address or (seen.addresses[0].address if seen.addresses else "-")
    share = f" {answered}/{tried}" if tried > 1 else ""
    if seen.kind == "source":
        where = seen.detail.partition(";")[0] if seen.outcome in ("passed", "degraded") else "-"
    outcome = _shown_as(seen)
    word = outcome.upper() if outcome == "failed" else outcome
    yield (
        _STYLES.get(outcome, "yellow"),
        f"{name:<16}{word:<13}{len(good):>5} {middle:>8} {worst:>8}"
        f"{sum(not one.lone for one in seen.drops) or '-':>6}  {where}{share}",
    )
    if seen.planned:
        yield "yellow", f"    {seen.planned}; seen now: {seen.outcome}"
    elif seen.outcome != "passed":
        text = ": ".join(one for one in (seen.reason, seen.detail) if one)
        yield _STYLES[seen.outcome], f"    {text}"
        for drop in _worst_drops(seen):
            end = _STAYED.get(drop.symptom, "and stayed down")
            if drop.recovered is not None:
                end = f"until {clock(run.started_at + drop.recovered)}"
            since = clock(run.started_at + drop.began)
            yield "", f"    {drop.symptom} from {since} UTC {end}"
            if drop.symptom == "refusing":
                yield "yellow", "    open connections lived on, and no new one was accepted"
            if drop.evidence:
                yield from _wrap("", "", drop.evidence.split(" "), width, " ", indent=4)
    for sentence in _disagreements(seen):
        yield from _wrap("yellow", "", sentence.split(" "), width, " ", indent=4)


def _shown_as(seen: Observation) -> str:
    return "planned" if seen.planned else seen.outcome


def _worst_drops(seen: Observation) -> list[Drop]:
    """Three at most, in their order."""
    worst = sorted(seen.counted, key=lambda one: (SYMPTOMS.index(one.symptom), one.noticed))
    return sorted(worst[:_DROPS], key=lambda one: one.noticed)


def _disagreements(seen: Observation) -> list[str]:
    return [view.sentence for view in seen.views if view.sentence]


def _notes(run: RunRecord, width: int) -> Iterator[StyledLine]:
    for line in fold(parts_said((run,)), width):
        yield "", line
    if run.interrupted:
        yield "yellow", "interrupted: this is what was seen so far"
    if run.loop_lag_seconds >= 0.25:
        yield "yellow", f"our own event loop was late by up to {span(run.loop_lag_seconds)}"
    if (run.throttled_seconds or 0.0) >= 0.1:
        late = span(run.throttled_seconds)
        yield "yellow", f"our own CPU limit stopped us for {late}: set a request, no limit"
    if run.clock_step_seconds:
        step = change(run.clock_step_seconds)
        yield "yellow", f"the wall clock was set by {step}: the UTC times after that differ"
    for warning in run.warnings:
        for line in fold(f"warning: {warning}", width):
            yield "yellow", line


def _verdict(run: RunRecord, judged: RunVerdict, width: int) -> Iterator[StyledLine]:
    verdict = judged.verdict
    style, head = headline(judged)
    for line in fold(f"VERDICT  {head}", width, " " * 9):
        yield f"{style} bold", line
    own = set(run.own_segments)
    rows: list[tuple[str, str, list[str]]] = [
        ("red", "convicted", glossed(verdict.convicted, run.gloss)),
        *(
            ("yellow", "one of", glossed(group, run.gloss))
            for group in verdict.at_least_one_of[:_MANY_SETS]
        ),
    ]
    if len(verdict.at_least_one_of) > _MANY_SETS:
        more = len(verdict.at_least_one_of) - _MANY_SETS
        rows.append(("yellow", "", [f"... and {more} more such sets"]))
    if verdict.at_least_one_of and verdict.simplest:
        simplest = glossed(some(verdict.simplest, _MANY_NAMES), run.gloss)
        # Before sets of which not all are shown: whoever explains them all is named first.
        at = len(rows) if len(verdict.at_least_one_of) <= _MANY_SETS else 1
        rows.insert(at, ("yellow", "simplest explanation:", simplest))
    if verdict.status == "inconsistent":
        rows.append(("yellow", "suspects", glossed(verdict.ambiguous, run.gloss)))
        rows.append(("yellow", "in conflict", list(verdict.contradictions)))
    rows += [
        ("green", "cleared", [one for one in verdict.exonerated if one not in own]),
        ("yellow", "masked", glossed(verdict.masked, run.gloss)),
        (
            *("yellow", "not observed"),
            glossed((one for one in verdict.unobserved if one not in own), run.gloss),
        ),
    ]
    cleared_own = [one for one in verdict.exonerated if one in own]
    if cleared_own:
        rows[-3][2].extend(cleared_own if len(cleared_own) <= 4 else [f"{len(cleared_own)} more"])
    blind = [one for one in verdict.unobserved if one in own]
    if blind:
        rows[-1][2].extend(blind if len(blind) <= 4 else [f"{len(blind)} more"])
    for row_style, name, words in rows:
        if len(words) > _MANY_IN_ROW:
            words[_MANY_IN_ROW:] = [f"{len(words) - _MANY_IN_ROW} more"]
        if not words:
            continue
        indent = max(16, len(name) + 3)
        if row_style == "green":
            yield from _wrap(row_style, name, words, width, indent=indent)
        else:  # a gloss is several words
            said = ", ".join(words).split(" ")
            yield from _wrap(row_style, name, said, width, " ", indent=indent)
    if judged.slowness.slow or judged.slowness.short:
        label = "also slow" if verdict.convicted else "slow"
        yield from _wrap("yellow", label, judged.slowness.text.split(" "), width, " ")
    for opinion in judged.opinions:
        style = "yellow" if opinion.disagreement else ""
        yield from _wrap(style, "opinion", opinion.sentence.split(" "), width, " ")
    colos = at_places(
        (name, showable(one.colo, COLO_CHARACTERS)) for name, one in judged.seen.items()
    )
    if colos:
        yield from _wrap("", "colo", colos.split(" "), width, " ")
    for text in judged.limit_texts:
        yield from _wrap("yellow", "limit", text.split(" "), width, " ")
    if verdict.ambiguous and verdict.extra_leg:
        first, *others = verdict.extra_leg
        words = [f"with one more leg over {first}", *others]
        yield from _wrap("", "tell apart", words, width, " > ")
    shown = judged.incidents[:_MANY_INCIDENTS]
    if len(judged.incidents) == 1:
        yield from _evidence(shown[0], width)
    elif shown:
        left = len(judged.incidents) - len(shown)
        which = f"{len(shown)} worst of {len(judged.incidents)}" if left else f"{len(shown)}"
        yield "", f"  incidents     {which}, each with its own verdict; above is that of all"
        for incident in shown:
            yield from _incident(run, incident, width)


def _incident(run: RunRecord, incident: Incident, width: int) -> Iterator[StyledLine]:
    """Onset, end, symptom, legs, verdict and evidence of one of several."""
    end = "and not over at the end"
    if incident.recovered is not None:
        end = f"until {clock(run.started_at + incident.recovered)}"
    onset = clock(run.started_at + incident.began)
    yield "bold", f"  {incident.symptom} from {onset} UTC {end}"
    yield from _wrap("", "  legs", some(incident.failed, _MANY_NAMES), width)
    said = incident.finding.partition(": ")[2]
    style = "red" if incident.verdict.convicted else "yellow"
    yield from _wrap(style, "  verdict", said.split(" "), width, " ")
    yield from _evidence(incident, width, "  ")


def _evidence(incident: Incident, width: int, indent: str = "") -> Iterator[StyledLine]:
    """Whose beats clear what lies on their way, and how."""
    by: dict[str, list[str]] = {}
    for how in HOW:
        if how == "own answer":
            same: dict[tuple[str, ...], list[str]] = {}
            for leg, path in incident.carried.items():
                same.setdefault(path, []).append(leg)
            for path, legs in same.items():
                if len(legs) <= _ONE_BY_ONE:
                    by |= {f"own answer of {leg} clears": list(path) for leg in legs}
                else:
                    by[f"own answers of {len(legs)} legs clear"] = list(path)
        else:
            legs = [leg for leg, way in incident.cleared_by.items() if way == how]
            by |= {how: legs} if legs else {}
    words = "; ".join(f"{how}: {', '.join(some(names, _MANY_NAMES))}" for how, names in by.items())
    words = words or "no other leg says anything about it"
    yield from _wrap("", f"{indent}evidence", words.split(" "), width, " ")


def headline(judged: RunVerdict) -> tuple[str, str]:
    """A style word and the verdict in one sentence."""
    verdict = judged.verdict
    if verdict.status == "clean" and judged.untold:
        untold = listed(judged.untold)
        return "yellow", f"nothing failed, but {untold} could not tell"
    if verdict.status == "clean":
        return "green", "clean: every segment is cleared"
    if verdict.status == "incomplete":
        return "yellow", "nothing failed, but not every segment was observed"
    if verdict.status == "inconsistent":
        return "yellow", "inconsistent: at least one outcome is wrong, and no segment is convicted"
    if verdict.convicted:
        be = "is" if len(verdict.convicted) == 1 else "are"
        more = ", and more may be" if verdict.ambiguous else ""
        names = listed(glossed(verdict.convicted, judged.gloss))
        return "red", f"{names} {be} broken{more}"
    return "yellow", "something is broken, and these legs cannot tell which"


def _wrap(
    style: str, name: str, words: list[str], width: int, between: str = ", ", indent: int = 16,
    whole: bool = False,
) -> Iterator[StyledLine]:  # fmt: skip
    line = f"  {name}".ljust(indent)
    blank = " " * len(line)
    for number, word in enumerate(words):
        piece = word + (between if number + 1 < len(words) else "")
        while not whole and len(blank) + len(piece.rstrip()) > width:  # broken anywhere
            room = width - len(line)
            if room > 0:
                line, piece = line + piece[:room], piece[room:]
            yield style, line.rstrip()
            line = blank
        if len(line) + len(piece.rstrip()) > width and line.strip():
            yield style, line.rstrip()
            line = blank
        line += piece
    yield style, line.rstrip()
