"""The sources of one run: read at its start, and Envoy's opinion once more after the probing.

Each source has a check, `source-NAME`: inconclusive when it could not be read, degraded when only
a part of its answer could, else passed. A source without a node, and an optional one that could
not be read, have a warning in its place.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import msgspec

from t3probe.config.downtime import planned
from t3probe.config.types import Deployment, Leg, UpstreamSource
from t3probe.observation import Observation
from t3probe.text.names import SOURCE_LEG
from t3probe.text.words import count
from t3probe.timing import Clock, SystemClock
from t3probe.upstreams.nodes import with_names

if TYPE_CHECKING:
    from t3probe.upstreams.sources import SourceError
    from t3probe.upstreams.sources_read import Reading, SourceReader


class RunSources:
    """A run's sources and their checks. Where a deployment has none, nothing is even loaded."""

    def __init__(
        self,
        deployment: Deployment,
        vantage: str,
        environ: Mapping[str, str],
        clock: Clock | None = None,
    ) -> None:
        """Asks every source at once, within some two seconds. Raises DeploymentError or
        ValueError when a source's login is wrong."""
        self.deployment = deployment
        """With the upstreams that were found."""
        self.observations: dict[str, Observation] = {}
        """The checks, by name."""
        self.lines: list[str] = []
        """What to say before the run."""
        self._readings: list[Reading] = []
        self._reader: SourceReader | None = None
        sources = [
            one
            for one in deployment.upstream_source
            if not one.vantages or not vantage or vantage in one.vantages
        ]
        if sources:
            self._read(sources, clock or SystemClock(), environ)
        self.deployment = with_names(self.deployment)

    def _read(
        self, sources: list[UpstreamSource], clock: Clock, environ: Mapping[str, str]
    ) -> None:
        from t3probe.upstreams.sources_legs import with_found
        from t3probe.upstreams.sources_read import SourceReader

        self._reader = SourceReader(sources, clock, environ, self.deployment.tls_ca)
        self._readings = self._reader.read()
        deployment = with_found(self.deployment, self._readings)
        warnings = []
        for one in self._readings:
            name = f"{SOURCE_LEG}{one.source.name}"
            if one.skipped or (one.problem and one.source.optional):
                warnings.append(one.skipped or f"{name}: {one.problem}")
                continue
            # Planned downtime asks for a leg; this one will not be probed.
            leg = Leg(name=name, kind="tcp", path=())
            seen = _observed(name, one, planned(deployment, leg, clock.wall()))
            self.observations[name] = seen
            notes = one.found.notes if one.found is not None else ()
            self.lines.append("; ".join((f"{name}: {seen.detail}", *notes)))
        self.deployment = msgspec.structs.replace(
            deployment, warnings=(*deployment.warnings, *warnings)
        )

    def settle(self, observations: dict[str, Observation], *, ask: bool = True) -> None:
        """Put Envoy's view beside what was seen of the upstreams, in place.

        Each Envoy is asked once more. Without `ask` (the run was told to end) it is not, and no
        disagreement is claimed.
        """
        before = {
            one.source.name: one.found.views
            for one in self._readings
            if one.found is not None and one.found.views is not None
        }
        if self._reader is None:
            return
        from t3probe.upstreams.envoy import views_of
        from t3probe.upstreams.sources import SourceError, label
        from t3probe.upstreams.views import compared

        again = self._reader.look_again(list(before)) if ask else {}
        after, empty = {}, set[tuple[str, str]]()
        for one in self._readings:
            hosts = again.get(one.source.name)
            if isinstance(hosts, SourceError):
                self._no_second_look(one.source.name, hosts)
            elif hosts is not None and one.found is not None:
                after[one.source.name] = views_of(one.found.backends, hosts)
                empty.update((one.source.name, label(name)) for name in hosts if not hosts[name])
        for leg in self.deployment.legs:
            if leg.places and leg.name in observations:
                observations[leg.name] = compared(observations[leg.name], leg, before, after, empty)

    def _no_second_look(self, source: str, error: SourceError) -> None:
        name = f"{SOURCE_LEG}{source}"
        words = f"asked again after the probing, it {error}; no disagreement is claimed"
        seen = self.observations.get(name)
        if seen is not None and not seen.planned:
            self.observations[name] = msgspec.structs.replace(
                seen, outcome="degraded", detail=f"{seen.detail}; {words}"
            )

    def keywords(self) -> dict[str, set[str]]:
        """Leg → what it can be selected by beside its name."""
        from t3probe.upstreams.sources_legs import keywords

        return {leg.name: keywords(leg) for leg in self.deployment.legs if leg.places}


def _observed(name: str, reading: Reading, planned_as: str) -> Observation:
    found = reading.found
    if found is None:
        return Observation(
            leg=name,
            kind="source",
            path=(),
            outcome="inconclusive",
            detail=reading.problem,
            level="ask",
            ended=reading.seconds,
            planned=planned_as,
        )
    number = len({one.address for one in found.backends})
    said = count(number, "upstream")
    empty = len({one.place.route for one in found.hostless})
    if empty:
        said += f", and {count(empty, 'cluster')} without a host"
    return Observation(
        leg=name,
        kind="source",
        path=(),
        outcome="degraded" if found.warnings else "passed",
        detail="; ".join((said, *found.warnings)),
        level="ask",
        ended=reading.seconds,
        evidence=(*found.notes, *found.warnings),
        planned=planned_as,
    )
