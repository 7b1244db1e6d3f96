"""Is this answer the single sign-on's? Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from t3probe.config.types import Sso
from t3probe.exchange.bounds import LOGIN_WORDS_BYTES
from t3probe.probes.http_wire import as_text, values
from t3probe.probes.redirects import Url, host_of, onward
from t3probe.text import showable

_INPUT = re.compile(rb"<input\b[^>]*+", re.IGNORECASE)
_PASSWORD = re.compile(rb"\btype\s*+=\s*+[\"']?password", re.IGNORECASE)
_CHALLENGE = re.compile(rb"cf-challenge|challenge-platform|<title>Just a moment", re.IGNORECASE)
_NOWHERE = Url("http", "nowhere.invalid", 80, "/")
_REALM_CHARACTERS = 40
_MOST_WANTED = 4
_WORD = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_A_WORD = re.compile(_WORD)
_PARAMETER = re.compile(rf"({_WORD})\s*=\s*(?:\"((?:[^\"\\]|\\.)*)\"?|([^\s,\"]*))", re.DOTALL)
_SCHEME = re.compile(
    rf"([A-Za-z]{_WORD}|[A-Za-z])(?:\s+(?!=)|\s*(?=,|$))(?:[A-Za-z0-9._~+/-]+=*\s*(?=,|$))?"
)
_NAMES = {one.lower(): one for one in ("Basic", "Bearer", "Digest", "Negotiate", "NTLM")}


def sso_answer(
    status: int, headers: Mapping[str, Any], body: bytes, sso: Sso, asked: Url | None = None
) -> str | None:
    """How the answer is the SSO's (or another wall's), as words; None when it is not.

    A redirect to one of the SSO's hosts, a login page with 200 (or, known by its marker, with
    4xx), a 401 of the forward-auth where there is an SSO, and a challenge page all keep a visitor
    without a session out. `asked`: the URL that was asked for, from which a redirect leads.
    """
    to = onward(status, headers, body, asked or _NOWHERE)
    if to is not None:
        moved = 300 <= status < 400
        if to.host in {host_of(one) for one in sso.hosts}:
            how = "to" if moved else "that refreshes to"
            return f"HTTP {status} {how} the SSO at {showable(to.host, 60)}"
        said = "\n".join([str(to), unquote(str(to)), *(values(headers, "location") * moved)])
        if any(marker in said for marker in sso.login_markers):
            return f"HTTP {status} {'to' if moved else 'that refreshes to'} a login page"
    if status == 401 and (sso.hosts or sso.login_markers):
        return "HTTP 401 from the forward-auth"
    if str(headers.get("cf-mitigated", "")).lower() == "challenge":
        return f"HTTP {status} with a challenge page"
    body = as_text(headers, body)
    if status in {403, 429, 503} and _CHALLENGE.search(body):
        return f"HTTP {status} with a challenge page"
    shown = 200 <= status < 300
    # Only the SSO has the marker, so a refusal that shows it is the SSO's as well.
    if (shown or 400 <= status < 500) and any(one.encode() in body for one in sso.login_markers):
        return f"a login page with HTTP {status}"
    if shown and is_html(headers) and _asks_for_a_password(body):
        return f"a login page with HTTP {status}"
    return None


def _asks_for_a_password(page: bytes) -> bool:
    return any(_PASSWORD.search(tag) for tag in _INPUT.findall(page))


def hides(status: int, headers: Mapping[str, Any], sso: Sso) -> bool:
    """Whether an unreadable body may be what a wall shows with this status."""
    if status in {403, 429, 503} or (200 <= status < 300 and is_html(headers)):
        return True
    return bool(sso.login_markers) and (200 <= status < 300 or 400 <= status < 500)


def is_html(headers: Mapping[str, Any]) -> bool:
    """Whether the response calls itself HTML."""
    return "html" in str(headers.get("content-type", "")).lower()


def wants(headers: Mapping[str, Any]) -> str:
    """Which login an answer asks for (RFC 9110 section 11.6.1), as words; empty when none.

    Such as `wants Basic (realm "Grafana"), Bearer`.
    """
    found: list[str] = []
    left = LOGIN_WORDS_BYTES
    for text in values(headers, "www-authenticate"):
        text, at = text[:left], 0
        left -= len(text)
        while at < len(text):
            parameter = _PARAMETER.match(text, at)
            scheme = None if parameter else _SCHEME.match(text, at)
            if parameter is not None:
                quoted = re.sub(r"\\(.)", r"\1", parameter[2] or "", flags=re.DOTALL)
                realm = showable(quoted or parameter[3] or "", _REALM_CHARACTERS)
                if parameter[1].lower() == "realm" and found and realm:
                    found[-1] = f'{found[-1].partition(" (")[0]} (realm "{realm}")'
            elif scheme is not None:
                found.append(_NAMES.get(scheme[1].lower(), showable(scheme[1], 20)))
            here = parameter or scheme or _A_WORD.match(text, at)
            at = here.end() if here else at + 1
    if not found:
        return ""
    found = list(dict.fromkeys(found))
    more = [f"{len(found) - _MOST_WANTED} more"] if len(found) > _MOST_WANTED else []
    return "wants " + ", ".join(found[:_MOST_WANTED] + more)
