"""HTTP over exactly one kept-alive connection to one chosen address.

The connection is watched between the requests, too. A polite close (FIN) is the server's right
then; a reset is a drop. No library does the talking: one would ask again by itself on a new
connection, which hides a drop, and call a limit of its own the peer's fault.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import socket
import ssl
from collections.abc import Callable, Container, Mapping
from typing import Any
from urllib.parse import unquote_to_bytes, urlsplit

from t3probe import AGENT
from t3probe.exchange.bounds import HTTP_PIECE_BYTES
from t3probe.observation import Reason, TcpSample
from t3probe.probes import dial, tcpinfo
from t3probe.probes.base import Probing, rest_a_turn
from t3probe.probes.facts import ProbeError, Target, busy, http_reason
from t3probe.probes.http_wire import AnswerReader, decoded
from t3probe.probes.marks import asking, new_nonce
from t3probe.probes.redirects import Url, host_of
from t3probe.probes.tls import ENDED, not_after, spoken, tls_error, unanswered
from t3probe.text import showable
from t3probe.text.words import span

BODY_SHARE = 0.25
"""For so much of its limit an answer's body is awaited where its status says enough."""
_POLITE_RACE_SECONDS = 0.05
"""A request that crosses the server's polite close hears of it this soon, plus round trips."""
_SERVED = range(200, 300)
_UNASKED = frozenset({101, 206, 304, 412, 416})


class HttpAnswer:
    """One response, its body decoded and bounded to `BODY_BYTES`."""

    __slots__ = (
        *("behind", "body", "ended", "first_byte", "headers", "marked", "nonce", "sent"),
        *("status", "unfinished", "unread", "url"),
    )

    def __init__(self, status: int, headers: Any, body: bytes, nonce: str = "") -> None:
        self.status = status
        self.headers = headers
        """By lower-case name."""
        self.body = body
        self.nonce = nonce
        """That of the request."""
        self.marked = ""
        """The last segment of the leg's path whose mark it carries."""
        self.behind = False
        """It has the mark of something behind the leg's whole path."""
        self.url: Url | None = None
        """What was asked for, where that matters."""
        self.unread = ""
        """Why its body cannot be read, in words; the body is then as it came."""
        self.unfinished = False
        """Its body broke off, or more of it may come, and it is not waited for."""
        self.sent = self.first_byte = self.ended = 0.0

    def error(self, reason: Reason, detail: str, *, conclusive: bool = True) -> ProbeError:
        """This answer as a failure."""
        error = ProbeError(reason, "ask", detail, conclusive=conclusive)
        return error.by_answer(self.status, self.marked)

    def check_asked(self) -> None:
        """Raises ProbeError, an inconclusive one, when it answers a question that was not asked:
        by another protocol, of a part, or under a condition."""
        if self.status in _UNASKED:
            said = f"HTTP {self.status} to a request that did not ask for it"
            raise self.error(http_reason(self.status), said, conclusive=False)

    def check_busy(self) -> None:
        """Raises ProbeError, one that tells nothing, when it only asks to come later."""
        if busy(self.status, self.headers):
            detail = f"HTTP {self.status} asks to come later, which says nothing about the path"
            raise self.error(http_reason(self.status), detail, conclusive=False)


