"""Traces of real runs at a real receiver; what requests tell a real server; and no receiver."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from deliver.delivery_programs import free_port, program
from deliver.trace_receiver import Receiver, attributes, receiving
from plugin_runner import ENVIRON, ROOT

ENDPOINT = "T3PROBE__DELIVERY__OTLP__ENDPOINT"
PARENT = "T3PROBE__DELIVERY__OTLP__TRACEPARENT"
PATIENT = {"OTEL_EXPORTER_OTLP_TIMEOUT": "20000"}
"""On a busy machine a receiver may take long; the delivery's own time still bounds it."""


@pytest.fixture
def tap() -> Iterator[Receiver]:
    with receiving() as one:
        yield one


def shape(spans: list) -> dict[str, tuple]:
    """What makes two traces the same: each span, its parent and its times."""
    return {
        one.span_id.hex(): (
            one.parent_span_id.hex(), one.name, one.start_time_unix_nano, one.end_time_unix_nano,
            len(one.events), one.status.code,
        )
        for one in spans
    }  # fmt: skip


def all_of(done, tap: Receiver) -> list:
    """Every span of a run's trace, as many as the run says; they come one by one."""
    said = done.output.replace("\n                ", " ")
    told = re.search(rf"took the trace {done.recording.run.trace_id}, (\d+) spans", said)
    assert told, done.output
    spans = tap.wait(int(told[1]))
    assert len(spans) == int(told[1])
    return spans


def test_a_run_is_a_trace_that_its_record_makes_again(checks, tap: Receiver) -> None:
    checks.lab.switch(["dispatch:refuse"])
    done = checks("--hold=0", "--push", "--record-line", env={**PATIENT, ENDPOINT: tap.url})
    run, seen = done.recording.run, done.legs
    assert re.fullmatch("[0-9a-f]{32}", run.trace_id)
    spans = all_of(done, tap)
    assert {one.trace_id.hex() for one in spans} == {run.trace_id}
    legs = {attributes(one)["t3probe.leg"]: one for one in spans if one.name.startswith("leg ")}
    assert legs.keys() == seen.keys()
    for name, leg in seen.items():
        assert (legs[name].status.code == 2) == (leg.outcome == "failed"), name
    assert attributes(legs["dispatch"])["error.type"] == "connect_refused"
    (root,) = (one for one in spans if not one.parent_span_id)
    assert attributes(root)["t3probe.verdict.convicted"] == ["dispatch"]
    # Whoever reads any of these finds the trace.
    junit = (done.results / "junit.xml").read_text()
    assert f'<property name="t3probe.trace_id" value="{run.trace_id}"' in junit
    assert f'"trace_id":"{run.trace_id}"' in done.output
    words = ["push", done.results / "junit.xml", "--otlp", tap.url]
    again = subprocess.run(
        [sys.executable, "-m", "t3probe.cli", *words],
        capture_output=True, text=True, env={**ENVIRON, **PATIENT}, cwd=ROOT, timeout=60,
        check=False,
    )  # fmt: skip
    assert again.returncode == 0, again.stderr
    assert run.trace_id in again.stdout
    twice = tap.wait(2 * len(spans))
    assert shape(twice[len(spans) :]) == shape(spans)


def test_only_a_run_that_delivers_sends_one(checks, tap: Receiver) -> None:
    plain = checks("--hold=0", "-k", "devvm", env={**PATIENT, ENDPOINT: tap.url, PARENT: "sampled"})
    assert plain.code == 0
    assert plain.recording.run.trace_id == ""
    assert not any(beat.traced for leg in plain.legs.values() for beat in leg.beats)
    part = checks("--hold=0", "-k", "devvm", "--exit-delivered", env={**PATIENT, ENDPOINT: tap.url})
    assert "nothing is delivered: this run is only a part" in part.output
    alone = {"OTEL_EXPORTER_OTLP_ENDPOINT": tap.url}
    assert "nothing is delivered: no place is named" in checks(
        "--hold=0", "-k", "devvm", "--push", env=alone
    ).output.replace("\n                ", " ")
    off = {**PATIENT, ENDPOINT: tap.url, PARENT: "sampled", "OTEL_SDK_DISABLED": "true"}
    switched = checks("--hold=0", "-k", "devvm", "--push", env=off)
    assert "no trace is sent: OTEL_SDK_DISABLED is set" in switched.output
    assert not any(beat.traced for leg in switched.legs.values() for beat in leg.beats)
    assert tap.spans == []
    told = checks("--hold=0", "-k", "devvm", "--push", env={**PATIENT, ENDPOINT: tap.url})
    assert told.code == 0
    assert tap.wait(2)


