"""Several vantages in one verdict: runs that looked at one deployment from different places. Pure.

Segments that the file calls `local` are one for each vantage (`wan@home`), all others are shared;
legs are called `VANTAGE/LEG`. Each vantage judges its own drops first, by the rules of
`t3probe.verdict.incident`. Of what is left suspect then another vantage clears the shared segments
that it found well at the same time:

- of a `cut`, by a connection that it held through, as one leg does for another;
- of `down` and `refusing`, by good fresh beats while the outage went on: after the first failed
  attempt, and before the start of a later one that failed, too. No common beat joins two runs, and
  what comes and goes may be met by one and missed by the other: one good beat is not enough. A
  refusal is none: a firewall of that place may have made it.

Clocks of two machines differ. When the runs began is told by the servers that both asked
(`t3probe.verdict.clocks`); where none told, two runs are compared only when the caller vouches for
their clocks (`Together.taken`), and none was stepped. What that leaves open is kept on both sides,
and a leg that dropped in its own run clears nothing elsewhere: it may be the same event. Up to
where the connection ends there may be one machine for each place (anycast, several addresses), and
each may have its own way on: there, and for the segment right behind, only the same address in the
same colo counts.

Where another vantage found well all that is left of a drop, or met the same segment at another
address or colo, nobody is wrong: it is broken from here, and not from there (`Contrast`). So what
is left of one drop may explain the others of its incident, too, and is cleared of none of them.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from typing import Any, NamedTuple

import msgspec

from t3probe.config.shard import check_vantage
from t3probe.observation import Attempt, Drop, Observation, RunRecord, of_old
from t3probe.text.words import glossed, listed, offset, utc
from t3probe.verdict.clocks import Apart, apart
from t3probe.verdict.contrasts import Accused, Contrast, Met, contrasts, narrow
from t3probe.verdict.exact.case import Case
from t3probe.verdict.exact.labels import Verdict, solve_together
from t3probe.verdict.incident.drops import TOGETHER_SECONDS, JudgedDrop, host_of
from t3probe.verdict.incident.evidence import Evidence
from t3probe.verdict.incident.run import Incident, RunVerdict, judge_run
from t3probe.verdict.opinions import opinion_dict

STEP_SECONDS = 1.0
"""A clock that was set by more during a run is not vouched for."""
LEAST_GOOD = 3
"""So many good fresh beats of one leg clear what was down elsewhere meanwhile. With one, six in 400
segments that came and went convicted an innocent one, with two one in 1,500, with three none."""
GOOD_APART_SECONDS = 1.0
"""And so far the first and the last of them must lie apart."""

Names = tuple[str, ...]


class Uncompared(NamedTuple):
    """Drops of a vantage that another one could not be compared with, and why."""

    vantage: str
    other: str
    legs: Names
    why: str

    @property
    def text(self) -> str:
        """One sentence."""
        legs = listed(f"{self.vantage}/{one}" for one in self.legs)
        return f"{legs} could not be compared with {self.other}: {self.why}"


class Vantage:
    """One run among several, under the names that the whole knows."""

    def __init__(self, record: RunRecord, observations: Sequence[Observation]) -> None:
        self.name = record.vantage
        self.started_at = record.started_at
        self.ended_at = record.started_at + record.duration_seconds
        self.stepped = abs(record.clock_step_seconds) > STEP_SECONDS
        self.local = local = frozenset(record.local)
        self.record = _run_at(record, local)
        self.judged: RunVerdict = judge_run(
            self.record, [_seen_at(one, record.vantage, local) for one in observations]
        )
        self.seen = self.judged.seen
        """Of each leg, by its name in this run."""

    @cached_property
    def sound(self) -> list[Incident]:
        """Those that do not contradict themselves."""
        return [one for one in self.judged.incidents if not one.contradicts]

    @cached_property
    def unsound(self) -> list[Incident]:
        return [one for one in self.judged.incidents if one.contradicts]

    @property
    def failed(self) -> Names:
        """The legs that took part and did not pass."""
        return tuple(leg for leg in self.judged.took_part if leg not in self.judged.passed)

    @cached_property
    def dropped(self) -> frozenset[str]:
        """The legs that dropped in this run, blips and our own stalls counted."""
        return frozenset(name for name, one in self.seen.items() if one.drops)

    @cached_property
    def evidence(self) -> Evidence:
        """What this vantage can say to others: by the legs that took part and never dropped."""
        legs = [(one, self.seen[one]) for one in self.judged.passed if one not in self.dropped]
        return Evidence(legs, self.record.spread)

    def met(self, leg: str, drop: Drop | None = None) -> Met:
        """Where this leg went; with a drop, what the drop says comes first."""
        seen = self.seen[leg]
        address, colo = seen.address, seen.colo
        if drop is not None:
            address, colo = drop.remote_address or address, drop.colo or colo
        return Met(self.name, leg, address, colo)

    def dialled(self, leg: str, drop: Drop | None = None) -> frozenset[str]:
        """The hosts that this leg's fresh beats dial, all at once."""
        seen = self.seen[leg]
        found = [seen.address, *(one.address for one in seen.addresses if not one.skipped)]
        found += [one.remote_address for one in (drop, drop and drop.attempt) if one]
        return frozenset(host_of(one) for one in found if one)

    def held(self, leg: str) -> frozenset[str]:
        """The hosts to which it held its connections."""
        found = (host_of(one.remote_address) for one in self.seen[leg].connections)
        return frozenset(one for one in found if one)

    @cached_property
    def colos(self) -> dict[str, set[str]]:
        """The colos that answered at each host, by all legs that went there."""
        found: dict[str, set[str]] = {}
        for seen in self.seen.values():
            where = [(seen.address, seen.colo)]
            where += [(one.remote_address, one.colo) for one in seen.drops]
            for address, colo in where:
                if address and colo:
                    found.setdefault(host_of(address), set()).add(colo)
        return found

    def anycast(self, leg: str) -> bool:
        """Public resolvers are as many machines as there are places; no colo says which."""
        return self.seen[leg].kind == "doh" and not self.seen[leg].colo

    def good_beats(self, leg: str, after: float, before: float, longest: float) -> bool:
        """Whether enough good fresh beats of a leg began in an interval, and were answered soon."""
        sent = [
            one.sent
            for one in self.seen[leg].beats
            if one.strand == "fresh" and one.ok and not one.refused
            and after < one.sent < before and one.ended - one.sent <= longest
        ]  # fmt: skip
        return len(sent) >= LEAST_GOOD and max(sent) - min(sent) >= GOOD_APART_SECONDS


