"""The responder: who may come in, who has to go, and how it stops."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from t3probe.echo.connection import ClientConnection, House, Phase
from t3probe.echo.head import Refusal
from t3probe.echo.limits import Limits, Proxies, Visitor, Visitors
from t3probe.timing import Clock, SystemClock

if TYPE_CHECKING:
    from t3probe.echo.site import PageSite

_SWEEP_SECONDS = 0.5
_PAUSE_SECONDS = 0.1
"""How long no connection is accepted after the system had no descriptor left."""
_ACCEPTS = 64
"""Connections accepted before the others get their turn."""
_READ_BYTES = 8192
_KERNEL_BYTES = 65_536
"""What the kernel may keep for one connection, each way. It counts to a container's memory."""


class Responder:
    """Serves one listening socket on the running loop.

    `start` it, let it run, `drain` it. Nothing is kept of a connection that is gone but the
    two rates of its address, and those only until they are full again.
    """

    def __init__(
        self,
        listener: socket.socket,
        limits: Limits,
        proxies: Proxies,
        *,
        site: PageSite | None = None,
        clock: Clock | None = None,
        say: Callable[[str], None] = lambda sentence: None,
        connection: Callable[[House, socket.socket, str], ClientConnection] = ClientConnection,
    ) -> None:
        """`connection` makes what answers one accepted socket."""
        self.limits = limits
        self.site = site
        self.draining = False
        self.held = 0
        """Bytes of unfinished requests and messages and of unsent answers."""
        self.open: dict[ClientConnection, None] = {}
        self.waiting: dict[ClientConnection, None] = {}
        self.ending: dict[ClientConnection, None] = {}
        self.serving: dict[ClientConnection, None] = {}
        """Those of the ending whose answer is long."""
        self._begun: dict[ClientConnection, None] = {}
        """Those of the waiting that have sent a part of their request."""
        self.visitors: Visitors[ClientConnection] = Visitors(limits)
        self._clock: Clock = clock or SystemClock()
        self._listener = listener
        self._proxies = proxies
        self._say = say
        self._connection = connection
        self._loop = asyncio.get_running_loop()
        self._scratch = memoryview(bytearray(_READ_BYTES))
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._empty = asyncio.Event()
        self._told = False
        listener.setblocking(False)
        for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):  # accepted sockets inherit them
            listener.setsockopt(socket.SOL_SOCKET, option, _KERNEL_BYTES)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    # -- life ---------------------------------------------------------------------------

    def start(self) -> None:
        """Accept connections from now on."""
        self._loop.add_reader(self._listener.fileno(), self._accept)
        self._tick()

    async def drain(self) -> None:
        """Take no WebSocket any more, close those there are with 1001, wait a little, stop.

        Until the last is gone the health page still answers, 503, so that the load balancer
        learns of it. Takes at most `limits.drain` seconds.
        """
        self.draining = True
        for one in list(self.open):
            one.leave(1001, "going away")
        self._check_empty()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.limits.drain):
                await self._empty.wait()
        self.stop()

    def stop(self) -> None:
        """End everything at once."""
        self.draining = True
        if self._listener.fileno() >= 0:
            self._loop.remove_reader(self._listener.fileno())
            self._listener.close()
        for timer in self._timers.values():
            timer.cancel()
        for pool in (self.open, self.waiting, self.ending, self.serving):
            for one in list(pool):
                one.drop(reset=pool is self.open)

    def sweep(self) -> None:
        """End whatever has taken too long."""
        now, limits = self.now(), self.limits
        # Each is in the order of time: the first that may stay ends the search.
        for pool, most in (
            (self.waiting, limits.handshake),
            (self.ending, limits.close),
            (self.serving, limits.write),
        ):
            while pool and now - (first := next(iter(pool))).since >= most:
                first.drop(reset=True)
        for one in list(self.open):
            if one.blocked_since is not None and now - one.blocked_since >= limits.write:
                one.drop(reset=True)
            elif one.phase is Phase.CLOSING:
                if now - one.since >= limits.close:
                    one.drop(reset=True)
            elif one.unfinished_since is not None and now - one.unfinished_since >= limits.message:
                one.fail(1008, "a message took too long")
            elif now - one.heard >= limits.idle:
                one.leave(1001, "idle")
        self.visitors.forget(now)
        if self.site is not None:
            self.site.sweep(now)

    # -- what a connection asks ---------------------------------------------------------

    def now(self) -> float:
        """Monotonic seconds."""
        return self._clock.monotonic()

    def wall(self) -> float:
        """Unix seconds."""
        return self._clock.wall()

    def admit(
        self, connection: ClientConnection, forwarded: Sequence[str]
    ) -> Visitor[ClientConnection]:
        """Whose WebSocket it is; the caller opens it. Raises Refusal: 429 or 503."""
        if self.draining:
            raise Refusal(503, "draining", "Retry-After: 5")
        if forwarded and not self._told and not self._proxies.trusts(connection.peer):
            self._told = True
            self._say(
                f"{connection.peer} sends X-Forwarded-For and is no --trusted-proxy: "
                "all its clients count as one address; name it if it is your load balancer"
            )
        limits, now = self.limits, self.now()
        visitor = self.visitors.of(self.client(connection, forwarded), now)
        try:
            if not visitor.dials.take(now):
                raise Refusal(429, "too many connections a second", "Retry-After: 1")
            if len(visitor.open) >= limits.per_address:
                raise Refusal(429, "too many connections", "Retry-After: 30")
            if len(self.open) >= limits.connections:
                self._make_room(visitor)
        except Refusal:
            visitor.refused = now
            raise
        return visitor

    def client(self, connection: ClientConnection, forwarded: Sequence[str]) -> str:
        """Who the client is: the group of its address."""
        return self._proxies.client(connection.peer, forwarded)

    def limited(self, client: str) -> bool:
        """Whether this client was lately refused for a limit."""
        found = self.visitors.known.get(client)
        return found is not None and found.refused_lately(self.limits, self.now())

    def _make_room(self, newcomer: Visitor[ClientConnection]) -> None:
        """Take a WebSocket from the address that has the most, so that a few addresses cannot
        lock out everybody else. Raises Refusal when nobody has more than the newcomer would."""
        greediest = self.visitors.greediest()
        if len(greediest.open) <= len(newcomer.open) + 1:
            raise Refusal(503, "full", "Retry-After: 30")
        least = min(greediest.open, key=lambda one: one.heard)
        if least.phase is Phase.OPEN and least.blocked_since is None:
            least.fail(1013, "too many connections")
        else:
            least.drop(reset=True)

    def moved(self, connection: ClientConnection) -> None:
        """Keep a connection in the pool of its phase, the newest last."""
        self.waiting.pop(connection, None)
        self.ending.pop(connection, None)
        self.serving.pop(connection, None)
        phase, visitor = connection.phase, connection.visitor
        if phase is Phase.OPEN:
            self.open[connection] = None
            if visitor is not None:
                visitor.open[connection] = None
        elif phase is not Phase.CLOSING:
            self.open.pop(connection, None)
            if visitor is not None:
                visitor.open.pop(connection, None)
            if phase is Phase.ENDING and connection.patient:
                self.serving[connection] = None
                if len(self.serving) > self.limits.pages:
                    next(iter(self.serving)).drop(reset=True)
            elif phase is Phase.ENDING:
                self.ending[connection] = None
        self._check_empty()

    def holds(self, connection: ClientConnection, change: int) -> bool:
        """Count the bytes that `connection` holds more, or less.

        Past the limit unfinished requests go first, the oldest before the others: whoever
        means it sends a request in one piece.
        """
        self.held += change
        if connection.held and connection.phase is Phase.HEAD:
            self._begun[connection] = None
        else:
            self._begun.pop(connection, None)
        if change < 0:
            return True
        while self.held > self.limits.held_bytes:
            oldest = next((one for one in self._begun if one is not connection), None)
            if oldest is None:
                return connection.held <= self.limits.small_bytes
            oldest.drop(reset=True)
        return True

    def watch(self, connection: ClientConnection, *, read: bool, write: bool) -> None:
        """Call the connection when there is something to do, or not."""
        number = connection.sock.fileno()
        if read:
            self._loop.add_reader(number, self._read, connection)
        else:
            self._loop.remove_reader(number)
        if write:
            self._loop.add_writer(number, connection.writable)
        else:
            self._loop.remove_writer(number)

    # -- the loop -----------------------------------------------------------------------

    def _accept(self) -> None:
        for _ in range(_ACCEPTS):
            try:
                sock, peer = self._listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError:  # no descriptor or no memory: somebody has to go
                self._evict()
                self._loop.remove_reader(self._listener.fileno())
                self._timers["accept"] = self._loop.call_later(_PAUSE_SECONDS, self._resume)
                return
            sock.setblocking(False)
            if len(self.waiting) + len(self.ending) >= self.limits.waiting:
                self._evict()
            one = self._connection(self, sock, peer[0])
            self.waiting[one] = None

    def _resume(self) -> None:
        self._loop.add_reader(self._listener.fileno(), self._accept)

    def _evict(self) -> None:
        """End the oldest connection that is no WebSocket. An honest one is never the oldest for
        long enough to matter: its request is whole after a round trip."""
        for pool in (self.ending, self.waiting):
            if pool:
                next(iter(pool)).drop(reset=True)
                return

    def _read(self, connection: ClientConnection) -> None:
        try:
            size = connection.sock.recv_into(self._scratch)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            size = 0
        connection.received(self._scratch[:size])

    def _tick(self) -> None:
        self.sweep()
        self._timers["sweep"] = self._loop.call_later(_SWEEP_SECONDS, self._tick)

    def _check_empty(self) -> None:
        if self.draining and not (self.open or self.ending or self.serving):
            self._empty.set()
