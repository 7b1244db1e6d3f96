"""WebSocket frames of a client in, events or a complaint out (RFC 6455 section 5). Pure.

Kept by hand because `websockets.server.ServerProtocol` (17.4) answers the pings and the close of a
read before a limit can act and before the messages in front of them are echoed, does not tell that
the rest of a frame is waited for, and refuses a ping (1009) in a message that is almost full.
"""

from __future__ import annotations

from typing import NamedTuple

PART = -1
"""An event's kind: a piece of a message that goes on."""
_MORE, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
_MOST_CONTROL = 125


class Violation(Exception):
    """The client broke the protocol; the connection ends with `code` (section 7.4)."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.code} {self.reason}"


class Event(NamedTuple):
    """A whole message, a control frame, or (`PART`) a piece of a message."""

    kind: int
    data: bytes


class FrameReader:
    """Collects what a client sends; never holds more than a message and what was just fed."""

    __slots__ = ("_buffer", "_kind", "_message", "_most")

    def __init__(self, most: int) -> None:
        """`most`: bytes that a message may have."""
        self._buffer = bytearray()
        self._message: bytearray | None = None
        self._kind = 0
        self._most = most

    @property
    def held(self) -> int:
        """Bytes that wait for the rest of their frame or message."""
        return len(self._buffer) + len(self._message or b"")

    @property
    def in_message(self) -> bool:
        """A message in pieces has begun and goes on."""
        return self._message is not None

    @property
    def unfinished(self) -> bool:
        """Something has begun whose end is still to come."""
        return bool(self._buffer) or self._message is not None

    def feed(self, data: bytes | memoryview) -> None:
        """Take what came from the network."""
        self._buffer += data

    def next(self) -> Event | None:
        """The next event; None when more bytes are needed. Raises Violation."""
        buffer = self._buffer
        if len(buffer) < 2:
            return None
        code, final = buffer[0] & 15, bool(buffer[0] & 128)
        size, offset = buffer[1] & 127, 2
        if buffer[0] & 0x70:
            raise Violation(1002, "reserved bits are set")
        if not buffer[1] & 128:
            raise Violation(1002, "a client's frames are masked")
        self._check(code, final, size)
        if size > _MOST_CONTROL:
            offset = 4 if size == 126 else 10
            if len(buffer) < offset:
                return None
            short, size = size, int.from_bytes(buffer[2:offset], "big")
            if size < (126 if short == 126 else 1 << 16):
                raise Violation(1002, "a length is longer than it needs to be")
        if code < CLOSE and size + len(self._message or b"") > self._most:
            raise Violation(1009, f"over {self._most} bytes")
        end = offset + 4 + size
        if len(buffer) < end:
            return None
        data = _unmask(buffer[offset + 4 : end], bytes(buffer[offset : offset + 4]))
        del buffer[:end]
        return self._event(code, final, data)

    def _check(self, code: int, final: bool, size: int) -> None:
        if code in (CLOSE, PING, PONG):
            if not final or size > _MOST_CONTROL:
                raise Violation(1002, "a control frame is short and whole")
        elif code == _MORE:
            if self._message is None:
                raise Violation(1002, "nothing to continue")
        elif code not in (TEXT, BINARY):
            raise Violation(1002, "an unknown kind of frame")
        elif self._message is not None:
            raise Violation(1002, "the last message is not finished")

    def _event(self, code: int, final: bool, data: bytes) -> Event:
        if code >= CLOSE:
            return Event(code, data)
        if code != _MORE:
            self._kind = code
        if not final:
            if self._message is None:
                self._message = bytearray()
            self._message += data
            return Event(PART, b"")
        if self._message is not None:
            data = bytes(self._message) + data
            self._message = None
        if self._kind == TEXT:
            _utf8(data)
        return Event(self._kind, data)


def frame(kind: int, data: bytes) -> bytes:
    """One whole frame of a server: final, not masked."""
    size = len(data)
    if size <= _MOST_CONTROL:
        return bytes((0x80 | kind, size)) + data
    if size < 1 << 16:
        return bytes((0x80 | kind, 126)) + size.to_bytes(2, "big") + data
    return bytes((0x80 | kind, 127)) + size.to_bytes(8, "big") + data


def closing(code: int, reason: str) -> bytes:
    """A close frame; `reason` at most 123 bytes of ASCII."""
    return frame(CLOSE, code.to_bytes(2, "big") + reason.encode("ascii"))


def close_code(data: bytes) -> int | None:
    """The code of a client's close frame; None when it names none. Raises Violation."""
    if not data:
        return None
    code = int.from_bytes(data[:2], "big")
    if len(data) < 2 or not (1000 <= code <= 1014 or 3000 <= code <= 4999):
        raise Violation(1002, "a close frame without a valid code")
    if code in (1004, 1005, 1006):
        raise Violation(1002, "a close code that is never sent")
    _utf8(data[2:])
    return code


def _utf8(data: bytes) -> None:
    try:
        data.decode()
    except UnicodeDecodeError as error:
        raise Violation(1007, f"not UTF-8 at byte {error.start}") from error


def _unmask(data: bytearray, mask: bytes) -> bytes:
    """`data` with the client's mask taken off (section 5.3); one long exclusive or."""
    size = len(data)
    key = (mask * (size // 4 + 1))[:size]
    return (int.from_bytes(data, "little") ^ int.from_bytes(key, "little")).to_bytes(size, "little")