def test_the_scheduled_job_counts_a_trace_as_delivered_or_not(checks, tap: Receiver) -> None:
    done = checks("--hold=0", "--exit-delivered", env={**PATIENT, ENDPOINT: tap.url})
    assert done.code == 0, done.output
    assert tap.wait(15)
    away = {ENDPOINT: f"http://127.0.0.1:{free_port()}"}
    done = checks("--hold=0", "--exit-delivered", env=away)
    assert done.code == 1, done.output
    assert "14 passed" in done.output
    done = checks("--hold=0", "--push", env=away)
    assert done.code == 0  # a receiver in trouble changes no check
    assert "it lacks the trace" in done.output.replace("\n                ", " ")


def test_a_gateway_in_trouble_leaves_time_for_the_trace(checks, tap: Receiver) -> None:
    done = checks(
        "--hold=0", "--push", "--gateway=http://127.0.0.1:1", env={**PATIENT, ENDPOINT: tap.url}
    )
    assert done.code == 0
    assert tap.wait(15)


def test_what_is_wrong_is_said_before_anything_is_probed(checks) -> None:
    bad = {ENDPOINT: "http://127.0.0.1:1", "OTEL_EXPORTER_OTLP_HEADERS": "hunter2hunter2"}
    done = checks("--hold=0", "--push", env=bad)
    assert done.code == 4
    assert "OTEL_EXPORTER_OTLP_HEADERS: expected NAME=VALUE" in done.output
    assert "hunter2" not in done.output
    # A run that delivers nothing does not look.
    assert checks("--hold=0", "-k", "devvm", env=bad).code == 0


def test_without_the_package_it_says_what_to_install(checks, tmp_path: Path) -> None:
    blocked = tmp_path / "blocked"
    (blocked / "opentelemetry").mkdir(parents=True)
    (blocked / "opentelemetry" / "__init__.py").write_text("")
    env = {ENDPOINT: "http://127.0.0.1:1", "PYTHONPATH": f"{blocked}:{ROOT}"}
    done = checks("--hold=0", "--push", env=env)
    assert done.code == 4
    said = " ".join(done.output.split())
    assert "opentelemetry-proto, which is not installed; pip install 't3probe[otlp]'" in said
    assert checks("--hold=0", "-k", "devvm", env=env).code == 0


CONFIG = """
daemon off; worker_processes 1; pid {folder}/pid; error_log {folder}/error.log;
events {{ worker_connections 64; }}
http {{
  log_format told '$request_uri|$http_traceparent|$http_upgrade';
  access_log {folder}/access.log told;
  client_body_temp_path {folder}/a; proxy_temp_path {folder}/b; fastcgi_temp_path {folder}/c;
  uwsgi_temp_path {folder}/d; scgi_temp_path {folder}/e;
  server {{
    listen 127.0.0.1:{port};
    location /page {{ return 200 'ok'; }}
    location /login {{ return 200 'ok'; }}
    location /public {{ return 200 'ok'; }}
    location /walled {{ return 401 'no'; }}
    location /ws {{
      proxy_pass http://127.0.0.1:{echo}/probe/ws;
      proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection upgrade;
    }}
  }}
}}
"""
DEPLOYMENT = """
name = "named"
segments = ["front", "carve-out", "wall", "back"]
[timing]
hold = "2500ms"
heartbeat = "1s"
watchdog = "10s"
[sso]
hosts = ["localhost"]
[[leg]]
name = "page"
kind = "http"
url = "http://127.0.0.1:{port}/page"
path = ["front"]
[[leg]]
name = "echo"
kind = "ws_echo"
url = "ws://127.0.0.1:{port}/ws"
path = ["front", "back"]
[[leg]]
name = "sso"
kind = "http"
url = "http://localhost:{port}/login"
pin = "127.0.0.1"
path = ["front"]
[[public]]
name = "open"
url = "http://127.0.0.1:{port}/public"
path = ["front", "carve-out"]
[[walled]]
name = "shut"
url = "http://127.0.0.1:{port}/walled"
path = ["front", "wall"]
[delivery.otlp]
endpoint = "{tap}"
timeout = "20s"
traceparent = "{flags}"
"""


