"""Judges a run: its incidents, each with a verdict of its own, and all of them together.

Every drop has a suspect set: its leg's path without what is cleared for it (`evidence`). The rules
of `labels` take these sets in the place of failed legs' paths, for one incident and for the run: so
what is convicted in one incident is convicted in the run, and what is suspect in one is not
cleared by another. An incident with a drop of which everything is cleared contradicts itself: it
convicts no segment and adds no set.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from t3probe.observation import Observation, RunRecord, Symptom, parts_said
from t3probe.record.of_old import of_any_version
from t3probe.text.words import glossed, listed, offset, utc
from t3probe.verdict.exact.case import Case
from t3probe.verdict.exact.labels import Verdict, solve_together
from t3probe.verdict.incident.drops import WORSE, JudgedDrop, faults_of, together
from t3probe.verdict.incident.evidence import Cleared, Evidence, How, takes_part

if TYPE_CHECKING:
    from t3probe.verdict.limits.found import Limit
    from t3probe.verdict.opinions import OpinionBeside
    from t3probe.verdict.repeated.posterior import Posterior
    from t3probe.verdict.slow.slowness import Slowness

INCIDENTS_LIMIT = 64
"""How many incidents `RunVerdict.to_dict` lists: the worst ones."""
NAMES_LIMIT = 200_000
"""How many segments they name together: with ten thousand upstreams fewer incidents are listed,
or the verdict of a path that flaps would have hundreds of MB."""
NAMED = 5
"""How many names a sentence lists before it only counts."""

Names = tuple[str, ...]


class _Setting:
    """What all incidents of one run share."""

    def __init__(self, record: RunRecord, seen: Mapping[str, Observation]) -> None:
        self.seen = seen
        self.record = record
        self.legs = {name: one.path for name, one in seen.items()}
        known = dict.fromkeys((*record.segments, *record.own_segments))
        # An old record may lack some: a leg's path is the better witness.
        for path in (*record.paths, *self.legs.values()):
            known.update(dict.fromkeys(path))
        self.segments = tuple(known)
        self.paths = record.paths
        self.started_at = record.started_at
        self.judged = [(name, one) for name, one in seen.items() if takes_part(one)]
        self.untold = tuple(
            name for name, one in seen.items() if one.outcome == "inconclusive" and not one.planned
        )
        good = ("passed", "degraded")
        self.passed = tuple(name for name, one in self.judged if one.outcome in good)

    @cached_property
    def evidence(self) -> Evidence:
        return Evidence(self.judged, self.record.spread)

    def cleared(self, leg: str) -> Names:
        """What a pass of this leg clears."""
        clears = self.seen[leg].clears
        path = self.legs[leg]
        return path if clears is None else tuple(one for one in clears if one in path)

    @cached_property
    def by_passing(self) -> frozenset[str]:
        """What the legs that passed clear."""
        return frozenset(name for leg in self.passed for name in self.cleared(leg))

    def cleared_in(self, incidents: Iterable[Incident]) -> frozenset[str]:
        """What some incident cleared, or a leg that passed."""
        return self.by_passing.union(*(one.exonerated for one in incidents))

    def verdict(
        self, incidents: Sequence[Incident], cleared: Iterable[str], legs: Iterable[str]
    ) -> Verdict:
        """The verdict over these incidents. `legs` are those that ran."""
        sound = [one for one in incidents if not one.contradicts]
        rest = [one for one in incidents if one.contradicts]
        sets = dict.fromkeys(one for incident in sound for one in incident.suspect_sets)
        sets |= dict.fromkeys(one for incident in sound for one in incident.later_sets)
        return solve_together(
            Case(segments=self.segments, legs=self.legs, paths=self.paths, passed=tuple(legs)),
            sets=sets,
            cleared=cleared,
            doubtful={name for incident in rest for one in incident.suspect_sets for name in one},
            contradictions=tuple(dict.fromkeys(leg for one in rest for leg in one.failed)),
            repairs=rest[0].repairs if rest and not sets else None,
        )


class Incident:
    """Drops that are told together. Times are seconds since the run's start."""

    def __init__(self, faults: Sequence[JudgedDrop], setting: _Setting) -> None:
        self.faults = faults
        self._setting = setting
        self.began: float = min(one.began for one in faults)
        """The earliest last sign of life among the failed legs."""
        self.onset: float = min(one.onset for one in faults)
        """The same, of the whole outage of which an incident of the held mode may be a part."""
        self.noticed: float = max(one.noticed for one in faults)
        """When the last of its drops was noticed."""
        ends = [one.recovered for one in faults if one.recovered is not None]
        self.recovered: float | None = max(ends) if len(ends) == len(faults) else None
        """When all of its legs worked again; None when one did not before the run's end."""
        self.symptom: Symptom = min((one.symptom for one in faults), key=WORSE.__getitem__)
        """The worst of its drops': down, refusing, cut, unknown, blip."""
        self.failed: Names = tuple(dict.fromkeys(one.leg for one in faults))
        """The legs with a drop in it."""

    @property
    def severity(self) -> tuple[int, int, float]:
        """Lower is worse: by symptom, then by more failed legs, then by onset."""
        return WORSE[self.symptom], -len(self.failed), self.began

    @cached_property
    def _cleared(self) -> list[Cleared]:
        evidence = self._setting.evidence
        firewalled = evidence.firewalled(self.faults)
        return [evidence.of(one, firewalled) for one in self.faults]

    @cached_property
    def suspect_sets(self) -> list[Names]:
        """For each drop what its leg crosses and nothing cleared."""
        return [
            tuple(name for name in fault.path if name not in found.segments)
            for fault, found in zip(self.faults, self._cleared, strict=True)
        ]

    @cached_property
    def later_sets(self) -> list[Names]:
        """Of each drop that fell silent when it had gone on for a while: what else may have broken
        then. That was not compared; only legs that passed all the time clear something of it."""
        passing = self._setting.by_passing
        return [
            tuple(name for name in fault.path if name in suspects or name not in passing)
            for fault, suspects in zip(self.faults, self.suspect_sets, strict=True)
            if fault.drop.fell_silent
        ]

    @property
    def contradicts(self) -> bool:
        """Whether everything is cleared of one of its drops."""
        return not all(self.suspect_sets)

    @cached_property
    def _beside(self) -> dict[str, Names]:
        """The legs that passed, with their segments that no failed leg crosses."""
        crossed = {name for leg in self.failed for name in self._setting.legs[leg]}
        out: dict[str, Names] = {}
        for leg in self._setting.passed:
            rest = tuple(name for name in self._setting.cleared(leg) if name not in crossed)
            if rest:
                out[leg] = rest
        return out

    @cached_property
    def exonerated(self) -> frozenset[str]:
        """What is cleared for one of its drops, or beside them."""
        return frozenset().union(*(one.segments for one in self._cleared))

    @cached_property
    def cleared_by(self) -> dict[str, How]:
        """The legs that clear, and how; of several ways the strongest."""
        found: dict[str, How] = dict.fromkeys(self._beside, "beside")
        ways: tuple[How, ...] = ("own answer", "same report", "fresh beat", "held through")
        for way in ways:
            for one in self._cleared:
                found |= {leg: way for leg, how in one.by.items() if how == way}
        return {leg: found[leg] for leg in self._setting.legs if leg in found}

    @cached_property
    def tried(self) -> dict[str, bool]:
        """The legs that this is a try of, for statistics, and whether they failed. Blips are none.
        A leg that clears is one only when it clears all that it shares with those that failed."""
        pairs = zip(self.faults, self._cleared, strict=True)
        real = [(fault, found) for fault, found in pairs if fault.symptom != "blip"]
        out = {fault.leg: True for fault, _ in real}
        if real:
            for leg, how in self.cleared_by.items():
                if how in ("held through", "fresh beat", "same report") and leg not in self.failed:
                    mine = set(self._setting.cleared(leg))
                    shared = ((mine.intersection(one.path), found.each) for one, found in real)
                    if all(names <= each.get(leg, set()) for names, each in shared):
                        out[leg] = False
        return out

    @cached_property
    def carried(self) -> dict[str, Names]:
        """The segments that failed legs' own answers clear."""
        out: dict[str, dict[str, None]] = {}
        for fault, found in zip(self.faults, self._cleared, strict=True):
            if found.own:
                out.setdefault(fault.leg, {}).update(dict.fromkeys(found.own))
        return {leg: tuple(names) for leg, names in out.items()}

    def accusing(self) -> Iterator[tuple[JudgedDrop, Names, dict[str, How]]]:
        """Its drops, each with its suspects and the legs that cleared the others; none where it
        contradicts itself."""
        if not self.contradicts:
            for fault, names, found in zip(
                self.faults, self.suspect_sets, self._cleared, strict=True
            ):
                yield fault, names, found.by

    @cached_property
    def verdict(self) -> Verdict:
        """From its drops and those that clear; all other legs count as not run."""
        beside = (name for names in self._beside.values() for name in names)
        ran = {*self.failed, *self.cleared_by}
        return self._setting.verdict([self], {*self.exonerated, *beside}, ran)

    @property
    def repairs(self) -> dict[str, Any] | None:
        """The fewest outcomes to disbelieve, where it contradicts itself."""
        from t3probe.verdict.exact.repairs import find_repairs

        position = {name: at for at, name in enumerate(self._setting.segments)}
        ran = {leg: [position[one] for one in self._setting.legs[leg]] for leg in self.failed}
        outcome = dict.fromkeys(self.failed, False)
        for fault, found in zip(self.faults, self._cleared, strict=True):
            for leg in found.by:
                name = f"{leg} (own answer)" if leg == fault.leg else leg
                path = found.own if leg == fault.leg else self._setting.cleared(leg)
                ran[name] = [position[one] for one in path if one in found.segments]
                outcome[name] = True
        return find_repairs(self._setting.segments, ran, outcome)

    @cached_property
    def text(self) -> str:
        """One sentence for people."""
        return f"Between {offset(self.began)} and {offset(self.noticed)} {self.finding}."

    @cached_property
    def finding(self) -> str:
        """What broke, how, and who it was, without the times."""
        was = "was" if len(self.failed) == 1 else "were"
        what = {
            "down": f"{was} down",
            "refusing": f"kept {'its connection' if was == 'was' else 'their connections'} and "
            "accepted no new one",
            "cut": f"{was} cut and could reconnect at once",
            "unknown": f"{was} lost, whether cut or down is not known",
            "blip": "failed once and worked at once again",
        }[self.symptom]
        found = _finding(self.verdict, self._setting.record.gloss)
        return f"{listed(self.failed)} {what}: {found}"

    def to_dict(self) -> dict[str, Any]:
        """The JSON form; each time in seconds and as UTC text."""
        out: dict[str, Any] = {}
        for name in ("began", "noticed", "recovered"):
            seconds = getattr(self, name)
            out[f"{name}_seconds"] = seconds
            out[name] = None if seconds is None else utc(self._setting.started_at + seconds)
        return {
            **out,
            "symptom": self.symptom,
            "failed": list(self.failed),
            "cleared_by": dict(self.cleared_by),
            "carried": {leg: list(path) for leg, path in self.carried.items()},
            "text": self.text,
            "verdict": self.verdict.to_dict(),
        }


