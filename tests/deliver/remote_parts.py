"""Receivers of remote write: a stub that stores what it takes, the real ones, and scripted runs."""

from __future__ import annotations

import itertools
import json
import socket
import time
import urllib.parse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from email.utils import formatdate
from pathlib import Path
from typing import Any

import cramjam
from delivery_programs import Program, free_port, get, program
from delivery_runs import run_families
from delivery_servers import Server

from t3probe.deliver.metrics.carry import LOST, Family, Group
from t3probe.deliver.metrics.remote_write_pb2 import WriteRequest
from t3probe.deliver.sinks import Batch, Receipt
from t3probe.deliver.sinks.receiver import RemoteReceiver
from t3probe.deliver.sinks.remote_write import RemoteWrites
from t3probe.timing import FakeClock

Labels = tuple[tuple[str, str], ...]
Samples = list[tuple[int, float]]
DROPS = "t3probe_disconnects_total"
LASTED = 35.0
"""Seconds of a scripted run."""
BEGAN = 1_700_000_000.0


def decoded(body: bytes) -> dict[Labels, Samples]:
    """A request's series."""
    request = WriteRequest.FromString(bytes(cramjam.snappy.decompress_raw(body)))
    return {
        tuple((one.name, one.value) for one in series.labels): [
            (one.timestamp, one.value) for one in series.samples
        ]
        for series in request.timeseries
    }


@dataclass
class Store:
    """A receiver that keeps each sample once, as Prometheus and VictoriaMetrics read them.

    `answer` says what a request gets; a 2xx stores it.
    """

    answer: Callable[[bytes], str] = lambda body: "204 No Content"
    samples: dict[Labels, dict[int, float]] = field(default_factory=dict)
    bodies: list[bytes] = field(default_factory=list)
    """Of all requests with series, in order."""
    asked: int = 0
    """Requests without series."""
    strict: bool = False
    """As Prometheus: a request with one sample that is older than its series' newest is refused."""
    dated: float | None = None
    """The Date of its answers, Unix seconds; None: none."""

    def __call__(self, sock: socket.socket, request: bytes, server: Server) -> None:
        body = request.partition(b"\r\n\r\n")[2]
        series = decoded(body)
        status = self.answer(body)
        if series:
            self.bodies.append(body)
        else:
            self.asked += 1
        if status.startswith("2") and self.strict and self.late(series):
            status = "400 out of order sample"
        if status.startswith("2"):
            for labels, samples in series.items():
                self.samples.setdefault(labels, {}).update(dict(samples))
        if status == "nothing":
            return
        date = "" if self.dated is None else f"Date: {formatdate(self.dated, usegmt=True)}\r\n"
        said = status.partition(" ")[2].encode()
        head = f"HTTP/1.1 {status}\r\n{date}Content-Length: {len(said)}\r\n"
        sock.sendall(head.encode() + b"Connection: close\r\n\r\n" + said)

    def late(self, series: Mapping[Labels, Samples]) -> bool:
        """Whether it has newer samples of any of these series."""
        return any(
            self.samples.get(labels) and samples[0][0] < max(self.samples[labels])
            for labels, samples in series.items()
        )

    def grown(self, name: str, **wanted: str) -> float:
        """The reset-aware steps of a counter, over all its series: what `increase()` means."""
        total = 0.0
        for labels, samples in self.samples.items():
            if {"__name__": name, **wanted}.items() <= dict(labels).items():
                values = [samples[one] for one in sorted(samples)]
                for before, after in itertools.pairwise(values):
                    total += after - before if after >= before else after
        return total

    @property
    def began(self) -> list[int]:
        """When the runs of all requests began, in the order of the requests."""
        return [min(ts for ts, _ in next(iter(decoded(one).values()))) for one in self.bodies]


def measured(drops: Mapping[tuple[str, str], int], began: float) -> Group:
    """What a scripted run measured that began at `began`, Unix seconds."""
    own = run_families(drops, {"cloudflare": [0.07, 0.3]}, began + LASTED)
    own["t3probe_run_duration_seconds"] = Family("gauge", "", {(): LASTED})
    return own


