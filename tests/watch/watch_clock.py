"""An event loop whose time jumps to the next timer when there is nothing to do, and lines that
follow a script in place of sockets: a day takes seconds."""

from __future__ import annotations

import asyncio
import selectors
from bisect import bisect_right
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any

import pytest

from t3probe.config.types import Leg
from t3probe.observation import Reason
from t3probe.probes.base import Channel, Probing
from t3probe.probes.facts import Collapsed, Echo, ProbeError, Target

WALL = 1_700_000_000.0
PASSES_SECONDS = 2e-6
"""Whatever is done takes a moment: what is called for at one time begins after it."""


class JumpClock(selectors.DefaultSelector):
    """A clock that is also the selector: whoever waits in it lets the time pass."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> Any:
        found = super().select(0)
        self.now += PASSES_SECONDS
        if not found and timeout is None:
            raise AssertionError("nothing to do and nothing to wait for")
        if not found and timeout:
            self.now += timeout
        return found

    def monotonic(self) -> float:
        return self.now

    def wall(self) -> float:
        return WALL + self.now

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(max(0.0, seconds))


def run(clock: JumpClock, main: Coroutine[Any, Any, Any]) -> Any:
    """`asyncio.run` on this clock."""
    loop = asyncio.SelectorEventLoop(clock)
    loop.time = clock.monotonic  # type: ignore[method-assign]
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        return runner.run(main)


@dataclass
class Trouble:
    """At `at` seconds the leg's connection dies; until `at + lasts` it cannot be made anew."""

    at: float
    reason: Reason
    lasts: float = 0.0
    only_new: bool = False
    """What is open lives on."""
    conclusive: bool = True
    """Whether a failed attempt says anything of the path."""


@dataclass
class Partial:
    """Good beats between two times prove only these segments."""

    began: float
    ended: float
    clears: tuple[str, ...]


@dataclass
class Script:
    """What happens to one leg, and what its lines have seen."""

    trouble: list[Trouble] = field(default_factory=list)
    """By their times."""
    collapsed_until: float = 0.0
    breaks_until: float = 0.0
    """Until then the probe itself has a bug."""
    rtt: float = 0.02
    new_rtt: float | None = None
    """Of a connection's first beat; None: as all."""
    slow_every: int = 0
    slow: float = 0.7
    partial: Partial | None = None
    oldest: float | None = None
    """A connection that is so old is closed; None: at no age."""
    quietest: float | None = None
    """One that says nothing for so long is closed."""
    sent: list[float] = field(default_factory=list)
    trips: list[float] = field(default_factory=list)
    """Round trips of good beats on held connections; of a leg that holds none, of all."""
    opened: int = 0
    closed: int = 0

    def down(self, now: float, new: bool = True) -> Trouble | None:
        for one in self.trouble:
            if one.at <= now < one.at + one.lasts and (new or not one.only_new):
                return one
        return None


class ScriptedLine(Channel):
    """One connection of a scripted leg."""

    def __init__(self, leg: Leg, target: Target, probing: Probing, script: Script) -> None:
        super().__init__(target, probing)
        self.holds = leg.kind not in ("tcp", "walloff", "walled")
        self.script = script
        self._timers: list[asyncio.TimerHandle] = []
        self._answered = False
        now, loop = probing.clock.now(), asyncio.get_running_loop()
        self.facts.phases = {"connect": script.opened / 1000}
        self.facts.local_address, self.facts.remote_address = "127.0.0.1:5", str(target)
        if self.holds:
            deadly = [one for one in script.trouble if not one.only_new]
            coming = bisect_right(deadly, now, key=lambda one: one.at)
            for one in deadly[coming : coming + 1]:
                self._timers.append(loop.call_at(one.at, self._die, one))

        if self.holds and script.oldest is not None:
            aged = Trouble(now + script.oldest, "closed_by_peer")
            self._timers.append(loop.call_at(aged.at, self._die, aged))
        self._quiet: asyncio.TimerHandle | None = None

    def _said(self) -> None:
        """Something was sent: the silence begins anew."""
        if self._quiet is not None:
            self._quiet.cancel()
        if self.holds and self.script.quietest is not None:
            loop = asyncio.get_running_loop()
            silent = Trouble(loop.time() + self.script.quietest, "closed_by_peer")
            self._quiet = loop.call_at(silent.at, self._die, silent)

    def _die(self, trouble: Trouble) -> None:
        self.lost = ProbeError(trouble.reason, "hold", "as the script says")
        self.on_lost()

    async def beat(self) -> Echo:
        script, clock = self.script, self.probing.clock
        sent = clock.now()
        script.sent.append(sent)
        self._said()
        if sent < script.collapsed_until:
            raise Collapsed("it took another way")
        if sent < script.breaks_until:
            raise TypeError("a bug")
        trouble = script.down(sent, not self._answered)
        if trouble is not None:
            await asyncio.sleep(0.01)
            error = ProbeError(trouble.reason, "connect", "still as the script says")
            error.conclusive = trouble.conclusive
            raise error
        number = len(script.sent)
        slow = script.slow_every and number % script.slow_every == 0
        rtt = script.rtt if self._answered or script.new_rtt is None else script.new_rtt
        await asyncio.sleep(script.slow if slow else rtt)
        if self.lost is not None:
            raise self.lost
        counts = self._answered or not self.holds
        self._answered = True
        part = script.partial
        clears = part.clears if part and part.began <= sent < part.ended else None
        echo = Echo(sent=sent, ended=clock.now(), clears=clears)
        if counts:
            script.trips.append(round(echo.ended - echo.sent, 6))
        return echo

    async def close(self) -> None:
        for timer in [*self._timers, *([self._quiet] if self._quiet else [])]:
            timer.cancel()
        self._timers.clear()
        self.script.closed += 1


def use_scripts(monkeypatch: pytest.MonkeyPatch, scripts: dict[str, Script]) -> None:
    """From now on every leg's probe is its script."""

    async def open_scripted(leg: Leg, target: Target, probing: Probing) -> Channel:
        script = scripts[leg.name]
        script.opened += 1
        return ScriptedLine(leg, target, probing, script)

    monkeypatch.setattr("t3probe.run.attempt.opener", lambda kind: open_scripted)
