"""What types cannot say about `[delivery.otlp]`."""

from __future__ import annotations

from .endpoints import check_header_name, parse_url
from .errors import ConfigFile, KeyPath, Wrong, is_secret_key
from .trust import check_ca
from .types import Otlp

OWN_HEADERS = frozenset(
    {
        *("accept", "accept-encoding", "connection", "content-encoding", "content-length"),
        *("content-type", "expect", "host", "te", "trailer", "transfer-encoding", "upgrade"),
        "user-agent",
    }
)
"""Header names, in lower case, that a request to a receiver has already, or that change how it is
read."""
_PATH: KeyPath = ("delivery", "otlp")


def check_otlp(otlp: Otlp, source: ConfigFile) -> None:
    """Raise DeploymentError for the first mistake in it."""
    if otlp.endpoint is not None:
        try:
            parse_url(otlp.endpoint, ("http", "https"))
        except Wrong as problem:
            source.wrong((*_PATH, "endpoint"), problem, otlp.endpoint)
    if otlp.token_file == "":
        raise source.error((*_PATH, "token_file"), "a path", "")
    if otlp.tls_ca is not None:
        check_ca(otlp.tls_ca, source, (*_PATH, "tls_ca"))
    seen: set[str] = set()
    for name, value in otlp.headers.items():
        _check_header(name, value, seen, source)


def _check_header(name: str, value: str, seen: set[str], source: ConfigFile) -> None:
    path: KeyPath = (*_PATH, "headers", name)
    try:
        check_header_name(name)
    except Wrong as problem:
        raise source.error(path, problem.expected, name, problem.hint) from None
    if name.lower() in OWN_HEADERS:
        hint = "t3probe sets this one itself"
        raise source.error(path, "a header that a request does not have yet", name, hint)
    if is_secret_key(name):
        others = "others as NAME=VALUE into T3PROBE_OTLP_HEADERS_FILE"
        hint = f"put a bearer token into token_file, {others}"
        raise source.error(path, "no secret here", shown="one", hint=hint)
    if name.lower() in seen:
        raise source.error(path, "each header once", name)
    seen.add(name.lower())
    if not (value and value.isascii() and value.isprintable()):
        raise source.error(path, "printable ASCII text", value)
