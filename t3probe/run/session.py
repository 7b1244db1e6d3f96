"""What one pytest session of the checks knows: deployment, selected legs, the run, its results.

The plugin turns pytest's hooks into calls here; nothing in this module knows of pytest's
hooks, and nothing here judges.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from t3probe.config import Deployment, Leg, legs_for, planned
from t3probe.config.types import RIG_KINDS
from t3probe.exchange.trace_ids import Parents, trace_id
from t3probe.observation import RECORD_VERSION, Baseline, Observation, OpinionView, RunRecord
from t3probe.probes import preload
from t3probe.run.book import continued
from t3probe.run.conclude import looked_again, settled, undialled
from t3probe.run.controller import Run
from t3probe.run.footing import Footing
from t3probe.run.sweep.start import begin_sweep
from t3probe.timing import Clock, RunClock, SystemClock

if TYPE_CHECKING:
    from t3probe.config.shard import Shard
    from t3probe.run.sweep.parent import Sweep
    from t3probe.upstreams.experiments.in_run import RunExperiments

STOP_SECONDS = 4.9
"""A run that is told to end has ended by then: a little less than the five promised."""


class Session:
    """One run from the selection of its legs to its record."""

    def __init__(
        self,
        deployment: Deployment,
        *,
        vantage: str,
        hold: float | None,
        shard: Shard | None = None,
        system: Clock | None = None,
    ) -> None:
        self._system: Clock = system or SystemClock()
        self._stopped_at = 0.0
        self._loop: asyncio.AbstractEventLoop | None = None
        self.deployment = deployment
        self.vantage = vantage
        self.available, self.vantage_warning = legs_for(deployment, vantage)
        self._hold = hold
        self._shard = shard
        self.clock: RunClock | None = None
        self.selected: tuple[Leg, ...] = ()
        self.observations: dict[str, Observation] = {}
        self.baselines: dict[str, Baseline] = {}
        """What was usual before this run, by leg; set before `measure`, where it can be had."""
        self.own_checks: dict[str, tuple[str, ...]] = {}
        """Checks with their own body: name -> the segments their marker names."""
        self.reporting: RunExperiments | None = None
        """The remote rigs of the run; set before `measure`, where there are any."""
        self.opinions: tuple[OpinionView, ...] = ()
        """What programs on the path said of themselves; set after `measure`."""
        self.traced = False
        """Whether the run's trace is to be delivered: its record then names it, and so do requests
        where the file wishes it. Set before `measure`."""
        self._parents: Parents | None = None
        self.probed = False
        self.interrupted = False
        self.loop_lag_seconds = 0.0
        self.throttled_seconds: float | None = None
        self.clock_step_seconds = 0.0
        self.calls = 0
        """How many common beats were called."""
        self._looked_seconds = 0.0
        """So long the common beats after checks of their own took."""
        self._run: Run | None = None

    @property
    def hold_seconds(self) -> float:
        """The hold in force."""
        return float(self.deployment.timing.hold if self._hold is None else self._hold)

    def elapsed(self) -> float:
        """Seconds since the probing began; 0 before."""
        return 0.0 if self.clock is None else self.clock.now()

    def use(self, deployment: Deployment) -> None:
        """Go on with a deployment that has the same legs but real ports."""
        self.deployment = deployment
        self.available, self.vantage_warning = legs_for(deployment, self.vantage)

    def measure(self, names: Sequence[str], progress: Callable[[Run], None] | None) -> None:
        """Probe the legs called `names`, all at once, to the end of the hold."""
        chosen = set(names)
        self.selected = tuple(leg for leg in self.available if leg.name in chosen)
        dialled, sweep = self._dialled, None
        if not self.interrupted:
            sweep = begin_sweep(self.deployment, dialled)
            preload(dialled)
            if self.reporting is not None and self._listens:
                self.reporting.preload()
        self.clock = RunClock(self._system)
        otlp = self.deployment.delivery.otlp
        if self.traced and otlp is not None and otlp.traceparent != "off":
            self._parents = Parents(
                partial(self._trace_id, self.clock), sampled=otlp.traceparent == "sampled"
            )
        self.probed = True
        for leg in self.selected:
            if leg.hostless and not self.interrupted:
                self.observations[leg.name] = undialled(leg, self._planned(leg))
        listens = self._listens
        if not self.interrupted and (dialled or listens):
            for seen in asyncio.run(self._measure(self.hold_seconds, progress, sweep)):
                if seen.leg in self.baselines:
                    seen = msgspec.structs.replace(seen, baseline=self.baselines[seen.leg])
                self.observations[seen.leg] = seen
        elif sweep is not None:
            sweep.give_up()
        if self.reporting is not None and listens:
            names = [leg.name for leg in self.selected]
            for seen in self.reporting.observations(names, self._planned):
                self.observations[seen.leg] = seen

    def _trace_id(self, clock: RunClock) -> str:
        shard = None if self._shard is None else self._shard.index
        return trace_id(self.deployment.name, self.vantage, shard, clock.started_at)

    def _planned(self, leg: Leg) -> str:
        """Planned downtime of a leg, as a sentence."""
        assert self.clock is not None
        return planned(self.deployment, leg, self.clock.started_at)

    @property
    def _listens(self) -> bool:
        """Whether a leg is selected of which others report."""
        return any(leg.kind in RIG_KINDS for leg in self.selected)

    @property
    def _dialled(self) -> tuple[Leg, ...]:
        """The selected legs that have an address to dial."""
        return tuple(leg for leg in self.selected if not leg.hostless and leg.kind not in RIG_KINDS)

    def look_again(self, name: str) -> None:
        """One more beat of every leg: the common beat after this check of one's own failed, and its
        second look. All of them together begin for no longer than a watchdog's time."""
        own = self.observations[name]
        if self.interrupted or not self._dialled:
            return
        if self._looked_seconds > self.deployment.timing.watchdog:
            return
        assert self.clock is not None
        began = self.clock.now()
        sweep = begin_sweep(self.deployment, self._dialled)
        for seen in asyncio.run(self._measure(0.0, None, sweep, self.calls + 1)):
            self.observations[seen.leg] = continued(self.observations[seen.leg], seen)
        ended = self.clock.now()
        self._looked_seconds += ended - began
        self.observations[name] = looked_again(own, began, ended)

    async def _measure(
        self,
        hold: float,
        progress: Callable[[Run], None] | None,
        sweep: Sweep | None,
        call: int = 0,
    ) -> list[Observation]:
        assert self.clock is not None
        self._loop = asyncio.get_running_loop()
        self._run = run = Run(
            self.deployment,
            self._dialled if sweep is None else sweep.others,
            hold=hold,
            call=call,
            clock=self.clock,
            planned=self._planned,
            progress=progress,
            beside=self._beside(sweep, listens=not call),
        )
        run.probing.parents = self._parents
        if self.interrupted:
            run.stop()
        try:
            seen = await run.measure()
            # A blip of an upstream may lie beside one of a leg.
            return (
                seen if sweep is None else settled([*seen, *sweep.observations(run, self._planned)])
            )
        finally:
            self._stood(run.footing)
            self.calls = run.call_number
            self._run = None

    def _beside(
        self, sweep: Sweep | None, *, listens: bool
    ) -> Callable[[Run], Coroutine[None, None, None]] | None:
        """What runs beside the legs."""
        reporting = self.reporting if listens and self._listens else None
        if reporting is None:
            return None if sweep is None else sweep.beside
        assert self.clock is not None
        clock = self.clock

        async def beside(run: Run) -> None:
            works = [] if sweep is None else [sweep.beside(run)]
            await asyncio.gather(reporting.listen(clock, run.ends_at, run.footing), *works)

        return beside

    def _stood(self, footing: Footing) -> None:
        """Note how firmly we stood in one run of the legs."""
        self.loop_lag_seconds = max(self.loop_lag_seconds, footing.worst_seconds)
        if footing.throttled_seconds is not None:
            self.throttled_seconds = (self.throttled_seconds or 0.0) + footing.throttled_seconds
        if abs(footing.clock_step_seconds) > abs(self.clock_step_seconds):
            self.clock_step_seconds = footing.clock_step_seconds

    def stop(self, at: float | None = None) -> None:
        """End the probing now and keep what was seen. Made for a signal handler.

        `at` is when that was asked, in seconds of the monotonic clock; without it, now.
        """
        if not self.interrupted:
            self._stopped_at = self._system.monotonic() if at is None else at
            self.interrupted = True
        run, loop = self._run, self._loop
        if run is not None and loop is not None:
            with suppress(RuntimeError):  # the loop is closed: the probing is over
                # The loop's own signal handlers would do, but a signal that comes while they
                # are put in or taken out is lost, or kills.
                loop.call_soon_threadsafe(run.stop)

    def seconds_left(self, most: float, least: float = 1.0) -> float:
        """How long something may last that would else last `most`: less in a run that was told
        to end, but `least` in any case."""
        if not self.interrupted:
            return most
        gone = self._system.monotonic() - self._stopped_at
        return min(most, max(least, STOP_SECONDS - gone))

    @property
    def probing(self) -> bool:
        """Whether legs are being probed at this moment."""
        return self._run is not None

    def record(self) -> RunRecord:
        """What the run knows of itself, as of now."""
        deployment, timing = self.deployment, self.deployment.timing
        probed = {leg.name for leg in self.selected}
        partial = probed != {leg.name for leg in self.available}
        clock = self.clock or RunClock(self._system)
        own = [segment for path in self.own_checks.values() for segment in path]
        known = {*deployment.segments, *deployment.own_segments}
        return RunRecord(
            version=RECORD_VERSION,
            deployment=deployment.name,
            segments=deployment.segments,
            own_segments=(
                *deployment.own_segments,
                *dict.fromkeys(one for one in own if one not in known),
            ),
            paths=deployment.paths,
            spread=deployment.spread,
            local=deployment.local,
            gloss=deployment.gloss,
            started_at=clock.started_at,
            duration_seconds=clock.now(),
            hold_seconds=self.hold_seconds,
            heartbeat_seconds=float(timing.heartbeat),
            watchdog_seconds=float(timing.watchdog),
            slow_floor_seconds=float(timing.slow_floor),
            complete=not (self.interrupted or partial),
            interrupted=self.interrupted,
            partial=partial,
            vantage=self.vantage,
            shard=None if self._shard is None else self._shard.index,
            shards=None if self._shard is None else self._shard.count,
            loop_lag_seconds=self.loop_lag_seconds,
            throttled_seconds=self.throttled_seconds,
            clock_step_seconds=self.clock_step_seconds,
            not_run=tuple(leg.name for leg in deployment.legs if leg.name not in probed),
            warnings=deployment.warnings,
            trace_id=self._trace_id(clock) if self.traced else "",
            opinions=self.opinions,
        )

    def recorded(self) -> list[Observation]:
        """All observations, in the deployment's order; checks of their own last."""
        order = [leg.name for leg in self.deployment.legs]
        known = set(order)
        rest = [name for name in self.observations if name not in known]
        return [self.observations[name] for name in (*order, *rest) if name in self.observations]

    def blind_spots(self) -> list[str]:
        """Sentences about legs this vantage cannot run, and segments no leg then sees."""
        words = [f"warning: {self.vantage_warning}"] if self.vantage_warning else []
        here = {leg.name for leg in self.available}
        away = [leg.name for leg in self.deployment.legs if leg.name not in here]
        if away:
            seen = {one for leg in self.available for one in leg.path}
            blind = [one for one in self.deployment.segments if one not in seen]
            words.append(f"not run from {self.vantage}: {', '.join(away)}")
            if blind:
                words.append(f"not seen from {self.vantage}: {', '.join(blind)}")
        return words
