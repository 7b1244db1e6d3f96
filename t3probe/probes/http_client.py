"""HTTP over exactly one kept-alive connection to one chosen address.

aiohttp talks HTTP; the connection itself is watched through a second descriptor of the same
socket, because a client library forgets an idle connection that died without saying how it
died. A polite close (FIN) between beats is the server's right; a reset is a drop.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
import ssl
from typing import Any

from yarl import URL

from t3probe import tcpinfo
from t3probe.observation import Reason, TcpSample
from t3probe.probes import dial
from t3probe.probes.base import (
    ProbeError,
    Probing,
    Target,
    busy,
    http_reason,
    printable,
)
from t3probe.probes.foreign import quoted, spoken
from t3probe.probes.light_aiohttp import AbstractResolver, ResolveResult, aiohttp
from t3probe.probes.marks import asking, new_nonce
from t3probe.probes.sso import BODY_BYTES
from t3probe.tls import ENDED, not_after, tls_error, unanswered

__all__ = ["MAX_BODY_BYTES", "Answer", "HttpClient"]

MAX_BODY_BYTES = 1 << 20
"""A body is read and thrown away up to here; a longer one costs the connection."""
_POLITE_RACE_SECONDS = 0.05
"""A request that crosses the server's polite close hears of it this soon, plus round trips."""


