"""The cookies that a chain of redirects sets and a browser gives back in it (RFC 6265). Pure.

A visitor without a session is given them as well: an outpost of the SSO, or a page that asks
whether cookies work, sends whoever comes back without them around for ever. They live as long as
the chain.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from t3probe.bounds import COOKIE_BYTES, COOKIES
from t3probe.probes.http_wire import values
from t3probe.probes.redirects import Url, host_of
from t3probe.showing import keep_lent

__all__ = ["Cookies"]

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
