"""What a broken hop answers in place of the right thing, and where the load balancer sends a
request target: past the sign-on, or to it. Pure.

A target is public only when it stands plainly under the public prefix. Whatever a hop behind
could read otherwise (dot segments, encoded dots, slashes and percent signs, doubled slashes,
backslashes, `;` parameters, another case) goes to the wall.
"""

from __future__ import annotations

import re
from typing import Literal, NamedTuple
from urllib.parse import quote, unquote

from t3probe.lab.board import Board
from t3probe.lab.faults import NEW

PUBLIC_PREFIX = "/probe"
Route = Literal["carve-out", "wall"]

_ABSOLUTE = re.compile(r"https?://([^/?#]*)(.*)\Z", re.IGNORECASE | re.DOTALL)
_PLAIN = re.compile(r"(?:/[A-Za-z0-9._~!$&'()*+,=:@%-]*)+\Z", re.ASCII)
_DISGUISED = re.compile(r"%(?:2e|2f|5c|25|3b|00)|%(?![0-9a-f]{2})", re.IGNORECASE)


def authority(target: str, host_field: str) -> str:
    """The host that is asked for, lower case, without port. An absolute-form target outranks
    the Host field (RFC 9112 section 3.2.2)."""
    absolute = _ABSOLUTE.match(target)
    host = absolute[1].rpartition("@")[2] if absolute else host_field
    return re.sub(r":\d*\Z", "", host.strip()).rstrip(".").lower()


def origin_form(target: str) -> str:
    """The path and query of a target, as they stand."""
    absolute = _ABSOLUTE.match(target)
    if not absolute:
        return target
    rest = absolute[2]
    return rest if rest.startswith("/") else f"/{rest}"


def route(target: str) -> Route:
    """The rule that a target falls under when the carve-out is as narrow as it should be."""
    path = origin_form(target).partition("?")[0]
    if path != PUBLIC_PREFIX and not path.startswith(f"{PUBLIC_PREFIX}/"):
        return "wall"
    if not _PLAIN.match(path) or _DISGUISED.search(path) or "//" in path:
        return "wall"
    if {".", ".."} & set(path.split("/")):
        return "wall"
    return "carve-out"


def slips_through(target: str) -> bool:
    """Whether a carve-out that is too wide (a careless prefix match) lets this target past the
    wall, although `route` would not."""
    if route(target) == "carve-out":
        return False
    path = unquote(unquote(origin_form(target).partition("?")[0])).replace("\\", "/")
    return path.lstrip("/").lower().startswith(PUBLIC_PREFIX.lstrip("/"))


HOST = "t3.lab.test"
SSO_HOST = "sso.lab.test"


class WrongAnswer(NamedTuple):
    """Status, body and header fields of an HTTP answer."""

    status: int
    body: bytes = b""
    fields: tuple[tuple[str, str], ...] = ()


BAD_GATEWAY = WrongAnswer(502, b"Bad Gateway\n")
_NOT_FOUND = WrongAnswer(404, b"404 page not found\n")


def to_the_sso(target: str) -> WrongAnswer:
    """The redirect to the single sign-on, which leads back to `target` afterwards."""
    back = quote(f"https://{HOST}{origin_form(target)}", safe="")
    return WrongAnswer(302, b"", (("location", f"https://{SSO_HOST}/login?rd={back}"),))


def wrong_answer(
    board: Board,
    segment: str,
    target: str,
    accepted_at: float | None = None,
    provider: int | None = None,
) -> WrongAnswer | None:
    """What `segment` answers to a request for `target` now; None: the right thing.

    `accepted_at`: when the hop accepted the connection; one that is older than the fault still gets
    good answers. None: a connection that carries one request only.
    """
    if board.find(segment, "http502", provider):
        return BAD_GATEWAY
    for kind in NEW:
        if board.find(segment, kind, provider, accepted_at):
            if kind == "new-sso":
                return to_the_sso(target)
            return BAD_GATEWAY if kind == "new-502" else _NOT_FOUND
    return None
