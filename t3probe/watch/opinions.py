"""What programs on the path say of themselves, in the held mode: asked every sweep, in threads.

The verdict of the held mode moves on: it is over the outages that go on, or ended within the last
minute. So an opinion is compared at the moment it is asked, with the verdict of that moment, and
only when all of its answers since a minute before were the same. What comes of it stands until it
is asked again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

import msgspec

from t3probe.config.opinions import opinions_for
from t3probe.config.types import Deployment
from t3probe.observation import OpinionView
from t3probe.timing import RunClock
from t3probe.upstreams.opinions.ask import OpinionReader
from t3probe.upstreams.opinions.said import SelfReport, view_of
from t3probe.verdict.exact.labels import Verdict
from t3probe.verdict.opinions import label_in

TURN_SECONDS = 0.1
_WINDOW_WORDS = "in the last minute"


class OpinionWatch:
    """Keeps what was said for as long as a verdict looks back."""

    def __init__(
        self,
        deployment: Deployment,
        vantage: str,
        clock: RunClock,
        environ: Mapping[str, str],
        window_seconds: float,
    ) -> None:
        """`window_seconds`: how far back a verdict looks, its own age too. Raises DeploymentError
        or ValueError for a wrong login."""
        self._clock, self._window = clock, window_seconds
        self.every_seconds = float(deployment.timing.sweep_interval)
        sources = opinions_for(deployment.opinion, vantage)
        self._reader = OpinionReader(sources, clock.clock, environ, deployment.tls_ca)
        self._kept: dict[str, deque[tuple[float, SelfReport]]] = {
            one.name: deque() for one in sources
        }
        self.views: tuple[OpinionView, ...] = ()
        """As of the newest answers."""

    async def ask(self) -> list[SelfReport]:
        """Ask all of them, each within its own time."""
        asked = self._reader.begin()
        while not asked.over:
            await self._clock.clock.sleep(TURN_SECONDS)
        return asked.wait()

    def take(self, said: list[SelfReport], verdict: Verdict) -> None:
        """Compare what they said with the verdict of this moment."""
        now, views = self._clock.now(), []
        for source, one in zip(self._reader.sources, said, strict=True):
            kept = self._kept[source.name]
            kept.append((now, one))
            # The newest one that is older than the window shows how it began.
            while len(kept) > 1 and kept[1][0] <= now - self._window:
                kept.popleft()
            view = view_of(source, [each for _, each in kept], now, _WINDOW_WORDS)
            label = "" if verdict.status == "inconsistent" else label_in(verdict, source.segment)
            views.append(msgspec.structs.replace(view, label=label))
        self.views = tuple(views)
