"""What the logs said: first for people, and the whole as JSON."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from t3probe.ask.forensics.beside import Beside, RunsNearby, as_json
from t3probe.ask.forensics.bursts import RULE, Burst
from t3probe.ask.forensics.kinds import KINDS, LAST_MILE, SegmentMap, Side
from t3probe.ask.forensics.read import FileReport
from t3probe.ask.forensics.stream import LONGEST_LINE
from t3probe.ask.forensics.tally import EXAMPLE_CHARACTERS, Distribution, Tally
from t3probe.observation import of_old, parts_said
from t3probe.text import showable
from t3probe.text.words import count, glossed, listed, size, some, span, utc

WIDTH = 80
SHOWN_BURSTS = 12
LISTED_BURSTS = 500
SHOWN_SHAPES = 3
SHOWN_INCIDENTS = 3


class Findings(NamedTuple):
    """Everything that a reading of logs found."""

    tally: Tally
    files: tuple[FileReport, ...]
    bursts: Sequence[Burst]
    beside: Mapping[tuple[int, int], Beside]
    """By first and last second; empty without runs."""
    runs: RunsNearby | None
    unread_runs: tuple[str, ...]
    places: SegmentMap
    zone: ZoneInfo | None
    asked: str
    """The time that was asked for, and how it was read; empty: all of it."""
    around: tuple[float, float] | None = None
    """The moment asked about, as its first and last Unix seconds."""
    gloss: Mapping[str, str] = {}
    """What the deployment file and the runs add to the names of segments."""
    windowed: bool = False
    """Whether only some time was asked for."""

    @property
    def of_runs(self) -> list[str]:
        """What has to be said of the runs as a whole."""
        parts = [] if self.runs is None else self.runs.parts
        said = parts_said(parts)
        old = of_old(*(one.version for one in parts))
        return [*([f"runs of {said}"] if said else []), *([old] if old else [])]


def _when(seconds: float, zone: ZoneInfo | None) -> str:
    moment = datetime.fromtimestamp(seconds, UTC)
    local = moment.astimezone(zone)
    return local.strftime("%Y-%m-%d %H:%M:%S %z")


def reading(found: Findings) -> list[str]:
    """How times were read, where something had to be assumed."""
    zone = found.zone.key if found.zone is not None else "this machine's zone"
    out = []
    if any(one.no_zone for one in found.files):
        out.append(f"times without a zone were read in {zone}")
    if any(one.no_year for one in found.files):
        out.append("times without a year were read in the newest year that is not in the future")
    if any(one.twice for one in found.files):
        out.append("an hour that the clocks show twice was read by the order of the lines")
    return out


def faults(tally: Tally) -> int:
    """How many lines tell of a fault; a WebSocket that ended is none by itself."""
    return sum(
        number
        for kind, number in zip(KINDS, tally.counts, strict=True)
        if kind.sides and kind.name != "traefik_websocket_ended"
    )


def headline(found: Findings) -> str:
    """What was read, and what could not be, in one sentence."""
    tally = found.tally
    out = (
        f"{count(tally.lines, 'line')} of {count(len(found.files), 'source')}: "
        f"{tally.known:,} known, of them {faults(tally):,} tell of a fault; "
        f"{tally.unknown:,} unknown"
    )
    if tally.unread:
        out += f", {tally.unread:,} of which could not be read"
    if tally.timeless:
        out += f"; {tally.timeless:,} without a time that could be read"
    return out


def cannot_tell(found: Findings) -> str:
    """Why the logs cannot tell what died, in one sentence; empty: they can."""
    tally = found.tally
    nothing = [one.name for one in found.files if one.damaged and not one.lines]
    if nothing:
        return f"{listed(nothing)} could not be read"
    if not tally.cannot_tell:
        return ""
    asked = tally.lines - tally.outside - tally.aside
    if not asked:
        return "no line lies in the time that was asked for"
    return (
        f"of {count(asked, 'line')}{' that may lie in that time' if found.asked else ''}, "
        f"{tally.unread:,} could not be read and {tally.timeless:,} have no time"
    )


def remarks(found: Findings) -> list[str]:
    """What was left out, could not be decoded, or is not in such lines, in sentences."""
    out = []
    for one in found.files:
        if one.damaged:
            out.append(f"{one.name} is damaged: {one.damaged}")
        if one.encoding:
            lost = f"; {count(one.replaced, 'character')} could not be" if one.replaced else ""
            out.append(f"{one.name} was decoded from {one.encoding.upper()}{lost}")
        if one.holes:
            out.append(f"{one.name}: {count(one.holes, 'byte')} of zeros were left out")
        if one.cut:
            out.append(
                f"{one.name}: of {count(one.cut, 'line')} only the first {size(LONGEST_LINE)} "
                "were looked at"
            )
        if one.strange_zone:
            out.append(
                f"{one.name}: times in the zone {showable(one.strange_zone)} could not "
                "be read: name it with --timezone"
            )
    ranked = sorted(found.tally.remarks.items(), key=lambda one: (-one[1], one[0]))
    return out + [f"{count(number, 'line')}: {sentence}" for sentence, number in ranked]


def cause(burst: Burst, gloss: Mapping[str, str]) -> str:
    """Who broke, in one sentence."""
    if not burst.suspects:
        if not burst.unplaced:
            return "which segment broke is unknown: no segment is known on that side"
        first = burst.unplaced[0]
        return (
            f"which segment broke is unknown: say where {listed(burst.unplaced)} stands, with "
            f"--map {first}=SEGMENT"
        )
    suspects = glossed(burst.suspects, gloss)
    who = listed(suspects, word="or")
    if not burst.one_cause:
        return f"no single segment explains all of it: {listed(suspects)} are suspect"
    if len(burst.suspects) == 1:
        return f"{who} broke ({burst.sure})"
    return f"one shared segment broke: {who} ({burst.sure})"


def beside_text(suspects: Sequence[str], beside: Beside, gloss: Mapping[str, str]) -> list[str]:
    """What the runs say of a moment and its suspects, in sentences."""
    if not beside.observing and not beside.incidents:
        return ["no run was observing then: nothing is cleared"]
    out = []
    words = {"same": "the probe at the same time", "before": "before it", "after": "after it"}
    for one in beside.incidents[:SHOWN_INCIDENTS]:
        agreed = glossed((name for name in one.convicted if name in suspects), gloss)
        more = f"; both point at {listed(agreed)}" if agreed else ""
        out.append(f"{words[one.relation]}: {one.finding}{more}")
    if len(beside.incidents) > SHOWN_INCIDENTS:
        out.append(f"and {len(beside.incidents) - SHOWN_INCIDENTS} more incidents")
    if not any(one.relation == "same" for one in beside.incidents):
        if not beside.observing:
            out.append("no run was observing then: nothing is cleared")
        elif beside.held:
            out.append(
                f"a run was observing and nothing dropped: {listed(beside.held)} held through it"
            )
        else:
            out.append("a run was observing, but no leg held one connection right through it")
    if beside.cleared:
        left = glossed((one for one in suspects if one not in beside.cleared), gloss)
        gone = [one for one in suspects if one in beside.cleared]
        if gone and left:
            out.append(f"so {listed(gone)} carried the probe; left: {listed(left, word='or')}")
        elif gone:
            out.append("so every suspect carried the probe's own connections all through it")
    return out


def to_lines(found: Findings) -> Iterator[str]:
    """The short text, at most 80 columns."""
    tally = found.tally
    yield from _wrap(headline(found))
    if tally.began is not None:
        yield f"from {_when(tally.began, found.zone)} to {_when(tally.ended, found.zone)}"
    notes = [found.asked] if found.asked else []
    notes += reading(found)
    notes += remarks(found)
    if tally.outside:
        notes.append(f"{count(tally.outside, 'line')} outside the time asked for")
    if tally.untimed:
        where = "not in the time asked for, and " if found.windowed else "counted, "
        notes.append(f"{count(tally.untimed, 'fault')} without a time: {where}in no burst")
    if tally.forgotten >= 0:
        notes.append(
            f"so many faults that bursts were sought only after "
            f"{_when(tally.forgotten, found.zone)}: narrow it with --since and --until"
        )
    notes += found.of_runs
    notes += [f"run not read: {one}" for one in some(found.unread_runs, 4)]
    for note in notes:
        yield from _wrap(f"({note})")
    yield ""
    yield from _bursts(found)
    yield from _kinds(found)
    yield from _access(tally)
    yield from _unknown(tally)


def _bursts(found: Findings) -> Iterator[str]:
    bursts = found.bursts
    why = cannot_tell(found)
    if why:
        yield from _wrap(f"CANNOT TELL{' WHAT ELSE DIED' if bursts else ''}: {why}")
    if not bursts:
        if not why and not found.tally.lines:
            yield "NOTHING TO READ"
        elif not why:
            yield "NOTHING DIED IN BURSTS"
        yield from _wrap(f"(a burst: {RULE})", "  ")
        if found.around is not None and found.runs is not None:
            beside = found.beside.get((int(found.around[0]), int(found.around[1])))
            if beside is not None:
                for sentence in beside_text((), beside, found.gloss):
                    yield from _wrap(sentence, "  runs: ")
        return
    shown = sorted(bursts, key=lambda one: (-one.deaths, one.began))[:SHOWN_BURSTS]
    yield f"{count(len(bursts), 'BURST')}" + (
        f", the {SHOWN_BURSTS} largest" if len(bursts) > SHOWN_BURSTS else ""
    )
    for burst in sorted(shown, key=lambda one: one.began):
        yield f"  {_when(burst.began, found.zone)}, {span(int(burst.ended - burst.began) + 1)}"
        yield from _wrap(cause(burst, found.gloss), "    => ")
        for part in burst.parts:
            kinds = [kind for kind in KINDS if kind.name in part.kinds]
            what = "; ".join(dict.fromkeys(kind.meaning for kind in kinds))
            also = "" if part.bursting else "also, no more than usual: "
            yield from _wrap(f"{also}{part.source}, {part.deaths:,}: {what}", "    ")
            if not found.places.placed(part.source):
                sides = dict.fromkeys(side for kind in kinds for side in kind.sides)
                yield from _wrap(_sides(part.source, tuple(sides)), "      ")
        if burst.perhaps_one_person:
            yield from _wrap("or a last mile, if all of these were one person's", "    ")
        beside = found.beside.get((burst.began, burst.ended))
        if beside is not None:
            for sentence in beside_text(burst.suspects, beside, found.gloss):
                yield from _wrap(sentence, "    runs: ")
    yield from _wrap(f"(a burst: {RULE})", "  ")


def _kinds(found: Findings) -> Iterator[str]:
    tally = found.tally
    told = [
        (number, kind, at)
        for at, (kind, number) in enumerate(zip(KINDS, tally.counts, strict=True))
        if number and kind.sides
    ]
    if not told:
        return
    yield ""
    yield "WHAT THE LINES SAY"
    for number, kind, at in sorted(told, key=lambda one: (-one[0], one[1].name)):
        where = "/".join(glossed(found.places.segments(kind.source, kind.sides), found.gloss))
        if not found.places.placed(kind.source):
            where = _sides(kind.source, kind.sides)
        if set(kind.sides) == {"before", "self", "after"}:
            where = "anywhere"
        first = tally.first[at]
        when = f", first {_when(first[0], found.zone)[5:19]}" if first else ""
        yield from _wrap(f"{number:>7,}  {kind.source}: {kind.meaning}{when}", "", 9)
        yield from _wrap(f"points at {where} ({kind.sure})", " " * 9)
    if any("before" in kind.sides for _, kind, _ in told):
        yield f"  ({LAST_MILE}: the person's own way to the CDN)"


def _sides(source: str, sides: Sequence[Side]) -> str:
    """Where it broke, as seen from a source whose place is not given."""
    words = {"before": f"before {source}", "after": f"behind {source}"}
    return "/".join(dict.fromkeys(words.get(side, source) for side in sides))


def _access(tally: Tally) -> Iterator[str]:
    for name, one, parts in (
        ("ended WebSocket", tally.lived, "lived"),
        ("answered request", tally.took, "took"),
    ):
        if one.count:
            yield ""
            yield from _wrap(
                f"{count(one.count, name)}: {parts} {span(one.least)} to {span(one.most)}, "
                f"half of them at most {span(one.quantile(0.5))}, "
                f"95 of 100 at most {span(one.quantile(0.95))}"
            )


def _unknown(tally: Tally) -> Iterator[str]:
    if tally.unknown:
        yield ""
        yield f"{count(tally.unknown, 'unknown line')}, mostly like these:"
        for shape, _ in shapes(tally)[:SHOWN_SHAPES]:
            yield f"  {shape[: WIDTH - 2]}"


def shapes(tally: Tally) -> list[tuple[str, int]]:
    """Kinds of unknown lines, the commonest of the samples first."""
    ranked = sorted(tally.shapes.items(), key=lambda one: (-one[1], one[0]))
    return [(showable(shape) or "(empty)", number) for shape, number in ranked[:20]]


def _wrap(text: str, prefix: str = "", hang: int = 2) -> list[str]:
    return textwrap.wrap(
        text, WIDTH, initial_indent=prefix, subsequent_indent=" " * (len(prefix) or hang),
        break_on_hyphens=False,
    )  # fmt: skip


def _histogram(one: Distribution) -> dict[str, Any]:
    if not one.count:
        return {"count": 0}
    return {
        "count": one.count,
        "shortest_seconds": one.least,
        "longest_seconds": one.most,
        "buckets": {
            str(bound): number
            for bound, number in zip((*one.bounds, "+Inf"), one.counts, strict=True)
        },
    }  # fmt: skip


def to_dict(found: Findings) -> dict[str, Any]:
    """The whole, as plain data."""
    tally, places = found.tally, found.places
    largest = sorted(found.bursts, key=lambda one: (-one.deaths, one.began))[:LISTED_BURSTS]
    span = None
    if tally.began is not None:
        span = {"began": utc(tally.began), "ended": utc(tally.ended)}
    runs = None
    if found.runs is not None:
        runs = {
            "count": found.runs.count,
            "left_out": found.runs.left_out,
            "parts": parts_said(found.runs.parts),
            "began": None if found.runs.began is None else utc(found.runs.began),
            "ended": None if found.runs.began is None else utc(found.runs.ended),
            "unread": list(found.unread_runs),
            "of_0_1": of_old(*(one.version for one in found.runs.parts)),
        }
    around = None
    if found.around is not None:
        beside = found.beside.get((int(found.around[0]), int(found.around[1])))
        around = {
            "began": utc(found.around[0]),
            "ended": utc(found.around[1]),
            "runs": None if beside is None else as_json(beside),
        }
    return {
        "lines": tally.lines,
        "known": tally.known,
        "unknown": tally.unknown,
        "faults": faults(tally),
        "outside": tally.outside,
        "untimed": tally.untimed,
        "without_time": tally.timeless,
        "unread": tally.unread,
        "folded": tally.folded,
        "cannot_tell": cannot_tell(found),
        "remarks": remarks(found),
        "span": span,
        "asked": found.asked,
        "around": around,
        "reading": reading(found),
        "files": [one._asdict() for one in found.files],
        "rule": RULE,
        "bursts": [_burst(one, found) for one in sorted(largest, key=lambda one: one.began)],
        "bursts_truncated": len(found.bursts) > len(largest),
        "bursts_since": None if tally.forgotten < 0 else utc(tally.forgotten + 1),
        "kinds": [
            {
                "kind": kind.name,
                "source": kind.source,
                "sides": list(kind.sides),
                "segments": list(places.segments(kind.source, kind.sides)),
                "sure": kind.sure,
                "meaning": kind.meaning,
                "count": tally.counts[at],
                "first": utc(first[0]) if (first := tally.first[at]) else None,
                "last": utc(tally.last[at]) if first else None,
                "example": showable(first[1], EXAMPLE_CHARACTERS) if first else None,
            }
            for at, kind in enumerate(KINDS)
            if tally.counts[at]
        ],
        "websockets": _histogram(tally.lived),
        "requests": _histogram(tally.took),
        "unknown_kinds": [{"like": like, "sampled": number} for like, number in shapes(tally)],
        "runs": runs,
    }


def _burst(burst: Burst, found: Findings) -> dict[str, Any]:
    beside = found.beside.get((burst.began, burst.ended))
    return {
        "began": utc(burst.began),
        "ended": utc(burst.ended),
        "began_unix": burst.began,
        "deaths": burst.deaths,
        "sources": list(burst.sources),
        "suspects": list(burst.suspects),
        "one_cause": burst.one_cause,
        "unplaced": list(burst.unplaced),
        "perhaps_one_person": burst.perhaps_one_person,
        "sure": burst.sure,
        "text": cause(burst, found.gloss),
        "parts": [
            {**part._asdict(), "segments": list(part.segments)} for part in burst.parts
        ],
        "runs": None if beside is None else as_json(beside),
        "runs_text": [] if beside is None else beside_text(burst.suspects, beside, found.gloss),
    }  # fmt: skip
