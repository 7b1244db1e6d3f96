"""What one message says. Pure: bytes in, the number of a kind out.

The phrases are those of Go's `net/http/httputil` and `net` (dispatch), of cloudflared (tunnel),
of Node's and Python's servers (serve), of systemd and of the kernel.
"""

from __future__ import annotations

import re

from t3probe.ask.forensics.kinds import CONN_CODES, SOURCES, code

UNKNOWN = -1
EPHEMERAL_FROM = 32_768
"""Linux gives ports from here on to the end that dials (ip(7), `ip_local_port_range`)."""

_SOURCES = (
    ("haproxy", re.compile(rb"haproxy", re.IGNORECASE)),
    ("nginx", re.compile(rb"nginx", re.IGNORECASE)),
    ("envoy", re.compile(rb"envoy|istio-proxy", re.IGNORECASE)),
    ("dnsdist", re.compile(rb"dnsdist", re.IGNORECASE)),
    ("tunnel", re.compile(rb"cloudflared|tunnel", re.IGNORECASE)),
    ("traefik", re.compile(rb"traefik", re.IGNORECASE)),
    ("dispatch", re.compile(rb"dispatch", re.IGNORECASE)),
    ("serve", re.compile(rb"(?<![a-z])(?:t3|serve)(?![a-z])", re.IGNORECASE)),
)
"""The first that fits: `t3-dispatch` is dispatch's."""
_STRANGER = re.compile(
    rb"(?:systemd|kernel|sshd|cron|networkmanager|dhc|dbus|sudo|chronyd|dockerd|containerd"
    rb"|kubelet|rsyslogd|snapd|polkitd|dnsmasq|avahi|prometheus|node[-_]exporter|alertmanager)",
    re.IGNORECASE,
)
"""Units whose `timed out` is none of serve's business."""
_PORTS = re.compile(rb"(?:read|write) tcp \S{1,80}?:(\d{1,5})->\S{1,80}?:(\d{1,5})")
_CONN = re.compile(rb'connIndex"?[=:]"?(\d{1,3})')
_LEVEL = re.compile(rb"(?:INF|WRN|ERR|DBG|FTL) ")
_TRAEFIK = re.compile(
    rb"(?:entryPoint|router|middleware|service|provider)Name=|[Tt]raefik|providers?\.\w+"
)
"""Traefik's own log looks like cloudflared's."""
_CANCELED = re.compile(rb"stream \d{1,19} canceled (?:by remote )?with error code ")
"""quic-go's words for a stream that the other side, the CDN, gave up."""
_OF_TUNNEL = re.compile(
    rb"o serve (?:tunnel|quic) connection|Serve tunnel error|Connection terminated"
)
"""What is canceled there is a connection to the CDN, and no request."""
_EXITED = re.compile(rb"([\w.@:-]{1,80}): Main process exited")

(
    D_GONE, D_CLIENT_RESET, D_RESET, D_REFUSED, D_CLOSED, D_SILENT, D_NO_WAY, D_OTHER,
) = (
    code(f"dispatch_{name}")
    for name in (
        "client_gone", "client_reset", "backend_reset", "backend_refused", "backend_closed",
        "backend_silent", "backend_unreachable", "other",
    )
)  # fmt: skip
SERVE = code("serve_timed_out")
(
    T_LOST, T_SILENT, T_EDGE, T_UNREACHABLE, T_RETRY, T_REGISTERED, T_ORIGIN, T_REQUEST,
    T_CLIENT, T_CLIENT_REQUEST, T_STOPPED, T_ERROR, T_INFO,
) = (
    code(f"tunnel_{name}")
    for name in (
        "lost", "silent", "closed_by_edge", "unreachable", "retry", "registered",
        "origin_failed", "request_failed", "client_gone", "client_request_failed", "stopped",
        "error", "info",
    )
)  # fmt: skip
LOST = frozenset((T_LOST, T_SILENT, T_EDGE))
MEMORY = code("machine_out_of_memory")
_EXITS = {str(name): code(f"{name}_exited") for name in SOURCES}
_REMEMBERED: dict[bytes, str] = {}


def source_of(who: bytes) -> str:
    """Whose lines a unit's or container's are: a source, `stranger`, or empty: not known."""
    known = _REMEMBERED.get(who)
    if known is None:
        known = ""
        if _STRANGER.match(who):
            known = "stranger"
        else:
            known = next((name for name, pattern in _SOURCES if pattern.search(who)), "")
        if len(_REMEMBERED) >= 1024:
            _REMEMBERED.clear()
        _REMEMBERED[who] = known
    return known


