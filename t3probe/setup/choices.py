"""What a deployment file is made of: the answers a person gives, each checked by itself. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Literal

from t3probe.config import Wrong, parse_address, parse_pin, parse_url
from t3probe.config.endpoints import check_host, is_address
from t3probe.config.errors import quote

__all__ = ["DOH", "Answers", "address", "host", "internal", "name_of", "path", "sso", "url"]

DOH = ("https://1.1.1.1/dns-query", "https://8.8.8.8/dns-query")
"""Public resolvers by address (RFC 8484), as in `deployments/t3.toml`."""

Cdn = Literal["auto", "cloudflare", "none"]
LONGEST_NAME = 40


@dataclass(frozen=True, kw_only=True)
class Answers:
    """Everything that was said. Each value has passed its own check below."""

    host: str
    """The public host, with a port if it is not 443."""
    internal: str = ""
    """addr[:port] of the load balancer; empty: there is none, or it cannot be reached."""
    ws_path: str = "/probe/ws"
    """Where a WebSocket is echoed; empty: nowhere."""
    public: tuple[str, ...] = ()
    """Paths that must work without a session."""
    walled: tuple[str, ...] = ()
    """Paths that must ask for one."""
    sso: tuple[str, ...] = ()
    """Hosts of the single sign-on."""
    dispatch: str = ""
    """ws:// or wss:// URL of the process that takes WebSockets."""
    serve: str = ""
    """http:// or https:// URL of the process that serves the app."""
    machine: str = ""
    """http:// or https:// URL on the machine, or its host:port."""
    upstreams: tuple[str, ...] = ()
    """host:port of each."""
    cdn: Cdn = "auto"
    doh: tuple[str, ...] = field(default=DOH)
    envoy_admin: tuple[str, ...] = ()
    """http:// or https:// URLs of Envoys' admin interfaces, which name their upstreams."""
    ca: str = ""
    """A PEM file of certificate authorities; empty: the system's."""


def host(text: str) -> str:
    """A public host name, `name` or `name:port`. Raises Wrong."""
    expected = "a host name such as t3.example.org"
    if "/" in text:
        raise Wrong(expected, "leave out the scheme and the path")
    found = parse_url(f"https://{text}/", ("https",)).host
    check_host(found)
    if is_address(found):
        raise Wrong(expected, "an address has no public DNS; give it as --internal")
    return text


def internal(text: str) -> str:
    """addr[:port] of a load balancer. Raises Wrong."""
    parse_pin(text)
    return text


def path(text: str) -> str:
    """The path of a URL, which begins with a slash. Raises Wrong."""
    expected = "a path that begins with /, such as /probe"
    if not text.startswith("/") or "?" in text or "#" in text:
        raise Wrong(expected)
    parse_url(f"https://host.invalid{text}", ("https",))
    return text


def url(text: str, schemes: tuple[str, ...]) -> str:
    """A URL with one of `schemes`. Raises Wrong."""
    parse_url(text, schemes)
    return text


def address(text: str) -> str:
    """host:port. Raises Wrong."""
    parse_address(text)
    return text


def sso(text: str) -> str:
    """The host of a single sign-on, without port. Raises Wrong."""
    check_host(text)
    return text


def name_of(text: str, taken: set[str], otherwise: str) -> str:
    """A label-safe name made from a path or an address, that is not in `taken`; it is put
    there."""
    words = re.sub(r"[^a-z0-9]+", "-", text.lower())[:LONGEST_NAME].strip("-") or otherwise
    found, number = words, 2
    while found in taken:
        found, number = f"{words}-{number}", number + 1
    taken.add(found)
    return found


def refused(what: str, text: str, wrong: Wrong) -> str:
    """The sentence about an answer that is none."""
    hint = f"; {wrong.hint}" if wrong.hint else ""
    return f"{what}: expected {wrong.expected}, found {wrong.found or quote(text)}{hint}"
