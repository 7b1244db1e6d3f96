"""Ten thousand upstreams in one run: what it costs, beside blackbox_exporter probing the same.

A whole run is a pytest of the checks in a process of its own: collecting, probing, the JUnit file,
the verdict, and the metrics (a textfile). Its CPU is that of the whole process and of the child
that sweeps, start-up and reading the deployment file included, nothing taken off. Of the exporter
only its own CPU counts, not that of whoever asks it. The servers that accept are in a third
process and count for nobody. Everything is on loopback, in turns, medians over the rounds.

Needs `prometheus-blackbox-exporter`; without it, one sentence stands in place of that ratio.

    python bench/upstreams_cost.py [ROUNDS]
"""

from __future__ import annotations

import http.client
import os
import select
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from run_cost import PYTEST, ROOT
from upstreams_inside import INSIDE

MANY = 10_000
RACK = 50
TICKS = os.sysconf("SC_CLK_TCK")
ASKED = {
    "cpu": 1.3, "wall": 20.0, "wall_dead": 60.0, "peak": 160.0, "double": 2.1, "error": 50.0,
    "beats": 2.0, "core": 1.0, "small": 50.0,
}  # fmt: skip
SERVER = """
import os, select, socket
os.nice(10)  # in place of other machines
ports, all = [], select.epoll()
for _ in range(8):
    one = socket.socket()
    one.bind(("0.0.0.0", 0))  # every address of 127.0.0.0/8
    one.listen(4096)
    one.setblocking(False)
    ports.append(one)
    all.register(one.fileno(), select.EPOLLIN)
print(*[one.getsockname()[1] for one in ports], flush=True)
by = {one.fileno(): one for one in ports}
while True:
    for number, _ in all.poll():
        try:
            while True:
                by[number].accept()[0].close()
        except BlockingIOError:
            pass
"""


class Cost(NamedTuple):
    """One process and its children."""

    cpu: float
    wall: float
    peak: float
    """MiB of all of them together, at the worst moment."""
    code: int


