"""Several vantages in one verdict, for the terminal. Pure; ASCII, 80 columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from t3probe.show.summary import row
from t3probe.text import plain
from t3probe.text.words import clock, glossed, listed, some
from t3probe.verdict.clocks import said
from t3probe.verdict.vantages import Together

_MANY = 40
_MANY_SETS = 8


def lines(found: Together, gate: Sequence[str] = ()) -> Iterator[str]:
    """The lines. `gate`: its sentences."""
    verdict, gloss = found.verdict, found.gloss
    for at in found.vantages:
        outcome = f"failed: {listed(at.failed)}" if at.failed else "nothing failed"
        if at.judged.untold:
            outcome += f", could not tell: {listed(at.judged.untold)}"
        if not at.record.complete:
            outcome += ", a part of its legs" if at.record.partial else ", interrupted"
        yield from row(
            plain(at.name), f"{clock(at.started_at)} to {clock(at.ended_at)} UTC, {outcome}"
        )
    yield ""
    yield from row("VERDICT", found.text)
    rows = [("convicted", verdict.convicted)]
    rows += [("one of", group) for group in verdict.at_least_one_of[:_MANY_SETS]]
    rows += [("masked", verdict.masked), ("not observed", verdict.unobserved)]
    for label, names in rows:
        if names:
            yield from row(label, ", ".join(glossed(some(names, _MANY), gloss)))
    if verdict.exonerated:
        yield from row("cleared", ", ".join(some(verdict.exonerated, _MANY)))
    for leg, segments in found.cleared_by.items():
        yield from row("by another", f"{leg} clears {listed(segments)}")
    for one in found.contrasts:
        yield from row("from here", f"{one.segment}: {one.text}")
    first = found.vantages[0].name
    for name, ahead in found.clocks.items():
        yield from row("clocks", f"{name}'s is {said(ahead)} {first}'s; that is set right here")
    for pair in found.taken:
        yield from row(
            "clocks", f"no server told both {listed(pair)}: taken to agree; see --clocks"
        )
    for sentence in found.left_out:
        yield from row("left out", sentence)
    if found.old:
        yield from row("note", found.old)
    for each in found.uncompared:
        yield from row("not compared", each.text)
    for at in found.vantages:
        for opinion in at.judged.opinions:
            yield from row("opinion", f"{at.name}: {opinion.sentence}")
        for limit in at.judged.limit_texts:
            yield from row("limit", f"{at.name}: {limit}")
    for sentence in gate:
        yield from row("gate", sentence)
