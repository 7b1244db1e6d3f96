"""The stack of one box: its files hold together, and its gate is as it must be on real nginx."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
import time
import urllib.parse
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import yaml
from deliver.delivery_programs import free_port, get
from docs.docs_reader import blocks
from probes.fixtures import no_stalls, no_throttling
from probes.ingest_programs import VictoriaMetrics, program, running

from t3probe.config import load, loads
from t3probe.run.session import Session
from t3probe.timing import SystemClock
from t3probe.verdict.incident.run import judge_run

__all__ = ["no_stalls", "no_throttling"]

ROOT = Path(__file__).resolve().parents[2]
BOX = ROOT / "cronjob" / "provisioning"
GUIDE = ROOT / "docs" / "observability.md"
DASHBOARD = json.loads((ROOT / "cronjob" / "dashboards" / "t3probe.json").read_text())
COMPOSE: dict[str, Any] = yaml.safe_load((BOX / "compose.yaml").read_text())
SOURCES = {
    one["type"]: one
    for one in yaml.safe_load((BOX / "grafana/datasources/t3probe.yaml").read_text())["datasources"]
}
(PROVIDER,) = yaml.safe_load((BOX / "grafana/dashboards/t3probe.yaml").read_text())["providers"]
each_service = pytest.mark.parametrize("name", list(COMPOSE["services"]))
MADE = {"secrets", "secrets/gate.pem", "secrets/ingest.token"}
"""What the guide's first commands make."""


def mounts(name: str) -> dict[str, tuple[str, bool]]:
    """Place in the container -> what lies there, and whether it is read-only."""
    found = {}
    for one in COMPOSE["services"][name].get("volumes", []):
        what, place, *mode = one.split(":")
        found[place] = what, mode == ["ro"]
    return found


@each_service
def test_a_service_has_a_limit_a_version_and_files_that_exist(name: str) -> None:
    one = COMPOSE["services"][name]
    assert re.fullmatch(r"[0-9]+m", one["mem_limit"])
    assert re.search(r":v?[0-9]+\.[0-9.]+(-alpine)?$", one["image"]), "a version, not latest"
    for what, read_only in mounts(name).values():
        if not what.startswith("."):
            assert what in COMPOSE["volumes"]
            continue
        assert read_only, what
        assert what.removeprefix("./") in MADE or (BOX / what).exists(), what


def test_all_limits_together_fit_on_a_small_box() -> None:
    limits = [int(one["mem_limit"].removesuffix("m")) for one in COMPOSE["services"].values()]
    assert sum(limits) <= 1536


def test_only_the_gate_is_open_to_others() -> None:
    for name, one in COMPOSE["services"].items():
        for port in one.get("ports", []):
            assert name == "gate" or port.startswith("127.0.0.1:"), port
    gate = COMPOSE["services"]["gate"]
    assert sorted(gate["ports"]) == ["443:443", "80:80"]
    assert gate["networks"]["default"]["aliases"] == ["ingest.box.test"]


def test_grafana_finds_what_the_dashboard_asks_for() -> None:
    assert SOURCES["prometheus"]["jsonData"]["timeInterval"] == "60s"
    assert SOURCES["prometheus"]["isDefault"]
    links = [
        link["url"]
        for panel in DASHBOARD["panels"]
        for link in panel["fieldConfig"]["defaults"].get("links", [])
    ]
    assert links
    for link in links:
        asked = urllib.parse.unquote(link)
        assert f'"uid":"{SOURCES["jaeger"]["uid"]}"' in asked
    for source in SOURCES.values():
        assert source["access"] == "proxy"
        assert source["editable"] is False
        host = urllib.parse.urlsplit(source["url"]).hostname
        assert host in COMPOSE["services"]
    grafana = mounts("grafana")
    assert grafana["/etc/grafana/provisioning/datasources"] == ("./grafana/datasources", True)
    assert grafana["/etc/grafana/provisioning/dashboards"] == ("./grafana/dashboards", True)
    assert grafana[PROVIDER["options"]["path"]] == ("../dashboards", True)
    assert (PROVIDER["type"], PROVIDER["allowUiUpdates"]) == ("file", False)
    assert len(DASHBOARD["uid"]) <= 40


