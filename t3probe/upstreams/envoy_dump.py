"""Envoy's `/config_dump`, read while it comes. Pure.

Of each listener, route configuration, cluster and endpoint list what leads to a host is kept, and
its bytes go at once. Source: envoy.admin.v3.ConfigDump.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from msgspec import Raw, Struct

from t3probe.exchange.json_stream import Into
from t3probe.upstreams.envoy_config import (
    UNREADABLE,
    Assigned,
    Cluster,
    ClusterForm,
    Listener,
    RouteConfig,
    Typed,
    assigned,
    cluster_of,
    decoded,
)
from t3probe.upstreams.envoy_routes import Listened, Routed, listened, routed
from t3probe.upstreams.sources import Notes, SourceAnswer, SourceError

__all__ = ["Configuration", "Dump"]

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
    """False when one could not be read, whose name nobody knows then."""
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
