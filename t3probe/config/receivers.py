"""What types cannot say about receivers: `[[delivery.remote_write]]` and `[delivery.otlp]`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from .endpoints import check_header_name, parse_url
from .errors import NO_SECRETS, ConfigFile, KeyPath, Wrong, is_secret_key
from .trust import check_ca
from .types import NAME_PATTERN, Otlp, RemoteWrite

MOST_RECEIVERS = 8
LEAST_BYTES = 1 << 16
OWN_HEADERS = frozenset(
    {
        *("accept", "accept-encoding", "connection", "content-encoding", "content-length"),
        *("content-type", "expect", "host", "te", "trailer", "transfer-encoding", "upgrade"),
        *("user-agent", "x-prometheus-remote-write-version"),
    }
)
"""Header names, in lower case, that a request to a receiver has already, or that change how it is
read (RFC 9110; remote write 1.0, "Protocol")."""


def site_of(name: str) -> str:
    """The site whose login a receiver has, as `login_of` calls it."""
    word = re.sub(r"[-.]", "_", name).lower()
    return f"remote_write_{word}" if word else "remote_write"


def check_receivers(receivers: Sequence[RemoteWrite], source: ConfigFile) -> None:
    """Raise DeploymentError for the first mistake in them."""
    start: KeyPath = ("delivery", "remote_write")
    if len(receivers) > MOST_RECEIVERS:
        shown = str(len(receivers))
        raise source.error(start, f"at most {MOST_RECEIVERS} receivers", shown=shown)
    sites: dict[str, str] = {}
    for number, one in enumerate(receivers):
        path = (*start, number)
        if one.name and not re.fullmatch(NAME_PATTERN, one.name):
            expected = "1 to 63 of a-z, 0-9, dot, - and _, with a letter or digit at both ends"
            raise source.error((*path, "name"), expected, one.name)
        if site_of(one.name) in sites:
            hint = "" if one.name else "where there are several, each has one"
            raise source.error((*path, "name"), "a name that is not taken", one.name, hint)
        sites[site_of(one.name)] = one.name
        try:
            parse_url(one.url, ("http", "https"))
        except Wrong as problem:
            source.wrong((*path, "url"), problem, one.url)
        if one.token_file == "":
            raise source.error((*path, "token_file"), "a path", "")
        if one.tls_ca is not None:
            check_ca(one.tls_ca, source, (*path, "tls_ca"))
        if one.max_bytes < LEAST_BYTES:
            expected = f"{LEAST_BYTES} bytes at least, which hold one run"
            raise source.error((*path, "max_bytes"), expected, one.max_bytes)
        hint = f"{NO_SECRETS}; a token is token_file, or T3PROBE_{site_of('').upper()}_TOKEN"
        _check_headers(one.headers, path, hint, source)


def check_otlp(otlp: Otlp, source: ConfigFile) -> None:
    """Raise DeploymentError for the first mistake in it."""
    path: KeyPath = ("delivery", "otlp")
    if otlp.endpoint is not None:
        try:
            parse_url(otlp.endpoint, ("http", "https"))
        except Wrong as problem:
            source.wrong((*path, "endpoint"), problem, otlp.endpoint)
    if otlp.token_file == "":
        raise source.error((*path, "token_file"), "a path", "")
    if otlp.tls_ca is not None:
        check_ca(otlp.tls_ca, source, (*path, "tls_ca"))
    others = "others as NAME=VALUE into T3PROBE_OTLP_HEADERS_FILE"
    hint = f"put a bearer token into token_file, {others}"
    _check_headers(otlp.headers, path, hint, source)


def _check_headers(
    headers: Mapping[str, str], path: KeyPath, for_secrets: str, source: ConfigFile
) -> None:
    """`for_secrets`: where one goes."""
    seen: set[str] = set()
    for name, value in headers.items():
        key = (*path, "headers", name)
        try:
            check_header_name(name)
        except Wrong as problem:
            raise source.error(key, problem.expected, name, problem.hint) from None
        if name.lower() in OWN_HEADERS:
            expected = "a header that a request does not have yet"
            raise source.error(key, expected, name, "t3probe sets this one itself")
        if is_secret_key(name):
            raise source.error(key, "no secret here", shown="one", hint=for_secrets)
        if name.lower() in seen:
            raise source.error(key, "each header once", name)
        seen.add(name.lower())
        if not value or not value.isascii() or not value.isprintable() or value != value.strip():
            expected = "1 or more printable ASCII characters, without a space at either end"
            raise source.error(key, expected, value)
