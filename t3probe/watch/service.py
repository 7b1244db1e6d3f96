"""The held mode as a whole: the engine, what it publishes, what it says, and its reloads."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Mapping, Sequence
from functools import partial
from importlib import import_module
from pkgutil import walk_packages
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from t3probe import verdict
from t3probe.config import DeploymentError, legs_for
from t3probe.config.types import Deployment, Leg
from t3probe.deliver.delivery import messenger_of
from t3probe.deliver.metrics.exposition import Sheet
from t3probe.exchange.trace_ids import Parents, trace_id
from t3probe.observation import RECORD_VERSION, Drop, Observation, RunRecord
from t3probe.probes import ONE_SHOT, preload
from t3probe.probes.tls import small_buffers
from t3probe.run.conclude import settled
from t3probe.text.names import SERVICE_SEGMENTS, of_rigs
from t3probe.text.words import some, utc
from t3probe.timing import RunClock, next_beat
from t3probe.verdict.incident.run import RunVerdict, judge_run
from t3probe.watch.held import Held
from t3probe.watch.http import SignsOfLife, Snapshot, beat_limit
from t3probe.watch.lives import KnownLimits
from t3probe.watch.log import Log, Pending, Reports, drop_facts, incident_of, verdict_facts
from t3probe.watch.window import WindowBook

if TYPE_CHECKING:
    from t3probe.watch.notices import Words
    from t3probe.watch.opinions import OpinionWatch
    from t3probe.watch.rigs import RigWatch
    from t3probe.watch.traces import Traces

TICK_SECONDS = 1.0
PUBLISH_SECONDS = 10.0
"""Without any news a snapshot is made this often: its time says that we are there."""
RECENT_SECONDS = 60.0
"""A drop that is over shows in states and verdicts for so long, as the drop of a run shows until
the next run ends a minute later. An outage shows for as long as it goes on."""
LAG_SECONDS = 60
"""The loop's lateness is the worst of so many seconds: what a run would have had."""
MANY_LEGS = 256
"""From so many legs on, judging is done in a thread, and looking at them in portions."""
NAMED = 20