class _Wire(asyncio.BufferedProtocol):
    """Our end of the connection: what comes goes to the answer that is awaited, a piece in each of
    the loop's turns."""

    def __init__(self, on_idle_end: Callable[[], None]) -> None:
        self.transport: asyncio.Transport | None = None
        self.reader = AnswerReader()
        self.ended = False
        self.error: Exception | None = None
        """Why it ended, where the peer did not close it politely."""
        self.idle = False
        self._on_idle_end = on_idle_end
        self._changed = asyncio.Event()
        self._piece: memoryview | None = None

    def get_buffer(self, sizehint: int) -> memoryview:
        if self._piece is None:
            self._piece = memoryview(bytearray(HTTP_PIECE_BYTES))
        return self._piece

    def buffer_updated(self, nbytes: int) -> None:
        # It is not kept: each beat has a connection of its own, and what was seen outlives it.
        data, self._piece = bytes(self.get_buffer(0)[:nbytes]), None
        self._received(data)
        if nbytes == HTTP_PIECE_BYTES and self.transport is not None:
            rest_a_turn(self.transport)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def _received(self, data: bytes) -> None:
        if self.idle:
            self._end()  # nobody asked: whatever it is, the connection is of no more use
        else:
            self.reader.feed(data)
            self._changed.set()

    def eof_received(self) -> None:
        self._end()

    def connection_lost(self, exc: Exception | None) -> None:
        self._piece = None
        # After a polite end our own late bytes break the pipe; and a TCP end without the one of
        # TLS is a close as well.
        if not isinstance(exc, (BrokenPipeError, ssl.SSLEOFError)) and not self.ended:
            self.error = exc
        self._end()

    def _end(self) -> None:
        if self.ended:
            return
        self.ended = True
        if self.error is None:
            self.reader.eof()
        self._changed.set()
        if self.idle:
            self._on_idle_end()

    def ask(self, request: bytes) -> AnswerReader:
        """Send a request, whose answer is then read."""
        assert self.transport is not None
        if self.reader.status or (self.reader.begun and not self.reader.no_http):
            self.reader = AnswerReader()  # what came before is no answer to this
        self.transport.write(request)
        return self.reader

    async def until(self, there: Callable[[AnswerReader], bool]) -> None:
        """Wait until `there` is true of the answer, or nothing more of it will come."""
        while not (there(self.reader) or self.reader.over or self.ended):
            self._changed.clear()
            await self._changed.wait()


