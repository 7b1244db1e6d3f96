"""How much of everything one client, and all of them together, may have, and who a client is.
Pure.

A request is the socket's peer's, or that of the address which a trusted proxy names.
"""

from __future__ import annotations

import ipaddress
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

Open = TypeVar("Open")
"""A connection that counts against a visitor's limits."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The responder's bounds. Durations in seconds, sizes in bytes."""

    connections: int = 2000
    """WebSockets open at once."""
    per_address: int = 200
    """WebSockets of one address open at once."""
    pages: int = 256
    """Answers with a page or a record under way at once; past it the oldest goes."""
    waiting: int = 12_000
    """Connections that are no WebSocket (yet, or any more) at once; past it the oldest goes."""
    dials_per_second: float = 10.0
    """Upgrades of one address, and how many at once after a pause."""
    dials_burst: int = 200
    messages_per_second: float = 50.0
    """Frames of one address, control frames too, and how many at once after a pause."""
    messages_burst: int = 500
    head_bytes: int = 16_384
    message_bytes: int = 65_536
    held_bytes: int = 16 << 20
    """Unfinished requests and messages and unsent answers, of all connections together."""
    small_bytes: int = 4096
    """Who holds no more than this is not cut when `held_bytes` is used up."""
    handshake: float = 10.0
    """From the accept to the end of the request's head."""
    message: float = 10.0
    """From a message's first byte to its last."""
    write: float = 10.0
    """How long an answer may wait for a reader, and a page for its last byte."""
    idle: float = 90.0
    """How long a WebSocket may say nothing."""
    close: float = 2.0
    """How long a closing connection is waited for."""
    told: float = 15.0
    """How long the health page says that an address was refused for its limits."""
    drain: float = 3.0
    """How long all of them are waited for when the responder stops."""


class Bucket:
    """A token bucket: `burst` at once, `rate` per second afterwards."""

    __slots__ = ("_at", "_tokens", "burst", "rate")

    def __init__(self, rate: float, burst: int, now: float) -> None:
        self.rate = rate
        self.burst = burst
        self._tokens = float(burst)
        self._at = now

    def take(self, now: float) -> bool:
        """Take one token at `now` (monotonic seconds); False when there is none."""
        self._tokens = self.level(now)
        self._at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True

    def full(self, now: float) -> bool:
        """Whether it remembers nothing."""
        return self.level(now) >= self.burst

    def level(self, now: float) -> float:
        """How many tokens there are."""
        return min(self.burst, self._tokens + max(0.0, now - self._at) * self.rate)


class Visitor(Generic[Open]):
    """What one address (one /64 of IPv6) has."""

    __slots__ = ("dials", "messages", "open", "refused")

    def __init__(self, limits: Limits, now: float) -> None:
        self.open: dict[Open, None] = {}
        self.dials = Bucket(limits.dials_per_second, limits.dials_burst, now)
        self.messages = Bucket(limits.messages_per_second, limits.messages_burst, now)
        self.refused = -math.inf
        """When it was last refused for a limit, not for what it did."""

    def refused_lately(self, limits: Limits, now: float) -> bool:
        """Whether that is not long ago."""
        return now - self.refused < limits.told


@dataclass(slots=True)
class Visitors(Generic[Open]):
    """Everybody who is here or was a moment ago; bounded."""

    limits: Limits
    most: int = 20_000
    """Addresses to remember; past it those with nothing open are forgotten, oldest first."""
    known: dict[str, Visitor[Open]] = field(default_factory=dict)

    def of(self, address: str, now: float) -> Visitor[Open]:
        """The visitor at `address`, made when new."""
        found = self.known.get(address)
        if found is None:
            if len(self.known) >= self.most:
                absent = (one for one, visitor in self.known.items() if not visitor.open)
                for one in [one for _, one in zip(range(self.most // 10), absent, strict=False)]:
                    del self.known[one]
            found = self.known[address] = Visitor(self.limits, now)
        return found

    def forget(self, now: float) -> None:
        """Let go of whoever has nothing open and no debts."""
        gone = [
            address
            for address, one in self.known.items()
            if not one.open
            and one.dials.full(now)
            and one.messages.full(now)
            and not one.refused_lately(self.limits, now)
        ]
        for address in gone:
            del self.known[address]

    def greediest(self) -> Visitor[Open]:
        """The visitor with the most open. Raises ValueError when there is nobody."""
        return max(self.known.values(), key=lambda one: len(one.open))


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
