"""What types cannot say about `[[delivery.remote_write]]`."""

from __future__ import annotations

import re
from collections.abc import Sequence

from .endpoints import check_header_name, parse_url
from .errors import NO_SECRETS, ConfigFile, KeyPath, Wrong, is_secret_key, quote
from .trust import check_ca
from .types import NAME_PATTERN, RemoteWrite

MOST_RECEIVERS = 8
LEAST_BYTES = 1 << 16
RESERVED_HEADERS = frozenset(
    {"content-encoding", "content-type", "x-prometheus-remote-write-version", "user-agent"}
    | {"host", "content-length", "connection", "transfer-encoding", "accept-encoding"}
)
"""Those of the protocol (remote write 1.0, "Protocol"), which nobody may set otherwise, and those
of the request itself."""


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
        _check_headers(one, path, source)


def _check_headers(receiver: RemoteWrite, path: KeyPath, source: ConfigFile) -> None:
    for name, value in receiver.headers.items():
        key = (*path, "headers", name)
        try:
            check_header_name(name)
        except Wrong as problem:
            raise source.error(key, problem.expected, name, problem.hint) from None
        if name.lower() in RESERVED_HEADERS:
            expected = "a header that is not the protocol's own"
            raise source.error(key, expected, shown=quote(name), hint="take it away")
        if is_secret_key(name):
            hint = f"{NO_SECRETS}; a token is token_file, or T3PROBE_{site_of('').upper()}_TOKEN"
            raise source.error(key, "no secret here", shown="one", hint=hint)
        if not value or not value.isascii() or not value.isprintable() or value != value.strip():
            expected = "1 or more printable ASCII characters, without a space at either end"
            raise source.error(key, expected, value)
