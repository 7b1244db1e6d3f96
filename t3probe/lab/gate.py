"""A gate: the TCP listener in front of a hop. It forwards to the next one, or misbehaves.

A gate obeys the faults of one or more segments: the machine `devvm` and the process
`dispatch` on it share a listener, so that a refused dispatch refuses for real.
"""

from __future__ import annotations

import asyncio
import functools
import select
import socket
from collections.abc import Sequence
from typing import Literal

from t3probe.lab.board import Board
from t3probe.lab.control import LabError
from t3probe.lab.faults import Fault
from t3probe.lab.streams import (
    CHUNK_BYTES,
    Carried,
    Ending,
    FaultRule,
    Keeper,
    Pipe,
    Stream,
    drop_packets,
    reset_on_close,
)

Address = tuple[str, int]
Mode = Literal["open", "refuse", "blackhole", "closed"]

MAX_CONNECTIONS = 256
"""Connections one gate carries; further ones are reset."""

DIAL_SECONDS = 10.0
"""How long a gate waits for the next hop before it resets its client."""

RESET_SECONDS = 0.25
"""`reset` comes with the client's first byte, or after this."""

_OF_PROCESSES = ("exit", "drain", "idle", "half")
"""Kinds that befall the process that listens, not the way to it."""
_ENDING: dict[str, Ending] = {
    "refuse": "reset",
    "reset": "reset",
    "cut": "reset",
    "exit": "polite",
}
"""How a kind that begins ends what is established."""

BACKLOG = 512
MAX_FILLERS = 256
_FILLER_MILLISECONDS = 5


