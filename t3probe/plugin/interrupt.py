"""SIGTERM and SIGINT, from the moment the plugin is loaded to the end of the process.

A signal is never lost and never breaks anything off by itself: it is remembered, and whoever
runs looks at it or is woken by it. Only where code of others runs, which may last, does it
raise KeyboardInterrupt. Once the record of the run is settled, a signal comes too late to
change anything.
"""

from __future__ import annotations

import atexit
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from t3probe.timing import Clock, SystemClock

SIGNALS = (signal.SIGINT, signal.SIGTERM)
NEVER = 1 << 30


class Interrupts:
    """The signals that this process got, and what they do at this moment."""

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock: Clock = clock or SystemClock()
        self._listener: Callable[[float], None] | None = None
        self._raise_at = NEVER
        self._before: dict[signal.Signals, Any] = {}
        self._heard = 0
        self.count = 0
        self.first_at = 0.0
        """When the first one came, in seconds of the monotonic clock."""

    def install(self) -> None:
        """Take the signals over; without effect outside the main thread."""
        with suppress(ValueError):
            for one in SIGNALS:
                self._before[one] = signal.signal(one, self.arrived)
            # While the interpreter ends it sets handlers back: a late signal would then kill a
            # run that has done everything, and change its exit code.
            atexit.register(_ignore)

    def release(self) -> None:
        """Give the signals back, as they were before `install`: nothing is probed here. One that
        came in between does then what it would have done."""
        with suppress(ValueError):
            for one, handler in self._before.items():
                # None: what was there before is not Python's, and cannot be set from here.
                if handler is not None and signal.getsignal(one) == self.arrived:
                    signal.signal(one, handler)
            atexit.unregister(_ignore)
        heard, self.count = self._heard, 0
        if self._before and heard:
            signal.raise_signal(heard)
        self._before = {}

    def arrived(self, number: int = 0, frame: object = None) -> None:
        """The handler."""
        self.count += 1
        if self.count == 1:
            self._heard = number
            self.first_at = self._clock.monotonic()
        if self._listener is not None:
            self._listener(self.first_at)
        if self.count >= self._raise_at:
            raise KeyboardInterrupt

    def tell(self, listener: Callable[[float], None]) -> None:
        """Call `listener` with the time of the first signal, at every one, and now if there was
        one already. From now on the second raises."""
        self._listener = listener
        self._raise_at = 2
        if self.count:
            listener(self.first_at)

    @contextmanager
    def raising(self, number: int) -> Iterator[None]:
        """Inside, the signal of that number, counted from the first of all, raises."""
        before, self._raise_at = self._raise_at, number
        try:
            yield
        finally:
            self._raise_at = before

    def never(self) -> None:
        """From now on signals are only remembered and told."""
        self._raise_at = NEVER

    def settled(self) -> None:
        """The record stands: from now on one signal does nothing, and a second one raises."""
        self._listener = None
        self._raise_at = self.count + 2

    def over(self) -> None:
        """The session has ended; another one may begin in this process."""
        self.settled()
        self.count, self._raise_at = 0, 2


def _ignore() -> None:
    for one in SIGNALS:
        signal.signal(one, signal.SIG_IGN)
