"""Whose request it is: the socket's peer, or what a trusted proxy says of it. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence

__all__ = ["Proxies", "group"]

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_MOST_HOPS = 32


class Proxies:
    """The networks whose X-Forwarded-For is believed."""

    def __init__(self, networks: Iterable[str] = ()) -> None:
        """Raises ValueError for what is no network."""
        self._networks: tuple[_Network, ...] = tuple(
            ipaddress.ip_network(one, strict=False) for one in networks
        )

    def trusts(self, address: str) -> bool:
        """Whether `address` (an IP literal) is one of the proxies."""
        parsed = _parse(address)
        return parsed is not None and self._trusted(parsed)

    def client(self, peer: str, forwarded: Sequence[str]) -> str:
        """The group of the client's address.

        `peer` is the socket's address, `forwarded` the X-Forwarded-For values in their order.
        Without a trusted peer nobody's word is taken. Each proxy appends the address it was
        called from, so the entries are read from the right: the first that is no trusted proxy
        is the client. What stands left of it is the client's own word, and so is whatever is
        no address.
        """
        nearest = _parse(peer)
        if nearest is None:
            return peer
        if self._trusted(nearest):
            hops = ",".join(forwarded).rsplit(",", _MOST_HOPS)[-_MOST_HOPS:]
            for hop in reversed(hops):
                address = _parse(_without_port(hop.strip()))
                if address is None:
                    break
                nearest = address
                if not self._trusted(address):
                    break
        return group(nearest)

    def _trusted(self, address: _Address) -> bool:
        return any(address in network for network in self._networks)


def group(address: _Address) -> str:
    """What counts as one client: an IPv4 address, or an IPv6 network of 64 bits, since whoever
    has one address of such a network has all of them."""
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    return str(ipaddress.IPv6Network((int(address) >> 64 << 64, 64)))


def _parse(text: str) -> _Address | None:
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = getattr(address, "ipv4_mapped", None)
    return mapped or address


def _without_port(text: str) -> str:
    """`1.2.3.4:5` and `[::1]:5` without their ports; some proxies add them."""
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.partition(":")[0] if text.count(":") == 1 else text
