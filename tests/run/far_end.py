"""Far ends that answer as they are told, without a network."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from probes.servers import deployment, http_leg

from t3probe.config.types import Leg
from t3probe.observation import Observation, TcpSample
from t3probe.probes.base import Channel, Probing
from t3probe.probes.facts import Collapsed, Echo, Facts, ProbeError, Target
from t3probe.probes.resolve import ResolveError, Resolver
from t3probe.run.controller import Run

FINE, ELSEWHERE = "fine", "elsewhere"
Answer = str | ProbeError


def error(reason: Any, stage: Any = "connect", **more: Any) -> ProbeError:
    return ProbeError(reason, stage, f"it was {reason}", **more)


class FarEnd:
    """What is behind each address: a good answer, another route, or a failure."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *answers: Answer) -> None:
        self.answers = {f"10.0.0.{at}": one for at, one in enumerate(answers)}
        self.asked = 0
        self.resolves: list[Target] | ResolveError = [
            Target("app.example", one, 80) for one in self.answers
        ]
        self.opened: list[Opened] = []
        monkeypatch.setattr("t3probe.run.attempt.targets", self._targets)
        monkeypatch.setattr("t3probe.run.attempt.opener", lambda kind: self._open)

    async def _targets(self, leg: Leg, probing: Probing, resolver: Resolver) -> list[Target]:
        self.asked += 1
        if isinstance(self.resolves, ResolveError):
            raise self.resolves
        return self.resolves

    async def _open(self, leg: Leg, target: Target, probing: Probing) -> Channel:
        answer = self.answers[target.address]
        if isinstance(answer, ProbeError) and answer.stage == "connect":
            answer.facts = Facts(cert_not_after=77.0)
            raise answer
        line = Opened(target, probing, answer)
        self.opened.append(line)
        return line


class Opened(Channel):
    holds = True

    def __init__(self, target: Target, probing: Probing, answer: Answer) -> None:
        super().__init__(target, probing)
        self.answer = answer
        self.closed = False
        self.facts.cf_ray = "abc-FRA"

    async def beat(self) -> Echo:
        if self.answer == ELSEWHERE:
            raise Collapsed("this is another route")
        if isinstance(self.answer, ProbeError):
            raise self.answer
        await asyncio.sleep(0)
        now = self.probing.clock.now()
        return Echo(sent=now, ended=now)

    def tcp(self) -> TcpSample | None:
        return None

    async def close(self) -> None:
        self.closed = True


async def measured(leg: Leg | None = None) -> Observation:
    leg = leg or http_leg(url="http://app.example/")
    (seen,) = await Run(deployment([leg]), [leg], hold=0).measure()
    return seen
