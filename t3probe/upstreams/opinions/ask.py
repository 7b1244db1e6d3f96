"""All opinions of a deployment at once: in threads, bounded in time and bytes. Never evidence.

Each has its `timeout` for all of its answers together. What cannot be had is unknown, with a
sentence; nothing that answers can make a run fail or last longer than that.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence

from t3probe.config.opinions import OpinionSource, opinion_site
from t3probe.config.secrets import login_of
from t3probe.exchange.bounds import OPINION_BYTES
from t3probe.exchange.client import Answer, Budget, Kept, Site, Trouble, exchange
from t3probe.timing import Clock
from t3probe.upstreams.opinions import cloudflared, traefik
from t3probe.upstreams.opinions.said import SelfReport, unknown

TURN_SECONDS = 0.05


class OpinionReader:
    """Asks the opinions that one vantage can ask."""

    def __init__(
        self,
        sources: Sequence[OpinionSource],
        clock: Clock,
        environ: Mapping[str, str],
        ca_file: str | None = None,
    ) -> None:
        """Raises DeploymentError or ValueError, one sentence, for a wrong login."""
        self.sources = tuple(sources)
        self._clock = clock
        for one in sources:
            self._site(one, environ, ca_file)
        self._made = environ, ca_file

    def _site(self, one: OpinionSource, environ: Mapping[str, str], ca_file: str | None) -> Site:
        return Site(one.url, login_of(opinion_site(one.name), environ, ca_file, one.token_file))

    def begin(self) -> OpinionsAsked:
        """Ask all of them, in threads of their own."""
        return OpinionsAsked(self.sources, self._one)

    def _one(self, source: OpinionSource) -> SelfReport:
        try:
            site = self._site(source, *self._made)  # a token that was changed holds from now on
        except Exception as error:
            return unknown(f"its login cannot be read: {error}")
        budget, kept = Budget(self._clock, float(source.timeout)), Kept()

        def ask(path: str) -> Answer:
            return exchange(
                site,
                "GET",
                path,
                budget,
                headers={"Accept": "application/json, text/plain"},
                max_bytes=OPINION_BYTES,
                kept=kept,
            )

        try:
            return _KINDS[source.kind](source, ask)
        except Trouble as trouble:
            return unknown(f"it {trouble.what}")
        finally:
            kept.close()


class OpinionsAsked:
    """Requests that are under way."""

    def __init__(
        self, sources: Sequence[OpinionSource], ask: Callable[[OpinionSource], SelfReport]
    ) -> None:
        self._sources = sources
        self._said: dict[str, SelfReport] = {}

        def one(source: OpinionSource) -> None:
            try:
                said = ask(source)
            except Exception as error:  # whatever it was made of, the run goes on
                said = unknown(f"it cannot be read: {type(error).__name__}")
            self._said[source.name] = said

        # No thread of a pool: those hold up the end of the process.
        self._threads = [
            threading.Thread(target=one, args=(source,), name="opinion", daemon=True)
            for source in sources
        ]
        for thread in self._threads:
            thread.start()

    @property
    def over(self) -> bool:
        """Whether all have answered, or will not."""
        return not any(thread.is_alive() for thread in self._threads)

    def wait(self, told_to_end: Callable[[], bool] = bool) -> list[SelfReport]:
        """What each said, in their order; of one that is not through, when that is told, unknown.

        Made for the main thread: signals are heard meanwhile.
        """
        for thread in self._threads:
            while thread.is_alive() and not told_to_end():
                thread.join(TURN_SECONDS)
        late = unknown("the run was told to end before it answered")
        return [self._said.get(one.name, late) for one in self._sources]


def _cloudflared(source: OpinionSource, ask: Callable[[str], Answer]) -> SelfReport:
    ready = ask(cloudflared.READY)
    if ready.status in (401, 403):
        return unknown(f"it answers {ready.status} to {cloudflared.READY}; set its login")
    try:
        page = ask(cloudflared.METRICS)
    except Trouble as trouble:
        return cloudflared.said(ready.status, ready.body, trouble.what)
    metrics = page.body if page.status == 200 else f"answers {page.status}"
    return cloudflared.said(ready.status, ready.body, metrics)


def _traefik(source: OpinionSource, ask: Callable[[str], Answer]) -> SelfReport:
    overview = ask(traefik.OVERVIEW)
    if overview.status != 200:
        login = "; set its login" if overview.status in (401, 403) else ""
        return unknown(f"it answers {overview.status} to {traefik.OVERVIEW}{login}")
    found: dict[str, bytes | str] = {}
    for name in source.services:
        try:
            answer = ask(traefik.SERVICE + name)
        except Trouble as trouble:
            found[name] = f"it {trouble.what}"
            continue
        known = "no such service" if answer.status == 404 else f"it answers {answer.status}"
        found[name] = answer.body if answer.status == 200 else known
    return traefik.said(overview.body, found)


_KINDS: dict[str, Callable[[OpinionSource, Callable[[str], Answer]], SelfReport]] = {
    "cloudflared": _cloudflared,
    "traefik": _traefik,
}
