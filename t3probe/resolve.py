"""From a leg to the addresses to dial: pinned, literal, the system's resolver, or DoH.

DoH providers are tried in order until one answers, and asked once per name and run: every
leg of a run dials the same answer. A resolver for days gives its answers an age at which they
are asked for anew.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterable
from urllib.parse import urlsplit

from t3probe.config.endpoints import is_address, plain_host
from t3probe.config.types import Leg
from t3probe.probes.base import Facts, ProbeError, Probing, Target

__all__ = ["ResolveError", "Resolver", "split_address", "targets"]

MAX_ADDRESSES = 32
"""Of a longer answer only this many are dialled: no answer makes us a scanner."""
_DEFAULT_PORTS = {"https": 443, "wss": 443, "http": 80, "ws": 80}


class ResolveError(Exception):
    """No resolver gave an address: the leg that needs it is inconclusive."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


def split_address(text: str, port: int = 0) -> tuple[str, int]:
    """`host:port`, `[v6]:port`, or a bare host with the default `port`."""
    if text.startswith("["):
        host, _, rest = text[1:].partition("]")
        return host, int(rest[1:]) if rest.startswith(":") else port
    if text.count(":") == 1:
        host, _, number = text.partition(":")
        return host, int(number)
    return text, port


class Resolver:
    """Answers names for one run, each asked once.

    With `max_age_seconds` an older answer is asked for again when somebody needs it.
    """

    def __init__(self, max_age_seconds: float | None = None) -> None:
        self._max_age = max_age_seconds
        self._asked: dict[tuple[tuple[str, ...], str], asyncio.Future[list[str]]] = {}
        self._asked_at: dict[tuple[tuple[str, ...], str], float] = {}

    async def doh(self, providers: tuple[str, ...], name: str, probing: Probing) -> list[str]:
        """The addresses of `name` from the first provider that answers. Raises ResolveError."""
        key, now = (providers, name), probing.clock.now()
        old = key in self._asked and self._asked[key].done() and self._max_age is not None
        if old and now - self._asked_at[key] >= (self._max_age or 0.0):
            del self._asked[key], self._asked_at[key]
        if key not in self._asked:
            self._asked[key] = asyncio.ensure_future(_ask(providers, name, probing))
            self._asked_at[key] = now
        asked = self._asked[key]
        try:
            return await asyncio.shield(asked)
        except ResolveError:
            if self._asked.get(key) is asked:
                del self._asked[key], self._asked_at[key]  # a later attempt may ask again
            raise

    def forget(self) -> None:
        """Forget every answer: whoever needs one asks again."""
        for key in [key for key, asked in self._asked.items() if asked.done()]:
            del self._asked[key], self._asked_at[key]

    async def aclose(self) -> None:
        """Cancel what is still being asked."""
        for asked in self._asked.values():
            if not asked.done():
                asked.cancel()
        await asyncio.gather(*self._asked.values(), return_exceptions=True)


async def _ask(providers: tuple[str, ...], name: str, probing: Probing) -> list[str]:
    from t3probe.probes.doh import ask_address
    from t3probe.probes.http_client import HttpClient

    complaints = []
    limit = max(probing.timing.connect_timeout, 1.0)
    for url in providers:
        parts = urlsplit(url)
        target = Target(parts.hostname or "", parts.hostname or "", parts.port or 443)
        client = HttpClient(target, probing, Facts())
        try:
            found, _ = await ask_address(client, url, name, limit)
            return _each_once(found)
        except ProbeError as error:
            complaints.append(f"{target}: {error.detail}")
        finally:
            await client.close()
    raise ResolveError("no DoH provider answered: " + "; ".join(complaints))


async def _system(host: str, port: int, limit: float) -> list[str]:
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(limit):
            found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, TimeoutError, UnicodeError) as error:
        words = getattr(error, "strerror", None) or "no answer in time"
        raise ResolveError(f"the system's resolver does not know {host}: {words}") from error
    return _each_once(str(one[4][0]) for one in found)


def _each_once(addresses: Iterable[str]) -> list[str]:
    """The first of each address, whatever its text; a bounded number."""
    once: dict[str, str] = {}
    for one in addresses:
        once.setdefault(plain_host(one), one)
    return list(once.values())[:MAX_ADDRESSES]


async def targets(leg: Leg, probing: Probing) -> list[Target]:
    """Every address of the leg, in the order to prefer them. Raises ResolveError."""
    limit = probing.timing.connect_timeout
    if leg.kind == "doh":
        urls = [urlsplit(url) for url in leg.doh]
        return [Target(u.hostname or "", u.hostname or "", u.port or 443) for u in urls]
    if leg.kind == "tcp":
        found: list[Target] = []
        for text in leg.addresses or (leg.address or "",):
            host, port = split_address(text)
            hosts = [host] if is_address(host) else await _system(host, port, limit)
            found += [Target(host, one, port) for one in hosts]
        return found
    parts = urlsplit(leg.url or "")
    host, port = parts.hostname or "", parts.port or _DEFAULT_PORTS[parts.scheme]
    if leg.pin is not None:
        address, pinned_port = split_address(leg.pin, port)
        return [Target(host, address, pinned_port)]
    if is_address(host):
        return [Target(host, host, port)]
    if leg.doh:
        try:
            addresses = await probing.resolver.doh(leg.doh, host, probing)
        except ResolveError:
            if not leg.fallback:
                raise
            known = [split_address(text, port) for text in leg.fallback]
            return [Target(host, address, number, from_file=True) for address, number in known]
    else:
        addresses = await _system(host, port, limit)
    return [Target(host, one, port) for one in addresses]
