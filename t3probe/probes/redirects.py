"""Where an answer sends a browser, and which cookies it takes along. Pure.

URLs are resolved and compared by RFC 3986 section 5 in the reading of the URL Standard
(url.spec.whatwg.org): backslashes are slashes, `%2e` is a dot, tabs and line ends are not there.
Origins are compared as origins. One thing is read more widely than a browser does: what must be one
machine is one host, such as `app.example.` and `app.example`, or an IPv4 address and its mapped
form.

The cookies that a chain of redirects sets (RFC 6265) a browser gives back in it. A visitor without
a session is given them as well: an outpost of the SSO, or a page that asks
whether cookies work, sends whoever comes back without them around for ever. They live as long as
the chain.
"""

from __future__ import annotations

import ipaddress
import re
import unicodedata
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import quote, unquote_to_bytes

from t3probe.exchange.bounds import COOKIE_BYTES, COOKIES, HOST_CHARACTERS, REFRESHES, URL_BYTES
from t3probe.probes.http_wire import values
from t3probe.text import keep_lent

_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443, "ftp": 21}
_STATUSES = frozenset({301, 302, 303, 307, 308})
"""By which a browser goes on (fetch.spec.whatwg.org, "redirect status")."""
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
_FORBIDDEN = re.compile(r"[\x00-\x20#%/:<>?@\[\\\]^|\x7f]")
_SAFE = "!$%&'()*+,-./:;=@[]^_|~"
_SAFE_QUERY = _SAFE + "?/`{}\\"
_REFRESH = re.compile(r"\s*(\d*)(?:\.[\d.]*)?\s*[;,\s]\s*(?:url\s*=\s*)?(.*)", re.I | re.S)
_META = re.compile(rb"<meta\b[^>]{0,400}>", re.IGNORECASE)
_META_REFRESH = re.compile(rb"\bhttp-equiv\s*+=\s*+[\"']?\s*+refresh\b", re.IGNORECASE)
_META_CONTENT = re.compile(
    rb"\bcontent\s*+=\s*+(?:\"([^\"]*)\"|'([^']*)'|([^\s>]+))", re.IGNORECASE
)
_AT_ONCE_SECONDS = 1
"""A page that refreshes later than this is a page that is read."""


class Url(NamedTuple):
    """An absolute URL of a special scheme, without user, password and fragment."""

    scheme: str
    host: str
    """In lower case and ASCII, no dot at its end; an IPv6 address in brackets."""
    port: int
    path: str
    query: str | None = None

    @property
    def origin(self) -> tuple[str, str, int]:
        """What is one origin. A WebSocket's is that of its HTTP handshake."""
        scheme = {"ws": "http", "wss": "https"}.get(self.scheme, self.scheme)
        return scheme, self.host, self.port

    @property
    def authority(self) -> str:
        """As Host says it."""
        return self.host if self.port == _PORTS[self.scheme] else f"{self.host}:{self.port}"

    @property
    def target(self) -> str:
        """The request target in origin form."""
        return self.path if self.query is None else f"{self.path}?{self.query}"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}{self.target}"


def parse(url: str) -> Url | None:
    """An absolute URL; None when it is none, or of a scheme that no browser fetches."""
    return resolve(None, url)


def resolve(base: Url | None, reference: str) -> Url | None:
    """Where `reference` leads from `base`; None when a browser could not go there."""
    if len(reference) > URL_BYTES:
        return None
    text = re.sub(r"[\t\n\r]", "", reference.strip("".join(map(chr, range(33)))))
    text = text.partition("#")[0]
    scheme, rest = "", text
    if found := _SCHEME.match(text):
        scheme, rest = found[1].lower(), text[found.end() :]
        if scheme not in _PORTS:
            return None
    path, mark, asked = rest.partition("?")
    query = quote(_bytes(asked), safe=_SAFE_QUERY) if mark else None
    path = path.replace("\\", "/")
    relative = base is not None and scheme in {"", base.scheme}
    if relative and not path.startswith("//"):
        assert base is not None
        if not path:
            return base._replace(query=query if mark else base.query)
        if not path.startswith("/"):
            path = base.path.rpartition("/")[0] + "/" + path
        return base._replace(path=_clean(path), query=query)
    if not scheme and base is None:
        return None
    authority, slash, path = path.lstrip("/").partition("/")
    return _at(scheme or (base.scheme if base else ""), authority, _clean(slash + path), query)


def _at(scheme: str, authority: str, path: str, query: str | None) -> Url | None:
    name, _, port = authority.rpartition("@")[2], "", ""
    if found := re.fullmatch(r"(.*):(\d*)", name, re.DOTALL | re.ASCII):
        name, port = found[1], found[2].lstrip("0") or found[2][:1]
    if len(port) > 5 or int(port or 0) > 65535:
        return None
    host = host_of(name)
    return Url(scheme, host, int(port) if port else _PORTS[scheme], path, query) if host else None


def host_of(name: str) -> str:
    """A host in the one form in which hosts are compared; empty when no host is called so."""
    if len(name) > HOST_CHARACTERS:  # punycode and normal forms take more than linear time
        return ""
    if name.startswith("["):
        try:
            address = ipaddress.IPv6Address(name[1:-1] if name.endswith("]") else "")
        except ValueError:
            return ""
        return str(address.ipv4_mapped or f"[{address}]")
    try:
        name = unquote_to_bytes(_bytes(name)).decode("utf-8")
    except ValueError:
        return ""
    name = unicodedata.normalize("NFKC", name.replace("\u00ad", "").lower()).replace("\u3002", ".")
    labels = []
    for label in name.removesuffix(".").split("."):
        try:
            # As the URL Standard has it, and not as Python's codec: it keeps a sharp s.
            ascii_label = label if label.isascii() else "xn--" + label.encode("punycode").decode()
        except UnicodeError:
            return ""
        labels.append(ascii_label)
    host = ".".join(labels)
    if not host or _FORBIDDEN.search(host):
        return ""
    last = labels[-1]
    if re.fullmatch(r"\d+|0x[0-9a-f]*", last, re.ASCII):
        return _ipv4(labels)
    return host


