"""Work in a thread that a run waits for only so long.

A file system may hang for ever, and no call to it has a deadline. The run ends all the same: a
thread that hangs dies with the process.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Aside(Generic[T]):
    """One piece of work, which has begun."""

    def __init__(self, name: str, work: Callable[[], T], after: Aside[T] | None = None) -> None:
        """`after`: what has to be over before; the two then never work at once."""
        self._work, self._after = work, after
        self._done: list[T] = []
        self._broken: list[Exception] = []
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        if self._after is not None:
            self._after._thread.join()
            self._after = None
        try:
            self._done.append(self._work())
        except Exception as error:
            self._broken.append(error)

    @property
    def over(self) -> bool:
        """Whether it came to its end."""
        return bool(self._done or self._broken)

    def result(self, seconds: float) -> T | None:
        """What came of it; None when it lasts longer than `seconds`. Raises what it raised."""
        self._thread.join(seconds)
        if self._broken:
            raise self._broken[0]
        return self._done[0] if self._done else None
