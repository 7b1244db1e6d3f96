"""Envoy's opinion about an upstream beside what the probe saw. Pure.

Nothing is claimed where either side is not sure: when Envoy's opinion at the run's end is
another one than at its start, when it has none yet, when the upstream changed under the run, or
the probe could not tell. A host that Envoy lets run out is no disagreement, however it answers.
A name that our resolver does not know counts as not reachable from here: whether both resolve it
is part of the question.
"""

from __future__ import annotations

from collections.abc import Container, Mapping

import msgspec

from t3probe.config.endpoints import parse_address
from t3probe.config.types import Leg, UpstreamPlace
from t3probe.observation import Disagreement, EnvoyView, Observation
from t3probe.upstreams.sources import HostView, Opinion, Views, backend_of

Known = Mapping[str, Views]
"""Source → what its Envoy thinks."""

_CHANGED = "it changed during the run"
_GONE = "Envoy took it out of the cluster during the run"
_RANK: dict[Opinion, int] = {
    "unhealthy": 0, "unknown": 1, "draining": 2, "degraded": 3, "healthy": 4,
}  # fmt: skip


def compared(
    seen: Observation,
    leg: Leg,
    before: Known,
    after: Known,
    empty: Container[tuple[str, str]] = (),
) -> Observation:
    """What was seen, with Envoy's view of each place.

    `before` is from the run's start, `after` from its end; a source that could not be read again
    is not in `after`. `empty`: sources and routes that had no host at the end. An upstream that
    failed while Envoy let it run out, or took it out, is no failure: it takes no part, like one
    under planned downtime.
    """
    if leg.hostless:
        return msgspec.structs.replace(seen, views=tuple(_nobody(one) for one in leg.places))
    address = backend_of(*parse_address(leg.address)) if leg.address else ""
    views = tuple(_view(seen, place, address, before, after) for place in leg.places)
    if not views:
        return seen
    # What the file names, or a source without an opinion, is wanted whatever Envoy says.
    theirs = bool(leg.backend) and all(place.source in before for place in leg.places)
    leaving = all(one.opinion == "draining" or one.detail == _GONE for one in views)
    # A cluster that has nobody left is no upstream on its way out.
    emptied = any((place.source, place.route) in empty for place in leg.places)
    planned = seen.planned
    if theirs and leaving and not emptied and seen.outcome == "failed" and not planned:
        planned = f"Envoy sends it nothing: {views[0].detail}"
    return msgspec.structs.replace(seen, views=views, planned=planned)


def _nobody(place: UpstreamPlace) -> EnvoyView:
    port = str(place.listen_port or "")
    return EnvoyView(
        route=place.route, listen_port=port, opinion="unhealthy", detail="it has no host to use"
    )


def reached(seen: Observation) -> bool | None:
    """Whether we can connect: True and False when that held all through the run, else None."""
    if seen.planned:
        return None
    if seen.outcome == "inconclusive":
        return False if seen.reason == "resolver_failed" else None
    good = any(beat.ok for beat in seen.beats)
    if seen.connected and not seen.drops:
        return True
    if seen.connected is False and not good:
        return False
    return None


def _view(
    seen: Observation, place: UpstreamPlace, address: str, before: Known, after: Known
) -> EnvoyView:
    if place.source not in before:
        return EnvoyView(route=place.route, listen_port=str(place.listen_port or ""))
    key = place.route, address
    first = before[place.source].get(key)
    opinion, detail = _summed(first)
    if place.weight == 0 and first is not None:
        opinion, detail = "draining", "weight 0"
    told: tuple[Disagreement, ...] | None = None
    if place.source not in after:
        pass  # its view may be an old one by now: shown, and nothing is claimed
    elif first is None:
        opinion, detail = "unknown", "Envoy does not say"
    elif (second := after[place.source].get(key)) is None:
        opinion, detail = "unknown", _GONE
    elif _essence(second) != _essence(first):
        opinion, detail = "unknown", _CHANGED
    else:
        told = () if opinion == "draining" else _told(seen, first)
    return EnvoyView(
        route=place.route,
        listen_port=str(place.listen_port or ""),
        opinion=opinion,
        detail=detail,
        disagreements=told,
    )


def _summed(hosts: tuple[HostView, ...] | None) -> tuple[Opinion, str]:
    """The opinion about several addresses of one backend: the best one, as Envoy would use it."""
    if not hosts:
        return "unknown", ""
    best = max(hosts, key=lambda one: _RANK[one.opinion])
    return best.opinion, best.detail


def _essence(hosts: tuple[HostView, ...]) -> set[tuple[str, Opinion]]:
    return {(one.address, one.opinion) for one in hosts}


def _told(seen: Observation, hosts: tuple[HostView, ...]) -> tuple[Disagreement, ...] | None:
    ours = reached(seen)
    if ours is None:
        return None
    tries = {one.address: one.ok for one in seen.addresses if not one.skipped}
    # Where both resolved the name to different addresses, only the whole can be compared.
    pairs = [(one.opinion, ours and tries[one.address]) for one in hosts if one.address in tries]
    if not pairs:
        pairs = [(_summed(hosts)[0], ours)]
    sure = [(opinion, ok) for opinion, ok in pairs if opinion != "unknown"]
    if not sure:
        return None
    kinds: list[Disagreement] = []
    if any(opinion in {"healthy", "degraded"} and not ok for opinion, ok in sure):
        kinds.append("envoy_only")
    if any(opinion == "unhealthy" and ok for opinion, ok in sure):
        kinds.append("probe_only")
    return tuple(kinds)
