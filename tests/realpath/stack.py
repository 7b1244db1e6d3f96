"""One path of real programs on loopback.

    client ─ .4, .5 dnsdist (DoH)
    client ─ .2 nginx (CDN) ─ .6 haproxy (tunnel) ─ .3 Envoy (balancer) ┬ carve-out ─ .10 Node, ws
    client ─ .10 node_exporter, Node (serve)                            ├ (and .11 Node, ws)
    client ─ .3 Envoy's admin interface                                 └ wall ─ redirect to the SSO

Every stack has a loopback network 127.X.Y.0/24 of its own and the same ports in it, none of them in
the range from which the kernel takes clients' ports: so several run at once, and a program that
was killed finds its port free again. All of a stack's files lie in one folder.
"""

from __future__ import annotations

import base64
import http.client
import json
import os
import random
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path

import dns.message
import dns.rcode
from realpath import configs
from realpath.configs import Places
from realpath.programs import WS_MODULE, Keeper, Program, envoy_binary, find, missing, until

from t3probe.lab.certs import Certificates

__all__ = ["WS_MODULE", "Stack", "missing"]

APP = Path(__file__).with_name("app.js")
LOCK_PORT = 8001
ASK_SECONDS = 5.0
HEALTHY_SECONDS = 15.0
_PING = b"\x81\x84\x00\x00\x00\x00real"
_PONG = b"\x81\x04real"


