"""The deploy gate: whether segments that a deploy owns are cleared. Pure.

A gate judges by ownership: an outage elsewhere blocks no deploy. It is open when every
one of its segments is exonerated, and closed when one is convicted, or when the legs that ran
cannot clear it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from t3probe.text.words import glossed
from t3probe.verdict.exact.labels import Verdict

INTERRUPTED = "the run was interrupted, and nobody looked to its end"
LABELS = ("exonerated", "convicted", "ambiguous", "masked", "unobserved")


def named(text: str | None, known: Iterable[str], file: str) -> tuple[str, ...]:
    """The segments that `--gate SEGMENT,...` names; none when `text` is None.

    Raises ValueError, one sentence, when it names nothing or a segment that `file` lacks.
    """
    if text is None:
        return ()
    found = tuple(dict.fromkeys(one.strip() for one in text.split(",") if one.strip()))
    if not found:
        raise ValueError("--gate: expected segments, found none; name one, or leave it")
    known = tuple(known)
    for segment in found:
        if segment not in known:
            raise ValueError(
                f"--gate: expected segments of {file}, found {segment!r}; "
                f"known are {', '.join(known)}"
            )
    return found


def label_of(verdict: Verdict, segment: str) -> str:
    """The segment's label; `unobserved` for one that the verdict does not know."""
    for label in LABELS:
        if segment in getattr(verdict, label):
            return label
    return "unobserved"


def blocked(verdict: Verdict, gate: Sequence[str]) -> list[str]:
    """The gated segments that are not exonerated."""
    return [one for one in gate if label_of(verdict, one) != "exonerated"]


def sentences(
    verdict: Verdict, gate: Sequence[str], gloss: Mapping[str, str], *, interrupted: bool = False
) -> list[str]:
    """For people: one sentence per kind of trouble, or that the gate is open. `gloss`: what the
    file adds to the names of segments. An `interrupted` run opens none."""

    def named(names: Iterable[str]) -> str:
        return ", ".join(glossed(names, gloss))

    by: dict[str, list[str]] = {}
    for segment in blocked(verdict, gate):
        by.setdefault(label_of(verdict, segment), []).append(segment)
    if not by and interrupted:
        return [f"closed: {INTERRUPTED}"]
    if not by:
        return [f"open: {', '.join(gate)} cleared"]
    said = []
    if "convicted" in by:
        said.append(f"closed: {named(by['convicted'])} convicted")
    if "ambiguous" in by:
        others = named(_others(verdict, by["ambiguous"]))
        beside = f"; {others} may have broken in their place" if others else ""
        said.append(f"closed: {named(by['ambiguous'])} cannot be cleared{beside}")
    if "masked" in by:
        said.append(
            f"closed: {named(by['masked'])} cannot be cleared behind what is broken; "
            "probe again after the repair"
        )
    if "unobserved" in by:
        said.append(
            f"closed: {named(by['unobserved'])} cannot be cleared, no leg that gave evidence "
            "crosses it"
        )
    return said


def _others(verdict: Verdict, segments: Sequence[str]) -> Iterable[str]:
    groups = [group for group in verdict.at_least_one_of if set(group) & set(segments)]
    return dict.fromkeys(one for group in groups for one in group if one not in segments)
