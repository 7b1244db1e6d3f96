"""Envoy's admin interface: the upstreams behind its listeners, and what Envoy thinks of them.

Asked for are `/config_dump?include_eds`, `/clusters?format=json` and `/listeners?format=json`.

- A cluster that resolves names (STRICT_DNS, LOGICAL_DNS) is probed by name: whether this host
  resolves it as Envoy does is part of the question. All others by the addresses Envoy has now.
- The label `route` is the cluster: Envoy checks the health of a cluster's hosts, and a route
  has seldom a name. Names of routes, virtual hosts, listeners and SNI are words to select by.
- A cluster that no route uses is not probed: it serves no listener. How many there are is said.
- A cluster that a route uses and that has no host is a finding: a request gets "no healthy
  upstream". So is one that Envoy does not have, or of whose hosts it uses none.
- A loopback address of an Envoy on another machine is not ours to dial: said, and left out.

Envoy's `/config_dump`, read while it comes. Pure.

Of each listener, route configuration, cluster and endpoint list what leads to a host is kept, and
its bytes go at once. Source: envoy.admin.v3.ConfigDump.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import msgspec
from msgspec import Raw, Struct

from t3probe.config.endpoints import is_address
from t3probe.config.types import UpstreamPlace, UpstreamSource
from t3probe.exchange.bounds import AGGREGATE_LEVELS, UPSTREAMS
from t3probe.exchange.json_stream import Into
from t3probe.guard import is_loopback
from t3probe.upstreams.envoy_config import (
    NOTHING_ASSIGNED,
    UNREADABLE,
    Assigned,
    Cluster,
    ClusterForm,
    Endpoint,
    Listener,
    RouteConfig,
    Typed,
    assigned,
    cluster_of,
    decoded,
)
from t3probe.upstreams.envoy_hosts import Clusters, Host, Listeners
from t3probe.upstreams.envoy_routes import Listened, PortRoute, Routed, listened, routed, ways
from t3probe.upstreams.sources import (
    Backend,
    Fetch,
    Hostless,
    HostView,
    NamedUpstreams,
    Notes,
    SourceAnswer,
    SourceError,
    UnreadableError,
    ViewKey,
    Views,
    backend_of,
    dialled,
    either_weight,
    label,
    words_of,
)

_SECTIONS = {"ListenersConfigDump", "ClustersConfigDump", "RoutesConfigDump", "EndpointsConfigDump"}
_CLUSTER_BYTES, _ENDPOINT_BYTES, _NAME_BYTES = 600, 250, 150
"""About what one that is kept costs beside its texts."""


@dataclass(slots=True)
class Configuration:
    """What a configuration holds, by name."""

    listeners: list[Listened] = field(default_factory=list)
    routes: dict[str, Routed] = field(default_factory=dict)
    clusters: dict[str, Cluster] = field(default_factory=dict)
    assignments: dict[str, Assigned] = field(default_factory=dict)
    """EDS by cluster or service name."""
    warming: set[str] = field(default_factory=set)
    """Clusters that Envoy has heard of and does not use yet."""
    idle: list[str] = field(default_factory=list)
    """Listeners that only warm up or drain."""
    all_clusters: bool = True
    """False when one could not be read, whose name is not known then."""
    notes: Notes = field(default_factory=Notes)
    """What could not be read."""

    def merge(self, other: Configuration) -> None:
        """What `other` holds, too."""
        self.listeners += other.listeners
        self.routes |= other.routes
        self.clusters |= other.clusters
        self.assignments |= other.assignments
        self.warming |= other.warming
        self.idle += other.idle
        self.all_clusters &= other.all_clusters
        self.notes.merge(other.notes)


class ActiveState(Struct):
    listener: Listener | None = None


class ListenerEntry(Struct):
    name: str = ""
    listener: Listener | None = None
    active_state: ActiveState | None = None


class ClusterEntry(Struct):
    cluster: ClusterForm | None = None


class RouteEntry(Struct):
    route_config: RouteConfig | None = None


class EndpointEntry(Struct):
    endpoint_config: Raw = Raw()


class AssignmentName(Struct):
    cluster_name: str = ""


class Dump(SourceAnswer):
    """The answer to `/config_dump`."""

    where, instead = " /config_dump", "something that is no configuration"

    def __init__(self) -> None:
        self._found = Configuration()
        self._any = self._seen = False
        self._section = Configuration()
        """That of the section that comes now: what it is, it may say at its end."""
        self._message: str | None = ""
        self._readable = True
        keys: dict[str, Into | Callable[[bytes], None]] = {
            name: Into(item=read, wrong=self._unreadable_part)
            for kind, read in (
                ("static_listeners dynamic_listeners", self._listener),
                ("static_clusters dynamic_active_clusters", self._cluster),
                ("dynamic_warming_clusters", self._warming),
                ("static_route_configs dynamic_route_configs", self._routes),
                ("static_endpoint_configs dynamic_endpoint_configs", self._endpoints),
            )
            for name in kind.split()
        }
        one = Into({"@type": self._type, **keys}, None, self._begin, self._over, self._no_section)
        every = Into(item=one, opened=self._anew, wrong=self.refuse)
        super().__init__(Into({"configs": every}, wrong=self.refuse))

    def found(self) -> Configuration:
        """What the whole answer holds. Raises SourceError when it is no configuration."""
        if not self._any:
            self.refuse()
        if not self._seen:
            raise SourceError("answers /config_dump without listeners and clusters")
        return self._found

    def _anew(self, _: bool) -> None:
        self._found, self._any, self._seen = Configuration(), True, False

    # -- a section

    def _begin(self, _: bool) -> None:
        self._section, self._message, self._readable = Configuration(), "", True

    def _type(self, raw: bytes) -> None:
        head = decoded(b'{"@type":%b}' % raw, Typed, "sections", Notes())
        self._message = None if head is None else head.message

    def _no_section(self) -> None:
        self._found.notes.add(UNREADABLE.format("sections"))

    def _unreadable_part(self) -> None:
        self._readable = False

    def _over(self) -> None:
        if self._message is None or (self._message in _SECTIONS and not self._readable):
            self._no_section()
        elif self._message in _SECTIONS:
            self._seen = True
            self._found.merge(self._section)

    # -- its entries

    def _listener(self, raw: bytes) -> None:
        into = self._section
        entry = decoded(raw, ListenerEntry, "listeners", into.notes)
        if entry is None:
            return
        # A dynamic one that is only warming or draining takes no connections.
        active = entry.active_state.listener if entry.active_state is not None else None
        listener = entry.listener or active
        if listener is None:
            into.idle.append(entry.name)
            self.kept += _NAME_BYTES + len(entry.name)
        else:
            into.listeners.append(listened(listener))
            self.kept += into.listeners[-1].kept

    def _cluster(self, raw: bytes) -> None:
        into = self._section
        entry = decoded(raw, ClusterEntry, "clusters", into.notes)
        if entry is None or entry.cluster is None:
            into.all_clusters = False
            return
        into.clusters[entry.cluster.name] = kept = cluster_of(entry.cluster)
        self.kept += _CLUSTER_BYTES + 2 * len(kept.name) + len(kept.eds_name) + _cost(kept.assigned)
        self.kept += sum(_NAME_BYTES + len(one) for one in kept.parts)

    def _warming(self, raw: bytes) -> None:
        entry = decoded(raw, ClusterEntry, "clusters", self._section.notes)
        if entry is not None and entry.cluster is not None:
            self._section.warming.add(entry.cluster.name)
            self.kept += _NAME_BYTES + len(entry.cluster.name)

    def _routes(self, raw: bytes) -> None:
        entry = decoded(raw, RouteEntry, "route configurations", self._section.notes)
        if entry is not None and entry.route_config is not None:
            routes = self._section.routes[entry.route_config.name] = routed(entry.route_config)
            self.kept += routes.kept

    def _endpoints(self, raw: bytes) -> None:
        notes = self._section.notes
        entry = decoded(raw, EndpointEntry, "endpoint lists", notes)
        config = entry.endpoint_config if entry is not None else Raw()
        if bytes(config) and (named := decoded(config, AssignmentName, "endpoint lists", notes)):
            whole = self._section.assignments[named.cluster_name] = assigned(config)
            self.kept += _NAME_BYTES + len(named.cluster_name) + _cost(whole)


def _cost(whole: Assigned) -> int:
    return sum(
        _ENDPOINT_BYTES + len(one.host) + sum(map(len, one.locality)) for one in whole.endpoints
    )


CONFIG = "/config_dump?include_eds"
CLUSTERS = "/clusters?format=json"
LISTENERS = "/listeners?format=json"
MOST_NAMES = 4
"""So many names of a way stand in a sentence about it."""
UNRESOLVED = HostView("", "unhealthy", "Envoy resolves no address of it")

Hosts = Mapping[str, Sequence[Host]]


async def find(source: UpstreamSource, fetch: Fetch) -> NamedUpstreams:
    """The upstreams behind one Envoy. Raises SourceError."""
    dump, clusters, listeners = Dump(), Clusters(), Listeners()
    *needed, last = await asyncio.gather(
        fetch(CONFIG, dump),
        fetch(CLUSTERS, clusters),
        fetch(LISTENERS, listeners),
        return_exceptions=True,
    )
    for one in (*needed, last):
        # Only listeners on a port of Envoy's own choice need the last one.
        if one is not None and not (one is last and isinstance(one, SourceError)):
            raise one
    ports = {} if last is not None else listeners.ports
    return trace(dump.found(), clusters, ports, source, unread=isinstance(last, UnreadableError))


async def look_again(fetch: Fetch) -> dict[str, list[Host]]:
    """What Envoy thinks by now. Raises SourceError."""
    clusters = Clusters()
    await fetch(CLUSTERS, clusters)
    return clusters.hosts


def trace(
    dump: Configuration,
    clusters: Clusters,
    ports: Mapping[str, int],
    source: UpstreamSource,
    *,
    unread: bool = False,
) -> NamedUpstreams:
    """The same from answers that are there already. `unread`: what was said of the listeners'
    `ports` could not be read. Raises SourceError."""
    notes, warnings, hosts = Notes(), Notes(), clusters.hosts
    warnings.merge(dump.notes)
    warnings.merge(clusters.notes)
    if unread:
        warnings.add("answer to /listeners that cannot be read")
    used, walker = set[str](), _Walker(dump, hosts, source, notes, warnings)
    backends: dict[tuple[str, int, str, int], Backend] = {}
    hostless: list[Hostless] = []
    for way in ways(dump.listeners, dump.routes, ports, warnings):
        if not way.listen_port:
            notes.add("clusters behind a listener without a port", way.cluster)
        lack = walker.lack(way.cluster)
        if lack and way.weight == 0:
            notes.add("clusters without a host, which are sent nothing (weight 0)", way.cluster)
        elif lack and _on_purpose(way.cluster):
            notes.add("clusters without a host that are called a black hole", way.cluster)
        elif lack and way.on_demand:
            notes.add("clusters without a host yet, which come on demand", way.cluster)
        elif lack:
            hostless.append(Hostless(walker.place(way.cluster, way), _sentence(way, lack)))
        for backend in walker.backends(way.cluster, way, used):
            place = backend.place
            key = place.route, place.listen_port, backend.host, backend.port
            # An aggregate may lead to a cluster that a route names as well.
            if key in backends and (known := backends[key].place) is not place:
                weight = either_weight(known.weight, place.weight)
                words = words_of(*known.words, *place.words)
                place = msgspec.structs.replace(known, weight=weight, words=words)
                backend = Backend(backend.host, backend.port, place)
            backends[key] = backend
            if len(backends) > UPSTREAMS:
                raise SourceError(
                    f"names more than {UPSTREAMS:,} upstreams, which are the most of one source; "
                    "probe a part of its listeners, or name those that matter in the file"
                )
    for name in dump.clusters:
        if name not in used:
            notes.add("clusters that no route uses", name)
    for name in dump.idle:
        notes.add("listeners that only warm up or drain, which are not followed", name)
    found, views = tuple(backends.values()), views_of(tuple(backends.values()), hosts)
    return NamedUpstreams(found, views, notes.sentences(), warnings.sentences(), tuple(hostless))


def _on_purpose(cluster: str) -> bool:
    """Meshes send what they forbid to a cluster that has no host (Istio's BlackHoleCluster)."""
    return "blackhole" in re.sub(r"[^a-z]", "", cluster.lower())


def _sentence(way: PortRoute, lack: str) -> str:
    names = " / ".join(way.words[:MOST_NAMES])
    port = f" (port {way.listen_port})" if way.listen_port else ""
    return f"the route {names}{port} sends to the cluster {label(way.cluster)}, {lack}"


def views_of(backends: Sequence[Backend], hosts: Hosts) -> Views:
    """What Envoy thinks of each backend. One that it has no host for is left out.

    A name that Envoy resolves to nothing is sent nothing.
    """
    by_address: dict[ViewKey, list[HostView]] = {}
    for cluster, several in hosts.items():
        route = label(cluster)
        for host in several:
            if host.what:
                continue
            by_address.setdefault((route, host.view.address), []).append(host.view)
            if host.hostname:
                named = route, backend_of(host.hostname, host.port)
                by_address.setdefault(named, []).append(host.view)
    views: dict[ViewKey, tuple[HostView, ...]] = {}
    known = {label(cluster) for cluster in hosts}
    for one in backends:
        key = one.place.route, one.address
        if key in by_address:
            views[key] = tuple(by_address[key])
        elif one.place.route in known and not is_address(one.host):
            views[key] = (UNRESOLVED,)
    return views


class _Walker:
    """From a cluster to its backends."""

    def __init__(
        self,
        config: Configuration,
        hosts: Hosts,
        source: UpstreamSource,
        notes: Notes,
        warnings: Notes,
    ) -> None:
        self._config, self._hosts, self._source = config, hosts, source
        self._notes, self._warnings = notes, warnings
        self._elsewhere = not _here(urlsplit(source.url).hostname or "")
        self._endpoints: dict[str, tuple[Endpoint, ...]] = {}
        self._lacks: dict[str, str] = {}

    def backends(
        self, name: str, way: PortRoute, used: set[str], above: tuple[str, ...] = ()
    ) -> Iterator[Backend]:
        """The backends of the cluster `name`; `above` are the aggregates that lead to it."""
        used.add(name)
        cluster = self._config.clusters.get(name)
        if cluster is None and name not in self._hosts:
            self._notes.add("clusters that a route names and Envoy does not have", name)
            return
        if cluster is not None and cluster.kind == "aggregate":
            for part in self._parts(cluster, self._warnings):
                if part not in above and part != name and len(above) < AGGREGATE_LEVELS:
                    yield from self.backends(part, way, used, (*above, name))
            return
        places: dict[tuple[str, ...], UpstreamPlace] = {}
        for one in self._listed(name, cluster):
            if one.locality not in places:
                places[one.locality] = self.place(name, way, above, one.locality)
            yield Backend(one.host, one.port, places[one.locality])

    def place(
        self, name: str, way: PortRoute, above: tuple[str, ...] = (), locality: tuple[str, ...] = ()
    ) -> UpstreamPlace:
        """Where the cluster `name` was found."""
        return UpstreamPlace(
            source=self._source.name,
            route=label(name),
            listen_port=way.listen_port,
            weight=way.weight,
            words=words_of(*above, *way.words, *locality),
        )

    def lack(self, name: str) -> str:
        """Why Envoy sends no request anywhere by this cluster, as the end of a sentence; empty when
        it does, or when that cannot be told."""
        if name not in self._lacks:
            self._lacks[name] = self._lack(name, ())
        return self._lacks[name]

    def _lack(self, name: str, above: tuple[str, ...]) -> str:
        if name in above or len(above) > AGGREGATE_LEVELS:
            return "which is a part of itself"
        cluster, hosts = self._config.clusters.get(name), self._hosts.get(name)
        if cluster is None:
            if hosts is not None:
                return ""
            if name in self._config.warming:
                return "which is still warming: Envoy does not know its hosts yet"
            return "which Envoy does not have" if self._config.all_clusters else ""
        if cluster.kind == "aggregate":
            parts = self._parts(cluster, Notes())
            empty = parts and all(self._lack(one, (*above, name)) for one in parts)
            return "of whose clusters none has a host that Envoy uses" if empty else ""
        if not cluster.owns_hosts:
            return ""
        if not hosts:
            if hosts is None and self._all(name, cluster):
                return ""
            if hosts is None and not cluster.is_static and self._assigned(name, cluster) is None:
                # It may have come between the two answers.
                self._warnings.add(
                    "clusters of which Envoy does not say what hosts they have", name
                )
                return ""
            why = ": Envoy resolves no address of it" if cluster.kind == "named" else ""
            return f'which has no host{why} ("no healthy upstream")'
        out = [one.view for one in hosts if one.view.opinion in {"unhealthy", "draining"}]
        if len(out) < len(hosts) or cluster.panics:
            return ""
        told = ", ".join(dict.fromkeys(one.detail for one in out))
        number = "whose only host" if len(out) == 1 else f"of whose {len(out)} hosts none"
        verb = "Envoy does not use" if len(out) == 1 else "is used by Envoy"
        return f'{number} {verb}: {told} ("no healthy upstream")'

    def _parts(self, cluster: Cluster, warnings: Notes) -> tuple[str, ...]:
        if not cluster.parts_readable:
            warnings.add(UNREADABLE.format("aggregate clusters"))
        return cluster.parts

    def _listed(self, name: str, cluster: Cluster | None) -> tuple[Endpoint, ...]:
        """The endpoints to dial, each once. Several listeners may lead to one cluster."""
        if name not in self._endpoints:
            found: dict[tuple[str, int], Endpoint] = {}
            for one in self._all(name, cluster):
                if self._can_be_dialled(one, name):
                    found.setdefault((one.host, one.port), one)
            self._endpoints[name] = tuple(found.values())
        return self._endpoints[name]

    def _all(self, name: str, cluster: Cluster | None) -> Sequence[Endpoint]:
        if cluster is not None:
            if cluster.kind == "none":
                self._notes.add("clusters of a kind that has no endpoints of its own", name)
                return []
            if cluster.udp_only:
                what = "clusters that take HTTP/3 alone, which a TCP connect cannot judge"
                self._notes.add(what, name)
                return []
            if cluster.kind == "named" and cluster.assigned is not NOTHING_ASSIGNED:
                return cluster.assigned.read(self._warnings)
        hosts = self._hosts.get(name)
        if hosts is None and cluster is not None:
            assigned = self._assigned(name, cluster)
            return (cluster.assigned if assigned is None else assigned).read(self._warnings)
        return [Endpoint(one.address, one.port, one.locality, what=one.what) for one in hosts or ()]

    def _assigned(self, name: str, cluster: Cluster) -> Assigned | None:
        """What EDS gave it; None: nothing yet."""
        return self._config.assignments.get(cluster.eds_name or name)

    def _can_be_dialled(self, one: Endpoint, cluster: str) -> bool:
        if one.what == UNREADABLE.format("hosts"):
            pass  # said already
        elif one.what:
            self._notes.add(one.what, cluster)
        elif not dialled(one.host, one.port):
            self._warnings.add("endpoints without a host and port that can be dialled", cluster)
        elif self._elsewhere and _here(one.host):
            self._notes.add("endpoints on the loopback of Envoy's own machine", cluster)
        else:
            return True
        return False


def _here(host: str) -> bool:
    return is_loopback(host) or host.rstrip(".").lower() == "localhost"
