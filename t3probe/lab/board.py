"""Which faults are in force now.

Hops ask the board (`find`, `find_any`) at the moment something happens, are told of every change
(`watch`), and wait on it while a fault holds them (`while_blocked`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence

from t3probe.lab.faults import Fault
from t3probe.timing import SystemClock

_CLOCK = SystemClock()

Change = Callable[[Sequence[Fault]], None]
"""Called after each change with the faults that have just begun."""


class _Entry:
    """One fault and how far it has come."""

    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        self.active = False
        self.over = False
        self.began = 0.0
        """When it came into force; monotonic seconds."""
        self.timer: asyncio.TimerHandle | None = None

    def cancel(self) -> None:
        if self.timer:
            self.timer.cancel()
            self.timer = None


class Board:
    """The lab's faults, their timers, and who wants to know of them."""

    def __init__(self) -> None:
        self._entries: list[_Entry] = []
        self._watchers: list[Change] = []
        self._changed = asyncio.Event()
        self._waiting_for_client = False
        self._late: dict[asyncio.Future[None], Callable[[], object]] = {}

    def watch(self, change: Change) -> None:
        """Have `change` called after every change."""
        self._watchers.append(change)

    def find(
        self,
        segment: str,
        kind: str,
        provider: int | None = None,
        accepted_at: float | None = None,
    ) -> Fault | None:
        """The fault of this kind that befalls `segment` (and DoH provider) now, or None.

        `accepted_at`: only one that began before a connection of this moment (monotonic seconds).
        """
        for entry in self._entries:
            fault = entry.fault
            if (
                entry.active
                and fault.segment == segment
                and fault.kind == kind
                and fault.provider in (None, provider)
                and (accepted_at is None or entry.began <= accepted_at)
            ):
                return fault
        return None

    def find_any(
        self, segments: Iterable[str], kind: str, provider: int | None = None
    ) -> Fault | None:
        """The first fault of this kind that befalls one of `segments` now, or None."""
        for segment in segments:
            if fault := self.find(segment, kind, provider):
                return fault
        return None

    def arm(self, faults: Sequence[Fault]) -> None:
        """Begin with `faults`: those without AFTER now, all timers at the first client."""
        self._waiting_for_client = True
        self._replace([_Entry(fault) for fault in faults])

    def client_seen(self) -> None:
        """A client has connected: timers of the faults given to `arm` begin to count."""
        if self._waiting_for_client:
            self._waiting_for_client = False
            self._start_timers()

    def switch(self, faults: Sequence[Fault]) -> None:
        """Put `faults` in force in place of all others; timers count from now.

        A lasting fault that is in force already stays so without a gap.
        """
        self._waiting_for_client = False
        entries = []
        for fault in faults:
            same = [one for one in self._entries if one.fault == fault and one.active]
            entries.append(same[0] if same and fault.lasts is None else _Entry(fault))
        self._replace(entries)

    def add(self, faults: Sequence[Fault]) -> None:
        """Put `faults` in force beside the others; timers count from now."""
        self.client_seen()
        kept = [one for one in self._entries if not one.over]
        self._replace([*kept, *(_Entry(fault) for fault in faults)])

    def faults(self) -> list[Fault]:
        """All faults that are in force or will be."""
        return [one.fault for one in self._entries if not one.over]

    def active(self) -> list[Fault]:
        """The faults in force now."""
        return [one.fault for one in self._entries if one.active]

    def close(self) -> None:
        """End every fault and every timer; what waits goes on."""
        self._watchers.clear()
        self._replace([])

    async def while_blocked(self, blocked: Callable[[], object]) -> None:
        """Wait until `blocked()` is false; it is asked again after each change."""
        while blocked():
            await self._changed.wait()

    def later(self, seconds: float, late: Callable[[], object]) -> asyncio.Future[None]:
        """A future that is done after `seconds`, or at the first change after which `late()` is
        false: what was late on its way goes on when the fault is gone."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        self._late[future] = late
        timer = loop.call_later(seconds, _resolve, future)
        future.add_done_callback(lambda _: timer.cancel())
        future.add_done_callback(lambda done: self._late.pop(done, None))
        return future

    def _replace(self, entries: list[_Entry]) -> None:
        for old in self._entries:
            if old not in entries:
                old.cancel()
        self._entries = entries
        at_once = [one for one in entries if not (one.active or one.over or one.timer)]
        self._step(begin=[one for one in at_once if not one.fault.after])

    def _step(self, begin: Sequence[_Entry] = (), end: Sequence[_Entry] = ()) -> None:
        """Let some faults begin and others end, then tell of it once."""
        for entry in (*begin, *end):
            entry.timer = None
        for entry in end:
            entry.active, entry.over = False, True
        for entry in begin:
            entry.active, entry.began = True, _CLOCK.monotonic()
        self._start_timers()
        self._tell([entry.fault for entry in begin])
        for entry in begin:
            if entry.fault.kind == "cut":
                entry.active, entry.over = False, True

    def _start_timers(self) -> None:
        if self._waiting_for_client:
            return
        loop = asyncio.get_running_loop()
        for entry in self._entries:
            if entry.timer or entry.over:
                continue
            if not entry.active:
                entry.timer = loop.call_later(entry.fault.after, self._step, [entry])
            elif entry.fault.lasts:
                entry.timer = loop.call_later(entry.fault.lasts, self._step, (), [entry])

    def _tell(self, begun: Sequence[Fault]) -> None:
        for change in self._watchers:
            change(begun)
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()
        for future, late in list(self._late.items()):
            if not late():
                _resolve(future)


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
