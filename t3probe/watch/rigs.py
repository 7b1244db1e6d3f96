"""The rigs of `[experiments]` in the held mode: heard, judged, told, and offered or not.

What is decided stands in `upstreams/experiments`, and is pure. Here it meets time and the services:
relay and jump are listened to, book is read on schedule and written to, one thing after another,
and each evaluation that brings something new becomes one message. Whatever fails is said, tried
again with a pause that grows, and stops nothing else.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from msgspec.structs import replace

from t3probe.config.downtime import planned
from t3probe.config.experiments import most_unavailable
from t3probe.config.types import Deployment, Experiments, Leg
from t3probe.deliver.metrics.exposition import Sheet
from t3probe.observation import Observation
from t3probe.text.names import BOOK, SERVICE_SEGMENTS
from t3probe.text.words import clock as time_of_day
from t3probe.text.words import count, listed, span
from t3probe.timing import RunClock
from t3probe.upstreams.experiments.ask import ServiceError
from t3probe.upstreams.experiments.book import BookingSystem
from t3probe.upstreams.experiments.condition import RigCondition, Sightings
from t3probe.upstreams.experiments.events import RigEvent, RigEvents
from t3probe.upstreams.experiments.listen import StatsListener
from t3probe.upstreams.experiments.manage import AvailabilityWrite, reconciled
from t3probe.upstreams.experiments.memory import RigMemory
from t3probe.upstreams.experiments.messages import SystemAlerts, message
from t3probe.upstreams.experiments.rigs import Offered, Rig, rig_of
from t3probe.upstreams.experiments.seen import (
    ServiceTry,
    rig_legs,
    rigs_seen,
    service_legs,
    service_seen,
)
from t3probe.upstreams.experiments.wire import Service, ServiceReport
from t3probe.watch.log import Log

SERVICES: tuple[Service, ...] = ("relay", "jump")
TICK_SECONDS = 1.0
"""So often everything is looked at."""
PAUSE_SECONDS = 10.0
PAUSE_GROWS_TO_SECONDS = 600.0
"""Between tries to write to book what did not succeed, or to read it."""
KEPT_TRIES = 2
UNANSWERED = 3
"""After so many resources that book does not tell about it is left alone until the next time."""
NAMED = 6
SAID = 100
"""So many warnings are known not to be said twice."""


class RigServices(NamedTuple):
    """The three services, ready to be asked."""

    relay: StatsListener
    jump: StatsListener
    book: BookingSystem


class RigSnapshot(NamedTuple):
    """What is known at one moment. Never changed once it is made."""

    at_unix: float
    conditions: Sequence[RigCondition]
    events: Mapping[str, Sequence[RigEvent]]
    """By rig, the oldest first."""
    newest: Mapping[Service, ServiceReport | None]
    """The newest report of each service; None: it is too old to say anything."""
    first_seen: Mapping[str, float]
    """Unix times, by rig."""
    last_seen: Mapping[Service, Mapping[str, float]]
    """By rig, in Unix seconds, when a service last reported anything of it."""
    in_book: float | None
    """Unix time at which book last named its rigs."""
    services: Mapping[str, Observation]
    """The services' own legs, by name."""
    legs: Mapping[str, Leg]
    """Of the rigs, by name."""
    planned: Callable[[Leg], str]
    """Planned downtime of a leg, as a sentence; empty: none."""

    def seen(self) -> list[Observation]:
        """The services and the rigs as observations, as a run would have them."""
        rigs = rigs_seen(
            self.conditions,
            self.newest["relay"],
            self.newest["jump"],
            self.legs,
            lambda leg: True,
            dict(self.services),
            self.planned,
        )
        return [*self.services.values(), *rigs]


Tell = Callable[[str, str], None]
"""Hands subject and text of a message to those who are told. Never waits."""