class Together:
    """The verdict of several vantages."""

    def __init__(
        self,
        vantages: Sequence[Vantage],
        clocks_seconds: float | None = None,
        left_out: Sequence[str] = (),
    ) -> None:
        self.vantages = tuple(vantages)
        self.left_out = tuple(left_out)
        """Sentences about vantages that are not among these."""
        self._vouched = clocks_seconds
        self._apart: dict[tuple[str, str], Apart | None] = {}
        self.taken: dict[tuple[str, str], None] = {}
        """Pairs of vantages whose clocks were taken to agree: no server told both."""
        self.segments: Names = tuple(dict.fromkeys(_in_order(self.vantages)))
        self._untold: dict[tuple[str, str, str], dict[str, None]] = {}
        self.cleared_by: dict[str, dict[str, None]] = {}
        """Legs, as `VANTAGE/LEG`, with the segments that they clear for other vantages."""
        self.sets: dict[Names, None] = {}
        """What is left suspect of each drop."""
        self._accused: list[Accused] = []
        for here in self.vantages:
            incidents = []
            for incident in here.sound:
                pairs = zip(incident.faults, incident.suspect_sets, strict=True)
                incidents.append([self._accusing(here, *one) for one in pairs])
            narrow(incidents)
            self._accused += (one for some in incidents for one in some)
            self.sets |= dict.fromkeys(one.left for some in incidents for one in some)
            self.sets |= dict.fromkeys(some for one in here.sound for some in one.later_sets)
        for one in self._accused:
            for segment, legs in one.cleared.items():
                if segment not in one.left:
                    for leg in legs:
                        self.cleared_by.setdefault(leg, {})[segment] = None
        self.verdict: Verdict = self._verdict()

    def _accusing(self, here: Vantage, fault: JudgedDrop, suspects: Names) -> Accused:
        """A drop with its suspects, and what other vantages found of them."""
        out = Accused(here.met(fault.leg, fault.drop), suspects)
        for there in self.vantages:
            if there is here:
                continue
            began = self.apart(here, there)
            found = list(_found_well(here, fault, suspects, there, began))
            for segment, leg, clears in found:
                out.elsewhere.setdefault(segment, {})[there.met(leg)] = None
                if clears:
                    out.cleared.setdefault(segment, []).append(f"{there.name}/{leg}")
            why = "" if found else _why_not(here, fault, suspects, there, began)
            if why:
                untold = self._untold.setdefault((here.name, there.name, why), {})
                untold[fault.leg] = None
        return out

    def apart(self, here: Vantage, there: Vantage) -> Apart | None:
        """How much later one run began than the other; None: nobody knows."""
        pair = here.name, there.name
        if pair not in self._apart:
            found = apart(here.seen, there.seen, here.local)
            if found is None and self._vouched is not None and not (here.stepped or there.stepped):
                found = Apart(here.started_at - there.started_at, self._vouched)
                first, second = sorted(pair)
                self.taken[first, second] = None
            self._apart[pair] = found
        return self._apart[pair]

    @property
    def clocks(self) -> dict[str, float]:
        """How far each vantage's clock is ahead of the first one's, in seconds, where that is known
        and they do not agree."""
        first, out = self.vantages[0], {}
        for one in self.vantages[1:]:
            began = self.apart(one, first)
            ahead = 0.0 if began is None else began.ahead(one.started_at, first.started_at)
            if ahead:
                out[one.name] = round(ahead, 3)
        return out

    def _verdict(self) -> Verdict:
        legs = {f"{at.name}/{leg}": path for at in self.vantages
                for leg, path in at.judged.legs.items()}  # fmt: skip
        ran = tuple(f"{at.name}/{leg}" for at in self.vantages for leg in at.judged.took_part)
        cleared = {name for at in self.vantages for name in at.judged.cleared}
        cleared.update(name for names in self.cleared_by.values() for name in names)
        rest = [(at, one) for at in self.vantages for one in at.unsound]
        paths = dict.fromkeys(path for at in self.vantages for path in at.record.paths)
        verdict = solve_together(
            Case(segments=self.segments, legs=legs, paths=tuple(paths), passed=ran),
            sets=self.sets,
            cleared=cleared,
            doubtful={name for _, one in rest for names in one.suspect_sets for name in names},
            contradictions=tuple(
                dict.fromkeys(f"{at.name}/{leg}" for at, one in rest for leg in one.failed)
            ),
            repairs=rest[0][1].repairs if rest and not self.sets else None,
        )
        declared = {name for at in self.vantages for name in at.record.segments}
        if verdict.status == "clean" and declared.intersection(verdict.unobserved):
            verdict = msgspec.structs.replace(verdict, status="incomplete")
        return verdict

    @cached_property
    def contrasts(self) -> tuple[Contrast, ...]:
        """Broken from here and not from there."""
        return contrasts(self._accused, self.verdict, self.segments)

    @property
    def uncompared(self) -> tuple[Uncompared, ...]:
        """The comparisons that could not be made."""
        return tuple(
            Uncompared(here, there, tuple(legs), why)
            for (here, there, why), legs in self._untold.items()
        )

    @property
    def old(self) -> str:
        """What has to be said about records of 0.1; empty where none is one."""
        return of_old(*(one.record.version for one in self.vantages))

    @property
    def gloss(self) -> dict[str, str]:
        """What the files add to the names of segments."""
        return {name: words for at in self.vantages for name, words in at.record.gloss.items()}

    @property
    def text(self) -> str:
        """What broke, in a sentence."""
        verdict, gloss = self.verdict, self.gloss
        names = listed(one.name for one in self.vantages)
        if verdict.status == "inconsistent":
            return f"From {names}: the outcomes contradict each other, so nobody is convicted."
        where = {one.segment: one for one in self.contrasts}

        def said(some: Iterable[str]) -> list[str]:
            """In brief; addresses and colos stand beside it, in `contrasts`."""
            words = {name: (where[name].brief, gloss.get(name, "")) if name in where
                     else (gloss.get(name, ""),) for name in some}  # fmt: skip
            return glossed(words, {name: told for name, one in words.items()
                                   if (told := "; ".join(filter(None, one)))})  # fmt: skip

        parts = []
        if verdict.convicted:
            who, verb = listed(said(verdict.convicted)), "are"
            if len(verdict.convicted) == 1:
                name, verb = verdict.convicted[0], "is"
                if name in where:
                    who = f"{glossed([name], gloss)[0]}, {where[name].text},"
            parts.append(f"{who} {verb} convicted")
        parts += [f"one of {listed(said(one), word='or')} broke"
                  for one in verdict.at_least_one_of[:5]]  # fmt: skip
        if verdict.ambiguous and verdict.simplest:
            parts.append(f"simplest explanation: {listed(said(verdict.simplest))}")
        nothing = "nothing failed"
        if verdict.status == "incomplete":
            nothing += f"; nobody looked at {listed(verdict.unobserved)}"
        return f"From {names}: {'; '.join(parts) or nothing}."

    def to_dict(self) -> dict[str, Any]:
        """The verdict's keys, then those of several vantages."""
        return {
            **self.verdict.to_dict(),
            "vantages": [
                {
                    "vantage": one.name,
                    "started": utc(one.started_at),
                    "ended": utc(one.ended_at),
                    "complete": one.record.complete,
                    "failed": list(one.failed),
                    "could_not_tell": list(one.judged.untold),
                    "incidents": [each.to_dict() for each in one.judged.listed],
                    "opinions": [opinion_dict(each) for each in one.judged.opinions],
                    "limits": [
                        each.to_dict(one.started_at, self.gloss) for each in one.judged.limits
                    ],
                }
                for one in self.vantages
            ],
            "cleared_across": {leg: list(names) for leg, names in self.cleared_by.items()},
            "contrasts": [one.to_dict() for one in self.contrasts],
            "uncompared": [one.text for one in self.uncompared],
            "left_out": list(self.left_out),
            "clocks": {
                "of": self.vantages[0].name,
                "ahead_seconds": self.clocks,
                "taken_to_agree": [list(pair) for pair in self.taken],
            },
            "text": self.text,
        }


