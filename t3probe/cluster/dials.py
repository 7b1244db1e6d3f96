"""Which hosts and ports a deployment's legs dial, and how their addresses are found. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from t3probe.config import Deployment, Leg, legs_for, parse_address, parse_pin, parse_url
from t3probe.config.endpoints import is_address, plain_host

__all__ = ["Dial", "dials"]

Found = Literal["address", "public", "cluster"]


@dataclass(frozen=True)
class Dial:
    """One target."""

    host: str
    port: int
    found: Found
    """`address`: the host is one; `public`: a name that DoH resolves; `cluster`: a name that the
    cluster's own DNS resolves."""
    who: str
    """The leg, or the place in the deployment that names it."""


def dials(deployment: Deployment, vantage: str = "") -> list[Dial]:
    """All targets of the legs that run from `vantage` (empty: the deployment's own), and of the
    delivery and the sources of upstreams, in order. What those will name is not known here."""
    found = [dial for leg in legs_for(deployment, vantage)[0] for dial in _leg(leg)]
    named = (
        ("gateway", deployment.delivery.gateway),
        ("heartbeat_url", deployment.delivery.heartbeat_url),
    )
    at = vantage or deployment.vantage
    sources = (
        (f"source-{one.name}", one.url)
        for one in deployment.upstream_source
        if not one.vantages or not at or at in one.vantages
    )
    for who, url in (*named, *sources):
        if url is not None:
            parts = parse_url(url, ("http", "https"))
            found.append(_direct(parts.host, parts.port, who))
    return found


def _leg(leg: Leg) -> Iterator[Dial]:
    for provider in leg.doh:
        url = parse_url(provider, ("https",))
        yield _direct(url.host, url.port, leg.name)
    for address in (*leg.addresses, *([leg.address] if leg.address else [])):
        yield _direct(*parse_address(address), leg.name)
    if leg.url is None:
        return
    url = parse_url(leg.url, ("http", "https", "ws", "wss"))
    if leg.pin is not None:
        pinned, port = parse_pin(leg.pin)
        yield _direct(pinned, url.port if port is None else port, leg.name)
        return
    direct = _direct(url.host, url.port, leg.name)
    if direct.found == "cluster" and leg.doh:
        yield Dial(url.host, url.port, "public", leg.name)
        for text in leg.fallback:
            host, port = parse_pin(text)
            yield _direct(host, url.port if port is None else port, leg.name)
    else:
        yield direct


def _direct(host: str, port: int, who: str) -> Dial:
    return Dial(plain_host(host), port, "address" if is_address(host) else "cluster", who)