class _Pinned(AbstractResolver):
    """Answers every name with the one address that was chosen."""

    def __init__(self, target: Target) -> None:
        self._target = target

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        return [
            ResolveResult(
                hostname=host,
                host=self._target.address,
                port=self._target.port,
                family=self._target.family,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
        ]

    async def close(self) -> None:
        pass


class _Response(aiohttp.ClientResponse):
    """Looks at the certificate while it can: a short answer's connection is let go at once."""

    cert_not_after: float | None = None

    async def start(self, connection: aiohttp.connector.Connection) -> aiohttp.ClientResponse:
        self.cert_not_after = not_after(connection.transport)
        return await super().start(connection)


class Answer:
    """One response, its body bounded to `BODY_BYTES`."""

    __slots__ = (
        *("behind", "body", "ended", "first_byte", "headers", "marked", "nonce", "sent"),
        "status",
    )

    def __init__(self, status: int, headers: Any, body: bytes, nonce: str = "") -> None:
        self.status = status
        self.headers = headers
        self.body = body
        self.nonce = nonce
        """That of the request."""
        self.marked = ""
        self.behind = False
        """It has the mark of something behind the leg's whole path."""
        """The last segment of the leg's path whose mark it carries."""
        self.sent = self.first_byte = self.ended = 0.0

    def error(self, reason: Reason, detail: str, *, tells: bool = True) -> ProbeError:
        """This answer as a failure."""
        error = ProbeError(reason, "ask", detail, tells=tells)
        return error.by_answer(self.status, self.marked)

    def check_busy(self) -> None:
        """Raises ProbeError, one that tells nothing, when it only asks to come later."""
        if busy(self.status, self.headers):
            detail = f"HTTP {self.status} asks to come later, which says nothing about the path"
            raise self.error(http_reason(self.status), detail, tells=False)


class HttpClient:
    """One TCP connection to one address, over which aiohttp talks; never a second one unless
    told to `renew`."""

    def __init__(self, target: Target, probing: Probing, facts: Any) -> None:
        self.target = target
        self.probing = probing
        self.facts = facts
        self.used = False
        self.closed_by_peer = False
        self.renewed = False
        self.watch: Any = None
        """Called when the idle connection ends; set by the owner."""
        self._copy: socket.socket | None = None
        self._refused_second = False
        self._secure = self._connected = False
        self._reset: bool | None = None
        self._sent_bytes: int | None = None
        """How many bytes the kernel had sent when the last answer was there."""
        self._dialled_at = self._sent = 0.0
        trace = aiohttp.TraceConfig()
        trace.on_connection_create_end.append(self._note_connected)
        trace.on_request_headers_sent.append(self._headers_sent)
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                resolver=_Pinned(target),
                ssl=probing.tls.context(),
                limit=1,
                keepalive_timeout=86400,
                use_dns_cache=False,
                socket_factory=self._socket,
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            trace_configs=[trace],
            trust_env=False,
            auto_decompress=False,
            response_class=_Response,
            read_bufsize=2**16,
        )

    def _socket(self, address: Any) -> socket.socket:
        if self._copy is not None:
            # aiohttp repeats a GET by itself on a new connection; that would hide a drop.
            self._refused_second = True
            raise ConnectionAbortedError("one connection only")
        sock = socket.socket(address[0], socket.SOCK_STREAM)
        try:
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._copy = sock.dup()
        except OSError:
            sock.close()
            raise
        self._dialled_at = self.probing.clock.now()
        return sock

    async def _note_connected(self, session: Any, context: Any, params: Any) -> None:
        self._connected = True
        took = self.probing.clock.now() - self._dialled_at
        handshake = tcpinfo.handshake_seconds(self._copy)
        phases = self.facts.phases
        phases["connect"] = round(took if handshake is None else min(handshake, took), 6)
        if self._secure:
            phases["tls"] = round(took - phases["connect"], 6)
        if self._copy is not None:
            dial.note_addresses(self.facts, self._copy, self.target)

    async def _headers_sent(self, session: Any, context: Any, params: Any) -> None:
        self._sent = self.probing.clock.now()

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
    ) -> Answer:
        """One exchange within `limit` seconds, the target kept as written, no redirect followed.

        It carries a nonce, this one where one is given. Raises ProbeError.
        """
        nonce = nonce or new_nonce()
        self._unwatch()
        timing, clock = self.probing.timing, self.probing.clock
        began = self._sent = clock.now()
        first = not self.used
        self._secure = url.startswith("https:")
        try:
            async with self._session.request(
                method,
                URL(url, encoded=True),
                data=data,
                headers={
                    "Accept-Encoding": "identity",
                    "User-Agent": "t3probe",
                    **asking(nonce),
                    **(headers or {}),
                },
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(
                    total=limit, sock_connect=timing.connect_timeout, ceil_threshold=86400
                ),
            ) as response:
                first_byte = clock.now()
                if first and isinstance(response, _Response):
                    self.facts.cert_not_after = response.cert_not_after
                kept, whole = await self._read(response)
                answer = Answer(response.status, response.headers, kept, nonce)
                self.used = True
                if not whole or not _keeps(response):
                    self.closed_by_peer = True
        except (aiohttp.ClientError, OSError, TimeoutError, ssl.SSLError, ValueError) as error:
            if self._copy is not None and not self._connected:
                dial.note_addresses(self.facts, self._copy, self.target)
            failed = await self._explain(error, began, limit)
            failed.tcp = failed.tcp or self.tcp()
            raise failed from error
        answer.sent, answer.first_byte, answer.ended = self._sent, first_byte, clock.now()
        if first:
            self.facts.phases["first_echo"] = round(answer.ended - answer.sent, 6)
        if self.closed_by_peer:
            self._hang_up()
        else:
            self._watch()
        return answer

    def renew(self) -> None:
        """Let the next request make a new connection, after the peer closed this one."""
        self._hang_up()
        if self._copy is not None:
            self._copy.close()
        self._copy, self._reset = None, None
        self.used = self.closed_by_peer = self._connected = self._refused_second = False
        self.renewed = True

    def _hang_up(self) -> None:
        """Close the connection in both directions; our second descriptor would keep it open."""
        self._unwatch()
        if self._copy is not None:
            try:
                self._copy.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def _was_reset(self) -> bool:
        """Whether the connection ended by a reset, and not by a polite close before it.

        After a FIN from the peer, a reset that our own late bytes provoke leaves EPIPE as the
        socket's error (Linux, `tcp_reset`); reading the error clears it, so it is kept here.
        """
        state = self.tcp()
        if self._copy is None or state is None or state.state != tcpinfo.CLOSED:
            return False
        if self._reset is None:
            pending = self._copy.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            self._reset = pending != errno.EPIPE
        return self._reset

    def _said_goodbye(self) -> bool:
        """Whether bytes of ours went out since the last answer. On an idle connection that is our
        reply to the server's close_notify: it closed politely, and its kernel says reset where
        nobody reads that reply any more."""
        sent = tcpinfo.bytes_sent(self._copy)
        before = self._sent_bytes
        return self._secure and sent is not None and before is not None and sent > before

    async def _read(self, response: aiohttp.ClientResponse) -> tuple[bytes, bool]:
        kept, size = bytearray(), 0
        async for chunk in response.content.iter_chunked(65536):
            size += len(chunk)
            if len(kept) < BODY_BYTES:
                kept += chunk[: BODY_BYTES - len(kept)]
            if size > MAX_BODY_BYTES:
                response.close()
                return bytes(kept), False
        return bytes(kept), True

    async def _explain(self, error: Exception, began: float, limit: float) -> ProbeError:
        """What went wrong, in the closed list's words."""
        fresh = not self.used
        failed = await self._cause(error, began, limit)
        if fresh and self._secure and self._connected and failed.reason in ENDED:
            failed.tcp = self.tcp()
            self._hang_up()
            failed = await unanswered(
                failed, self.target, self.probing.tls, self.probing.timing.connect_timeout
            )
        return failed

    async def _cause(self, error: Exception, began: float, limit: float) -> ProbeError:
        state, fresh, reset = self.tcp(), not self.used, self._was_reset()
        timing = self.probing.timing
        if isinstance(error, TimeoutError):
            if state is not None and state.state == tcpinfo.SYN_SENT:
                what = f"no TCP connection to {self.target} within {timing.connect_timeout:g} s"
                return ProbeError("connect_timeout", "connect", what)
            if self._secure and not self._connected:
                return ProbeError(
                    "tls_failed", "ask", f"no TLS within {timing.connect_timeout:g} s"
                )
            return ProbeError("rtt_timeout", "ask", f"no answer within {limit:g} s")
        if isinstance(error, aiohttp.ClientConnectorError) and not self._refused_second:
            cause = getattr(error, "certificate_error", None) or error.os_error
            if isinstance(cause, (ssl.SSLError, ConnectionResetError, ConnectionAbortedError)):
                if isinstance(cause, ConnectionResetError) and not reset:
                    cause = EOFError()  # asyncio's word for a close during the handshake
                self._hang_up()  # a server that takes one connection at a time has to see its end
                failed = await tls_error(
                    cause, self.target, self.facts, self.probing.tls, timing.connect_timeout
                )
                failed.tcp = state
                return failed
            return dial.connect_error(cause, self.target)
        if isinstance(error, (aiohttp.ClientResponseError, ValueError)):
            # Its own text would show the URL, where a password may stand.
            said = str(getattr(error, "message", ""))
            foreign = spoken(quoted(said))
            if foreign is not None:
                detail = f"{self.target.host} {foreign.words}"
                return ProbeError("protocol_error", "ask", detail, tells=foreign.tells)
            words = printable(said or type(error).__name__)
            return ProbeError("protocol_error", "ask", f"not HTTP: {words}")
        if reset:
            return ProbeError("connection_reset", "ask", "connection reset")
        if isinstance(error, aiohttp.ServerDisconnectedError) or self._refused_second:
            # Within a moment of sending on an idle connection: it was closed before we asked.
            soon = _POLITE_RACE_SECONDS + 2 * (state.rtt_seconds if state is not None else 0)
            if not fresh and self.probing.clock.now() - began < soon:
                self.closed_by_peer = True
            return ProbeError("closed_by_peer", "ask", "closed by the peer before it answered")
        if isinstance(error, aiohttp.ClientPayloadError):
            return ProbeError("io_error", "ask", "the answer broke off")
        return ProbeError("io_error", "ask", printable(error) or type(error).__name__)

    def _watch(self) -> None:
        if self._copy is not None and self.watch is not None:
            self._sent_bytes = tcpinfo.bytes_sent(self._copy)
            asyncio.get_running_loop().add_reader(self._copy.fileno(), self._readable)

    def _unwatch(self) -> None:
        if self._copy is not None and self._copy.fileno() >= 0:
            asyncio.get_running_loop().remove_reader(self._copy.fileno())

    def _readable(self) -> None:
        state = self.tcp()
        if state is not None and state.state == tcpinfo.ESTABLISHED:
            return  # data for aiohttp, such as a TLS session ticket
        self._unwatch()
        if not self._was_reset() or self._said_goodbye():
            self.closed_by_peer = True
        if self.watch is not None:
            self.watch(state)

    async def close(self) -> None:
        """Close the connection. Never raises."""
        self._unwatch()
        try:
            async with asyncio.timeout(1.0):
                await self._session.close()
        except TimeoutError:
            pass
        finally:
            if self._copy is not None:
                # A TLS goodbye that the peer never answers would keep the transport alive.
                with contextlib.suppress(OSError):
                    self._copy.shutdown(socket.SHUT_RDWR)
                self._copy.close()
        for _ in range(3):
            await asyncio.sleep(0)  # lets the transport see its end


def _keeps(response: aiohttp.ClientResponse) -> bool:
    """Whether the server keeps the connection open after this answer (RFC 9112 section 9.3)."""
    words = {one.strip() for one in response.headers.get("connection", "").lower().split(",")}
    version = response.version
    old = version is not None and version < aiohttp.HttpVersion11
    return "close" not in words and (not old or "keep-alive" in words)
