"""The connections of a served page: a bounded number, of which the oldest idle one makes way.

Whoever means it has asked a round trip after it came, so it is never the oldest that idles for
long. If the newest went in place of it, a few silent connections would shut everybody else out.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Room(Generic[T]):
    """Those that are open, the oldest first."""

    def __init__(self, most: int, *, idle: Callable[[T], bool], end: Callable[[T], None]) -> None:
        """`idle`: whether one has asked for nothing; `end` closes it at once."""
        self._most, self._idle, self._end = most, idle, end
        self._open: dict[T, None] = {}

    def enter(self, one: T) -> None:
        """Take one in; in a full room another one ends."""
        if len(self._open) >= self._most:
            self.make_way()
        self._open[one] = None

    def leave(self, one: T) -> None:
        """It is closed. May be called of one that had to go."""
        self._open.pop(one, None)

    def make_way(self) -> None:
        """End the oldest that idles, or the oldest of all."""
        oldest = next(iter(self._open), None)
        chosen = next((one for one in self._open if self._idle(one)), oldest)
        if chosen is not None:
            del self._open[chosen]
            self._end(chosen)

    def heed_descriptors(self, loop: asyncio.AbstractEventLoop) -> None:
        """When nobody can be accepted because descriptors have run out, one makes way.

        asyncio itself stops accepting for a second then, and says so by this handler alone.
        """

        def handle(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
            if "out of system resource" in context.get("message", ""):
                self.make_way()
            else:
                loop.default_exception_handler(context)

        loop.set_exception_handler(handle)
