"""What a broken hop answers in place of the right thing. Nothing here does I/O."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import quote

from t3probe.lab.board import Board
from t3probe.lab.faults import NEW
from t3probe.lab.routing import origin_form

__all__ = ["BAD_GATEWAY", "HOST", "SSO_HOST", "WrongAnswer", "to_the_sso", "wrong_answer"]

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
