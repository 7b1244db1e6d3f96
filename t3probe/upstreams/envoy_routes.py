"""From Envoy's listeners over its routes to the clusters that they use. Pure.

What a listener and a route configuration lead to is found when they are read (`listened`,
`routed`), since they may be large and are not kept. Which belong together is known when all have
come (`ways`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from msgspec import Raw, Struct

from t3probe.upstreams.envoy_config import (
    FilterChain,
    Listener,
    RouteConfig,
    WeightedCluster,
    decoded,
    place_of,
    unwrapped,
)
from t3probe.upstreams.sources import Notes, either_weight, words_of


@dataclass(frozen=True, slots=True)
class PortRoute:
    """One listener's port to one cluster."""

    cluster: str
    listen_port: int
    weight: int | None
    """The largest among the routes that use it; None where one uses it without weights."""
    words: tuple[str, ...]
    on_demand: bool = False
    """Envoy may ask for the cluster when a request comes, or take another one."""


class WeightedClusters(Struct):
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
    weighted_clusters: WeightedClusters | None = None


class VirtualHost(Struct):
    name: str = ""
    routes: list[Raw] = []
    matcher: Raw = Raw()


class RouteAction(Struct):
    cluster: str = ""
    cluster_header: str = ""
    weighted_clusters: WeightedClusters | None = None
    cluster_specifier_plugin: str = ""
    inline_cluster_specifier_plugin: Raw = Raw()


class EnvoyRoute(Struct):
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


class Later(NamedTuple):
    """The uses of a route configuration that a listener names (RDS)."""

    routes: str
    words: tuple[str, ...]
    on_demand: bool


class Routed(NamedTuple):
    """What is kept of a route configuration: each cluster that it uses, once."""

    uses: tuple[Use, ...]
    notes: Notes
    kept: int
    """About so many bytes."""


class Listened(NamedTuple):
    """What is kept of a listener."""

    name: str
    port: int
    """0: it asks for any."""
    steps: tuple[Use | Later, ...]
    notes: Notes
    kept: int
    """About so many bytes."""


_STEP_BYTES, _WORD_BYTES = 400, 60
"""About what one use costs, and a word of it beside its characters."""


def _cost(steps: Sequence[Use | Later]) -> int:
    return 2 * _STEP_BYTES + sum(
        _STEP_BYTES + len(one[0]) + sum(_WORD_BYTES + len(word) for word in one.words if word)
        for one in steps
    )  # fmt: skip


def routed(routes: RouteConfig) -> Routed:
    """What a route configuration leads to."""
    notes = Notes()
    if bytes(routes.vhds):
        what = "route configurations with virtual hosts on demand (VHDS), read as far as known"
        notes.add(what, routes.name)
    found: dict[str, Use] = {}
    for raw in routes.virtual_hosts:
        host = decoded(raw, VirtualHost, "virtual hosts", notes)
        if host is None:
            continue
        if bytes(host.matcher):
            notes.add("virtual hosts with a matcher tree, which is not read", host.name)
        for each in host.routes:
            route = decoded(each, EnvoyRoute, "routes", notes)
            if route is not None and route.route is not None:
                action, words = route.route, (routes.name, host.name, route.name)
                if action.cluster_specifier_plugin or bytes(action.inline_cluster_specifier_plugin):
                    notes.add("routes whose cluster a plugin picks, which are not read", host.name)
                for use in _named(
                    action.cluster, action.cluster_header, action.weighted_clusters, words, notes
                ):
                    found[use.cluster] = _both(found.get(use.cluster), use)
    uses = tuple(found.values())
    return Routed(uses, notes, _cost(uses) + len(routes.name))


def _both(known: Use | None, use: Use) -> Use:
    """One use of a cluster for two."""
    words = words_of(*use.words)
    if known is None:
        return use._replace(words=words)
    return Use(
        use.cluster,
        either_weight(use.weight, known.weight),
        known.words if set(words) <= set(known.words) else words_of(*known.words, *words),
        use.on_demand and known.on_demand,
    )


def listened(listener: Listener) -> Listened:
    """What a listener leads to."""
    notes = Notes()
    port = place_of(listener.address)[1]
    if bytes(listener.udp_listener_config):
        notes.add("UDP listeners, which a TCP connect cannot follow", listener.name)
        return Listened(listener.name, port, (), notes, _cost(()) + len(listener.name))
    steps = tuple(_listener(listener, notes))
    return Listened(listener.name, port, steps, notes, _cost(steps) + len(listener.name))


def ways(
    listeners: Sequence[Listened],
    routes: Mapping[str, Routed],
    ports: Mapping[str, int],
    notes: Notes,
) -> list[PortRoute]:
    """Every pair of a listener's port and a cluster, once. `ports` are those that listeners
    were given when they asked for any."""
    found: dict[tuple[str, int], Use] = {}
    for listener in listeners:
        port = listener.port or ports.get(listener.name, 0)
        port = port if 0 <= port <= 65535 else 0
        notes.merge(listener.notes)
        for use in _uses(listener, routes, notes):
            use = use._replace(words=(listener.name, *use.words))
            found[use.cluster, port] = _both(found.get((use.cluster, port)), use)
    return [
        PortRoute(use.cluster, port, use.weight, use.words, use.on_demand)
        for (_, port), use in found.items()
    ]


def _uses(listener: Listened, routes: Mapping[str, Routed], notes: Notes) -> Iterator[Use]:
    for step in listener.steps:
        if isinstance(step, Use):
            yield step
            continue
        known = routes.get(step.routes)
        if known is None:
            what = "route configurations that Envoy has not been given yet"
            notes.add(what, step.routes)
            continue
        notes.merge(known.notes)
        for use in known.uses:
            yield use._replace(words=(*step.words, *use.words), on_demand=step.on_demand)


def _listener(listener: Listener, notes: Notes) -> Iterator[Use | Later]:
    chains = [*listener.filter_chains]
    if bytes(listener.default_filter_chain):
        chains.append(listener.default_filter_chain)
    for raw in chains:
        chain = decoded(raw, FilterChain, "filter chains", notes)
        if chain is None:
            continue
        match = chain.filter_chain_match
        words = words_of(*(match.server_names if match is not None else ()), chain.name)
        for use in _chain(chain, listener, notes):
            yield use._replace(words=(*words, *use.words))


def _chain(chain: FilterChain, listener: Listener, notes: Notes) -> Iterator[Use | Later]:
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
                yield from _http(manager, listener, notes)
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


def _http(manager: HttpManager, listener: Listener, notes: Notes) -> Iterator[Use | Later]:
    filters = b"".join(map(bytes, manager.http_filters))
    on_demand = b"on_demand" in filters or b"OnDemand" in filters
    if bytes(manager.scoped_routes):
        notes.add("listeners with scoped routes, which are not read", listener.name)
    if manager.route_config is not None:
        inside = routed(manager.route_config)
        notes.merge(inside.notes)
        for use in inside.uses:
            yield use._replace(on_demand=on_demand)
    elif manager.rds is not None:
        yield Later(manager.rds.route_config_name, (), on_demand)


def _named(
    cluster: str,
    header: str,
    weighted: WeightedClusters | None,
    words: tuple[str, ...],
    notes: Notes,
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
