"""Linux `TCP_INFO`: what the kernel knows about a connection, free of our own queueing.

Layout: `struct tcp_info` of linux/tcp.h; eight bytes of flags, then fields that newer kernels
only ever append to. See tcp(7). A kernel that knows fewer gives a shorter answer, and what it
does not know is None.
"""

from __future__ import annotations

import socket
import struct
from typing import Literal, NamedTuple

from t3probe.observation import TcpSample
from t3probe.text.words import count, span

UNANSWERED = " and did not answer"
_SYN = 1
"""What a connection that has sent nothing yet counts as acknowledged."""
ESTABLISHED, SYN_SENT, CLOSED, CLOSE_WAIT = 1, 2, 7, 8

_FIRST = struct.Struct("=8B24I")
"""What every kernel has."""
# Positions among the 24 fields that follow the flags.
_UNACKED, _LAST_DATA_RECV, _LAST_ACK_RECV, _RTT, _TOTAL_RETRANS = 4, 11, 12, 15, 23
# Offsets in bytes of what came later, with the kernel that brought it.
_BYTES_ACKED = 120  # 4.1
_NOT_SENT = 144  # 4.6
_OUT_OF_ORDER = 224  # 5.4
_PEER_WINDOW = 228  # 5.4
_ROOM = 512
"""More than any kernel fills today."""


def parse(raw: bytes) -> TcpSample | None:
    """The sample in a `struct tcp_info`; None when even its oldest part is not whole."""
    if len(raw) < _FIRST.size:
        return None
    fields = _FIRST.unpack_from(raw)
    numbers = fields[8:]
    return TcpSample(
        state=fields[0],
        probes=fields[3],
        rtt_seconds=numbers[_RTT] / 1e6,
        unacked=numbers[_UNACKED],
        retransmits=numbers[_TOTAL_RETRANS],
        since_last_data_received_seconds=numbers[_LAST_DATA_RECV] / 1e3,
        since_last_ack_received_seconds=numbers[_LAST_ACK_RECV] / 1e3,
        bytes_acked=_later(raw, "=Q", _BYTES_ACKED),
        not_sent_bytes=_later(raw, "=I", _NOT_SENT),
        out_of_order=_later(raw, "=I", _OUT_OF_ORDER),
        peer_window_bytes=_later(raw, "=I", _PEER_WINDOW),
    )


def _later(raw: bytes, form: str, offset: int) -> int | None:
    if len(raw) < offset + struct.calcsize(form):
        return None
    value: int = struct.unpack_from(form, raw, offset)[0]
    return value


def sample(sock: object) -> TcpSample | None:
    """The kernel's numbers for `sock` (a socket or asyncio's TransportSocket) now.

    None where the system has no `TCP_INFO` or the descriptor is gone.
    """
    option = getattr(socket, "TCP_INFO", None)
    if option is None or sock is None:
        return None
    try:
        raw: bytes = sock.getsockopt(socket.IPPROTO_TCP, option, _ROOM)  # type: ignore[attr-defined]
    except (OSError, ValueError):
        return None
    return parse(raw)


def handshake_seconds(sock: object) -> float | None:
    """The kernel's own round-trip time of the handshake, just after a connect; None if unknown."""
    seen = sample(sock)
    return seen.rtt_seconds if seen is not None and seen.rtt_seconds > 0 else None


class Claim(NamedTuple):
    """What the numbers of one connection say about its bytes."""

    kind: Literal["acknowledged", "again", "lost", "none"]
    """`again`: acknowledged, but only when the kernel had sent some of it again."""
    words: str
    """For people; empty when there is nothing to say."""


def claim(seen: TcpSample | None, before: TcpSample | None = None) -> Claim:
    """What the kernel's numbers say about the bytes sent since `before`.

    `before` was taken at the last good beat on the same connection; None: since it was opened.
    """
    if seen is None or seen.state != ESTABLISHED:
        return Claim("none", "")
    if seen.peer_window_bytes == 0:
        return Claim("none", "the far end takes nothing more: its receive window is full")
    if seen.unacked:
        return _unacknowledged(seen, before)
    if seen.not_sent_bytes is None or seen.bytes_acked is None or seen.probes:
        return Claim("none", "")
    if seen.not_sent_bytes:
        return Claim("none", f"{seen.not_sent_bytes} bytes of ours never left this machine")
    if seen.bytes_acked <= _acked(before):
        return Claim("none", "nothing of ours was sent since the last answer")
    if (seen.out_of_order or 0) > (before.out_of_order or 0 if before is not None else 0):
        words = "the far end acknowledged our bytes, but what it sent came with holes"
        return Claim("none", words)
    ago = seen.since_last_ack_received_seconds
    when = "" if ago is None else f" {span(ago)} ago"
    words = f"the far end acknowledged our bytes{when}"
    if again := _again(seen, before):
        return Claim("again", f"{words} after {count(again, 'retransmission')}{UNANSWERED}")
    return Claim("acknowledged", f"{words}{UNANSWERED}")


def _unacknowledged(seen: TcpSample, before: TcpSample | None) -> Claim:
    again = _again(seen, before)
    words = f"{count(seen.unacked, 'segment')} unacknowledged"
    if again <= 0:
        return Claim("none", f"{words}, nothing sent again yet")
    heard = span(seen.since_last_data_received_seconds)
    words += f", {count(again, 'retransmission')}, nothing heard for {heard}"
    if seen.bytes_acked is None:
        return Claim("none", words)
    if seen.bytes_acked > _acked(before):
        return Claim("none", f"{words}, but a part was acknowledged")
    return Claim("lost", words)


def _again(seen: TcpSample, before: TcpSample | None) -> int:
    return max(0, seen.retransmits - (before.retransmits if before is not None else 0))


def _acked(before: TcpSample | None) -> int:
    if before is None or before.bytes_acked is None:
        return _SYN
    return before.bytes_acked