class Stack:
    """A path. `start` once, then `reset` before each use, `close` at the end."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder.resolve()
        self._lock, net = _own_network()
        self.places = Places(net, self.folder)
        self.keeper = Keeper()
        self._touched: set[str] = set()
        self._both = False
        self._updates: dict[str, int] = {}
        self._later: list[threading.Timer] = []
        self.programs: dict[str, Program] = {}
        self._certificates()
        self.programs = {one.name: one for one in self._programs()}

    # What runs

    def _programs(self) -> list[Program]:
        places, folder = self.places, self.folder

        def program(name: str, *command: str) -> Program:
            return Program(name, command, folder, self.keeper)

        def app(name: str, host: str, port: int) -> Program:
            control = str(self.control(name))
            return program(name, find("node"), str(APP), name, host, str(port), control)

        node = f"{places.machine}:{configs.NODE_PORT}"
        return [
            app("dispatch", places.machine, configs.DISPATCH_PORT),
            app("second", places.second, configs.DISPATCH_PORT),
            app("serve", places.machine, configs.SERVE_PORT),
            app("orders", places.orders, configs.ORDERS_PORT),
            program(
                "node_exporter",
                find("prometheus-node-exporter"),
                f"--web.listen-address={node}",
                "--collector.disable-defaults",
                "--collector.loadavg",
            ),
            program(
                "envoy",
                envoy_binary(),
                *("-c", str(folder / "envoy.json"), "--disable-hot-restart"),
                *("--concurrency", "1", "--log-level", "warning"),
                *("--drain-time-s", "1", "--file-flush-interval-msec", "100"),
            ),
            program("haproxy", find("haproxy"), "-db", "-f", str(folder / "haproxy.cfg")),
            program(
                "nginx",
                find("nginx"),
                *("-p", str(folder), "-c", str(folder / "nginx.conf")),
                *("-e", str(folder / "nginx-error.log")),
            ),
            *(
                program(
                    f"dnsdist-{number}",
                    find("dnsdist"),
                    *("--supervised", "--disable-syslog", "-C", str(self._dnsdist(number))),
                )
                for number in (1, 2)
            ),
        ]

    def _dnsdist(self, number: int) -> Path:
        return self.folder / f"dnsdist-{number}.conf"

    def control(self, name: str) -> Path:
        """The control socket of a Node process."""
        return self.folder / f"{name}.sock"

    def _certificates(self) -> None:
        host, providers = configs.HOST, list(self.places.providers)
        self.leaves = Certificates(self.folder, host, providers)
        foreign = self.folder / "foreign"
        foreign.mkdir(exist_ok=True)
        self.foreign = Certificates(foreign, host, providers)
        """The same leaves from an authority that nobody trusts."""

    def leaf(self, name: str) -> str:
        """A leaf's file: those of the lab, and `foreign-…` of another authority."""
        if name.startswith("foreign-"):
            return self.foreign.leaf(name.removeprefix("foreign-"))
        return self.leaves.leaf(name)

    # Files that the programs read

    def write(self, name: str, text: str) -> None:
        """Put a file in place at once, as Envoy wants it."""
        file = self.folder / name
        partial = file.with_name(file.name + ".partial")
        partial.write_text(text)
        os.replace(partial, file)

    def certify(self, file: str, leaf: str) -> None:
        """Put a leaf in place as `file`."""
        self.write(file, Path(self.leaf(leaf)).read_text())

    def _configure(self) -> None:
        places = self.places
        (self.folder / "xds").mkdir(exist_ok=True)
        self.certify("edge.pem", "host")
        for number in (1, 2):
            self.certify(f"doh-{number}.pem", "address")
            self.write(f"dnsdist-{number}.conf", configs.dnsdist(places, number))
        self.write("nginx.conf", configs.nginx(places))
        self.write("haproxy.cfg", configs.haproxy(places))
        self.write("envoy.json", configs.envoy(places))
        self.discover("routes", configs.routes())
        self.discover("dispatch", configs.endpoints(places, self._both))
        self.discover("leaf", configs.secret(self.leaf("host")))
        self.write("deployment.toml", configs.deployment(places))
        spread = configs.deployment(places, spread=("dispatch",))
        self.write("spread.toml", spread)

    def discover(self, what: str, resource: dict[str, object]) -> None:
        """Give Envoy `routes`, `dispatch` (endpoints) or `leaf` (certificate)."""
        self._updates = self._updated()
        self.write(f"xds/{what}.json", configs.discovery(resource))

    def deployment(self, both: bool = False) -> Path:
        """The deployment file: with one machine behind the balancer, or with two."""
        return self.folder / ("spread.toml" if both else "deployment.toml")

    # Life

    def start(self) -> Stack:
        """Start every program and wait until each answers end to end."""
        try:
            self._configure()
            for one in self.programs.values():
                one.start()
            self._check()
        except BaseException:
            self.close()
            raise
        return self

    def reset(self, both: bool = False) -> None:
        """Bring every hop back to health: what a fault touched starts anew."""
        self._forget_later()
        self._both = both
        for name in self._touched:
            self.programs[name].kill()
        touched, self._touched = self._touched, set()
        self._configure()
        for name, one in self.programs.items():
            if name in touched or not one.running:
                one.kill()
                one.start()
        self._check()

    def close(self) -> None:
        """End every program."""
        self._forget_later()
        for one in self.programs.values():
            with suppress(OSError, TimeoutError, subprocess.TimeoutExpired):
                one.kill()
        self.keeper.close()
        self._lock.close()

    def touch(self, *names: str) -> Program:
        """Note that a fault befalls programs, so that `reset` starts them anew; the first one."""
        self._touched.update(names)
        return self.programs[names[0]]

    def later(self, seconds: float, what: Callable[[], object]) -> None:
        """Do something in a while, unless the stack is reset before."""
        timer = threading.Timer(seconds, what)
        timer.daemon = True
        self._later.append(timer)
        timer.start()

    def _forget_later(self) -> None:
        for timer in self._later:
            timer.cancel()
        for timer in self._later:
            if timer.is_alive():
                timer.join(20)
        self._later.clear()

    # Control

    def order(self, name: str, **what: object) -> None:
        """Ask a Node process for something; see app.js."""
        self.touch(name)
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(ASK_SECONDS)
        sock.connect(str(self.control(name)))
        body = json.dumps(what).encode()
        with closing(sock):
            head = f"POST / HTTP/1.0\r\ncontent-length: {len(body)}\r\n\r\n"
            sock.sendall(head.encode() + body)
            if b"200" not in sock.recv(100):
                raise AssertionError(f"{name} does not take orders")

    def tell_haproxy(self, command: str) -> str:
        """One command at haproxy's admin socket, and its answer."""
        self.touch("haproxy")
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(ASK_SECONDS)
        sock.connect(str(self.folder / "haproxy.sock"))
        with closing(sock):
            sock.sendall(command.encode() + b"\n")
            return _all(sock).decode()

    def reload_nginx(self) -> None:
        """Have nginx read its files anew, and wait for its new worker."""
        known = self.programs["nginx"].members()
        self.programs["nginx"].hangup()
        until(lambda: self.programs["nginx"].members() - known, "a new worker of nginx")

    def await_envoy(self, counter: str) -> None:
        """Wait until a counter of Envoy has grown since the last `discover`."""
        before = self._updates.get(counter, 0)
        until(lambda: self._updated().get(counter, 0) > before, f"{counter} of Envoy")

    def _updated(self) -> dict[str, int]:
        """Envoy's counters of what it took from files, by the end of their names."""
        if "envoy" not in self.programs or not self.programs["envoy"].running:
            return {}
        found = _get(self.places.balancer, configs.ADMIN_PORT, "/stats?format=json&usedonly")
        names = ("rds.routes.config_reload", "ssl_context_update_by_sds")
        return {
            end: one["value"]
            for one in json.loads(found)["stats"]
            for end in names
            if one.get("name", "").endswith(end)
        }

    def tell_envoy(self, path: str) -> None:
        """One order at Envoy's admin interface."""
        self.touch("envoy")
        _ask(self.places.balancer, configs.ADMIN_PORT, path, method="POST")

    def tell_dnsdist(self, number: int, answer: str) -> None:
        """Replace what a provider answers for the public name."""
        rules = configs.dns_rules(self.places, number, answer)
        self.order_dnsdist(number, "; ".join(rules.splitlines()))

    def order_dnsdist(self, number: int, order: str) -> None:
        """One order at a provider's console."""
        self.touch(f"dnsdist-{number}")
        done = subprocess.run(
            [find("dnsdist"), "-C", str(self._dnsdist(number)), "-e", order],
            capture_output=True, timeout=ASK_SECONDS, check=False,
        )  # fmt: skip
        if done.returncode or b"rror" in done.stdout + done.stderr:
            raise AssertionError(done.stdout.decode() + done.stderr.decode())

    # Events

    def _logs(self) -> list[Path]:
        """What the hops write."""
        return [*self.folder.glob("*.out"), *self.folder.glob("*.log")]

    def sizes(self) -> dict[str, int]:
        """How much every hop has written so far."""
        return {one.name: one.stat().st_size for one in self._logs()}

    def written(self, since: dict[str, int]) -> dict[str, bytes]:
        """What every hop has written since then, by the name of its file."""
        found = {}
        for one in self._logs():
            with one.open("rb") as file:
                file.seek(since.get(one.name, 0))
                found[one.name] = file.read()
        return found

    # Health

    def _check(self) -> None:
        """Return when every hop has answered as it should; TimeoutError names one that has not."""
        places, host = self.places, configs.HOST
        tls = self.leaves.client()
        machine, second = places.machine, places.second
        edge, balancer = places.edge, places.balancer
        public, plain = configs.PUBLIC_PORT, configs.DISPATCH_PORT
        health, echo = configs.HEALTH_PATH, configs.ECHO_PATH
        checks: dict[str, Callable[[], bool]] = {
            "dispatch": lambda: _echoes(machine, plain, echo),
            "second": lambda: _echoes(second, plain, echo),
            "serve": lambda: _ask(machine, configs.SERVE_PORT, configs.SESSION_PATH) == 200,
            "orders": lambda: _ask(places.orders, configs.ORDERS_PORT, "/") == 200,
            "node_exporter": lambda: _ask(machine, configs.NODE_PORT, "/metrics") == 200,
            "envoy": lambda: _ask(balancer, public, "/", tls=tls, host=host) == 302,
            "carve-out": lambda: _ask(balancer, public, health, tls=tls, host=host) == 200,
            "unrouted": lambda: _ask(balancer, public, "/", tls=tls, host=host,
                                     asked=configs.UNROUTED) == 404,
            "endpoints": lambda: self._endpoints() == 1 + self._both,
            "nginx": lambda: _ask(edge, public, configs.TRACE_PATH, tls=tls, host=host) == 200,
            "haproxy": lambda: _ask(edge, public, health, tls=tls, host=host) == 200,
            "the whole path": lambda: _echoes(edge, public, echo, tls=tls, host=host),
            **{
                f"dnsdist-{number}": lambda at=at: _resolves(at, tls, places.edge)
                for number, at in enumerate(places.providers, start=1)
            },
        }  # fmt: skip
        with ThreadPoolExecutor(4) as pool:
            list(
                pool.map(
                    lambda one: until(_calmly(one[1]), one[0], HEALTHY_SECONDS), checks.items()
                )
            )

    def _endpoints(self) -> int:
        """How many endpoints Envoy's cluster `dispatch` has."""
        answer = _get(self.places.balancer, configs.ADMIN_PORT, "/clusters?format=json")
        found = json.loads(answer)["cluster_statuses"]
        return sum(len(one.get("host_statuses", [])) for one in found if one["name"] == "dispatch")


