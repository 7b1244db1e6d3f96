"""Which change of the convicted set is worth a message, and what the message says. Pure.

What is broken is called by names of segments: one that is convicted, or several of which at least
one is broken. It begins when it was seen broken, and seen so again `settle` later, without having
been seen cleared between; it ends in the same way when all its segments are cleared. What cannot be
told neither begins nor ends anything, and while the prober itself stalls nothing is looked at.
Messages are at least one `settle` apart.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from t3probe.deliver.notices import Notice
from t3probe.observation import Observation, RunRecord
from t3probe.text import cut, plain
from t3probe.text.words import glossed, listed, moment, span, utc
from t3probe.verdict.incident.evidence import HOW

if TYPE_CHECKING:
    from t3probe.verdict.incident.run import RunVerdict

STALLED_LAG_SECONDS = 1.0
"""From so late a loop on the prober counts as stalled, as for the alert `T3ProbeProberStalled`."""
MOST_NAMED = 64
"""What is told of at once; of more only the first ones, in the order of the file."""
LONGEST_LINE = 400
SECTION = "t3probesegmentconvicted"
OR = " or "
"""Between the segments of a name: no name of a segment has a space."""


class ConvictedLook(NamedTuple):
    """What one verdict says, for messages."""

    at: float
    """Unix seconds."""
    broken: Mapping[str, float]
    """What is broken -> since when, in Unix seconds."""
    cleared: frozenset[str]
    """Segments."""
    stalled: bool = False
    """Whether the prober itself stood still: then nothing else here counts."""
    newest: Mapping[str, float] = {}
    """Of what is broken -> when it was so last, in Unix seconds; what is not here is so at `at`. A
    verdict convicts for a while after a drop is over: that does not make a flap last."""


class Standing(msgspec.Struct):
    """What is known between looks. Times are Unix seconds."""

    at: float = 0.0
    """Of the last look that counted."""
    seen: dict[str, float] = {}
    """Broken, and not yet for long enough -> first seen so at."""
    broken: dict[str, float] = {}
    """Broken for long enough -> since."""
    cleared: dict[str, float] = {}
    """Of `broken` those that are cleared, and not yet for long enough -> first seen so at."""
    told: dict[str, float] = {}
    """What the last message said is broken -> since."""
    told_at: float | None = None
    """When that was."""


class Turn(NamedTuple):
    """What a message tells; each time in Unix seconds."""

    begun: Mapping[str, float]
    """What is broken now and was not -> since."""
    over: Mapping[str, float]
    """What is cleared now and was broken -> since when it was."""
    broken: Mapping[str, float]
    """All that is broken now -> since."""


def look_of(
    record: RunRecord, seen: Sequence[Observation], judged: RunVerdict, at: float
) -> ConvictedLook:
    """What this verdict says at `at`, in Unix seconds."""
    verdict = judged.verdict
    stalled = record.loop_lag_seconds >= STALLED_LAG_SECONDS or any(
        one.reason == "prober_stalled" or any(drop.stalled for drop in one.drops) for one in seen
    )
    if stalled or verdict.status == "inconsistent":
        return ConvictedLook(at, {}, frozenset(), stalled)
    broken, newest = {}, {}
    for names in [*((one,) for one in verdict.convicted), *verdict.at_least_one_of]:
        name = OR.join(names)
        its = [
            one
            for one in judged.incidents
            if any(set(names) & set(suspects) for suspects in one.suspect_sets)
        ]
        broken[name] = min([at, *(record.started_at + one.onset for one in its)])
        ends = [one.recovered for one in its if one.recovered is not None]
        if its and len(ends) == len(its):
            newest[name] = min(at, record.started_at + max(ends))
    few = dict(list(broken.items())[:MOST_NAMED])
    return ConvictedLook(at, few, frozenset(verdict.exonerated), newest=newest)


def step(standing: Standing, look: ConvictedLook, settle: float) -> Turn | None:
    """Take one look in; what there is to tell now, if anything."""
    if look.stalled:
        return None
    if look.at < standing.at:
        _shift(standing, look.at - standing.at)  # the clock was set back
    standing.at = now = look.at
    alone = {name for name in (*look.broken, *standing.broken) if OR not in name}
    for name, since in look.broken.items():
        standing.cleared.pop(name, None)
        if name in standing.broken or (OR in name and alone & set(name.split(OR))):
            continue
        newest = look.newest.get(name, now)
        if newest - standing.seen.setdefault(name, newest) >= settle:
            standing.broken[name] = since
    for name in list(standing.seen):
        if name in standing.broken or _well(name, look):
            del standing.seen[name]
    for name in list(standing.broken):
        if _well(name, look) and now - standing.cleared.setdefault(name, now) >= settle:
            del standing.broken[name], standing.cleared[name]
    same = standing.told.keys() == standing.broken.keys()
    if same or (standing.told_at is not None and now - standing.told_at < settle):
        return None
    before, after = standing.told, dict(standing.broken)
    standing.told, standing.told_at = after, now
    return Turn(
        {name: at for name, at in after.items() if name not in before},
        {name: at for name, at in before.items() if name not in after},
        after,
    )


def _well(name: str, look: ConvictedLook) -> bool:
    """Whether all its segments are cleared; of several, too, if one of them is convicted now: that
    one is told by itself."""
    names = name.split(OR)
    if name in look.broken:
        return False
    if len(names) > 1 and any(one in look.broken for one in names):
        return True
    return all(one in look.cleared for one in names)


def _shift(standing: Standing, seconds: float) -> None:
    for times in (standing.seen, standing.broken, standing.cleared, standing.told):
        for name in times:
            times[name] += seconds
    if standing.told_at is not None:
        standing.told_at += seconds


def notice_of(turn: Turn, record: RunRecord, judged: RunVerdict, at: float, runbook: str) -> Notice:
    """The message; `runbook` is where that is read."""
    whole = _sentence(turn, judged.gloss)
    subject = cut(plain(f"{record.deployment}: {whole}"), 120)
    lines = [f"{record.deployment}: {whole}."]
    where = f", as seen from {record.vantage}" if record.vantage else ""
    lines += ["", f"At {moment(at)}{where}."]
    for name, since in turn.broken.items():
        lines.append(f"broken since {moment(since)}: {_named(name, judged.gloss)}")
    for name, since in _really_over(turn).items():
        lines.append(f"over after {span(max(0.0, at - since))}: {name}")
    lines += _evidence(judged, turn)
    cleared = [one for one in judged.verdict.exonerated if not _within(one, turn.broken)]
    lines.append(f"cleared: {listed(cleared, 40) or 'nothing'}")
    link = f"{runbook}#{SECTION}"
    lines += ["", f"what to do: {link}"]
    facts = {
        "event": "broken" if turn.broken else "over",
        "deployment": record.deployment,
        "vantage": record.vantage,
        "begun": [_fact(name, since) for name, since in turn.begun.items()],
        "over": [_fact(name, since) for name, since in _really_over(turn).items()],
        "broken": [_fact(name, since) for name, since in turn.broken.items()],
        "cleared": cleared,
        "runbook_url": link,
    }
    text = "\n".join(cut(plain(one), LONGEST_LINE) for one in lines) + "\n"
    of = f"{record.deployment}\0{record.vantage}\0{at!r}\0{text}"
    return Notice(hashlib.sha256(of.encode()).hexdigest()[:32], at, subject, text, facts)


def _sentence(turn: Turn, gloss: Mapping[str, str]) -> str:
    over = _really_over(turn)
    parts = []
    if turn.broken:
        parts.append(_broken(turn.broken, gloss))
    if over:
        parts.append(f"it is over with {listed(over, 6)}, cleared again")
    return "; ".join(parts) or "what was one of several is told apart"


def _broken(names: Iterable[str], gloss: Mapping[str, str]) -> str:
    names = list(names)
    alone = [one for one in names if OR not in one]
    parts = []
    if alone:
        verb = "is" if len(alone) == 1 else "are"
        parts.append(f"{listed(glossed(alone, gloss))} {verb} broken")
    parts += [f"one of {_named(one, gloss)} is broken" for one in names if one not in alone][:3]
    return ", ".join(parts)


def _named(name: str, gloss: Mapping[str, str]) -> str:
    return listed(glossed(name.split(OR), gloss), word="or")


def _really_over(turn: Turn) -> dict[str, float]:
    """Without what goes on under another name: nobody may take that for the end."""
    going = {one for name in turn.broken for one in name.split(OR)}
    return {n: at for n, at in turn.over.items() if not going & set(n.split(OR))}


def _within(segment: str, names: Iterable[str]) -> bool:
    return any(segment in name.split(OR) for name in names)


def _fact(name: str, since: float) -> dict[str, object]:
    return {"one_of": name.split(OR), "since": utc(since)}


def _evidence(judged: RunVerdict, turn: Turn) -> list[str]:
    """What broke and who clears, of the worst incidents that have to do with it."""
    if not turn.broken:
        return []
    lines = []
    for one in judged.incidents[:3]:
        lines.append(f"evidence: {one.finding}")
        for how in HOW:
            legs = [leg for leg, by in one.cleared_by.items() if by == how]
            if legs:
                lines.append(f"  {how}: {listed(legs, 12)}")
    return lines
