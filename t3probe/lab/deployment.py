"""The deployment file of a lab. `deployments/lab.toml` is the same file with placeholders."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import msgspec

from t3probe.lab.answers import HOST, PUBLIC_PREFIX, SSO_HOST
from t3probe.lab.doh import DNS_PATH
from t3probe.lab.edge import TRACE
from t3probe.lab.faults import SEGMENTS, UPSTREAMS, parse_duration
from t3probe.lab.machine import ECHO_PATH, HEALTH_PATH, SESSION_PATH
from t3probe.lab.opinions import SERVICE
from t3probe.lab.traefik import LOGIN_MARKER
from t3probe.text.names import BOOK, JUMP, RELAY

__all__ = ["HOST", "PLACEHOLDER", "TIMING", "LabAddresses", "deployment_text", "merged_timing"]

TIMING: dict[str, str] = {
    "hold": "6s",
    "heartbeat": "1s",
    "watchdog": "2s",
    "connect_timeout": "1s",
    "backoff": "500ms",
    "backoff_max": "2s",
}
"""The lab's timing: short, so that a run of all checks takes seconds."""
_TIMING_KEYS = (*TIMING, "deadline", "sweep_interval", "slow_floor")

_PATHS = (
    ("wan", "cf-edge", "tunnel", "traefik", "carve-out", "devvm", "dispatch"),
    ("wan", "cf-edge", "tunnel", "traefik", "wall", "devvm", "serve"),
    ("wan", "doh"),
)


class LabAddresses(msgspec.Struct, frozen=True, kw_only=True):
    """Where a lab listens, each as host:port."""

    public: str
    """The edge, and by its port the public URLs."""
    balancer: str
    """The load balancer, on the same port."""
    doh: tuple[str, ...]
    node: str
    dispatch: str
    serve: str
    upstreams: tuple[str, ...]
    """In the order of UPSTREAMS."""
    rig_services: tuple[str, ...] = ()
    """The base URLs of relay, jump and book; none without rigs."""
    opinions: tuple[str, ...] = ()
    """cloudflared's metrics server and Traefik's API; none where nobody is asked."""
    control: str
    token: str
    """What an order to the control socket must hold."""
    pid: int
    ca: str | None
    """The PEM file of the lab's CA."""


PLACEHOLDER = LabAddresses(
    public="127.0.0.2:1",
    balancer="127.0.0.3:1",
    doh=("127.0.0.2:1", "127.0.0.2:2"),
    node="127.0.0.1:1",
    dispatch="127.0.0.1:1",
    serve="127.0.0.1:1",
    # No leg's port: an upstream at an address that a leg dials has no segment of its own.
    upstreams=tuple(f"127.0.0.1:{3 + at}" for at in range(len(UPSTREAMS))),
    control="127.0.0.1:1",
    token="",
    pid=0,
    ca=None,
)
"""Small ports stand for those that are chosen when a lab starts."""
RIG_SERVICES = (RELAY, JUMP, BOOK)
PLACES_OF_RIGS = tuple(
    f"http://127.0.0.1:{1 + at}/lab/{one}" for at, one in enumerate(RIG_SERVICES)
)
RIG_TIMING = {
    "active": "1s",
    "reported": "5s",
    "startup": "1s",
    "settle": "1s",
    "query_book": "5s",
}
"""Of the lab's rigs, in keeping with TIMING."""


def merged_timing(overrides: Mapping[str, str]) -> dict[str, str]:
    """The lab's timing with `overrides`. Raises ValueError with one sentence."""
    for key, value in overrides.items():
        if key not in _TIMING_KEYS:
            known = ", ".join(_TIMING_KEYS)
            raise ValueError(f"--timing {key}={value}: expected one of {known}, got {key!r}.")
        try:
            parse_duration(value)
        except ValueError as error:
            raise ValueError(f"--timing {key}={value}: {error}.") from None
    return {**TIMING, **overrides}


