"""What sources found, as legs of the deployment. Pure.

One address is one leg, however many sources, routes and listeners name it: it is probed once,
has one segment of its own, and all its places. A static `[[upstream]]` with that address keeps
its name and takes the places on. One at an address that a declared leg dials takes that leg's
path; an address of loopback is another machine's when its source is on another one. Names are made
from the first place, in order of route and port: `envoy-orders-8443-10.0.0.7:9000`.

A cluster without a host is a leg without an address, `envoy-orders-8443-no-host`. It crosses
nothing but a segment of its own: that no host is there says nothing about a rack or a switch.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

import msgspec

from t3probe.config.dialled import Shares, far_ends, is_loopback
from t3probe.config.endpoints import parse_address, parse_url, plain_host
from t3probe.config.types import Deployment, Leg, UpstreamPlace
from t3probe.text.names import UPSTREAM_LEG, UPSTREAM_SEGMENT, segment_of_upstream
from t3probe.upstreams.sources import Backend, Hostless, either_weight

if TYPE_CHECKING:
    from t3probe.upstreams.sources_read import Reading

NO_HOST = "no-host"
"""The backend's label of a leg that has none."""

ROUTE_LIMIT = 60
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


def leg_name(place: UpstreamPlace, backend: str) -> str:
    """The name of a found upstream's leg."""
    route = _UNSAFE.sub("-", place.route).strip("-.")[:ROUTE_LIMIT] or "route"
    port = f"-{place.listen_port}" if place.listen_port else ""
    return f"{UPSTREAM_LEG}{route}{port}-{backend}"


def keywords(leg: Leg) -> set[str]:
    """What a leg can be selected by (`-k`) beside its name."""
    found: set[str] = set()
    for place in leg.places:
        found.update((place.source, place.route, *place.words))
        if place.listen_port:
            found.add(str(place.listen_port))
    return found - {""}


def with_found(deployment: Deployment, readings: Iterable[Reading]) -> Deployment:
    """The deployment with the upstreams of its sources."""
    readings = tuple(readings)
    shares = Shares(deployment.upstream_share)
    listed = {
        _plain(parse_address(leg.address)): leg
        for leg in deployment.legs
        if leg.upstream and leg.address is not None
    }
    found: dict[str, list[tuple[Backend, Reading]]] = {}
    for reading in readings:
        for backend in reading.found.backends if reading.found is not None else ():
            found.setdefault(backend.address, []).append((backend, reading))
    new = _hostless(readings)
    if not found and not new:
        return deployment
    ends = far_ends(deployment.legs)
    own_segments = frozenset(deployment.own_segments)
    changed: dict[str, Leg] = {}
    for address, several in found.items():
        places = _places(backend.place for backend, _ in several)
        shared = dict.fromkeys(one for _, reading in several for one in reading.source.shares)
        leg = listed.get(_plain(parse_address(address)))
        if leg is not None:
            path = tuple(dict.fromkeys((*shared, *leg.path)))  # they lie before where it ends
            if leg.path[-1] in own_segments:
                path = (*dict.fromkeys((*leg.path[:-1], *shared)), leg.path[-1])
            changed[leg.name] = msgspec.structs.replace(leg, places=places, path=path)
            continue
        name = leg_name(places[0], address)
        own = segment_of_upstream(name)
        shared.update(dict.fromkeys(shares.of(several[0][0].host)))
        plain = _plain(parse_address(address))
        same = ends.get(plain)
        if is_loopback(plain[0]) and any(_remote(reading) for _, reading in several):
            same = None
        trusts = None if same is None else same.trust_refusals
        if trusts is None and not deployment.trust_refusals:
            trusts = False
        new.append(
            Leg(
                name=name,
                kind="tcp",
                path=tuple(dict.fromkeys((*shared, *((own,) if same is None else same.path)))),
                address=address,
                tcp_ends_at=own if same is None else same.tcp_ends_at,
                trust_refusals=trusts,
                route=places[0].route,
                listen_port=places[0].listen_port,
                backend=address,
                upstream=True,
                places=places,
            )
        )
    new.sort(key=lambda leg: leg.name)
    made = (leg.path[-1] for leg in new if leg.path[-1].startswith(UPSTREAM_SEGMENT))
    return msgspec.structs.replace(
        deployment,
        legs=(*(changed.get(leg.name, leg) for leg in deployment.legs), *new),
        own_segments=(*deployment.own_segments, *made),
    )


def _hostless(readings: Iterable[Reading]) -> list[Leg]:
    """The routes without a host, a leg for each cluster."""
    found: dict[tuple[str, str], list[Hostless]] = {}
    for reading in readings:
        for one in reading.found.hostless if reading.found is not None else ():
            found.setdefault((one.place.source, one.place.route), []).append(one)
    made: dict[str, Leg] = {}
    for several in found.values():
        places = _places(one.place for one in several)
        name = leg_name(places[0], NO_HOST)
        if name in made:
            # Two sources, or two clusters whose names are one as a label.
            places = _places((*made[name].places, *places))
            several = [Hostless(places[0], made[name].hostless), *several]
        own = segment_of_upstream(name)
        made[name] = Leg(
            name=name,
            kind="tcp",
            path=(own,),
            tcp_ends_at=own,
            route=places[0].route,
            listen_port=places[0].listen_port,
            backend=NO_HOST,
            upstream=True,
            places=places,
            hostless="; ".join(dict.fromkeys(one.words for one in several)),
        )
    return list(made.values())


def _remote(reading: Reading) -> bool:
    """Whether a source is on another machine than we are."""
    return not is_loopback(parse_url(reading.source.url, ("http", "https")).host)


def _places(several: Iterable[UpstreamPlace]) -> tuple[UpstreamPlace, ...]:
    """Each place once, in an order that does not depend on the sources' own."""
    several = tuple(several)
    if len(several) == 1:
        return several
    found: dict[tuple[str, str, int], UpstreamPlace] = {}
    for one in several:
        key = one.source, one.route, one.listen_port
        if key in found:
            words = tuple(dict.fromkeys((*found[key].words, *one.words)))
            weight = either_weight(one.weight, found[key].weight)
            found[key] = msgspec.structs.replace(found[key], words=words, weight=weight)
        else:
            found[key] = one
    return tuple(sorted(found.values(), key=lambda one: (one.route, one.listen_port, one.source)))


def _plain(address: tuple[str, int]) -> tuple[str, int]:
    return plain_host(address[0]), address[1]
