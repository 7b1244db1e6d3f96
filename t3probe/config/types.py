"""The deployment file as types. `load` turns a file into a `Deployment`.

Units: every duration is in seconds once loaded; in the file it is text such as `500ms`,
`10s` or `2m`.

`DeploymentFile`, `LegTable`, `Public` and `Walled` are the tables as they are written. They differ
from the loaded types where the file is shorter than what it means: `[[public]]`,
`[[walled]]` and `[[ingest]]` become legs when the file is loaded (`expand.py`). The JSON Schema for
editors is made from these types; the text under a field is its description there.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal, NamedTuple

from .delivery import Delivery
from .opinions import OpinionSource
from .table import Duration, Table

LegKind = Literal[
    "ws_echo",
    "ws",
    "ws_upgrade",
    "http",
    "doh",
    "tcp",
    "walloff",
    "walled",
    "ingest",
    "ingest_gate",
    "service",
    "stream",
    "jump",
]
RIG_KINDS = frozenset({"service", "stream", "jump"})
"""Legs of remote rigs: nothing is dialled for them, others report what they see."""


class Timing(Table, frozen=True):
    """How long things last, and how long they may take."""

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
    slow_floor: Duration = Duration(0.02)
    """A leg is slow when its median round trip exceeds its usual one by more than this, and by
    more than half of the usual one."""


class Sso(Table, frozen=True):
    """How to recognise the single sign-on."""

    hosts: tuple[str, ...] = ()
    """A redirect to one of these hosts, or to one that sends on to it, is the SSO's answer."""
    login_markers: tuple[str, ...] = ()
    """Text that only the SSO's login page has; a 2xx or 4xx with it is the SSO's answer."""


class Route(Table, frozen=True, kw_only=True):
    """What every leg that dials a URL or an address shares."""

    name: str
    """What it is called: 1 to 63 of a-z, 0-9, dots, - and _, and no other leg's name."""
    path: tuple[str, ...]
    """The segments it crosses, in order, each declared in `segments`."""
    resolve: Literal["system"] | None = None
    """`system` asks the machine's resolver: the default where neither pin nor doh stands."""
    pin: str | None = None
    """addr[:port] to dial instead of resolving; host name, SNI and certificate stay."""
    doh: tuple[str, ...] = ()
    """DoH providers (RFC 8484), tried in order: https URLs with an IP address. Name two: the
    fault of one alone looks like a fault of what all of them share."""
    tcp_ends_at: str | None = None
    """The segment at which the leg's TCP connection ends."""
    headers_present: tuple[str, ...] = ()
    """Response headers that this route always adds; one missing means the leg collapsed."""
    headers_absent: tuple[str, ...] = ()
    """Response headers that this route never has; one present means the leg collapsed."""
    trust_refusals: bool | None = None
    """Whether a refused connect is the far machine's own answer; default: the file's."""
    vantages: tuple[str, ...] = ()
    """The vantages this leg can be run from; default: all."""


class Keyed(Route, frozen=True, kw_only=True):
    """What a route may show to be let in: files, relative to this one, read anew for every
    connection and every request. They go to the URL's own host alone, over verified TLS, and along
    no redirect. Without one that can be read the leg is inconclusive."""

    headers_file: str | None = None
    """A file of request headers, `Name: value` a line."""
    bearer_file: str | None = None
    """A file that holds a bearer token (`Authorization: Bearer`)."""
    basic_file: str | None = None
    """A file that holds `user:password` (`Authorization: Basic`)."""
    access_id_file: str | None = None
    """A file that holds the client id of a Cloudflare Access service token ..."""
    access_secret_file: str | None = None
    """... and one that holds its secret."""
    tls_cert: str | None = None
    """A PEM file of the client certificate, those that signed it behind it."""
    tls_key: str | None = None
    """A PEM file of its key, without a passphrase; default: it stands in `tls_cert`, too."""


