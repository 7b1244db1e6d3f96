"""One client's connection: a request, then a WebSocket that echoes, then the end.

It owns its socket and calls its `House` for everything that concerns the others. It never waits:
the loop calls it when there is something to read or room to write.
"""

from __future__ import annotations

import enum
import socket
import struct
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

from t3probe.echo import frames
from t3probe.echo.head import (
    ECHO_PATH,
    HEALTH_PATH,
    NO_NONCE,
    Refusal,
    Reply,
    Request,
    answer,
    parse,
    upgrade,
    written,
)
from t3probe.echo.limits import Limits, Visitor
from t3probe.exchange.bounds import ECHO_DISCARDED_BYTES

if TYPE_CHECKING:
    from t3probe.echo.site import PageSite

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_RESET = struct.pack("ii", 1, 0)
"""SO_LINGER: what is unsent is thrown away, the peer gets a reset."""


class Phase(enum.Enum):
    """Where a connection stands."""

    HEAD = 1
    """The request is not whole."""
    OPEN = 2
    CLOSING = 3
    """Our close frame is out, the client's is to come."""
    ENDING = 4
    """Everything is said; the client's end of the connection is to come."""
    GONE = 5


class Awaited(NamedTuple):
    """A request whose body is to come."""

    request: Request
    client: str
    length: int


class House(Protocol):
    """What a connection needs of the responder."""

    limits: Limits
    draining: bool
    site: PageSite | None
    """What there is beside the echo."""

    def now(self) -> float:
        """Monotonic seconds."""

    def wall(self) -> float:
        """Unix seconds."""

    def admit(
        self, connection: ClientConnection, forwarded: Sequence[str]
    ) -> Visitor[ClientConnection]:
        """Whose WebSocket it is. Raises Refusal when one more would be too many."""

    def client(self, connection: ClientConnection, forwarded: Sequence[str]) -> str:
        """Who the client is: the group of its address."""

    def limited(self, client: str) -> bool:
        """Whether this client was lately refused for a limit."""

    def moved(self, connection: ClientConnection) -> None:
        """The connection's phase has changed."""

    def holds(self, connection: ClientConnection, change: int) -> bool:
        """The connection holds `change` bytes more; False when that is too much."""

    def watch(self, connection: ClientConnection, *, read: bool, write: bool) -> None:
        """Call `readable` and `writable` when there is something to do, or not."""


