"""Which legs cross which segments, what they cannot tell apart, and the one leg more that would.

Pure: a deployment in, facts or lines for a terminal of 80 columns out. ASCII, no colour.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from t3probe.config import Deployment, Leg
from t3probe.probes import ONE_SHOT
from t3probe.text import distinct
from t3probe.text.words import count, glossed, some
from t3probe.verdict.exact.case import Case
from t3probe.verdict.exact.labels import solve

CUTS_ONLY = "cannot see that new connections are refused, and clear only cuts (fresh_every = 0)"
WAY_ONLY = "never clear their last segment (a ws leg that sends nothing)"
WIDTH = 80
NAME = 15
COLUMN = 2
PER_BLOCK = 24
"""Segments side by side; more are folded into a block below."""
OWN_SHOWN = 8
"""Segments of single upstreams that have columns; with more, these legs are counted."""


@dataclass(frozen=True)
class Coverage:
    """What the legs of a vantage can tell."""

    deployment: str
    vantage: str
    segments: tuple[str, ...]
    own_segments: tuple[str, ...]
    legs: dict[str, tuple[str, ...]]
    left_out: tuple[str, ...]
    """Legs that cannot be run from the vantage."""
    cuts_only: tuple[str, ...]
    """Legs that make no fresh beats (`fresh_every = 0`)."""
    way_only: tuple[str, ...]
    """Legs whose answers never show that their last segment does its work."""
    uncovered: tuple[str, ...]
    """Segments that no leg crosses: nothing is ever known about them."""
    inseparable: tuple[tuple[str, ...], ...]
    """Groups of segments on exactly the same legs: when one fails, which one cannot be told."""
    extra_leg: tuple[str, ...] | None
    """The shortest part of a path whose leg would split the most of these pairs."""
    gloss: Mapping[str, str]
    """What the file adds to the names of segments."""

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {
            "deployment": self.deployment,
            "vantage": self.vantage,
            "segments": list(self.segments),
            "own_segments": list(self.own_segments),
            "legs": {name: list(path) for name, path in self.legs.items()},
            "left_out": list(self.left_out),
            "cuts_only": list(self.cuts_only),
            "way_only": list(self.way_only),
            "uncovered": list(self.uncovered),
            "inseparable": [list(one) for one in self.inseparable],
            "extra_leg": None if self.extra_leg is None else list(self.extra_leg),
        }


def coverage(deployment: Deployment, legs: Sequence[Leg], vantage: str = "") -> Coverage:
    """What these legs of a deployment can tell when every one of them runs."""
    paths = {leg.name: leg.path for leg in legs}
    own = tuple(dict.fromkeys(deployment.own_segments))
    segments = tuple(dict.fromkeys((*deployment.segments, *own)))
    crossed = {name for path in paths.values() for name in path}
    verdict = solve(
        Case(segments=segments, legs=paths, paths=deployment.paths, passed=tuple(paths))
    )
    return Coverage(
        deployment=deployment.name,
        vantage=vantage,
        segments=deployment.segments,
        own_segments=own,
        legs=paths,
        left_out=tuple(leg.name for leg in deployment.legs if leg.name not in paths),
        cuts_only=cuts_only(legs),
        way_only=way_only(legs),
        uncovered=verdict.unobserved,
        inseparable=tuple(
            group for group in verdict.structural_classes if any(one in crossed for one in group)
        ),
        extra_leg=verdict.extra_leg,
        gloss=deployment.gloss,
    )


def cuts_only(legs: Iterable[Leg]) -> tuple[str, ...]:
    """The legs that hold a connection and make no fresh beats beside it."""
    return tuple(leg.name for leg in legs if not leg.fresh_every and leg.kind not in ONE_SHOT)


def way_only(legs: Iterable[Leg]) -> tuple[str, ...]:
    """The legs whose answers never show that their last segment does its work."""
    return tuple(
        leg.name
        for leg in legs
        if leg.kind == "ws_upgrade" or (leg.kind == "ws" and leg.send is None)
    )


def untold(found: Coverage) -> list[str]:
    """A sentence for each group of segments that these legs cannot tell apart."""
    groups = (", ".join(glossed(one, found.gloss)) for one in found.inseparable)
    return [f"if one of {names} breaks, these legs cannot tell which" for names in groups]


def draw(found: Coverage) -> Iterator[str]:
    """The lines."""
    yield from draw_legs(found)
    if found.uncovered:
        yield from wrapped("crossed by no leg", glossed(some(found.uncovered, 20), found.gloss))
    for group in found.inseparable:
        yield from wrapped("cannot be told apart", glossed(some(group, 20), found.gloss))
    if not found.inseparable and not found.uncovered:
        yield "every segment can be told from every other one"
    if found.extra_leg:
        yield from wrapped("the most useful further leg", [" > ".join(found.extra_leg)])
    elif found.inseparable or found.uncovered:
        yield "no further leg over the deployment's paths would tell more"


def draw_legs(found: Coverage) -> Iterator[str]:
    """The first of them: which legs cross what, and what single legs cannot do."""
    place = f" from {found.vantage}" if found.vantage else ""
    legs = count(len(found.legs), "leg")
    yield from wrapped(f"{found.deployment}{place}: {legs}", [])
    own = set(found.own_segments)
    fold = len(own) > OWN_SHOWN
    columns = [*found.segments, *(() if fold else found.own_segments)]
    shown, folded = _folded(found.legs, own if fold else set())
    for start in range(0, len(columns), PER_BLOCK):
        yield ""
        yield from _block(columns[start : start + PER_BLOCK], shown, whole=start == 0)
    if folded:
        yield ""
        for shares, number in folded.items():
            over = f", and {', '.join(shares)}" if shares else ""
            yield from wrapped(f"{number:,} legs", [f"each over a segment of its own{over}"], ": ")
    yield ""
    if found.left_out:
        yield from wrapped("cannot be run from here", some(found.left_out, 20))
    if found.cuts_only:
        yield from wrapped(CUTS_ONLY, some(found.cuts_only, 20))
    if found.way_only:
        yield from wrapped(WAY_ONLY, some(found.way_only, 20))


def _folded(
    legs: dict[str, tuple[str, ...]], own: set[str]
) -> tuple[dict[str, tuple[str, ...]], dict[tuple[str, ...], int]]:
    """Legs that have a row, and how many others there are over which shared segments."""
    shown: dict[str, tuple[str, ...]] = {}
    folded: dict[tuple[str, ...], int] = {}
    for name, path in legs.items():
        if own.intersection(path):
            shares = tuple(one for one in path if one not in own)
            folded[shares] = folded.get(shares, 0) + 1
        else:
            shown[name] = path
    return shown, folded


def _block(
    columns: Sequence[str], legs: dict[str, tuple[str, ...]], *, whole: bool
) -> Iterator[str]:
    """A staircase of names, then a row per leg. Legs that cross none of these segments stand in
    the first block only."""
    for at, name in enumerate(columns):
        room = WIDTH - NAME - 1 - COLUMN * at
        yield " " * (NAME + 1) + "| " * at + distinct(columns, room)[name]
    yield " " * (NAME + 1) + ("| " * len(columns)).rstrip()
    names = distinct(legs, NAME)
    for name, path in legs.items():
        crossed = set(path)
        if not whole and not crossed.intersection(columns):
            continue
        marks = "".join("# " if one in crossed else ". " for one in columns)
        yield f"{names[name]:<{NAME}} {marks}".rstrip()


def wrapped(head: str, words: Iterable[str], after: str = ": ") -> Iterator[str]:
    """`head: word, word, …`, folded at WIDTH columns."""
    words = list(words)
    line = head + (after if words else "")
    fresh = True
    for at, word in enumerate(words):
        piece = word + (", " if at + 1 < len(words) else "")
        if not fresh and len(line) + len(piece.rstrip()) > WIDTH:
            yield line.rstrip()
            line = "  "
        line += piece
        fresh = False
    while len(line) > WIDTH:
        cut = line.rfind(" ", 3, WIDTH)
        cut = cut if cut > 3 else WIDTH
        yield line[:cut].rstrip()
        line = "  " + line[cut:].lstrip()
    yield line.rstrip()
