"""Sentences about observations, shared by pytest's reports, sinks and documents. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

from t3probe.observation import RECORD_VERSION, Observation

__all__ = ["WORST_FIRST", "badness", "glossed", "of_old", "sentence", "some", "worst"]

WORST_FIRST = ("failed", "inconclusive", "degraded", "planned", "passed")
"""What a leg is shown as. Where there is no room for all, the last ones are left out first."""
_Thing = TypeVar("_Thing")


def badness(outcome: str) -> int:
    """0 is the worst; a word that is none of `WORST_FIRST` is as bad."""
    return WORST_FIRST.index(outcome) if outcome in WORST_FIRST else 0


def worst(
    things: Sequence[_Thing], most: int, rank: Callable[[_Thing], int | tuple[float, ...]]
) -> Sequence[_Thing]:
    """In their order; of more than `most` those of the lowest rank."""
    if len(things) <= most:
        return things
    kept = sorted(range(len(things)), key=lambda at: rank(things[at]))[:most]
    return [things[at] for at in sorted(kept)]


def some(names: Sequence[str], most: int) -> list[str]:
    """The names, or the first ones and how many more there are, `most` in all."""
    if len(names) <= most:
        return [*names]
    return [*names[: most - 1], f"{len(names) - most + 1:,} more"]


def of_old(*versions: int) -> str:
    """What has to be said about records of these versions; empty where all are of this one."""
    old = sum(one < RECORD_VERSION for one in versions)
    if not old:
        return ""
    which = "this record is" if len(versions) == 1 else f"{old} of {len(versions)} records are"
    return (
        f"{which} of 0.1: a connection's first beat counts as fresh, all others as held, so "
        "the verdict may be wider than it was then"
    )


def glossed(names: Iterable[str], gloss: Mapping[str, str]) -> list[str]:
    """Names of segments, each with what the file adds to it. A sentence names them so unless it
    says that they are cleared: then what the gloss holds against them is cleared as well."""
    return [f"{one} ({gloss[one]})" if one in gloss else one for one in names]


def sentence(seen: Observation) -> str:
    """One line for people: leg, outcome, reason, detail."""
    words = f"{seen.leg}: {seen.outcome}"
    if seen.symptom == "refusing":
        words += ", refusing"
    if seen.reason:
        words += f", {seen.reason}"
    if seen.detail:
        words += f": {seen.detail}"
    drops = sum(not one.lone for one in seen.drops)
    if drops > 1:
        words += f" ({drops} drops)"
    for view in seen.views:
        if view.sentence:
            words += f"; {view.sentence}"
    return words
