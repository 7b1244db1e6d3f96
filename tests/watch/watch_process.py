"""A real `t3probe watch` in a process of its own."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from probes.servers import Server

SECONDS = 20.0
"""For things that take a moment, on however busy a machine."""


def toml(legs: Sequence[str], heartbeat: str = "100ms", more: str = "") -> str:
    return (
        'name = "kept"\nsegments = ["front", "back"]\n'
        f'[timing]\nheartbeat = "{heartbeat}"\nwatchdog = "4s"\nconnect_timeout = "2s"\n'
        f'backoff = "200ms"\nsweep_interval = "1s"\n{more}\n' + "\n".join(legs)
    )


def ws(name: str, server: Server, path: str = '"front", "back"', more: str = "") -> str:
    url = f"ws://{server.pin}/{name}"
    return f'[[leg]]\nname = "{name}"\nkind = "ws_echo"\nurl = "{url}"\npath = [{path}]\n{more}\n'


def tcp(name: str, server: Server, path: str = '"front"') -> str:
    return f'[[leg]]\nname = "{name}"\nkind = "tcp"\naddress = "{server.pin}"\npath = [{path}]\n'


class Watching:
    """The process, and its lines as they come."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.said: list[dict[str, Any]] = []
        self.address = ""

    async def line(self, event: str) -> dict[str, Any]:
        """The next line of this kind; others on the way are kept in `said`."""
        assert self.process.stdout is not None
        async with asyncio.timeout(SECONDS):
            while True:
                raw = await self.process.stdout.readline()
                assert raw, f"it ended without a line {event!r}: {await self.errors()}"
                assert raw.isascii()
                self.said.append(json.loads(raw))
                if self.said[-1]["event"] == event:
                    return self.said[-1]

    async def errors(self) -> str:
        assert self.process.stderr is not None
        return (await self.process.stderr.read()).decode()

    async def get(self, path: str, method: str = "GET") -> tuple[int, str]:
        """Status and body of one request."""
        return await ask(self.address, path, method)

    async def until(self, text: str, path: str = "/metrics") -> str:
        """The body, once `text` stands in it."""
        async with asyncio.timeout(SECONDS):
            while True:
                body = (await self.get(path))[1]
                if text in body:
                    return body
                await asyncio.sleep(0.05)

    async def beats(self, leg: str, more_than: float = 0) -> str:
        """The metrics, once the leg has more good beats than this."""
        async with asyncio.timeout(SECONDS):
            while True:
                body = (await self.get("/metrics"))[1]
                if count(body, leg) > more_than:
                    return body
                await asyncio.sleep(0.05)

    async def end(self, number: int = signal.SIGTERM) -> int:
        """Send the signal; the exit code. Raises TimeoutError after the five seconds it has."""
        self.process.send_signal(number)
        async with asyncio.timeout(5):
            return await self.process.wait()


def count(metrics: str, leg: str) -> float:
    """How many good beats of the leg were counted."""
    start = f't3probe_rtt_seconds_count{{leg="{leg}"'
    row = next(one for one in metrics.splitlines() if one.startswith(start))
    return float(row.rsplit(" ", 1)[1])


async def ask(address: str, path: str, method: str = "GET") -> tuple[int, str]:
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        writer.write(f"{method} {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        async with asyncio.timeout(SECONDS):
            head, _, body = (await reader.read()).partition(b"\r\n\r\n")
        return int(head.split(b" ")[1]), body.decode()
    finally:
        writer.close()


@asynccontextmanager
async def watching(file: Path | str, *words: str, **environ: str) -> AsyncIterator[Watching]:
    """`t3probe watch FILE` until the end of the block; its start line has been read."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "t3probe.cli", "watch", str(file), "--listen", "127.0.0.1:0", *words,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "T3PROBE_LOOPBACK_ONLY": "1", **environ},
    )  # fmt: skip
    one = Watching(process)
    try:
        one.address = (await one.line("start"))["listen"]
        yield one
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        process._transport.close()  # type: ignore[attr-defined]  # its pipes, now
