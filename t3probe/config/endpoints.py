"""URLs, host:port pairs and pins: read, and refused when they cannot be dialled.

Nothing here resolves a name or opens a socket. Every function raises `Wrong`.
"""

from __future__ import annotations

import functools
import re
from ipaddress import ip_address
from typing import NamedTuple
from urllib.parse import urlsplit

from .errors import NO_SECRETS, Wrong, is_secret_key, quote

_BYTE = "(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_IPV4 = re.compile(rf"(?:{_BYTE}\.){{3}}{_BYTE}")
_URL_CHARS = re.compile(r"[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=%-]*")
"""RFC 3986, section 2: everything else is percent-encoded."""
_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_HOST = re.compile(rf"{_LABEL}(?:\.{_LABEL})*\.?")
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
"""RFC 9110, section 5.6.2."""
_ZEROS = re.compile(r"(?=.*\b0[0-9])[0-9]{1,4}(?:\.[0-9]{1,4}){3}")
_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443, "domain": 53, "ssh": 22, "http-alt": 8080}
"""The names of `/etc/services` that people write."""
_DEFAULT_PORTS = {"http": 80, "ws": 80, "https": 443, "wss": 443}


class UrlParts(NamedTuple):
    """The parts of a URL that the loader looks at."""

    scheme: str
    host: str
    """In lower case, an IPv6 address without its brackets."""
    port: int
    """The scheme's own where the URL names none."""
    path: str


def is_address(host: str) -> bool:
    """Whether `host` is an IPv4 or IPv6 address and not a name. Zones are not addresses."""
    if host.count(":") == 1:
        return False  # no address has one alone; ten thousand host:port come here
    if _IPV4.fullmatch(host):
        return True
    try:
        ip_address(host)
    except ValueError:
        return False
    return "%" not in host


def plain_host(host: str) -> str:
    """The one form in which hosts are compared: an address in its canonical text (RFC 5952), an
    IPv4-mapped one as IPv4 (RFC 4291, section 2.5.5.2), without a zone; a name in lower case,
    without the dot at its end."""
    if _IPV4.fullmatch(host):
        return host
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return host.lower().removesuffix(".")
    return str(getattr(address, "ipv4_mapped", None) or address)


def check_host(host: str) -> None:
    """Refuse what is neither an address nor a host name (RFC 1123, with `_`)."""
    if is_address(host):
        return
    expected = "a host name or an IP address"
    if not host.isascii():
        raise Wrong(expected, "write an international name in its xn-- form")
    # A name whose last label is a number is an address with a mistake in it.
    if len(host) > 253 or not _HOST.fullmatch(host) or host.rstrip(".").split(".")[-1].isdigit():
        raise Wrong(expected)


def check_header_name(name: str) -> None:
    """Refuse what cannot be the name of an HTTP header."""
    if not _TOKEN.fullmatch(name):
        raise Wrong("the name of an HTTP header")


def parse_url(text: str, schemes: tuple[str, ...]) -> UrlParts:
    """The parts of a URL with one of `schemes`, without user, password and fragment."""
    expected = f"a URL that starts with {' or '.join(f'{scheme}://' for scheme in schemes)}"
    _refuse_secrets(text)
    authority = re.split(r"[/?#\\]", text.partition("://")[2], maxsplit=1)[0]
    if hint := _address_hint(authority):
        raise Wrong("a URL with a host", hint)
    try:
        parts = urlsplit(text)
        host = parts.hostname or ""
    except ValueError:
        raise Wrong(expected) from None
    if parts.scheme not in schemes or not text[len(parts.scheme) :].startswith("://"):
        raise Wrong(expected)
    if "#" in text:
        raise Wrong("a URL without a fragment", "take # and what follows it out")
    try:
        port = parts.port
    except ValueError:
        port = 0
    if port == 0:
        raise Wrong("a URL with a port from 1 to 65535", _port_hint(authority.rpartition(":")[2]))
    if not host:
        raise Wrong("a URL with a host")
    try:
        check_host(host)
    except Wrong as problem:
        raise Wrong(f"a URL with {problem.expected}", problem.hint) from None
    if not _URL_CHARS.fullmatch(text):
        raise Wrong("a URL without spaces and special characters", "percent-encode them")
    return UrlParts(
        parts.scheme, host, port or _DEFAULT_PORTS.get(parts.scheme, 0), parts.path or "/"
    )


