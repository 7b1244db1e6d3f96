"""A leg's book for the held mode: minutes of beats and drops, and everything counted.

What the rules of evidence need lies within a few heartbeats and one sweep before a drop; what
is older is forgotten. The bounds hold in number as well, whatever the heartbeat is.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Mapping
from functools import partial
from typing import Literal, NamedTuple, Protocol

import msgspec

from t3probe.config.types import Leg, Timing
from t3probe.observation import (
    Attempt,
    Beat,
    Connection,
    Drop,
    Observation,
    Reason,
    Silence,
    Stage,
    Strand,
)
from t3probe.probes.facts import Echo, Facts, ProbeError
from t3probe.run.book import ANSWERS, Book
from t3probe.run.footing import Footing
from t3probe.run.own_answer import OwnAnswer
from t3probe.verdict.incident.drops import TOGETHER_SECONDS
from t3probe.watch.counts import Blips, LegCounts

MAX_BEATS = 1000
MAX_DROPS = 200
MAX_CONNECTIONS = 50
MAX_FAILURES = 32
MAX_OVER = 8
KEEP_SECONDS = 600.0


def window_seconds(timing: Timing) -> float:
    """How long beats and drops are kept, in seconds: ten minutes, or four times what lies
    between two beats at the most."""
    apart = timing.sweep_interval + timing.heartbeat + timing.watchdog + timing.connect_timeout
    return max(KEEP_SECONDS, 4 * apart)


class Failure(NamedTuple):
    """A fresh attempt that failed. Without the error itself, which holds on to its frames."""

    started: float
    ended: float
    reason: Reason
    stage: Stage
    detail: str
    answered: bool
    evidence: OwnAnswer


class BookListener(Protocol):
    """Who wants to know of what goes into a book."""

    def changed(self) -> None:
        """Something new is in a book."""

    def dropped(self, book: WindowBook, drop: Drop, counts: bool) -> None:
        """A leg dropped; the drop's symptom is not known yet. `counts`: unless it turns out to be
        a blip that stands alone."""

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
        tally: LegCounts,
        keep: Callable[[], float],
        heartbeat: Callable[[], float],
        planned: Callable[[], str],
        wall: Callable[[float], float],
        listener: BookListener,
        blips: Blips,
    ) -> None:
        super().__init__(leg, started, footing)
        self.beats: deque[Beat] = deque(maxlen=MAX_BEATS)
        self.drops: deque[Drop] = deque(maxlen=MAX_DROPS)
        self.tally = tally
        self.alive_at = started
        """When the leg last tried anything, in seconds of the run's clock."""
        self.failures: deque[Failure] = deque(maxlen=MAX_FAILURES)
        """The newest fresh attempts that failed."""
        self.connections: deque[Connection] = deque(maxlen=MAX_CONNECTIONS)
        self.silences: deque[Silence] = deque(maxlen=MAX_CONNECTIONS)
        self._partial: dict[tuple[str, ...], float] = {}
        """What good beats proved that was less than the whole path, and when the newest did."""
        self._keep = keep
        self._heartbeat = heartbeat
        self._planned = planned
        self._wall = wall
        self._listener = listener
        self._blips = blips
        self._judged_to = started
        self._untold_at = -math.inf
        """When the newest attempt in an outage was over that told nothing of the leg."""
        self._over: dict[float, tuple[float, Drop]] = {}
        """Of the newest long outages that are over, by when they were noticed: until when each is
        known to have gone on, and how its newest part is told."""
        self._anew = False
        """The failures that are kept came after a time in which nothing was known."""
        self._newest: Literal["waits", "counted", "planned", "left out"] = "left out"
        """What has become of the newest drop. It waits while it may still turn out to be a blip,
        or to have the held connection's reason."""

    def looked(self, moment: float) -> None:
        self.alive_at = moment
        if self.unresolved or self.collapsed or self.broken:
            self._judged_to = moment  # until now nothing could be seen

    def note_beat(self, beat: Beat) -> None:
        super().note_beat(beat)
        oldest = beat.ended - self._keep()
        while self.beats[0].ended < oldest:
            self.beats.popleft()
        self.alive_at = beat.ended
        self.tally.lives.beat(beat)
        if beat.conclusive and not self._planned():
            stood = self.footing.stood_still(self._judged_to, beat.ended)
            self.tally.observed(max(0.0, beat.ended - self._judged_to - stood))
            self.tally.beat(beat)
        self._judged_to = beat.ended
        self._listener.changed()

    def holds(self, conn: int, opened: float, remote: str) -> None:
        super().holds(conn, opened, remote)
        self.tally.lives.began(conn, opened, remote)
        for beat in self.beats:
            if beat.conn == conn:  # its opening
                self.tally.lives.beat(beat)

    def note_silence(self, one: Silence) -> None:
        super().note_silence(one)
        if not self._planned():
            self.tally.lives.silence(one)
            self._listener.changed()

    def note_answer(self, echo: Echo) -> None:
        self.short = echo.short  # of the newest beat
        if echo.clears is not None:
            self._partial[echo.clears] = echo.ended

    def forget_good(self) -> None:
        super().forget_good()
        if self.down:
            self._untold_at = self.alive_at  # it took another way, or the probe itself broke

    def note_gate(self, found: Mapping[str, bool]) -> None:
        self.gate |= found  # the present, until it is asked anew

    def proved(self, since: float) -> tuple[str, ...] | None:
        """The least that a good beat since then proved; None: the leg's whole path."""
        some = (clears for clears, at in self._partial.items() if at >= since)
        return min(some, key=len, default=None)

    def note_drop(self, drop: Drop) -> None:
        self.count_rest()
        super().note_drop(drop)
        oldest = drop.noticed - self._keep()
        while max(self.drops[0].noticed, self.drops[0].recovered or 0.0) < oldest:
            self.drops.popleft()
        counts = not drop.stalled and not self._planned()
        self._lived(drop)
        self._anew = False
        self._newest = "waits" if counts else "left out" if drop.stalled else "planned"
        self._listener.dropped(self, drop, counts)
        self._decide()
        self._listener.changed()

    def count_rest(self) -> None:
        """Count the newest drop as it stands: nothing more will be known about it."""
        if self._newest == "waits":
            self._newest = "counted"
            self.tally.drop(self.drops[-1], self._wall(self.drops[-1].noticed))

    def _decide(self) -> None:
        """Count the newest drop once it is known what it is."""
        drop = self.drops[-1]
        if self._newest != "waits":
            return
        if drop.symptom == "blip" and drop.lone:
            self._newest = "left out"
            self._blips.add(drop.noticed, self.leg.path, partial(self._has_company, drop))
        elif drop.strand == "held" or drop.symptom != "unknown" or drop.recovered is not None:
            self.count_rest()

    def _has_company(self, blip: Drop) -> None:
        """A blip that stood alone does so no more."""
        self.tally.drop(blip, self._wall(blip.noticed))
        for at, one in enumerate(self.drops):
            if (one.noticed, one.call) == (blip.noticed, blip.call):
                self.drops[at] = msgspec.structs.replace(one, lone=False)

    def bad(
        self,
        sent: float,
        ended: float,
        conn: int,
        error: ProbeError,
        call: int,
        strand: Strand,
        facts: Facts | None = None,
    ) -> None:
        super().bad(sent, ended, conn, error, call, strand, facts)
        if strand == "fresh" and not error.conclusive and self.down:
            self._untold_at = ended
        if strand == "fresh" and error.conclusive:
            if self._newest == "planned" and self.down and not self._planned():
                # It goes on although what was planned is over: from now on it counts.
                self._newest = "counted"
                self.tally.drop(self.drops[-1], self._wall(ended))
                self._listener.dropped(self, self.drops[-1], True)
            last = self.failures[-1].ended if self.failures else sent
            if self._untold_at > last or self.footing.stood_still(last, sent) > 0:
                # Nobody knows whether it worked meanwhile: what is told is compared anew.
                self.failures.clear()
                self._anew = True
            self.failures.append(
                Failure(
                    *(sent, ended, error.reason, error.stage, error.detail),
                    error.reason in ANSWERS or error.answered,
                    self._evidence(error),
                )
            )

    def amend(self, **changes: object) -> None:
        was_down, counted = self.down, self._newest == "counted"
        super().amend(**changes)
        drop = self.drops[-1]
        self._lived(drop)
        age = drop.connection_age_seconds
        if counted and "connection_age_seconds" in changes and age is not None:
            self.tally.died(age)  # its connection outlived the moment when it was counted
        self._decide()
        if was_down and not self.down:
            drop = self.drops[-1]
            lasted, told = self._lasted_to(drop), self._going_on(drop, math.inf)
            if lasted != drop.recovered or told is not drop:
                self._over[drop.noticed] = lasted, told
                for noticed in list(self._over)[:-MAX_OVER]:
                    del self._over[noticed]
            self._listener.recovered(self, self.drops[-1])
        self._listener.changed()

    def _lived(self, drop: Drop) -> None:
        """Remember how long its connection lived. What is planned counts like a stall of ours."""
        if self._planned():
            drop = msgspec.structs.replace(drop, stalled=True)
        self.tally.lives.drop(drop)

    def newest(self, drop: Drop) -> Drop:
        """What has become of a drop since it was noted."""
        for one in reversed(self.drops):
            if (one.noticed, one.call) == (drop.noticed, drop.call):
                return one
        return drop

    def present(self, since: float) -> Observation:
        """The leg as a run that began at `since` would have seen it.

        Of drops those noticed since then, and those of outages that went on since then. The
        newest outage, when it began before, is told as such a run would tell it: from `since` to
        the newest attempt that failed. What others did when it began is forgotten in a long one.
        """
        drops = [one for one in self.drops if one.noticed >= since or self._lasted_to(one) >= since]
        for at, one in enumerate(drops):
            if one.noticed < since and one is self.drops[-1]:
                drops[at] = self._going_on(one, since)
            elif one.noticed < since and one.noticed in self._over:
                drops[at] = self._over[one.noticed][1]
        seen = self.observation(self._planned(), drops)
        if self.tally.memory is not None:
            seen = msgspec.structs.replace(seen, baseline=self.tally.memory.baseline)
        return seen

    def _lasted_to(self, drop: Drop) -> float:
        """Until when an outage is known to have gone on. Where the newest attempt told nothing, as
        when the leg takes another way by then, the last one that failed is all that is known."""
        if drop is not self.drops[-1]:
            if drop.recovered is None:
                return drop.noticed  # it went on as the next one
            return self._over.get(drop.noticed, (drop.recovered, drop))[0]
        over = math.inf if drop.recovered is None else drop.recovered
        failed = max([drop.noticed, *(one.ended for one in self.failures if one.ended <= over)])
        return failed if failed < self._untold_at <= over else over

    def _going_on(self, drop: Drop, since: float) -> Drop:
        """A long outage, told by the two newest failed fresh attempts between which every other
        leg has beaten and was answered: retries come in between, and meet no beat of anybody else.
        What began with the second one may have met the repair, and clears nothing."""
        over = math.inf if drop.recovered is None else drop.recovered
        failures = [one for one in self.failures if one.ended <= over]
        second = failures[-1] if failures else None
        if second is None:
            return drop
        answered = second.started - TOGETHER_SECONDS
        slot = math.floor(answered / self._heartbeat() + 1e-6) * self._heartbeat()
        first = next((one for one in reversed(failures) if one.ended < slot), None)
        if first is None and self._anew:
            return msgspec.structs.replace(
                drop,
                began=min(max(drop.began, since), second.started),
                onset=drop.began,
                noticed=second.ended,
                symptom="unknown",
                call=0,
                asked=second.started,
                answered=second.answered,
                accused=second.evidence.accused,
                detail=second.detail,
                attempt=None,
                carried=second.evidence.carried,
                evidence=second.evidence.words,
            )
        if first is None or first.ended <= drop.noticed:
            return drop
        return msgspec.structs.replace(
            drop,
            began=min(max(drop.began, since), first.started),
            onset=drop.began,
            noticed=first.ended,
            symptom="refusing" if drop.symptom == "refusing" else "down",
            call=0,
            asked=first.started,
            answered=first.answered,
            accused=first.evidence.accused,
            detail=second.detail,
            attempt=Attempt(
                started=second.started,
                ended=second.started,
                ok=False,
                reason=second.reason,
                stage=second.stage,
                detail=second.detail,
                carried=second.evidence.carried,
                accused=second.evidence.accused,
                remote_address=drop.remote_address,
                refused_at=drop.attempt.refused_at if drop.attempt is not None else (),
            ),
            carried=first.evidence.carried,
            evidence=second.evidence.words,
        )
