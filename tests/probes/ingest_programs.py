"""Real gates in front of a real receiver: nginx and vmauth before VictoriaMetrics."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from deliver.delivery_programs import DIRECT, Program, free_port
from probes.fixtures import Authority

from t3probe.config import loads
from t3probe.observation import Observation
from t3probe.run.session import Session
from t3probe.timing import SystemClock
from t3probe.verdict.incident.run import RunVerdict, judge_run

HOST = "ingest.example"
TOKEN = "5ecr3t-T0ken.of.senders_0123"
PACKAGES = {
    "nginx": "nginx-light",
    "victoria-metrics": "victoria-metrics",
    "vmauth": "victoria-metrics",
    "vmalert": "victoria-metrics",
    "vmagent": "victoria-metrics",
}


def program(name: str) -> str:
    """Where a program is. Absent: skip with a sentence; in CI that is a failure."""
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if found is None:
        words = f"{name} is not installed; on Debian: apt install {PACKAGES[name]}"
        if os.environ.get("CI") == "true":
            pytest.fail(words, pytrace=False)
        pytest.skip(words)
    return found


class VictoriaMetrics(Program):
    """A receiver of remote write whose data is thrown away."""

    def __init__(self, folder: Path, *more: str) -> None:
        port = free_port()
        self.address = f"127.0.0.1:{port}"
        words = [
            program("victoria-metrics"),
            f"-storageDataPath={folder / 'vm'}",
            f"-httpListenAddr={self.address}",
            "-search.latencyOffset=0s",
            "-retentionPeriod=100y",
            "-loggerLevel=ERROR",
            *more,
        ]
        super().__init__(words, f"http://{self.address}", "/health", folder / "vm.log")

    def stop(self, number: int = signal.SIGKILL) -> None:
        super().stop(number)


@dataclass
class Ground:
    """A folder, certificates and ports of one test."""

    folder: Path
    authority: Authority
    receiver: str
    """`host:port`."""
    port: int = field(default_factory=free_port)
    plain: int = field(default_factory=free_port)

    def __post_init__(self) -> None:
        self.folder.mkdir(exist_ok=True)
        made = self.authority.ca.issue_cert(HOST)
        self.certificate, self.key = self.folder / "cert.pem", self.folder / "key.pem"
        self.certificate.write_bytes(b"".join(one.bytes() for one in made.cert_chain_pems))
        made.private_key_pem.write_to_path(self.key)


KNOWN = "if ($known = 0) { return 401; }"
RIGHT: dict[str, str] = {
    "map": f'default 0; "Bearer {TOKEN}" 1;',
    "write": f"{KNOWN} proxy_pass http://RECEIVER;",
    "health": f"{KNOWN} proxy_pass http://RECEIVER/health;",
    "rest": "return 404;",
    "more": "",
    "top": "",
    "plain": "return 301 https://$host$request_uri;",
}
"""The parts of a gate that is as it must be."""


def nginx_config(ground: Ground, parts: Mapping[str, str]) -> str:
    """A whole configuration."""
    has = {**RIGHT, **parts}
    text = f"""
