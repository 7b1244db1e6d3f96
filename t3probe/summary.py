"""The closing summary: a line per leg, then the verdict. Pure: facts in, lines out.

Fits 80 columns and a log without colour: colour only repeats what the words say.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from t3probe.median import median
from t3probe.observation import Observation, RunRecord
from t3probe.timing import utc_text

if TYPE_CHECKING:
    from t3probe.verdict import RunVerdict

__all__ = ["render"]

Line = tuple[str, str]
"""Style words for the terminal (red, green, yellow, bold; or none) and the text."""

_STYLES = {"passed": "green", "degraded": "yellow", "failed": "red", "inconclusive": "yellow"}
_MANY_LEGS = 60


def render(
    run: RunRecord, observations: Sequence[Observation], judged: RunVerdict, width: int = 80
) -> Iterator[Line]:
    """The lines of the summary, in order."""
    yield "", ""
    yield (
        "bold",
        (f"{'leg':<16}{'outcome':<13}{'beats':>5}{'median':>9}{'worst':>9}{'drops':>6}  address"),
    )
    shown = list(observations)
    if len(shown) > _MANY_LEGS:
        quiet = [one for one in shown if one.outcome == "passed" and one.kind == "tcp"]
        shown = [one for one in shown if one not in quiet]
    for seen in shown:
        yield from _leg(run, seen, width)
    if len(shown) < len(observations):
        yield "", f"... and {len(observations) - len(shown)} TCP legs that passed"
    yield from _notes(run)
    yield "", ""
    yield from _verdict(run, judged, width)


def _leg(run: RunRecord, seen: Observation, width: int) -> Iterator[Line]:
    good = [beat.rtt_seconds for beat in seen.beats if beat.ok]
    middle = _seconds(median(good)) if good else "-"
    worst = _seconds(max(good)) if good else "-"
    answered, tried = seen.answered
    where = seen.address or (seen.addresses[0].address if seen.addresses else "-")
    share = f" {answered}/{tried}" if tried > 1 else ""
    outcome = "planned" if seen.planned else seen.outcome
    word = outcome.upper() if outcome == "failed" else outcome
    name = seen.leg if len(seen.leg) <= 15 else seen.leg[:14] + "~"
    yield (
        _STYLES.get(outcome, "yellow"),
        f"{name:<16}{word:<13}{len(good):>5}{middle:>9}{worst:>9}"
        f"{len(seen.drops) or '-':>6}  {where}{share}",
    )
    if seen.planned:
        yield "yellow", _cut(f"    {seen.planned}; seen now: {seen.outcome}", width)
    elif seen.outcome != "passed":
        text = ": ".join(one for one in (seen.reason, seen.detail) if one)
        yield _STYLES[seen.outcome], _cut(f"    {text}", width)
        for drop in [one for one in seen.drops if not one.stalled][:3]:
            end = "and stayed down" if drop.recovered is None else (
                f"until {utc_text(run.started_at + drop.recovered)[11:23]}"
            )  # fmt: skip
            since = utc_text(run.started_at + drop.noticed)[11:23]
            yield "", _cut(f"    {drop.symptom} from {since} UTC {end}", width)


def _notes(run: RunRecord) -> Iterator[Line]:
    if run.interrupted:
        yield "yellow", "interrupted: this is what was seen so far"
    if run.loop_lag_seconds >= 0.25:
        yield "yellow", f"our own event loop was late by up to {run.loop_lag_seconds:.2f} s"
    for warning in run.warnings:
        yield "yellow", f"warning: {warning}"


def _verdict(run: RunRecord, judged: RunVerdict, width: int) -> Iterator[Line]:
    verdict = judged.verdict
    style, head = _headline(judged)
    yield f"{style} bold", _cut(f"VERDICT  {head}", width)
    own = set(run.own_segments)
    rows: list[tuple[str, str, list[str]]] = [
        ("red", "convicted", list(verdict.convicted)),
        *(("yellow", "one of", list(group)) for group in verdict.at_least_one_of),
    ]
    if verdict.status == "inconsistent":
        rows.append(("yellow", "suspects", list(verdict.ambiguous)))
        rows.append(("yellow", "in conflict", list(verdict.contradictions)))
    rows += [
        ("green", "cleared", [one for one in verdict.exonerated if one not in own]),
        ("yellow", "masked", list(verdict.masked)),
        ("yellow", "not observed", [one for one in verdict.unobserved if one not in own]),
    ]
    cleared_own = [one for one in verdict.exonerated if one in own]
    if cleared_own:
        rows[-3][2].extend(cleared_own if len(cleared_own) <= 4 else [f"{len(cleared_own)} more"])
    blind = [one for one in verdict.unobserved if one in own]
    if blind:
        rows[-1][2].extend(blind if len(blind) <= 4 else [f"{len(blind)} more"])
    for row_style, name, words in rows:
        if words:
            yield from _wrap(row_style, name, words, width)
    if verdict.ambiguous and verdict.extra_leg:
        path = " > ".join(verdict.extra_leg)
        yield "", _cut(f"  tell apart    with one more leg over {path}", width)
    if len(judged.incidents) > 1:
        yield "", _cut(f"  incidents     {len(judged.incidents)}; this is the worst one", width)
        for incident in judged.incidents[:10]:
            when = utc_text(run.started_at + incident.noticed)[11:23]
            what, _, finding = incident.text.partition(": ")
            yield "", _cut(f"    {when} UTC  {finding}", width)
            yield "", _cut(f"      {what}", width)


def _headline(judged: RunVerdict) -> tuple[str, str]:
    verdict = judged.verdict
    if verdict.status == "clean":
        return "green", "clean: every segment is cleared"
    if verdict.status == "incomplete":
        return "yellow", "nothing failed, but not every segment was observed"
    if verdict.status == "inconsistent":
        return "yellow", "inconsistent: at least one outcome is wrong, nobody is convicted"
    if verdict.convicted:
        be = "is" if len(verdict.convicted) == 1 else "are"
        more = ", and more may be" if verdict.ambiguous else ""
        return "red", f"{', '.join(verdict.convicted)} {be} broken{more}"
    return "yellow", "something is broken, and these legs cannot tell which"


def _wrap(style: str, name: str, words: list[str], width: int) -> Iterator[Line]:
    line = f"  {name:<14}"
    indent = " " * len(line)
    for number, word in enumerate(words):
        piece = word + (", " if number + 1 < len(words) else "")
        if len(line) + len(piece.rstrip()) > width and line.strip():
            yield style, line.rstrip()
            line = indent
        line += piece
    yield style, line.rstrip()


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 3] + "..."


def _seconds(value: float) -> str:
    if value < 0.001:
        return f"{value * 1e6:.0f} us"
    if value < 1:
        return f"{value * 1e3:.1f} ms"
    return f"{value:.2f} s"