def test_nothing_of_grafanas_files_is_taken_for_a_variable() -> None:
    """`$` begins one there; the dashboard itself is read as it is."""
    for file in (BOX / "grafana").rglob("*.yaml"):
        assert "$" not in file.read_text()


def test_the_box_looks_at_every_service_by_the_name_that_compose_gives_it() -> None:
    deployment = load(str(BOX / "t3probe" / "box.toml"), {"T3PROBE__TLS_CA": ""}, now=0.0)
    hosts = {urllib.parse.urlsplit(leg.url or "").hostname for leg in deployment.legs}
    assert hosts == {"victoria-metrics", "jaeger", "grafana", "ingest.box.test"}
    assert deployment.delivery.otlp is not None
    assert deployment.delivery.otlp.endpoint == "http://jaeger:4318"
    inside = mounts("t3probe")
    folder = COMPOSE["services"]["t3probe"]["entrypoint"][2].removesuffix("/box.toml")
    assert inside[folder] == ("./t3probe", True)
    for leg in deployment.legs:
        if leg.ingest is not None:
            assert leg.ingest.token_file == str(BOX / "secrets" / "ingest.token")
    assert {"/etc/box/secrets/gate.pem", "/etc/box/secrets/ingest.token"} <= inside.keys()


# -- on real programs ------------------------------------------------------------------------


class Collector(BaseHTTPRequestHandler):
    """What takes traces here; an empty message is one."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        known = (
            self.path == "/v1/traces" and self.headers["Content-Type"] == "application/x-protobuf"
        )
        assert self.headers.get("Authorization") is None, "what lies behind is told no token"
        self.send_response(200 if known else 404)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_GET(self) -> None:
        self.send_response(404)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None: ...


@pytest.fixture
def traces() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Collector)
    server.daemon_threads = True
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    """The box's folder, with what the guide's first block makes there."""
    program("nginx")
    folder = tmp_path / "cronjob" / "provisioning"
    (folder / "t3probe").mkdir(parents=True)
    made = next(one for one in blocks(GUIDE) if "openssl rand" in "".join(one.lines))
    text = "\n".join(made.lines)
    done = subprocess.run(
        ["bash", "-e", "-c", text],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (folder / "secrets").stat().st_mode & 0o777 == 0o700
    return folder


def gate_file(folder: Path, https: int, plain: int, places: dict[str, str]) -> Path:
    """The gate's configuration as it is stored, but for ports, folders and addresses."""
    text = (BOX / "nginx" / "gate.conf").read_text()
    text = text.replace("listen 443 ", f"listen 127.0.0.1:{https} ")
    text = re.sub(r"listen 80\b", f"listen 127.0.0.1:{plain}", text)
    text = text.replace("/etc/nginx/secrets", str(folder / "secrets"))
    for name, address in places.items():
        assert name in text
        text = text.replace(name, address)
    temporary = "".join(
        f"{one}_temp_path {folder}/{one};" for one in ("proxy", "fastcgi", "uwsgi", "scgi")
    )
    file = folder / "nginx.conf"
    file.write_text(
        f"daemon off; pid {folder}/pid; error_log {folder}/error.log;\nevents {{}}\n"
        f"http {{ access_log off; client_body_temp_path {folder}/body; {temporary}\n{text}\n}}\n"
    )
    return file