daemon off;
pid {ground.folder}/nginx.pid;
error_log {ground.folder}/error.log;
events {{}}
http {{
  access_log off;
  client_body_temp_path {ground.folder}/t1; proxy_temp_path {ground.folder}/t2;
  fastcgi_temp_path {ground.folder}/t3; uwsgi_temp_path {ground.folder}/t4;
  scgi_temp_path {ground.folder}/t5;
  map $http_authorization $known {{ {has["map"]} }}
  {has["top"]}
  server {{
    listen 127.0.0.1:{ground.port} ssl;
    server_name {HOST};
    ssl_certificate {ground.certificate};
    ssl_certificate_key {ground.key};
    location = /ready-of-the-test {{ return 200; }}
    location = /api/v1/write {{ {has["write"]} }}
    location = /health {{ {has["health"]} }}
    {has["more"]}
    location / {{ {has["rest"]} }}
  }}
  server {{ listen 127.0.0.1:{ground.plain}; {has["plain"]} }}
}}
"""
    return text.replace("RECEIVER", ground.receiver)


@contextlib.contextmanager
def running(words: list[str], folder: Path, name: str, port: int) -> Iterator[None]:
    """A program that listens at a port until the end of the block."""
    log = folder / f"{name}.log"
    with log.open("ab") as out:
        process = subprocess.Popen(words, stdout=out, stderr=out)
    try:
        for _ in range(500):
            if process.poll() is not None:
                break
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                yield
                return
            time.sleep(0.02)
        said = [one.read_text()[-2000:] for one in folder.glob("*.log")]
        pytest.fail(f"{name} does not listen: {said}")
    finally:
        process.kill()
        process.wait(20)


@contextlib.contextmanager
def nginx(ground: Ground, parts: Mapping[str, str]) -> Iterator[None]:
    """nginx as the gate."""
    file = ground.folder / "nginx.conf"
    file.write_text(nginx_config(ground, parts))
    # One process: nothing is left when it is killed.
    words = [program("nginx"), "-c", str(file), "-g", "master_process off;"]
    with running(words, ground.folder, "nginx", ground.port):
        yield


@contextlib.contextmanager
def vmauth(ground: Ground, users: str) -> Iterator[None]:
    """vmauth as the gate."""
    file = ground.folder / "auth.yml"
    file.write_text(users.replace("TOKEN", TOKEN).replace("RECEIVER", ground.receiver))
    words = [
        program("vmauth"),
        f"-auth.config={file}",
        f"-httpListenAddr=127.0.0.1:{ground.port}",
        "-tls",
        f"-tlsCertFile={ground.certificate}",
        f"-tlsKeyFile={ground.key}",
        # Its own pages are open otherwise.
        "-metricsAuthKey=of-the-test",
    ]
    with running(words, ground.folder, "vmauth", ground.port):
        yield


@dataclass
class Looked:
    """What a run saw of a gate."""

    session: Session
    verdict: RunVerdict

    @property
    def whole(self) -> Observation:
        return self.session.observations["ingest-metrics"]

    @property
    def gate(self) -> Observation:
        return self.session.observations["ingest-metrics-gate"]

    @property
    def open(self) -> set[str]:
        """In what respects it is not as it must be."""
        found = {**self.whole.gate, **self.gate.gate}
        return {name for name, held in found.items() if not held}

    @property
    def held(self) -> set[str]:
        found = {**self.whole.gate, **self.gate.gate}
        return {name for name, held in found.items() if held}


def deployment_text(ground: Ground, more: str = "", path: str = "/api/v1/write") -> str:
    """A file with one gate; a wrong token is due in every run."""
    return f"""
name = "gate"
segments = ["way", "gate", "receiver"]
tls_ca = "{ground.authority.file}"
[timing]
hold = "0"
heartbeat = "300ms"
watchdog = "3s"
connect_timeout = "2s"
[[ingest]]
name = "metrics"
kind = "remote_write"
url = "https://{HOST}:{ground.port}{path}"
pin = "127.0.0.1"
path = ["way", "gate", "receiver"]
tcp_ends_at = "gate"
plain_port = {ground.plain}
deep_every = "1m"
{more}
"""


def look(text: str) -> Looked:
    """A run of all legs of a file."""
    deployment = loads(text, environ={}, now=SystemClock().wall())
    session = Session(deployment, vantage="", hold=None)
    session.measure([leg.name for leg in deployment.legs], None)
    return Looked(session, judge_run(session.record(), session.recorded()))


def stored(receiver: VictoriaMetrics) -> int:
    """How many rows a receiver took."""
    with DIRECT.open(f"{receiver.url}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    lines = [one for one in text.splitlines() if one.startswith("vm_rows_inserted_total")]
    return int(sum(float(one.rpartition(" ")[2]) for one in lines))
