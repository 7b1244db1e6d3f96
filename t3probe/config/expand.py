"""What a deployment file leaves unsaid, filled in: the legs of `[[public]]`, `[[walled]]`,
`[[ingest]]` and `[[upstream]]`, the segments of their own, and defaults that depend on others.

Pure, and only for files that passed `check.py`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from t3probe.text.names import (
    CARVE_OUT_SEGMENT,
    INGEST_LEG,
    PUBLIC_LEG,
    SOURCE_LEG,
    UPSTREAM_LEG,
    UPSTREAM_SEGMENT,
    WALL_SEGMENT,
    WALLED_LEG,
)

from .dialled import Ends, Shares, far_ends
from .endpoints import is_address, parse_address, parse_url, plain_host
from .errors import ConfigFile, KeyPath
from .table import Duration
from .types import (
    CREDENTIALS,
    DeploymentFile,
    Ingest,
    Leg,
    LegTable,
    Public,
    Route,
    Timing,
    Upstream,
    Walled,
)


class Origin(NamedTuple):
    """A name that the file makes, and the key it comes from."""

    name: str
    path: KeyPath


def leg_names(file: DeploymentFile) -> list[Origin]:
    """The names of all legs and source checks, in order, with where they come from."""
    return [
        *(Origin(one.name, ("leg", i)) for i, one in enumerate(file.leg)),
        *(Origin(f"{PUBLIC_LEG}{one.name}", ("public", i)) for i, one in enumerate(file.public)),
        *(Origin(f"{WALLED_LEG}{one.name}", ("walled", i)) for i, one in enumerate(file.walled)),
        *(
            Origin(f"{INGEST_LEG}{one.name}{end}", ("ingest", i))
            for i, one in enumerate(file.ingest)
            for end in ("", "-gate")
        ),
        *(
            Origin(f"{UPSTREAM_LEG}{one.name}", ("upstream", i))
            for i, one in enumerate(file.upstream)
        ),
        *(
            Origin(f"{SOURCE_LEG}{one.name}", ("upstream_source", i))
            for i, one in enumerate(file.upstream_source)
        ),
    ]


def own_segments(file: DeploymentFile) -> list[Origin]:
    """The segments that tables make for themselves, in order, with where they come from. That of
    an upstream does not exist where the upstream takes a leg's path."""
    return [
        *(
            Origin(f"{CARVE_OUT_SEGMENT}{one.name}", ("public", i))
            for i, one in enumerate(file.public)
            if one.own_rule
        ),
        *(
            Origin(f"{WALL_SEGMENT}{one.name}", ("walled", i))
            for i, one in enumerate(file.walled)
            if one.own_rule
        ),
        *(
            Origin(f"{UPSTREAM_SEGMENT}{one.name}", ("upstream", i))
            for i, one in enumerate(file.upstream)
        ),
    ]


def expand(file: DeploymentFile) -> tuple[Leg, ...]:
    """All legs: the file's, then walloff-*, walled-*, ingest-*, envoy-*."""
    query = default_query(file)
    prefixes = _public_prefixes(file)
    shares = Shares(file.upstream_share)
    legs = (
        *(_trusting(_leg(one, query), file) for one in file.leg),
        *(_trusting(_walloff(one), file) for one in file.public),
        *(_trusting(_walled(one, prefixes), file) for one in file.walled),
        *(_trusting(leg, file) for one in file.ingest for leg in _ingest(one)),
    )
    ends = far_ends(legs) if file.upstream else {}
    return (*legs, *(_trusting(_envoy(one, shares, ends), file) for one in file.upstream))


def _trusting(leg: Leg, file: DeploymentFile) -> Leg:
    if leg.trust_refusals is None and not file.trust_refusals:
        return msgspec.structs.replace(leg, trust_refusals=False)
    return leg


def default_query(file: DeploymentFile) -> str | None:
    """The name that a doh leg asks for: the host of the first ws_echo leg that uses DoH."""
    for one in file.leg:
        if one.kind == "ws_echo" and one.doh and one.url:
            host = parse_url(one.url, ("ws", "wss")).host
            if not is_address(host):
                return host
    return None


def default_paths(legs: tuple[Leg, ...]) -> tuple[tuple[str, ...], ...]:
    """The legs' own paths, each once. Those of upstreams are left out: beside its own
    segment an upstream has only what others share, and nothing between to probe."""
    return tuple(dict.fromkeys(leg.path for leg in legs if not leg.upstream))


def settle_timing(timing: Timing, source: ConfigFile) -> Timing:
    """Defaults give way to values that the file states: a shorter watchdog shortens the
    connect timeout, a longer back-off lengthens its bound, a longer heartbeat the interval of
    sweeps."""
    changes: dict[str, Duration] = {}
    if not source.stated(("timing", "connect_timeout")):
        changes["connect_timeout"] = min(timing.connect_timeout, timing.watchdog)
    if not source.stated(("timing", "backoff_max")):
        changes["backoff_max"] = max(timing.backoff_max, timing.backoff)
    if not source.stated(("timing", "sweep_interval")):
        changes["sweep_interval"] = max(timing.sweep_interval, timing.heartbeat)
    return msgspec.structs.replace(timing, **changes)


