"""What the page costs the person's device, and what 2,000 pages cost the responder.

In a real Chromium: CPU and memory of the renderer with the page open, beside those of an empty
page. Then so many clients do against `t3probe echo` what as many pages do: each holds a connection,
and at each heartbeat makes an exchange on it and another on a connection of its own.

    python bench/page_cost.py [--seconds 60] [--pages 2000] [--heartbeat 10]
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
KEY = "dGhlIHNhbXBsZSBub25jZQ=="
ECHO = b"\x81\x84\x00\x00\x00\x00beat"
"""A masked text frame, its mask 0."""
ANSWER = b"\x81\x04beat"
DIALS_AT_ONCE = 50
ASKED_MIB = 100.0
ASKED_SECONDS = 1.0


class OnePage:
    """What one page does, from an address of its own."""

    def __init__(self, port: int, number: int) -> None:
        self._port = port
        address = f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"
        self._opening = (
            "GET /probe/ws HTTP/1.1\r\nHost: app.example\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n"
            f"X-Forwarded-For: {address}\r\n\r\n"
        ).encode()
        self.trips: list[float] = []
        self.failed = 0

    async def live(self, room: asyncio.Semaphore, heartbeat: float, first: float) -> None:
        """Open, then beat until cancelled; `first`: seconds to the first beat."""
        async with room:
            held = await self._open()
        await asyncio.sleep(first)
        due = time.monotonic()
        while True:
            await asyncio.gather(self._beat(held), self._fresh())
            due += heartbeat
            await asyncio.sleep(max(0.0, due - time.monotonic()))

    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        writer.write(self._opening)
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 101 "):
            raise ConnectionError(head.split(b"\r\n")[0].decode())
        return reader, writer

    async def _beat(self, pair: tuple[asyncio.StreamReader, asyncio.StreamWriter]) -> None:
        began = time.monotonic()
        pair[1].write(ECHO)
        try:
            if await pair[0].readexactly(len(ANSWER)) != ANSWER:
                raise ConnectionError("another echo")
        except (OSError, asyncio.IncompleteReadError):
            self.failed += 1
        self.trips.append(time.monotonic() - began)

    async def _fresh(self) -> None:
        began = time.monotonic()
        try:
            pair = await self._open()
        except (OSError, asyncio.IncompleteReadError):
            self.failed += 1
            return
        await self._beat(pair)
        self.trips[-1] = time.monotonic() - began
        pair[1].transport.abort()


async def visits(port: int, pages: int, heartbeat: float, seconds: float) -> list[OnePage]:
    """So many pages for so long, all open before the time begins to count."""
    room = asyncio.Semaphore(DIALS_AT_ONCE)
    everybody = [OnePage(port, one) for one in range(pages)]
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(one.live(room, heartbeat, heartbeat * at / pages))
            for at, one in enumerate(everybody)
        ]
        await asyncio.sleep(seconds)
        for task in tasks:
            task.cancel()
    return everybody


def cpu_seconds(pid: int) -> float:
    """User and system time so far (proc(5), stat)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def of_responder(pages: int, heartbeat: float, seconds: float) -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    words = ["--listen", "127.0.0.1:0", "--trusted-proxy", "127.0.0.0/8"]
    process = subprocess.Popen(
        [sys.executable, "-m", "t3probe.cli", "echo", *words],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr
        line = process.stderr.readline()
        found = re.search(r"listening on \S+:(\d+),", line)
        if not found:
            sys.exit(line)
        began = cpu_seconds(process.pid)
        everybody = asyncio.run(visits(int(found[1]), pages, heartbeat, seconds))
        used = cpu_seconds(process.pid) - began
        status = Path(f"/proc/{process.pid}/status").read_text()
        peak = int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) / 1024  # type: ignore[index]
    finally:
        process.kill()
        process.communicate()
    trips = sorted(trip for one in everybody for trip in one.trips)
    failed = sum(one.failed for one in everybody)
    late = trips[int(len(trips) * 0.95)]
    print(
        f"responder, {pages:,} pages beating every {heartbeat:g} s for {seconds:g} s: "
        f"{len(trips):,} exchanges, {failed} failed; median {statistics.median(trips) * 1000:.1f} "
        f"ms, 19 of 20 within {late * 1000:.1f} ms (asked: {ASKED_SECONDS:g} s); "
        f"peak {peak:.0f} MiB (asked: {ASKED_MIB:g}); {used / seconds:.1%} of a core"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--pages", type=int, default=2000)
    parser.add_argument("--heartbeat", type=float, default=10.0)
    given = parser.parse_args()
    of_responder(given.pages, given.heartbeat, given.seconds)


if __name__ == "__main__":
    main()
