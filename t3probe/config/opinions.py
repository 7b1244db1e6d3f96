"""`[[opinion]]`: whom to ask what he thinks of his own part of the path, and its checks."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal
from urllib.parse import urlsplit

from .endpoints import is_address, parse_url
from .errors import ConfigFile, KeyPath, Wrong, did_you_mean
from .table import Duration, Table

MOST_OPINIONS = 16
MOST_SERVICES = 16
MOST_SECONDS = 10.0
_SERVICE = re.compile(r"[A-Za-z0-9._-]{1,200}@[a-z0-9-]{1,40}")


class OpinionSource(Table, frozen=True, kw_only=True):
    """One `[[opinion]]`: what a program on the path says of itself. It stands beside the verdict,
    with what the two disagree about, and changes nothing in it: neither the verdict nor a gate nor
    an exit code. It is asked before a run's first beat and after its last one."""

    name: str
    """What it is called: 1 to 63 of a-z, 0-9, dots, - and _. A login comes from
    T3PROBE_OPINION_NAME_TOKEN, or _USER and _PASSWORD, each also with _FILE."""
    kind: Literal["cloudflared", "traefik"]
    """cloudflared: its metrics server, `/ready` and `/metrics`; traefik: its API, `/api/overview`
    and `/api/http/services/NAME@PROVIDER`."""
    segment: str
    """The declared segment that it speaks about."""
    url: str
    """http:// or https://, the base: what is asked for is put behind it."""
    services: tuple[str, ...] = ()
    """traefik: the services whose health is the opinion, as NAME@PROVIDER; without one it is
    whether an error stands in its configuration."""
    timeout: Duration = Duration(2)
    """How long all of its answers together may take, 10s at most."""
    token_file: str | None = None
    """A file that holds a bearer token, relative to this file, for an https:// URL or one on
    loopback."""
    vantages: tuple[str, ...] = ()
    """The vantages it can be asked from; default: all."""


def opinion_site(name: str) -> str:
    """The site whose login it has, as `login_of` calls it."""
    return "opinion_" + re.sub(r"[-.]", "_", name)


def opinions_for(opinions: Iterable[OpinionSource], vantage: str) -> list[OpinionSource]:
    """Those that can be asked from a vantage; without one stated, all."""
    return [one for one in opinions if not one.vantages or not vantage or vantage in one.vantages]


def check_opinions(
    opinions: Sequence[OpinionSource], declared: Mapping[str, None], source: ConfigFile
) -> None:
    """Raise DeploymentError for the first mistake in them, names of vantages aside."""
    if len(opinions) > MOST_OPINIONS:
        expected = f"at most {MOST_OPINIONS} opinions, which are all asked at once"
        raise source.error(("opinion",), expected, shown=str(len(opinions)))
    taken: set[str] = set()
    for number, one in enumerate(opinions):
        path: KeyPath = ("opinion", number)
        if opinion_site(one.name) in taken:
            raise source.error((*path, "name"), "a name that is not taken", one.name)
        taken.add(opinion_site(one.name))
        if one.segment not in declared:
            otherwise = "add it to segments, or correct it here"
            hint = did_you_mean(one.segment, declared, otherwise)
            raise source.error((*path, "segment"), "a declared segment", one.segment, hint)
        _check_asked(one, path, source)


def _on_loopback(host: str) -> bool:
    return host == "::1" or (host.startswith("127.") and is_address(host))


def _check_asked(one: OpinionSource, path: KeyPath, source: ConfigFile) -> None:
    try:
        parse_url(one.url, ("http", "https"))
    except Wrong as problem:
        source.wrong((*path, "url"), problem, one.url)
    if "?" in one.url or "#" in one.url:
        hint = "take ? or # and what follows it out"
        raise source.error((*path, "url"), "a URL without a query", one.url, hint)
    if one.timeout > MOST_SECONDS:
        expected = f"at most {MOST_SECONDS:g}s: a run waits for it before its first beat"
        raise source.error((*path, "timeout"), expected, shown=f"{one.timeout:g}s")
    if one.token_file is not None:
        if not one.token_file or "\0" in one.token_file:
            raise source.error((*path, "token_file"), "the name of a file", one.token_file)
        parts = urlsplit(one.url)
        if parts.scheme != "https" and not _on_loopback(parts.hostname or ""):
            expected = "https:// or a loopback address beside token_file"
            raise source.error((*path, "url"), expected, one.url)
    if one.services and one.kind != "traefik":
        expected = "no services beside kind cloudflared"
        raise source.error((*path, "services"), expected, shown="some")
    if len(one.services) > MOST_SERVICES:
        expected = f"at most {MOST_SERVICES} services"
        raise source.error((*path, "services"), expected, shown=str(len(one.services)))
    for at, name in enumerate(one.services):
        if not _SERVICE.fullmatch(name):
            expected = "NAME@PROVIDER, as Traefik's own page of services has it"
            raise source.error((*path, "services"), expected, name)
        if name in one.services[:at]:
            raise source.error((*path, "services"), "each service once", name)