def classify(body: bytes, source: str = "", sure: bool = False) -> int:
    """The kind of a message, or UNKNOWN. The lines of `programs`' table are its business.

    `source` is whose line it is, when that is known; otherwise the words decide. `sure`: a person
    said so, and whatever is in it is that source's.
    """
    if source in ("", "dispatch"):
        if b"proxy error" in body or b"ReverseProxy" in body:
            return _dispatch(body)
        if source and (kind := _dispatch(body)) != D_OTHER:
            return kind
    if source == "tunnel" or (source == "" and (b"connIndex" in body or b"originService" in body)):
        return _tunnel(body, sure)
    if source == "" and _LEVEL.match(body) and not _TRAEFIK.search(body):
        return _tunnel(body, False)
    if source in ("", "serve") and (b"imed out" in body or b"ETIMEDOUT" in body):
        return SERVE
    return _system(body)


def _system(body: bytes) -> int:
    if b"Main process exited" in body and (found := _EXITED.search(body)):
        return _EXITS.get(source_of(found[1]), UNKNOWN)
    if b"Killed process" in body and b"emory" in body:
        return MEMORY
    return UNKNOWN


def _dispatch(body: bytes) -> int:
    if b"context canceled" in body or b"client disconnected" in body:
        return D_GONE
    if b"connection refused" in body:
        return D_REFUSED
    reset = b"reset by peer" in body
    if reset or b"broken pipe" in body:
        if (ports := _PORTS.search(body)) and _dialled_in(int(ports[1]), int(ports[2])):
            return D_CLIENT_RESET
        return D_RESET
    if (
        b"deadline exceeded" in body
        or b"i/o timeout" in body
        or b"timeout awaiting" in body
        or b"connection timed out" in body
    ):
        return D_SILENT
    if b"EOF" in body or b"server closed idle" in body or b"closed network connection" in body:
        return D_CLOSED
    if b"no route to host" in body or b"no such host" in body or b"unreachable" in body:
        return D_NO_WAY
    return D_OTHER


def _dialled_in(local: int, remote: int) -> bool:
    """Whether the peer dialled us: its port is one that the kernel gives out, ours is not."""
    return remote >= EPHEMERAL_FROM > local


def _tunnel(body: bytes, sure: bool) -> int:
    if b"egistered tunnel connection" in body:
        return T_LOST if b"Unregistered" in body else T_REGISTERED
    if b"etrying connection" in body or b"econnect" in body:
        return T_RETRY
    request = b"Request failed" in body
    gone = b"context canceled" in body
    if _CANCELED.search(body) or (gone and b"Unable to reach the origin" in body):
        # The CDN took its stream back, or the request's own context ended: not the origin's doing.
        return T_CLIENT_REQUEST if request else T_CLIENT
    if b"Unable to reach the origin" in body:
        return T_REQUEST if request else T_ORIGIN
    if (
        b"o dial a quic" in body
        or b"o create new quic" in body
        or b"o dial to edge" in body
        or b"Unable to establish connection" in body
    ):
        return T_UNREACHABLE
    if gone and not _OF_TUNNEL.search(body):
        return T_CLIENT_REQUEST if request else T_CLIENT
    if b"raceful shutdown" in body or b"due to signal" in body:
        return T_STOPPED
    if b"no recent network activity" in body:
        return T_SILENT
    if b"(remote)" in body and b"pplication error" in body:
        return T_EDGE
    if (
        b"o serve " in body
        or b"Serve tunnel error" in body
        or b"Connection terminated" in body
        or b"ost connection with the edge" in body
        or b"connection with edge closed" in body
        or b"ccept QUIC stream" in body
        or b"encountered a failure while serving" in body
        or b"datagram handler" in body
    ):
        return T_LOST
    if b" registered" in body and b"connIndex" in body:
        return T_REGISTERED
    if request:
        return T_REQUEST
    if body.startswith((b"ERR ", b"FTL ")) or b'"level":"error"' in body:
        return T_ERROR
    if sure or _LEVEL.match(body) or b"connIndex" in body:
        return T_INFO
    return UNKNOWN


def connection(body: bytes) -> int:
    """The code of the tunnel's connection that a line speaks of; the last one: none named."""
    found = _CONN.search(body)
    return CONN_CODES[min(int(found[1]), len(CONN_CODES) - 2) if found else -1]
