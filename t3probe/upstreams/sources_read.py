"""All sources of a deployment at once: requests bounded in time and size, failures as sentences.

A source has `SOURCE_SECONDS` for each of its requests, and all requests of all sources run at the
same time, so a run begins at most that much later, whatever answers. What comes is parsed in pieces
while it comes, and of it is kept what is used: the time holds for the parse as well.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from t3probe.config.secrets import login_of
from t3probe.config.types import UpstreamSource
from t3probe.exchange.bounds import (
    SOURCE_BYTES,
    SOURCE_SECONDS,
    SOURCES_KEPT_BYTES,
    SOURCES_RECEIVED_BYTES,
)
from t3probe.exchange.client import Budget, Site, Trouble, exchange
from t3probe.text.words import size
from t3probe.timing import Clock
from t3probe.upstreams import envoy, nodes
from t3probe.upstreams.envoy_hosts import Host
from t3probe.upstreams.sources import Find, NamedUpstreams, SourceAnswer, SourceError

REQUESTS = 3
"""How many requests a source makes at once."""

_KINDS: dict[str, Find] = {"envoy": envoy.find, "nodes": nodes.find}


Again = dict[str, list[Host]] | SourceError
"""What an Envoy thinks when it is asked once more, or why it could not be."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What came of one source."""

    source: UpstreamSource
    found: NamedUpstreams | None
    """None when it could not be read, or was skipped."""
    problem: str = ""
    """Why it could not be read, as a sentence."""
    skipped: str = ""
    """Why it was not asked, as a sentence."""
    seconds: float = 0.0
    """How long it took."""


class SourceReader:
    """Asks the sources of one run. Raises DeploymentError or ValueError for a wrong login."""

    def __init__(
        self,
        sources: Sequence[UpstreamSource],
        clock: Clock,
        environ: Mapping[str, str],
        ca_file: str | None = None,
    ) -> None:
        self._clock = clock
        self._sources = sources
        self._sites = {
            one.name: Site(one.url, login_of(_secret(one), environ, ca_file)) for one in sources
        }

    def read(self) -> list[Reading]:
        """Ask all of them. Never raises for what they answer."""
        if not self._sources:
            return []
        with self._threads() as threads:
            return asyncio.run(self._all(threads))

    def look_again(self, names: Sequence[str]) -> dict[str, Again]:
        """What the Envoys of these sources think by now."""

        together = _Together()

        async def one(name: str, threads: ThreadPoolExecutor) -> Again:
            fetch = _Fetch(self._sites[name], self._clock, threads, together)
            try:
                return await envoy.look_again(fetch)
            except SourceError as error:
                return error

        async def ask(threads: ThreadPoolExecutor) -> list[Again]:
            return await asyncio.gather(*(one(name, threads) for name in names))

        if not names:
            return {}
        with self._threads() as threads:
            return dict(zip(names, asyncio.run(ask(threads)), strict=True))

    def _threads(self) -> ThreadPoolExecutor:
        # A request must never wait for another one's thread: its time would run meanwhile.
        return ThreadPoolExecutor(REQUESTS * len(self._sources), "source")

    async def _all(self, threads: ThreadPoolExecutor) -> list[Reading]:
        together = _Together()
        return await asyncio.gather(*(self._one(one, threads, together) for one in self._sources))

    async def _one(
        self, source: UpstreamSource, threads: ThreadPoolExecutor, together: _Together
    ) -> Reading:
        if source.kind == "nodes" and source.node is None:
            words = f'source "{source.name}" is skipped: it names no node; give it one with node'
            return Reading(source, None, skipped=words)
        site, began = self._sites[source.name], self._clock.monotonic()
        found, problem = None, ""
        try:
            fetch = _Fetch(site, self._clock, threads, together)
            found = await _KINDS[source.kind](source, fetch)
        except SourceError as error:
            problem = f"{site.name} {error}; its upstreams are not known and were not probed"
        took = round(self._clock.monotonic() - began, 6)
        return Reading(source, found, problem, seconds=took)


class _Together:
    """What all sources of a run may send and have kept."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._received = self._kept = 0

    def add(self, received: int, kept: int) -> None:
        """Count a piece. Raises SourceError."""
        with self._lock:
            self._received += received
            self._kept += kept
            much = self._received > SOURCES_RECEIVED_BYTES
            many = self._kept > SOURCES_KEPT_BYTES
        if much or many:
            most = SOURCES_RECEIVED_BYTES if much else SOURCES_KEPT_BYTES
            what = "sent" if much else "name what needs"
            raise SourceError(
                f"was not read to its end: all sources of the run together {what} more than "
                f"{size(most)}, which is the most; let each vantage read a part of them"
            )


class _Fetch:
    """One source's way to ask."""

    def __init__(
        self, site: Site, clock: Clock, threads: ThreadPoolExecutor, together: _Together
    ) -> None:
        self._site, self._clock, self._threads = site, clock, threads
        self._together = together

    async def __call__(self, path: str | None, answer: SourceAnswer) -> None:
        loop = asyncio.get_running_loop()
        try:
            status = await loop.run_in_executor(self._threads, self._ask, path, answer)
        except Trouble as trouble:
            raise SourceError(trouble.what) from None
        if status != 200:
            where = "" if path is None else f" to {path.partition('?')[0]}"
            login = "; set its login" if status in {401, 403} else ""
            raise SourceError(f"answers {status}{where}{login}")

    def _ask(self, path: str | None, answer: SourceAnswer) -> int:
        def feed(piece: bytes) -> None:
            before = answer.kept
            answer.feed(piece)
            self._together.add(len(piece), answer.kept - before)

        said = exchange(
            self._site,
            "GET",
            path,
            Budget(self._clock, SOURCE_SECONDS),
            headers={"Accept": "application/json"},
            max_bytes=SOURCE_BYTES,
            into=feed,
        )
        if said.status == 200:
            answer.close()
        return said.status


def _secret(source: UpstreamSource) -> str:
    return "source_" + source.name.replace(".", "_").replace("-", "_")