def judge_together(
    runs: Sequence[tuple[RunRecord, Sequence[Observation]]],
    clocks_seconds: float | None = None,
    left_out: Sequence[str] = (),
) -> Together:
    """Judge one run of each vantage together.

    `clocks_seconds`: within this their clocks are taken to agree where no server tells; None:
    they are not. `left_out`: sentences about vantages that have no run here.

    Raises ValueError, one sentence, when they are not of one deployment, or not of vantages that
    differ.
    """
    first = runs[0][0]
    seen: set[str] = set()
    for record, _ in runs:
        if not record.vantage or record.vantage in seen:
            found = "two of the same name" if record.vantage else "one without a name"
            raise ValueError(
                f"expected runs of different vantages, found {found} ({record.vantage!r}); "
                "run each with --vantage NAME"
            )
        check_vantage(record.vantage)
        seen.add(record.vantage)
        for what, one, other in (
            ("another deployment name", first.deployment, record.deployment),
            ("other segments", first.segments, record.segments),
            ("other paths", first.paths, record.paths),
            ("other local segments", set(first.local), set(record.local)),
            ("other spread segments", set(first.spread), set(record.spread)),
        ):
            if one != other:
                raise ValueError(
                    f"expected runs of one deployment, found {what} from "
                    f"{record.vantage} than from {first.vantage}; run both with the same file"
                )
    return Together([Vantage(*one) for one in runs], clocks_seconds, left_out)


