"""Every leg run once against a lab under given faults, and what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from steady_lab import SteadyLab

from t3probe.config import Deployment, Leg
from t3probe.observation import Observation
from t3probe.verdict.incident.run import judge_run


@dataclass(frozen=True)
class Seen:
    """What one run over the lab gave."""

    verdict: dict[str, Any]
    legs: dict[str, Observation]

    def label(self, segment: str) -> str:
        """The segment's one label."""
        labels = ("exonerated", "convicted", "ambiguous", "masked", "unobserved")
        (found,) = [one for one in labels if segment in self.verdict[one]]
        return found

    @property
    def trouble(self) -> str:
        """What did not pass, a line each: for the message of an assertion."""
        return "\n".join(
            f"{one.leg}: {one.outcome} {one.reason} {one.detail} {one.drops}"
            for one in self.legs.values()
            if one.outcome != "passed" or one.drops
        )

    def outcomes(self, *names: str) -> list[str]:
        return [self.legs[name].outcome for name in names]


class Field:
    """Runs every leg against the lab under given faults."""

    def __init__(self, lab: SteadyLab, legs: Sequence[Leg] = ()) -> None:
        self.lab = lab
        self.deployment: Deployment = lab.deployment()
        if legs:
            self.deployment = msgspec.structs.replace(self.deployment, legs=tuple(legs))

    def with_legs(self, legs: Sequence[Leg]) -> Field:
        """The same lab, probed by other legs."""
        return Field(self.lab, legs)

    def run(self, faults: Sequence[str] = (), hold: float = 0.0, legs: Sequence[str] = ()) -> Seen:
        """Every leg, or only these, once."""
        session = self.lab.session(self.deployment, hold)
        self.lab.measure(session, legs or [leg.name for leg in self.deployment.legs], faults)
        seen = session.recorded()
        judged = judge_run(session.record(), seen)
        return Seen(judged.to_dict(), {one.leg: one for one in seen})
