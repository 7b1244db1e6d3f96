"""What a peer says that speaks another protocol than it is asked in. Pure."""

from __future__ import annotations

from typing import NamedTuple

from t3probe.tls import CLIENT_CERTIFICATE, HTTP2_ONLY

__all__ = ["Foreign", "refusal", "spoken"]

_TLS_RECORDS = (0x15, 0x16)
"""An alert or a handshake (RFC 8446, section 5.1)."""
_HTTP2_FIRST = (0x04, 0x07)
"""SETTINGS or GOAWAY (RFC 9113, section 6)."""
_HTTP2_HEAD = 9
_IN_PLAIN = (
    b"plain HTTP request was sent to HTTPS port",
    b"HTTP request to an HTTPS server",
    b"speaking plain HTTP to an SSL-enabled server port",
)
_NO_CERTIFICATE = (b"No required SSL certificate was sent", b"The SSL certificate error")


class Foreign(NamedTuple):
    """What the peer speaks, as the end of a sentence that begins with its name."""

    words: str
    tells: bool = True
    """False: t3probe does not speak it, which says nothing about the peer."""


def spoken(first: bytes) -> Foreign | None:
    """What the first bytes are that a peer answers plain HTTP/1.1 with; None: nothing known."""
    if first.startswith(b"PRI * HTTP/2.0") or (
        len(first) >= _HTTP2_HEAD
        and first[0] == 0
        and first[3] in _HTTP2_FIRST
        and not any(first[5:_HTTP2_HEAD])
    ):
        return Foreign(HTTP2_ONLY, tells=False)
    if len(first) > 2 and first[0] in _TLS_RECORDS and first[1] == 3 and first[2] <= 4:
        return Foreign("speaks TLS at this port: ask it by https:// or wss://")
    return None


def refusal(status: int, body: bytes) -> Foreign | None:
    """What a proxy means by a 400 that is about TLS; None: nothing of the kind."""
    if status != 400:
        return None
    if any(one in body for one in _IN_PLAIN):
        return Foreign("speaks TLS at this port: ask it by https:// or wss://")
    if any(one in body for one in _NO_CERTIFICATE):
        return Foreign(CLIENT_CERTIFICATE, tells=False)
    return None
