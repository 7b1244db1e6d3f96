"""The same outages as blackbox_exporter sees them: probes of the same legs, and a rule of thumb.

What it can: a page with its certificate, its status and its body; a TCP connect; a WebSocket
upgrade and one echo, as lines over TCP (its HTTP prober waits for the end of the body of a 101,
which has none). What it cannot: hold a connection from one probe to the next, so no cut of what is
open and no difference between "down" and "refusing"; tell a refusal from silence, both are
`probe_success 0`; say that a series of probes began at the same moment as another, which is done
for it here.

The rule of thumb is that of the runbook's table "Is it us, or your network?": when a leg fails, the
shorter legs tell which part of it broke. Spelled out, for the whole time of the outage:

- a leg is down when any of its samples failed, else up; of several addresses one is enough;
- what a leg crosses that is up works;
- each leg that is down, the shortest first, names the first segment on its path that does not work
  by this; one that crosses a segment already named is explained by it.
"""

from __future__ import annotations

import base64
import http.client
import json
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

import dns.message
from realpath import configs
from realpath.configs import Places
from realpath.programs import Program, find, until
from realpath.stack import Stack

__all__ = [
    "COMMAND",
    "Leg",
    "Sampler",
    "blame",
    "install",
    "installed",
    "legs",
    "probe_all",
    "works",
]

COMMAND = "prometheus-blackbox-exporter"
PORT = 9115
_NAME = "blackbox"
EVERY_SECONDS = 1.0
"""From the begin of one round of probes to that of the next, unless a round takes longer."""
ASK_SECONDS = 5.0
MANY = 16
"""Probes at the same time: all of a round."""
TIMEOUT = configs.TIMING["watchdog"]
"""What a probe may take: as long as a beat of the same leg."""


@dataclass(frozen=True)
class Leg:
    """What is probed: `targets` by `module`, one of which is enough."""

    name: str
    path: tuple[str, ...]
    module: str
    targets: tuple[str, ...]
    behind: tuple[str, ...] = ()
    """What it needs, too, without proving that it works: the page of a process proves no echo."""


def legs(places: Places, both: bool = False) -> list[Leg]:
    """The legs of the deployment file as far as blackbox_exporter can probe them. It finds public
    names by the system's resolver only, so it is given the edge's address, as it is the
    balancer's."""
    edge, balancer = (f"{at}:{configs.PUBLIC_PORT}" for at in (places.edge, places.balancer))
    dispatch, serve, node, orders, second = (
        f"{at}:{port}"
        for at, port in (
            (places.machine, configs.DISPATCH_PORT),
            (places.machine, configs.SERVE_PORT),
            (places.machine, configs.NODE_PORT),
            (places.orders, configs.ORDERS_PORT),
            (places.second, configs.DISPATCH_PORT),
        )
    )
    providers = tuple(f"{one}:{configs.DOH_PORT}" for one in places.providers)
    wire = dns.message.make_query(configs.HOST, "A", id=0).to_wire()
    query = base64.urlsafe_b64encode(wire).rstrip(b"=").decode()
    asked = tuple(f"https://{one}{configs.DNS_PATH}?dns={query}" for one in providers)
    outside = ("wan", "cf-edge", "tunnel")
    inside = ("traefik", "carve-out", "devvm", "dispatch")
    found = [
        Leg("egress", ("wan",), "connect", providers),
        Leg("resolver", ("wan", "doh"), "doh", asked),
        Leg("edge", ("wan", "cf-edge"), "page", (f"https://{edge}{configs.TRACE_PATH}",)),
        Leg("cloudflare", (*outside, *inside), "echo_tls", (edge,)),
        Leg("internal", inside, "echo_tls", (balancer,)),
        Leg("traefik", ("traefik",), "unrouted", (f"https://{balancer}/",)),
        Leg("dispatch", ("devvm", "dispatch"), "echo", (dispatch,)),
        Leg("devvm", ("devvm",), "plain", (f"http://{node}/metrics",)),
        Leg("t3serve", ("devvm", "serve"), "plain", (f"http://{serve}{configs.SESSION_PATH}",)),
        Leg(
            "walloff-probe",
            (*outside, "traefik", "carve-out"),
            "page",
            (f"https://{edge}{configs.HEALTH_PATH}",),
            behind=("devvm", "dispatch"),
        ),
        Leg("walled-home", ("traefik", "wall"), "walled", (f"https://{balancer}/",)),
        Leg("envoy-orders", ("upstream-orders",), "connect", (orders,)),
    ]
    if both:
        found.append(Leg("envoy-dispatch", ("upstream-dispatch",), "connect", (second,)))
    return found


# The rule of thumb


def works(samples: Mapping[str, Sequence[bool]]) -> dict[str, bool]:
    """Each leg that has samples: whether every one was good."""
    return {name: all(row) for name, row in samples.items() if row}


def blame(probed: Sequence[Leg], up: Mapping[str, bool]) -> frozenset[str]:
    """Whom the rule of thumb names, of the legs that are `up` or not. A leg that `up` lacks was not
    probed, and says nothing."""
    work = {segment for leg in probed if up.get(leg.name) for segment in leg.path}
    down = [(*leg.path, *leg.behind) for leg in probed if up.get(leg.name) is False]
    named: set[str] = set()
    for path in sorted(down, key=len):
        if named.isdisjoint(path):
            named.update([segment for segment in path if segment not in work][:1])
    return frozenset(named)