def parse_doh(text: str) -> UrlParts:
    """The parts of a DoH provider's URL: https, and an address in place of a name."""
    url = parse_url(text, ("https",))
    if not is_address(url.host):
        raise Wrong(
            "a DoH provider with an IP address as its host", "a name would need another resolver"
        )
    return url


@functools.lru_cache(20_000)  # a run asks several times for each of thousands
def parse_address(text: str) -> tuple[str, int]:
    """`host:port` or `[IPv6]:port` as host and port."""
    expected = "host:port such as 10.0.0.1:443 or [::1]:443"
    if is_address(text):
        raise Wrong(expected, "write [address]:port" if ":" in text else "add the port")
    if hint := _no_url(text) or _address_hint(text):
        raise Wrong(expected, hint)
    host, port = _split(text)
    if port is None:
        raise Wrong(expected, "add the port" if host and ":" not in host else "")
    try:
        check_host(host)
    except Wrong as problem:
        raise Wrong(expected, problem.hint) from None
    return host, _port(port, expected)


def parse_pin(text: str) -> tuple[str, int | None]:
    """`addr`, `addr:port` or `[IPv6]:port` as address and port (None: the URL's own)."""
    expected = "an IP address, with or without a port, such as 10.0.0.1 or 10.0.0.1:443"
    host, port = (text, None) if is_address(text) else _split(text)
    if not is_address(host) or "/" in text:
        raise Wrong(expected, _no_url(text) or _address_hint(text))
    return host, None if port is None else _port(port, expected)


def _split(text: str) -> tuple[str, str | None]:
    match = re.fullmatch(r"\[([^\[\]]*)\](?::(.*))?|([^:]*):(.*)", text, re.DOTALL)
    if match is None:
        return text, None
    if match[3] is not None:
        return match[3], match[4]
    # Brackets are for IPv6 alone.
    return (match[1], match[2]) if ":" in match[1] else (text, None)


def _address_hint(text: str) -> str:
    """What to write in place of an address in another form, with or without a port."""
    if "%" in text and is_address(text.partition("%")[0].strip("[")):
        return "an address with a zone is this machine's alone: name one without %"
    bare, _, number = text.rpartition(":")
    both = ":" in bare and "[" not in text and is_address(bare) and len(number) > 1
    if is_address(text) and ":" in text:
        return f"write [{text}]" + (f", or [{bare}]:{number}" if both else "")
    if both:
        return f"write [{bare}]:{number}"
    host, _ = _split(text)
    if _ZEROS.fullmatch(host):
        return "write it without zeros in front"
    return ""


def _no_url(text: str) -> str:
    """What to leave out of a URL or a network where an address is wanted."""
    if "://" in text:
        return "leave out the scheme and the path"
    return "leave out / and what follows it" if "/" in text else ""


def _port_hint(text: str) -> str:
    number = _PORTS.get(text.lower())
    return "" if number is None else f"write {number}"


def _port(text: str, expected: str) -> int:
    if not re.fullmatch(r"[0-9]{1,5}", text):
        raise Wrong(expected, _port_hint(text))
    if not 0 < int(text) <= 65535:
        raise Wrong("a port from 1 to 65535")
    return int(text)


def _refuse_secrets(text: str) -> None:
    """Userinfo is refused even where a `/`, `?` or `#` in the password hides it from a
    URL parser."""
    rest = text.partition("://")[2]
    authority = re.split(r"[/?#\\]", rest, maxsplit=1)[0]
    port = re.fullmatch(r".*:([^\]]*)", authority)
    if "@" in authority or ("@" in rest and port and not port[1].isdigit()):
        raise Wrong("a URL without a user and a password", NO_SECRETS, "one that has them")
    for pair in re.split(r"[?&]", rest)[1:]:
        key = pair.partition("=")[0]
        if is_secret_key(key):
            raise Wrong("a URL without a secret in its query", NO_SECRETS, quote(key))
