"""A comparison for people: a terminal of 80 columns, and Markdown. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from t3probe.compare.difference import Comparison, LegChange, Pace, SegmentChange
from t3probe.markdown import cell, table

__all__ = ["headline", "to_lines", "to_markdown"]

_LEGS_LIMIT = 20
_SIGNS = {True: "beyond the noise", False: "within the noise", None: "cannot be told from noise"}


def headline(found: Comparison) -> str:
    """What matters, in one sentence."""
    worse = found.regressions
    if worse:
        names = ", ".join(one.segment for one in worse)
        how = "convicted" if any(one.after == "convicted" for one in worse) else "not cleared"
        return f"regression: {names} cleared before, {how} after"
    elsewhere = [one.segment for one in found.segments if one.regression]
    if elsewhere:
        return f"no regression in {_gate(found)}; elsewhere: {', '.join(elsewhere)}"
    return f"no regression in {_gate(found)}"


def _gate(found: Comparison) -> str:
    if set(found.gate) >= {one.segment for one in found.segments}:
        return "any segment"
    return ", ".join(found.gate)


def to_lines(found: Comparison) -> Iterator[str]:
    """The comparison as lines of a terminal."""
    width = max([7, *(len(one.segment) for one in found.segments)])
    yield f"{'segment':<{width}}  {'before':<12}{'after':<12}"
    for one in found.segments:
        yield f"{one.segment:<{width}}  {one.before:<12}{one.after:<12}{_mark(one)}".rstrip()
    changed = [one for one in found.legs if _told(one)]
    if changed:
        yield ""
        yield "legs that changed"
        for leg in changed[:_LEGS_LIMIT]:
            yield f"  {leg.leg:<16}{_outcomes(leg)}".rstrip()
            for pace in leg.paces:
                if pace.exceeds_noise is not False:
                    yield f"    {_pace(pace)}"
        if len(changed) > _LEGS_LIMIT:
            yield f"  ... and {len(changed) - _LEGS_LIMIT} more"
    for warning in found.warnings:
        yield f"warning: {warning}"
    yield ""
    yield f"COMPARED  {headline(found)}"


def to_markdown(found: Comparison) -> Iterator[str]:
    """The comparison for a job summary or a chat."""
    yield f"**{cell(headline(found))}**"
    yield ""
    yield from table(
        ("segment", "before", "after", ""),
        [(one.segment, one.before, one.after, _mark(one)) for one in found.segments],
    )
    changed = [one for one in found.legs if _told(one)]
    if changed:
        yield ""
        rows = []
        for leg in changed[:_LEGS_LIMIT]:
            paces = [_pace(one) for one in leg.paces if one.exceeds_noise is not False]
            rows.append((leg.leg, _outcomes(leg), "; ".join(paces)))
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
    return leg.before != leg.after or any(one.exceeds_noise for one in leg.paces)


def _outcomes(leg: LegChange) -> str:
    words = f"{leg.before or 'not run'} -> {leg.after or 'not run'}"
    if leg.drops_before or leg.drops_after:
        words += f", drops {leg.drops_before} -> {leg.drops_after}"
    return words


def _pace(pace: Pace) -> str:
    change = f"{pace.difference_seconds * 1000:+.1f} ms"
    return (
        f"{pace.what} {pace.before_seconds * 1000:.1f} -> {pace.after_seconds * 1000:.1f} ms "
        f"({change}, {_SIGNS[pace.exceeds_noise]})"
    )
