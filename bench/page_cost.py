"""What the page costs the person's device, and what 2,000 pages cost the responder.

Two real Chromiums, one with the page and one with an empty page, over the same time: CPU and memory
of all their processes, so that what the page asks of the browser's own counts, too. Then so many
clients do against `t3probe echo` what as many pages do: each holds a connection, and at each
heartbeat makes an exchange on it and another on a connection of its own.

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
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))
from show.report_browser import Browser  # noqa: E402

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
ECHO = b"\x81\x84\x00\x00\x00\x00beat"
"""A masked text frame, its mask 0."""
ANSWER = b"\x81\x04beat"
DIALS_AT_ONCE = 50
ASKED_SHARE = 0.01
ASKED_MEGABYTES = 30.0
SETTLING_SECONDS = 15.0
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
        self.failed: list[str] = []

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
        except (OSError, asyncio.IncompleteReadError) as error:
            self.failed.append(f"held: {error}")
        self.trips.append(time.monotonic() - began)

    async def _fresh(self) -> None:
        began = time.monotonic()
        try:
            pair = await self._open()
        except (OSError, asyncio.IncompleteReadError) as error:
            self.failed.append(f"fresh: {error}")
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


def megabytes(pid: int) -> float:
    """The proportional set size (proc(5), smaps_rollup): what is shared counts once."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return sum(int(one) for one in re.findall(r"^Pss:\s+(\d+) kB", text, re.MULTILINE)) / 1000


def group(leader: int) -> list[int]:
    """The processes of a group."""
    found = []
    for one in Path("/proc").iterdir():
        if one.name.isdigit():
            try:
                if os.getpgid(int(one.name)) == leader:
                    found.append(int(one.name))
            except ProcessLookupError:
                continue
    return found


@contextmanager
def responder(*words: str) -> Iterator[tuple[int, int]]:
    """`t3probe echo --page`: its process and its port."""
    process = subprocess.Popen(
        [sys.executable, "-m", "t3probe.cli", "echo", "--listen", "127.0.0.1:0", "--page", *words],
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
        yield process.pid, int(found[1])
    finally:
        process.kill()
        process.communicate()


def of_page(seconds: float) -> None:
    with responder() as (_, port), Browser() as empty, Browser() as measuring:
        empty.visit(f"http://127.0.0.1:{port}/probe/healthz")
        page = measuring.visit(f"http://127.0.0.1:{port}/probe/")
        time.sleep(SETTLING_SECONDS)
        both = [group(one.pid) for one in (empty, measuring)]
        before = [sum(map(cpu_seconds, pids)) for pids in both]
        time.sleep(seconds)
        after = [sum(map(cpu_seconds, pids)) for pids in both]
        sizes = [sum(map(megabytes, pids)) for pids in both]
        beats = page.run("t3probe.record().beats.length")
        drops = page.run("t3probe.record().drops.length")
    shares = [(end - begin) / seconds for begin, end in zip(before, after, strict=True)]
    print(
        f"page, visible, for {seconds:g} s, {beats} beats, {drops} drops: {shares[1]:.2%} of a "
        f"core, an empty page {shares[0]:.2%}: {shares[1] - shares[0]:.2%} more (asked: "
        f"{ASKED_SHARE:.0%}); {sizes[1]:.0f} MB, {sizes[0]:.0f} MB: "
        f"{sizes[1] - sizes[0]:.1f} MB more (asked: {ASKED_MEGABYTES:g})"
    )


def of_responder(pages: int, heartbeat: float, seconds: float) -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    # Each page has a second WebSocket for a moment.
    words = ["--trusted-proxy", "127.0.0.0/8", "--max-connections", str(pages + pages // 10)]
    with responder(*words) as (pid, port):
        began = cpu_seconds(pid)
        everybody = asyncio.run(visits(port, pages, heartbeat, seconds))
        used = cpu_seconds(pid) - began
        peak = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert peak
    trips = sorted(trip for one in everybody for trip in one.trips)
    failed = Counter(why for one in everybody for why in one.failed)
    late = trips[int(len(trips) * 0.95)]
    print(
        f"responder, {pages:,} pages beating every {heartbeat:g} s for {seconds:g} s: "
        f"{len(trips):,} exchanges, {sum(failed.values())} failed; median "
        f"{statistics.median(trips) * 1000:.1f} ms, 19 of 20 within "
        f"{late * 1000:.1f} ms (asked: {ASKED_SECONDS:g} s); "
        f"peak {int(peak[1]) / 1024:.0f} MiB (asked: {ASKED_MIB:g}); "
        f"{used / seconds:.1%} of a core"
    )
    for why, count in failed.most_common(5):
        print(f"    {count} x {why}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--pages", type=int, default=2000)
    parser.add_argument("--heartbeat", type=float, default=10.0)
    given = parser.parse_args()
    of_page(given.seconds)
    of_responder(given.pages, given.heartbeat, given.seconds)


if __name__ == "__main__":
    main()
