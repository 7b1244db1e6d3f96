"""The opinions of one run: asked before its first beat, and once more after its last one.

Both lie outside the hold, so that they disturb no beat. Two readings, as Envoy's opinion has them:
only what was the same at both ends can be held against what the legs saw in between.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from t3probe.config.opinions import opinions_for
from t3probe.config.types import Deployment
from t3probe.observation import OpinionView
from t3probe.timing import Clock, SystemClock

if TYPE_CHECKING:
    from t3probe.upstreams.opinions.ask import OpinionReader, OpinionsAsked
    from t3probe.upstreams.opinions.said import SelfReport


class RunOpinions:
    """What programs on the path say of themselves. Where a file names none, nothing is loaded."""

    def __init__(
        self,
        deployment: Deployment,
        vantage: str,
        environ: Mapping[str, str],
        clock: Clock | None = None,
    ) -> None:
        """Begins to ask. Raises DeploymentError or ValueError for a wrong login."""
        self._reader: OpinionReader | None = None
        self._asked: OpinionsAsked | None = None
        self._first: list[SelfReport] = []
        sources = opinions_for(deployment.opinion, vantage)
        if sources:
            from t3probe.upstreams.opinions.ask import OpinionReader

            self._reader = OpinionReader(
                sources, clock or SystemClock(), environ, deployment.tls_ca
            )
            self._asked = self._reader.begin()

    def ready(self, told_to_end: Callable[[], bool]) -> None:
        """Wait for the first answers: nothing of it goes on beside the first beat."""
        if self._asked is not None:
            self._first = self._asked.wait(told_to_end)

    def settle(
        self, now: Callable[[], float], told_to_end: Callable[[], bool]
    ) -> tuple[OpinionView, ...]:
        """Ask once more, unless the run was told to end. `now` in seconds since its start."""
        if self._reader is None:
            return ()
        from t3probe.upstreams.opinions.said import unknown, view_of

        if told_to_end() or not self._first:
            late = unknown("the run was told to end before it was asked")
            again = [late] * len(self._reader.sources)
        else:
            again = self._reader.begin().wait(told_to_end)
        pairs = zip(self._reader.sources, self._first or again, again, strict=True)
        at = now()
        return tuple(view_of(source, (first, last), at) for source, first, last in pairs)
