"""What a line can say: the closed list of kinds, and which side each one points at.

A source is the process that wrote the line. A side is told from there: `before` is everything
between the person and the source; `link` is what carries the source's own connections outward,
itself included and the person's last mile not; `peer` is the segment just before it; `after` is
what lies behind it, `self` the source. (The segment `tunnel` is the way from the CDN to the
cluster, so a tunnel connection that falls silent does point at it.)

`tunnel`, `traefik`, `dispatch` and `serve` have a place of their own in the reference deployment.
haproxy, nginx, Envoy and dnsdist stand anywhere: their sides mean segments once `--map` or the
deployment says where that is.

`SegmentMap` says which segments a side means: what lies before, at and behind each source.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, NamedTuple

Source = Literal[
    "tunnel", "traefik", "dispatch", "serve", "haproxy", "nginx", "envoy", "dnsdist", "devvm"
]
Side = Literal["before", "link", "peer", "self", "after"]
Sure = Literal["guess", "likely", "sure"]

SOURCES: tuple[Source, ...] = (
    "tunnel", "traefik", "dispatch", "serve", "haproxy", "nginx", "envoy", "dnsdist",
)  # fmt: skip
"""Whose logs are read; `devvm` only shows in the kernel's lines."""
PROXIES: tuple[Source, ...] = ("haproxy", "nginx", "envoy")


AGAIN = " again"
"""A group of this ending holds second lines about what the group before it told already."""


class Kind(NamedTuple):
    """One thing a line can say."""

    name: str
    source: Source
    sides: tuple[Side, ...]
    """Where it may have broken; empty: the line is known and tells of no fault."""
    sure: Sure
    meaning: str
    group: str = ""
    """Lines of one group are counted together when bursts are looked for; empty: not at all."""


def _proxy(source: Source) -> tuple[Kind, ...]:
    """What any proxy can say of a request, a connection, and of itself."""
    client, backend, own = (f"{source} {one}" for one in ("client side", "backend", "own"))
    rows: tuple[tuple[str, tuple[Side, ...], Sure, str, str], ...] = (
        ("client_gone", ("before",), "likely", "the client side went away", client),
        ("client_gave_up", ("before", "after"), "guess",
         "the client side went away while what lies behind had not answered", client),
        ("client_error", ("before",), "likely",
         "the client side went away (the program's error log)", client + AGAIN),
        ("bad_gateway", ("after",), "likely",
         "what lies behind could not be reached, or broke off", backend),
        ("unavailable", ("after",), "likely", "no server behind was available", backend),
        ("gateway_timeout", ("after",), "likely", "what lies behind did not answer in time",
         backend),
        ("backend_error", ("after",), "likely",
         "what lies behind failed (the program's error log)", backend + AGAIN),
        ("backend_down", ("after",), "likely",
         "its health check found a server behind it down", f"{source} health checks"),
        ("idle", ("before", "after"), "guess", "a connection carried nothing for too long",
         f"{source} idle"),
        ("full", ("self", "after"), "guess", "it had no room: a limit or a queue was full", own),
        ("own_error", ("self",), "likely", "an error of its own", own),
        ("refused", ("before", "self"), "guess",
         "it turned down what the client side sent, or nothing whole came", ""),
        ("websocket_ended", ("before", "self", "after"), "guess",
         "a WebSocket or a long connection ended, by either side", f"{source} WebSockets"),
        ("slow", ("self", "after"), "guess", "a request took long", f"{source} slow requests"),
        ("served", (), "sure", "a request was answered", ""),
        ("info", (), "sure", "it says how it is", ""),
        ("stopped", ("self",), "sure", "it was told to stop, or to end connections", "stopped"),
        ("restarted", ("self",), "likely", "it started anew: it had ended before", "restarted"),
        ("exited", ("self",), "sure", "its process died", "died"),
    )  # fmt: skip
    return tuple(
        Kind(f"{source}_{name}", source, sides, sure, meaning, group)
        for name, sides, sure, meaning, group in rows
    )


