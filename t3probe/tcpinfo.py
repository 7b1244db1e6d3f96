"""Linux `TCP_INFO`: what the kernel knows about a connection, free of our own queueing.

Layout: `struct tcp_info` of linux/tcp.h; eight bytes of flags, then 32-bit fields. See tcp(7).
"""

from __future__ import annotations

import socket
import struct

from t3probe.observation import TcpSample

__all__ = ["CLOSED", "CLOSE_WAIT", "ESTABLISHED", "SYN_SENT", "handshake_seconds", "sample"]

ESTABLISHED, SYN_SENT, CLOSED, CLOSE_WAIT = 1, 2, 7, 8

_LAYOUT = struct.Struct("=8B24I")
# Positions among the 24 fields that follow the flags.
_UNACKED, _LAST_DATA_RECV, _RTT, _TOTAL_RETRANS = 4, 11, 15, 23


def sample(sock: object) -> TcpSample | None:
    """The kernel's numbers for `sock` (a socket or asyncio's TransportSocket) now.

    None where the system has no `TCP_INFO` or the descriptor is gone.
    """
    option = getattr(socket, "TCP_INFO", None)
    if option is None or sock is None:
        return None
    try:
        raw: bytes = sock.getsockopt(socket.IPPROTO_TCP, option, _LAYOUT.size)  # type: ignore[attr-defined]
    except (OSError, ValueError):
        return None
    if len(raw) < _LAYOUT.size:
        return None
    fields = _LAYOUT.unpack(raw)
    numbers = fields[8:]
    return TcpSample(
        state=fields[0],
        rtt_seconds=numbers[_RTT] / 1e6,
        unacked=numbers[_UNACKED],
        retransmits=numbers[_TOTAL_RETRANS],
        since_last_data_received_seconds=numbers[_LAST_DATA_RECV] / 1e3,
    )


def handshake_seconds(sock: object) -> float | None:
    """The kernel's own round-trip time of the handshake, just after a connect; None if unknown."""
    seen = sample(sock)
    return seen.rtt_seconds if seen is not None and seen.rtt_seconds > 0 else None
