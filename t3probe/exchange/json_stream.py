"""JSON read while it comes: what is used is decoded, item by item, and nothing else is kept.

A reader says with a tree of `Into` which objects and arrays are gone into, and with functions what
is taken: each gets the bytes of one whole value. All else is passed over: its brackets and strings
are followed and its bytes dropped. What is passed over is held to be JSON as far as `PASSED_BYTES`
of one value; beyond them its brackets alone are counted.

    JsonStream(Into(keys={"data": Into(item=take)}))

Of a key that stands there twice the last one counts: `opened` is called again and begins anew.
Every byte is looked at once, whatever the pieces are in which they come.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TypeVar, Union

import msgspec

from t3probe.exchange.bounds import JSON_ITEM_BYTES, JSON_ITEM_VALUES, JSON_LEVELS
from t3probe.text.words import size

PASSED_BYTES = 1 << 16

_SPACE = re.compile(rb"[ \t\n\r]*+")
_SCALAR = re.compile(rb'[^ \t\n\r,:"{}\[\]]++')
_CHARACTERS = re.compile(rb'[^"\\]*+(?:\\.[^"\\]*+)*+', re.DOTALL)
_PLAIN = rb'(?:[^"{}\[\]]++|"[^"\\]*+(?:\\.[^"\\]*+)*+")*+'
_BRACKET = re.compile(_PLAIN + rb"([{}\[\]])?", re.DOTALL)
_QUOTE, _COMMA, _COLON = b'",:'
_OPEN, _CLOSE, _OPEN_ARRAY, _CLOSE_ARRAY = b"{}[]"
_OPENS = frozenset(b"{[")
_FIRST = frozenset(b'{["-0123456789tfn')
"""With what a value may begin."""
_DECODE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_ANY = msgspec.json.Decoder(msgspec.Raw)
_TEXT = msgspec.json.Decoder(str)

T = TypeVar("T")


class JsonError(Exception):
    """What came cannot be read; `str()` is a noun and its clause, the end of a sentence."""


class NotJsonError(JsonError):
    """It is not JSON, or not the whole of it."""

    def __init__(self) -> None:
        super().__init__("something that is not JSON")


class TooMuchError(JsonError):
    """It is beyond a bound."""


def _nothing(is_object: bool = True) -> None:
    pass


class Into:
    """An object, an array, or either of them, that is gone into."""

    __slots__ = ("closed", "item", "keys", "opened", "wrong")

    def __init__(
        self,
        keys: Mapping[str, Node] | Callable[[str], Node] | None = None,
        item: Node = None,
        opened: Callable[[bool], None] = _nothing,
        closed: Callable[[], None] = _nothing,
        wrong: Callable[[], None] = _nothing,
    ) -> None:
        self.keys = keys.get if isinstance(keys, Mapping) else keys
        """What the value of a key is to; None: no object is gone into."""
        self.item = item
        """What an array's items are to; None: no array is gone into."""
        self.opened, self.closed = opened, closed
        """Called at its two ends, the first with whether it is an object."""
        self.wrong = wrong
        """Called for a whole value that is of another kind."""


Node = Union[Into, Callable[[bytes], None], None]  # noqa: UP007  (a string inside a union)
"""What is done with a value: gone into, taken, or passed over (None)."""


def typed(raw: bytes | msgspec.Raw, decoder: msgspec.json.Decoder[T]) -> T | None:
    """`raw` as the decoder's type; None for JSON of another form. Raises NotJsonError."""
    try:
        return decoder.decode(raw)
    except _DECODE:
        _check(raw)
        return None


def _check(raw: bytes | msgspec.Raw) -> None:
    try:
        # A part of a value that is not there is no text at all, and no wrong one.
        if bytes(raw):
            _ANY.decode(raw)
    except _DECODE:
        raise NotJsonError from None