def _ipv4(labels: list[str]) -> str:
    """An IPv4 address in any of the forms that browsers take: hex, octal, fewer than four parts."""
    try:
        parts = [_number(one) for one in labels]
    except ValueError:
        return ""
    if len(parts) > 4 or any(one > 255 for one in parts[:-1]):
        return ""
    if parts[-1] >= 256 ** (5 - len(parts)):
        return ""
    value = parts[-1] + sum(one << (24 - 8 * at) for at, one in enumerate(parts[:-1]))
    return str(ipaddress.IPv4Address(value))


def _number(text: str) -> int:
    if text.startswith("0x"):
        return int(text[2:] or "0", 16)
    if not text.isdecimal() or len(text) > 20:
        raise ValueError(text)
    return int(text, 8 if text[0] == "0" and len(text) > 1 else 10)


def _clean(path: str) -> str:
    """A path in ASCII, its dot segments resolved (RFC 3986 section 5.2.4)."""
    kept: list[str] = []
    parts = quote(_bytes(path), safe=_SAFE).split("/")[1:] or [""]
    for at, part in enumerate(parts):
        plain = re.sub("%2e", ".", part, flags=re.IGNORECASE)
        if plain == "..":
            del kept[-1:]
        elif plain != ".":
            kept.append(part)
            continue
        if at == len(parts) - 1:
            kept.append("")
    return "/" + "/".join(kept)


def _bytes(text: str) -> bytes:
    """The bytes that a header's value came as, or else its UTF-8."""
    try:
        raw = text.encode("latin-1")
        raw.decode("utf-8")
    except UnicodeError:
        return text.encode("utf-8", "replace")
    return raw


def onward(status: int, headers: Mapping[str, Any], body: bytes, base: Url | None) -> Url | None:
    """Where a browser that has this answer goes by itself; None when it stays, or cannot go.

    By a `Location`, a `Refresh` header, or a `<meta http-equiv=refresh>` in a page, the latter two
    only at once and to another place. What a script does is not read.
    """
    if status in _STATUSES:
        said = {one for one in values(headers, "location") if one}
        return resolve(base, said.pop()) if len(said) == 1 else None
    said_so = [*values(headers, "refresh")[:REFRESHES], *_refreshes(headers, body)]
    for text in said_so[:REFRESHES]:
        found = _REFRESH.fullmatch(text)
        if found is None or int(found[1][:4] or 0) > _AT_ONCE_SECONDS or not found[2].strip():
            continue
        to = resolve(base, found[2].strip().strip("\"'"))
        if to is not None and to != base:
            return to
    return None


def _refreshes(headers: Mapping[str, Any], body: bytes) -> list[str]:
    if "html" not in str(headers.get("content-type", "")).lower():
        return []
    found = []
    for tag in _META.findall(body):
        content = _META_CONTENT.search(tag) if _META_REFRESH.search(tag) else None
        if content is not None:
            text = (content[1] or content[2] or content[3] or b"").decode("latin-1")
            found.append(text.replace("&amp;", "&"))
        if len(found) == REFRESHES:
            break
    return found


def leads_on(status: int) -> bool:
    """Whether a browser has to go on from such an answer: it is none by itself."""
    return status in _STATUSES


_YEAR = re.compile(r"(\d\d(?:\d\d)?)\s+\d\d?:\d\d", re.ASCII)
"""In a date: a cookie is taken back by one of the last century, and no clock is asked."""


class Cookies:
    """Those of one chain, by name and path."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str], str] = {}

    def take(self, headers: Mapping[str, Any], url: Url) -> None:
        """What the answer for `url` sets; what a browser would not keep for its host is left."""
        for line in values(headers, "set-cookie")[:COOKIES]:
            if len(line) > COOKIE_BYTES:
                continue
            pair, *more = line.split(";")
            name, _, value = (one.strip() for one in pair.partition("="))
            fields = (one.partition("=") for one in more)
            says = {key.strip().lower(): text.strip() for key, _, text in fields}
            domain = host_of(says.get("domain", "").removeprefix("."))
            if domain and domain != url.host and not url.host.endswith(f".{domain}"):
                continue
            barred = "secure" in says and url.scheme != "https"
            if not name or barred:
                continue
            path = says.get("path", "")
            if not path.startswith("/"):
                path = url.path.rpartition("/")[0] or "/"
            self._kept.pop((name, path), None)
            if not _gone(says) and len(self._kept) < COOKIES:
                self._kept[name, path] = value
                keep_lent(value)

    def given(self, url: Url) -> str:
        """The Cookie header for `url`; empty for none."""
        fitting = [
            (path, f"{name}={value}")
            for (name, path), value in self._kept.items()
            if url.path == path or url.path.startswith(path.removesuffix("/") + "/")
        ]
        fitting.sort(key=lambda one: -len(one[0]))
        return "; ".join(text for _, text in fitting)


def _gone(says: Mapping[str, str]) -> bool:
    age = says.get("max-age", "")
    if age.lstrip("-").isdecimal():
        return age.startswith("-") or not age.strip("0")
    year = _YEAR.search(says.get("expires", ""))
    return year is not None and year[1].startswith(("16", "19", "7", "8", "9"))