def _in_order(vantages: Sequence[Vantage]) -> Iterator[str]:
    """Each declared segment in the file's order, local ones for each vantage; then all others."""
    for names in zip(*(one.record.segments for one in vantages), strict=True):
        yield from names
    for one in vantages:
        yield from one.judged.segments


def _found_well(
    here: Vantage, fault: JudgedDrop, suspects: Names, there: Vantage, began: Apart | None
) -> Iterator[tuple[str, str, bool]]:
    """Suspects that another vantage found well at that time, by which leg, and whether that clears
    them: often enough, and at the same place. `began`: how much later this run began."""
    broken = _outage(here, fault)
    if broken is None or began is None:
        return
    shift, within = began
    moved = copy.copy(fault)
    moved.leg = f"{here.name}/{fault.leg}"  # there may be a leg of that name, too
    moved.since = fault.since + shift - within
    moved.noticed = broken[0] + shift + within
    moved.until = broken[1] + shift - within
    moved.longest = TOGETHER_SECONDS
    near = moved.near
    moved.near = frozenset()  # places are compared below
    cut = fault.symptom == "cut"
    hosts = frozenset((fault.host,)) if cut else here.dialled(fault.leg, fault.drop)
    onward = near.union(fault.path[len(near) : len(near) + 1])
    ways_out = frozenset() if here.local else frozenset(fault.path[:1])
    colo = here.met(fault.leg, fault.drop).colo
    # What a firewall refuses there says nothing about what broke here.
    for leg, segments in there.evidence.of(moved, frozenset(fault.path)).each.items():
        enough = cut or there.good_beats(leg, moved.noticed, moved.until, moved.longest)
        theirs = there.held(leg) if cut else there.dialled(leg)
        same = bool(theirs) and theirs <= hosts and colo == there.met(leg).colo
        same = same and not here.anycast(fault.leg) and not there.anycast(leg)
        same = same and all(here.colos.get(one) == there.colos.get(one) for one in theirs)
        seen = there.seen[leg]
        end = seen.path.index(seen.tcp_ends_at) + 1 if seen.tcp_ends_at in seen.path else None
        for segment in suspects:
            # Who dials a machine is not compared with who comes to it through others.
            if segment in segments and (same or segment not in near or segment in seen.path[:end]):
                alike = same or segment not in onward
                yield segment, leg, enough and alike and segment not in ways_out