def bind(host: str, port: int = 0) -> socket.socket:
    """A socket bound to `host`, not yet listening. Raises OSError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With the protocol named asyncio switches Nagle's algorithm off on what is accepted here.
    sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if port:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, port))
        # Set even for a port of the system's choice: `refuse` binds the same port again.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setblocking(False)
    except OSError:
        sock.close()
        raise
    return sock


class Gate:
    """One listener and the connections that went through it."""

    def __init__(
        self,
        board: Board,
        keeper: Keeper,
        listener: socket.socket,
        target: Address | None,
        segments: tuple[str, ...],
        *,
        silent: tuple[str, ...] = (),
        process: tuple[str, ...] | None = None,
        websocket: bool = False,
        provider: int | None = None,
    ) -> None:
        """`target` None: accept and hold, as a plain TCP service. `silent`: the segments whose
        `stall` is this gate's own; the others' are done by the hop behind, which speaks
        their protocol. `process`: the segments whose process listens here, so that it ends, is
        drained, or ends idle connections here; None: all of `segments`. `websocket`: a stall lets
        the 101 through."""
        self._board = board
        self._keeper = keeper
        self._listener = listener
        self._target = target
        self._segments = segments
        self._process = segments if process is None else process
        self._order = tuple(dict.fromkeys((*self._segments, *self._process)))
        """Nearest to the client first."""
        self._provider = provider
        self._websocket = websocket
        self._rule = FaultRule(
            board, dark=segments, silent=silent, slow=segments, provider=provider
        )
        self._live: set[Carried] = set()
        self._lost: set[Carried] = set()
        """Those that have met the broken one of two machines."""
        self._owed: set[Carried] = set()
        """Those that ended behind a dark segment: the client learns of it afterwards."""
        self._met = 0
        """New connections since `half` began."""
        self._fillers: dict[Address, socket.socket] = {}
        self._mode: Mode = "closed"
        name = listener.getsockname()
        self.address: Address = (name[0], name[1])
        """Where it listens."""

    @property
    def connections(self) -> int:
        """How many connections it carries now."""
        return len(self._live)

    def start(self) -> None:
        """Listen, and follow the board from now on."""
        self._enter("open")
        self._board.watch(self._changed)

    def end_all(self) -> list[asyncio.Task[None]]:
        """Abort every connection that went through this gate; the tasks that end now."""
        for carried in list(self._live):
            carried.end("abort")
        return [carried.task for carried in self._live if carried.task]

    def close(self) -> None:
        """Stop listening and give the port back."""
        self._leave()
        self._mode = "closed"
        self._listener.close()

    # Faults

    def _find(self, kind: str) -> Fault | None:
        segments = self._process if kind in _OF_PROCESSES else self._segments
        return self._board.find_any(segments, kind, self._provider)

    def _changed(self, begun: Sequence[Fault]) -> None:
        for fault in begun:
            process = fault.kind in _OF_PROCESSES
            if fault.segment not in (self._process if process else self._segments):
                continue
            if fault.provider not in (None, self._provider):
                continue
            if fault.kind == "half":
                self._met = 0
            if how := _ENDING.get(fault.kind):
                if self._dark_before(fault.segment):
                    self._owed |= self._live
                    continue
                for carried in list(self._live):
                    carried.end(how)
        if self._owed and not self._find("blackhole"):
            for carried in self._owed:
                carried.end("reset")
            self._owed.clear()
        if not self._find("half"):
            for carried in self._lost:
                carried.end("reset")  # the machine is back, and knows nothing of them
            self._lost.clear()
        for carried in self._live:
            carried.keep_open()
            self._limit(carried)
        wanted = self._wanted()
        if wanted != self._mode:
            self._leave()
            self._enter(wanted)

    def _dark_before(self, segment: str) -> bool:
        """Whether nothing comes through to the client from `segment`, not even an end."""
        for one in self._order:
            if one == segment:
                break
            if self._board.find(one, "blackhole", self._provider):
                return True
        return False

    def _wanted(self) -> Mode:
        """What the listener is to do: what is nearer to the client comes first."""
        for segment in self._order:
            if segment in self._segments:
                if self._board.find(segment, "blackhole", self._provider):
                    return "blackhole"
                if self._board.find(segment, "refuse", self._provider):
                    return "refuse"
            if segment in self._process:
                for kind in ("exit", "drain"):
                    if self._board.find(segment, kind, self._provider):
                        return "refuse"
        return "open"

    def _limit(self, carried: Carried) -> None:
        """Let a connection last no longer than the faults in force allow."""
        if fault := self._find("close"):
            carried.close_at_age(fault.delay or 0.0)
        if fault := self._find("idle"):
            carried.close_when_idle(fault.delay or 0.0)

    # The listener

    def _leave(self) -> None:
        """Undo the present mode; the socket stays bound."""
        if self._mode == "open":
            asyncio.get_running_loop().remove_reader(self._listener)
        elif self._mode == "blackhole":
            self._deafen(False)
            for carried in self._live:
                carried.deafen(False)
            self._accept()  # takes our own fillers, too, out of the queue
            for filler in self._fillers.values():
                filler.close()
            self._fillers.clear()

    def _enter(self, mode: Mode) -> None:
        self._mode = mode
        if mode == "open":
            self._listener.listen(BACKLOG)
            asyncio.get_running_loop().add_reader(self._listener, self._accept)
        elif mode == "refuse":
            if not self._find("exit") and not self._find("refuse"):
                self._accept()  # drained: what waits already is established and stays so
            # Bound and not listening: the kernel answers RST and nobody else gets the port.
            self._listener.close()
            self._listener = bind(*self.address)
        elif mode == "blackhole":
            deaf = self._deafen(True)
            self._accept()  # what waits already is established and stays so
            for carried in self._live:
                carried.deafen(True)
            self._listener.listen(0)
            if not deaf:
                self._fill()

    def _deafen(self, on: bool) -> bool:
        """Drop every SYN, like a dead network. It takes no time: while one gate is dark and the
        next one on the same network is not, bytes would be acknowledged and never answered. False
        where the system cannot."""
        try:
            drop_packets(self._listener, on)
        except OSError:
            return False
        return True

    def _fill(self) -> None:
        """The same by a full accept queue."""
        for _ in range(MAX_FILLERS):
            filler = socket.socket(self._listener.family, socket.SOCK_STREAM)
            filler.setblocking(False)
            filler.connect_ex(self.address)
            poll = select.poll()
            poll.register(filler, select.POLLOUT)
            if not poll.poll(_FILLER_MILLISECONDS):
                filler.close()
                return
            name = filler.getsockname()
            self._fillers[(name[0], name[1])] = filler
        raise LabError(f"cannot fill the accept queue of {self.address[0]}:{self.address[1]}.")

    def _accept(self) -> None:
        while True:
            try:
                sock, peer = self._listener.accept()
            except (BlockingIOError, InterruptedError):
                return
            except OSError:  # the client has left again, or no descriptor is free
                return
            filler = self._fillers.pop((peer[0], peer[1]), None)
            if filler:
                filler.close()
                sock.close()
                continue
            self._board.client_seen()
            if len(self._live) >= MAX_CONNECTIONS:
                reset_on_close(sock)
                sock.close()
                continue
            sock.setblocking(False)
            carried = Carried(sock)
            self._live.add(carried)
            carried.task = self._keeper.spawn(self._carry(carried, sock))
            # A callback, not a `finally`: a task cancelled before its first step runs neither.
            carried.task.add_done_callback(functools.partial(self._done, carried, sock))
            self._limit(carried)
            if self._find("half"):
                self._met += 1
                if self._met % 2 == 0:
                    self._lost.add(carried)

    # One connection

    async def _carry(self, carried: Carried, sock: socket.socket) -> None:
        try:
            near = self._keeper.keep(await asyncio.open_connection(sock=sock))
            carried.writers.append(near.writer)
            if self._find("reset"):
                # Not before the client knows that it is connected, or its connect would fail
                # now and then, depending on who is faster.
                async with asyncio.timeout(RESET_SECONDS):
                    await near.reader.read(1)
                raise ConnectionResetError("fault")
            if self._target is None or carried in self._lost:
                while await near.reader.read(CHUNK_BYTES):
                    carried.moved()
            elif first := await near.reader.read(CHUNK_BYTES):
                # Clients speak first here. One that only connects needs no next hop.
                await self._board.while_blocked(self._rule.dark)
                far = await self._dial(self._target)
                carried.writers.append(far.writer)
                far.writer.write(first)
                carried.moved()
                await Pipe(
                    near, far, self._rule, websocket=self._websocket, moved=carried.moved
                ).run()
            carried.ending = "polite"
        except OSError:
            carried.ending = "reset"  # what happened on one side happens on the other

    def _done(self, carried: Carried, sock: socket.socket, _: asyncio.Task[None]) -> None:
        self._live.discard(carried)
        self._lost.discard(carried)
        self._owed.discard(carried)
        carried.finish()
        if not carried.writers:  # no transport took the socket
            if carried.ending == "reset":
                reset_on_close(sock)
            sock.close()

    async def _dial(self, target: Address) -> Stream:
        async with asyncio.timeout(DIAL_SECONDS):
            return self._keeper.keep(await asyncio.open_connection(*target))