class ClientConnection:
    """One accepted socket."""

    __slots__ = (
        "_awaited",
        "_discarded",
        "_head",
        "_house",
        "_out",
        "_reader",
        "blocked_since",
        "heard",
        "held",
        "patient",
        "peer",
        "phase",
        "since",
        "sock",
        "unfinished_since",
        "visitor",
    )  # fmt: skip

    def __init__(self, house: House, sock: socket.socket, peer: str) -> None:
        self.sock = sock
        self.peer = peer
        self.phase = Phase.HEAD
        self.since = house.now()
        """When the phase began. This and the other moments: monotonic seconds."""
        self.heard = self.since
        """When the last whole frame came."""
        self.unfinished_since: float | None = None
        """When the message began that is still not whole."""
        self.blocked_since: float | None = None
        """When the client stopped taking what we send."""
        self.visitor: Visitor[ClientConnection] | None = None
        self.held = 0
        """Bytes in our memory on its behalf."""
        self.patient = False
        """Whether its answer is long: the kernel may need a while for it."""
        self._awaited: Awaited | None = None
        self._house = house
        self._head = b""
        self._reader: frames.FrameReader | None = None
        self._out = bytearray()
        self._discarded = 0
        house.watch(self, read=True, write=False)

    # -- what the loop calls ------------------------------------------------------------

    def received(self, data: bytes | memoryview) -> None:
        """Bytes from the client; none: it has ended."""
        if not data:
            self.drop()
        elif self.phase is Phase.HEAD and self._awaited is not None:
            self._more_body(self._awaited, bytes(data))
        elif self.phase is Phase.HEAD:
            self._more_head(bytes(data))
        elif self._reader is not None and self.phase is not Phase.ENDING:
            self._reader.feed(data)
            self._echo(self._reader)
        else:
            self._discarded += len(data)
            if self._discarded > ECHO_DISCARDED_BYTES:
                self.drop(reset=True)

    def writable(self) -> None:
        """There is room for more of what waits."""
        try:
            sent = self.sock.send(self._out)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            self.drop()
            return
        del self._out[:sent]
        if not self._out:
            self.blocked_since = None
            self._house.watch(self, read=True, write=False)
            if self.phase is Phase.ENDING:
                self._hang_up()
        self._account()

    # -- what the responder calls -------------------------------------------------------

    def leave(self, code: int, reason: str) -> None:
        """Close the WebSocket politely: the client answers our close frame, or is cut later."""
        if self.phase is Phase.OPEN:
            self._enter(Phase.CLOSING)
            self._send(frames.closing(code, reason))

    def fail(self, code: int, reason: str) -> None:
        """End the WebSocket for what the client did; nothing more is read (section 7.1.7)."""
        if self.phase is Phase.OPEN:
            self._enter(Phase.ENDING)
            self._send(frames.closing(code, reason))
        self._finish()

    def refuse(self, refusal: Refusal, *, mark: str = NO_NONCE, body: bool = True) -> None:
        """Answer the request in a sentence, and end."""
        self._enter(Phase.ENDING)
        status, text, fields = refusal.status, refusal.text, refusal.fields
        self._send(answer(status, text, self._house.wall(), fields, mark=mark, body=body))
        self._finish()

    def reply(self, reply: Reply, *, mark: str, body: bool = True) -> None:
        """Answer the request, and end."""
        self.patient = body
        self._enter(Phase.ENDING)
        self._send(written(reply, self._house.wall(), mark=mark, body=body))
        self._finish()

    def drop(self, *, reset: bool = False) -> None:
        """End at once. `reset`: what is unsent is thrown away."""
        if self.phase is Phase.GONE:
            return
        self._house.watch(self, read=False, write=False)
        self._enter(Phase.GONE)
        self._head, self._reader, self._awaited = b"", None, None
        self._out.clear()
        self._account()
        try:
            if reset:
                self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        except OSError:
            pass  # the peer was faster
        finally:
            self.sock.close()

    # -- the request --------------------------------------------------------------------

    def _more_head(self, data: bytes) -> None:
        searched = max(0, len(self._head) - 3)
        self._head += data
        end = self._head.find(b"\r\n\r\n", searched)
        if end > self._house.limits.head_bytes or (
            end < 0 and len(self._head) > self._house.limits.head_bytes
        ):
            self.refuse(Refusal(431, f"more than {self._house.limits.head_bytes} bytes of head"))
        elif end >= 0:
            head, rest = self._head[:end], self._head[end + 4 :]
            self._head = b""
            self._answer(head, rest)
        self._account()

    def _answer(self, head: bytes, rest: bytes) -> None:
        mark = NO_NONCE
        try:
            request = parse(head)
            mark = request.mark
            if request.path == ECHO_PATH:
                self._begin(request, rest)
                return
            site = self._house.site
            if site is not None and site.owns(request.path):
                self._visit(site, request, rest)
                return
            if request.path != HEALTH_PATH:
                raise Refusal(404, "not found")
            if request.method not in ("GET", "HEAD"):
                raise Refusal(405, "GET only", "Allow: GET, HEAD")
        except Refusal as refusal:
            # A HEAD's answer has no body, whatever it says; a broken one may have been one.
            self.refuse(refusal, mark=mark, body=not head.startswith(b"HEAD "))
            return
        status, word = (503, "draining") if self._house.draining else (200, "ok")
        state = Refusal(status, word, *self._said_limits(request))
        self.refuse(state, mark=mark, body=request.method == "GET")

    def _said_limits(self, request: Request) -> tuple[str, ...]:
        """A browser does not tell a page why a WebSocket was refused: here it can ask."""
        if self._house.site is None:
            return ()
        client = self._house.client(self, request.fields.get("x-forwarded-for", ()))
        return ("T3Probe-Limited: 1",) if self._house.limited(client) else ()

    def _visit(self, site: PageSite, request: Request, rest: bytes) -> None:
        """Answer what is no echo, or wait for the rest of it. Raises Refusal."""
        client = self._house.client(self, request.fields.get("x-forwarded-for", ()))
        wanted = site.begin(request, client, self._house.now())
        if isinstance(wanted, Reply):
            self.reply(wanted, mark=request.mark, body=request.method == "GET")
            return
        if self._house.draining:
            raise Refusal(503, "draining", "Retry-After: 5")
        self._awaited = Awaited(request, client, wanted)
        if request.tokens("expect") and len(rest) < wanted:
            self._send(CONTINUE)
        self._more_body(self._awaited, rest)

    def _more_body(self, awaited: Awaited, data: bytes) -> None:
        """The request is whole when its body is: until then it has the deadline and the place of
        one whose head is not."""
        self._head += data
        if self.phase is Phase.HEAD and len(self._head) >= awaited.length:
            body, self._head, self._awaited = self._head[: awaited.length], b"", None
            house, mark = self._house, awaited.request.mark
            assert house.site is not None
            try:
                reply = house.site.finish(body, awaited.client, house.now(), house.wall())
            except Refusal as refusal:
                self.refuse(refusal, mark=mark)
            else:
                self.reply(reply, mark=mark)
        self._account()

    def _begin(self, request: Request, rest: bytes) -> None:
        """Turn into a WebSocket. Raises Refusal."""
        switched = upgrade(request)
        self.visitor = self._house.admit(self, request.fields.get("x-forwarded-for", ()))
        self._reader = frames.FrameReader(self._house.limits.message_bytes)
        self._enter(Phase.OPEN)
        self.heard = self.since
        self._send(switched)
        if rest and self.phase is Phase.OPEN:
            self._reader.feed(rest)
            self._echo(self._reader)

    # -- the WebSocket ------------------------------------------------------------------

    def _echo(self, reader: frames.FrameReader) -> None:
        """Answer everything that is whole. Every frame costs a token, so that pings and empty
        pieces are no way around the limit."""
        now = self._house.now()
        finished = self.unfinished_since is None
        try:
            while self.phase in (Phase.OPEN, Phase.CLOSING) and (event := reader.next()):
                self.heard = now
                assert self.visitor is not None
                if not self.visitor.messages.take(now):
                    raise frames.Violation(1008, "too many messages")
                finished = finished or not reader.in_message
                self._handle(event)
        except frames.Violation as violation:
            self.fail(violation.code, violation.reason)
        if self.phase is Phase.GONE:
            return
        if not reader.unfinished:
            self.unfinished_since = None
        elif finished:
            self.unfinished_since = now
        self._account()

    def _handle(self, event: frames.Event) -> None:
        if event.kind == frames.CLOSE:
            code = frames.close_code(event.data)
            if self.phase is Phase.OPEN:
                self._enter(Phase.ENDING)
                self._send(frames.closing(code, "") if code else frames.frame(frames.CLOSE, b""))
            self._finish()
        elif self.phase is Phase.CLOSING:
            pass  # we have said that we leave
        elif event.kind in (frames.TEXT, frames.BINARY):
            self._send(frames.frame(event.kind, event.data))
        elif event.kind == frames.PING:
            self._send(frames.frame(frames.PONG, event.data))

    # -- out ----------------------------------------------------------------------------

    def _send(self, data: bytes) -> None:
        """Send, or keep what the client does not take; then nothing more is read of it, so that
        what is kept stays as small as what one read can ask for."""
        if self.phase is Phase.GONE:
            return
        if not self._out:
            try:
                data = data[self.sock.send(data) :]
            except (BlockingIOError, InterruptedError):
                pass
            except OSError:
                self.drop()
                return
            if not data:
                return
            self.blocked_since = self._house.now()
            self._house.watch(self, read=False, write=True)
        self._out += data

    def _finish(self) -> None:
        """Everything is said: hang up when it is sent, and let the client hang up, too. Closing
        with unread bytes would be a reset, which can overtake what was sent."""
        if self.phase is not Phase.GONE:
            self._enter(Phase.ENDING)
            if not self._out:
                self._hang_up()
            self._account()

    def _hang_up(self) -> None:
        try:
            self.sock.shutdown(socket.SHUT_WR)
        except OSError:
            self.drop()

    def _enter(self, phase: Phase) -> None:
        if phase is not self.phase:
            self.phase = phase
            self.since = self._house.now()
            if phase is Phase.ENDING:
                self._head, self._reader, self._awaited = b"", None, None
            self._house.moved(self)

    def _account(self) -> None:
        """Say how much is held; who asks for too much is cut."""
        reader = self._reader
        held = len(self._head) + len(self._out) + (reader.held if reader is not None else 0)
        change, self.held = held - self.held, held
        if change and not self._house.holds(self, change):
            self._cut()

    def _cut(self) -> None:
        if self.phase is Phase.HEAD:
            self.refuse(Refusal(503, "busy", "Retry-After: 5"))
        elif self.phase is Phase.OPEN and self.blocked_since is None:
            self.fail(1013, "busy")
        else:
            self.drop(reset=True)