def _leg(table: LegTable, query: str | None) -> Leg:
    values = {name: getattr(table, name) for name in table.__struct_fields__}
    if table.kind == "doh" and table.query is None:
        values["query"] = query
    if table.kind == "ws" and table.send is None and not table.ping:
        values["kind"] = "ws_upgrade"
    return Leg(**values)


def _walloff(table: Public) -> Leg:
    same = _dialled_as(table, "walloff", PUBLIC_LEG, "carve-out")
    return Leg(**same, prefix=public_prefix(table), expect_status=table.expect_status)


def _walled(table: Walled, prefixes: dict[str, tuple[str, ...]]) -> Leg:
    same = _dialled_as(table, "walled", WALLED_LEG, "wall")
    with_it = {key: getattr(table, key) for key in (*CREDENTIALS, "served_with")}
    return Leg(**same, **with_it, public_prefixes=prefixes.get(_host(table), ()))


def _dialled_as(table: Public | Walled, kind: str, prefix: str, rule: str) -> dict[str, Any]:
    """What the leg of a path has from its table."""
    same = {field.name: getattr(table, field.name) for field in msgspec.structs.fields(Route)}
    return {
        **same,
        "name": f"{prefix}{table.name}",
        "kind": kind,
        "path": _own_rule(table, rule),
        "tcp_ends_at": _own_end(table, rule),
        "url": table.url,
    }


REFUSED = {
    "remote_write": (
        *("/", "/metrics", "/api/v1/query", "/api/v1/series", "/api/v1/export", "/federate"),
        *("/api/v1/import/prometheus", "/api/v1/admin/tsdb/delete_series"),
    ),
    "otlp": ("/", "/metrics", "/api/services", "/api/traces", "/api/search", "/api/echo"),
}
"""Paths of usual receivers that have no effect when they are asked by GET without a query."""


def _ingest(table: Ingest) -> tuple[Leg, Leg]:
    gate = table.gate or table.path[-2]
    url = parse_url(table.url, ("https",))
    plain = 80 if table.plain_port is None and url.port == 443 else table.plain_port
    table = msgspec.structs.replace(
        table,
        gate=gate,
        refused=tuple(one for one in table.refused or REFUSED[table.kind] if one != url.path),
        plain_port=plain or 0,
    )
    whole = Leg(
        name=f"{INGEST_LEG}{table.name}",
        kind="ingest",
        path=table.path,
        url=table.url,
        resolve=table.resolve,
        pin=table.pin,
        doh=table.doh,
        tcp_ends_at=table.tcp_ends_at,
        headers_present=table.headers_present,
        headers_absent=table.headers_absent,
        trust_refusals=table.trust_refusals,
        vantages=table.vantages,
        ingest=table,
    )
    front = table.path[: table.path.index(gate) + 1]
    return whole, msgspec.structs.replace(
        whole, name=f"{whole.name}-gate", kind="ingest_gate", path=front
    )


def _envoy(table: Upstream, shares: Shares, ends: Ends) -> Leg:
    own = f"{UPSTREAM_SEGMENT}{table.name}"
    host, port = parse_address(table.address)
    same = ends.get((plain_host(host), port))
    return Leg(
        name=f"{UPSTREAM_LEG}{table.name}",
        kind="tcp",
        path=tuple(
            dict.fromkeys(
                (*table.shares, *shares.of(host), *((own,) if same is None else same.path))
            )
        ),
        address=table.address,
        tcp_ends_at=own if same is None else same.tcp_ends_at,
        refused_ok=table.refused_ok,
        trust_refusals=None if same is None else same.trust_refusals,
        vantages=table.vantages,
        route=table.route,
        listen_port=table.listen_port,
        upstream=True,
    )


def public_prefix(table: Public) -> str | None:
    """The prefix as stated, or the URL's path. None for `/`: there is no way out of it."""
    if table.prefix is not None:
        return table.prefix
    path = parse_url(table.url, ("http", "https")).path
    return None if path == "/" else path


def _public_prefixes(file: DeploymentFile) -> dict[str, tuple[str, ...]]:
    """Host → the public prefixes on it, each once."""
    found: dict[str, dict[str, None]] = {}
    for table in file.public:
        prefix = public_prefix(table)
        if prefix is not None:
            found.setdefault(_host(table), {})[prefix] = None
    return {host: tuple(prefixes) for host, prefixes in found.items()}


def _host(table: Public | Walled) -> str:
    return parse_url(table.url, ("http", "https")).host


def _own_rule(table: Public | Walled, rule: str) -> tuple[str, ...]:
    own = f"{rule}-{table.name}"
    return tuple(own if table.own_rule and one == rule else one for one in table.path)


def _own_end(table: Public | Walled, rule: str) -> str | None:
    return (
        f"{rule}-{table.name}"
        if table.own_rule and table.tcp_ends_at == rule
        else table.tcp_ends_at
    )
