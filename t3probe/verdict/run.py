"""Judges a run: its incidents, each with a verdict of its own, and all of them together.

The run's verdict takes the suspect sets of all its incidents by the rules of `labels`: whoever is
convicted in one incident is convicted in the run, and whoever is suspect in one is not cleared by
another. An incident whose outcomes contradict each other convicts nobody and adds no set.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import msgspec

from t3probe.observation import Observation, RunRecord, Symptom
from t3probe.shards import parts_said
from t3probe.verdict.case import Case
from t3probe.verdict.labels import Verdict, solve, solve_together
from t3probe.verdict.timeline import How, Outage, Witness, outages, takes_part

if TYPE_CHECKING:
    from t3probe.verdict.posterior import Posterior
    from t3probe.verdict.slowness import Slowness

__all__ = ["INCIDENTS_LIMIT", "Incident", "RunVerdict", "judge_run"]

INCIDENTS_LIMIT = 64
"""How many incidents `RunVerdict.to_dict` lists: the worst ones."""
NAMES_LIMIT = 200_000
"""How many segments they name together: with ten thousand upstreams fewer incidents are listed,
or the verdict of a path that flaps would have hundreds of MB."""
NAMED = 5
"""How many names a sentence lists before it only counts."""


EMPTY: Mapping[str, tuple[str, ...]] = {}


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
        for one in seen.values():
            for drop in one.drops:
                known.update(dict.fromkeys((*drop.carried, *drop.lost)))
        self.segments = tuple(known)
        self.paths = record.paths
        self.started_at = record.started_at
        self.judged = [(name, one) for name, one in seen.items() if takes_part(one)]
        good = ("passed", "degraded")
        self.passed = tuple(name for name, one in self.judged if one.outcome in good)

    @cached_property
    def witnesses(self) -> dict[str, Witness]:
        return {name: Witness(one) for name, one in self.judged}

    def uncrossed(self, leg: str, crossed: frozenset[str]) -> tuple[str, ...]:
        """The segments of a leg that are not among these."""
        return tuple(name for name in self.legs[leg] if name not in crossed)

    def crossed(self, failed: Iterable[str]) -> frozenset[str]:
        """The segments that one of these failed legs crosses."""
        return frozenset(name for one in failed for name in self.legs[one])

    def together(self, incidents: Sequence[Incident]) -> Verdict:
        """The run's verdict."""
        sound = [one for one in incidents if one.verdict.status != "inconsistent"]
        rest = [one for one in incidents if one.verdict.status == "inconsistent"]
        cleared = {name for leg in self.passed for name in self.legs[leg]}
        cleared.update(*(one.verdict.exonerated for one in incidents))
        return solve_together(
            Case(
                segments=self.segments,
                legs=self.legs,
                paths=self.paths,
                passed=tuple(name for name, _ in self.judged),
            ),
            sets=[one for incident in sound for one in incident.suspect_sets],
            cleared=cleared,
            doubtful={name for one in rest for name in one.verdict.ambiguous},
            contradictions=tuple(dict.fromkeys(leg for one in rest for leg in one.failed)),
            repairs=rest[0].verdict.repairs if rest else None,
        )

    def verdict(
        self,
        failed: Iterable[str],
        passed: Iterable[str],
        carried: Mapping[str, tuple[str, ...]] = EMPTY,
        beside: Mapping[str, tuple[str, ...]] = EMPTY,
        lost: Mapping[str, tuple[str, ...]] = EMPTY,
    ) -> Verdict:
        """`carried` gives segments that a failed leg clears itself, `beside` those of a leg whose
        pass is evidence only for them, `lost` those among which a failed leg's bytes were lost:
        each counts as one leg more."""
        more = {f"{leg} (carried)": path for leg, path in carried.items()}
        also = {f"{leg} (lost)": path for leg, path in lost.items() if path != self.legs[leg]}
        failed = (*failed, *also)
        more |= {f"{leg} (beside)": path for leg, path in beside.items()}
        return solve(
            Case(
                segments=self.segments,
                legs={**self.legs, **more, **also},
                paths=self.paths,
                failed=failed,
                passed=(*passed, *more),
            )
        )