class LegFields(Keyed, frozen=True, kw_only=True):
    """A leg but for its kind."""

    url: str | None = None
    """Where it goes: ws:// or wss:// for ws_echo and ws, http:// or https:// for http."""
    address: str | None = None
    """host:port of a tcp leg with one target."""
    addresses: tuple[str, ...] = ()
    """host:port of a tcp leg with several targets."""
    any_of: bool = False
    """One answering address is enough; without it a leg with k < n is degraded."""
    fallback: tuple[str, ...] = ()
    """addr[:port] to dial when no DoH provider gives an address, so that the leg does not need DoH;
    not when all of them answer that the name has none."""
    query: str | None = None
    """The name a doh leg asks for; default: the host of the first ws_echo leg that uses DoH."""
    host_header: str | None = None
    """A Host to send in place of the URL's; SNI and certificate stay on the URL's."""
    expect_status: tuple[int, ...] = ()
    """Statuses that are a good beat (http); default: any 2xx or 3xx that is not the SSO."""
    refused_ok: bool = False
    """It asks for the machine only: a refused connect is a good beat (tcp, http)."""
    fresh_every: int = 1
    """Beside its held connection it makes a fresh one every so many heartbeats; 0: only where it
    must, and then it can only tell about connections that were cut."""
    idle: Duration | None = None
    """Beside its held connection it holds one more that says nothing for so long, and then asks
    once: what becomes of it tells a limit on silence from one on age. It must be longer than the
    heartbeat; a run asks at the end of its hold at the latest."""
    rtt_limit: Duration | None = None
    """A median round trip over this makes the leg degraded."""
    origin: str | None = None
    """The Origin of the page that opens the WebSocket (ws), such as `https://app.example.org`."""
    subprotocol: str | None = None
    """The subprotocol that a ws leg asks for, and that the server must take."""
    send: str | None = None
    """What a ws leg sends at each beat, as text; `{nonce}` in it becomes 32 random hex digits."""
    expect: str | None = None
    """What must come back: text that a message is, with `*` for any text in it; or a JSON object or
    array that a message holds, with `*` in its texts. `{nonce}` in it is the one that was sent:
    only so nobody else's news is taken for the answer."""
    ping: bool = False
    """A ws leg beats by pings alone; without it and `send` it only asks for the upgrade."""


class Ingest(Route, frozen=True, kw_only=True):
    """One `[[ingest]]`: a place that takes data from whoever has its token, and from nobody else.
    Becomes the leg `ingest-NAME`, which sends an empty request with the token, and the leg
    `ingest-NAME-gate`, which looks whether the gate is closed."""

    url: str
    """Where data is sent: https:// alone, since the token goes there. No user and no query."""
    kind: Literal["remote_write", "otlp"]
    """remote_write: Prometheus remote write; otlp: OTLP over HTTP with protobuf."""
    gate: str | None = None
    """The segment of the path that asks for the token; default: the last but one. What lies behind
    it is the receiver."""
    token_file: str | None = None
    """A file that holds the token, relative to this file, read anew for every beat; or
    T3PROBE_INGEST_NAME_TOKEN, or a file named by T3PROBE_INGEST_NAME_TOKEN_FILE."""
    refused: tuple[str, ...] = ()
    """Paths that must be closed with the right token, too. They are asked by GET without a query,
    so name none that does something when it is asked so; default: those of the usual receivers
    of its kind for reading, other ways in and administration."""
    health: str | None = None
    """A path that is to answer with the token, and not without."""
    plain_port: int | None = None
    """The port at which plain http must not be served; default: 80 where the URL's is 443, else
    none is asked. 0: none."""
    deep_every: Duration = Duration(3600)
    """How often a wrong token is tried, counted by when runs start: rarely, since a ban follows
    where wrong tokens are many."""
    stranger_status: tuple[int, ...] = (401, 403)
    """The statuses that refuse a request without a token."""
    wrong_status: tuple[int, ...] = (400, 401, 403)
    """The statuses that refuse one with a wrong token."""
    accept_status: tuple[int, ...] = (200, 204)
    """The statuses that accept an empty request with the right token."""
    closed_status: tuple[int, ...] = (400, 401, 403, 404)
    """The statuses of a closed path."""


class Experiments(Table, frozen=True, kw_only=True):
    """`[experiments]`: the rigs of a remote laboratory, as its booking system names them. A rig
    sends streams through a relay, and keeps a log-in channel at a jump server. Tokens are made with
    T3PROBE_RELAY_SECRET, _JUMP_SECRET and _BOOK_SECRET, each also with _FILE
    (`pip install 't3probe[experiments]'`)."""

    relay: str
    """The relay's base URL, http:// or https://, as the relay itself knows it, path and all:
    `https://app.example.org/tenant/relay`. It is the audience of the tokens."""
    jump: str
    """The same of the jump server."""
    book: str
    """The same of the booking system, without `/api/v1`."""
    active: Duration = Duration(10)
    """A stream must have sent something within this time before the report."""
    reported: Duration = Duration(30)
    """What was reported longer ago says nothing; a run listens for so long at most."""
    startup: Duration = Duration(60)
    """Held mode: a rig that is known for a shorter time makes no events, and nothing is written
    about it."""
    settle: Duration = Duration(20)
    """Held mode: a change must last so long to be one."""
    query_book: Duration = Duration(900)
    """Held mode: how often book is asked for its rigs and their availability."""
    manage: bool = False
    """Held mode: whether book is told which rigs are available."""
    max_unavailable: str = "1/3"
    """Held mode: no more rigs than this are unavailable by us, a share or a number; beyond it there
    is an alert."""
    only: tuple[str, ...] = ()
    """Which rigs, by the names of their topics, with `*` and `?`; default: all."""


