"""A comparison for people: a terminal of 80 columns, and Markdown. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from t3probe.observation import badness, worst
from t3probe.show.compare.difference import (
    FLOOR_SECONDS,
    Comparison,
    LegChange,
    SegmentChange,
    TimeChange,
)
from t3probe.show.markdown import cell, table
from t3probe.text import WIDTH, cut, distinct, fold, plain
from t3probe.text.words import change, glossed, label_word, span
from t3probe.verdict.gate import INTERRUPTED

_LEGS_LIMIT = 20
_NAME_WIDTH = 36
_SIGNS = {True: "beyond the noise", False: "within the noise", None: "cannot be told from noise"}
_WHY = {
    "ambiguous": "others may have broken in their place",
    "masked": "behind what is broken",
    "unobserved": "no leg that gave evidence crosses it",
}


def headline(found: Comparison) -> str:
    """What matters, in one sentence."""
    worse = found.regressions
    if worse:
        convicted = [one for one in worse if one.after == "convicted"]
        rest = [one for one in worse if one.after != "convicted"]
        parts = []
        if convicted:
            parts.append(f"{_names(found, convicted)} cleared before, convicted after")
        if rest:
            parts.append(f"{_names(found, rest)} cleared before, not cleared after")
        return f"regression: {'; '.join(parts)}"
    elsewhere = [one for one in found.segments if one.regression]
    if elsewhere:
        return f"no regression in {_gate(found)}; elsewhere: {_names(found, elsewhere)}"
    return f"no regression in {_gate(found)}"


def decision(found: Comparison) -> list[str]:
    """What the gate says, a sentence for each kind of trouble; nothing when no gate was named."""
    if not found.named:
        return []
    said = []
    for label in ("convicted", *_WHY):
        worse = [one for one in found.regressions if one.after == label]
        if worse and label == "convicted":
            said.append(f"closed: {_names(found, worse)} convicted, and cleared before")
        elif worse:
            said.append(f"closed: {_names(found, worse)} cannot be cleared any more, {_WHY[label]}")
    if found.untold:
        said.append(
            f"closed: {_names(found, found.untold)} cannot be cleared, and whether "
            "that was so before is unknown"
        )
    if found.interrupted and not said:
        said.append(f"closed: {INTERRUPTED}")
    if said:
        return said
    rest = [one for one in found.segments if one.gated and one.after != "exonerated"]
    if rest:
        said.append(f"open: {_names(found, rest)} not cleared, as before: no fault of this deploy")
    cleared = [one for one in found.segments if one.gated and one.after == "exonerated"]
    if cleared:
        said.append(f"open: {', '.join(one.segment for one in cleared)} cleared")
    return said


def _names(found: Comparison, some: Sequence[SegmentChange]) -> str:
    """Segments that broke or may have."""
    return ", ".join(glossed((one.segment for one in some), found.gloss))


def _gate(found: Comparison) -> str:
    return ", ".join(found.gate) if found.named else "any segment"


def to_lines(found: Comparison) -> Iterator[str]:
    """The comparison as lines of a terminal: ASCII, none longer than 80."""
    for line in _lines(found):
        yield cut(plain(line))


def _lines(found: Comparison) -> Iterator[str]:
    width = min(_NAME_WIDTH, max([7, *(len(one.segment) for one in found.segments)]))
    yield f"{'segment':<{width}}  {'before':<12}after"
    names = distinct((one.segment for one in found.segments), width)
    for one in found.segments:
        labels = f"{label_word(one.before):<12}{label_word(one.after):<12}"
        yield f"{names[one.segment]:<{width}}  {labels}{_mark(one)}".rstrip()
    changed = [one for one in found.legs if _told(one)]
    if changed:
        yield ""
        yield "legs that changed"
        shown = worst(changed, _LEGS_LIMIT, _rank)
        names = distinct((leg.leg for leg in shown), 15)
        for leg in shown:
            yield f"  {names[leg.leg]:<16}{_outcomes(leg)}".rstrip()
            yield from (f"    {one}" for one in _paces(leg))
        if len(changed) > _LEGS_LIMIT:
            yield f"  ... and {len(changed) - _LEGS_LIMIT} more"
    for warning in found.warnings:
        yield from fold(f"warning: {warning}", WIDTH)
    yield ""
    yield from fold(f"COMPARED  {headline(found)}", WIDTH)
    for sentence in decision(found):
        yield from fold(f"  gate  {sentence}", WIDTH, " " * 8)


def to_markdown(found: Comparison) -> Iterator[str]:
    """The comparison for a job summary or a chat."""
    yield f"**{cell(headline(found))}**"
    for sentence in decision(found):
        yield ""
        yield f"Gate {cell(sentence)}."
    yield ""
    yield from table(
        ("segment", "before", "after", ""),
        [
            (one.segment, label_word(one.before), label_word(one.after), _mark(one))
            for one in found.segments
        ],
    )
    changed = [one for one in found.legs if _told(one)]
    if changed:
        yield ""
        shown = worst(changed, _LEGS_LIMIT, _rank)
        rows = [(one.leg, _outcomes(one), "; ".join(_paces(one))) for one in shown]
        if len(changed) > _LEGS_LIMIT:
            rows.append((f"and {len(changed) - _LEGS_LIMIT} more", "", ""))
        yield from table(("leg", "outcome", "times"), rows)
    for warning in found.warnings:
        yield ""
        yield f"Warning: {cell(warning)}"


def _mark(one: SegmentChange) -> str:
    if one.regression:
        return "REGRESSION" if one.gated else "worse, not gated"
    return "" if one.course == "same" else one.course


def _told(leg: LegChange) -> bool:
    """Whether a leg has anything to say."""
    return leg.before != leg.after or leg.moved or any(one.exceeds_noise for one in leg.paces)


def _rank(leg: LegChange) -> tuple[float, ...]:
    """Those that are worse now first; of these the worst."""
    before, after = badness(leg.before or "inconclusive"), badness(leg.after or "inconclusive")
    slower = max((one.difference_seconds for one in leg.paces if one.exceeds_noise), default=0.0)
    return after >= before, after, -slower


def _outcomes(leg: LegChange) -> str:
    words = f"{leg.before or 'not run'} -> {leg.after or 'not run'}"
    if leg.drops_before or leg.drops_after:
        words += f", drops {leg.drops_before} -> {leg.drops_after}"
    if leg.moved:
        words += f", colo {leg.colo_before} -> {leg.colo_after}"
    return words


def _paces(leg: LegChange) -> Iterator[str]:
    """What may have changed: less than the floor did not, whatever the noise."""
    for pace in leg.paces:
        if pace.exceeds_noise is not False and abs(pace.difference_seconds) >= FLOOR_SECONDS:
            yield _pace(pace)


def _pace(pace: TimeChange) -> str:
    return (
        f"{pace.what} {span(pace.before_seconds)} -> {span(pace.after_seconds)} "
        f"({change(pace.difference_seconds)}, {_SIGNS[pace.exceeds_noise]})"
    )
