"""One process, one segment: an upstream at an address that a leg dials is that leg's far end.

Such an upstream takes the leg's path, of several the shortest, in the place of a segment of its
own; otherwise one dead process would convict two segments. Pure.

`Shares` says which segments an upstream shares with others, by its host: `[[upstream_share]]`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from ipaddress import IPv4Address, IPv4Network, IPv6Network, ip_address, ip_network

import msgspec

from .endpoints import is_address, parse_address, parse_doh, parse_pin, parse_url, plain_host
from .errors import Wrong
from .types import Deployment, Leg, UpstreamShare

Ends = Mapping[tuple[str, int], Leg]
"""Host and port -> the leg with the shortest path that dials them."""
_SCHEMES = ("http", "https", "ws", "wss")


def dialled(leg: Leg) -> list[tuple[str, int]]:
    """The hosts and ports that a leg dials, as the file names them."""
    found = [parse_address(one) for one in (leg.address, *leg.addresses) if one]
    if leg.kind == "doh":
        found += [parse_doh(one)[1:3] for one in leg.doh]
    elif leg.url is not None:
        url = parse_url(leg.url, _SCHEMES)
        pins = [parse_pin(one) for one in (leg.pin, *leg.fallback) if one]
        found += [(host, port or url.port) for host, port in pins]
        if leg.pin is None and not leg.doh:
            found.append((url.host, url.port))
    return [(plain_host(host), port) for host, port in found]


def far_ends(legs: Iterable[Leg]) -> dict[tuple[str, int], Leg]:
    """What the declared legs dial. Upstreams are none of them."""
    found: dict[tuple[str, int], Leg] = {}
    for leg in legs:
        if leg.upstream:
            continue
        for end in dialled(leg):
            if end not in found or len(leg.path) < len(found[end].path):
                found[end] = leg
    return found


def is_loopback(host: str) -> bool:
    """Whether `host` is this machine, for the one that reads it."""
    if is_address(host):
        return ip_address(plain_host(host)).is_loopback
    return plain_host(host) == "localhost"


def of_a_machine(answer: str, providers: Iterable[str]) -> bool:
    """Whether a provider's answer may be some machine's address. Filters say no with 0.0.0.0, and
    some with 127.0.0.1: dialled, both are this very machine. `providers`: the hosts that were
    asked; one on this machine may mean it."""
    address = ip_address(plain_host(answer))
    if address.is_loopback:
        return any(map(is_loopback, providers))
    nowhere = address.is_unspecified or address.is_multicast
    return not nowhere and address != IPv4Address("255.255.255.255")


def to_look_up(deployment: Deployment) -> list[tuple[str, int]]:
    """The names that could turn out to be one machine: those of upstreams and of legs that dial
    the same port, where one of the two is a name and the other is not the same one."""
    ends = [*far_ends(deployment.legs)]
    found: dict[tuple[str, int], None] = {}
    for leg in _apart(deployment):
        (end,) = dialled(leg)
        for other in ends:
            if other[1] == end[1]:
                found.update(dict.fromkeys(one for one in (end, other) if not is_address(one[0])))
    return list(found)


def joined(deployment: Deployment, known: Mapping[tuple[str, int], frozenset[str]]) -> Deployment:
    """The deployment with upstreams on the paths of legs that dial the same addresses.

    `known` holds what names were found to be. A name that was not found is no leg's.
    """
    ends = far_ends(deployment.legs)

    def addresses(end: tuple[str, int]) -> frozenset[str]:
        return frozenset({end[0]}) if is_address(end[0]) else known.get(end, frozenset())

    changed: dict[str, Leg] = {}
    gone: set[str] = set()
    for leg in _apart(deployment):
        (end,) = dialled(leg)
        here = addresses(end)
        same = [one for other, one in ends.items() if other[1] == end[1]
                and here and here <= addresses(other)]  # fmt: skip
        if leg.places and any(is_loopback(one) for one in here):
            same = []  # its source decided whose loopback this is
        if same:
            to = min(same, key=lambda one: len(one.path))
            gone.add(leg.path[-1])
            path = tuple(dict.fromkeys((*leg.path[:-1], *to.path)))
            trusts = leg.trust_refusals if to.trust_refusals is None else to.trust_refusals
            changed[leg.name] = msgspec.structs.replace(
                leg, path=path, tcp_ends_at=to.tcp_ends_at, trust_refusals=trusts
            )
    if not changed:
        return deployment
    return msgspec.structs.replace(
        deployment,
        legs=tuple(changed.get(leg.name, leg) for leg in deployment.legs),
        own_segments=tuple(one for one in deployment.own_segments if one not in gone),
    )


def _apart(deployment: Deployment) -> Iterator[Leg]:
    """The upstreams that have an address, and a segment of their own."""
    own = frozenset(deployment.own_segments)
    for leg in deployment.legs:
        if leg.upstream and not leg.hostless and leg.path[-1] in own:
            yield leg


_GLOB = re.compile(r"[A-Za-z0-9_.*?-]{1,253}")

Hosts = IPv4Network | IPv6Network | re.Pattern[str]


def parse_hosts(text: str) -> Hosts:
    """A network, an address, or a host name in which `*` stands for any characters and `?` for
    one. Raises Wrong."""
    if "/" in text or is_address(text):
        try:
            found = ip_network(plain_host(text) if is_address(text) else text)
        except ValueError:
            hint = "the bits behind the prefix must be 0" if "/" in text else ""
            raise Wrong("a network such as 10.0.0.0/24", hint) from None
        mapped = getattr(found.network_address, "ipv4_mapped", None)
        if mapped is not None and found.prefixlen >= 96:
            return ip_network(f"{mapped}/{found.prefixlen - 96}")
        return found
    if not _GLOB.fullmatch(text):
        raise Wrong("a network, an address, or a host name with * and ?")
    parts = (".*" if one == "*" else "." if one == "?" else re.escape(one) for one in text.lower())
    return re.compile("".join(parts))


class Shares:
    """The rules, ready to be asked for ten thousand hosts."""

    def __init__(self, rules: Iterable[UpstreamShare]) -> None:
        self._rules = [(one.segment, [parse_hosts(text) for text in one.hosts]) for one in rules]

    def of(self, host: str) -> tuple[str, ...]:
        """The segments that an upstream on `host` crosses by these rules, in their order.

        A name is compared as it stands: it is not resolved.
        """
        if not self._rules:
            return ()
        name = plain_host(host)
        literal = ip_address(name) if is_address(name) else None
        found = (
            segment
            for segment, hosts in self._rules
            if any(
                one.fullmatch(name) is not None
                if isinstance(one, re.Pattern)
                else literal is not None and literal in one
                for one in hosts
            )
        )
        return tuple(dict.fromkeys(found))
