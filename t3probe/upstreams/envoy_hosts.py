"""Envoy's `/clusters?format=json`: which hosts it has now, and what it thinks of them. Pure.

Source: envoy.admin.v3.Clusters, HostStatus and HostHealthStatus.
"""

from __future__ import annotations

import msgspec
from msgspec import Struct

from t3probe.exchange.json_stream import Into, typed
from t3probe.upstreams.envoy_config import UNREADABLE, EnvoyAddress, Locality, decoded, place_of
from t3probe.upstreams.sources import HostView, Notes, Opinion, SourceAnswer, backend_of

__all__ = ["UNREADABLE", "Clusters", "Host", "Listeners", "opinion"]

_HOST_BYTES, _CLUSTER_BYTES = 500, 250
"""About what one that is kept costs beside its texts."""


class HostHealth(Struct):
    """Envoy's HostHealthStatus: what is not there is false."""

    failed_active_health_check: bool = False
    failed_outlier_check: bool = False
    failed_active_degraded_check: bool = False
    pending_dynamic_removal: bool = False
    pending_active_hc: bool = False
    excluded_via_immediate_hc_fail: bool = False
    active_hc_timeout: bool = False
    eds_health_status: str = ""


class HostStatus(Struct):
    address: EnvoyAddress | None = None
    health_status: HostHealth = msgspec.field(default_factory=HostHealth)
    weight: int | None = None
    hostname: str = ""
    priority: int = 0
    locality: Locality | None = None


class ListenerStatus(Struct):
    name: str = ""
    local_address: EnvoyAddress | None = None


_TEXT = msgspec.json.Decoder(str)
_LISTENER = msgspec.json.Decoder(ListenerStatus)


class Host(Struct, frozen=True):
    """One host of a cluster as Envoy has it now."""

    address: str
    """Its resolved address, as Envoy writes it."""
    port: int
    hostname: str
    """The name that Envoy resolved, where there is one."""
    locality: tuple[str, ...]
    view: HostView
    what: str = ""
    """What it is when it has no address and port."""


_FAILED = (
    "failed_active_health_check",
    "failed_outlier_check",
    "active_hc_timeout",
    "excluded_via_immediate_hc_fail",
)


def opinion(health: HostHealth, weight: int | None = None) -> tuple[Opinion, str]:
    """What Envoy thinks of a host, and its own words for why.

    A host that is on its way out, or that is sent nothing, is draining whatever its checks say.
    Before the first active check Envoy has no opinion, although it counts the host as failed.
    """
    eds = health.eds_health_status
    if health.pending_dynamic_removal:
        return "draining", "pending_dynamic_removal"
    if eds == "DRAINING":
        return "draining", "EDS says DRAINING"
    if weight == 0:
        return "draining", "weight 0"
    if health.pending_active_hc:
        return "unknown", "pending_active_hc"
    failed = [one for one in _FAILED if getattr(health, one)]
    if eds in {"UNHEALTHY", "TIMEOUT"}:
        failed.append(f"EDS says {eds}")
    if failed:
        return "unhealthy", ", ".join(failed)
    if health.failed_active_degraded_check:
        return "degraded", "failed_active_degraded_check"
    if eds == "DEGRADED":
        return "degraded", "EDS says DEGRADED"
    if eds in {"", "HEALTHY", "UNKNOWN"}:
        return "healthy", ""
    return "unknown", "EDS says something that is not known"


class Clusters(SourceAnswer):
    """The answer to `/clusters`: the hosts of every cluster, those that cannot be read too."""

    where, instead = " /clusters", "something that is no list of them"

    def __init__(self) -> None:
        self.hosts: dict[str, list[Host]] = {}
        self.notes = Notes()
        self._name: str | None = None
        self._hosts: list[Host] | None = None
        host = Into(item=self._one, opened=self._first_host, wrong=self._no_hosts)
        one = Into({"name": self._named, "host_statuses": host}, None, self._cluster, self._over,
                   self._no_cluster)  # fmt: skip
        every = Into(item=one, opened=self._begin, wrong=self.refuse)
        super().__init__(Into({"cluster_statuses": every}, wrong=self.refuse))

    def _begin(self, _: bool) -> None:
        self.hosts, self.notes = {}, Notes()

    def _cluster(self, _: bool) -> None:
        self._name, self._hosts = "", []

    def _named(self, raw: bytes) -> None:
        self._name = typed(raw, _TEXT)

    def _first_host(self, _: bool) -> None:
        self._hosts = []

    def _one(self, raw: bytes) -> None:
        status = decoded(raw, HostStatus, "hosts", self.notes)
        host = _UNREADABLE if status is None else _host(status)
        self.kept += 8
        if status is not None:
            self.kept += _HOST_BYTES + len(host.address) + len(host.hostname)
            self.kept += sum(map(len, host.locality))
        if self._hosts is not None:
            self._hosts.append(host)

    def _no_hosts(self) -> None:
        self._hosts = None

    def _no_cluster(self) -> None:
        self.notes.add(UNREADABLE.format("clusters"))

    def _over(self) -> None:
        if self._name is None or self._hosts is None:
            self._no_cluster()
            return
        if self._name not in self.hosts:
            self.kept += _CLUSTER_BYTES + len(self._name)
        self.hosts.setdefault(self._name, []).extend(self._hosts)


def _host(status: HostStatus) -> Host:
    address, port, what = place_of(status.address)
    thinks, why = opinion(status.health_status, status.weight)
    return Host(
        address=address,
        port=port,
        hostname=status.hostname.lower(),
        locality=status.locality.words() if status.locality is not None else (),
        view=HostView(backend_of(address, port), thinks, why),
        what=what,
    )


_UNREADABLE = Host("", 0, "", (), HostView("", "unknown"), UNREADABLE.format("hosts"))


class Listeners(SourceAnswer):
    """The answer to `/listeners`: listener → the port it really has."""

    where, instead = " /listeners", "something that is no list of them"

    def __init__(self) -> None:
        self.ports: dict[str, int] = {}
        every = Into(item=self._listener, opened=self._begin, wrong=self.refuse)
        super().__init__(Into({"listener_statuses": every}, wrong=self.refuse))

    def _begin(self, _: bool) -> None:
        self.ports = {}

    def _listener(self, raw: bytes) -> None:
        status = typed(raw, _LISTENER)
        if status is None:
            self.refuse()
        else:
            self.ports[status.name] = place_of(status.local_address)[1]
            self.kept += _CLUSTER_BYTES + len(status.name)
