"""Which segments an upstream shares with others, by its host: `[[upstream_share]]`. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from .endpoints import is_address, plain_host
from .errors import Wrong
from .types import UpstreamShare

__all__ = ["Shares", "parse_hosts"]

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