class Conviction(NamedTuple):
    """Why a segment is convicted."""

    began: float
    """The earliest last sign of life among the legs that accuse it, in seconds since the start."""
    legs: Names
    """The failed legs that it is a suspect of."""
    cleared_by: Mapping[str, How]
    """Who cleared others on their paths, and how; of several ways the first. Whoever is masked is
    cleared by nobody."""


class RunVerdict:
    """The verdict of a run, and its incidents, the worst first."""

    def __init__(self, verdict: Verdict, incidents: Sequence[Incident], setting: _Setting) -> None:
        self.verdict: Verdict = verdict
        """Of all incidents together; without any, from the legs that passed."""
        self.incidents: tuple[Incident, ...] = tuple(incidents)
        self.segments: tuple[str, ...] = setting.segments
        self.legs: Mapping[str, tuple[str, ...]] = setting.legs
        """The segments that each observed leg crosses."""
        self.passed: tuple[str, ...] = setting.passed
        """The legs that take part and passed, degraded or not."""
        self.untold: tuple[str, ...] = setting.untold
        """The legs that could not tell; planned downtime is none."""
        self.took_part: tuple[str, ...] = tuple(name for name, _ in setting.judged)
        """The legs that are evidence at all."""
        self._setting = setting
        self._limits: tuple[Limit, ...] | None = None

    @property
    def seen(self) -> Mapping[str, Observation]:
        """What was seen on each leg."""
        return self._setting.seen

    @property
    def cleared(self) -> frozenset[str]:
        """What some incident cleared, or a leg that passed."""
        return self._setting.cleared_in(self.incidents)

    @property
    def evidence(self) -> Evidence:
        """What its legs can say about what broke at any moment of the run."""
        return self._setting.evidence

    @property
    def gloss(self) -> Mapping[str, str]:
        """What the file adds to the names of segments."""
        return self._setting.record.gloss

    @property
    def listed(self) -> tuple[Incident, ...]:
        """The incidents that `to_dict` lists."""
        room = NAMES_LIMIT // max(1, len(self.segments))
        return self.incidents[: max(1, min(INCIDENTS_LIMIT, room))]

    @cached_property
    def convictions(self) -> dict[str, Conviction]:
        """Why each convicted segment is."""
        found: dict[str, Conviction] = {}
        convicted = {*self.verdict.convicted}
        for incident in self.incidents:
            for fault, suspects, by in incident.accusing():
                for name in convicted.intersection(suspects):
                    known = found.get(name, Conviction(fault.onset, (), {}))
                    found[name] = Conviction(
                        min(known.began, fault.onset),
                        tuple(dict.fromkeys((*known.legs, fault.leg))),
                        {**by, **known.cleared_by},
                    )
        return found

    @cached_property
    def posterior(self) -> Posterior:
        """How probable a fault of each segment is, from this run alone; see
        `t3probe.verdict.repeated.posterior` for what counts as a try."""
        from t3probe.verdict.repeated.posterior import in_run

        return in_run(self.segments, self.legs, self.passed, self.listed)

    @cached_property
    def slowness(self) -> Slowness:
        """Which legs are slower than usual, and which segments explain it. It stands beside the
        verdict and changes nothing in it."""
        from t3probe.verdict.slow.slowness import Slowness

        return Slowness(self._setting.record, self.segments, self._setting.seen)

    @cached_property
    def opinions(self) -> list[OpinionBeside]:
        """What programs on the path say of themselves, beside the verdict: no part of it."""
        if not self._setting.record.opinions:
            return []
        from t3probe.verdict.opinions import opinions_beside

        return list(opinions_beside(self._setting.record, self.verdict))

    @cached_property
    def limits(self) -> tuple[Limit, ...]:
        """Ages and silences at which connections die. They stand beside the verdict and change
        nothing in it. The held mode has its own, over all that it remembers."""
        if self._limits is not None:
            return self._limits
        if not any(one.connections and (one.drops or one.silences) for one in self.seen.values()):
            return ()
        from t3probe.verdict.limits.found import limits_of_run

        return limits_of_run(self._setting.record, self.seen.values())

    def with_limits(self, limits: tuple[Limit, ...]) -> None:
        """Let these stand in the place of what the run alone shows."""
        self._limits = limits
        self.__dict__.pop("limits", None)

    @property
    def limit_texts(self) -> list[str]:
        """What each limit is, in words."""
        return [one.text(self.gloss) for one in self.limits]

    def to_dict(self) -> dict[str, Any]:
        """The verdict's keys, then `incidents`; `incidents_truncated` when some are left out;
        where segments share a suspicion `posterior` and `convicted_by_repetition`, which say who is
        the likelier one; `slowness`; `limits` where there are any; `parts` for a shard."""
        out = self.verdict.to_dict()
        out["incidents"] = [one.to_dict() for one in self.listed]
        if len(self.listed) < len(self.incidents):
            out["incidents_truncated"] = True
        if self.verdict.ambiguous:
            told = self.posterior.to_dict()
            out |= {key: told[key] for key in ("posterior", "convicted_by_repetition")}
        out |= {"slowness": self.slowness.to_dict()}
        if self.opinions:
            from t3probe.verdict.opinions import opinion_dict

            out["opinions"] = [opinion_dict(one) for one in self.opinions]
        if self.limits:
            out["limits"] = [
                one.to_dict(self._setting.started_at, self.gloss) for one in self.limits
            ]
        parts = parts_said((self._setting.record,))
        return out | ({"parts": parts} if parts else {})


