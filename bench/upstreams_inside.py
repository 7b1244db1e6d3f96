"""The parts of `bench/upstreams_cost.py` that look into a process: each runs in one of its own.

A line `KEY<tab>words<tab>number` on standard output is a figure with a limit; other lines are
shown as they are. By itself this file measures nothing.
"""

from __future__ import annotations

import asyncio
import functools
import importlib
import os
import resource
import socket
import statistics
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

INSIDE = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from upstreams_inside import PARTS
PARTS[sys.argv[1]](sys.argv[2:])
"""
ECHO = """
import asyncio, sys
from websockets.asyncio.server import serve

async def echo(ws):
    async for message in ws:
        await ws.send(message)

async def main():
    async with serve(echo, "127.0.0.1", int(sys.argv[1]), compression=None):
        await asyncio.Event().wait()

asyncio.run(main())
"""
STAGES = (
    ("reading the deployment file", "t3probe.config.load", "", "loads"),
    ("collecting", "pytest", "Session", "perform_collect"),
    ("metrics at the start", "t3probe.deliver.delivery", "Shipping", "begin"),
    ("probing, without the child", "t3probe.run.session", "Session", "measure"),
    ("  of that the observations", "t3probe.run.sweep.parent", "Sweep", "observations"),
    ("properties for JUnit", "t3probe.plugin", "Checks", "_write_property"),
    ("pytest's reports", "t3probe.plugin.items", "UpstreamItems", "_report"),
    ("judging", "t3probe.verdict.incident.run", "", "judge_run"),
    ("verdict.json", "t3probe.record.results", "Results", "write_verdict"),
    ("metrics at the end", "t3probe.deliver.delivery", "Shipping", "end"),
)


def stages(words: list[str]) -> None:
    """The CPU of each stage of one run."""
    import pytest

    spent: dict[str, float] = {}
    for label, module, holder, name in STAGES:
        owner: Any = importlib.import_module(module)
        owner = getattr(owner, holder) if holder else owner
        setattr(owner, name, _timed(getattr(owner, name), label, spent))
    import t3probe.verdict
    from t3probe.verdict.incident.run import judge_run

    t3probe.verdict.judge_run = judge_run

    class Rest:
        @pytest.hookimpl(wrapper=True, tryfirst=True)
        def pytest_runtestloop(self) -> Any:
            began = time.process_time()
            found = yield
            spent["the loop"] = time.process_time() - began
            return found

        @pytest.hookimpl(wrapper=True, tryfirst=True)
        def pytest_sessionfinish(self) -> Any:
            began = time.process_time()
            found = yield
            spent["the end"] = time.process_time() - began
            return found

    pytest.main(words, plugins=[Rest()])
    total = time.process_time()
    child = resource.getrusage(resource.RUSAGE_CHILDREN)
    probing = spent["probing, without the child"]
    inner = spent["properties for JUnit"] + spent["pytest's reports"]
    before = spent["metrics at the start"]
    spent["pytest's loop and its reporters"] = spent.pop("the loop") - probing - inner - before
    ended = ("judging", "verdict.json", "metrics at the end")
    spent["writing JUnit, the summary"] = spent.pop("the end") - sum(spent[one] for one in ended)
    known = sum(value for label, value in spent.items() if not label.startswith("  "))
    spent["start-up, imports, the rest"] = total - known
    spent["the child: the connects"] = child.ru_utime + child.ru_stime
    whole = total + spent["the child: the connects"]
    for label, value in spent.items():
        print(f"  {label:<36} {value * 1e3:6.0f} ms  {value / whole:4.0%}", file=sys.stderr)


def _timed(function: Any, label: str, spent: dict[str, float]) -> Any:
    @functools.wraps(function)
    def timed(*words: Any, **more: Any) -> Any:
        began = time.process_time()
        try:
            return function(*words, **more)
        finally:
            spent[label] = spent.get(label, 0.0) + time.process_time() - began

    return timed


def clock(where: list[str]) -> None:
    """What is reported beside the kernel's own number, read apart, and beside a stopwatch."""
    from t3probe.run.sweep import child as sweep_child
    from t3probe.run.sweep import wire as wire
    from t3probe.run.sweep.book import Said
    from t3probe.timing import SystemClock

    kernel: dict[tuple[str, int], float] = {}

    class Watched(socket.socket):
        def getsockopt(self, *words: Any) -> Any:
            found = super().getsockopt(*words)
            if words[0] == socket.IPPROTO_TCP:
                raw = super().getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
                kernel[self.getpeername()] = struct.unpack("=8B24I", raw)[8 + 15]
            return found

    source, stop = os.pipe()
    answer, out = os.pipe()
    data = bytearray()

    def keep() -> None:
        while piece := os.read(answer, 1 << 16):
            data.extend(piece)

    reader = threading.Thread(target=keep)
    reader.start()
    lines = ["0 " + one.replace(":", " ") for one in where]
    settings = wire.Settings(SystemClock().monotonic(), 64, 0.25, 3.0, 5.0, 60.0)
    sweep_child.Socket = Watched  # type: ignore[misc]
    sweep_child.Sweeper(settings, lines, out, source, SystemClock()).run()
    os.close(out)
    reader.join()
    os.close(stop)
    wrong, own = [], []
    for address, ((_, _, _, _, rtt, sent, ended),) in zip(
        where, Said(data, len(lines)).tries, strict=True
    ):
        host, _, port = address.partition(":")
        wrong.append(abs(rtt - kernel[host, int(port)]))
        own.append(ended - sent - kernel[host, int(port)])
    print(f"error\treported latency against the kernel's own, worst, us\t{max(wrong)}")
    middle, worst = statistics.median(own), statistics.quantiles(own, n=100)[98]
    print(f"  a stopwatch would add {middle:.0f} us, and {worst:.0f} us at the 99th percentile")