@dataclass
class Box:
    """Where scripted runs are made: its spool folder, and what it writes to."""

    folder: Path
    receivers: Sequence[RemoteReceiver]
    keep: bool = True
    vantage: str = "cluster"
    gauges: Group = field(default_factory=dict)
    wall: float | None = None
    """What its clock says at a run's end; None: the run's own end."""
    ended: float = 0.0

    def run(self, number: int, drops: int = 0, began: float | None = None) -> Receipt:
        """The run of this minute, with so many drops of one leg."""
        began = BEGAN + 60 * number if began is None else began
        wall = began + LASTED + 0.1 if self.wall is None else self.wall
        labels = {"job": "t3-probe", "vantage": self.vantage}
        remote = RemoteWrites(list(self.receivers), labels, FakeClock(wall=wall))
        sink = remote.sink(self.folder, keep=self.keep, gauges=self.gauges, tells=True)
        assert sink(Batch(run_families(), opening=True)).ok
        return sink(Batch(measured({("cloudflare", "rtt_timeout"): drops}, began)))

    @property
    def files(self) -> list[Path]:
        """What waits, oldest first."""
        return sorted(self.folder.glob("remote-write*/*.rw"))


def receiver(server: Server, **more: Any) -> RemoteReceiver:
    return RemoteReceiver(f"{server.url}/api/v1/write", **more)


class RealReceiver(Program):
    """A real one: `url` is where requests go, `query` asks it."""

    write = "/api/v1/write"

    def query(self, text: str, at: float | None = None) -> list[dict[str, Any]]:
        words = {"query": text} | ({} if at is None else {"time": str(at)})
        answer = json.loads(get(f"{self.url}/api/v1/query?{urllib.parse.urlencode(words)}"))
        found: list[dict[str, Any]] = answer["data"]["result"]
        return found

    def steps(self, selector: str, window: str, at: float | None = None) -> float:
        """The reset-aware steps of raw samples, over all series of a range."""
        total = 0.0
        for series in self.query(f"{selector}[{window}]", at):
            values = [float(value) for _, value in series["values"]]
            for before, after in itertools.pairwise(values):
                total += after - before if after >= before else after
        return total

    def settled(self, text: str, wanted: Callable[[list[dict[str, Any]]], bool], at: float) -> None:
        """Wait until a query answers so: VictoriaMetrics shows new series only after a while."""
        for _ in range(600):
            if wanted(self.query(text, at)):
                return
            time.sleep(0.1)
        raise AssertionError(f"{text} says {self.query(text, at)[:5]}")


class Prometheus(RealReceiver):
    """Takes remote write and scrapes nothing."""

    def __init__(self, folder: Path, window: str = "") -> None:
        """`window`: how far out of order samples may come; none without it."""
        port = free_port()
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / "prometheus.yml"
        tsdb = f"storage: {{tsdb: {{out_of_order_time_window: {window}}}}}\n" if window else ""
        file.write_text(f"global: {{}}\n{tsdb}")
        words = [
            program("prometheus"), f"--config.file={file}",
            f"--storage.tsdb.path={folder / 'tsdb'}", f"--web.listen-address=127.0.0.1:{port}",
            "--web.enable-remote-write-receiver",
        ]  # fmt: skip
        log = folder / "prometheus.log"
        super().__init__(words, f"http://127.0.0.1:{port}", "/-/ready", log)


class Victoria(RealReceiver):
    """VictoriaMetrics, which shows what it has without its usual 30 s."""

    def __init__(self, folder: Path) -> None:
        port = free_port()
        folder.mkdir(parents=True, exist_ok=True)
        words = [
            program("victoria-metrics"), f"-httpListenAddr=127.0.0.1:{port}",
            f"-storageDataPath={folder / 'victoria'}", "-search.latencyOffset=0s",
            "-search.disableCache", "-retentionPeriod=100y", "-memory.allowedBytes=64MB",
        ]  # fmt: skip
        log = folder / "victoria.log"
        super().__init__(words, f"http://127.0.0.1:{port}", "/health", log)


def lost_drops(store: Store) -> float:
    return store.grown(LOST)