def resident(pid: int) -> float:
    """MiB of a process and its children now; 0 when it is gone."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except (OSError, IndexError):
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20 + sum(map(resident, map(int, children)))


def measure(command: list[str], **environ: str) -> Cost:
    """Run a command to its end."""
    began, peak = time.perf_counter(), 0.0
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env={
            **os.environ,
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
            "T3PROBE_LOOPBACK_ONLY": "1",
            "NO_COLOR": "1",
            "PYTHONPATH": str(ROOT),
            **environ,
        },
        stdout=subprocess.DEVNULL,
        stderr=None if environ else subprocess.DEVNULL,
    )
    while True:
        pid, status, usage = os.wait4(process.pid, os.WNOHANG)
        if pid:
            break
        peak = max(peak, resident(process.pid))
        time.sleep(0.01)
    process.returncode = os.waitstatus_to_exitcode(status)
    wall = time.perf_counter() - began
    peak = max(peak, usage.ru_maxrss / 1024)
    return Cost(usage.ru_utime + usage.ru_stime, wall, peak, process.returncode)


@contextmanager
def servers() -> Iterator[list[int]]:
    """Ports that accept and close, on every loopback address."""
    process = subprocess.Popen([sys.executable, "-c", SERVER], stdout=subprocess.PIPE)
    assert process.stdout is not None
    try:
        yield list(map(int, process.stdout.readline().split()))
    finally:
        process.kill()
        process.wait()


@contextmanager
def black_hole() -> Iterator[int]:
    """A port that answers nobody, on every loopback address: its accept queue is full."""
    with ExitStack() as stack:
        full = stack.enter_context(socket.socket())
        full.bind(("0.0.0.0", 0))
        full.listen(0)
        port = full.getsockname()[1]
        while True:
            one = stack.enter_context(socket.socket())
            one.setblocking(False)
            one.connect_ex(("127.0.0.1", port))
            poll = select.poll()
            poll.register(one, select.POLLOUT)
            if not poll.poll(200):
                break
        yield port


def addresses(number: int, ports: list[int], dead: int | None = None) -> list[str]:
    """One address of 127.0.0.0/8 for each upstream; with `dead`, every twentieth at that port."""
    out = []
    for at in range(number):
        port = dead if dead is not None and at % 20 == 7 else ports[at % len(ports)]
        out.append(f"127.1.{at // 250}.{at % 250 + 1}:{port}")
    return out


def deployment(file: Path, where: list[str], more: str = "") -> list[str]:
    """The words of a run over these upstreams, fifty to a rack."""
    racks = [f"rack-{at}" for at in range((len(where) + RACK - 1) // RACK)]
    names = ", ".join(f'"{one}"' for one in ("net", *racks))
    text = [f'name = "bench"\nsegments = [{names}]\n{more}']
    text.append(f'[delivery]\ntextfile = "{file.with_suffix(".prom")}"\n')
    for at, address in enumerate(where):
        text.append(
            f'[[upstream]]\nname = "backend-{at:05d}"\naddress = "{address}"\n'
            f'route = "route-{at % 50}"\nlisten_port = {8000 + at % 50}\n'
            f'shares = ["net", "rack-{at // RACK}"]\n'
        )
    file.write_text("".join(text))
    results = file.parent / "results"
    return [
        *("-p", "pytest_asyncio", "-p", "pytest_timeout", "--hold", "0", "--push"),
        *(f"--deployment={file}", f"--results={results}", "checks"),
    ]


class Exporter:
    """blackbox_exporter, and what it has cost so far."""

    def __init__(self, program: str, folder: Path) -> None:
        config = folder / "blackbox.yml"
        config.write_text("modules: {tcp: {prober: tcp, timeout: 3s}}\n")
        with socket.socket() as sock:
            sock.bind(("127.0.0.1", 0))
            self.port = sock.getsockname()[1]
        self.process = subprocess.Popen(
            [
                *(program, f"--config.file={config}", "--log.level=error"),
                f"--web.listen-address=127.0.0.1:{self.port}",
            ],
            stderr=subprocess.DEVNULL,
        )
        for _ in range(500):
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
                break
            except OSError:
                time.sleep(0.02)

    def cpu(self) -> float:
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def probe(self, where: list[str], workers: int = 8) -> float:
        """CPU seconds of probing all of these once, eight questions at a time."""
        before, bad = self.cpu(), []

        def work(first: int) -> None:
            ask = http.client.HTTPConnection("127.0.0.1", self.port)
            for target in where[first::workers]:
                ask.request("GET", f"/probe?target={target}&module=tcp")
                if b"probe_success 1" not in ask.getresponse().read():
                    bad.append(target)

        threads = [threading.Thread(target=work, args=(at,)) for at in range(workers)]
        for one in threads:
            one.start()
        for one in threads:
            one.join()
        assert not bad, f"{len(bad)} targets did not answer the exporter"
        return self.cpu() - before

    def end(self) -> None:
        self.process.terminate()
        self.process.wait()


def say(key: str, words: str, value: float) -> None:
    """One figure beside what was asked."""
    verdict = "ok" if value <= ASKED[key] else "OVER"
    print(f"{words:<66} {value:7.2f}  asked <= {ASKED[key]:g}  {verdict}")


def inside(what: str, *words: str) -> None:
    """Run one part of `upstreams_inside` in a process of its own; it prints its own lines."""
    sys.stdout.flush()
    done = subprocess.run(
        [sys.executable, "-c", INSIDE, what, *words],
        cwd=ROOT,
        env={
            **os.environ, "T3PROBE_LOOPBACK_ONLY": "1", "PYTHONPATH": str(ROOT),
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "NO_COLOR": "1",
        },
        stdout=subprocess.PIPE if what != "stages" else subprocess.DEVNULL,
        stderr=None if what == "stages" else subprocess.DEVNULL,
        check=True,
    )  # fmt: skip
    for line in (done.stdout or b"").decode().splitlines():
        key, _, rest = line.partition("\t")
        if key in ASKED:
            text, _, value = rest.rpartition("\t")
            say(key, text, float(value))
        else:
            print(line)


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    program = shutil.which("prometheus-blackbox-exporter")
    with tempfile.TemporaryDirectory() as name, servers() as ports, black_hole() as dead:
        folder = Path(name)
        where = addresses(MANY, ports)
        run = [*PYTEST, *deployment(folder / "many.toml", where)]
        double = [*PYTEST, *deployment(folder / "double.toml", addresses(2 * MANY, ports))]
        broken = [*PYTEST, *deployment(folder / "dead.toml", addresses(MANY, ports, dead))]
        # First of all: later every connect pays for the thousands that were closed before it.
        inside("pace", *where)
        inside("beats", str(rounds), *where)
        inside("clock", *where)
        exporter = None if program is None else Exporter(program, folder)
        ours, twice, peer = [], [], []
        measure(run)  # bytecode, and the textfile that later runs continue
        measure(double)
        for _ in range(rounds):
            if exporter is not None:
                peer.append(exporter.probe(where))
            ours.append(measure(run))
            twice.append(measure(double))
        assert {one.code for one in (*ours, *twice)} == {0}, "a run failed"
        cpu, wall, peak, _ = (statistics.median(column) for column in zip(*ours, strict=True))
        print(f"{MANY} upstreams, all answer: {cpu:.2f} s CPU, {cpu / MANY * 1e6:.0f} us for each")
        if exporter is None:
            print("no comparison: prometheus-blackbox-exporter is not installed; apt install it")
        else:
            exporter.end()
            their = statistics.median(peer)
            print(
                f"blackbox_exporter, the same: {their:.2f} s, {their / MANY * 1e6:.0f} us for each"
            )
            say("cpu", "CPU of a whole run / the exporter's own", cpu / their)
        say("wall", "wall of a run, all answer, s", wall)
        say("peak", "peak memory with the child, all answer, MiB", peak)
        double_cpu = statistics.median(one.cpu for one in twice)
        say("double", f"CPU of {2 * MANY} upstreams / of {MANY}", double_cpu / cpu)
        holes = measure(broken)
        assert holes.code == 1, "nothing failed"
        say("wall_dead", "wall of a run, 5 % black holes, s", holes.wall)
        say("peak", "peak memory with the child, 5 % black holes, MiB", holes.peak)
        print(f"  with them it takes {holes.cpu / cpu:.2f} times the CPU")
        print("where the CPU of a run goes:")
        inside("stages", *deployment(folder / "many.toml", where))


if __name__ == "__main__":
    main()
