"""The parts of Envoy's `/config_dump` that lead from a listener to a host. Pure.

Every entry of the answer is decoded by itself, so that one of a form nobody foresaw costs no
other: it is noted. Envoy writes protobuf's JSON with the proto's own field names and leaves
default values out. Source: envoy.admin.v3, envoy.config.{listener,route,cluster,endpoint}.v3.
"""

from __future__ import annotations

import re
from typing import TypeVar

import msgspec
from msgspec import Raw, Struct

from t3probe.upstreams.sources import Body, Notes, SourceError

__all__ = [
    "Address",
    "Cluster",
    "Endpoint",
    "EnvoyConfig",
    "FilterChain",
    "Listener",
    "Locality",
    "RouteConfig",
    "Typed",
    "WeightedCluster",
    "decoded",
    "endpoints_of",
    "place_of",
    "read_config",
    "unwrapped",
]

UNREADABLE = "{} of a form that is not known"


class Typed(Struct):
    """Anything that says what it is."""

    type_url: str = msgspec.field(name="@type", default="")

    @property
    def message(self) -> str:
        """The message's name without its package."""
        return self.type_url.rpartition(".")[2]


class Wrapped(Typed):
    """A TypedStruct (xds.type.v3, udpa.type.v1) names the message that it holds."""

    inside: str = msgspec.field(name="type_url", default="")
    value: Raw = Raw()


class SocketAddress(Struct):
    protocol: str = ""
    address: str = ""
    port_value: int = 0
    named_port: str = ""


class Address(Struct):
    """Exactly one of these is there."""

    socket_address: SocketAddress | None = None
    pipe: dict[str, object] | None = None
    envoy_internal_address: dict[str, object] | None = None


class ChainMatch(Struct):
    server_names: list[str] = []


class Filter(Struct):
    name: str = ""
    typed_config: Raw = Raw()
    config_discovery: Raw = Raw()
    """Where Envoy asks for it apart (ECDS)."""


class FilterChain(Struct):
    name: str = ""
    filter_chain_match: ChainMatch | None = None
    filters: list[Filter] = []


class Listener(Struct):
    name: str = ""
    address: Address | None = None
    filter_chains: list[Raw] = []
    default_filter_chain: Raw = Raw()
    udp_listener_config: Raw = Raw()


class WeightedCluster(Struct):
    name: str = ""
    cluster_header: str = ""
    weight: int | None = None


class RouteConfig(Struct):
    name: str = ""
    virtual_hosts: list[Raw] = []
    vhds: Raw = Raw()
    """Virtual hosts come when a request asks for them."""


class HostNamed(Struct):
    address: Address | None = None
    hostname: str = ""


class LbEndpoint(Struct):
    endpoint: HostNamed | None = None
    health_status: str = ""
    load_balancing_weight: int | None = None


class Locality(Struct):
    region: str = ""
    zone: str = ""
    sub_zone: str = ""

    def words(self) -> tuple[str, ...]:
        return self.region, self.zone, self.sub_zone


class LocalityEndpoints(Struct):
    locality: Locality | None = None
    lb_endpoints: list[LbEndpoint] = []
    priority: int = 0


class AssignmentName(Struct):
    cluster_name: str = ""


class LoadAssignment(Struct):
    endpoints: list[LocalityEndpoints] = []


class ClusterType(Struct):
    name: str = ""
    typed_config: Raw = Raw()


class EdsConfig(Struct):
    service_name: str = ""


class Percent(Struct):
    value: float = 0.0


class LbConfig(Struct):
    healthy_panic_threshold: Percent | None = None


