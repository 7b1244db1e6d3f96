"""The deployment file as types. `load` turns a file into a `Deployment`.

Units: every duration is in seconds once loaded; in the file it is text such as `500ms`,
`10s` or `2m`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec

__all__ = [
    "Delivery",
    "Deployment",
    "Downtime",
    "Duration",
    "Leg",
    "LegFields",
    "Route",
    "Sso",
    "Timing",
    "Upstream",
]

LegKind = Literal["ws_echo", "http", "doh", "tcp", "walloff", "walled"]


class Duration(float):
    """Seconds. In the file: a number and a unit, `500ms`, `10s`, `2m`, `1h`."""

    __slots__ = ()


class Table(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of everything a deployment file can hold."""


class Timing(Table, frozen=True):
    hold: Duration = Duration(35)
    """How long a run keeps its connections open."""
    heartbeat: Duration = Duration(10)
    """The time between two beats of a leg."""
    watchdog: Duration = Duration(20)
    """How long an answer may take before the connection counts as dead."""
    connect_timeout: Duration = Duration(5)
    """How long a TCP connect, and then a TLS handshake, may take."""
    deadline: Duration | None = None
    """When the run ends at the latest, from its start. None: hold + twice the watchdog + twice
    the connect timeout: time for a silent beat and for the new attempt that follows it."""
    backoff: Duration = Duration(3)
    """After the n-th drop in a row a leg waits n times this before it reconnects ..."""
    backoff_max: Duration = Duration(30)
    """... but never longer than this."""
    sweep_interval: Duration = Duration(60)
    """Held mode: the time between two beats of a leg that holds no connection (tcp, walls,
    upstreams); such a leg that is down beats every heartbeat. A run beats all legs every
    heartbeat."""


class Sso(Table, frozen=True):
    """How to recognise the single sign-on."""

    hosts: tuple[str, ...] = ()
    """A redirect to one of these hosts is the SSO's answer."""
    login_markers: tuple[str, ...] = ()
    """Text that only the SSO's login page has; a 200 that contains one is the SSO's answer."""


class Route(Table, frozen=True, kw_only=True):
    """What every leg that dials a URL or an address shares."""

    name: str
    path: tuple[str, ...]
    """The segments it crosses, in order, each declared in `segments`."""
    resolve: Literal["system"] | None = None
    """`system` asks the machine's resolver: the default where neither pin nor doh stands."""
    pin: str | None = None
    """addr[:port] to dial instead of resolving; host name, SNI and certificate stay."""
    doh: tuple[str, ...] = ()
    """DoH providers (RFC 8484), at least two, tried in order: https URLs with an IP address."""
    tcp_ends_at: str | None = None
    """The segment at which the leg's TCP connection ends."""
    headers_present: tuple[str, ...] = ()
    """Response headers that this route always adds; one missing means the leg collapsed."""
    headers_absent: tuple[str, ...] = ()
    """Response headers that this route never has; one present means the leg collapsed."""
    vantages: tuple[str, ...] = ()
    """The vantages this leg can be run from; default: all."""


class LegFields(Route, frozen=True, kw_only=True):
    """A leg but for its kind."""

    url: str | None = None
    """Where it goes: ws:// or wss:// for ws_echo, http:// or https:// for http."""
    address: str | None = None
    """host:port of a tcp leg with one target."""
    addresses: tuple[str, ...] = ()
    """host:port of a tcp leg with several targets."""
    any_of: bool = False
    """One answering address is enough; without it a leg with k < n is degraded."""
    fallback: tuple[str, ...] = ()
    """addr[:port] to dial when no DoH provider answers, so that the leg does not need DoH."""
    query: str | None = None
    """The name a doh leg asks for; default: the host of the first ws_echo leg that uses DoH."""
    host_header: str | None = None
    """A Host to send in place of the URL's; SNI and certificate stay on the URL's."""
    expect_status: tuple[int, ...] = ()
    """Statuses that are a good beat (http); default: any 2xx or 3xx that is not the SSO."""
    refused_ok: bool = False
    """A refused connect proves that the machine answers (tcp)."""
    rtt_limit: Duration | None = None
    """A median round trip over this makes the leg degraded."""


class Leg(LegFields, frozen=True, kw_only=True):
    """One end-to-end route under test. `walloff`, `walled` and upstream legs are made from
    their own tables; all kinds share this one type once loaded."""

    kind: LegKind
    prefix: str | None = None
    """walloff: the public path prefix of the carve-out, such as `/probe`."""
    public_prefixes: tuple[str, ...] = ()
    """walled: the public prefixes from which ways out to this path are tried (filled in)."""
    route: str = ""
    """Upstream legs: Envoy's route, for the metric's label."""
    listen_port: int = 0
    """Upstream legs: the port Envoy listens on, for the metric's label."""


class Upstream(Table, frozen=True):
    """One `[[upstream]]`: becomes the leg `envoy-NAME` over its shared segments and the
    segment `upstream-NAME` of its own."""

    name: str
    address: str
    route: str = ""
    listen_port: int = 0
    shares: tuple[str, ...] = ()
    """Declared segments that it shares with others: host, rack, network."""
    refused_ok: bool = False
    vantages: tuple[str, ...] = ()


class Downtime(Table, frozen=True):
    """Planned downtime of a leg or of everything that crosses a segment."""

    until: datetime
    """With a zone; a date in the file means its end in UTC."""
    leg: str | None = None
    segment: str | None = None
    why: str = ""


class Delivery(Table, frozen=True):
    """Where results go. Secrets come from the environment or a file, never from here."""

    gateway: str | None = None
    """URL of a Prometheus Pushgateway."""
    job: str = "t3-probe"
    textfile: str | None = None
    """A file for node_exporter's textfile collector."""
    spool: str | None = None
    """A folder that keeps counts which could not be delivered."""
    heartbeat_url: str | None = None
    """Requested after each delivered run: a dead man's switch outside this Prometheus."""


class Deployment(Table, frozen=True):
    """A loaded, checked deployment: every name resolves, every leg is complete."""

    name: str
    file: str
    """The file it came from, for messages."""
    segments: tuple[str, ...]
    """Declared segments, in order."""
    legs: tuple[Leg, ...]
    """All legs: the file's, then walloff-*, walled-*, envoy-*."""
    own_segments: tuple[str, ...] = ()
    """Segments made for upstreams (`upstream-NAME`) and own path rules (`carve-out-NAME`,
    `wall-NAME`)."""
    paths: tuple[tuple[str, ...], ...] = ()
    """Real end-to-end paths, candidates for an extra leg; default: the legs' own paths."""
    timing: Timing = Timing()
    sso: Sso = Sso()
    tls_ca: str | None = None
    """A PEM file of the certificate authorities to trust; None: the system's."""
    vantage: str = ""
    downtime: tuple[Downtime, ...] = ()
    delivery: Delivery = Delivery()
    warnings: tuple[str, ...] = ()
    """Sentences about the file that are no errors, such as a stale planned downtime."""

    def leg(self, name: str) -> Leg:
        """The leg called `name`. Raises KeyError."""
        for one in self.legs:
            if one.name == name:
                return one
        raise KeyError(name)
