"""Blips of the last minute: one that stands alone is no drop, two on legs that share a segment are.

A run knows all its blips when it judges them. Here they come one after another, so that one is
counted when the next one comes, if it does so within a minute.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable

__all__ = ["BESIDE_SECONDS", "Blips"]

BESIDE_SECONDS = 60.0
MOST = 1000
"""So many blips of the last minute are looked at: more of them have met one another already."""


class _Blip:
    def __init__(self, noticed: float, path: Iterable[str], count: Callable[[], None]) -> None:
        self.noticed, self.path = noticed, frozenset(path)
        self._count, self._counted = count, False

    def count(self) -> None:
        if not self._counted:
            self._counted = True
            self._count()


class Blips:
    """The newest blips of all legs."""

    def __init__(self) -> None:
        self._known: deque[_Blip] = deque(maxlen=MOST)

    def add(self, noticed: float, path: tuple[str, ...], count: Callable[[], None]) -> None:
        """A leg had a blip. `count` is called, once, when it has company: now or later."""
        while self._known and self._known[0].noticed < noticed - BESIDE_SECONDS:
            self._known.popleft()
        mine = _Blip(noticed, path, count)
        beside = [one for one in self._known if one.path & mine.path]
        self._known.append(mine)
        for one in [*beside, mine] if beside else []:
            one.count()