def _own_network() -> tuple[socket.socket, str]:
    """A loopback network that no other stack of this machine has, and what holds it."""
    for _ in range(200):
        net = f"127.{random.randint(20, 250)}.{random.randint(1, 250)}"
        lock = socket.socket()
        try:
            lock.bind((f"{net}.1", LOCK_PORT))
            lock.listen(1)
        except OSError:
            lock.close()
            continue
        return lock, net
    raise AssertionError("no loopback network is free")


def _calmly(check: Callable[[], bool]) -> Callable[[], bool]:
    """The check, false where it raises."""

    def calm() -> bool:
        try:
            return check()
        except (OSError, http.client.HTTPException, ValueError, KeyError):
            return False

    return calm


def _socket(at: str, port: int, tls: ssl.SSLContext | None, host: str) -> socket.socket:
    sock = socket.create_connection((at, port), timeout=ASK_SECONDS)
    try:
        return tls.wrap_socket(sock, server_hostname=host or at) if tls else sock
    except BaseException:
        sock.close()
        raise


def _all(sock: socket.socket) -> bytes:
    parts = []
    while part := sock.recv(65536):
        parts.append(part)
    return b"".join(parts)


def _get(at: str, port: int, path: str) -> bytes:
    """The body of one answer."""
    connection = http.client.HTTPConnection(at, port, timeout=ASK_SECONDS)
    with closing(connection):
        connection.request("GET", path)
        return connection.getresponse().read()


