"""A run with `[[opinion]]`: asked outside the hold, recorded, shown, and without any weight."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import msgspec
import pytest
from plugin_runner import Result, Runner

from t3probe.lab.process import LabProcess
from t3probe.verdict.incident.run import judge_run

COUNTS = b"""process_start_time_seconds 1
cloudflared_tunnel_tunnel_register_success{rpcName="registerConnection"} 4
"""


@contextmanager
def cloudflared(connections: int) -> Iterator[tuple[str, list[str]]]:
    """Its metrics server with so many connections; the URL and what was asked for."""
    asked: list[str] = []
    status = 200 if connections else 503
    told = json.dumps({"status": status, "readyConnections": connections}).encode()

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            ready = self.path == "/ready"
            body = told if ready else COUNTS
            self.send_response(status if ready else 200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", asked
    finally:
        server.shutdown()
        server.server_close()


Run = Callable[..., Result]


@pytest.fixture
def run(plugin_lab: LabProcess, tmp_path: Path) -> Iterator[Run]:
    """A run of the lab under these faults, with one opinion about its tunnel, or none."""

    def go(url: str, *words: str, fault: str = "", vantages: str = "") -> Result:
        text = Path(plugin_lab.deployment_path).read_text()
        if url:
            table = '[[opinion]]\nname = "cfd"\nkind = "cloudflared"\nsegment = "tunnel"\n'
            table += f'url = "{url}"\ntimeout = "10s"\n'
            text += f"\n{table}{vantages}"
        file = tmp_path / "lab.toml"
        file.write_text(text)
        plugin_lab.switch([fault] if fault else [])
        return Runner(plugin_lab, tmp_path)("--hold=1s", *words, deployment=str(file))

    yield go
    plugin_lab.clear()


def test_one_that_calls_a_working_tunnel_broken_changes_nothing(run: Run) -> None:
    with cloudflared(0) as (url, asked):
        done = run(url, "--gate=tunnel,cf-edge")
    assert done.code == 0, done.output
    assert asked == ["/ready", "/metrics"] * 2
    assert "VERDICT  clean: every segment is cleared" in done.output
    assert "cfd calls tunnel broken (0 connections to the edge), and the run" in done.output
    (told,) = done.verdict["opinions"]
    assert told["disagreement"] == "probe_only"
    recording = done.recording
    (view,) = recording.run.opinions
    assert (view.opinion, view.steady) == ("unhealthy", True)
    assert view.at >= 1.0, "after the hold"
    again = judge_run(recording.run, recording.observations)
    assert again.to_dict() == done.verdict, "the record gives the same as the run itself did"


def test_one_that_calls_a_broken_tunnel_well_changes_nothing(run: Run) -> None:
    with cloudflared(4) as (url, _):
        done = run(url, "--gate=tunnel", fault="tunnel:refuse")
    assert done.code == 1, done.output
    told, recording = done.verdict, done.recording
    (opinion,) = told.pop("opinions")
    assert opinion["disagreement"] == "opinion_only"
    without = msgspec.structs.replace(recording.run, opinions=())
    assert judge_run(without, recording.observations).to_dict() == told


def test_nobody_there_is_unknown_and_fails_nothing(run: Run) -> None:
    done = run("http://127.0.0.1:1", "-k", "traefik and not walled")
    assert done.code == 0, done.output
    assert "what cfd thinks of tunnel is not known (it refuses connections)" in " ".join(
        done.output.split()
    )


def test_it_is_asked_from_its_vantages_alone(run: Run) -> None:
    with cloudflared(4) as (url, asked):
        done = run(url, "-k", "dispatch", "--vantage=cloud", vantages='vantages = ["lan"]\n')
        assert done.code == 0, done.output
        assert asked == []
    assert done.recording.run.opinions == ()


def test_a_wrong_login_is_one_sentence(run: Run, plugin_lab: LabProcess, tmp_path: Path) -> None:
    run("http://127.0.0.1:1", "--collect-only")
    done = Runner(plugin_lab, tmp_path)(
        "--hold=0", "-k", "dispatch", deployment=str(tmp_path / "lab.toml"),
        env={"T3PROBE_OPINION_CFD_USER": "me"},
    )  # fmt: skip
    assert done.code == 4, done.output
    assert "expected T3PROBE_OPINION_CFD_USER and T3PROBE_OPINION_CFD_PASSWORD" in done.output
    assert "Traceback" not in done.output


def test_the_lab_has_opinions_of_its_own(tmp_path: Path) -> None:
    import subprocess

    from plugin_runner import ENVIRON

    done = subprocess.run(
        [
            sys.executable, "-P", "-m", "t3probe.cli", "check", "--opinions", "--hold=1s",
            "--fault=tunnel:blackhole",
        ],
        cwd=tmp_path, env=ENVIRON, capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    said = " ".join(done.stdout.split())
    assert "opinion cloudflared calls tunnel broken (0 connections to the edge)" in said, said
    assert "opinion traefik calls dispatch well (dispatch@file: 1 of 1 server up)" in said
    assert "and the run" not in said, "neither disagrees"