class Incident:
    """Drops that overlap, judged together. Times are seconds since the run's start."""

    def __init__(self, outage: Outage, setting: _Setting) -> None:
        self._outage = outage
        self._setting = setting
        self.began: float = outage.began
        """The earliest last sign of life among the failed legs."""
        self.noticed: float = outage.noticed
        """When the last of its drops was noticed."""
        self.recovered: float | None = outage.recovered
        """When all of its legs worked again; None when one did not before the run's end."""
        self.symptom: Symptom = outage.symptom
        """`down` if any of its drops was, else `cut`, else `unknown`."""
        self.failed: tuple[str, ...] = outage.legs
        """The legs with a drop in it."""

    @property
    def severity(self) -> tuple[int, int, float]:
        """Lower is worse: by symptom, then by more failed legs, then by onset."""
        return self._outage.severity

    @cached_property
    def _evidence(self) -> dict[str, tuple[How, tuple[str, ...]]]:
        """The legs that are evidence: how, and the segments that they clear."""
        setting, failed = self._setting, set(self.failed)
        passed = set(setting.passed)
        crossed: dict[frozenset[str], frozenset[str]] = {}
        out: dict[str, tuple[How, tuple[str, ...]]] = {}
        for name, witness in setting.witnesses.items():
            if name in failed:
                continue
            how, short = self._outage.cleared_by(witness) or ("beside", frozenset(failed))
            if how == "beside" and name not in passed:
                continue
            if short not in crossed:
                crossed[short] = setting.crossed(short)
            cleared = setting.uncrossed(name, crossed[short])
            if cleared:
                out[name] = (how, cleared)
        return out

    @cached_property
    def cleared_by(self) -> dict[str, How]:
        """The legs that clear every drop of it, and how; `beside` ones only in part."""
        return {name: how for name, (how, _) in self._evidence.items()}

    @cached_property
    def carried(self) -> dict[str, tuple[str, ...]]:
        """The segments that failed legs' own records clear: they carried their bytes."""
        return self._outage.carried

    @cached_property
    def lost(self) -> dict[str, tuple[str, ...]]:
        """The segments among which failed legs' bytes were lost, by their own records."""
        return self._outage.lost

    @cached_property
    def verdict(self) -> Verdict:
        """From the failed legs and those that clear; all others count as not run."""
        how = self.cleared_by
        passed = [leg for leg in how if how[leg] != "beside"]
        beside = {leg: path for leg, (word, path) in self._evidence.items() if word == "beside"}
        return self._setting.verdict(self.failed, passed, self.carried, beside, self.lost)

    @property
    def suspect_sets(self) -> list[tuple[str, ...]]:
        """For each failed leg what it crosses and nothing cleared."""
        cleared = set(self.verdict.exonerated)
        paths = dict.fromkeys(
            (*(self._setting.legs[leg] for leg in self.failed), *self.lost.values())
        )
        return [tuple(name for name in path if name not in cleared) for path in paths]

    @cached_property
    def text(self) -> str:
        """One sentence for people."""
        return f"Between {self.began:.3f} s and {self.noticed:.3f} s {self.finding}."

    @cached_property
    def finding(self) -> str:
        """What broke, how, and who it was, without the times."""
        was = "was" if len(self.failed) == 1 else "were"
        what = {
            "down": f"{was} down",
            "cut": f"{was} cut and could reconnect at once",
            "unknown": f"{was} lost, whether cut or down is not known",
        }[self.symptom]
        return f"{_listed(self.failed, 'and')} {what}: {_finding(self.verdict)}"

    def to_dict(self) -> dict[str, Any]:
        """The JSON form; each time in seconds and as UTC text. `lost` only where some were."""
        out: dict[str, Any] = {}
        for name in ("began", "noticed", "recovered"):
            seconds = getattr(self, name)
            out[f"{name}_seconds"] = seconds
            out[name] = None if seconds is None else _utc(self._setting.started_at + seconds)
        return {
            **out,
            "symptom": self.symptom,
            "failed": list(self.failed),
            "cleared_by": dict(self.cleared_by),
            "carried": {leg: list(path) for leg, path in self.carried.items()},
            **({"lost": {leg: list(path) for leg, path in self.lost.items()}} if self.lost else {}),
            "text": self.text,
            "verdict": self.verdict.to_dict(),
        }


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
        self._setting = setting

    @property
    def listed(self) -> tuple[Incident, ...]:
        """The incidents that `to_dict` lists."""
        room = NAMES_LIMIT // max(1, len(self.segments))
        return self.incidents[: max(1, min(INCIDENTS_LIMIT, room))]

    @cached_property
    def posterior(self) -> Posterior:
        """How probable a fault of each segment is, from this run alone; see
        `t3probe.verdict.repetition` for what counts as a try."""
        from t3probe.verdict.repetition import in_run

        return in_run(self)

    @cached_property
    def slowness(self) -> Slowness:
        """Which legs are slower than usual, and which segments explain it. It stands beside the
        verdict and changes nothing in it."""
        from t3probe.verdict.slowness import Slowness

        return Slowness(self._setting.record, self.segments, self._setting.seen)

    def to_dict(self) -> dict[str, Any]:
        """The verdict's keys, then `incidents`; `incidents_truncated` when some are left out;
        then `posterior`, `convicted_by_repetition` and `slowness`; `parts` for a shard."""
        out = self.verdict.to_dict()
        out["incidents"] = [one.to_dict() for one in self.listed]
        if len(self.listed) < len(self.incidents):
            out["incidents_truncated"] = True
        told = self.posterior.to_dict()
        out |= {key: told[key] for key in ("posterior", "convicted_by_repetition")}
        out |= {"slowness": self.slowness.to_dict()}
        parts = parts_said((self._setting.record,))
        return out | ({"parts": parts} if parts else {})


