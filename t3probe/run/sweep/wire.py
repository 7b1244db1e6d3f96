"""What a sweep and its child process say to each other. Light: the child imports it first.

The request is text, one line of settings and one line per upstream:

    base at_once patience limit resolve_limit stall
    FLAGS HOST PORT [HOST PORT ...]

`base` is the machine's monotonic clock at the sweep's beginning; all times in answers are
microseconds since then, so that both processes speak of the same moments. An empty line ends the
request; the pipe stays open, and when it is closed the child stops.

The answer is frames: one letter, the payload's length as 32 bits little-endian, the payload.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

TRIES = b"R"
"""Records of `TRIED`."""
ADDRESSES = b"A"
"""`NAMED` of an upstream with names, then all its addresses and ports, as text."""
UNKNOWN_NAME = b"U"
"""`NAMED` of an upstream, then the sentence why there is no address for it."""
NEAR_END = b"N"
"""`NEAR` of a first connect that failed, then its own address and port, as the record has them."""
STALL = b"S"
"""The child stood still from, to: two `MOMENT`."""
TICK = b"T"
"""A sign of life."""
LEFT_LOOPBACK = b"L"
"""What the guard held back, as text."""
END = b"Z"
"""The sweep is complete."""

TRIED = struct.Struct("<IBBhIII")
"""One connect: the upstream's number, its address's number, the attempt (0, 1 for the second look,
and for a control the number of the round), the system's error number (0: connected, -1: no answer
in time), the kernel's handshake time (0: unknown), and when it was sent and over, in
microseconds."""
NAMED = struct.Struct("<II")
"""The upstream's number, and how long its names took, in microseconds."""
NEAR = struct.Struct("<IB")
"""The upstream's number, and its address's number."""
MOMENT = struct.Struct("<I")
HEAD = struct.Struct("<cI")
MICROSECONDS = 1e-6
REFUSED_OK = 1
CONTROL = 2
"""Flag: dialled again beside second looks, to compare them with."""
MOST_ROUNDS = 100
"""So often controls are dialled again at most; `TRIED` counts the attempt in one byte."""
NO_ANSWER = -1


class Settings(NamedTuple):
    """The first line of a request; seconds but for `at_once`."""

    base: float
    at_once: int
    """How many connects may be waited for at once, those that are parked not counted."""
    patience: float
    """A connect that is not answered for so long is parked: it keeps its time, not its place."""
    limit: float
    resolve_limit: float
    stall: float
    """From what lateness on the child says that it stood still."""


def request(settings: Settings, lines: bytes) -> bytes:
    """The whole request, of its settings and what `asked` gave."""
    return " ".join(map(repr, settings)).encode() + b"\n" + lines


def asked(upstreams: Iterable[tuple[int, Sequence[tuple[str, int]]]]) -> bytes:
    """The lines of a request: for each upstream its flags, and hosts with their ports."""
    lines = []
    for flags, targets in upstreams:
        words = [str(flags)]
        for host, port in targets:
            words += (host, str(port))
        lines.append(" ".join(words))
    return ("\n".join(lines) + "\n\n").encode("utf-8")


def frame(kind: bytes, payload: bytes = b"") -> bytes:
    """One frame of the answer."""
    return HEAD.pack(kind, len(payload)) + payload


def frames(data: bytes | bytearray) -> Iterator[tuple[bytes, bytes]]:
    """The whole frames in `data`; a cut one at the end is left out."""
    at = 0
    while at + HEAD.size <= len(data):
        kind, length = HEAD.unpack_from(data, at)
        at += HEAD.size
        if at + length > len(data):
            return
        yield kind, bytes(data[at : at + length])
        at += length
