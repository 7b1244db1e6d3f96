"""Lays bursts on the timeline of the runs: what the probe saw then, before and after."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from t3probe.observation import RunRecord
from t3probe.record.facts import Recording
from t3probe.record.reading import RunKey, run_key
from t3probe.text.words import utc
from t3probe.verdict.incident.evidence import takes_part
from t3probe.verdict.incident.run import judge_run

SLACK_SECONDS = 2.0
"""Log stamps are whole seconds, and machines' clocks differ a little."""


class Near(NamedTuple):
    """An incident of a run, as seen from a burst."""

    relation: str
    """`same`, `before` or `after`."""
    began: float
    ended: float
    """Unix seconds: its onset, and when the last drop was noticed."""
    symptom: str
    failed: tuple[str, ...]
    convicted: tuple[str, ...]
    at_least_one_of: tuple[tuple[str, ...], ...]
    finding: str
    run: str
    vantage: str


class Beside(NamedTuple):
    """What the runs say of one moment."""

    observing: tuple[str, ...]
    """The starts of the runs that were observing then."""
    incidents: tuple[Near, ...]
    held: dict[str, tuple[str, ...]]
    """Legs that held one connection right through it, with the segments that this clears."""

    @property
    def cleared(self) -> tuple[str, ...]:
        """The segments that carried a connection all through it, but for those that are several
        machines: others may have broken."""
        return tuple(dict.fromkeys(one for path in self.held.values() for one in path))


class _Run:
    """What is kept of one run: no beats."""

    def __init__(self, recording: Recording, moments: Sequence[tuple[float, float]]) -> None:
        run = recording.run
        start = run.started_at
        self.began, self.ended = start, start + run.duration_seconds
        self.name = utc(start)
        parting = [one for one in recording.observations if takes_part(one)]
        if parting:
            # Not the run's own end: what was looked at last counts.
            self.ended = start + max(max(one.ended, one.started) for one in parting)
        self.looked = bool(parting)
        judged = judge_run(run, recording.observations)
        self.incidents = [
            Near(
                "same", start + one.began, start + max(one.began, one.noticed), one.symptom,
                one.failed, tuple(one.verdict.convicted),
                tuple(tuple(some) for some in one.verdict.at_least_one_of),
                one.finding, self.name, run.vantage,
            )
            for one in judged.incidents
        ]  # fmt: skip
        self.held = {
            (began, ended): judged.evidence.held_through(began - start, ended + 1 - start)
            for began, ended in moments
        }


class RunsNearby:
    """The runs near some moments. Give it every recording, then ask for each moment."""

    def __init__(self, moments: Iterable[tuple[float, float]], reach_seconds: float) -> None:
        """`moments` are first and last Unix seconds; incidents within the reach are told."""
        self.moments = sorted(set(moments))
        self.reach = reach_seconds
        self.count = 0
        """How many runs were read."""
        self.began: float | None = None
        self.ended = 0.0
        """From the first run's start to the last one's end, Unix seconds."""
        self.left_out = 0
        """How many of them are near no moment: of these only the time was looked at."""
        self.parts: list[RunRecord] = []
        """Those near a moment, as they know of themselves."""
        self._near: dict[RunKey, _Run] = {}

    def wanted(self, run: RunRecord) -> bool:
        """Count one run; whether it is near one of the moments."""
        self.count += 1
        begun, over = run.started_at, run.started_at + run.duration_seconds
        self.began = begun if self.began is None else min(self.began, begun)
        self.ended = max(self.ended, over)
        near = bool(self._moments_near(begun, over))
        self.left_out += not near
        return near

    def add(self, recording: Recording) -> None:
        """Take one run in that is wanted; of the same run the later record holds."""
        run = recording.run
        near = self._moments_near(run.started_at, run.started_at + run.duration_seconds)
        self._near[run_key(recording)] = _Run(recording, near)
        self.parts.append(run)

    def _moments_near(self, begun: float, over: float) -> list[tuple[float, float]]:
        room = self.reach + SLACK_SECONDS
        return [
            (first, last)
            for first, last in self.moments
            if begun - room <= last and first <= over + room
        ]

    def beside(self, began: float, ended: float) -> Beside:
        """What the runs say of one of the moments."""
        observing: list[str] = []
        incidents: list[Near] = []
        held: dict[str, tuple[str, ...]] = {}
        for key in sorted(self._near):
            run = self._near[key]
            if run.looked and run.began <= ended + 1 and run.ended >= began:
                observing.append(run.name)
                held.update(run.held.get((began, ended), {}))
            incidents += [
                one._replace(relation=relation)
                for one in run.incidents
                if (relation := self._relation(began, ended, one.began, one.ended))
            ]
        incidents.sort(key=lambda one: (one.relation != "same", one.began, one.run))
        return Beside(tuple(observing), tuple(incidents), held)

    def _relation(self, began: float, ended: float, begun: float, noticed: float) -> str:
        if begun <= ended + 1 + SLACK_SECONDS and noticed >= began - SLACK_SECONDS:
            return "same"
        if noticed < began:
            return "before" if began - noticed <= self.reach else ""
        return "after" if begun - ended <= self.reach else ""


def as_json(beside: Beside) -> dict[str, Any]:
    """The JSON form."""
    return {
        "observing": list(beside.observing),
        "held_through": {leg: list(path) for leg, path in beside.held.items()},
        "cleared": list(beside.cleared),
        "incidents": [
            {
                "relation": one.relation,
                "began": utc(one.began),
                "ended": utc(one.ended),
                "symptom": one.symptom,
                "failed": list(one.failed),
                "convicted": list(one.convicted),
                "at_least_one_of": [list(some) for some in one.at_least_one_of],
                "finding": one.finding,
                "run": one.run,
                "vantage": one.vantage,
            }
            for one in beside.incidents
        ],
    }