class Cluster(Struct):
    name: str = ""
    type: str = "STATIC"
    cluster_type: ClusterType | None = None
    load_assignment: Raw = Raw()
    """Read when it is asked for: most endpoints are known from /clusters."""
    eds_cluster_config: EdsConfig | None = None
    common_lb_config: LbConfig | None = None
    transport_socket: Raw = Raw()
    typed_extension_protocol_options: Raw = Raw()

    @property
    def kind(self) -> str:
        """`named`: by host name; `none`: no endpoints of its own; `aggregate`; else `listed`."""
        name = (self.cluster_type.name if self.cluster_type is not None else self.type).lower()
        if "aggregate" in name:
            return "aggregate"
        if "original_dst" in name or "forward_proxy" in name:
            return "none"
        return "named" if "dns" in name else "listed"

    @property
    def owns_hosts(self) -> bool:
        """Whether it is of a kind that is of no use without hosts. Of an extension nobody knows."""
        name = self.cluster_type.name.lower() if self.cluster_type is not None else ""
        known = not name or any(one in name for one in ("dns", "redis", "eds", "static"))
        return known and self.kind in {"named", "listed"}

    @property
    def panics(self) -> bool:
        """Whether it sends to all of its hosts when Envoy believes in none (by default it does)."""
        lb = self.common_lb_config
        limit = lb.healthy_panic_threshold if lb is not None else None
        return limit is None or limit.value > 0

    @property
    def udp_only(self) -> bool:
        """Whether it takes HTTP/3 and nothing else; one with `auto_config` falls back to TCP."""
        quic = b"quic" in bytes(self.transport_socket).lower()
        return quic and b"auto_config" not in bytes(self.typed_extension_protocol_options)


class Endpoint(Struct, frozen=True):
    """One endpoint as the configuration names it."""

    host: str
    port: int
    locality: tuple[str, ...] = ()
    weight: int | None = None
    health_status: str = ""
    what: str = ""
    """What it is when it has no host and port."""


class EnvoyConfig(Struct):
    """What a configuration holds, by name."""

    listeners: list[Listener] = []
    routes: dict[str, RouteConfig] = {}
    clusters: dict[str, Cluster] = {}
    assignments: dict[str, Raw] = {}
    """EDS by cluster or service name, not read yet either."""
    warming: set[str] = set()
    """Clusters that Envoy has heard of and does not use yet."""
    idle: list[str] = []
    """Listeners that only warm up or drain."""
    all_clusters: bool = True
    """False when one could not be read, whose name nobody knows then."""


class Dump(Struct):
    configs: list[Raw]


class Section(Typed):
    """Any of the dump's sections: what a section does not have stays empty."""

    static_listeners: list[Raw] = []
    dynamic_listeners: list[Raw] = []
    static_clusters: list[Raw] = []
    dynamic_active_clusters: list[Raw] = []
    dynamic_warming_clusters: list[Raw] = []
    static_route_configs: list[Raw] = []
    dynamic_route_configs: list[Raw] = []
    static_endpoint_configs: list[Raw] = []
    dynamic_endpoint_configs: list[Raw] = []


class ActiveState(Struct):
    listener: Listener | None = None


class ListenerEntry(Struct):
    name: str = ""
    listener: Listener | None = None
    active_state: ActiveState | None = None


class ClusterEntry(Struct):
    cluster: Cluster | None = None


class RouteEntry(Struct):
    route_config: RouteConfig | None = None


class EndpointEntry(Struct):
    endpoint_config: Raw = Raw()


T = TypeVar("T")
_SECTIONS = {"ListenersConfigDump", "ClustersConfigDump", "RoutesConfigDump", "EndpointsConfigDump"}
_CAPITAL = re.compile(r"(?<=[a-z0-9])([A-Z])")
_DECODE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def decoded(raw: Raw | Body, form: type[T], what: str, notes: Notes) -> T | None:
    """`raw` as `form`; None, and a note about a `what`, when it is something else."""
    try:
        # Protobuf's JSON may write a 64-bit number as text.
        return msgspec.json.decode(raw, type=form, strict=False)
    except _DECODE:
        notes.add(UNREADABLE.format(what))
        return None


def unwrapped(raw: Raw, what: str, notes: Notes) -> tuple[str, Raw]:
    """The name of a typed message, without its package, and the message; a TypedStruct is opened.

    An empty name, and a note about `what`, when it is something else.
    """
    head = decoded(raw, Wrapped, what, notes)
    if head is None:
        return "", raw
    if head.message != "TypedStruct":
        return head.message, raw
    try:
        # What stands in one is written as the control plane wrote it: often in camel case.
        inner = msgspec.json.encode(_snake(msgspec.json.decode(head.value)))
    except _DECODE:
        notes.add(UNREADABLE.format(what))
        return "", raw
    return head.inside.rpartition("/")[2].rpartition(".")[2], Raw(inner)