class Watch:
    """Holds the legs of a deployment until told to stop. `serve` may be called once."""

    def __init__(
        self,
        deployment: Deployment,
        *,
        load: Callable[[], Deployment],
        vantage: str,
        log: Log,
        publish: Callable[[Snapshot], None],
        health: SignsOfLife,
        clock: RunClock,
        rigs: RigWatch | None = None,
        traced: Mapping[str, str] | None = None,
        told: Mapping[str, str] | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        """`load` reads the deployment file anew for a reload; `vantage` may be empty: the
        deployment's own. `rigs`: those of `[experiments]`. `traced`: the environment, where traces
        of incidents are to be sent; `told`: the same, where people are to be told by mail and
        webhooks; `environ`: the same, where logins of `[[opinion]]` stand."""
        self.deployment = deployment
        self._rigs = rigs
        if rigs is not None:
            rigs.changed = self.changed
        self.clock = clock
        self._load = load
        self._vantage = vantage
        self._log = log
        self._publish = publish
        self._health = health
        self._reports = Reports()
        self._limits = KnownLimits(log)
        self._reload = asyncio.Event()
        self._news = True
        self._told_news = asyncio.Event()
        self._published_at = 0.0
        self._lags: deque[float] = deque(maxlen=max(1, round(LAG_SECONDS / TICK_SECONDS)))
        self._said_broken: dict[str, str] = {}
        self.held = Held(deployment, self._legs(deployment), clock=clock, listener=self)
        self._traces: Traces | None = None
        if traced is not None:
            from t3probe.watch.traces import Traces

            self._traces = Traces(traced, log, clock.clock, lambda: self.held.books)
            self._name_parents()
        self._environ = environ or {}
        self._judged: RunVerdict | None = None
        self._opinions = self._asked(deployment)
        self._told_by = told
        self._words = self._people(deployment, None)
        if rigs is not None:
            rigs.tell = self._tell_people

    def _asked(self, deployment: Deployment) -> OpinionWatch | None:
        """Whoever is asked for an opinion. Raises DeploymentError or ValueError."""
        if not deployment.opinion:
            return None
        from t3probe.watch.opinions import OpinionWatch

        vantage = self._vantage or deployment.vantage
        window = RECENT_SECONDS + 2 * PUBLISH_SECONDS
        return OpinionWatch(deployment, vantage, self.clock, self._environ, window)

    def _tell_people(self, subject: str, text: str) -> None:
        if self._words is not None:
            self._words.tell(subject, text)

    def _people(self, deployment: Deployment, words: Words | None) -> Words | None:
        """Who tells people from now on. Raises DeploymentError or ValueError."""
        if self._told_by is None:
            return None
        messenger = messenger_of(deployment, self._told_by, self.clock.clock)
        if messenger is not None and self._rigs is not None:
            messenger.told_elsewhere = of_rigs
        if words is not None:
            words.change(messenger)
        elif messenger is not None:
            from t3probe.watch.notices import Words

            words = Words(messenger, self._log, self.clock.clock)
        return words

    @property
    def vantage(self) -> str:
        """Where this runs from, for the metrics' label."""
        return self._vantage or self.deployment.vantage

    def _name_parents(self) -> None:
        """Let requests name a trace where the file wishes it: each one of its own, to which that of
        an incident links."""
        otlp, started = self.deployment.delivery.otlp, self.clock.started_at
        self.held.probing.parents = None
        if self._traces is not None and otlp is not None and otlp.traceparent != "off":
            whole = trace_id(self.deployment.name, self.vantage, None, started, "requests")
            sampled = otlp.traceparent == "sampled"
            self.held.probing.parents = Parents(lambda: whole, sampled=sampled, apart=True)

    def _legs(self, deployment: Deployment) -> Sequence[Leg]:
        legs, warning = legs_for(deployment, self._vantage or deployment.vantage)
        warnings = [*deployment.warnings, *([warning] if warning else [])]
        if deployment.upstream_source:
            warnings.append("the held mode reads no upstream_source: their upstreams are not held")
        if deployment.delivery.remote_write:
            warnings.append("the held mode writes to no receiver of remote write: it is scraped")
        for sentence in warnings:
            self._log.say("warning", text=sentence)
        preload(legs)
        small_buffers()
        # An import in the middle of an incident would hold up the beats that judge it.
        for module in walk_packages(verdict.__path__, f"{verdict.__name__}."):
            import_module(module.name)
        return legs

    # -- what the books tell ---------------------------------------------------------------

    def changed(self) -> None:
        self._news = True

    def dropped(self, book: WindowBook, drop: Drop, counts: bool) -> None:
        late = self.clock.now() - drop.noticed > RECENT_SECONDS
        pending = Pending(book, drop, counts, late)
        if self._reports.add(pending):
            self._told_news.set()
        else:
            self._say_drop(pending, None)

    def recovered(self, book: WindowBook, drop: Drop) -> None:
        leg = book.leg.name
        if drop.recovered is not None and self._reports.closes(leg):
            self._log.say(
                "recovery",
                self.clock.wall_at(drop.recovered),
                leg=leg,
                reason=drop.reason,
                down_seconds=round(drop.recovered - drop.began, 3),
            )

    # -- the whole ---------------------------------------------------------------------------

    def stop(self) -> None:
        """End within a few seconds. Made for a signal handler of the loop."""
        self.held.stop()

    def reload(self) -> None:
        """Read the file anew. Made for a signal handler of the loop."""
        self._reload.set()

    async def serve(self) -> None:
        """Hold until `stop`. Raises LoopbackOnlyError when a leg tried to leave loopback."""
        self._make_snapshot(self._present(self.clock.now() - RECENT_SECONDS))
        # An exception there is ours, and at the start it is better said than lived with.
        holding = asyncio.create_task(self.held.run())
        work: list[Coroutine[Any, Any, None]] = [self._tick(), self._tell(), self._reloads()]
        work.append(self._ask_opinions())
        if self._rigs is not None:
            work.append(self._rigs.serve())
        side = [asyncio.create_task(one) for one in work]
        try:
            await asyncio.wait([holding, *side], return_when=asyncio.FIRST_COMPLETED)
            self.held.stop()
            await holding
        finally:
            ended = [task for task in side if task.done()]
            for task in side:
                task.cancel()
            await asyncio.gather(*side, return_exceptions=True)
            self._tell_all()
            if self._words is not None:
                await asyncio.to_thread(self._words.end)
            if self._traces is not None:
                # In a thread: what its own one still logs is written by another.
                record = self._record()
                await asyncio.to_thread(self._traces.end, self.clock.now(), record, self.deployment)
        for task in ended:
            task.result()

    async def _tick(self) -> None:
        """Once a second: say that we are there, and publish what is new."""
        while True:
            held, now = self.held, self.clock.now()
            self._lags.append(held.footing.worst_seconds)
            held.footing.worst_seconds = 0.0
            books = list(held.books.values())
            newest = max((book.alive_at for book in books), default=now)
            oldest = min(books, key=lambda book: book.alive_at, default=None)
            holds = any(book.leg.kind not in ONE_SHOT for book in books)
            self._health.turned(
                now - newest,
                beat_limit(held.timing, holds),
                "" if oldest is None else oldest.leg.name,
            )
            if self._traces is not None and self._traces.busy:
                try:
                    self._traces.send_over(now, self._record(), self.deployment)
                except Exception as error:
                    self._broke("tracing", error)
            if self._news or now - self._published_at >= PUBLISH_SECONDS:
                self._news = False
                try:
                    await self._renew()
                except Exception as error:
                    self._broke("publishing", error)
                self._published_at = now
            await self.clock.clock.sleep(TICK_SECONDS)

    async def _ask_opinions(self) -> None:
        """Every sweep: what programs on the path say of themselves."""
        while True:
            asked = self._opinions
            if asked is not None and self._judged is not None:
                try:
                    said = await asked.ask()
                    asked.take(said, self._judged.verdict)
                except Exception as error:
                    self._broke("asking for opinions", error)
                self._news = True
            every = self.held.timing.sweep_interval if asked is None else asked.every_seconds
            await self.clock.clock.sleep(float(every))

    # -- publishing --------------------------------------------------------------------------

    async def _renew(self) -> None:
        since = self.clock.now() - RECENT_SECONDS
        if len(self.held.legs) <= MANY_LEGS:
            self._make_snapshot(self._present(since))
            return
        seen: list[Observation] = []
        for number, leg in enumerate(list(self.held.legs)):
            seen.append(self._book(leg.leg).present(since))
            if number % MANY_LEGS == 0:
                await asyncio.sleep(0)
        record, seen = self._record(), self._settled(since, seen)
        judged = await asyncio.to_thread(judge_run, record, seen)
        self._show(record, seen, judged)

    def _present(self, since: float) -> list[Observation]:
        return self._settled(since, [self._book(leg.leg).present(since) for leg in self.held.legs])

    def _settled(self, since: float, seen: Sequence[Observation]) -> list[Observation]:
        """What is seen as a whole. A leg clears no more than each of its beats proved, from the
        first of these drops on: what the newest one proves says nothing about an outage before."""
        oldest = min([since, *(drop.began for one in seen for drop in one.drops)])
        proved = {name: book.proved(oldest) for name, book in self.held.books.items()}
        whole = [
            one if (clears := proved.get(one.leg)) is None else replace(one, clears=clears)
            for one in seen
        ]
        return [*settled(whole), *(self._rigs.seen() if self._rigs is not None else ())]

    def _book(self, leg: Leg) -> WindowBook:
        return self.held.books[leg.name]

    def _make_snapshot(self, seen: list[Observation]) -> None:
        record = self._record()
        self._show(record, seen, judge_run(record, seen))

    def _show(self, record: RunRecord, seen: list[Observation], judged: RunVerdict) -> None:
        try:
            judged.with_limits(self._limits.look(record, seen, self.held.tallies))
        except Exception as error:
            judged.with_limits(())
            self._broke("looking for limits", error)
        counts = Sheet()
        for tally in self.held.tallies.values():
            counts.absorb(tally.sheet)
        if self._rigs is not None:
            self._rigs.fill(counts)
        self._publish(Snapshot(record, tuple(seen), judged, counts))
        self._judged = judged
        if self._words is not None:
            self._words.look(record, seen, judged)

    def _record(self) -> RunRecord:
        """What a run that ended now would know of itself. Its start is ours."""
        deployment, now = self.deployment, self.clock.now()
        rigs = self._rigs
        here = {leg.leg.name for leg in self.held.legs}
        return RunRecord(
            version=RECORD_VERSION,
            deployment=deployment.name,
            segments=(*deployment.segments, *(() if rigs is None else SERVICE_SEGMENTS)),
            own_segments=(*deployment.own_segments, *(() if rigs is None else rigs.segments)),
            paths=deployment.paths,
            spread=deployment.spread,
            local=deployment.local,
            gloss=deployment.gloss,
            started_at=self.clock.wall_at(0.0),
            duration_seconds=now,
            hold_seconds=now,
            heartbeat_seconds=float(deployment.timing.heartbeat),
            watchdog_seconds=float(deployment.timing.watchdog),
            slow_floor_seconds=float(deployment.timing.slow_floor),
            vantage=self.vantage,
            loop_lag_seconds=max([0.0, *self._lags]),
            not_run=tuple(leg.name for leg in deployment.legs if leg.name not in here),
            warnings=deployment.warnings,
            opinions=() if self._opinions is None else self._opinions.views,
        )

    # -- saying ------------------------------------------------------------------------------

    async def _tell(self) -> None:
        """A line for each drop, once its symptom is known, its common beat and the next regular one
        are over, or after a bounded time."""
        waiting, held = self._reports.waiting, self.held
        while True:
            while not waiting:
                self._told_news.clear()
                await self._told_news.wait()
            first, late = waiting[0].drop, waiting[0].late
            limit = 2 * (held.timing.watchdog + 2 * held.timing.connect_timeout)
            await held.until(partial(self._ready, waiting[0]), first.noticed + limit)
            # One regular beat more: a connection as old as the one that died is then older.
            slot = next_beat(self.clock.now(), held.timing.heartbeat)
            await held.until(partial(held.beaten_since, slot), slot + held.timing.connect_timeout)
            if held.finished:
                return
            ready = [waiting.popleft()]
            while waiting and waiting[0].drop.noticed < slot:
                if not self._ready(waiting[0]):
                    break
                ready.append(waiting.popleft())
            since = self.clock.now() - RECENT_SECONDS
            if not late:
                since = min(since, first.noticed)
            record, seen = self._record(), self._present(since)
            if len(seen) > MANY_LEGS:
                judged = await asyncio.to_thread(self._judge_or_none, record, seen)
            else:
                judged = self._judge_or_none(record, seen)
            for one in ready:
                self._say_drop(one, judged)

    def _ready(self, pending: Pending) -> bool:
        """Whether its common beat is over, and its symptom is known."""
        return self.held.all_done(pending.drop.call) and pending.decided

    def _tell_all(self) -> None:
        """What still waits at the end is told as it stands."""
        waiting, judged = self._reports.waiting, None
        if waiting and len(self.held.legs) <= MANY_LEGS:
            seen = self._present(waiting[0].drop.noticed)
            judged = self._judge_or_none(self._record(), seen)
        while waiting:
            self._say_drop(waiting.popleft(), judged)

    def _judge_or_none(self, record: RunRecord, seen: list[Observation]) -> RunVerdict | None:
        try:
            return judge_run(record, seen)
        except Exception as error:
            self._broke("judging", error)
            return None

    def _broke(self, doing: str, error: Exception) -> None:
        """Something of ours broke that was not foreseen: said, and the probing goes on."""
        what = type(error).__name__
        if self._said_broken.get(doing) != what:
            self._said_broken[doing] = what
            self._log.say("error", doing=doing, text=f"{doing} broke: {what}; the probing goes on")

    def _say_drop(self, pending: Pending, judged: RunVerdict | None) -> None:
        leg, drop = pending.book.leg.name, pending.book.newest(pending.drop)
        self._reports.told(leg, drop)
        incident = None if judged is None else incident_of(judged, leg, drop)
        noticed = self.clock.wall_at(drop.noticed)
        trace: dict[str, str] = {}
        if self._traces is not None:
            try:
                told = self._traces.tell(leg, drop, incident, noticed, self._record())
            except Exception as error:
                told = None
                self._broke("tracing", error)
            trace = {} if told is None else {"trace_id": told}
        times = {"began": drop.began, "recovered": drop.recovered}
        self._log.say(
            "drop",
            noticed,
            **drop_facts(pending, drop),
            **{
                name: None if at is None else utc(self.clock.wall_at(at))
                for name, at in times.items()
            },
            **trace,
            verdict=verdict_facts(incident),
        )

    # -- reloading ---------------------------------------------------------------------------

    async def _reloads(self) -> None:
        while True:
            await self._reload.wait()
            self._reload.clear()
            try:
                deployment = self._load()
                legs = self._legs(deployment)
                opinions = self._asked(deployment)
                self._words = self._people(deployment, self._words)
            except (DeploymentError, ValueError, ImportError, OSError) as error:
                # The last two: a new kind of leg, and no descriptor left to import its probe with.
                self._log.say("reload", ok=False, error=str(error), text="the old file holds")
                continue
            if deployment.experiments != self.deployment.experiments:
                self._log.say(
                    "warning", text="[experiments] has changed: it holds from the next start on"
                )
            before = dict(self.held.books)
            self.deployment, self._opinions = deployment, opinions
            self._name_parents()
            stayed, began, ended = await self.held.change(deployment, legs)
            after = self.held.books
            self._reports.keep_only({n: one for n, one in after.items() if before.get(n) is one})
            self._news = True
            self._log.say(
                "reload",
                ok=True,
                stayed=stayed,
                began=began,
                ended=ended,
                new=some(sorted(after.keys() - before.keys()), NAMED),
                gone=some(sorted(before.keys() - after.keys()), NAMED),
            )
