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

from t3probe.lab.board import Board
from t3probe.lab.errors import LabError
from t3probe.lab.faults import Fault
from t3probe.lab.streams import CHUNK_BYTES, Carried, Keeper, Pipe, Rule, Stream, reset_on_close

__all__ = ["Address", "Gate", "bind"]

Address = tuple[str, int]

MAX_CONNECTIONS = 256
"""Connections one gate carries; further ones are reset."""

DIAL_SECONDS = 10.0
"""How long a gate waits for the next hop before it resets its client."""

RESET_SECONDS = 0.25
"""`reset` comes with the client's first byte, or after this."""

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
        websocket: bool = False,
        provider: int | None = None,
    ) -> None:
        """`target` None: accept and hold, as a plain TCP service. `silent`: the segments whose
        `stall` is this gate's own; the others' are done by the hop behind, which speaks
        their protocol. `websocket`: a stall lets the 101 through."""
        self._board = board
        self._keeper = keeper
        self._listener = listener
        self._target = target
        self._segments = segments
        self._provider = provider
        self._websocket = websocket
        self._rule = Rule(board, dark=segments, silent=silent, slow=segments, provider=provider)
        self._live: set[Carried] = set()
        self._fillers: dict[Address, socket.socket] = {}
        self._mode = "closed"
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
        return self._board.find_any(self._segments, kind, self._provider)

    def _changed(self, begun: Sequence[Fault]) -> None:
        for fault in begun:
            if fault.segment not in self._segments:
                continue
            if fault.provider not in (None, self._provider):
                continue
            if fault.kind in ("refuse", "reset", "cut"):
                for carried in list(self._live):
                    carried.end("reset")
        self._follow_close()
        wanted = "open"
        if self._find("refuse"):
            wanted = "refuse"
        elif self._find("blackhole"):
            wanted = "blackhole"
        if wanted != self._mode:
            self._leave()
            self._enter(wanted)

    def _follow_close(self) -> None:
        fault = self._find("close")
        for carried in self._live:
            if fault:
                carried.close_at_age(fault.delay or 0.0)
            else:
                carried.keep_open()

    # The listener

    def _leave(self) -> None:
        """Undo the present mode; the socket stays bound."""
        if self._mode == "open":
            asyncio.get_running_loop().remove_reader(self._listener)
        elif self._mode == "blackhole":
            for carried in self._live:
                carried.deafen(False)
            self._accept()  # takes our own fillers, too, out of the queue
            for filler in self._fillers.values():
                filler.close()
            self._fillers.clear()

    def _enter(self, mode: str) -> None:
        self._mode = mode
        if mode == "open":
            self._listener.listen(BACKLOG)
            asyncio.get_running_loop().add_reader(self._listener, self._accept)
        elif mode == "refuse":
            # Bound and not listening: the kernel answers RST and nobody else gets the port.
            self._listener.close()
            self._listener = bind(*self.address)
        elif mode == "blackhole":
            self._accept()  # whoever waits already is established and stays so
            for carried in self._live:
                carried.deafen(True)
            self._listener.listen(0)
            self._fill()

    def _fill(self) -> None:
        """Fill the accept queue: the kernel drops every further SYN, like a dead network."""
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
            carried = Carried()
            self._live.add(carried)
            carried.task = self._keeper.spawn(self._carry(carried, sock))
            # A callback, not a `finally`: a task cancelled before its first step runs neither.
            carried.task.add_done_callback(functools.partial(self._done, carried, sock))
            if fault := self._find("close"):
                carried.close_at_age(fault.delay or 0.0)

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
            if self._target is None:
                await near.reader.read()
            elif first := await near.reader.read(CHUNK_BYTES):
                # Clients speak first here. One that only connects needs no next hop.
                await self._board.while_blocked(self._rule.dark)
                far = await self._dial(self._target)
                carried.writers.append(far.writer)
                far.writer.write(first)
                await Pipe(near, far, self._rule, websocket=self._websocket).run()
            carried.ending = "polite"
        except OSError:
            carried.ending = "reset"  # what happened on one side happens on the other

    def _done(self, carried: Carried, sock: socket.socket, _: asyncio.Task[None]) -> None:
        self._live.discard(carried)
        carried.finish()
        if not carried.writers:  # no transport took the socket
            if carried.ending == "reset":
                reset_on_close(sock)
            sock.close()

    async def _dial(self, target: Address) -> Stream:
        async with asyncio.timeout(DIAL_SECONDS):
            return self._keeper.keep(await asyncio.open_connection(*target))