def _deployment(where: list[str], heartbeat: float = 1.0, **more: Any) -> Any:
    from t3probe.config.table import Duration
    from t3probe.config.types import Deployment, Leg, Timing

    legs = tuple(
        Leg(name=f"envoy-{n}", kind="tcp", path=("net", f"upstream-{n}"), address=one)
        for n, one in enumerate(where)
    )
    timing = Timing(heartbeat=Duration(heartbeat))
    return Deployment(name="b", file="b", segments=("net",), legs=legs, timing=timing, **more)


def pace(where: list[str]) -> None:
    """What a sweep costs a small machine, one at a time, every thirty seconds."""
    from t3probe.config.types import SweepLimits as Pace
    from t3probe.run.controller import Run
    from t3probe.run.sweep.parent import Sweep

    for pace in (Pace(pace="sequential"), Pace()):
        made = _deployment(where, sweep=pace)
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        sweep = Sweep(made, made.legs)
        peaks: list[int] = []

        def high(pid: int = sweep._process.pid) -> int:
            lines = Path(f"/proc/{pid}/status").read_text().splitlines()
            return next((int(one.split()[1]) for one in lines if "VmHWM" in one), 0)

        async def both(sweep: Any = sweep, made: Any = made, peaks: Any = peaks) -> None:
            async def look() -> None:
                while True:
                    peaks.append(high())
                    await asyncio.sleep(0.02)

            looking = asyncio.create_task(look())
            run = Run(made, (), hold=0, beside=sweep.beside)
            await run.measure()
            looking.cancel()
            assert not sweep.problem

        asyncio.run(both())
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        if pace.pace == "sequential":
            print(f"core\tthe child, sequential, every 30 s, % of a core\t{spent / 30 * 100}")
            print(f"small\tthe child's peak memory, MiB\t{max(peaks) / 1024}")
            print(f"  1 % of a core is {0.3 / spent * len(where):.0f} upstreams every 30 s")
        print(f"  {pace.pace}: {spent / len(where) * 1e6:.0f} us of CPU a connect, start included")
    print(f"  the kernel and a bare loop over epoll alone: {_bare(where) * 1e6:.0f} us")


def _bare(where: list[str]) -> float:
    """CPU seconds of one connect, one at a time, with nothing around it."""
    import select

    targets = [(host, int(port)) for host, _, port in (one.partition(":") for one in where)]
    poll = select.epoll()
    began = time.process_time()
    for target in targets:
        one = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        one.connect_ex(target)
        poll.register(one.fileno(), select.EPOLLOUT)
        poll.poll()
        one.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 72)
        one.close()
    return (time.process_time() - began) / len(targets)


def beats(words: list[str]) -> None:
    """Round trips on WebSockets while upstreams are swept, and while nothing else happens."""
    from t3probe.config.types import Leg
    from t3probe.run.controller import Run
    from t3probe.run.sweep.parent import Sweep

    rounds, where = int(words[0]), words[1:]
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    echo = subprocess.Popen([sys.executable, "-c", ECHO, str(port)])
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            break
        except OSError:
            time.sleep(0.02)
    url = f"ws://127.0.0.1:{port}/probe/ws"
    kept = [Leg(name=f"ws-{n}", kind="ws_echo", path=("net",), url=url) for n in range(4)]
    made = _deployment(where, heartbeat=0.01)

    def trips(kind: str) -> list[float]:
        sweep = Sweep(made, made.legs) if kind == "child" else None
        legs = [*kept, *made.legs] if kind == "loop" else kept
        beside = None if sweep is None else sweep.beside
        run = Run(made, legs, hold=1.0, beside=beside)
        seen = asyncio.run(run.measure())
        until = 1.0
        if sweep is not None:
            swept = sweep.observations(run, lambda _: "")
            assert {one.outcome for one in swept} == {"passed"}
            until = max(one.ended for one in swept)
        return [
            beat.rtt_seconds * 1e3
            for one in seen[: len(kept)]
            for beat in one.beats[1:]
            if beat.ok and beat.sent <= until
        ]

    found: dict[str, list[float]] = {"idle": [], "child": []}
    trips("child")
    for _ in range(2 * rounds):
        for kind in found:
            found[kind] += trips(kind)
    echo.kill()
    echo.wait()
    high = {kind: statistics.quantiles(some, n=100)[98] for kind, some in found.items()}
    print(
        f"beats\tWebSocket round trips, p99 with a sweep less that without, ms"
        f"\t{high['child'] - high['idle']}"
    )
    for kind, some in found.items():
        words = [f"median {statistics.median(some):.2f} ms", f"p99 {high[kind]:.2f} ms"]
        print(f"  {kind}: {', '.join(words)}, {len(some)} beats")


PARTS = {"stages": stages, "clock": clock, "pace": pace, "beats": beats}