KINDS: tuple[Kind, ...] = (
    Kind("dispatch_client_gone", "dispatch", ("before",), "sure",
         "the client side went away (context canceled)", "dispatch client side"),
    Kind("dispatch_client_reset", "dispatch", ("before",), "likely",
         "the peer that had dialled in reset the connection", "dispatch client side"),
    Kind("dispatch_backend_reset", "dispatch", ("after",), "sure",
         "the backend reset the connection: its process died or restarted", "dispatch backend"),
    Kind("dispatch_backend_refused", "dispatch", ("after",), "sure",
         "nothing listens at the backend: its process is not running", "dispatch backend"),
    Kind("dispatch_backend_closed", "dispatch", ("after",), "likely",
         "the backend closed the connection in mid-exchange", "dispatch backend"),
    Kind("dispatch_backend_silent", "dispatch", ("after",), "likely",
         "the backend did not answer in time", "dispatch backend"),
    Kind("dispatch_backend_unreachable", "dispatch", ("after",), "likely",
         "there is no way to the backend's address", "dispatch backend"),
    Kind("dispatch_other", "dispatch", ("self", "after"), "guess",
         "a proxy error of another kind", "dispatch backend"),
    Kind("serve_timed_out", "serve", ("before", "self"), "guess",
         "an answer did not come in time: its client side fell silent, or it stalled itself",
         "serve"),
    Kind("traefik_client_gone", "traefik", ("before",), "sure",
         "the client side went away before the answer (499)", "traefik client side"),
    Kind("traefik_bad_gateway", "traefik", ("after",), "likely",
         "what lies behind could not be reached, or broke off (502)", "traefik backend"),
    Kind("traefik_unavailable", "traefik", ("after",), "likely",
         "no server behind was available (503)", "traefik backend"),
    Kind("traefik_gateway_timeout", "traefik", ("after",), "likely",
         "what lies behind did not answer in time (504)", "traefik backend"),
    Kind("traefik_websocket_ended", "traefik", ("before", "self", "after"), "guess",
         "a WebSocket ended, by either side", "traefik WebSockets"),
    Kind("traefik_slow", "traefik", ("self", "after"), "guess",
         "a request took long", "traefik slow requests"),
    Kind("traefik_served", "traefik", (), "sure", "a request was answered"),
    Kind("tunnel_lost", "tunnel", ("link",), "likely",
         "a connection to the CDN was lost"),
    Kind("tunnel_silent", "tunnel", ("link",), "sure",
         "a connection to the CDN fell silent (no network activity)"),
    Kind("tunnel_closed_by_edge", "tunnel", ("peer", "self"), "likely",
         "the CDN closed a connection"),
    Kind("tunnel_unreachable", "tunnel", ("link",), "sure",
         "a new connection to the CDN failed"),
    Kind("tunnel_retry", "tunnel", ("link",), "likely",
         "it reconnects to the CDN"),
    Kind("tunnel_registered", "tunnel", (), "sure", "a connection to the CDN stands"),
    Kind("tunnel_origin_failed", "tunnel", ("after",), "sure",
         "the origin behind it could not be reached or broke off", "tunnel origin"),
    Kind("tunnel_request_failed", "tunnel", ("after",), "sure",
         "a request to the origin failed", "tunnel origin again"),
    Kind("tunnel_client_gone", "tunnel", ("before",), "likely",
         "the client side went away (context canceled)", "tunnel client side"),
    Kind("tunnel_client_request_failed", "tunnel", ("before",), "likely",
         "a request failed because the client side went away", "tunnel client side again"),
    Kind("tunnel_stopped", "tunnel", ("self",), "sure",
         "it was told to stop", "stopped"),
    Kind("tunnel_error", "tunnel", ("link", "after"), "guess",
         "an error of another kind", "tunnel errors"),
    Kind("tunnel_info", "tunnel", (), "sure", "it says how it is"),
    Kind("tunnel_exited", "tunnel", ("self",), "sure", "its process died", "died"),
    Kind("traefik_exited", "traefik", ("self",), "sure", "its process died", "died"),
    Kind("dispatch_exited", "dispatch", ("self",), "sure", "its process died", "died"),
    Kind("serve_exited", "serve", ("self",), "sure", "its process died", "died"),
    *(kind for source in PROXIES for kind in _proxy(source)),
    Kind("haproxy_draining", "haproxy", ("self",), "guess",
         "it accepts nothing new, stopped or reloaded; what was open went on"),
    # What stands behind dnsdist is the resolver's own: with it, it is one segment.
    Kind("dnsdist_backend_down", "dnsdist", ("self",), "likely",
         "its health check found a resolver behind it down", "dnsdist health checks"),
    Kind("dnsdist_failed", "dnsdist", ("self",), "guess",
         "it answered that it could not find out (SERVFAIL), or nothing", "dnsdist failures"),
    Kind("dnsdist_info", "dnsdist", (), "sure", "it says how it is"),
    Kind("dnsdist_restarted", "dnsdist", ("self",), "likely",
         "it started anew: it had ended before", "restarted"),
    Kind("dnsdist_exited", "dnsdist", ("self",), "sure", "its process died", "died"),
    Kind("machine_out_of_memory", "devvm", ("self",), "sure",
         "the kernel killed a process for want of memory", "died"),
)  # fmt: skip

