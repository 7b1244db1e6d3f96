"""Whether a rig is available and healthy, of what was reported lately. Pure.

A rig is **available** when each required stream is connected, was reported lately, and is active;
its log-in channel does not matter for that. It is **healthy** when, beyond that, every stream that
is known is active and the log-in channel is there. Both have three values: None is "could not
tell", because no fresh report was had, and changes nothing.

A service that does not say when a connection last sent something lets us say that a stream is
connected, and no more: `connected` in place of `active`. That counts as available, and the
condition says so.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Literal

import msgspec

from t3probe.upstreams.experiments.rigs import Rig, RigStream, rig_of
from t3probe.upstreams.experiments.wire import LastSent, Service, ServiceReport

StreamState = Literal["active", "connected", "silent", "absent", "unknown"]
"""`connected`: whether it sends is not said. `unknown`: no fresh report."""
GOOD: frozenset[StreamState] = frozenset({"active", "connected"})


class StreamCondition(msgspec.Struct, frozen=True):
    """One stream of a rig."""

    stream: RigStream
    state: StreamState
    age_seconds: float | None = None
    """How long ago it last sent, by now; infinite: never. None: not said, or not known."""

    @property
    def active(self) -> bool | None:
        """Whether it works; None: could not tell."""
        return None if self.state == "unknown" else self.state in GOOD


class RigCondition(msgspec.Struct, frozen=True):
    """What is known of one rig at one moment."""

    rig: Rig
    streams: tuple[StreamCondition, ...]
    """The required ones first, then those that book does not list."""
    jump: bool | None
    """Whether its log-in channel is there."""

    @property
    def available(self) -> bool | None:
        """Whether it can be used."""
        return _all(one.active for one in self.streams if one.stream.required)

    @property
    def healthy(self) -> bool | None:
        """Whether nothing is wrong with it."""
        return _all([*(one.active for one in self.streams), self.jump])

    @property
    def issues(self) -> tuple[str, ...]:
        """What is wrong, in words, sorted."""
        found = [] if self.jump is not False else ["missing jump"]
        for one in self.streams:
            if one.state == "absent":
                found.append(f"missing required {one.stream.topic}")
            elif one.state == "silent":
                found.append(f"unhealthy {one.stream.topic}")
        return tuple(sorted(found))

    @property
    def unsaid(self) -> tuple[str, ...]:
        """The streams of which nobody says whether they send."""
        return tuple(one.stream.name for one in self.streams if one.state == "connected")


def _all(parts: Iterable[bool | None]) -> bool | None:
    """Whether all of them are true; one that is false decides, whatever is not known."""
    parts = list(parts)
    if False in parts:
        return False
    return None if None in parts else True


class Sightings:
    """What relay and jump reported lately. Times are seconds of one clock."""

    def __init__(self, *, active: float, reported: float) -> None:
        """`active`: a stream must have sent within; `reported`: what is older says nothing."""
        self.active_seconds, self.reported_seconds = active, reported
        self._newest: dict[Service, float] = {}
        self._partly: dict[Service, bool] = {}
        """Whether the newest report names connections that could not be read."""
        self._seen: dict[Service, dict[str, tuple[float, LastSent]]] = {"relay": {}, "jump": {}}
        self._topics: dict[str, set[str]] = {}
        """A rig's streams that were seen, by the rig's name."""

    def take(self, report: ServiceReport) -> None:
        """Note a report. What was not reported for long is forgotten."""
        self._newest[report.service] = report.at
        self._partly[report.service] = report.unread > 0
        seen = self._seen[report.service]
        for topic, last in report.rigs.items():
            if topic not in seen and report.service == "relay":
                self._topics.setdefault(rig_of(topic), set()).add(topic)
            seen[topic] = report.at, last
        old = report.at - self.reported_seconds
        for topic in [topic for topic, (at, _) in seen.items() if at < old]:
            del seen[topic]
            if report.service == "relay":
                rig = rig_of(topic)
                self._topics[rig].discard(topic)
                if not self._topics[rig]:
                    del self._topics[rig]

    def fresh(self, service: Service, now: float) -> bool:
        """Whether this service reported lately."""
        at = self._newest.get(service)
        return at is not None and now - at <= self.reported_seconds

    def newest(self, service: Service) -> float | None:
        """When it last reported; None: not yet."""
        return self._newest.get(service)

    def of(self, rig: Rig, now: float) -> RigCondition:
        """The condition of a rig."""
        streams = [*rig.streams, *rig.further(self._of_rig(rig, now))]
        jump: bool | None = None
        if self.fresh("jump", now):
            there = self._lately("jump", rig.name, now) is not None
            jump = there or (None if self._partly["jump"] else False)
        return RigCondition(rig, tuple(self._stream(one, now) for one in streams), jump)

    def all(self, rigs: Sequence[Rig], now: float) -> list[RigCondition]:
        """The conditions of all rigs, in their order."""
        return [self.of(one, now) for one in rigs]

    def _of_rig(self, rig: Rig, now: float) -> list[str]:
        topics = self._topics.get(rig.name, ())
        return [one for one in topics if self._lately("relay", one, now) is not None]

    def _lately(self, service: Service, topic: str, now: float) -> tuple[float, LastSent] | None:
        found = self._seen[service].get(topic)
        if found is None or now - found[0] > self.reported_seconds:
            return None
        return found

    def _stream(self, stream: RigStream, now: float) -> StreamCondition:
        if not self.fresh("relay", now):
            return StreamCondition(stream, "unknown")
        found = self._lately("relay", stream.topic, now)
        if found is None:
            # One of the connections that could not be read may be its own.
            return StreamCondition(stream, "unknown" if self._partly["relay"] else "absent")
        at, last = found
        age = last.age_seconds + (now - at)
        if last.age_seconds < self.active_seconds:
            return StreamCondition(stream, "active", age)
        if last.unsaid:
            return StreamCondition(stream, "connected", None if math.isinf(age) else age)
        return StreamCondition(stream, "silent", age)