def judge_run(record: RunRecord, observations: Sequence[Observation]) -> RunVerdict:
    """Judge what a run saw, by the rules of `t3probe.verdict.incident.evidence`."""
    seen = dict(_named(observations))
    setting = _Setting(record, seen)
    faults = [fault for name, one in setting.judged for fault in faults_of(name, one)]
    incidents = [Incident(one, setting) for one in together(faults)]
    incidents.sort(key=lambda one: one.severity)
    cleared = setting.cleared_in(incidents)
    verdict = setting.verdict(incidents, cleared, (name for name, _ in setting.judged))
    if verdict.status == "clean" and set(verdict.unobserved) & set(record.segments):
        verdict = msgspec.structs.replace(verdict, status="incomplete")
    return RunVerdict(verdict, incidents, setting)


def _named(observations: Iterable[Observation]) -> Iterator[tuple[str, Observation]]:
    """Each observation under its leg's name; a second one of that name gets a number."""
    count: dict[str, int] = {}
    for one in observations:
        number = count[one.leg] = count.get(one.leg, 0) + 1
        one = of_any_version(one)
        yield (one.leg if number == 1 else f"{one.leg} ({number})"), one


def _finding(verdict: Verdict, gloss: Mapping[str, str]) -> str:
    if verdict.status == "inconsistent":
        return "the outcomes contradict each other, so no segment is convicted"
    parts = []
    if verdict.convicted:
        verb = "is" if len(verdict.convicted) == 1 else "are"
        parts.append(f"{listed(glossed(verdict.convicted, gloss))} {verb} convicted")
    some = verdict.at_least_one_of
    parts += [f"one of {listed(glossed(one, gloss), word='or')} broke" for one in some[:NAMED]]
    if len(some) > NAMED:
        parts.append(f"and {len(some) - NAMED} more such groups")
    return ", ".join(parts)