BY_NAME = {kind.name: number for number, kind in enumerate(KINDS)}
CONN_CODES = range(len(KINDS), len(KINDS) + 16)
"""Beyond the kinds: one code for each connection that the tunnel can lose."""


def code(name: str) -> int:
    """The number of a kind."""
    return BY_NAME[name]


LAST_MILE = "last-mile"
"""The person's own way to the CDN: no leg of the suite crosses it."""
REFERENCE: tuple[tuple[str, ...], ...] = (
    ("wan", "cf-edge", "tunnel", "traefik", "devvm", "dispatch", "serve"),
    ("wan", "doh"),
)
"""The reference deployment's way from the CDN to the app, and that to the resolvers."""


class SegmentMap:
    """Which segments a side means."""

    def __init__(
        self,
        paths: Iterable[Sequence[str]] = REFERENCE,
        names: Mapping[str, str] | None = None,
        segments: Iterable[str] = (),
    ) -> None:
        """`paths` run from the edge to the app; `names` gives sources that are called otherwise
        in them; `segments` are all that are declared."""
        self.paths = [tuple(path) for path in paths]
        self.names = dict(names or {})
        declared = dict.fromkeys((*segments, *(one for path in self.paths for one in path)))
        home = {name for path in REFERENCE for name in path}
        absent = [source for source in SOURCES if self.name(source) not in declared]
        self.missing = [source for source in absent if source in home]
        """Sources that are no declared segment: their sides stay the reference's."""
        self.unplaced = [source for source in absent if source not in home]
        """Sources whose place is not given: their sides mean no segment."""
        known = dict.fromkeys((LAST_MILE, *declared, *(one for way in REFERENCE for one in way)))
        self.order = {name: at for at, name in enumerate(known)}
        self._declared = declared
        self._known: dict[tuple[str, Side], tuple[str, ...]] = {}
        self._reference = None if self.paths == list(REFERENCE) and not names else SegmentMap()

    def name(self, source: str) -> str:
        """The segment that a source is."""
        return self.names.get(source, source)

    def placed(self, source: str) -> bool:
        """Whether it is known where a source stands."""
        return source not in self.unplaced

    def segments(self, source: str, sides: Iterable[Side]) -> tuple[str, ...]:
        """The segments that some sides of a source mean, in the order of the way."""
        found: set[str] = set()
        for side in sides:
            key = source, side
            if key not in self._known:
                self._known[key] = self._side(source, side)
            found.update(self._known[key])
        return tuple(sorted(found, key=lambda one: (self.order.get(one, 99), one)))

    def _side(self, source: str, side: Side) -> tuple[str, ...]:
        if not self.placed(source):
            return ()
        out = self._own(source, side) if source not in self.missing else ()
        if not out and self._reference is not None:
            out = self._reference.segments(source, (side,))
        return (LAST_MILE, *out) if side == "before" else out

    def _own(self, source: str, side: Side) -> tuple[str, ...]:
        name = self.name(source)
        if side == "self":
            return (name,)
        out: dict[str, None] = {}
        for path in self.paths:
            if name in path:
                at = path.index(name)
                ahead = path[:at][-1:] if side == "peer" else path[:at]
                out.update(dict.fromkeys(path[at + 1 :] if side == "after" else ahead))
        if side == "link":
            out[name] = None
        serve = self.name("serve")
        if source == "dispatch" and side == "after" and serve in self._declared:
            out[serve] = None  # legs to dispatch end there, but it hands on to serve
        return tuple(out)
