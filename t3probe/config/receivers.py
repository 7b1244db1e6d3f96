"""What types cannot say about receivers: `[[delivery.remote_write]]`, `[delivery.otlp]`,
`[delivery.mail]` and `[[delivery.webhook]]`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from .delivery import Mail, Otlp, RemoteWrite, Webhook
from .endpoints import check_header_name, check_host, parse_url
from .errors import NO_SECRETS, ConfigFile, KeyPath, Wrong, is_secret_key
from .trust import check_ca
from .types import NAME_PATTERN

MOST_RECEIVERS = 8
LEAST_BYTES = 1 << 16
MOST_RECIPIENTS = 20
_MAIL = re.compile(
    r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]{1,64}@[A-Za-z0-9]([A-Za-z0-9.-]{0,250}[A-Za-z0-9])?"
)
"""RFC 5321, section 4.1.2, without what is quoted: no character here begins another header."""
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
    return _site("remote_write", name)


def webhook_site_of(name: str) -> str:
    """The same of a webhook."""
    return _site("webhook", name)


def _site(kind: str, name: str) -> str:
    word = re.sub(r"[-.]", "_", name).lower()
    return f"{kind}_{word}" if word else kind


def check_receivers(receivers: Sequence[RemoteWrite], source: ConfigFile) -> None:
    """Raise DeploymentError for the first mistake in them."""
    start: KeyPath = ("delivery", "remote_write")
    if len(receivers) > MOST_RECEIVERS:
        shown = str(len(receivers))
        raise source.error(start, f"at most {MOST_RECEIVERS} receivers", shown=shown)
    sites: set[str] = set()
    for number, one in enumerate(receivers):
        path = (*start, number)
        _check_name(one.name, site_of(one.name), sites, path, source)
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


def _check_name(name: str, site: str, taken: set[str], path: KeyPath, source: ConfigFile) -> None:
    """`site` is whose login it has; `taken` are those of the ones before."""
    if name and not re.fullmatch(NAME_PATTERN, name):
        expected = "1 to 63 of a-z, 0-9, dot, - and _, with a letter or digit at both ends"
        raise source.error((*path, "name"), expected, name)
    if site in taken:
        hint = "" if name else "where there are several, each has one"
        raise source.error((*path, "name"), "a name that is not taken", name, hint)
    taken.add(site)


def check_mail(mail: Mail, source: ConfigFile) -> None:
    """Raise DeploymentError for the first mistake in it."""
    path: KeyPath = ("delivery", "mail")
    try:
        check_host(mail.host)
    except Wrong as problem:
        source.wrong((*path, "host"), problem, mail.host)
    if not 0 <= mail.port <= 65535:
        raise source.error((*path, "port"), "a port from 1 to 65535", mail.port)
    for key, addresses in (("sender", (mail.sender,)), ("to", mail.to)):
        for one in addresses:
            if not _MAIL.fullmatch(one):
                expected = "an address such as ops@example.org, without a name and brackets"
                raise source.error((*path, key), expected, one)
    if not 1 <= len(mail.to) <= MOST_RECIPIENTS:
        expected = f"1 to {MOST_RECIPIENTS} addresses"
        raise source.error((*path, "to"), expected, shown=str(len(mail.to)))
    if mail.user and not (mail.user.isprintable() and mail.user.isascii()):
        raise source.error((*path, "user"), "printable ASCII characters", mail.user)
    if mail.user and mail.tls == "none":
        expected = "starttls or implicit where user is set"
        raise source.error((*path, "tls"), expected, "none", "a password goes over TLS only")
    if mail.tls_ca is not None:
        check_ca(mail.tls_ca, source, (*path, "tls_ca"))


def check_webhooks(webhooks: Sequence[Webhook], source: ConfigFile) -> None:
    """Raise DeploymentError for the first mistake in them."""
    start: KeyPath = ("delivery", "webhook")
    if len(webhooks) > MOST_RECEIVERS:
        shown = str(len(webhooks))
        raise source.error(start, f"at most {MOST_RECEIVERS} webhooks", shown=shown)
    sites: set[str] = set()
    for number, one in enumerate(webhooks):
        path = (*start, number)
        _check_name(one.name, webhook_site_of(one.name), sites, path, source)
        if one.url is not None:
            try:
                parse_url(one.url, ("http", "https"))
            except Wrong as problem:
                source.wrong((*path, "url"), problem, one.url)
        if one.tls_ca is not None:
            check_ca(one.tls_ca, source, (*path, "tls_ca"))


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
