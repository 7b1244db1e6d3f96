"""Is this answer the single sign-on's? Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from t3probe.config.types import Sso
from t3probe.probes.base import printable

__all__ = ["BODY_BYTES", "is_html", "sso_answer"]

BODY_BYTES = 65536
"""How much of a body is looked at."""

_PASSWORD_FIELD = re.compile(rb"<input\b[^>]*\btype\s*=\s*[\"']?password", re.IGNORECASE)
_CHALLENGE = re.compile(rb"cf-challenge|challenge-platform|<title>Just a moment", re.IGNORECASE)


def sso_answer(status: int, headers: Mapping[str, Any], body: bytes, sso: Sso) -> str | None:
    """How the answer is the SSO's (or another wall's), as words; None when it is not.

    A redirect to one of the SSO's hosts, a login page with 200 (or, known by its marker, with
    4xx), a 401 of the forward-auth, and a challenge page all keep a visitor without a session out.
    """
    location = str(headers.get("location", ""))
    if 300 <= status < 400 and location:
        host = _host(location)
        if host in {one.lower() for one in sso.hosts}:
            return f"HTTP {status} to the SSO at {printable(host, 60)}"
        if any(marker in location for marker in sso.login_markers):
            return f"HTTP {status} to a login page"
    if status == 401:
        return "HTTP 401 from the forward-auth"
    if str(headers.get("cf-mitigated", "")).lower() == "challenge":
        return f"HTTP {status} with a challenge page"
    if status in {403, 429, 503} and _CHALLENGE.search(body):
        return f"HTTP {status} with a challenge page"
    shown = 200 <= status < 300
    # Only the SSO has the marker, so a refusal that shows it is the SSO's as well.
    if (shown or 400 <= status < 500) and any(one.encode() in body for one in sso.login_markers):
        return f"a login page with HTTP {status}"
    if shown and is_html(headers) and _PASSWORD_FIELD.search(body):
        return f"a login page with HTTP {status}"
    return None


def is_html(headers: Mapping[str, Any]) -> bool:
    """Whether the response calls itself HTML."""
    return "html" in str(headers.get("content-type", "")).lower()


def _host(location: str) -> str:
    try:
        return (urlsplit(location).hostname or "").lower()
    except ValueError:
        return ""
