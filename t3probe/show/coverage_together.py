"""What several vantages can tell apart together, and which one more would help most. Pure.

Each segment is thought broken alone, once `down` and once `cut`, and the legs clear for each other
what the rules of evidence let them (see `t3probe.verdict.incident.evidence` and `vantages`):

- legs that make fresh beats meet what is `down`, and those that hold a connection a `cut`;
- of a leg that failed another one clears what it crosses itself, but no segment that is `spread`;
- up to where the connection of the failed leg ends only a leg to the same host clears a cut; to
  another vantage the same holds of both symptoms, and of the segment behind, too.

A leg's own answers are left out: what they say depends on what broke. So a run may tell more, and
less where two vantages meet another address or colo.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple
from urllib.parse import urlsplit

import msgspec

from t3probe.config import Deployment, Leg, legs_for
from t3probe.config.endpoints import plain_host
from t3probe.probes import ONE_SHOT
from t3probe.show.coverage import Coverage, coverage, draw_legs, way_only, wrapped
from t3probe.text.words import glossed, listed, some
from t3probe.verdict.exact.case import Case
from t3probe.verdict.exact.labels import solve_together

Symptom = Literal["down", "cut"]
SYMPTOMS: tuple[Symptom, ...] = ("down", "cut")
MOST_CANDIDATES = 32
"""So many further vantages are tried: those that run the most legs."""
MOST_ALIKE = 2
"""So many upstreams over the same shared segments are looked at: more tell nothing more."""
ANY_OTHER = "any further place outside"
"""A vantage that no leg names: it runs what runs from everywhere."""

Names = tuple[str, ...]


class _Eye(NamedTuple):
    """A leg from one vantage."""

    name: str
    vantage: str
    leg: Leg
    path: Names
    near: frozenset[str]
    """Up to where its connection ends."""
    host: str
    clears: frozenset[str]

    def meets(self, symptom: Symptom) -> bool:
        one_shot = self.leg.kind in ONE_SHOT
        return not one_shot if symptom == "cut" else one_shot or self.leg.fresh_every > 0

    def cleared_by(self, other: _Eye, symptom: Symptom) -> frozenset[str]:
        """What of its path another leg clears that is well while this one failed."""
        found = other.clears.intersection(self.path)
        here = self.vantage == other.vantage
        if (here and symptom == "down") or (self.host and self.host == other.host):
            return found
        far = self.near
        if not here:
            far = far.union(self.path[len(far) : len(far) + 1])
        return found - far


@dataclass(frozen=True)
class ToldApart:
    """What is told of one symptom."""

    alone: Names
    """Segments that are convicted when they break alone."""
    simplest: Mapping[str, Names]
    """Those that are the one simplest explanation, and not proved; with what is as suspect."""
    confusable: Mapping[str, Names]
    """All others that some leg meets, with what is as suspect."""
    unseen: Names
    """Segments of which no leg meets this symptom."""

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {
            "alone": list(self.alone),
            "simplest": {name: list(one) for name, one in self.simplest.items()},
            "confusable": {name: list(one) for name, one in self.confusable.items()},
            "unseen": list(self.unseen),
        }

    @property
    def score(self) -> Mapping[str, int]:
        """How well each segment is told, from 0, unseen, to 3, alone."""
        ranks = ((self.unseen, 0), (self.confusable, 1), (self.simplest, 2), (self.alone, 3))
        return {name: rank for names, rank in ranks for name in names}


@dataclass(frozen=True)
class Further:
    """One vantage more."""

    vantage: str
    """Its name in the file, or `ANY_OTHER`."""
    helps: Mapping[Symptom, Names]
    """Segments that would be told better with it."""

    def to_dict(self) -> dict[str, Any]:
        """The JSON form; the vantage is null where any place outside would do."""
        name = None if self.vantage == ANY_OTHER else self.vantage
        return {"vantage": name, "helps": {one: list(names) for one, names in self.helps.items()}}


@dataclass(frozen=True)
class CoverageTogether:
    """What the legs of several vantages can tell."""

    coverage: Coverage
    """Of all legs, as `VANTAGE/LEG`."""
    vantages: Names
    told: Mapping[Symptom, ToldApart]
    further: Further | None
    """The vantage more that would help most; None: none would."""

    def to_dict(self) -> dict[str, Any]:
        """The JSON form: that of one vantage, and more."""
        found = self.coverage.to_dict()
        del found["vantage"]
        return {
            **found,
            "vantages": list(self.vantages),
            "told": {symptom: one.to_dict() for symptom, one in self.told.items()},
            "further_vantage": None if self.further is None else self.further.to_dict(),
        }


def named_vantages(deployment: Deployment) -> Names:
    """The vantages that the file names: its own, and those of its legs."""
    names = [deployment.vantage, *(name for leg in deployment.legs for name in leg.vantages)]
    return tuple(dict.fromkeys(name for name in names if name))


def coverage_together(deployment: Deployment, vantages: Sequence[str]) -> CoverageTogether:
    """What these vantages can tell of a deployment when every one of their legs runs."""
    eyes = [eye for name in vantages for eye in _eyes(deployment, name)]
    segments = _segments(deployment, vantages)
    told = _told(segments, eyes)
    local = frozenset(deployment.local)
    legs = [
        msgspec.structs.replace(leg, name=f"{name}/{leg.name}", path=_here(leg.path, name, local))
        for name in vantages
        for leg in legs_for(deployment, name)[0]
    ]
    return CoverageTogether(
        coverage=coverage(_renamed(deployment, vantages, segments), legs, listed(vantages)),
        vantages=tuple(vantages),
        told=told,
        further=_further(deployment, vantages, segments, eyes, told),
    )


def _renamed(deployment: Deployment, vantages: Sequence[str], segments: Names) -> Deployment:
    """The deployment as these vantages have it together; of its legs those that none runs."""
    local = frozenset(deployment.local)
    run = {leg.name for name in vantages for leg in legs_for(deployment, name)[0]}
    ways = (_here(path, name, local) for name in vantages for path in deployment.paths)
    return msgspec.structs.replace(
        deployment,
        segments=segments,
        paths=tuple(dict.fromkeys(ways)),
        legs=tuple(leg for leg in deployment.legs if leg.name not in run),
        gloss={
            _here((one,), name, local)[0]: words
            for name in vantages
            for one, words in deployment.gloss.items()
        },
    )


def _eyes(deployment: Deployment, vantage: str) -> Iterator[_Eye]:
    legs, _ = legs_for(deployment, vantage)
    local, spread = frozenset(deployment.local), frozenset(deployment.spread)
    silent = frozenset(way_only(legs))
    alike = Counter[Names]()
    declared = frozenset(deployment.segments)
    for leg in legs:
        if leg.of_many:
            shares = tuple(name for name in leg.path if name in declared)
            alike[shares] += 1
            if alike[shares] > MOST_ALIKE:
                continue
        path = _here(leg.path, vantage, local)
        end = leg.path.index(leg.tcp_ends_at) + 1 if leg.tcp_ends_at in leg.path else len(path)
        proved = path[:-1] if leg.name in silent else path
        plain = (name for name, known in zip(proved, leg.path, strict=False) if known not in spread)
        yield _Eye(
            f"{vantage}/{leg.name}", vantage, leg, path, frozenset(path[:end]), _host(leg),
            frozenset(plain),
        )  # fmt: skip


def _here(names: Iterable[str], vantage: str, local: frozenset[str]) -> Names:
    return tuple(f"{name}@{vantage}" if name in local else name for name in names)


def _host(leg: Leg) -> str:
    """Where a leg goes: what it is pinned to, its one address, or the host that its URL names.
    Empty where there may be several machines, as of public resolvers."""
    place = (leg.pin or "") or (leg.address or "").rpartition(":")[0].strip("[]")
    return plain_host(place or urlsplit(leg.url or "").hostname or "")


def _segments(deployment: Deployment, vantages: Sequence[str]) -> Names:
    """The declared segments, local ones for each vantage."""
    local = frozenset(deployment.local)
    return tuple(
        name
        for one in deployment.segments
        for name in dict.fromkeys(_here((one,), vantage, local)[0] for vantage in vantages)
    )


def _told(segments: Names, eyes: Sequence[_Eye]) -> dict[Symptom, ToldApart]:
    own = dict.fromkeys(name for eye in eyes for name in eye.path if name not in segments)
    every = (*segments, *own)
    return {one: _of(one, segments, every, eyes) for one in SYMPTOMS}


def _of(symptom: Symptom, segments: Names, every: Names, eyes: Sequence[_Eye]) -> ToldApart:
    alone, unseen = [], []
    simplest: dict[str, Names] = {}
    confusable: dict[str, Names] = {}
    looking = [eye for eye in eyes if eye.meets(symptom)]
    case = Case(
        segments=every,
        legs={eye.name: eye.path for eye in looking},
        passed=tuple(eye.name for eye in looking),
    )
    for segment in segments:
        failed = [eye for eye in looking if segment in eye.path]
        if not failed:
            unseen.append(segment)
            continue
        well = [eye for eye in looking if segment not in eye.path]
        crossed = {name for eye in failed for name in eye.path}
        cleared = {name for eye in well for name in eye.clears if name not in crossed}
        sets: dict[Names, None] = {}
        for eye in failed:
            found = frozenset().union(*(eye.cleared_by(one, symptom) for one in well))
            cleared |= found
            sets[tuple(name for name in eye.path if name not in found)] = None
        verdict = solve_together(case, sets, cleared, (), (), None)
        if segment in verdict.convicted:
            alone.append(segment)
        else:
            target = simplest if verdict.simplest == (segment,) else confusable
            target[segment] = tuple(
                name for name in (*verdict.convicted, *verdict.ambiguous) if name != segment
            )
    return ToldApart(tuple(alone), simplest, confusable, tuple(unseen))


def _further(
    deployment: Deployment,
    vantages: Sequence[str],
    segments: Names,
    eyes: Sequence[_Eye],
    told: Mapping[Symptom, ToldApart],
) -> Further | None:
    """The candidate that lets the most segments be told better, the first of equals."""
    outside = "outside"
    while outside in (*vantages, *named_vantages(deployment)):
        outside += "-"
    found: dict[Names, tuple[str, list[_Eye]]] = {}
    for name in (*named_vantages(deployment), outside):
        if name not in vantages:
            more = list(_eyes(deployment, name))
            found.setdefault(tuple(eye.leg.name for eye in more), (name, more))
    some_of = sorted(found.values(), key=lambda one: -len(one[1]))[:MOST_CANDIDATES]
    best, most = None, 0
    for name, more in some_of:
        helps: dict[Symptom, Names] = {}
        after = _told(segments, [*eyes, *more])
        gain = 0
        for symptom in SYMPTOMS:
            then, now = after[symptom].score, told[symptom].score
            helps[symptom] = tuple(one for one in segments if then[one] > now[one])
            gain += sum(then[one] - now[one] for one in helps[symptom])
        if gain > most:
            best = Further(ANY_OTHER if name == outside else name, helps)
            most = gain
    return best


def draw_together(found: CoverageTogether) -> Iterator[str]:
    """The lines."""
    gloss = found.coverage.gloss
    yield from draw_legs(found.coverage)
    for symptom, told in found.told.items():
        if told.alone:
            yield from wrapped(f"{symptom}, told alone", some(told.alone, 20))
        for words, groups in (
            ("not proved alone, but the simplest explanation", told.simplest),
            ("cannot be told apart", told.confusable),
        ):
            for names, others in _gathered(groups).items():
                each = glossed(some(names, 20), gloss)
                if others:
                    each[-1] += f" (as suspect: {', '.join(some(others, 20))})"
                yield from wrapped(f"{symptom}, {words}", each)
        if told.unseen:
            yield from wrapped(f"{symptom}, seen by no leg", glossed(some(told.unseen, 20), gloss))
    if found.further is None:
        yield "no further vantage would tell more"
        return
    yield from wrapped("the most useful further vantage", [found.further.vantage])
    for symptom, names in found.further.helps.items():
        if names:
            yield from wrapped(f"  tells better ({symptom})", some(names, 20))
    if found.coverage.extra_leg:
        yield from wrapped("the most useful further leg", [" > ".join(found.coverage.extra_leg)])


def _gathered(groups: Mapping[str, Names]) -> dict[Names, Names]:
    """Segments that are as suspect as each other, once; and what else is as suspect as these."""
    found: dict[frozenset[str], list[str]] = {}
    for name, others in groups.items():
        found.setdefault(frozenset((name, *others)), []).append(name)
    return {
        tuple(names): tuple(one for one in groups[names[0]] if one not in names)
        for names in found.values()
    }