# The probes


_FRAME = "a masked text frame of four bytes"
_MASKED = base64.b64encode(b"\x81\x84\0\0\0\0rea").decode()
"""blackbox_exporter ends what it sends with a newline: the fourth byte of the message."""


def config(places: Places) -> str:
    """Its configuration: YAML whose modules are JSON, but for the bytes of the frame."""
    tls = {"ca_file": str(places.folder / "ca.pem"), "server_name": configs.HOST}

    def page(host: str = configs.HOST, **more: object) -> dict[str, object]:
        return _module("http", headers={"Host": host}, tls_config=tls, **more)

    upgrade = [
        f"GET {configs.ECHO_PATH} HTTP/1.1",
        f"Host: {configs.HOST}",
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: cmVhbCBpcyByZWFkeSEhIQ==",
        "",
    ]
    exchange = [
        *({"send": f"{one}\r"} for one in upgrade),
        {"expect": "^HTTP/1.1 101"},
        {"send": _FRAME},
        {"expect": "^.\\x04rea$"},
    ]
    modules = {
        "connect": _module("tcp"),
        "doh": _module(
            "http",
            headers={"Accept": "application/dns-message"},
            tls_config={"ca_file": tls["ca_file"]},
            # One question and one answer.
            fail_if_body_not_matches_regexp=["(?s)^.{4}\\x00\\x01\\x00\\x01"],
        ),
        "page": page(),
        "unrouted": page(configs.UNROUTED, valid_status_codes=[404]),
        "walled": page(valid_status_codes=[302], follow_redirects=False),
        "plain": _module("http"),
        "echo": _module("tcp", query_response=exchange),
        "echo_tls": _module("tcp", query_response=exchange, tls=True, tls_config=tls),
    }
    lines = (f"  {name}: {json.dumps(module)}" for name, module in modules.items())
    text = "\n".join(["modules:", *lines, ""])
    return text.replace(json.dumps(_FRAME), f'!!binary "{_MASKED}"')


def _module(prober: str, **settings: object) -> dict[str, object]:
    return {
        "prober": prober,
        "timeout": TIMEOUT,
        prober: {"preferred_ip_protocol": "ip4", **settings},
    }


def install(stack: Stack) -> None:
    """Start it as one more program of a stack, and wait until it answers."""
    file = stack.folder / "blackbox.yml"
    file.write_text(config(stack.places))
    at = _at(stack.places)
    program = Program(
        _NAME,
        [
            *(find(COMMAND), f"--config.file={file}", "--log.level=error"),
            f"--web.listen-address={at}:{PORT}",
        ],
        stack.folder,
        stack.keeper,
    )
    program.start()
    stack.programs[program.name] = program
    until(lambda: _get(at, "/-/healthy") is not None, COMMAND)


def installed(stack: Stack) -> bool:
    """Whether a stack has it."""
    return _NAME in stack.programs


def _at(places: Places) -> str:
    return places.at(20)


def _get(at: str, path: str) -> str | None:
    """A page of blackbox_exporter; None: it did not answer."""
    connection = http.client.HTTPConnection(at, PORT, timeout=ASK_SECONDS)
    with closing(connection):
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            body = answer.read().decode()
        except (OSError, http.client.HTTPException):
            return None
    if answer.status != 200:
        raise AssertionError(f"{COMMAND} refuses {path}: {body}")
    return body


def probe(places: Places, module: str, target: str) -> bool | None:
    """Whether one probe succeeds; None: nobody could tell."""
    said = _get(_at(places), f"/probe?{urlencode({'module': module, 'target': target})}")
    return None if said is None else "\nprobe_success 1\n" in said


def probe_all(places: Places, probed: Sequence[Leg], pool: ThreadPoolExecutor) -> dict[str, bool]:
    """Probe every address of every leg at once: which are up. A leg of which nobody could tell is
    not in it."""
    asked = {
        leg.name: [pool.submit(probe, places, leg.module, target) for target in leg.targets]
        for leg in probed
    }
    found: dict[str, bool] = {}
    for name, several in asked.items():
        answers = [one.result() for one in several]
        if any(answers) or None not in answers:
            found[name] = any(answers)
    return found


class Sampler:
    """Probes every leg of a stack at once, every second, in threads of its own."""

    def __init__(self, stack: Stack, both: bool = False) -> None:
        self.legs = legs(stack.places, both)
        self.samples: dict[str, list[bool]] = {leg.name: [] for leg in self.legs}
        self._places = stack.places
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Let the round that goes on end; later samples are not taken."""
        self._end.set()
        if self._thread.ident is not None:
            self._thread.join(ASK_SECONDS * 4)

    def _run(self) -> None:
        with ThreadPoolExecutor(MANY) as pool:
            while not self._end.is_set():
                begun = time.monotonic()
                for name, good in probe_all(self._places, self.legs, pool).items():
                    self.samples[name].append(good)
                self._end.wait(max(0.0, begun + EVERY_SECONDS - time.monotonic()))

    def blamed(self) -> frozenset[str]:
        """Whom the rule of thumb names."""
        return blame(self.legs, works(self.samples))

    def write(self, file: Path) -> None:
        """Leave the samples: 1 good, 0 bad, in their order."""
        rows = {name: "".join(str(int(one)) for one in row) for name, row in self.samples.items()}
        file.write_text(json.dumps(rows, indent=2) + "\n")
