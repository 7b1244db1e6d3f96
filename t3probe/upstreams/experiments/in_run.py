"""The rigs of one run: book says at its start which there are, relay and jump report beside its
hold, one report each. Where a deployment has no `[experiments]`, nothing is even loaded.

Each service has a leg of its own; where book cannot be read no rig is known, and its leg says so:
that is never "no rigs". Book is never written to.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

import msgspec

from t3probe.config.types import RIG_KINDS, Deployment, Experiments, Leg
from t3probe.observation import Observation
from t3probe.text.names import BOOK, JUMP_API, RELAY_API, SERVICE_LEGS, SERVICE_SEGMENTS
from t3probe.text.words import count
from t3probe.timing import Clock, RunClock, SystemClock

if TYPE_CHECKING:
    from t3probe.observation import Reason
    from t3probe.upstreams.experiments.ask import RigService, ServiceError
    from t3probe.upstreams.experiments.rigs import Rig
    from t3probe.upstreams.experiments.seen import ServiceTry
    from t3probe.upstreams.experiments.wire import Service, ServiceReport

SILENCE_SHARE = 0.4
"""So much of `reported` a connection may be silent, so that a second one has its time, too."""
AGAIN_SECONDS = 0.5
"""The pause before the second attempt; each later one is twice as long."""


class Stood(Protocol):
    """How firmly we stood."""

    def stalled(self, began: float, ended: float, asked: float | None = None) -> bool: ...


class RunExperiments:
    """A run's rigs and the services that know them."""

    def __init__(
        self,
        deployment: Deployment,
        environ: Mapping[str, str],
        *,
        rigs: Sequence[Rig] | None = None,
        clock: Clock | None = None,
    ) -> None:
        """Asks book for the rigs, within some seconds; where `rigs` are given, only when the run
        begins (`begin`). Raises DeploymentError for a secret that cannot be read."""
        self.deployment = deployment
        """With the legs of the rigs."""
        self.lines: list[str] = []
        """What to say before the run."""
        self._clock: Clock = clock or SystemClock()
        self._rigs: tuple[Rig, ...] = tuple(rigs or ())
        self._asked = False
        self._services: dict[str, RigService] = {}
        self._problems: dict[str, str] = {}
        """Service's leg → why it was not asked at all."""
        self._tries: dict[str, list[ServiceTry]] = {one: [] for one in SERVICE_LEGS}
        self._said: dict[str, str] = {}
        self._reports: dict[Service, ServiceReport] = {}
        self._environ = environ
        if deployment.experiments is not None:
            self._meet(deployment.experiments, ask=rigs is None)
            self.deployment = self._with_legs(deployment)

    def begin(self, deployment: Deployment) -> Deployment:
        """Go on with a deployment that has the same rigs but real places: ask its book now. The
        deployment with their legs."""
        if deployment.experiments is None:
            return deployment
        self._meet(deployment.experiments, ask=True)
        self.deployment = self._with_legs(deployment)
        return self.deployment

    def _meet(self, table: Experiments, *, ask: bool) -> None:
        from t3probe.upstreams.experiments.ask import Rights, RigService
        from t3probe.upstreams.experiments.tokens import Audience, NoTokensError

        rights = Rights.of(self._environ)
        names: dict[str, Audience] = {RELAY_API: "relay", JUMP_API: "jump", BOOK: "book"}
        for leg, name in names.items():
            try:
                self._services[leg] = RigService(
                    name, table, rights, self._clock, self.deployment.tls_ca
                )
            except NoTokensError as error:
                self._problems[leg] = str(error)
        if ask:
            self._read_book(table)

    def _read_book(self, table: Experiments) -> None:
        """Which rigs there are; asked a second time when the first one failed."""
        from t3probe.upstreams.experiments.ask import ServiceError
        from t3probe.upstreams.experiments.book import BookingSystem
        from t3probe.upstreams.experiments.seen import ServiceTry

        self._asked = True
        service = self._services.get(BOOK)
        if service is None:
            self.lines.append(f"{BOOK}: {self._problems[BOOK]}; no rig is known")
            return
        began = self._clock.monotonic()
        tries = self._tries[BOOK]
        found = None
        while found is None and len(tries) < 2:
            started = self._clock.monotonic() - began
            try:
                found = BookingSystem(service, table.only).rigs()
            except ServiceError as error:
                ended = self._clock.monotonic() - began
                tries.append(_failed(started, ended, error))
                if not error.tells:
                    break
            else:
                ended = self._clock.monotonic() - began
                tries.append(ServiceTry(started, ended, asked_seconds=ended - started))
        if found is None:
            self.lines.append(f"{BOOK}: {tries[-1].detail}; no rig is known")
            return
        self._rigs = found.rigs
        said = count(len(found.rigs), "rig")
        if not found.rigs and table.only:
            said += f" match {', '.join(table.only)}"
        self._said[BOOK] = "; ".join((said, *found.left_out))
        self.lines.append(f"{BOOK}: {self._said[BOOK]}")

    def _with_legs(self, deployment: Deployment) -> Deployment:
        from t3probe.upstreams.experiments.seen import rig_legs, service_legs

        legs = [*service_legs(), *rig_legs(self._rigs)]
        own = dict.fromkeys(
            name for leg in legs for name in leg.path if name not in SERVICE_SEGMENTS
        )
        return msgspec.structs.replace(
            deployment,
            legs=(*deployment.legs, *legs),
            segments=tuple(dict.fromkeys((*deployment.segments, *SERVICE_SEGMENTS))),
            own_segments=(*deployment.own_segments, *own),
        )

    # -- listening

    def preload(self) -> None:
        """Import what listening needs, so that no beat waits for it."""

    async def listen(self, clock: RunClock, ends_at: float, footing: Stood) -> None:
        """One report of each service; at most `reported`, and not beyond `ends_at`, on the run's
        clock. What was heard by then stays when it is cancelled."""
        table = self.deployment.experiments
        assert table is not None
        until = min(clock.now() + table.reported, ends_at)
        await asyncio.gather(
            *(
                self._hear(leg, table, clock, until, footing)
                for leg in (RELAY_API, JUMP_API)
                if leg in self._services
            )
        )

    async def _hear(
        self, leg: str, table: Experiments, clock: RunClock, until: float, footing: Stood
    ) -> None:
        from t3probe.upstreams.experiments.ask import ServiceError
        from t3probe.upstreams.experiments.listen import StatsListener
        from t3probe.upstreams.experiments.seen import ServiceTry

        listener = StatsListener(
            self._services[leg], clock.now, silence_seconds=SILENCE_SHARE * table.reported
        )
        reports: list[ServiceReport] = []

        def take(report: ServiceReport) -> bool:
            reports.append(report)
            return False

        tries, pause = self._tries[leg], AGAIN_SECONDS
        while not reports and (left := until - clock.now()) > 0:
            started = clock.now()
            try:
                async with asyncio.timeout(left):
                    await listener.hear(take)
            except TimeoutError:
                break  # the run ends: what is not over is no attempt
            except ServiceError as error:
                ended = clock.now()
                stalled = footing.stalled(started, ended, started)
                tries.append(_failed(started, ended, error, stalled=stalled))
                if not error.tells:
                    break
                await clock.clock.sleep(min(pause, max(0.0, until - clock.now())))
                pause *= 2
            else:
                tries.append(ServiceTry(started, clock.now(), asked_seconds=listener.asked_seconds))
        for report in reports:
            self._reports[report.service] = report
            said = f"reported {count(report.connections, 'connection')}"
            if report.unread:
                said += f", of which {report.unread} could not be read"
            self._said[leg] = said

    # -- what was seen

    def observations(
        self, names: Iterable[str], planned: Callable[[Leg], str]
    ) -> list[Observation]:
        """What was seen on the legs of these names, and on streams of the same rigs that book does
        not list."""
        from t3probe.upstreams.experiments.condition import Sightings
        from t3probe.upstreams.experiments.seen import rigs_seen, service_seen

        table = self.deployment.experiments
        chosen = set(names)
        legs = {one.name: one for one in self.deployment.legs if one.kind in RIG_KINDS}
        chosen &= legs.keys()
        if table is None or not chosen:
            return []
        services = {
            one: self._silent(legs[one], planned)
            or service_seen(
                legs[one], self._tries[one], self._said.get(one, ""), planned(legs[one])
            )
            for one in SERVICE_LEGS
        }
        sightings = Sightings(active=table.active, reported=table.reported)
        now = 0.0
        for report in self._reports.values():
            # Each is judged as it was when it came.
            sightings.take(msgspec.structs.replace(report, at=now))
        asked = {legs[one].experiment for one in chosen}

        def wanted(leg: Leg) -> bool:
            return leg.name in chosen or (leg.experiment in asked and not leg.required)

        found = rigs_seen(
            sightings.all([one for one in self._rigs if one.name in asked], now),
            self._reports.get("relay"),
            self._reports.get("jump"),
            legs,
            wanted,
            services,
            planned,
        )
        return [*(services[one] for one in SERVICE_LEGS if one in chosen), *found]

    def _silent(self, leg: Leg, planned: Callable[[Leg], str]) -> Observation | None:
        """A service that was not asked, since we have no token for it."""
        if leg.name not in self._problems:
            return None
        return Observation(
            leg=leg.name,
            kind=leg.kind,
            path=leg.path,
            outcome="inconclusive",
            detail=self._problems[leg.name],
            planned=planned(leg),
        )


def rigs_named(names: Iterable[str], streams: Sequence[str]) -> tuple[Rig, ...]:
    """Rigs that are known before book is asked: those of the built-in lab."""
    from t3probe.upstreams.experiments.rigs import Rig, RigStream

    return tuple(
        Rig(name, f"r-{name}", tuple(RigStream(one, f"{name}-st-{one}") for one in streams))
        for name in names
    )


def _failed(
    started: float, ended: float, error: ServiceError, *, stalled: bool = False
) -> ServiceTry:
    from t3probe.upstreams.experiments.seen import ServiceTry

    reason: Reason = error.reason
    return ServiceTry(started, ended, reason, str(error), error.tells, stalled)