class HttpClient:
    """One TCP connection to one address; never a second one unless told to `renew`."""

    def __init__(self, target: Target, probing: Probing, facts: Any) -> None:
        self.target = target
        self.probing = probing
        self.facts = facts
        self.used = False
        self.closed_by_peer = False
        self.renewed = False
        self.watch: Callable[[TcpSample | None], None] = lambda state: None
        """Called when the idle connection ends; set by the owner."""
        self._wire: _Wire | None = None
        self._copy: socket.socket | None = None
        """A second descriptor: the kernel is asked through it what became of the connection."""
        self._secure = False
        self._sent = 0.0

    def tcp(self) -> TcpSample | None:
        """The kernel's numbers about the connection."""
        return tcpinfo.sample(self._copy)

    async def ask(
        self,
        method: str,
        url: str,
        *,
        limit: float,
        headers: Any = None,
        data: bytes | None = None,
        nonce: str = "",
        whole: Container[int] = _SERVED,
    ) -> HttpAnswer:
        """One exchange within `limit` seconds, the target kept as written, no redirect followed.

        It carries a nonce, this one where one is given. An answer is its head; the body of one
        with a status in `whole` must come, too, and that of another is awaited for a share of the
        limit. Raises ProbeError.
        """
        nonce = nonce or new_nonce()
        clock = self.probing.clock
        began = self._sent = clock.now()
        first = not self.used
        reader: AnswerReader | None = None
        failed: ProbeError | None = None
        first_byte = 0.0
        try:
            async with asyncio.timeout(limit) as deadline:
                wire = self._wire or await self._connect(url.startswith("https:"), limit)
                wire.idle = False
                if not wire.ended:
                    asked = {"User-Agent": AGENT, **asking(nonce), **(headers or {})}
                    self._sent = clock.now()
                    reader = wire.ask(_request(method, url, asked, data))
                    await wire.until(lambda answer: answer.status > 0)
                    first_byte = clock.now()
                    if reader.status not in whole:
                        share = asyncio.get_running_loop().time() + limit * BODY_SHARE
                        deadline.reschedule(min(share, deadline.when() or share))
                    # A wrong head spoils what would else be good; no body makes it better.
                    await wire.until(lambda one: bool(one.flaw) and one.status in whole)
                elif first:
                    reader = wire.reader  # it spoke, and hung up, before it was asked
                    first_byte = clock.now()
        except TimeoutError as error:
            if reader is None or not reader.status or reader.status in whole:
                failed = await self._explain(error, began, limit, reader)
                failed.__cause__ = error
        except ProbeError as error:
            failed = error
        if failed is None and not _judged_by_its_head(reader, whole):
            failed = await self._explain(None, began, limit, reader)
            failed.__cause__ = self._wire.error if self._wire is not None else None
        if failed is not None:
            failed.tcp = failed.tcp or self.tcp()
            if reader is not None:
                self._hang_up()
            raise failed
        assert reader is not None
        answer = answer_of(reader, nonce)
        answer.unfinished = not (reader.whole or reader.enough)
        self.used = True
        answer.sent, answer.first_byte, answer.ended = self._sent, first_byte, clock.now()
        if first:
            self.facts.phases["first_echo"] = round(answer.ended - answer.sent, 6)
        if reader.keeps and not wire.ended:
            wire.idle = True
        else:
            self.closed_by_peer = wire.error is None
            self._hang_up()
        return answer

    async def _connect(self, secure: bool, limit: float) -> _Wire:
        """The one connection. Raises ProbeError, TimeoutError."""
        facts, clock, loop = self.facts, self.probing.clock, asyncio.get_running_loop()
        patience = self.probing.timing.connect_timeout
        sock, _ = await dial.connect(self.target, self.probing, facts, min(limit, patience))
        try:
            self._copy = sock.dup()
        except OSError as error:
            sock.close()
            raise dial.connect_error(error, self.target) from error
        tls: dict[str, Any] = {}
        if secure:
            tls = {
                "ssl": self.probing.tls.context(),
                "server_hostname": self.target.tls_name,
                "ssl_handshake_timeout": patience,
            }
        began = clock.now()
        failing = True
        try:
            try:
                transport, wire = await loop.create_connection(
                    lambda: _Wire(self._idle_ended), sock=sock, **tls
                )
                failing = False
            finally:
                took = clock.now() - began
                if secure:
                    facts.step("tls", began, took, failing)
        except OSError as error:
            if isinstance(error, ConnectionAbortedError):  # asyncio's handshake timeout
                raise _no_tls(patience) from error
            state = self.tcp()
            reset = state is not None and state.state == tcpinfo.CLOSED
            cause: BaseException = error
            if isinstance(error, ConnectionResetError) and not reset:
                cause = EOFError()  # asyncio's word for a close during the handshake
            self._hang_up()  # a server that takes one connection at a time has to see its end
            failed = await tls_error(cause, self.target, facts, self.probing.tls, patience)
            failed.tcp = state
            raise failed from error
        self._wire, self._secure = wire, secure
        if secure:
            facts.phases["tls"] = round(took, 6)
        if not self.used:
            facts.cert_not_after = not_after(transport)
        return wire

    async def _explain(
        self, error: TimeoutError | None, began: float, limit: float, reader: AnswerReader | None
    ) -> ProbeError:
        """What went wrong, in the closed list's words."""
        failed = await self._cause(error, began, limit, reader)
        heard = reader is not None and reader.begun
        if self._secure and not (self.used or heard) and failed.reason in ENDED:
            failed.tcp = self.tcp()
            self._hang_up()
            patience = self.probing.timing.connect_timeout
            failed = await unanswered(failed, self.target, self.probing.tls, patience)
        return failed

    async def _cause(
        self, error: TimeoutError | None, began: float, limit: float, reader: AnswerReader | None
    ) -> ProbeError:
        timing, wire, state = self.probing.timing, self._wire, self.tcp()
        status = reader.status if reader is not None else 0
        if error is not None:
            if self._copy is None:
                what = f"no TCP connection to {self.target} within {span(limit)}"
                return ProbeError("connect_timeout", "connect", what)
            if wire is None:
                return _no_tls(timing.connect_timeout)
            if status:
                return _heard(
                    "rtt_timeout", f"HTTP {status}, and no end of it within {span(limit)}"
                )
            late = ProbeError("rtt_timeout", "ask", f"no answer within {span(limit)}")
            late.heard = reader is not None and reader.begun
            return late
        assert wire is not None
        if reader is not None and reader.beyond:
            return beyond_us(reader)
        if reader is not None and reader.no_http:
            return no_http(reader, self.target.host)
        if reader is not None and status and reader.flaw:
            return _heard("protocol_error", f"HTTP {status} with {reader.flaw}")
        said = f"HTTP {status}, but " if status else ""
        if isinstance(wire.error, ConnectionResetError):
            return ProbeError("connection_reset", "ask", f"{said}connection reset")
        if isinstance(wire.error, ssl.SSLError) and not status:
            return await tls_error(
                wire.error, self.target, self.facts, self.probing.tls, timing.connect_timeout
            )
        if wire.error is not None:
            words = showable(wire.error) or type(wire.error).__name__
            return ProbeError("io_error", "ask", f"{said}connection lost: {words}")
        if status:
            return ProbeError("io_error", "ask", f"{said}the answer broke off")
        # Within a moment of sending on an idle connection: it was closed before we asked.
        soon = _POLITE_RACE_SECONDS + 2 * (state.rtt_seconds if state is not None else 0)
        if self.used and self.probing.clock.now() - began < soon:
            self.closed_by_peer = True
        return ProbeError("closed_by_peer", "ask", "closed by the peer before it answered")

    def _idle_ended(self) -> None:
        state = self.tcp()
        if self._wire is not None and self._wire.error is None:
            self.closed_by_peer = True
        self._hang_up()
        self.watch(state)

    def renew(self) -> None:
        """Let the next request make a new connection, after the peer closed this one."""
        self._hang_up()
        if self._copy is not None:
            self._copy.close()
        self._copy = self._wire = None
        self.used = self.closed_by_peer = False
        self.renewed = True

    def _hang_up(self) -> None:
        """Close the connection in both directions; our second descriptor would keep it open."""
        transport = self._wire.transport if self._wire is not None else None
        if self._wire is not None and transport is not None:
            self._wire.idle = False
            if not transport.is_closing():
                transport.close()  # says goodbye, with TLS; a second one breaks Python 3.11.2
        if self._copy is not None:
            with contextlib.suppress(OSError):
                self._copy.shutdown(socket.SHUT_RDWR)
        if transport is not None:
            transport.abort()  # a goodbye that the peer never answers would keep it alive

    async def close(self) -> None:
        """Close the connection. Never raises."""
        self._hang_up()
        if self._copy is not None:
            self._copy.close()
            for _ in range(3):
                await asyncio.sleep(0)  # lets the transport see its end