class RigWatch:
    """Watches the rigs of one deployment until cancelled."""

    def __init__(
        self,
        deployment: Deployment,
        table: Experiments,
        services: RigServices,
        *,
        clock: RunClock,
        log: Log,
        memory: RigMemory | None = None,
        publish: Callable[[RigSnapshot], None] | None = None,
        dry_run: bool = False,
    ) -> None:
        """`memory`: of an earlier process; without it unhealthy rigs are told at each start.
        `publish` is given each new snapshot. `dry_run`: say what would be written to book, and
        write nothing."""
        self.deployment, self.table = deployment, table
        self._services, self._clock, self._log = services, clock, log
        self._memory, self._publish = memory, publish
        self.tell: Tell = lambda subject, text: None
        """Is given each message."""
        self._dry_run = dry_run
        self._manage = table.manage or dry_run
        remembered, sentence = memory.read() if memory is not None else ({}, "")
        if sentence:
            log.say("warning", text=sentence)
        self.sightings = Sightings(active=float(table.active), reported=float(table.reported))
        self.events = RigEvents(
            settle=float(table.settle), startup=float(table.startup), remembered=remembered
        )
        self._alerts = SystemAlerts(float(table.settle))
        self.rigs: tuple[Rig, ...] = ()
        self._legs: dict[str, Leg] = {}
        """Of the rigs, by name."""
        self.offered: dict[str, Offered] = {}
        """What book said last of each rig."""
        self._read_at = 0.0
        """When book is read again."""
        self._in_book: float | None = None
        self._mismatch: dict[str, str] = {}
        """Rigs of which book says otherwise than was written, and how."""
        self._later: dict[str, tuple[float, float]] = {}
        """Rigs that are not written to before a time, and how long was waited for it."""
        self._held_back: tuple[str, ...] = ()
        self._failed: dict[str, ServiceError] = {}
        self._tries: dict[str, list[ServiceTry]] = {}
        """Of each service the newest ones that failed since it was last heard."""
        self._heard_at: dict[str, float] = {}
        self._newest: dict[Service, ServiceReport] = {}
        self._would: set[AvailabilityWrite] = set()
        self._last_seen: dict[Service, dict[str, float]] = {one: {} for one in SERVICES}
        self._new_events: list[RigEvent] = []
        self._begun: list[str] = []
        self._ended: list[str] = []
        self._told_at = -float(table.settle)
        self._conditions: list[RigCondition] = []
        self._evaluated_at = 0.0
        self.changed: Callable[[], None] = lambda: None
        """Is called when what is shown has changed beyond the ages."""
        self._counts = Sheet()
        self._broken = ""
        self._said: set[str] = set()

    # -- the whole ---------------------------------------------------------------------------

    async def serve(self) -> None:
        """Until cancelled. Raises LoopbackOnlyError."""
        relay, jump = self._services.relay, self._services.jump
        async with asyncio.TaskGroup() as group:
            for one in (relay, jump):
                group.create_task(one.listen(self._heard, self._failure(one.service)))
            group.create_task(self._with_book())
            group.create_task(self._evaluate())

    async def _evaluate(self) -> None:
        while True:
            try:
                self.evaluate()
            except Exception as error:  # ours, and not foreseen: said once, and the rest goes on
                if self._broken != (what := type(error).__name__):
                    self._broken = what
                    self._log.say("error", doing="judging rigs", text=f"judging rigs broke: {what}")
            await self._clock.clock.sleep(TICK_SECONDS)

    # -- what is heard -----------------------------------------------------------------------

    def _heard(self, report: ServiceReport) -> bool:
        service = report.service
        self.sightings.take(report)
        self._newest[service] = report
        at = self._clock.wall_at(report.at)
        seen, names = self._last_seen[service], self._names
        for topic in report.rigs:
            rig = rig_of(topic) if service == "relay" else topic
            if rig in names:
                seen[rig] = at
        self._recovered(service)
        return True

    def _failure(self, service: str) -> Callable[[ServiceError], None]:
        def failed(error: ServiceError) -> None:
            before, now = self._failed.get(service), self._clock.now()
            tries = self._tries.setdefault(service, [])
            began = tries[-1].ended if tries else self._heard_at.get(service, 0.0)
            tries.append(ServiceTry(began, now, error.reason, str(error), tells=error.tells))
            del tries[:-KEPT_TRIES]
            self._failed[service] = error
            if before is None or str(before) != str(error):
                self._log.say("service", service=service, ok=False, text=str(error))

        return failed

    def _recovered(self, service: str) -> None:
        self._heard_at[service] = self._clock.now()
        self._tries.pop(service, None)
        if self._failed.pop(service, None) is not None:
            self._log.say("service", service=service, ok=True)

    # -- evaluating --------------------------------------------------------------------------

    def evaluate(self) -> None:
        """Look at everything once: events, alerts of the system, and at most one message."""
        now = self._clock.now()
        now_unix = self._clock.wall_at(now)
        before = [(one.rig.name, one.available, one.healthy) for one in self._conditions]
        self._conditions, self._evaluated_at = self.sightings.all(self.rigs, now), now
        if before != [(one.rig.name, one.available, one.healthy) for one in self._conditions]:
            self.changed()
        for event in self.events.take(self._conditions, now, now_unix):
            self._new_events.append(event)
            to = "healthy" if event.state.healthy else "unhealthy"
            self._counts.count("t3probe_experiment_events_total", (event.rig, to), 1)
            self._log.say(
                "experiment",
                now_unix,
                experiment=event.rig,
                healthy=event.state.healthy,
                available=event.available,
                issues=list(event.state.issues),
            )
            self.changed()
        begun, ended = self._alerts.take(self._ailing(now), now)
        for ok, sentences in ((False, begun), (True, ended)):
            for sentence in sentences:
                self._log.say("experiments", now_unix, ok=ok, text=sentence)
        self._begun += begun
        self._ended += ended
        self._say(now, now_unix)
        if self._memory is not None:
            try:
                self._memory.write(self.events.settled())
            except OSError as error:
                self._warn(f"the state of rigs cannot be written: {error.strerror or error}")

        if self._publish is not None:
            self._publish(self.shown())

    def _say(self, now: float, now_unix: float) -> None:
        """One message of all that is new, and none sooner than `settle` after the last one."""
        new = self._new_events or self._begun or self._ended
        if not new or now - self._told_at < float(self.table.settle):
            return
        newest = {event.rig: event for event in self._new_events}
        told = message(
            list(newest.values()),
            {name: state for name, state in self.events.settled().items() if name in self._names},
            {one.rig.name: one.available for one in self._conditions},
            begun=self._begun,
            ended=self._ended,
            alerts=self._alerts.standing,
            at_unix=now_unix,
            deployment=self.deployment.name,
        )
        self._told_at = now
        self._new_events, self._begun, self._ended = [], [], []
        self.tell(told.subject, told.text)

    @property
    def _names(self) -> frozenset[str]:
        return frozenset(one.name for one in self.rigs)

    def works(self, service: str) -> bool | None:
        """Whether relay or jump reports, or book answers; None: nothing can be said yet."""
        now = self._clock.now()
        if service == BOOK:
            return False if self._tries.get(BOOK) else True if BOOK in self._heard_at else None
        if self.sightings.fresh(service, now):  # type: ignore[arg-type]
            return True
        if service not in self._heard_at and now < float(self.table.reported):
            return None
        return False

    def _ailing(self, now: float) -> dict[str, str]:
        """What ails the system itself, by a key that stays while it goes on."""
        found: dict[str, str] = {}
        what: dict[Service, str] = {"relay": "streams", "jump": "log-in channels"}
        for service in SERVICES:
            if self.works(service) is not False:
                continue
            newest = self.sightings.newest(service)
            since = "yet" if newest is None else f"since {self._clock_time(newest)} UTC"
            error = self._failed.get(service)
            why = f" ({error})" if error is not None else ""
            found[service] = (
                f"{service} reports nothing {since}{why}: nothing can be told of {what[service]}"
            )
        if error := self._failed.get("book"):
            found["book"] = f"book cannot be used: {error}"
        if self._held_back:
            found["held back"] = (
                f"{count(len(self._held_back), 'rig')} should be taken out and stay in, since "
                f"max_unavailable is {self.table.max_unavailable}: {listed(self._held_back, NAMED)}"
            )
        if self._mismatch:
            said = [f"{name} {how}" for name, how in sorted(self._mismatch.items())]
            found["mismatch"] = f"book says otherwise than was written: {listed(said, NAMED)}"
        return found

    def _clock_time(self, at: float) -> str:
        return time_of_day(self._clock.wall_at(at))

    # -- book --------------------------------------------------------------------------------

    async def _with_book(self) -> None:
        """Read it on schedule, and write what differs, one thing after another."""
        pause = PAUSE_SECONDS
        while True:
            now = self._clock.now()
            if now >= self._read_at:
                if await self._read_book():
                    self._read_at, pause = now + float(self.table.query_book), PAUSE_SECONDS
                else:
                    self._read_at, pause = now + pause, min(2 * pause, PAUSE_GROWS_TO_SECONDS)
            elif self._manage:
                await self._reconcile()
            await self._clock.clock.sleep(TICK_SECONDS)

    async def _read_book(self) -> bool:
        """The rigs, and whether book offers them; whether it told all of it."""
        book = self._services.book
        try:
            found = await asyncio.to_thread(book.rigs)
        except ServiceError as error:
            self._failure("book")(error)  # the rigs that are known stay
            return False
        now = self._clock.now()
        self._in_book = self._clock.wall_at(now)
        for sentence in found.left_out:
            self._warn(f"book: {sentence}")
        before = self._names
        self.rigs = found.rigs
        self._legs = {leg.name: leg for leg in rig_legs(self.rigs)}
        self.events.keep(self._names)
        if self._names != before:
            self._log.say(
                "experiments",
                rigs=len(self.rigs),
                new=sorted(self._names - before)[:NAMED],
                gone=sorted(before - self._names)[:NAMED],
            )
            for rig in self.rigs:
                for to in ("healthy", "unhealthy"):
                    self._counts.count("t3probe_experiment_events_total", (rig.name, to), 0)
        self.offered, untold = await asyncio.to_thread(self._offered)
        for seen in self._last_seen.values():
            for name in [one for one in seen if one not in self._names]:
                del seen[name]
        self._later = {one: at for one, at in self._later.items() if one in self._names}
        if untold is not None:
            self._failure("book")(untold)
            return False
        self._recovered("book")
        return True

    def _offered(self) -> tuple[dict[str, Offered], ServiceError | None]:
        """What book says of each rig, as far as it says it."""
        found: dict[str, Offered] = {}
        failed: list[ServiceError] = []
        for rig in self.rigs:
            try:
                found[rig.name] = self._services.book.offered(rig.resource)
            except ServiceError as error:
                failed.append(error)
                if len(failed) >= UNANSWERED:
                    break
        return found, failed[0] if failed else None

    async def _reconcile(self) -> None:
        now = self._evaluated_at  # later than that nobody has looked
        todo = reconciled(
            self._conditions,
            self.events,
            self.offered,
            now,
            most=most_unavailable(self.table.max_unavailable, len(self.rigs)),
            planned=self._planned(now),
        )
        self._held_back = todo.held_back
        for name in list(self._mismatch):
            said = self.offered.get(name)
            if said is None or said.available == self.events.available(name, now):
                del self._mismatch[name]
        if self._dry_run:
            for write in todo.writes:
                if write not in self._would:
                    self._say_write(write, "would be written")
            self._would = set(todo.writes)
            return
        for write in todo.writes:
            not_before, _ = self._later.get(write.rig, (0.0, 0.0))
            if self._clock.now() >= not_before:
                await self._write(write)

    def _planned(self, now: float) -> dict[str, str]:
        if not self.deployment.downtime:
            return {}
        at = self._clock.wall_at(now)
        found = {}
        for rig in self.rigs:
            words = (planned(self.deployment, one, at) for one in rig_legs([rig]))
            found[rig.name] = next(filter(None, words), "")
        return found

    async def _write(self, write: AvailabilityWrite) -> None:
        """Write, read back, and compare."""
        book = self._services.book

        def written() -> Offered:
            book.write(write.resource, write.available, write.reason)
            return book.offered(write.resource)

        try:
            said = await asyncio.to_thread(written)
        except ServiceError as error:
            self.offered.pop(write.rig, None)  # whether it was written is not known
            self._put_off(write.rig)
            self._read_at = min(self._read_at, self._later[write.rig][0])
            self._failure("book")(error)
            return
        self._recovered("book")
        self.offered[write.rig] = said
        if said.available == write.available:
            self._later.pop(write.rig, None)
            self._mismatch.pop(write.rig, None)
            self._say_write(write, "written")
            return
        self._put_off(write.rig)
        states = {True: "available", False: "unavailable"}
        self._mismatch[write.rig] = f"is {states[said.available]}, not {states[write.available]}"
        self._say_write(write, "written, and book says otherwise")

    def _put_off(self, rig: str) -> None:
        _, waited = self._later.get(rig, (0.0, 0.0))
        pause = min(max(PAUSE_SECONDS, 2 * waited), PAUSE_GROWS_TO_SECONDS)
        self._later[rig] = (self._clock.now() + pause, pause)

    def _say_write(self, write: AvailabilityWrite, what: str) -> None:
        self.changed()
        self._log.say(
            "book",
            experiment=write.rig,
            resource=write.resource,
            available=write.available,
            reason=write.reason,
            text=what,
        )

    def _warn(self, sentence: str) -> None:
        if sentence not in self._said:
            if len(self._said) >= SAID:
                self._said.clear()
            self._said.add(sentence)
            self._log.say("warning", text=sentence)

    # -- showing -----------------------------------------------------------------------------

    def shown(self) -> RigSnapshot:
        """What is known now, for other threads."""
        wall, now = self._clock.wall_at, self._clock.now()
        at = wall(now)
        names = [one.name for one in self.rigs]
        firsts = {name: self.events.first_seen(name) for name in names}
        deployment = self.deployment

        def planned_now(leg: Leg) -> str:
            return planned(deployment, leg, at)

        return RigSnapshot(
            at_unix=at,
            conditions=tuple(self._conditions),
            events={name: self.events.events(name) for name in names},
            newest={
                one: self._newest[one] if self.sightings.fresh(one, now) else None
                for one in SERVICES
            },
            first_seen={name: wall(at) for name, at in firsts.items() if at is not None},
            last_seen={service: dict(found) for service, found in self._last_seen.items()},
            in_book=self._in_book,
            services={
                leg.name: self._service_seen(leg, planned_now(leg)) for leg in service_legs()
            },
            legs=self._legs,
            planned=planned_now,
        )

    @property
    def segments(self) -> list[str]:
        """The segments that the rigs' legs alone have."""
        names = (name for leg in self._legs.values() for name in leg.path)
        return [one for one in dict.fromkeys(names) if one not in SERVICE_SEGMENTS]

    def seen(self) -> list[Observation]:
        """The services' own legs and the rigs', by what is known now. Times are seconds of the
        clock."""
        return self.shown().seen()

    def _service_seen(self, leg: Leg, planned_as: str) -> Observation:
        name = leg.name.removesuffix("-api")
        works, heard_at = self.works(name), self._heard_at.get(name)
        if works is None:
            seen = service_seen(leg, (), "", planned_as)
            return replace(seen, detail="it has not been heard yet")
        if works:
            return service_seen(leg, [ServiceTry(heard_at or 0.0, heard_at or 0.0)], "", planned_as)
        tries = self._tries.get(name)
        if not tries:  # the connection is there, and brings nothing
            began, now = heard_at or 0.0, self._clock.now()
            words = f"it reported nothing for {span(now - began)}"
            tries = [ServiceTry(began, now, "rtt_timeout", words)] * 2
        return service_seen(leg, tries, "", planned_as)

    def fill(self, sheet: Sheet) -> None:
        """Put what a run does not know into it: ages of streams that send, events, book."""
        sheet.absorb(self._counts)
        for one in self._conditions:
            rig = one.rig.name
            for each in one.streams:
                if each.age_seconds is not None:
                    labels = (rig, each.stream.name)
                    sheet.gauge("t3probe_stream_age_seconds", labels, each.age_seconds)
            if self.table.manage:
                sheet.gauge("t3probe_book_mismatch", (rig,), rig in self._mismatch)
