"""Far ends of legs that hold a connection, told during the run what to do, without a network."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from far_end import ELSEWHERE, FINE, Answer, error
from probes.servers import deployment, made_run

from t3probe.config.types import Leg
from t3probe.observation import Beat, Observation, Strand
from t3probe.probes.base import Channel, Probing
from t3probe.probes.facts import Collapsed, Echo, ProbeError, Target
from t3probe.probes.resolve import Resolver
from t3probe.run.book import Book
from t3probe.run.controller import Run

REFUSED = error("connect_refused")


class End:
    """What is behind one leg: how it answers new connections and those that are open."""

    def __init__(self) -> None:
        self.fresh: Answer = FINE
        self.held: Answer = FINE
        self.takes = 0.0
        """Seconds that an exchange on a new connection takes."""
        self.resolving = 0.0
        """Seconds that asking for the addresses takes."""
        self.closing = 0.0
        """Seconds that the close of a connection takes that works."""
        self.fails_when_closed = False
        """An exchange that we give up ourselves ends as if the far end had reset it."""
        self.next: list[Answer] = []
        """What the next new connections get before `fresh` counts again."""
        self.lines: list[Way] = []
        self.under_way = self.most_under_way = 0

    @property
    def open(self) -> list[Way]:
        """The connections that nobody closed."""
        return [line for line in self.lines if not line.closed]

    def cut(self) -> None:
        """Let what is open die between two beats."""
        for line in self.open:
            line.lost = error("connection_reset", "hold")
            line.on_lost()

    def leave(self) -> None:
        """Close what is open, as a server may between two requests."""
        for line in self.open:
            line.left_politely = True
            line.on_lost()


class Way(Channel):
    """One connection to an end."""

    holds = True

    def __init__(self, end: End, target: Target, probing: Probing) -> None:
        super().__init__(target, probing)
        self.end = end
        self.used = self.closed = False
        self.answer = end.next.pop(0) if end.next else end.fresh

    async def beat(self) -> Echo:
        if self.lost is not None:
            raise self.lost
        sent, first, self.used = self.probing.clock.now(), not self.used, True
        if first:
            self.end.under_way += 1
            self.end.most_under_way = max(self.end.most_under_way, self.end.under_way)
        try:
            await asyncio.sleep(self.end.takes if first else 0)
        except asyncio.CancelledError:
            if self.end.fails_when_closed:
                raise error("connection_reset", "ask") from None
            raise
        finally:
            self.end.under_way -= first
        answer = self.answer if first else self.end.held
        if answer == ELSEWHERE:
            raise Collapsed("this is another route")
        if isinstance(answer, ProbeError):
            raise error(answer.reason, answer.stage)
        return Echo(sent=sent, ended=self.probing.clock.now())

    async def close(self) -> None:
        self.closed = True
        if self.answer == FINE:
            await asyncio.sleep(self.end.closing)


class Scene:
    """Legs, their ends, and what happens when."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *legs: Leg) -> None:
        self.legs = legs
        self.ends = {leg.name: End() for leg in legs}
        self._happens: list[tuple[float, Callable[[], Any]]] = []
        self.run: Run | None = None
        monkeypatch.setattr("t3probe.run.attempt.targets", self._targets)
        monkeypatch.setattr("t3probe.run.attempt.opener", lambda kind: self._open)

    async def _targets(self, leg: Leg, probing: Probing, resolver: Resolver) -> list[Target]:
        await asyncio.sleep(self.ends[leg.name].resolving)
        return [Target("app.example", "10.0.0.1", 80)]

    async def _open(self, leg: Leg, target: Target, probing: Probing) -> Channel:
        end = self.ends[leg.name]
        line = Way(end, target, probing)
        end.lines.append(line)
        return line

    def at(self, seconds: float, happens: Callable[[], Any]) -> None:
        """Let something happen so many seconds after the run's start."""
        self._happens.append((seconds, happens))

    def set(self, seconds: float, leg: str, **how: Any) -> None:
        """Let a leg's end behave otherwise from then on."""
        self.at(seconds, lambda: [setattr(self.ends[leg], name, how[name]) for name in how])

    def book(self, leg: str) -> Book:
        """What a leg has written down so far."""
        assert self.run is not None
        return next(one.book for one in self.run.legs if one.leg.name == leg)

    async def play(
        self, hold: float, *, resolve_again: float | None = None, **times: float
    ) -> dict[str, Observation]:
        """The run, with a heartbeat of a second unless told otherwise."""
        given = {"heartbeat": 1.0, **times}
        self.run = run = made_run(deployment(self.legs, **given), self.legs, hold=hold)
        run.resolve_again = resolve_again
        loop = asyncio.get_running_loop()
        for seconds, happens in self._happens:
            loop.call_later(seconds, happens)
        return {seen.leg: seen for seen in await run.measure()}


def leg(name: str = "leg", *path: str, **more: Any) -> Leg:
    return Leg(name=name, kind="ws_echo", path=path or ("front", name), **more)


def of(seen: Observation, strand: Strand) -> list[Beat]:
    return [beat for beat in seen.beats if beat.strand == strand]
