"""A real Alertmanager on loopback, and somebody who is notified by it."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web
from rules_programs import program, run

from t3probe.timing import SystemClock

BOUND_SECONDS = 30
"""Far more than anything here takes; a wait that long is a failure."""
Labels = Mapping[str, str]

CONFIG = """\
route:
  receiver: somebody
  group_by: [job]
  group_wait: 50ms
  group_interval: 100ms
  repeat_interval: 1h
receivers:
  - name: somebody
    webhook_configs:
      - url: {url}
        send_resolved: true
"""
"""One group for all alerts: whatever a notification tells, it had every alert before it in
view, so what is not in it was muted."""


def configuration(
    folder: Path, fragment: str, url: str = "http://127.0.0.1:1/", config: str = CONFIG
) -> Path:
    """A complete configuration with the fragment in it, found right by amtool."""
    file = folder / "alertmanager.yml"
    file.write_text(config.format(url=url) + fragment)
    code, said = run(program("amtool"), "check-config", str(file))
    assert code == 0, said
    return file


class Somebody:
    """The receiver of notifications."""

    def __init__(self) -> None:
        self.told: list[tuple[str, Labels]] = []
        """Status and labels of every alert of every notification, in order."""
        self.notifications: list[list[tuple[str, Labels]]] = []
        """The same, one list for each notification."""
        self.url = ""
        self._news = asyncio.Event()

    async def _receive(self, request: web.Request) -> web.Response:
        body = await request.json()
        self.notifications.append([(one["status"], one["labels"]) for one in body["alerts"]])
        self.told += self.notifications[-1]
        self._news.set()
        return web.Response()

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncIterator[Somebody]:
        app = web.Application()
        app.router.add_post("/", self._receive)
        runner = web.AppRunner(app)
        await runner.setup()
        try:
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            self.url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
            yield self
        finally:
            await runner.cleanup()

    async def hears(self, status: str, alert: Labels) -> None:
        """Wait until a notification tells of this alert."""
        wanted = (status, dict(alert))
        try:
            async with asyncio.timeout(BOUND_SECONDS):
                while wanted not in self.told:
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            raise AssertionError(f"nobody heard that {alert} is {status}") from None


class Alertmanager:
    """Its API, as Prometheus and amtool use it."""

    def __init__(self, address: str, session: aiohttp.ClientSession) -> None:
        self.address = address
        self._alerts = f"http://{address}/api/v2/alerts"
        self._session = session
        self._since: dict[str, str] = {}

    async def fire(self, *alerts: Labels) -> None:
        for one in alerts:
            self._since.setdefault(str(one), _now())
        await self._post([{"labels": one, "startsAt": self._since[str(one)]} for one in alerts])

    async def resolve(self, *alerts: Labels) -> None:
        ends = _now()
        await self._post(
            [
                {"labels": one, "startsAt": self._since.pop(str(one)), "endsAt": ends}
                for one in alerts
            ]
        )

    async def alerts(self) -> list[dict[str, Any]]:
        """All alerts that are not resolved, as its API shows them."""
        async with self._session.get(self._alerts) as answer:
            found: list[dict[str, Any]] = await answer.json()
            return found

    async def muted(self) -> list[Labels]:
        """The labels of the alerts that an inhibition mutes now."""
        return [one["labels"] for one in await self.alerts() if one["status"]["inhibitedBy"]]

    async def _post(self, body: Iterable[Any]) -> None:
        async with self._session.post(self._alerts, json=list(body)) as answer:
            assert answer.status == 200, await answer.text()


@contextlib.asynccontextmanager
async def alertmanager(
    folder: Path, fragment: str, url: str, config: str = CONFIG
) -> AsyncIterator[Alertmanager]:
    """A real one on a free loopback port, its data in `folder`, alone in its cluster."""
    process = await asyncio.create_subprocess_exec(
        program("prometheus-alertmanager"),
        f"--config.file={configuration(folder, fragment, url, config)}",
        f"--storage.path={folder / 'data'}",
        "--cluster.listen-address=",
        "--web.listen-address=127.0.0.1:0",
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stderr is not None
    address: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    reader = asyncio.create_task(_drain(process.stderr, address))
    try:
        where = await asyncio.wait_for(address, BOUND_SECONDS)
        async with aiohttp.ClientSession(trust_env=False) as session:
            yield Alertmanager(where, session)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()
        await reader


async def _drain(stream: asyncio.StreamReader, address: asyncio.Future[str]) -> None:
    """Read its log to the end; the line about listening says which port it got."""
    said = b""
    async for line in stream:
        said += line
        match = re.search(rb"address=(127\.0\.0\.1:\d+)", line)
        if match and not address.done():
            address.set_result(match[1].decode())
    if not address.done():
        address.set_exception(AssertionError(f"it never listened: {said.decode()}"))


def _now() -> str:
    return datetime.fromtimestamp(SystemClock().wall(), UTC).isoformat()