def _request(method: str, url: str, headers: Mapping[str, str], data: bytes | None) -> bytes:
    """A request's bytes; the URL's target stands in it as written."""
    parts = urlsplit(url)
    login, at, host = parts.netloc.rpartition("@")
    host = host.removesuffix(":443" if parts.scheme == "https" else ":80")
    if not host.isascii():
        name, colon, port = host.partition(":")
        host = host_of(name) + colon + port
    fields = {"host": ("Host", host)}
    given = {"Accept": "*/*", "Accept-Encoding": "identity", **headers}
    if at:
        user = b":".join(unquote_to_bytes(one) for one in (login + ":").split(":")[:2])
        given["Authorization"] = f"Basic {base64.b64encode(user).decode()}"
    if data is not None:
        given["Content-Length"] = str(len(data))
    fields |= {name.lower(): (name, value) for name, value in given.items()}
    target = parts._replace(scheme="", netloc="", fragment="").geturl()
    if url.partition("#")[0].endswith("?") and not parts.query:
        target += "?"
    lines = [f"{method} {target if target.startswith('/') else f'/{target}'} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in fields.values()]
    return "\r\n".join([*lines, "", ""]).encode() + (data or b"")


def _judged_by_its_head(reader: AnswerReader | None, whole: Container[int]) -> bool:
    """Whether there is an answer: a head, and a whole body where it must be."""
    if reader is None or not reader.status or reader.beyond:
        return False
    return reader.status not in whole or ((reader.whole or reader.enough) and not reader.flaw)


def answer_of(reader: AnswerReader, nonce: str = "") -> HttpAnswer:
    """What was read, its body decoded."""
    answer = HttpAnswer(reader.status, reader.headers, b"", nonce)
    answer.body, answer.unread = decoded(reader.headers, bytes(reader.body))
    return answer


def _heard(reason: Reason, detail: str, *, conclusive: bool = True) -> ProbeError:
    error = ProbeError(reason, "ask", detail, conclusive=conclusive)
    error.heard = True
    return error


def beyond_us(reader: AnswerReader) -> ProbeError:
    """An answer that exceeds a limit of ours: it says nothing about the peer."""
    words = f"the answer has {reader.beyond}, and t3probe reads no more: it cannot tell"
    return _heard("protocol_error", words, conclusive=False)


def no_http(reader: AnswerReader, host: str) -> ProbeError:
    """An answer that is not HTTP, from this host."""
    foreign = spoken(reader.begins)
    if foreign is not None:
        return _heard("protocol_error", f"{host} {foreign.words}", conclusive=foreign.conclusive)
    return _heard("protocol_error", f"not HTTP: {showable(reader.no_http)}")


def _no_tls(limit: float) -> ProbeError:
    return ProbeError("tls_failed", "ask", f"no TLS within {span(limit)}")
