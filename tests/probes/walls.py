"""Walls and carve-outs for the tests to probe."""

from __future__ import annotations

import asyncio
from typing import Any

from probes.servers import (
    HOST,
    Server,
    response,
)

from t3probe.config.types import Leg

Reader, Writer = asyncio.StreamReader, asyncio.StreamWriter


TO_SSO = response("302 Found", b"", [("Location", "https://sso.example/start?rd=x")])


def public(server: Server, path: str = "/probe/healthz", /, **changes: Any) -> Leg:
    values: dict[str, Any] = {
        "name": "walloff-probe",
        "kind": "walloff",
        "path": ("edge", "carve-out"),
        "url": f"http://{HOST}{path}",
        "pin": server.pin,
        "prefix": "/probe",
        **changes,
    }
    return Leg(**values)


def walled(server: Server, path: str = "/app", /, **changes: Any) -> Leg:
    values: dict[str, Any] = {
        "name": "walled-app",
        "kind": "walled",
        "path": ("edge", "wall"),
        "url": f"http://{HOST}{path}",
        "pin": server.pin,
        "public_prefixes": ("/probe",),
        **changes,
    }
    return Leg(**values)


WALLS: list[tuple[str, bytes]] = [
    ("redirect", TO_SSO),
    ("307", response("307 T", b"", [("Location", "//SSO.example:443/x")])),
    ("login path", response("302 Found", b"", [("Location", "/flow/login?next=/")])),
    ("forward-auth", response("401 Unauthorized", b"")),
    ("login page", response("200 OK", b"<html><a href='/flow/login'>")),
    ("login page 403", response("403 Forbidden", b"<html><a href='/flow/login'>")),
    (
        "password field",
        response("200 OK", b"<INPUT  name=p TYPE = 'password'>", [("Content-Type", "Text/HTML")]),
    ),
    ("challenge", response("403 Forbidden", b"<title>Just a moment...</title>")),
    ("mitigated", response("403 Forbidden", b"x", [("cf-mitigated", "challenge")])),
    ("challenge 503", response("503 Busy", b"/cdn-cgi/challenge-platform/x")),
]
