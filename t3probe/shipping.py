"""Whether a run delivers its results, where to, and what it says about it.

The scheduled job (`--exit-delivered`) delivers to the deployment's own group, when it ran every
leg. Any other run delivers only when told (`--push`), under a job of its own, so that a run by
hand, of a part, or in CI never overwrites what the alerts read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from t3probe.config.shard import Shard
from t3probe.observation import Observation, RunRecord
from t3probe.session import Session

if TYPE_CHECKING:
    from t3probe.deliver import Delivering
    from t3probe.verdict import RunVerdict

__all__ = ["Shipping"]

RUN_COMPLETE = "t3probe_run_complete"
OF_SEGMENTS = "t3probe_segment_"
NOWHERE = "nothing is delivered: no place is named; add --gateway URL, or a [delivery]"


class Shipping:
    """One run's delivery, from the zeros at its start to the sentences at its end."""

    def __init__(
        self,
        session: Session,
        *,
        scheduled: bool,
        told: bool,
        gateway: str | None,
        environ: Mapping[str, str],
        results: Path,
        shard: Shard | None = None,
    ) -> None:
        """Raises DeploymentError or ValueError when the gateway's URL or login is wrong."""
        self._session, self._environ, self._results = session, environ, results
        self._scheduled, self._told = scheduled, told
        self._begun: Delivering | None = None
        self._shard = shard
        self.delivered = False
        self.sentences: tuple[str, ...] = ()
        self.wanted = scheduled or told
        self._gateway = None
        if self.wanted:
            from t3probe.deliver import gateway_of

            self._gateway = gateway_of(
                session.deployment,
                vantage=session.vantage,
                environ=environ,
                url=gateway,
                job=None if scheduled and not told else self._own_job(),
                shard="" if shard is None else shard.label,
            )

    def _own_job(self) -> str:
        by = "ci" if self._environ.get("CI") else "manual"
        return f"{self._session.deployment.delivery.job}-{by}"

    def begin(self, whole: bool) -> None:
        """Write zeros where series are missing. `whole`: every leg of the vantage will run."""
        if not self.wanted:
            return
        if not whole and not self._told:
            self.sentences = ("nothing is delivered: this run is only a part of the checks",)
            return
        from t3probe.deliver import START_SECONDS, start_of_run
        from t3probe.metrics import baselines, zeros

        deployment = self._session.deployment
        self._begun = start_of_run(
            deployment,
            self._gateway,
            zeros(deployment, self._session.vantage),
            vantage=self._session.vantage,
            results=self._results,
            environ=self._environ,
            seconds=0.0 if self._session.interrupted else START_SECONDS,
        )
        self._session.baselines = baselines(self._begun.known)

    def end(self, run: RunRecord, observations: Sequence[Observation], judged: RunVerdict) -> None:
        """Deliver. Never raises for what a server or a disk may do."""
        if self._begun is None:
            return
        from t3probe.deliver import END_SECONDS, end_of_run
        from t3probe.metrics import families
        from t3probe.words import sentence

        errors = [sentence(one) for one in observations if one.outcome == "failed"]
        measured = families(run, observations, judged)
        if self._shard is not None and self._shard.index > 0:
            # Shard 0 has the legs; what another one knows of a segment is next to nothing.
            measured = {n: f for n, f in measured.items() if not n.startswith(OF_SEGMENTS)}
        seconds = self._session.seconds_left(END_SECONDS)
        ended = end_of_run(self._begun, measured, ok=not errors, errors=errors, seconds=seconds)
        self.delivered, self.sentences = ended.delivered, ended.sentences
        if self._told and not self._begun.sinks:
            self.sentences = (NOWHERE, *self.sentences)

    def correct(
        self, run: RunRecord, observations: Sequence[Observation], judged: RunVerdict
    ) -> None:
        """After `end`, the run was told to end all the same: it is not complete any more."""
        if self._begun is None:
            return
        from t3probe.deliver import END_SECONDS, correct
        from t3probe.metrics import families

        anew = {RUN_COMPLETE: families(run, observations, judged)[RUN_COMPLETE]}
        seconds = self._session.seconds_left(END_SECONDS, 0.5)
        self.sentences = (*correct(self._begun, anew, seconds), *self.sentences)