def box_text(folder: Path, https: int, plain: int) -> str:
    """The box's own deployment file, its gates at these ports."""
    text = (BOX / "t3probe" / "box.toml").read_text().partition("[[leg]]")[0]
    gates = (BOX / "t3probe" / "box.toml").read_text()
    gates = gates[gates.index("[[ingest]]") :].replace(
        "ingest.box.test/", f"ingest.box.test:{https}/"
    )
    more = f'pin = "127.0.0.1"\nplain_port = {plain}\ndeep_every = "1m"\n'
    gates = gates.replace('tcp_ends_at = "gate"\n', f'tcp_ends_at = "gate"\n{more}')
    return text + '[timing]\nhold = "0"\nheartbeat = "300ms"\nwatchdog = "3s"\n' + gates


def test_the_stored_gate_is_as_it_must_be(secrets: Path, tmp_path: Path, traces: str) -> None:
    receiver = VictoriaMetrics(tmp_path)
    receiver.start()
    https, plain = free_port(), free_port()
    places = {"victoria-metrics:8428": receiver.address, "jaeger:4318": traces}
    file = gate_file(secrets, https, plain, places)
    words = [program("nginx"), "-c", str(file), "-g", "master_process off;"]
    try:
        with running(words, secrets, "nginx", https):
            text = box_text(secrets, https, plain)
            place = str(secrets / "t3probe" / "box.toml")
            made = loads(text, file=place, environ={}, now=SystemClock().wall())
            session = Session(made, vantage="box", hold=None)
            session.measure([leg.name for leg in made.legs], None)
    finally:
        receiver.stop()
    seen = session.observations
    told = {name: (one.outcome, one.detail, one.evidence) for name, one in seen.items()}
    assert {one.outcome for one in seen.values()} == {"passed"}, told
    every = {"no_token", "wrong_token", "paths", "method", "plain", "leak"}
    assert seen["ingest-metrics-gate"].gate == dict.fromkeys([*every, "health"], True)
    assert seen["ingest-traces-gate"].gate == dict.fromkeys(every, True)
    verdict = judge_run(session.record(), session.recorded()).verdict
    assert set(verdict.exonerated) == {"gate", "metrics", "traces"}


def test_the_held_mode_is_scraped_and_its_legs_are_there_for_the_panels(
    tmp_path: Path, secrets: Path
) -> None:
    """VictoriaMetrics with the stored scrape file; the datasource's queries find the legs."""
    listen, quiet = free_port(), free_port()
    file = secrets / "t3probe" / "small.toml"
    file.write_text(
        'name = "box"\nsegments = ["metrics"]\n[timing]\nheartbeat = "300ms"\nwatchdog = "1s"\n'
        'connect_timeout = "1s"\n[[leg]]\nname = "metrics"\nkind = "tcp"\n'
        f'address = "127.0.0.1:{quiet}"\npath = ["metrics"]\n'
    )
    scrape = (BOX / "victoria-metrics" / "scrape.yml").read_text()
    scrape = scrape.replace("t3probe:9108", f"127.0.0.1:{listen}").replace(
        "interval: 30s", "interval: 1s"
    )
    (tmp_path / "scrape.yml").write_text(scrape.replace("timeout: 10s", "timeout: 1s"))
    command = shlex.split(f"-m t3probe.cli watch {file} --listen 127.0.0.1:{listen} --vantage box")
    receiver = VictoriaMetrics(tmp_path, f"-promscrape.config={tmp_path}/scrape.yml")
    with running([sys.executable, *command], secrets, "watch", listen):
        receiver.start()
        try:
            query = 't3probe_connected{job="t3-probe", vantage="box", leg="metrics"}'
            assert until_there(receiver.url, query) == 0
        finally:
            receiver.stop()


def until_there(url: str, query: str) -> float:
    """The value of a query, awaited: a new series is not seen at once."""
    words = urllib.parse.urlencode({"query": query})
    for _ in range(400):
        found = json.loads(get(f"{url}/api/v1/query?{words}"))["data"]["result"]
        if found:
            return float(found[0]["value"][1])
        time.sleep(0.1)
    raise AssertionError(f"nothing for {query}")
