"""From Envoy's listeners over its routes to the clusters that they use. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from msgspec import Raw, Struct

from t3probe.upstreams.envoy_config import (
    EnvoyConfig,
    FilterChain,
    Listener,
    RouteConfig,
    Typed,
    WeightedCluster,
    decoded,
    place_of,
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


class Clusters(Struct):
    clusters: list[WeightedCluster] = []


class Rds(Struct):
    route_config_name: str = ""


class HttpManager(Struct):
    route_config: RouteConfig | None = None
    rds: Rds | None = None
    scoped_routes: Raw = Raw()


class TcpProxy(Struct):
    cluster: str = ""
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


Use = tuple[str, int | None, tuple[str, ...]]
"""Cluster, weight, words."""


def ways(config: EnvoyConfig, ports: Mapping[str, int], notes: Notes) -> list[Way]:
    """Every pair of a listener's port and a cluster, once. `ports` are those that listeners
    were given when they asked for any."""
    found: dict[tuple[str, int], tuple[int | None, dict[str, None]]] = {}
    for listener in config.listeners:
        port = _port(listener, ports)
        if bytes(listener.udp_listener_config):
            notes.add("UDP listeners, which a TCP connect cannot follow", listener.name)
            continue
        for cluster, weight, words in _listener(listener, config, notes):
            known = found.get((cluster, port))
            if known is None:
                found[cluster, port] = (weight, dict.fromkeys((listener.name, *words)))
            else:
                known[1].update(dict.fromkeys((listener.name, *words)))
                found[cluster, port] = (either_weight(weight, known[0]), known[1])
    return [
        Way(cluster, port, weight, words_of(*words))
        for (cluster, port), (weight, words) in found.items()
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
        for cluster, weight, more in _chain(chain, listener, config, notes):
            yield cluster, weight, (*words, *more)


def _chain(
    chain: FilterChain, listener: Listener, config: EnvoyConfig, notes: Notes
) -> Iterator[Use]:
    for one in chain.filters:
        head = decoded(one.typed_config, Typed, "filters", notes)
        message = head.message if head is not None else ""
        if message == "HttpConnectionManager":
            manager = decoded(one.typed_config, HttpManager, "HTTP filters", notes)
            if manager is not None:
                yield from _http(manager, listener, config, notes)
        elif message == "TcpProxy":
            proxy = decoded(one.typed_config, TcpProxy, "TCP filters", notes)
            if proxy is not None:
                yield from _named(proxy.cluster, "", proxy.weighted_clusters, (), notes)
        elif message.endswith("Proxy"):
            # Redis, Mongo, Thrift and the like name their clusters in forms of their own.
            notes.add(f"filters {message}, whose clusters are not read", listener.name)


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
                yield from _named(
                    action.cluster, action.cluster_header, action.weighted_clusters, words, notes
                )


def _named(
    cluster: str, header: str, weighted: Clusters | None, words: tuple[str, ...], notes: Notes
) -> Iterator[Use]:
    by_header = "routes whose cluster a request's header picks, which are not read"
    if header:
        notes.add(by_header, header)
    if cluster:
        yield cluster, None, words
    for one in weighted.clusters if weighted is not None else ():
        if one.name:
            yield one.name, 0 if one.weight is None else one.weight, words
        elif one.cluster_header:
            notes.add(by_header, one.cluster_header)
