"""Deployments that use everything at once, run by a real pytest: no table disturbs another one's
checks."""

from __future__ import annotations

import json
import ssl
import threading
import tomllib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import trustme
from plugin_runner import ROOT, Result, Runner
from upstreams.sources_servers import ok, serving
from upstreams.sweep_help import places

from t3probe.lab.process import LabProcess
from t3probe.lab.rig_faults import environment

USERS_OWN = """
import pytest

@pytest.fixture(scope="module", autouse=True)
def something():
    made = []
    yield made
    made.append("torn down")

@pytest.fixture(scope="session", autouse=True)
def something_else():
    yield

@pytest.mark.segments("serve", leg="own-first")
def test_first(something):
    assert something == []

@pytest.mark.segments("serve", leg="own-second")
def test_second(something):
    assert something == []
"""


def numbers(done: Result) -> dict[str, int]:
    suite = next(ElementTree.parse(done.results / "junit.xml").iter("testsuite"))
    names = ("tests", "failures", "errors", "skipped")
    return {name: int(suite.get(name, "0")) for name in names}


def row(backend: str, route: str = "orders") -> dict[str, Any]:
    host, _, port = backend.rpartition(":")
    return {
        "node": "edge-1", "route": route, "listen_port": 8443,
        "backend_host": host, "backend_port": int(port), "active": True,
    }  # fmt: skip


@pytest.fixture
def backends() -> Iterator[list[str]]:
    with places() as here:
        yield [here.answering(), here.answering()]


@pytest.fixture
def web(backends: list[str]) -> Iterator[str]:
    """A server that has a page for everybody, and knows one upstream."""

    def answer(head: bytes) -> bytes:
        asks = head.startswith(b"GET /routes")
        return ok(json.dumps({"routes": [row(backends[0])]}).encode() if asks else b"hello")

    with serving(answer) as (url, _):
        yield url


def test_a_source_beside_a_check_of_a_later_module(
    checks: Runner, tmp_path: Path, web: str
) -> None:
    file = tmp_path / "small.toml"
    file.write_text(
        'name = "small"\nsegments = ["front"]\n[sso]\nhosts = ["sso.example"]\n'
        f'[[public]]\nname = "open"\nurl = "{web}/open"\npath = ["front"]\n'
        '[[upstream_source]]\nname = "api"\nkind = "nodes"\n'
        f'url = "{web}/routes"\nnode = "edge-1"\n'
    )
    done = checks("--hold", "0", deployment=str(file))
    assert done.code == 0, done.output
    assert numbers(done) == {"tests": 3, "failures": 0, "errors": 0, "skipped": 0}
    assert "not torn down" not in done.output


class Gate(BaseHTTPRequestHandler):
    """An ingest gate with its receiver."""

    protocol_version = "HTTP/1.1"

    def answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        known = self.headers.get("Authorization") == f"Bearer {TOKEN}"
        write = self.path == "/api/v1/write"
        code = 401 if not known else 404 if not write else 204 if self.command == "POST" else 405
        self.send_response(code)
        if code != 204:
            self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_POST = answer  # noqa: N815 - what the library looks for

    def log_message(self, format: str, *args: Any) -> None: ...


@pytest.fixture
def ingest(tmp_path: Path) -> Iterator[tuple[int, bytes]]:
    """A gate's port, and whose certificate it has."""
    ca = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("ingest.example").configure_cert(context)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Gate)
    server.daemon_threads = True
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server.server_port, ca.cert_pem.bytes()
    server.shutdown()
    server.server_close()
    thread.join()


MORE = """
[[upstream_source]]
name = "api"
kind = "nodes"
url = "{web}/routes"
node = "edge-1"

[[upstream_share]]
segment = "devvm"
hosts = ["10.99.0.0/24"]

[[downtime]]
leg = "envoy-api-planned"
until = 2999-01-01
why = "new disks"

[[upstream]]
name = "api-planned"
address = "{other}"

[[opinion]]
name = "balancer"
kind = "traefik"
segment = "traefik"
url = "{web}"

[delivery]
textfile = "{folder}/t3.prom"

[sweep]
at_once = 8

[[ingest]]
name = "metrics"
kind = "remote_write"
url = "https://ingest.example:{ingest}/api/v1/write"
pin = "127.0.0.1"
token_file = "token"
path = ["traefik", "serve"]
"""
TOKEN = "token-of-senders-0123"


@pytest.fixture(scope="module")
def rigs() -> Iterator[str]:
    """The table of a lab's remote rigs."""
    with LabProcess(experiments=2) as lab:
        text = Path(lab.deployment_path).read_text()
        yield text[text.index("[experiments]") : text.index("[lab]")]


def everything(
    checks: Runner, folder: Path, web: str, other: str, ingest: tuple[int, bytes], rigs: str
) -> Path:
    """A running lab's file, with one of each table that it lacks."""
    file, both = folder / "everything.toml", folder / "both.pem"
    text = Path(checks.lab.deployment_path).read_text()
    ca = tomllib.loads(text)["tls_ca"]
    both.write_bytes(Path(ca).read_bytes() + ingest[1])
    (folder / "token").write_text(TOKEN)
    text = text.replace(ca, str(both))
    more = MORE.format(web=web, other=other, folder=folder, ingest=ingest[0])
    file.write_text(text + more + rigs)
    return file


def test_the_reference_deployment_has_one_of_every_table(
    checks: Runner,
    tmp_path: Path,
    web: str,
    backends: list[str],
    ingest: tuple[int, bytes],
    rigs: str,
) -> None:
    schema = json.loads((ROOT / "deployments" / "schema.json").read_text())["properties"]
    tables = {
        name
        for name, value in schema.items()
        if value.get("type") == "object"
        or "allOf" in value
        or "$ref" in value.get("items", {})
        or "$ref" in value
    }
    assert {"leg", "upstream_source", "sweep", "lab"} <= tables
    file = everything(checks, tmp_path, web, backends[1], ingest, rigs)
    written = tomllib.loads(file.read_text())
    assert {name for name in written if isinstance(written[name], dict | list)} >= tables


@pytest.mark.parametrize("own", [False, True], ids=["alone", "with a user's fixtures"])
def test_one_of_every_table_in_one_run(
    checks: Runner,
    tmp_path: Path,
    web: str,
    backends: list[str],
    ingest: tuple[int, bytes],
    rigs: str,
    own: bool,
) -> None:
    file = everything(checks, tmp_path, web, backends[1], ingest, rigs)
    words = ["checks"]
    if own:
        mine = tmp_path / "test_own.py"
        mine.write_text(USERS_OWN)
        words.append(str(mine))
    done = checks("--hold", "0", *words, deployment=str(file), env=environment())
    assert done.code == 0, done.output
    found = numbers(done)
    assert (found["failures"], found["errors"], found["skipped"]) == (0, 0, 1), done.output
    assert "not torn down" not in done.output
    seen = done.legs
    assert {"source-api", "cloudflare", "walloff-probe", "walled-home"} <= set(seen)
    assert any(name.startswith("envoy-orders-8443-") for name in seen)
    assert seen["envoy-api-planned"].planned
    assert seen["ingest-metrics"].gate == {"token": True}
    assert {"relay-api", "jump-api", "book", "stream-spin02-video", "jump-spin02"} <= set(seen)
    gate = seen["ingest-metrics-gate"]
    assert gate.gate.keys() >= {"no_token", "paths", "method", "leak"}
    assert all(gate.gate.values())
    assert TOKEN not in (done.results / "junit.xml").read_text() + done.output
    assert done.verdict["status"] == "clean"