def _snake(value: object) -> object:
    if isinstance(value, dict):
        return {_CAPITAL.sub(r"_\1", key).lower(): _snake(one) for key, one in value.items()}
    return [_snake(one) for one in value] if isinstance(value, list) else value


def read_config(body: Body, notes: Notes) -> EnvoyConfig:
    """The answer to `/config_dump`. Raises SourceError when it is no such answer at all."""
    try:
        dump = msgspec.json.decode(body, type=Dump)
    except _DECODE:
        raise SourceError("answers /config_dump with something that is no configuration") from None
    config = EnvoyConfig()
    seen = False
    for raw in dump.configs:
        head = decoded(raw, Typed, "sections", notes)
        if head is None or head.message not in _SECTIONS:
            continue
        section = decoded(raw, Section, "sections", notes)
        if section is not None:
            seen = True
            _read_section(section, config, notes)
    if not seen:
        raise SourceError("answers /config_dump without listeners and clusters")
    return config


def _read_section(section: Section, config: EnvoyConfig, notes: Notes) -> None:
    for raw in (*section.static_listeners, *section.dynamic_listeners):
        entry = decoded(raw, ListenerEntry, "listeners", notes)
        if entry is not None:
            # A dynamic one that is only warming or draining takes no connections.
            active = entry.active_state.listener if entry.active_state is not None else None
            listener = entry.listener or active
            if listener is not None:
                config.listeners.append(listener)
            else:
                config.idle.append(entry.name)
    for raw in (*section.static_clusters, *section.dynamic_active_clusters):
        cluster = decoded(raw, ClusterEntry, "clusters", notes)
        if cluster is not None and cluster.cluster is not None:
            config.clusters[cluster.cluster.name] = cluster.cluster
        else:
            config.all_clusters = False
    for raw in section.dynamic_warming_clusters:
        cluster = decoded(raw, ClusterEntry, "clusters", notes)
        if cluster is not None and cluster.cluster is not None:
            config.warming.add(cluster.cluster.name)
    for raw in (*section.static_route_configs, *section.dynamic_route_configs):
        route = decoded(raw, RouteEntry, "route configurations", notes)
        if route is not None and route.route_config is not None:
            config.routes[route.route_config.name] = route.route_config
    for raw in (*section.static_endpoint_configs, *section.dynamic_endpoint_configs):
        endpoints = decoded(raw, EndpointEntry, "endpoint lists", notes)
        raw = endpoints.endpoint_config if endpoints is not None else Raw()
        if bytes(raw) and (named := decoded(raw, AssignmentName, "endpoint lists", notes)):
            config.assignments[named.cluster_name] = raw


def endpoints_of(raw: Raw, notes: Notes) -> list[Endpoint]:
    """The endpoints of a load assignment, those that cannot be dialled too."""
    if not bytes(raw):
        return []
    found: list[Endpoint] = []
    assigned = decoded(raw, LoadAssignment, "endpoint lists", notes)
    if assigned is None:
        return found
    for group in assigned.endpoints:
        words = group.locality.words() if group.locality is not None else ()
        for one in group.lb_endpoints:
            address = one.endpoint.address if one.endpoint is not None else None
            host, port, what = place_of(address)
            found.append(
                Endpoint(host, port, words, one.load_balancing_weight, one.health_status, what)
            )
    return found


def place_of(address: Address | None) -> tuple[str, int, str]:
    """Host and port; or what it is instead, in words."""
    if address is None:
        return "", 0, "endpoints without an address"
    if address.socket_address is not None:
        found = address.socket_address
        if found.protocol == "UDP":
            return "", 0, "endpoints that take UDP alone, which a TCP connect cannot judge"
        if found.named_port:
            return "", 0, "endpoints with a named port"
        return found.address.lower(), found.port_value, ""
    if address.pipe is not None:
        return "", 0, "endpoints that are unix sockets"
    if address.envoy_internal_address is not None:
        return "", 0, "endpoints inside Envoy itself"
    return "", 0, "endpoints without an address"
