"""The forms of Envoy's configuration that lead from a listener to a host. Pure.

Every entry of an answer is decoded by itself, so that one of an unforeseen form costs no
other: it is noted. Envoy writes protobuf's JSON with the proto's own field names and leaves
default values out. Source: envoy.config.{listener,route,cluster,endpoint}.v3.
"""

from __future__ import annotations

import re
from typing import Any, TypeVar

import msgspec
from msgspec import Raw, Struct

from t3probe.exchange.json_stream import typed
from t3probe.upstreams.sources import Notes

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


class EnvoyAddress(Struct):
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
    address: EnvoyAddress | None = None
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
    address: EnvoyAddress | None = None
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


class ClusterForm(Struct):
    """A cluster as it is written."""

    name: str = ""
    type: str = "STATIC"
    cluster_type: ClusterType | None = None
    load_assignment: Raw = Raw()
    eds_cluster_config: EdsConfig | None = None
    common_lb_config: LbConfig | None = None
    transport_socket: Raw = Raw()
    typed_extension_protocol_options: Raw = Raw()


class Aggregated(Struct):
    clusters: list[str] = []


class Endpoint(Struct, frozen=True):
    """One endpoint as the configuration names it."""

    host: str
    port: int
    locality: tuple[str, ...] = ()
    what: str = ""
    """What it is when it has no host and port."""


class Assigned(Struct, frozen=True):
    """The endpoints of a load assignment, those that cannot be dialled too."""

    endpoints: tuple[Endpoint, ...] = ()
    readable: bool = True

    def read(self, notes: Notes) -> tuple[Endpoint, ...]:
        """They; and a note where they are of a form that is not known."""
        if not self.readable:
            notes.add(UNREADABLE.format("endpoint lists"))
        return self.endpoints


NOTHING_ASSIGNED = Assigned()


class Cluster(Struct, frozen=True):
    """What is kept of a cluster."""

    name: str
    extension: str | None
    """The name of its `cluster_type`; None where it has a plain type."""
    type: str
    assigned: Assigned
    """Most endpoints are known from /clusters; these are of the cluster itself."""
    eds_name: str
    panics: bool
    """Whether it sends to all of its hosts when Envoy believes in none (by default it does)."""
    udp_only: bool
    """Whether it takes HTTP/3 and nothing else; one with `auto_config` falls back to TCP."""
    parts: tuple[str, ...] = ()
    """The clusters of an aggregate."""
    parts_readable: bool = True

    @property
    def kind(self) -> str:
        """`named`: by host name; `none`: no endpoints of its own; `aggregate`; else `listed`."""
        return _kind(self.extension, self.type)

    @property
    def is_static(self) -> bool:
        """Whether its endpoints are addresses of its own."""
        return self.type == "STATIC" and self.extension is None

    @property
    def owns_hosts(self) -> bool:
        """Whether it is of a kind that is of no use without hosts. Not known of an extension."""
        name = (self.extension or "").lower()
        known = not name or any(one in name for one in ("dns", "redis", "eds", "static"))
        return known and self.kind in {"named", "listed"}


def _kind(extension: str | None, plain: str) -> str:
    name = (plain if extension is None else extension).lower()
    if "aggregate" in name:
        return "aggregate"
    if "original_dst" in name or "forward_proxy" in name:
        return "none"
    return "named" if "dns" in name else "listed"


T = TypeVar("T")
_CAPITAL = re.compile(r"(?<=[a-z0-9])([A-Z])")
_DECODE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_DECODERS: dict[type, msgspec.json.Decoder[Any]] = {}


def decoded(raw: Raw | bytes, form: type[T], what: str, notes: Notes) -> T | None:
    """`raw` as `form`; None, and a note about a `what`, when it is something else. Raises
    NotJsonError."""
    decoder = _DECODERS.get(form)
    if decoder is None:
        # Protobuf's JSON may write a 64-bit number as text.
        decoder = _DECODERS[form] = msgspec.json.Decoder(form, strict=False)
    found = typed(raw, decoder)
    if found is None:
        notes.add(UNREADABLE.format(what))
    return found


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


def cluster_of(form: ClusterForm) -> Cluster:
    """What is kept of a cluster."""
    extension = None if form.cluster_type is None else form.cluster_type.name
    eds, lb = form.eds_cluster_config, form.common_lb_config
    limit = lb.healthy_panic_threshold if lb is not None else None
    quic = b"quic" in bytes(form.transport_socket).lower()
    unread, parts = Notes(), list[str]()
    if form.cluster_type is not None and _kind(extension, form.type) == "aggregate":
        _, message = unwrapped(form.cluster_type.typed_config, "", unread)
        named = decoded(message, Aggregated, "", unread)
        parts = [] if named is None else named.clusters
    return Cluster(
        name=form.name,
        extension=extension,
        type=form.type,
        assigned=assigned(form.load_assignment),
        eds_name=eds.service_name if eds is not None else "",
        panics=limit is None or limit.value > 0,
        udp_only=quic and b"auto_config" not in bytes(form.typed_extension_protocol_options),
        parts=tuple(parts),
        parts_readable=not unread.counts,
    )


def assigned(raw: Raw) -> Assigned:
    """The endpoints of a load assignment."""
    if not bytes(raw):
        return NOTHING_ASSIGNED
    whole = decoded(raw, LoadAssignment, "", Notes())
    if whole is None:
        return Assigned((), readable=False)
    found: list[Endpoint] = []
    for group in whole.endpoints:
        words = group.locality.words() if group.locality is not None else ()
        for one in group.lb_endpoints:
            host, port, what = place_of(one.endpoint.address if one.endpoint is not None else None)
            found.append(Endpoint(host, port, words, what))
    return Assigned(tuple(found))


def place_of(address: EnvoyAddress | None) -> tuple[str, int, str]:
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
