"""A leg's book for the held mode: minutes of beats and drops, and everything counted.

What the rules of evidence need lies within a few heartbeats and one sweep before a drop; what
is older is forgotten. The bounds hold in number as well, whatever the heartbeat is.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import NamedTuple, Protocol

import msgspec

from t3probe.config.types import Leg, Timing
from t3probe.observation import Attempt, Beat, Drop, Observation, Reason, Stage
from t3probe.probes.base import ProbeError
from t3probe.run.book import Book
from t3probe.run.evidence import Evidence, evidence
from t3probe.run.footing import Footing
from t3probe.watch.tally import Tally

__all__ = ["Listener", "WindowBook", "window_seconds"]

MAX_BEATS = 1000
MAX_DROPS = 200
KEEP_SECONDS = 600.0


def window_seconds(timing: Timing) -> float:
    """How long beats and drops are kept, in seconds: ten minutes, or four times what lies
    between two beats at the most."""
    apart = timing.sweep_interval + timing.heartbeat + timing.watchdog + timing.connect_timeout
    return max(KEEP_SECONDS, 4 * apart)


class Failure(NamedTuple):
    """The newest attempt that failed. Without the error itself, which holds on to its frames."""

    started: float
    ended: float
    reason: Reason
    stage: Stage
    detail: str
    evidence: Evidence


class Listener(Protocol):
    """Who wants to know of what goes into a book."""

    def changed(self) -> None:
        """Something new is in a book."""

    def dropped(self, book: WindowBook, drop: Drop, counted: bool) -> None:
        """A leg dropped; the drop's symptom is not known yet."""

    def recovered(self, book: WindowBook, drop: Drop) -> None:
        """An outage is over."""


class WindowBook(Book):
    """Keeps what is new, counts what is true for ever."""

    def __init__(
        self,
        leg: Leg,
        started: float,
        footing: Footing,
        *,
        tally: Tally,
        keep: Callable[[], float],
        planned: Callable[[], str],
        wall: Callable[[float], float],
        listener: Listener,
    ) -> None:
        super().__init__(leg, started, footing)
        self.beats: deque[Beat] = deque(maxlen=MAX_BEATS)
        self.drops: deque[Drop] = deque(maxlen=MAX_DROPS)
        self.tally = tally
        self.alive_at = started
        """When the leg last tried anything, in seconds of the run's clock."""
        self.failure: Failure | None = None
        self._keep = keep
        self._planned = planned
        self._wall = wall
        self._listener = listener
        self._judged_to = started
        self._openings: dict[int, Beat] = {}
        """The first good beat of each connection in the window, however long ago it was: a
        connection of days is not to look like one of minutes."""

    def looked(self, moment: float) -> None:
        self.alive_at = moment
        if self.unresolved or self.collapsed or self.broken:
            self._judged_to = moment  # until now nothing could be seen

    def note_beat(self, beat: Beat) -> None:
        super().note_beat(beat)
        oldest = beat.ended - self._keep()
        while self.beats[0].ended < oldest:
            self.beats.popleft()
        if beat.ok and beat.conn not in self._openings:
            first = self.beats[0].conn
            self._openings = {conn: one for conn, one in self._openings.items() if conn >= first}
            self._openings[beat.conn] = beat
        self.alive_at = beat.ended
        if beat.tells and not self._planned():
            stood = self.footing.stood_still(self._judged_to, beat.ended)
            self.tally.observed(max(0.0, beat.ended - self._judged_to - stood))
            self.tally.beat(beat)
        self._judged_to = beat.ended
        self._listener.changed()

    def note_drop(self, drop: Drop) -> None:
        super().note_drop(drop)
        oldest = drop.noticed - self._keep()
        while self.drops[0].noticed < oldest:
            self.drops.popleft()
        counted = not drop.stalled and not self._planned()
        if counted:
            self.tally.drop(drop, self._wall(drop.noticed))
        self._listener.dropped(self, drop, counted)
        self._listener.changed()

    def bad(self, sent: float, ended: float, conn: int, error: ProbeError, call: int) -> None:
        super().bad(sent, ended, conn, error, call)
        if error.tells:
            proof = evidence(self.leg, error, self.before(conn))
            self.failure = Failure(sent, ended, error.reason, error.stage, error.detail, proof)

    def amend(self, **changes: object) -> None:
        super().amend(**changes)
        self._listener.changed()

    def recover(self, moment: float) -> None:
        if self.down:
            super().recover(moment)
            self._listener.recovered(self, self.drops[-1])

    def newest(self, drop: Drop) -> Drop:
        """What has become of a drop since it was noted."""
        for one in reversed(self.drops):
            if (one.noticed, one.call) == (drop.noticed, drop.call):
                return one
        return drop

    def present(self, since: float) -> Observation:
        """The leg as a run that began at `since` would have seen it.

        Of drops those noticed since then, and those of outages that were over since then. An
        outage that began before and goes on is told as such a run would tell it: from `since` to
        the newest attempt that failed.
        """
        drops = [one for one in self.drops if max(one.noticed, one.recovered or 0.0) >= since]
        if self.down and self.drops[-1].noticed < since:
            drops = [*drops, self._going_on(self.drops[-1], since)]
        seen = self.observation(self._planned(), drops)
        if self.tally.memory is not None:
            seen = msgspec.structs.replace(seen, baseline=self.tally.memory.baseline)
        if not self.beats:
            return seen
        first = self.beats[0]
        opened = [
            one
            for conn, one in self._openings.items()
            if conn >= first.conn and one.sent < first.sent
        ]
        return msgspec.structs.replace(seen, beats=(*opened, *seen.beats)) if opened else seen

    def _going_on(self, drop: Drop, since: float) -> Drop:
        failed = self.failure
        if failed is None or failed.ended <= drop.noticed:
            return drop
        return msgspec.structs.replace(
            drop,
            began=min(max(drop.began, since), failed.started),
            noticed=failed.ended,
            symptom="down",
            call=0,
            detail=failed.detail,
            attempt=Attempt(
                started=failed.started,
                ended=failed.ended,
                ok=False,
                reason=failed.reason,
                stage=failed.stage,
                detail=failed.detail,
            ),
            carried=failed.evidence.carried,
            carried_at=failed.started if failed.evidence.carried else None,
            lost=failed.evidence.lost,
            evidence=failed.evidence.words,
        )
