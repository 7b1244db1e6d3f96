"""Connections the lab carries: how they end, who keeps them, and bytes on their way.

A `Pipe` moves bytes between two sides under the faults of some segments: it holds them back,
delays them, or ends both sides as the fault demands.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import socket
import struct
import weakref
from collections.abc import Callable, Coroutine
from typing import Any, Literal, NamedTuple

from t3probe.lab.board import Board
from t3probe.timing import SystemClock

CHUNK_BYTES = 65536
"""The most one read takes. A pipe holds at most 16 of these."""

Ending = Literal["abort", "reset", "polite"]

_CLOCK = SystemClock()
_LINGER_ZERO = struct.pack("ii", 1, 0)
_SO_ATTACH_FILTER, _SO_DETACH_FILTER = 26, 27
_BPF_RET = 0x06
"""Classic BPF's `return`: with 0 it keeps no byte of the packet."""


class Stream(NamedTuple):
    """Both ends of asyncio's streams for one connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter


def reset_on_close(sock: Any) -> None:
    """Make the next close send RST (socket(7), SO_LINGER with time 0)."""
    with contextlib.suppress(OSError):  # already closed
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_ZERO)


def abort(writer: asyncio.StreamWriter, *, reset: bool) -> None:
    """End a connection now, whatever is still to be sent; with RST when `reset`."""
    if reset and not writer.is_closing():  # a closing TLS transport knows no socket any more
        reset_on_close(writer.get_extra_info("socket"))
    writer.transport.abort()


class Keeper:
    """Knows every task and connection of a lab, so that none outlives it."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()
        self._writers: weakref.WeakSet[asyncio.StreamWriter] = weakref.WeakSet()
        self._closings: set[asyncio.Task[None]] = set()
        self._closed = False

    @property
    def tasks(self) -> int:
        """How many tasks are running."""
        return len(self._tasks)

    def spawn(self, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run `coroutine` as a task until it ends or the lab stops."""
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        if self._closed:
            task.cancel()
        return task

    def keep(self, stream: tuple[asyncio.StreamReader, asyncio.StreamWriter]) -> Stream:
        """Remember a connection, to be ended at the latest when the lab stops."""
        self._writers.add(stream[1])
        return Stream(*stream)

    def closing(self, stream: Stream) -> asyncio.Task[None]:
        """A task that ends when the connection is gone. Never cancel it."""
        task = asyncio.get_running_loop().create_task(_gone(stream.writer))
        self._closings.add(task)
        task.add_done_callback(self._closings.discard)
        return task

    async def close(self) -> None:
        """Cancel every task, abort every connection, and wait until all are gone."""
        self._closed = True
        while tasks := [task for task in self._tasks if not task.done()]:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0)  # for what is called back when a task is done
        writers = list(self._writers)
        for writer in writers:
            abort(writer, reset=True)
        await asyncio.gather(*(_gone(writer) for writer in writers), *self._closings)


async def _gone(writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):  # how it ended does not matter here
        await writer.wait_closed()


def drop_packets(sock: Any, on: bool) -> None:
    """Attach or detach a socket filter that keeps nothing (Linux socket(7), SO_ATTACH_FILTER).

    Needs no privilege. Raises OSError where the system has none.
    """
    if not on:
        sock.setsockopt(socket.SOL_SOCKET, _SO_DETACH_FILTER, 0)
        return
    instruction = ctypes.create_string_buffer(struct.pack("HBBI", _BPF_RET, 0, 0, 0))
    program = struct.pack("HL", 1, ctypes.addressof(instruction))
    sock.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, program)


class Carried:
    """One accepted connection: its task, its writers, and the way it is to end.

    Whatever ends the task, `finish` ends the connection: at once (`abort`), by RST (`reset`),
    or with what is still to be sent and FIN (`polite`).
    """

    def __init__(self, sock: socket.socket | None = None) -> None:
        self.accepted_at = _CLOCK.monotonic()
        self._sock = sock
        """Before the task's first step there is no writer that leads to it."""
        self.ending: Ending = "abort"
        self.writers: list[asyncio.StreamWriter] = []
        self.task: asyncio.Task[None] | None = None
        self._moved_at = self.accepted_at
        self._age: asyncio.TimerHandle | None = None
        self._idle: asyncio.TimerHandle | None = None

    def end(self, how: Ending) -> None:
        """End the connection in this way, from outside of its own task."""
        self.ending = how
        if self.task:
            self.task.cancel()

    def close_at_age(self, seconds: float) -> None:
        """End it politely `seconds` after it was accepted, or now when that is past."""
        if self._age:
            self._age.cancel()
        left = self.accepted_at + seconds - _CLOCK.monotonic()
        loop = asyncio.get_running_loop()
        self._age = loop.call_later(max(0.0, left), self.end, "polite")

    def close_when_idle(self, seconds: float) -> None:
        """End it politely once no byte moved for `seconds`, or now when that is past."""
        if self._idle:
            self._idle.cancel()
            self._idle = None
        left = self._moved_at + seconds - _CLOCK.monotonic()
        if left <= 0:
            self.end("polite")
            return
        loop = asyncio.get_running_loop()
        self._idle = loop.call_later(left, self.close_when_idle, seconds)

    def moved(self) -> None:
        """Bytes have come from one of its sides."""
        self._moved_at = _CLOCK.monotonic()

    def keep_open(self) -> None:
        """Undo `close_at_age` and `close_when_idle`."""
        for timer in (self._age, self._idle):
            if timer:
                timer.cancel()
        self._age = self._idle = None

    def deafen(self, on: bool) -> None:
        """Drop every packet from the client before TCP sees it, as a dead network would: the
        client's kernel gets no acknowledgement. Where the system cannot, bytes just stop."""
        if self._sock is not None:
            with contextlib.suppress(OSError):
                drop_packets(self._sock, on)

    def finish(self) -> None:
        """Close every side. Called once, by the connection's own task."""
        self.keep_open()
        for writer in self.writers:
            if self.ending != "polite":
                abort(writer, reset=self.ending == "reset")
            elif not writer.is_closing():
                writer.close()


class FaultRule:
    """The segments whose faults a stream of bytes obeys, by kind."""

    def __init__(
        self,
        board: Board,
        *,
        dark: tuple[str, ...] = (),
        silent: tuple[str, ...] = (),
        slow: tuple[str, ...] = (),
        provider: int | None = None,
    ) -> None:
        self.board = board
        self._dark = dark
        self._silent = silent
        self._slow = slow
        self._provider = provider

    def dark(self) -> bool:
        """Nothing flows either way (blackhole)."""
        return self.board.find_any(self._dark, "blackhole", self._provider) is not None

    def silent(self) -> bool:
        """No answer comes back (stall)."""
        return self.board.find_any(self._silent, "stall", self._provider) is not None

    def held_back(self) -> bool:
        """Nothing reaches the client (blackhole or stall)."""
        return self.dark() or self.silent()

    def delay(self) -> float:
        """Seconds by which an answer is late."""
        found = (self.board.find(segment, "slow", self._provider) for segment in self._slow)
        return sum(fault.delay or 0.0 for fault in found if fault)


class Pipe:
    """Bytes between a client's side (near) and the next hop's (far)."""

    def __init__(
        self,
        near: Stream,
        far: Stream,
        rule: FaultRule,
        *,
        websocket: bool = False,
        moved: Callable[[], None] = lambda: None,
    ) -> None:
        """`moved` is called whenever a side has sent bytes."""
        self.near = near
        self.far = far
        self.rule = rule
        self._websocket = websocket
        self._moved = moved
        self._loop = asyncio.get_running_loop()
        self._line: asyncio.Queue[tuple[asyncio.Future[None] | None, bytes]] = asyncio.Queue(16)

    async def run(self) -> None:
        """Move bytes until both sides are done. Raises OSError when a side was reset."""
        forward = self._loop.create_task(self._forward())
        backward = [self._loop.create_task(one) for one in (self._take_in(), self._let_out())]
        tasks = [forward, *backward]
        try:
            pending = set(tasks)
            while pending:
                done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
                # A client that leaves while its answers are held back waits for nothing.
                if forward in done and self.rule.held_back():
                    return
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _forward(self) -> None:
        board = self.rule.board
        while data := await self.near.reader.read(CHUNK_BYTES):
            self._moved()
            await board.while_blocked(self.rule.dark)
            self.far.writer.write(data)
            await self.far.writer.drain()
        _end_of_stream(self.far.writer)

    async def _take_in(self) -> None:
        """Read the far side and put each chunk in line with the moment it is due."""
        more = True
        while more:
            data = await self.far.reader.read(CHUNK_BYTES)
            more = bool(data)
            self._moved()
            due: asyncio.Future[None] | None = None
            if delay := self.rule.delay():
                due = self.rule.board.later(delay, self.rule.delay)
            await self._line.put((due, data))

    async def _let_out(self) -> None:
        """Write the line to the near side, each chunk when it is due and nothing holds it."""
        board = self.rule.board
        while True:
            due, data = await self._line.get()
            if due:
                await due
            if self._websocket and data.startswith(b"HTTP/1.1 101 "):
                head, end, data = data.partition(b"\r\n\r\n")
                await board.while_blocked(self.rule.dark)
                self.near.writer.write(head + end)  # a stall is silent after the 101 only
                if not data:
                    continue
            await board.while_blocked(self.rule.held_back)
            if not data:
                break
            self.near.writer.write(data)
            await self.near.writer.drain()
        _end_of_stream(self.near.writer)


def _end_of_stream(writer: asyncio.StreamWriter) -> None:
    """Pass an end of stream on: FIN where half-closing works (not in TLS), else close."""
    if writer.is_closing():
        return
    if writer.can_write_eof():
        writer.write_eof()
    else:
        writer.close()