def _ask(
    at: str,
    port: int,
    path: str,
    *,
    method: str = "GET",
    tls: ssl.SSLContext | None = None,
    host: str = "",
    asked: str = "",
) -> int:
    """The status of one answer. `asked`: another Host than the certificate's."""
    with closing(_socket(at, port, tls, host)) as sock:
        head = f"{method} {path} HTTP/1.1\r\nhost: {asked or host or at}\r\nconnection: close\r\n"
        sock.sendall(head.encode() + b"content-length: 0\r\n\r\n")
        return int(_all(sock).split(maxsplit=2)[1] or b"0")


def _echoes(
    at: str, port: int, path: str, *, tls: ssl.SSLContext | None = None, host: str = ""
) -> bool:
    """Whether a WebSocket at this address returns what it gets."""
    with closing(_socket(at, port, tls, host)) as sock:
        sock.sendall(
            f"GET {path} HTTP/1.1\r\nhost: {host or at}\r\nconnection: upgrade\r\n"
            "upgrade: websocket\r\nsec-websocket-version: 13\r\n"
            "sec-websocket-key: cmVhbCBpcyByZWFkeSEhIQ==\r\n\r\n".encode()
        )
        got = b""
        while b"\r\n\r\n" not in got:
            part = sock.recv(4096)
            if not part:
                return False
            got += part
        if b" 101 " not in got:
            return False
        sock.sendall(_PING)
        return sock.recv(100) == _PONG


def _resolves(at: str, tls: ssl.SSLContext, expected: str) -> bool:
    """Whether a provider answers with the edge's address."""
    wire = dns.message.make_query(configs.HOST, "A", id=0).to_wire()
    text = base64.urlsafe_b64encode(wire).rstrip(b"=").decode()
    with closing(_socket(at, configs.DOH_PORT, tls, at)) as sock:
        sock.sendall(
            f"GET {configs.DNS_PATH}?dns={text} HTTP/1.1\r\nhost: {at}\r\n"
            "accept: application/dns-message\r\nconnection: close\r\n\r\n".encode()
        )
        body = _all(sock).partition(b"\r\n\r\n")[2]
    answer = dns.message.from_wire(body)
    return answer.rcode() == dns.rcode.NOERROR and expected in str(answer)