class JsonStream:
    """One JSON text that comes in pieces. What its functions raise goes to its feeder."""

    def __init__(self, root: Node, *, several: bool = False) -> None:
        """`several`: any number of texts one behind the other, each of them `root`."""
        self._root, self._several = root, several
        self._stack: list[tuple[Into, bool]] = []
        """What is gone into by now, and whether it is an object."""
        self._node = root
        """What the value that comes next is to."""
        self._next: Callable[[JsonStream, bytes, int, int], int] = JsonStream._value
        """What reads the next byte between values."""
        self._within = False
        """Whether a value, or a key, has begun and not ended."""
        self._is_key = False
        self._is_scalar = False
        self._in_string = self._escaped = False
        self._depth = 0
        self._parts: list[bytes] | None = None
        self._size = 0

    def feed(self, piece: bytes) -> None:
        """Read a piece. Raises JsonError."""
        at, end = 0, len(piece)
        while at < end:
            if self._within:
                at = self._scan(piece, at)
                continue
            space = _SPACE.match(piece, at)
            assert space is not None
            at = space.end()
            if at < end:
                at = self._next(self, piece, at, piece[at])

    def close(self) -> None:
        """Nothing more comes. Raises JsonError when it is no whole text."""
        if self._within and self._is_scalar and not self._stack:
            self._ended()
        # What is taken may hold this stream: without these it goes at once.
        self._root, self._node, self._parts = None, None, None
        self._stack.clear()
        if self._next is not JsonStream._end or self._within:
            raise NotJsonError

    # -- between values. Each gets the piece, a place in it and the byte there, and returns the
    #    place behind what it read.

    def _value(self, piece: bytes, at: int, byte: int) -> int:
        node = self._node
        if isinstance(node, Into) and byte == _OPEN and node.keys is not None:
            self._stack.append((node, True))
            self._next = JsonStream._first_key
            node.opened(True)
            return at + 1
        if isinstance(node, Into) and byte == _OPEN_ARRAY and node.item is not None:
            self._stack.append((node, False))
            self._next, self._node = JsonStream._first_item, node.item
            node.opened(False)
            return at + 1
        if byte not in _FIRST:
            raise NotJsonError
        self._begin(byte)
        return self._scan(piece, at, started=True)

    def _first_item(self, piece: bytes, at: int, byte: int) -> int:
        return (
            self._behind(piece, at, byte) if byte == _CLOSE_ARRAY else self._value(piece, at, byte)
        )

    def _first_key(self, piece: bytes, at: int, byte: int) -> int:
        return self._behind(piece, at, byte) if byte == _CLOSE else self._key(piece, at, byte)

    def _key(self, piece: bytes, at: int, byte: int) -> int:
        if byte != _QUOTE:
            raise NotJsonError
        self._begin(byte)
        self._is_key = True
        return self._scan(piece, at, started=True)

    def _colon(self, piece: bytes, at: int, byte: int) -> int:
        if byte != _COLON:
            raise NotJsonError
        self._next = JsonStream._value
        return at + 1

    def _behind(self, piece: bytes, at: int, byte: int) -> int:
        """Behind a value: another one, or the end of what it stands in."""
        node, is_object = self._stack[-1]
        if byte == _COMMA:
            self._next = JsonStream._key if is_object else JsonStream._value
            self._node = None if is_object else node.item
        elif byte == (_CLOSE if is_object else _CLOSE_ARRAY):
            self._stack.pop()
            self._next = JsonStream._behind if self._stack else JsonStream._end
            node.closed()
        else:
            raise NotJsonError
        return at + 1

    def _end(self, piece: bytes, at: int, byte: int) -> int:
        if not self._several:
            raise NotJsonError
        self._node = self._root
        return self._value(piece, at, byte)

    # -- inside one

    def _begin(self, byte: int) -> None:
        self._within, self._is_key = True, False
        self._is_scalar = byte != _QUOTE and byte not in _OPENS
        self._in_string = self._escaped = False
        self._depth, self._parts, self._size = 0, [], 0

    def _scan(self, piece: bytes, at: int, *, started: bool = False) -> int:
        """The place behind the value, or the piece's end."""
        began = at
        if self._is_scalar:
            found = _SCALAR.match(piece, at)
            at = at if found is None else found.end()
            return self._keep(piece, began, at, ended=at < len(piece))
        if started and piece[at] == _QUOTE:
            self._in_string = True
            at += 1
        if self._in_string:
            at = self._string(piece, at)
            if self._in_string or not self._depth:
                return self._keep(piece, began, at, ended=not self._in_string)
        match, depth, most = _BRACKET.match, self._depth, JSON_LEVELS - len(self._stack)
        while True:
            found = match(piece, at)
            assert found is not None
            at = found.end()
            if found.lastindex is None:
                break
            if piece[at - 1] in _OPENS:
                depth += 1
                if depth > most:
                    raise TooMuchError(
                        f"something that is not JSON of at most {JSON_LEVELS} levels"
                    )
            else:
                depth -= 1
                if not depth:
                    return self._keep(piece, began, at, ended=True)
        self._depth = depth
        if at < len(piece):
            self._in_string = True
            self._string(piece, at + 1)
        return self._keep(piece, began, len(piece), ended=False)

    def _string(self, piece: bytes, at: int) -> int:
        """The place behind a string of which `at` is the inside, or the piece's end."""
        if self._escaped and at < len(piece):
            self._escaped = False
            at += 1
        found = _CHARACTERS.match(piece, at)
        assert found is not None
        at = found.end()
        if at == len(piece):
            return at
        self._escaped = piece[at] != _QUOTE  # a backslash that is the piece's last byte
        self._in_string = self._escaped
        return at + 1

    def _keep(self, piece: bytes, began: int, at: int, *, ended: bool) -> int:
        self._size += at - began
        if self._parts is not None:
            self._parts.append(piece[began:at])
            if self._size > PASSED_BYTES:
                self._large()
        if ended:
            self._ended()
        return at

    def _large(self) -> None:
        taken = self._is_key or callable(self._node)
        if not taken:
            self._parts = None
        elif self._size > JSON_ITEM_BYTES:
            raise TooMuchError(
                f"one entry of more than {size(JSON_ITEM_BYTES)}, which is the most that is read"
            )

    def _ended(self) -> None:
        raw = None if self._parts is None else b"".join(self._parts)
        self._within, self._parts = False, None
        if self._is_key:
            assert raw is not None
            self._named(raw)
            return
        self._over(raw, self._node)

    def _over(self, raw: bytes | None, node: Node) -> None:
        """A value is over; None: it was passed over, and too long to be kept that far."""
        self._next = JsonStream._behind if self._stack else JsonStream._end
        if raw is not None and callable(node):
            if len(raw) > JSON_ITEM_VALUES and raw.count(b",") >= JSON_ITEM_VALUES:
                raise TooMuchError(
                    f"one entry of more than {JSON_ITEM_VALUES:,} values, which are the most that "
                    "are read"
                )
            node(raw)
            return
        if raw is not None:
            _check(raw)
        if isinstance(node, Into):
            node.wrong()

    def _named(self, raw: bytes) -> None:
        name = typed(raw, _TEXT)
        if name is None:
            raise NotJsonError
        keys = self._stack[-1][0].keys
        assert keys is not None
        self._node, self._next = keys(name), JsonStream._colon
