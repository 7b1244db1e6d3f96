"""Which changes of a rig are events, and when. Pure.

An event is a change of healthy, of the log-in channel, or of the set of issues. A change counts
once it lasted for `settle`, so that a flap makes none; none is made while a rig is younger than
`startup`, and while nothing is known nothing changes. What an earlier process left behind (the
state file) is where a rig begins: a restart is no event. Without that, the first sight of a rig is
an event only when it is not healthy.

Times are seconds of one clock that never steps; `RigEvent.at_unix` alone is wall time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from t3probe.upstreams.experiments.condition import RigCondition

GAP_SECONDS = 5.0
"""Between two looks that are further apart than this, or than half of `settle`, nobody looked: what
is found then lasts from then on."""
EVENTS_KEPT = 100
"""The events that are kept of one rig; the oldest go."""


class RigState(msgspec.Struct, frozen=True):
    """What an event is a change of."""

    healthy: bool
    jump: bool
    issues: tuple[str, ...] = ()


class RigEvent(msgspec.Struct, frozen=True):
    """One change of one rig."""

    rig: str
    at_unix: float
    state: RigState
    available: bool
    streams: Mapping[str, bool]
    """Topic → whether it works."""


def state_of(condition: RigCondition) -> RigState | None:
    """None: something of it could not be told."""
    healthy, jump = condition.healthy, condition.jump
    if healthy is None or jump is None or condition.available is None:
        return None
    if any(one.active is None for one in condition.streams):
        return None
    return RigState(healthy, jump, condition.issues)


class _Course:
    """One rig over time."""

    def __init__(self, first_seen: float, settled: RigState | None) -> None:
        self.first_seen = first_seen
        self.settled = settled
        """What was told last, or found in the state file."""
        self.candidate: RigState | None = None
        self.since = 0.0
        """Since when the candidate stands."""
        self.available: bool | None = None
        """What it is by now, as far as it is known without a gap."""
        self.available_since = 0.0
        self.events: deque[RigEvent] = deque(maxlen=EVENTS_KEPT)


class RigEvents:
    """The courses of all rigs."""

    def __init__(
        self,
        *,
        settle: float,
        startup: float,
        remembered: Mapping[str, RigState] | None = None,
    ) -> None:
        """`settle` and `startup` in seconds; `remembered`: of the state file, by rig."""
        self.settle_seconds, self.startup_seconds = settle, startup
        self._gap_seconds = max(GAP_SECONDS, settle / 2)
        self._looked_at: float | None = None
        self._remembered = dict(remembered or {})
        self._courses: dict[str, _Course] = {}

    def take(
        self, conditions: Iterable[RigCondition], now: float, now_unix: float
    ) -> list[RigEvent]:
        """The events of this evaluation. Call it at least as often as something is reported."""
        if self._looked_at is not None and now - self._looked_at > self._gap_seconds:
            for course in self._courses.values():  # nobody saw what was in between
                course.since = course.available_since = now
        self._looked_at = now
        return [
            event for one in conditions if (event := self._taken(one, now, now_unix)) is not None
        ]

    def keep(self, rigs: Iterable[str]) -> None:
        """Forget all other rigs: book no longer has them."""
        known = set(rigs)
        for name in [one for one in self._courses if one not in known]:
            del self._courses[name]
        self._remembered = {one: was for one, was in self._remembered.items() if one in known}

    def events(self, rig: str) -> Sequence[RigEvent]:
        """Those that are kept, the oldest first."""
        course = self._courses.get(rig)
        return () if course is None else tuple(course.events)

    def settled(self) -> dict[str, RigState]:
        """What was told last of each rig: the state file's content."""
        found = dict(self._remembered)
        for name, course in self._courses.items():
            if course.settled is not None:
                found[name] = course.settled
        return found

    def state(self, rig: str) -> RigState | None:
        """What was told last of a rig; None: nothing yet."""
        course = self._courses.get(rig)
        return self._remembered.get(rig) if course is None else course.settled

    def first_seen(self, rig: str) -> float | None:
        """When this process saw it first, in seconds of the clock."""
        course = self._courses.get(rig)
        return None if course is None else course.first_seen

    def young(self, rig: str, now: float) -> bool:
        """Whether it is younger than `startup`, or was not seen at all."""
        course = self._courses.get(rig)
        return course is None or now < course.first_seen + self.startup_seconds

    def available(self, rig: str, now: float) -> bool | None:
        """Whether it is available, once that lasted for `settle` without a gap; None until then,
        and while it is young."""
        course = self._courses.get(rig)
        if course is None or self.young(rig, now) or course.available is None:
            return None
        return course.available if now - course.available_since >= self.settle_seconds else None

    def unavailable_since(self, rig: str) -> float | None:
        """Since when it is not available; None: it is, or nobody can tell."""
        course = self._courses.get(rig)
        if course is None or course.available is not False:
            return None
        return course.available_since

    def _taken(self, one: RigCondition, now: float, now_unix: float) -> RigEvent | None:
        name = one.rig.name
        course = self._courses.get(name)
        if course is None:
            course = self._courses[name] = _Course(now, self._remembered.get(name))
        if one.available != course.available:
            course.available, course.available_since = one.available, now
        state = state_of(one)
        if state != course.candidate:
            course.candidate, course.since = state, now
        if state is None or self.young(name, now) or now - course.since < self.settle_seconds:
            return None
        was, course.settled = course.settled, state
        if was == state or (was is None and state.healthy):
            return None
        available = one.available
        assert available is not None
        streams = {each.stream.topic: bool(each.active) for each in one.streams}
        event = RigEvent(name, now_unix, state, available, streams)
        course.events.append(event)
        return event
