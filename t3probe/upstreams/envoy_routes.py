"""From Envoy's listeners over its routes to the clusters that they use. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from msgspec import Raw, Struct

from t3probe.upstreams.envoy_config import (
    EnvoyConfig,
    FilterChain,
    Listener,
    RouteConfig,
    WeightedCluster,
    decoded,
    place_of,
    unwrapped,
)
from t3probe.upstreams.sources import Notes, either_weight, words_of

__all__ = ["Way", "ways"]


@dataclass(frozen=True, slots=True)
class Way:
    """One listener's port to one cluster."""

    cluster: str
    listen_port: int
    weight: int | None
    """The largest among the routes that use it; None where one uses it without weights."""
    words: tuple[str, ...]
    on_demand: bool = False
    """Envoy may ask for the cluster when a request comes, or take another one."""


class Clusters(Struct):
    clusters: list[WeightedCluster] = []


class Rds(Struct):
    route_config_name: str = ""


class HttpManager(Struct):
    route_config: RouteConfig | None = None
    rds: Rds | None = None
    scoped_routes: Raw = Raw()
    http_filters: list[Raw] = []


class TcpProxy(Struct):
    cluster: str = ""
    on_demand: Raw = Raw()
    weighted_clusters: Clusters | None = None


class VirtualHost(Struct):
    name: str = ""
    routes: list[Raw] = []
    matcher: Raw = Raw()


class RouteAction(Struct):
    cluster: str = ""
    cluster_header: str = ""
    weighted_clusters: Clusters | None = None
    cluster_specifier_plugin: str = ""
    inline_cluster_specifier_plugin: Raw = Raw()


class Route(Struct):
    name: str = ""
    route: RouteAction | None = None
    """A redirect, a direct response or a route that does not forward has none."""


class Use(NamedTuple):
    """One use of a cluster."""

    cluster: str
    weight: int | None
    words: tuple[str, ...]
    on_demand: bool = False


_NO_CLUSTERS = {"MySQLProxy", "PostgresProxy", "MongoProxy", "ZooKeeperProxy"}
"""They look on, and name no cluster."""
_LAST_OF_ITS_OWN = {"Echo", "Config"}
"""Filters that answer by themselves (echo, direct_response)."""


def ways(config: EnvoyConfig, ports: Mapping[str, int], notes: Notes) -> list[Way]:
    """Every pair of a listener's port and a cluster, once. `ports` are those that listeners
    were given when they asked for any."""
    found: dict[tuple[str, int], Use] = {}
    for listener in config.listeners:
        port = _port(listener, ports)
        if bytes(listener.udp_listener_config):
            notes.add("UDP listeners, which a TCP connect cannot follow", listener.name)
            continue
        for use in _listener(listener, config, notes):
            words = (listener.name, *use.words)
            known = found.get((use.cluster, port))
            if known is not None:
                words = (*known.words, *words)
                weight = either_weight(use.weight, known.weight)
                use = use._replace(weight=weight, on_demand=use.on_demand and known.on_demand)
            found[use.cluster, port] = use._replace(words=tuple(dict.fromkeys(words)))
    return [
        Way(use.cluster, port, use.weight, words_of(*use.words), use.on_demand)
        for (_, port), use in found.items()
    ]


def _port(listener: Listener, ports: Mapping[str, int]) -> int:
    port = place_of(listener.address)[1] or ports.get(listener.name, 0)
    return port if 0 <= port <= 65535 else 0


def _listener(listener: Listener, config: EnvoyConfig, notes: Notes) -> Iterator[Use]:
    chains = [*listener.filter_chains]
    if bytes(listener.default_filter_chain):
        chains.append(listener.default_filter_chain)
    for raw in chains:
        chain = decoded(raw, FilterChain, "filter chains", notes)
        if chain is None:
            continue
        match = chain.filter_chain_match
        words = (*(match.server_names if match is not None else ()), chain.name)
        for use in _chain(chain, listener, config, notes):
            yield use._replace(words=(*words, *use.words))


def _chain(
    chain: FilterChain, listener: Listener, config: EnvoyConfig, notes: Notes
) -> Iterator[Use]:
    by_sni, ends = False, not chain.filters
    for one in chain.filters:
        if bytes(one.config_discovery):
            notes.add("filters that Envoy is given apart (ECDS), which are not read", one.name)
            ends = True
            continue
        message, config_of = unwrapped(one.typed_config, "filters", notes)
        if message == "HttpConnectionManager":
            ends = True
            manager = decoded(config_of, HttpManager, "HTTP filters", notes)
            if manager is not None:
                yield from _http(manager, listener, config, notes)
        elif message == "TcpProxy":
            ends = True
            proxy = decoded(config_of, TcpProxy, "TCP filters", notes)
            if proxy is not None:
                late = by_sni or bool(bytes(proxy.on_demand))
                for use in _named(proxy.cluster, "", proxy.weighted_clusters, (), notes):
                    yield use._replace(on_demand=late)
        elif message == "SniCluster":
            by_sni = True
            notes.add("TCP proxies whose cluster the SNI picks, which are not read", listener.name)
        elif message.endswith("Proxy") and message not in _NO_CLUSTERS:
            # Redis, Thrift and the like name their clusters in forms of their own.
            ends = True
            notes.add(f"filters {message}, whose clusters are not read", listener.name)
        else:
            ends = ends or not message or message in _LAST_OF_ITS_OWN
    if not ends:
        notes.add("filter chains that end in a filter which is not read", listener.name)


def _http(
    manager: HttpManager, listener: Listener, config: EnvoyConfig, notes: Notes
) -> Iterator[Use]:
    routes = manager.route_config
    if routes is None and manager.rds is not None:
        routes = config.routes.get(manager.rds.route_config_name)
        if routes is None:
            name = manager.rds.route_config_name
            notes.add("route configurations that Envoy has not been given yet", name)
    if bytes(manager.scoped_routes):
        notes.add("listeners with scoped routes, which are not read", listener.name)
    if routes is None:
        return
    if bytes(routes.vhds):
        what = "route configurations with virtual hosts on demand (VHDS), read as far as known"
        notes.add(what, routes.name)
    filters = b"".join(map(bytes, manager.http_filters))
    on_demand = b"on_demand" in filters or b"OnDemand" in filters
    for raw in routes.virtual_hosts:
        host = decoded(raw, VirtualHost, "virtual hosts", notes)
        if host is None:
            continue
        if bytes(host.matcher):
            notes.add("virtual hosts with a matcher tree, which is not read", host.name)
        for each in host.routes:
            route = decoded(each, Route, "routes", notes)
            if route is not None and route.route is not None:
                action, words = route.route, (routes.name, host.name, route.name)
                if action.cluster_specifier_plugin or bytes(action.inline_cluster_specifier_plugin):
                    notes.add("routes whose cluster a plugin picks, which are not read", host.name)
                for use in _named(
                    action.cluster, action.cluster_header, action.weighted_clusters, words, notes
                ):
                    yield use._replace(on_demand=on_demand)


def _named(
    cluster: str, header: str, weighted: Clusters | None, words: tuple[str, ...], notes: Notes
) -> Iterator[Use]:
    by_header = "routes whose cluster a request's header picks, which are not read"
    if header:
        notes.add(by_header, header)
    if cluster:
        yield Use(cluster, None, words)
    for one in weighted.clusters if weighted is not None else ():
        if one.name:
            yield Use(one.name, 0 if one.weight is None else one.weight, words)
        elif one.cluster_header:
            notes.add(by_header, one.cluster_header)
