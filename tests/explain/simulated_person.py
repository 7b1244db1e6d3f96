"""A person's browser in the simulated world of the verdict's tests, beside a run of ours.

It calls no common beat and joins none, its heartbeats have a phase of their own, and its clock is
wrong by less than its record says.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import msgspec
from verdict.simulated import Simulation, record
from verdict.simulated_world import HEARTBEAT, HOLD, PAGE, ROUTES, Breaks, Leg

from t3probe.ask.explain.clients import client_at
from t3probe.ask.explain.from_runs import run_seen
from t3probe.ask.explain.judge import Explained, explain
from t3probe.ask.explain.seen import way_of
from t3probe.ask.explain.window import Question
from t3probe.observation import RECORD_VERSION, Observation
from t3probe.record.client import ClientRecord, read_client
from t3probe.record.facts import Recording

COLO = "FRA"
PATHS = tuple(
    tuple(f"wan cf-edge tunnel traefik carve-out devvm {end}".split())
    for end in ("dispatch", "serve")
)
WITHIN = 0.7


class Evening(Simulation):
    """One run of ours, and a person beside it."""

    def __init__(self, breaks: Sequence[Breaks], seed: int) -> None:
        super().__init__(breaks, seed, legs=(*ROUTES, PAGE))
        self.person = self.legs[-1]
        self.person.looked = self.person.answered = 1 << 30
        self.phase = random.Random(f"phase {seed}").uniform(0.2, HEARTBEAT)
        self.off = random.Random(f"clock {seed}").uniform(-WITHIN, WITHIN)

    def begin(self, leg: Leg) -> None:
        """A beat on each strand; the person's at its own moments."""
        if leg is not self.person:
            super().begin(leg)
            return
        if leg.line is not None and not leg.held_busy:
            self.beat_held(leg, 0)
        if leg.open < 3:
            self.dial(leg, 0, lambda sent, seen, conn: self.fresh_over(leg, sent, seen, conn))

    def begin_called(self, leg: Leg) -> None:
        """The person hears of no common beat."""
        if leg is not self.person:
            super().begin_called(leg)

    def call_for(self, leg: Leg) -> int:
        """Nor calls one."""
        return 0 if leg is self.person else super().call_for(leg)

    def told(self) -> tuple[Recording, ClientRecord]:
        """Our record, and theirs."""
        seen = self.observations()
        ours = [
            msgspec.structs.replace(one, colo=COLO) if "cf-edge" in one.path else one
            for one in seen
            if one.leg != PAGE
        ]
        run = msgspec.structs.replace(
            record(), duration_seconds=50.0, version=RECORD_VERSION, paths=PATHS
        )
        ours = [msgspec.structs.replace(one, observed_seconds=HOLD) for one in ours]
        theirs = next(one for one in seen if one.leg == PAGE)
        return Recording(run, tuple(ours)), self._record(theirs, run.started_at)

    def _record(self, seen: Observation, start: float) -> ClientRecord:
        def at(seconds: float | None) -> float | None:
            return None if seconds is None else start + seconds + self.off

        drops: list[dict[str, Any]] = [
            {
                "began": at(one.began), "noticed": at(one.noticed), "ended": at(one.recovered),
                "strand": one.strand, "symptom": one.symptom, "reason": one.reason,
                "age_seconds": one.connection_age_seconds,
            }
            for one in sorted(seen.drops, key=lambda one: one.began)
        ]  # fmt: skip
        record = {
            "t3probe_client": 1, "began": at(0.0), "made": at(max(HOLD + 20, 60.0)),
            "heartbeat_seconds": HEARTBEAT, "watchdog_seconds": 20.0,
            "clock": {"offset_seconds": 0.0, "within_seconds": WITHIN},
            "beats": [
                [at(one.sent), None, 5 if one.ok else -1]
                for one in seen.beats
                if one.strand == "fresh"
            ],
            "drops": drops,
            "edges": [{"at": at(0.0), "colo": COLO, "family": 4}],
        }  # fmt: skip
        return read_client(msgspec.json.encode(record), "record.json")

    def explained(self) -> tuple[Explained, ClientRecord]:
        """The answer to the person's question, asked at the first of their drops."""
        recording, theirs = self.told()
        drops = [one for one in theirs.drops if one.symptom != "blip"]
        at = drops[0].noticed if drops else recording.run.started_at + HOLD / 2
        question = Question(at, 60.0, at + 3600.0)
        client = client_at("person", theirs, at, 60.0, (0.0, 0.0))
        seen = run_seen(recording, [client])
        return explain(question, [seen], way_of(None, [seen], (), None), [client]), theirs