def _outage(here: Vantage, fault: JudgedDrop) -> tuple[float, float] | None:
    """In which interval a drop's segment was broken for sure. Of `down` and `refusing` from the
    end of the first failed attempt to the start of the last one that failed in this outage."""
    if fault.symptom == "cut":
        return fault.noticed, fault.noticed
    if fault.symptom not in ("down", "refusing") or fault.drop.fell_silent:
        return None
    over = float("inf") if fault.recovered is None else fault.recovered
    failed = [
        one.sent
        for one in here.seen[fault.leg].beats
        if one.strand == "fresh" and not one.ok and one.conclusive
        and fault.noticed <= one.sent and one.ended <= over
    ]  # fmt: skip
    second: Attempt | None = fault.drop.attempt
    if second is not None and not second.ok:
        failed.append(second.started)
    return (fault.noticed, max(failed)) if failed else None


def _why_not(
    here: Vantage, fault: JudgedDrop, suspects: Names, there: Vantage, began: Apart | None
) -> str:
    """Why nothing was found well there; empty where there was nothing to compare, or it met the
    same."""
    shared = set(suspects)
    crossing = [leg for leg, path in there.judged.legs.items() if shared.intersection(path)]
    if not crossing:
        return ""
    telling = [leg for leg in crossing if leg in there.judged.took_part]
    if not telling:
        return f"what it saw of {listed(crossing)} tells nothing"
    if all(leg in there.dropped for leg in telling):
        return ""
    if began is None:
        stepped = [one for one in (here, there) if one.stepped]
        if stepped:
            return f"the clock of {stepped[0].name} was set during its run"
        return "no server told both how far their clocks differ; see --clocks"
    start = fault.began + began.seconds
    end = max(fault.noticed, fault.recovered or fault.noticed) + began.seconds
    if there.record.duration_seconds < start or end < 0.0:
        return "its run did not overlap"
    return f"nothing that it did fell into this for sure (at {offset(fault.noticed)})"


def _run_at(record: RunRecord, local: frozenset[str]) -> RunRecord:
    def here(names: Iterable[str]) -> Names:
        return _names_at(names, record.vantage, local)

    return msgspec.structs.replace(
        record,
        segments=here(record.segments),
        own_segments=here(record.own_segments),
        paths=tuple(map(here, record.paths)),
        spread=here(record.spread),
        gloss=dict(zip(here(record.gloss), record.gloss.values(), strict=True)),
        opinions=tuple(
            msgspec.structs.replace(one, segment=here((one.segment,))[0]) for one in record.opinions
        ),
    )


def _seen_at(seen: Observation, vantage: str, local: frozenset[str]) -> Observation:
    def here(names: Iterable[str]) -> Names:
        return _names_at(names, vantage, local)

    def one(name: str) -> str:
        return here((name,))[0]

    def drop(found: Drop) -> Drop:
        attempt = found.attempt
        if attempt is not None:
            told = here(attempt.carried), one(attempt.accused)
            attempt = msgspec.structs.replace(attempt, carried=told[0], accused=told[1])
        return msgspec.structs.replace(
            found, carried=here(found.carried), accused=one(found.accused), attempt=attempt
        )

    return msgspec.structs.replace(
        seen,
        path=here(seen.path),
        tcp_ends_at=one(seen.tcp_ends_at),
        clears=None if seen.clears is None else here(seen.clears),
        drops=tuple(map(drop, seen.drops)),
    )


def _names_at(names: Iterable[str], vantage: str, local: frozenset[str]) -> Names:
    return tuple(f"{name}@{vantage}" if name in local else name for name in names)