class RealServer:
    """nginx before `t3probe echo`, with an access log that holds each request's traceparent."""

    def __init__(self, folder: Path) -> None:
        self.port, self.echo, self.log = free_port(), free_port(), folder / "access.log"
        config = folder / "nginx.conf"
        config.write_text(CONFIG.format(folder=folder, port=self.port, echo=self.echo))
        echo = [sys.executable, "-m", "t3probe.cli", "echo", "--listen", f"127.0.0.1:{self.echo}"]
        nginx = [program("nginx"), "-c", str(config), "-p", str(folder), "-e", f"{folder}/e.log"]
        self.processes = [subprocess.Popen(one, env=ENVIRON) for one in (echo, nginx)]
        for port in (self.port, self.echo):
            self._until(partial(self._accepts, port))

    @staticmethod
    def _accepts(port: int) -> bool:
        with socket.socket() as sock:
            return sock.connect_ex(("127.0.0.1", port)) == 0

    def rows(self, upgrades: int) -> list[list[str]]:
        """The log, once it has so many WebSockets: each is written when it has ended."""

        def read() -> list[list[str]]:
            rows = [one.split("|") for one in self.log.read_text().splitlines()]
            return rows if sum(row[2] == "websocket" for row in rows) >= upgrades else []

        return self._until(read)

    def _until(self, done: Callable[[], Any]) -> Any:
        end = time.monotonic() + 20
        while not (found := done()):
            assert time.monotonic() < end
            time.sleep(0.05)
        return found

    def stop(self) -> None:
        for one in self.processes:
            one.terminate()
        for one in self.processes:
            one.wait(10)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RealServer]:
    if shutil.which("nginx") is None:
        program("nginx")
    one = RealServer(tmp_path)
    try:
        yield one
    finally:
        one.stop()


@pytest.mark.parametrize("flags", ["sampled", "unsampled", "off"])
def test_a_real_server_hears_of_the_trace_on_our_own_requests_only(
    checks, tap: Receiver, server: RealServer, tmp_path: Path, flags: str
) -> None:
    file = tmp_path / "deployment.toml"
    file.write_text(DEPLOYMENT.format(port=server.port, tap=tap.url, flags=flags))
    done = checks("--push", deployment=str(file))
    assert done.code == 0, done.output
    trace = done.recording.run.trace_id
    fresh = sum(one.strand == "fresh" for one in done.legs["echo"].beats)
    assert fresh > 2
    rows = server.rows(fresh)
    heard: dict[str, list[str]] = {}
    for uri, parent, _ in rows:
        heard.setdefault(uri.partition("?")[0], []).append(parent)
    assert {"/page", "/ws", "/login", "/public", "/walled"} <= heard.keys(), done.output
    for uri in ("/login", "/public", "/walled"):
        assert set(heard[uri]) == {"-"}, uri
    ours = heard["/page"] + heard["/ws"]
    if flags == "off":
        assert set(ours) == {"-"}
        return
    flag = "01" if flags == "sampled" else "00"
    assert all(re.fullmatch(f"00-{trace}-[0-9a-f]{{16}}-{flag}", one) for one in ours), ours
    assert len(set(ours)) == len(ours)  # a new parent each time
    # Each of them is a span of the trace, so that the server's own have one to hang on.
    spans = all_of(done, tap)
    assert {one.split("-")[2] for one in ours} <= {one.span_id.hex() for one in spans}
    recorded = [beat.traced for leg in done.legs.values() for beat in leg.beats if beat.traced]
    assert sorted(recorded) == sorted(one[3:52] for one in ours)
    held = [one for one in done.legs["page"].beats if one.strand == "held"]
    assert held
    assert all(one.traced for one in held)
    echoes = [one for one in done.legs["echo"].beats if one.strand == "held"]
    assert echoes
    assert not any(one.traced for one in echoes)