class UpstreamPlace(Table, frozen=True, kw_only=True):
    """Where one source found an upstream: behind this route, at this port of Envoy's."""

    source: str
    route: str
    """Envoy's cluster, or the route of a JSON API: the metrics' label."""
    listen_port: int = 0
    """The port Envoy listens on; 0: not known."""
    weight: int | None = None
    """Of the cluster among those the route chooses from; 0: it is sent nothing."""
    words: tuple[str, ...] = ()
    """More names it can be asked for by: listener, virtual host, route, SNI."""


class Leg(LegFields, frozen=True, kw_only=True):
    """One end-to-end route under test. `walloff`, `walled`, `ingest` and upstream legs are made
    from their own tables; all kinds share this one type once loaded."""

    kind: LegKind
    served_with: bool = False
    """walled: with its credential the path must be served."""
    prefix: str | None = None
    """walloff: the public path prefix of the carve-out, such as `/probe`."""
    public_prefixes: tuple[str, ...] = ()
    """walled: the public prefixes from which ways out to this path are tried (filled in)."""
    ingest: Ingest | None = None
    """ingest, ingest_gate: the table they are made of, its defaults filled in."""
    experiment: str = ""
    """stream, jump: the rig."""
    stream: str = ""
    """stream: its name."""
    required: bool = True
    """stream: the rig cannot be used without it."""
    upstream: bool = False
    """It is one of Envoy's upstreams, of the file or found by a source."""
    route: str = ""
    """Upstream legs: Envoy's route, for the metric's label."""
    listen_port: int = 0
    """Upstream legs: the port Envoy listens on, for the metric's label."""
    backend: str = ""
    """Upstream legs: the metrics' label; empty: the name in the file."""
    places: tuple[UpstreamPlace, ...] = ()
    """Upstream legs: where sources found this address. It is probed once for all of them."""
    hostless: str = ""
    """Upstream legs: a source's sentence about a route without a host. There is nothing to dial,
    and the leg fails."""

    @property
    def of_many(self) -> bool:
        """Whether it is one of hundreds: an upstream, a rig's stream or log-in channel."""
        return self.upstream or self.kind in ("stream", "jump")


class Upstream(Table, frozen=True):
    """One `[[upstream]]`: becomes the leg `envoy-NAME` over its shared segments and the
    segment `upstream-NAME` of its own."""

    name: str
    """Made of the same characters as a leg's name."""
    address: str
    """host:port to connect to."""
    route: str = ""
    """Envoy's route or cluster, for the metrics' label."""
    listen_port: int = 0
    """The port Envoy listens on, for the metrics' label."""
    shares: tuple[str, ...] = ()
    """Declared segments that it shares with others: host, rack, network."""
    refused_ok: bool = False
    """A refused connect proves that the machine answers."""
    vantages: tuple[str, ...] = ()
    """The vantages it can be connected to from; default: all."""


class UpstreamSource(Table, frozen=True, kw_only=True):
    """One `[[upstream_source]]`: names upstreams by itself. Each becomes a leg
    `envoy-ROUTE-PORT-BACKEND`; whether it could be read is the check `source-NAME`."""

    name: str
    """Made of the same characters as a leg's name."""
    kind: Literal["envoy", "nodes"]
    """envoy: an Envoy's admin interface; nodes: a JSON API of nodes and their routes."""
    url: str
    """http:// or https://; of an admin interface the base, of a JSON API what to request. A
    login comes from T3PROBE_SOURCE_NAME_TOKEN, or _USER and _PASSWORD."""
    node: str | None = None
    """nodes: the id of the node whose routes are probed; without it the source is skipped."""
    shares: tuple[str, ...] = ()
    """Declared segments that all its upstreams share: network, rack."""
    optional: bool = False
    """When it cannot be read, that is a warning and not an inconclusive check."""
    vantages: tuple[str, ...] = ()
    """The vantages it is read from; default: all."""