def deployment_text(places: LabAddresses, timing: Mapping[str, str] = TIMING) -> str:
    """The deployment file, as TOML."""
    port = places.public.rpartition(":")[2]
    site = f"https://{HOST}:{port}"
    doh = [f"https://{one}{DNS_PATH}" for one in places.doh]
    probe = f"wss://{HOST}:{port}{ECHO_PATH}"
    top: dict[str, object] = {"name": "lab", "segments": list(SEGMENTS), "paths": list(_PATHS)}
    top["local"] = ["wan"]
    if places.ca:
        top["tls_ca"] = places.ca
    tables: list[tuple[str, Mapping[str, object]]] = [
        ("", top),
        ("[marks]", {"cf-ray": "cf-edge", "t3probe-echo": "dispatch"}),
        ("[gloss]", {"tunnel": "or what the CDN does with this path"}),
        ("[timing]", timing),
        ("[sso]", {"hosts": [SSO_HOST], "login_markers": [LOGIN_MARKER]}),
        *(("[[leg]]", leg) for leg in _legs(places, site, probe, doh)),
        (
            "[[public]]",
            {
                "name": "probe",
                "url": f"{site}{HEALTH_PATH}",
                "doh": doh,
                "prefix": PUBLIC_PREFIX,
                "path": ["wan", "cf-edge", "tunnel", "traefik", "carve-out"],
                "tcp_ends_at": "cf-edge",
                "headers_present": ["cf-ray"],
            },
        ),
        (
            "[[walled]]",
            {
                "name": "home",
                "url": f"{site}/",
                "pin": places.balancer,
                "path": ["traefik", "wall"],
                "tcp_ends_at": "traefik",
                "headers_absent": ["cf-ray"],
            },
        ),
        *(
            ("[[upstream]]", {"name": name, "address": address, "shares": []})
            for name, address in zip(UPSTREAMS, places.upstreams, strict=True)
        ),
        *_opinions(places),
        *_experiments(places),
        ("[lab]", {"control": places.control, "token": places.token, "pid": places.pid}),
    ]
    return "\n".join(_table(header, table) for header, table in tables)


def _opinions(places: LabAddresses) -> list[tuple[str, Mapping[str, object]]]:
    if not places.opinions:
        return []
    tunnel, balancer = places.opinions
    table = {"name": "cloudflared", "kind": "cloudflared", "segment": "tunnel", "timeout": "10s"}
    more = {"name": "traefik", "kind": "traefik", "segment": "dispatch", "timeout": "10s"}
    return [
        ("[[opinion]]", {**table, "url": f"http://{tunnel}"}),
        ("[[opinion]]", {**more, "services": [SERVICE], "url": f"http://{balancer}"}),
    ]


def _experiments(places: LabAddresses) -> list[tuple[str, Mapping[str, object]]]:
    if not places.rig_services:
        return []
    named = dict(zip(RIG_SERVICES, places.rig_services, strict=True))
    return [("[experiments]", {**named, **RIG_TIMING, "manage": True})]


def _legs(
    places: LabAddresses, site: str, probe: str, doh: Sequence[str]
) -> list[dict[str, object]]:
    inside = ["traefik", "carve-out", "devvm", "dispatch"]
    return [
        {
            "name": "egress",
            "kind": "tcp",
            "addresses": places.doh,
            "any_of": True,
            "refused_ok": True,
            "path": ["wan"],
            "tcp_ends_at": "wan",
        },
        {
            "name": "resolver",
            "kind": "doh",
            "doh": doh,
            "path": ["wan", "doh"],
            "tcp_ends_at": "doh",
        },
        {
            "name": "edge",
            "kind": "http",
            "url": f"{site}{TRACE}",
            "doh": doh,
            "fallback": [places.public],
            "path": ["wan", "cf-edge"],
            "tcp_ends_at": "cf-edge",
            "headers_present": ["cf-ray"],
        },
        {
            "name": "cloudflare",
            "kind": "ws_echo",
            "url": probe,
            "doh": doh,
            "path": ["wan", "cf-edge", "tunnel", *inside],
            "tcp_ends_at": "cf-edge",
            "headers_present": ["cf-ray"],
        },
        {
            "name": "internal",
            "kind": "ws_echo",
            "url": probe,
            "pin": places.balancer,
            "path": inside,
            "tcp_ends_at": "traefik",
            "headers_absent": ["cf-ray"],
        },
        {
            "name": "traefik",
            "kind": "http",
            "url": f"{site}/",
            "pin": places.balancer,
            "host_header": "unrouted.lab.test",
            "expect_status": [404],
            "path": ["traefik"],
            "tcp_ends_at": "traefik",
            "headers_absent": ["cf-ray"],
        },
        {
            "name": "dispatch",
            "kind": "ws_echo",
            "url": f"ws://{places.dispatch}{ECHO_PATH}",
            "path": ["devvm", "dispatch"],
            "tcp_ends_at": "devvm",
            "headers_absent": ["cf-ray"],
        },
        {
            "name": "devvm",
            "kind": "http",
            "url": f"http://{places.node}/metrics",
            "refused_ok": True,
            "path": ["devvm"],
            "tcp_ends_at": "devvm",
        },
        {
            "name": "t3serve",
            "kind": "http",
            "url": f"http://{places.serve}{SESSION_PATH}",
            "path": ["devvm", "serve"],
            "tcp_ends_at": "devvm",
        },
    ]


def _table(header: str, values: Mapping[str, object]) -> str:
    """One TOML table. JSON's strings, numbers, booleans and arrays of these are TOML's, too,
    as long as they are ASCII (TOML 1.0, basic strings)."""
    lines = [header] if header else []
    lines += [f"{key} = {json.dumps(value)}" for key, value in values.items()]
    return "\n".join([*lines, ""])