def judge_run(record: RunRecord, observations: Sequence[Observation]) -> RunVerdict:
    """Judge what a run saw, by the rules of `t3probe.verdict.timeline`."""
    seen = dict(_named(observations))
    setting = _Setting(record, seen)
    incidents = [Incident(one, setting) for one in outages(setting.judged)]
    incidents.sort(key=lambda one: one.severity)
    verdict = setting.together(incidents)
    if verdict.status == "clean" and set(verdict.unobserved) & set(record.segments):
        verdict = msgspec.structs.replace(verdict, status="incomplete")
    return RunVerdict(verdict, incidents, setting)


def _named(observations: Iterable[Observation]) -> Iterator[tuple[str, Observation]]:
    """Each observation under its leg's name; a second one of that name gets a number."""
    count: dict[str, int] = {}
    for one in observations:
        number = count[one.leg] = count.get(one.leg, 0) + 1
        yield (one.leg if number == 1 else f"{one.leg} ({number})"), one


def _finding(verdict: Verdict) -> str:
    if verdict.status == "inconsistent":
        return "the outcomes contradict each other, so nobody is convicted"
    parts = []
    if verdict.convicted:
        verb = "is" if len(verdict.convicted) == 1 else "are"
        parts.append(f"{_listed(verdict.convicted, 'and')} {verb} convicted")
    some = verdict.at_least_one_of
    parts += [f"one of {_listed(one, 'or')} broke" for one in some[:NAMED]]
    if len(some) > NAMED:
        parts.append(f"and {len(some) - NAMED} more such groups")
    return ", ".join(parts)


def _listed(names: Sequence[str], word: str) -> str:
    if len(names) > NAMED:
        names = [*names[: NAMED - 1], f"{len(names) - NAMED + 1} more"]
    if len(names) < 2:
        return "".join(names)
    return f"{', '.join(names[:-1])} {word} {names[-1]}"


def _utc(unix_seconds: float) -> str:
    # It reads no clock, but its module loads asyncio.
    from t3probe.timing import utc_text

    return utc_text(unix_seconds)