class UpstreamShare(Table, frozen=True, kw_only=True):
    """One `[[upstream_share]]`: upstreams on these hosts cross this segment, too."""

    segment: str
    """A declared segment: the rack, the switch, the network."""
    hosts: tuple[str, ...]
    """Networks such as `10.0.0.0/24`, addresses, and host names with `*` and `?`."""


class Downtime(Table, frozen=True):
    """Planned downtime of a leg or of everything that crosses a segment."""

    until: datetime
    """With a zone; a date in the file means its end in UTC."""
    leg: str | None = None
    """The leg that is down; either this or `segment`."""
    segment: str | None = None
    """The segment that is down, and with it every leg that crosses it."""
    why: str = ""
    """Shown beside the legs that it concerns."""


class SweepLimits(Table, frozen=True):
    """How many upstreams at once are connected to, when they are many."""

    pace: Literal["bounded", "sequential"] = "bounded"
    """bounded: `at_once` connects; sequential: one at a time, for a small machine. One that is
    not answered within a quarter of a second waits aside, so that it holds up no other."""
    at_once: int = 64
    """With the pace `bounded`: from 1 to 1024."""


class Deployment(Table, frozen=True):
    """A loaded, checked deployment: every name resolves, every leg is complete."""

    name: str
    file: str
    """The file it came from, for messages."""
    segments: tuple[str, ...]
    """Declared segments, in order."""
    legs: tuple[Leg, ...]
    """All legs: the file's, then walloff-*, walled-*, ingest-*, envoy-*."""
    own_segments: tuple[str, ...] = ()
    """Segments made for upstreams (`upstream-NAME`) and own path rules (`carve-out-NAME`,
    `wall-NAME`)."""
    paths: tuple[tuple[str, ...], ...] = ()
    """Real end-to-end paths, candidates for an extra leg; default: the legs' own paths."""
    spread: tuple[str, ...] = ()
    """Segments that are several machines, of which one may be broken."""
    local: tuple[str, ...] = ()
    """Segments that each vantage has for itself."""
    marks: dict[str, str] = {}
    """Response header, in lower case, to the segment that adds it."""
    gloss: dict[str, str] = {}
    """What to add wherever a segment is named."""
    timing: Timing = Timing()
    sso: Sso = Sso()
    tls_ca: str | None = None
    """A PEM file of the certificate authorities to trust; None: the system's."""
    vantage: str = ""
    downtime: tuple[Downtime, ...] = ()
    delivery: Delivery = Delivery()
    sweep: SweepLimits = SweepLimits()
    upstream_source: tuple[UpstreamSource, ...] = ()
    upstream_share: tuple[UpstreamShare, ...] = ()
    trust_refusals: bool = True
    """Of upstreams that are found; those of the file have it from there."""
    opinion: tuple[OpinionSource, ...] = ()
    experiments: Experiments | None = None
    warnings: tuple[str, ...] = ()
    """Sentences about the file that are no errors, such as a stale planned downtime."""

    def leg(self, name: str) -> Leg:
        """The leg called `name`. Raises KeyError."""
        for one in self.legs:
            if one.name == name:
                return one
        raise KeyError(name)


NAME_PATTERN = r"[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?"
"""Names of deployments, segments, legs and vantages: 1 to 63 characters that are safe in a
metric label, a file name, an environment variable and a pytest id."""

FileKind = Literal["ws_echo", "ws", "http", "doh", "tcp"]


class LegTable(LegFields, frozen=True, kw_only=True):
    """One `[[leg]]`: an end-to-end route under test."""

    kind: FileKind
    """ws_echo: WebSocket echo; ws: a WebSocket that does not echo; http: GET on a kept-alive
    connection; doh: DNS over HTTPS; tcp: connect only."""


class Public(Route, frozen=True, kw_only=True):
    """One `[[public]]`: a path that must not be sent to the SSO. Becomes the leg
    `walloff-NAME`."""

    url: str
    """A URL under the public path: http:// or https://."""
    prefix: str | None = None
    """The public path prefix of the rule, such as `/probe`; default: the URL's path."""
    expect_status: tuple[int, ...] = ()
    """The statuses that it must answer: others fail the leg. Without them only the SSO's answer
    does, 5xx says nothing, and a 3xx or 4xx clears nothing behind `tcp_ends_at` but by its
    marks."""
    own_rule: bool = False
    """It has a rule of its own: `carve-out` in its path becomes the segment
    `carve-out-NAME`."""


