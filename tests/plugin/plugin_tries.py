"""Runs that are told to end at a given moment, and what the gateway holds of each afterwards."""

from __future__ import annotations

import contextlib
import functools
import math
import re
import signal
import socket
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event

from deliver.delivery_programs import RealGateway
from deliver.delivery_servers import Handler, Server, forwarding
from plugin_runner import ENVIRON, ROOT, Result, Runner
from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families

from t3probe.deliver import metrics
from t3probe.record.facts import Recording
from t3probe.timing import SystemClock
from t3probe.verdict.incident.run import judge_run

CLOCK = SystemClock()
HANGS_SECONDS = 20
"""The contract says five; a machine that does other things, too, gets more."""
Counts = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def takes_signals(pid: int) -> bool:
    """Whether the process has a handler for SIGTERM: the plugin is loaded."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False
    caught = next((line for line in status.splitlines() if line.startswith("SigCgt:")), "SigCgt: 0")
    return bool(int(caught.split()[1], 16) >> (signal.SIGTERM - 1) & 1)


def children(pid: int) -> list[int]:
    try:
        return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


@dataclass
class SlowGateway:
    """A handler that passes everything on to a gateway, late."""

    target: RealGateway
    seconds: float
    answered: dict[str, float] = field(default_factory=dict)
    """Path of a group -> when the last PUT of it was answered."""

    def handler(self) -> Handler:
        forward = forwarding(self.target.url)

        def late(sock: socket.socket, request: bytes, server: Server) -> None:
            server.over.wait(self.seconds)
            forward(sock, request, server)
            method, path, _ = request.split(b"\r\n", 1)[0].decode().split(" ")
            if method == "PUT":
                self.answered[path] = CLOCK.monotonic()

        return late


@dataclass
class Try:
    """One run that is told to end."""

    number: int
    moment: float
    """Seconds after the plugin is loaded."""
    signals: tuple[int, ...]
    scheduled: bool
    result: Result | None = None
    told_at: float | None = None
    """When; None when the run had ended before."""

    @property
    def vantage(self) -> str:
        return f"try-{self.number}"

    @property
    def job(self) -> str:
        return "t3-probe" if self.scheduled else "t3-probe-manual"

    def __str__(self) -> str:
        names = ", ".join(signal.Signals(one).name for one in self.signals)
        how = "--exit-delivered" if self.scheduled else "--push"
        return f"{self.vantage}: {names} {self.moment:.3f} s after the plugin was loaded, {how}"

    def run(self, checks: Runner, url: str, hold: str, gap: float = 0.0) -> float:
        """Run, tell it to end, wait for its end. The seconds from plugin to end."""
        folder = checks.folder / self.vantage
        process = start(
            checks, folder, "--hold", hold, "--vantage", self.vantage, "--gateway", url,
            "--exit-delivered" if self.scheduled else "--push",
        )  # fmt: skip
        pause = Event()
        while process.poll() is None and not takes_signals(process.pid):
            pause.wait(0.001)
        loaded = CLOCK.monotonic()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(self.moment)
        for number in self.signals:
            if process.poll() is None:
                self.told_at = self.told_at or CLOCK.monotonic()
                process.send_signal(number)
                pause.wait(gap)
        self.result = finished(process, folder)
        return CLOCK.monotonic() - loaded


def start(
    checks: Runner, folder: Path, *words: str, deployment: str | None = ""
) -> subprocess.Popen[bytes]:
    """Start a run whose output goes into a file of `folder`."""
    folder.mkdir(exist_ok=True)
    command = [*checks.command(*words, deployment=deployment), f"--results={folder}"]
    with open(folder / "output", "wb") as output:
        return subprocess.Popen(
            command,
            cwd=ROOT,
            env={**ENVIRON, "CI": ""},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )


def finished(process: subprocess.Popen[bytes], folder: Path) -> Result:
    """Its result; AssertionError when it hangs."""
    try:
        code = process.wait(HANGS_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise AssertionError(f"it hangs:\n{(folder / 'output').read_text()}") from None
    return Result(code, (folder / "output").read_text(), folder)


def counts_in(families: Iterable[Metric], of: Mapping[str, str] | None = None) -> Counts:
    """Counters and buckets with all these labels, which then are left out."""
    found: Counts = {}
    mine = of or {}
    for family in families:
        if family.type not in {"counter", "histogram"} or not family.name.startswith("t3probe_"):
            continue
        for sample in family.samples:
            if sample.name.endswith("_created") or not mine.items() <= sample.labels.items():
                continue
            labels = {
                name: value if name != "le" else repr(float(value))
                for name, value in sample.labels.items()
                if name != "instance" and name not in mine
            }
            found[sample.name, tuple(sorted(labels.items()))] = sample.value
    return found


def recorded_counts(recording: Recording) -> Counts:
    """What a run's record says it counted."""
    run, seen = recording.run, recording.observations
    text = metrics.rendered(metrics.families(run, seen, judge_run(run, seen))).decode()
    return counts_in(text_string_to_metric_families(text))


@functools.lru_cache(maxsize=1)
def parsed(text: str) -> list[Metric]:
    return list(text_string_to_metric_families(text))


def held_by(gateway: RealGateway) -> list[Metric]:
    """All of ours that the gateway holds; reading that takes longer than a run, so only once."""
    lines = gateway.exposition().splitlines()
    ours = [line for line in lines if re.match(r"(# (HELP|TYPE) )?t3probe_", line)]
    return parsed("\n".join([*ours, ""]))


def gateway_counts(gateway: RealGateway, job: str, vantage: str) -> Counts:
    """What the gateway holds of a group."""
    return counts_in(held_by(gateway), {"job": job, "vantage": vantage})


def differences(found: Counts, *parts: Counts) -> list[str]:
    """Where the counts found are not the sum of the parts."""
    words = []
    for key in sorted({*found, *(one for part in parts for one in part)}):
        wanted = sum(part.get(key, 0.0) for part in parts)
        if not math.isclose(found.get(key, 0.0), wanted, rel_tol=1e-6, abs_tol=1e-5):
            words.append(f"{key}: expected {wanted}, found {found.get(key)}")
    return words


def run_complete(gateway: RealGateway, job: str, vantage: str) -> float:
    for family in held_by(gateway):
        for sample in family.samples:
            labels = {"job": job, "vantage": vantage}
            if sample.name == "t3probe_run_complete" and labels.items() <= sample.labels.items():
                return sample.value
    raise AssertionError(f"the gateway knows no run of {job}, {vantage}")
