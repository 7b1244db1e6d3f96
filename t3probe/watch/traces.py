"""The held mode's traces: one for each incident, sent once it is over, by a thread of its own.

An incident gets its trace's id with the first of its drops that is told, and that line names it.
Drops that turn out to belong to it later join it. What its first beats were is kept from then on,
since an outage may outlast what a leg's book remembers. Nothing here holds up a beat: building and
sending is done by a thread, which has a bounded queue; what does not fit is counted and said.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from msgspec.structs import replace

from t3probe.config.otel import Receiver
from t3probe.config.types import Deployment
from t3probe.deliver.delivery import receiver_named
from t3probe.deliver.sinks.otlp import send
from t3probe.deliver.traces import wire
from t3probe.deliver.traces.build import Told, incident_trace
from t3probe.exchange.client import Budget
from t3probe.exchange.trace_ids import trace_id
from t3probe.observation import Beat, Drop, Observation, RunRecord
from t3probe.timing import Clock
from t3probe.verdict.incident.run import Incident
from t3probe.watch.log import Log
from t3probe.watch.window import WindowBook

MOST_OPEN = 64
"""Incidents that go on at once and get a trace. Further ones are only told in the log."""
MOST_LEGS = 256
"""Failed legs of one incident that are in its trace."""
MOST_KEPT = 200
"""Beats of a leg that are kept of when its drops were told: the first ones."""
MOST_WAITING = 32
"""Traces that wait to be sent. Further ones are left out."""
END_SECONDS = 2.0
"""How long the end waits until those that wait are sent."""
Key = tuple[str, float, int]
"""A drop: its leg, when it was noticed, and the common beat that it called."""


@dataclass
class _Open:
    """An incident that is told and not over."""

    trace: str
    told: Told
    drops: dict[Key, Drop] = field(default_factory=dict)
    beats: dict[str, dict[tuple[float, int], Beat]] = field(default_factory=dict)
    """Of each failed leg those that were there when it was told."""


@dataclass
class _Work:
    """What the thread needs for one trace."""

    trace: str
    told: Told
    record: RunRecord
    seen: list[Observation]
    deployment: Deployment


def key_of(leg: str, drop: Drop) -> Key:
    """What a drop is known by."""
    return leg, drop.noticed, drop.call


class Traces:
    """The traces of one held mode. All but the sending is done by the caller, in its loop."""

    def __init__(
        self,
        environ: Mapping[str, str],
        log: Log,
        clock: Clock,
        books: Callable[[], Mapping[str, WindowBook]],
    ) -> None:
        self._environ, self._log, self._clock, self._books = environ, log, clock, books
        self._open: list[_Open] = []
        self._newest: tuple[Incident | None, _Open | None] = (None, None)
        self._waiting: queue.Queue[_Work | None] = queue.Queue(MOST_WAITING)
        self._lost = 0
        wire.load()  # an import in the middle of an incident would hold up the beats that judge it
        self._thread = threading.Thread(target=self._work, name="t3probe-traces", daemon=True)
        self._thread.start()

    @property
    def busy(self) -> bool:
        """Whether there is an incident that may be over by now."""
        return bool(self._open)

    def tell(
        self, leg: str, drop: Drop, incident: Incident | None, at: float, record: RunRecord
    ) -> str | None:
        """A drop is told, noticed `at` in Unix seconds: the id of its incident's trace; None where
        it has none."""
        if incident is None:
            return None
        # Drops are told one after the other: those of one incident mostly come together.
        of, one = self._newest
        if of is not incident or one not in self._open:
            drops = {key_of(one.leg, one.drop): one.drop for one in incident.faults}
            one = self._of(drops)
            if one is None:
                if len(self._open) >= MOST_OPEN:
                    self._lost += 1
                    return None
                trace = trace_id(record.deployment, record.vantage, None, at, leg, "incident")
                one = _Open(trace, Told.of(incident))
                self._open.append(one)
            one.told = Told.of(incident)
            one.drops |= drops
            self._newest = incident, one
        one.drops.setdefault(key_of(leg, drop), drop)
        book = self._books().get(leg)
        if book is not None and (leg in one.beats or len(one.beats) < MOST_LEGS):
            kept, since = one.beats.setdefault(leg, {}), incident.began - record.heartbeat_seconds
            for beat in book.beats:
                if beat.ended >= since and len(kept) < MOST_KEPT:
                    kept[beat.sent, beat.conn] = beat
        return one.trace

    def _of(self, drops: Mapping[Key, Drop]) -> _Open | None:
        """The incident that one of these drops is known to be of."""
        found = (one for one in self._open if not one.drops.keys().isdisjoint(drops))
        return next(found, None)

    def send_over(self, now: float, record: RunRecord, deployment: Deployment) -> None:
        """Hand on what is over since a heartbeat: then what came right after it is there, too."""
        for one in list(self._open):
            ended = self._ended(one)
            if ended is not None and now >= ended + record.heartbeat_seconds:
                self._hand_on(one, ended, record, deployment)

    def end(self, now: float, record: RunRecord, deployment: Deployment) -> None:
        """Hand on everything, over or not, and wait for a while until it is sent."""
        for one in list(self._open):
            ended = self._ended(one)
            self._hand_on(one, now if ended is None else ended, record, deployment)
        try:
            self._waiting.put_nowait(None)
        except queue.Full:
            return
        self._thread.join(END_SECONDS)

    def _ended(self, one: _Open) -> float | None:
        """When the last of its drops was over; None while one goes on."""
        ended = one.told.noticed
        books = self._books()
        for (leg, _, _), drop in one.drops.items():
            book = books.get(leg)
            if book is None:
                continue  # the leg is gone
            drop = book.newest(drop)
            if drop.recovered is not None:
                ended = max(ended, drop.recovered)
            elif book.drops and book.drops[-1].noticed == drop.noticed:
                return None
        return ended

    def _hand_on(self, one: _Open, ended: float, record: RunRecord, deployment: Deployment) -> None:
        self._open.remove(one)
        self._newest = (None, None)
        books, seen = self._books(), []
        for name, kept in one.beats.items():
            book = books.get(name)
            if book is not None:
                now = book.present(one.told.began)
                beats = kept | {(beat.sent, beat.conn): beat for beat in now.beats}
                ordered = sorted(beats.values(), key=lambda beat: beat.sent)
                seen.append(replace(now, beats=tuple(ordered)))
        told = one.told._replace(ended=ended)
        try:
            self._waiting.put_nowait(_Work(one.trace, told, record, seen, deployment))
        except queue.Full:
            self._lost += 1

    def _work(self) -> None:
        while (work := self._waiting.get()) is not None:
            try:
                facts = self._send(work)
            except Exception as error:  # the thread lives on: the next trace may be a better one
                facts = {"ok": False, "text": f"tracing broke: {type(error).__name__}"}
            if self._lost:
                facts["traces_lost"], self._lost = self._lost, 0
            self._log.say("trace", trace_id=work.trace, **facts)

    def _send(self, work: _Work) -> dict[str, Any]:
        from t3probe.config import DeploymentError

        receiver: Receiver | None
        try:
            receiver = receiver_named(work.deployment, self._environ)
        except (DeploymentError, ValueError) as error:
            return {"ok": False, "text": str(error)}
        if receiver is None:
            return {"ok": False, "text": "no receiver of traces is named any more"}
        trace = incident_trace(work.record, work.seen, work.told, work.trace)
        report = send(trace, receiver, Budget(self._clock, receiver.seconds), self._clock)
        return {"ok": report.ok, "text": report.sentence}
