"""Envoy's `/clusters?format=json`: which hosts it has now, and what it thinks of them. Pure.

Source: envoy.admin.v3.Clusters, HostStatus and HostHealthStatus.
"""

from __future__ import annotations

import msgspec
from msgspec import Raw, Struct

from t3probe.upstreams.envoy_config import UNREADABLE, Address, Locality, decoded, place_of
from t3probe.upstreams.sources import Body, HostView, Notes, Opinion, SourceError, backend_of

__all__ = ["UNREADABLE", "Host", "opinion", "read_clusters", "read_listeners"]


class Health(Struct):
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
    address: Address | None = None
    health_status: Health = msgspec.field(default_factory=Health)
    weight: int | None = None
    hostname: str = ""
    priority: int = 0
    locality: Locality | None = None


class ClusterStatus(Struct):
    name: str = ""
    host_statuses: list[Raw] = []


class Clusters(Struct):
    cluster_statuses: list[Raw] = []


class ListenerStatus(Struct):
    name: str = ""
    local_address: Address | None = None


class Listeners(Struct):
    listener_statuses: list[ListenerStatus] = []


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


def opinion(health: Health, weight: int | None = None) -> tuple[Opinion, str]:
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


def read_clusters(body: Body, notes: Notes) -> dict[str, list[Host]]:
    """The hosts of every cluster, those that cannot be read too. Raises SourceError when it is no
    such answer at all."""
    try:
        answer = msgspec.json.decode(body, type=Clusters)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise SourceError("answers /clusters with something that is no list of them") from None
    found: dict[str, list[Host]] = {}
    for raw in answer.cluster_statuses:
        cluster = decoded(raw, ClusterStatus, "clusters", notes)
        if cluster is None:
            continue
        hosts = found.setdefault(cluster.name, [])
        for one in cluster.host_statuses:
            status = decoded(one, HostStatus, "hosts", notes)
            hosts.append(_UNREADABLE if status is None else _host(status))
    return found


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


def read_listeners(body: Body) -> dict[str, int]:
    """Listener → the port it really has. Raises SourceError."""
    try:
        answer = msgspec.json.decode(body, type=Listeners)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise SourceError("answers /listeners with something that is no list of them") from None
    return {one.name: place_of(one.local_address)[1] for one in answer.listener_statuses}
