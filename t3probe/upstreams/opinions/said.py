"""One reading of what a program says of itself, and several of them as a view. Pure.

Counters have no meaning by themselves: they run since the program's start. What they grew by
between two readings belongs to the run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from t3probe.config.opinions import OpinionSource
from t3probe.observation import OpinionView, OpinionWord
from t3probe.text.words import count

Marks = tuple[object, ...]


@dataclass(frozen=True, slots=True)
class SelfReport:
    """What was said at one moment."""

    opinion: OpinionWord
    words: tuple[str, ...] = ()
    """Its state in words, or why it is not known."""
    colos: tuple[str, ...] = ()
    marks: Marks | None = None
    """What stays the same as long as nothing happens to it; None: not known, so that nobody can
    tell."""
    started: float | None = None
    """When the program began, in Unix seconds."""
    counts: Mapping[str, float] = field(default_factory=dict)
    """Words for one thing that went wrong → how many there were since its start."""


def unknown(why: str) -> SelfReport:
    """A program that told nothing; `why` is the end of a sentence about it."""
    return SelfReport("unknown", (why,))


def view_of(
    source: OpinionSource, readings: Sequence[SelfReport], at: float, since: str = "during the run"
) -> OpinionView:
    """The view of several readings in a row, the newest last: steady when all are the same.

    `since` says in words between when and when they were made.
    """
    first, last = readings[0], readings[-1]
    steady = len(readings) > 1 and all(_same(first, one) for one in readings[1:])
    words = [*last.words]
    if last.opinion != "unknown" and len(readings) > 1:
        words += _moved(first, last, since)
        if first.opinion == "unknown":
            words.append("not known at its start")
        elif first.opinion != last.opinion:
            words.append(f"it was {first.opinion} before")
    return OpinionView(
        name=source.name,
        segment=source.segment,
        kind=source.kind,
        opinion=last.opinion,
        steady=steady,
        detail="; ".join(words),
        colos=last.colos,
        at=round(at, 3),
    )


def _same(one: SelfReport, other: SelfReport) -> bool:
    known = one.marks is not None and "unknown" not in (one.opinion, other.opinion)
    return known and (one.opinion, one.marks, one.started) == (
        other.opinion,
        other.marks,
        other.started,
    )


def _moved(first: SelfReport, last: SelfReport, since: str) -> list[str]:
    """What went wrong between two readings; of a program that began anew, since then."""
    anew = first.started is not None and last.started is not None and first.started != last.started
    words = [f"it began anew {since}"] if anew else []
    if first.opinion == "unknown":
        return words
    for what, number in last.counts.items():
        grew = number if anew else number - first.counts.get(what, 0.0)
        if grew >= 1:
            words.append(f"{count(round(grew), what)} {since}")
    return words