class Walled(Keyed, frozen=True, kw_only=True):
    """One `[[walled]]`: a path that must never be served without a session. Becomes the leg
    `walled-NAME`, which also tries the ways out of every public prefix on the same host."""

    url: str
    """A URL behind the SSO: http:// or https://."""
    own_rule: bool = False
    """It has a rule of its own: `wall` in its path becomes the segment `wall-NAME`."""
    served_with: bool = False
    """It is asked once more with a credential, and must be served then. Without a session it must
    be refused all the same."""


class DeploymentFile(Table, frozen=True):
    """A t3probe deployment: what is on the path, and how to probe it."""

    name: str
    """What the deployment is called, in summaries and records."""
    segments: tuple[str, ...]
    """The parts of the path that can break by themselves, in order."""
    paths: tuple[tuple[str, ...], ...] = ()
    """Real end-to-end paths, candidates for an extra leg; default: the legs' own paths."""
    tls_ca: str | None = None
    """A PEM file of the certificate authorities to trust, relative to this file; default: the
    system's."""
    vantage: str = ""
    """Where the suite runs from; usually set by T3PROBE_VANTAGE."""
    spread: tuple[str, ...] = ()
    """Segments that are several machines, of which one may be broken: no connection of another
    leg clears them, since it may have met another machine; the failing leg's own answers do."""
    local: tuple[str, ...] = ()
    """Segments that each vantage has for itself, such as its way out: in a verdict of several
    vantages they are one for each, and all others are shared."""
    trust_refusals: bool = True
    """Whether a refused connect is the far machine's own answer; false where addresses are no
    machines, such as those of Kubernetes Services."""
    marks: dict[str, str] = {}
    """Response headers that only one segment adds, or what lies behind it: header = segment."""
    gloss: dict[str, str] = {}
    """What to add wherever a segment is named: segment = words."""
    timing: Timing = Timing()
    sso: Sso = Sso()
    leg: tuple[LegTable, ...] = ()
    public: tuple[Public, ...] = ()
    walled: tuple[Walled, ...] = ()
    ingest: tuple[Ingest, ...] = ()
    upstream: tuple[Upstream, ...] = ()
    upstream_source: tuple[UpstreamSource, ...] = ()
    upstream_share: tuple[UpstreamShare, ...] = ()
    opinion: tuple[OpinionSource, ...] = ()
    experiments: Experiments | None = None
    downtime: tuple[Downtime, ...] = ()
    delivery: Delivery = Delivery()
    sweep: SweepLimits = SweepLimits()
    lab: dict[str, Any] = {}
    """Free form, for the lab; the loader does not look at it."""


class KindRule(NamedTuple):
    """Which keys a leg of one kind takes, beside those that every leg takes."""

    needs: tuple[str, ...]
    takes: tuple[str, ...]
    schemes: tuple[str, ...] = ()
    """The URL schemes it can speak."""


_DIALLED = (
    *("resolve", "pin", "doh", "fallback", "headers_present", "headers_absent", "host_header"),
    "fresh_every",
)

CREDENTIALS = (
    *("headers_file", "bearer_file", "basic_file", "access_id_file", "access_secret_file"),
    *("tls_cert", "tls_key"),
)
"""The keys of `Keyed`."""

KIND_RULES: dict[str, KindRule] = {
    "ws_echo": KindRule(("url",), (*_DIALLED, "idle", *CREDENTIALS), ("ws", "wss")),
    "ws": KindRule(
        ("url",),
        (*_DIALLED, "idle", "origin", "subprotocol", "send", "expect", "ping", *CREDENTIALS),
        ("ws", "wss"),
    ),
    "http": KindRule(
        ("url",),
        (*_DIALLED, "idle", "expect_status", "refused_ok", *CREDENTIALS),
        ("http", "https"),
    ),
    "doh": KindRule(("doh",), ("query", "fresh_every")),
    "tcp": KindRule((), ("address", "addresses", "any_of", "refused_ok")),
}
"""A tcp leg also needs exactly one of `address` and `addresses`."""

EVERY_LEG = (*("name", "kind", "path", "tcp_ends_at", "rtt_limit", "trust_refusals", "vantages"),)
"""The keys that every kind of leg takes."""
