"""From a leg to the addresses to dial: pinned, literal, the system's resolver, or DoH.

DoH providers are tried in order until one answers, and asked once per name and run: every
leg of a run dials the same answer. A resolver for days gives its answers an age at which they
are asked for anew.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterable, Sequence
from typing import NamedTuple
from urllib.parse import urlsplit

from t3probe.config.endpoints import is_address, plain_host
from t3probe.config.types import Leg
from t3probe.exchange.bounds import ADDRESSES as MAX_ADDRESSES
from t3probe.probes.base import Probing
from t3probe.probes.facts import Facts, ProbeError, Target

_DEFAULT_PORTS = {"https": 443, "wss": 443, "http": 80, "ws": 80}


class ResolveError(Exception):
    """No resolver gave an address: the leg that needs it is inconclusive."""

    def __init__(self, detail: str, *, nameless: bool = False) -> None:
        super().__init__(detail)
        self.detail = detail
        self.nameless = nameless
        """Every resolver answered, and knows no address of the name."""


class Known(NamedTuple):
    """What the resolvers know about a name."""

    addresses: list[str]
    note: str = ""
    """A sentence about what else they said; empty when there is nothing to say."""


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
        self._asked: dict[tuple[tuple[str, ...], str], asyncio.Future[Known]] = {}
        self._asked_at: dict[tuple[tuple[str, ...], str], float] = {}

    async def doh(self, providers: tuple[str, ...], name: str, probing: Probing) -> Known:
        """The addresses of `name` from the first provider that has any. Raises ResolveError."""
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
        """Forget every answer: the next look-up asks again."""
        for key in [key for key, asked in self._asked.items() if asked.done()]:
            del self._asked[key], self._asked_at[key]

    async def aclose(self) -> None:
        """Cancel what is still being asked."""
        for asked in self._asked.values():
            if not asked.done():
                asked.cancel()
        await asyncio.gather(*self._asked.values(), return_exceptions=True)


async def _ask(providers: tuple[str, ...], name: str, probing: Probing) -> Known:
    from t3probe.probes.doh import ANSWERED, NoAddress, ask_address
    from t3probe.probes.http_client import HttpClient

    said: list[tuple[str, str]] = []
    """Provider and complaint."""
    answered = True
    """Each complaint is what a provider answered."""
    nameless: list[str] = []
    """Providers that know no address."""
    limit = max(probing.timing.connect_timeout, 1.0)
    for url in providers:
        parts = urlsplit(url)
        target = Target(parts.hostname or "", parts.hostname or "", parts.port or 443)
        client = HttpClient(target, probing, Facts())
        try:
            told = await ask_address(client, url, name, limit)
            addresses = _each_once(told.addresses)
            notes = [f"{target}: {told.note}"] if told.note else []
            if nameless:
                notes.append(disagreement(name, nameless, str(target)))
            return Known(addresses, "; ".join(notes))
        except NoAddress as error:
            said.append((str(target), error.words))
            nameless.append(str(target))
        except ProbeError as error:
            answered = answered and error.detail.startswith(ANSWERED)
            said.append((str(target), error.detail.removeprefix(ANSWERED)))
        finally:
            await client.close()
    detail = f"no address of {name}: {_from_each(said, answered)}"
    if len(nameless) < len(providers):
        raise ResolveError(detail)
    raise ResolveError(f"{detail}: that is about the name, not about DoH", nameless=True)


def disagreement(name: str, without: Sequence[str], provider: str) -> str:
    """That providers do not say the same about a name."""
    verb = "knows" if len(without) == 1 else "know"
    return (
        f"the DoH providers disagree about {name}: {', '.join(without)} {verb} no address, "
        f"{provider} answers with one"
    )


def _from_each(said: Sequence[tuple[str, str]], answered: bool) -> str:
    """`SERVFAIL from both providers`, or what came of each of them."""
    words = said[0][1]
    if len(said) > 1 and answered and all(one == words for _, one in said):
        every = "both" if len(said) == 2 else f"all {len(said)}"
        return f"{said[0][1]} from {every} providers"
    return "; ".join(f"{provider}: {words}" for provider, words in said)


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


async def targets(leg: Leg, probing: Probing, resolver: Resolver) -> list[Target]:
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
            known = await resolver.doh(leg.doh, host, probing)
        except ResolveError as error:
            # A name that is gone leads nobody there.
            if not leg.fallback or error.nameless:
                raise
            words = "no DoH provider gave an address; dialled the address in the file"
            written = [split_address(text, port) for text in leg.fallback]
            return [Target(host, address, number, words) for address, number in written]
    else:
        known = Known(await _system(host, port, limit))
    return [Target(host, one, port, known.note) for one in known.addresses]
