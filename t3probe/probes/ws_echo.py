"""WebSocket echo (RFC 6455): one held connection, a random nonce a beat, byte for byte. What a
message is to the beat that waits: its echo, a damaged one, or neither.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import socket
import ssl
from collections import deque
from contextlib import aclosing, suppress
from typing import Any
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, NegotiationError
from websockets.protocol import State

from t3probe import AGENT
from t3probe.config.types import Leg
from t3probe.exchange.bounds import WS_FRAGMENTS, WS_PIECE_BYTES, WS_SKIPPED, WS_UNSENT_BYTES
from t3probe.exchange.bounds import WS_MESSAGE_BYTES as MAX_FRAME_BYTES
from t3probe.observation import TcpSample
from t3probe.probes import dial, tcpinfo
from t3probe.probes.base import Channel, Probing, check_route, rest_a_turn
from t3probe.probes.credential import certified, headers_of, refused
from t3probe.probes.dates import note_date
from t3probe.probes.facts import Collapsed, Echo, ProbeError, Target, busy
from t3probe.probes.http_client import BODY_SHARE, beyond_us, no_http
from t3probe.probes.http_wire import AnswerReader, Headers, decoded
from t3probe.probes.marks import asking, new_nonce
from t3probe.probes.redirects import onward, parse
from t3probe.probes.sso import sso_answer, wants
from t3probe.probes.tcpinfo import claim
from t3probe.probes.tls import not_after, refusal, tls_error, unanswered
from t3probe.text import showable
from t3probe.text.words import count, span

__all__ = [
    "MAX_FRAME_BYTES",
    "answers",
    "described",
    "open",
]

_MOST_BEATS = 64
"""So many beats are remembered by what they sent: an echo may come twice."""
_MOST_NOTES = 3
_TOO_BIG = 1009
"""With this close code we end a connection whose message is longer than we read."""
_OUR_COMPLAINTS = {1002, 1003, 1007, 1010}
"""Close codes with which we end a connection whose peer broke the protocol."""
_UPGRADE = (
    *("upgrade", "connection", "sec-websocket-accept", "sec-websocket-extensions"),
    "sec-websocket-protocol",
)
"""The header lines of a 101 that concern WebSocket."""
_QUIET = logging.getLogger("t3probe.websockets")
_QUIET.addHandler(logging.NullHandler())
_QUIET.propagate = False


class _Connection(ClientConnection, asyncio.BufferedProtocol):
    """Reads the answer to the upgrade itself, notes when TLS was done, and how it ended.

    An answer that can be read is judged by its status. websockets gets only a 101, with the header
    lines that concern it: of others it reads some versions and sizes, and wants their whole body.
    """

    answer: AnswerReader
    patience: float = 0.0
    """How long the body of a refusal is awaited, in seconds."""
    connected_at: float = 0.0
    cert_not_after: float | None = None
    ended_by: Exception | None = None
    flooded: bool = False
    leaving: bool = False
    """We end it ourselves, and politely."""
    upgraded: bool = False
    _piece: memoryview
    """What one turn of the loop parses: many small frames take long."""
    _late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        self.connected_at = self.loop.time()
        self._piece = memoryview(bytearray(WS_PIECE_BYTES))
        self.cert_not_after = not_after(transport)  # later it may be gone
        super().connection_made(transport)

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._piece

    def buffer_updated(self, nbytes: int) -> None:
        self.data_received(bytes(self._piece[:nbytes]))
        if nbytes == len(self._piece):
            rest_a_turn(self.transport, lambda: not self.recv_messages.paused)

    def data_received(self, data: bytes) -> None:
        if not self.upgraded:
            self.answer.feed(data)
            self._look()
            return
        super().data_received(data)
        # After a close frame or a broken one nothing more is to come: websockets would wait for
        # the peer to hang up, and a peer that does not would look like a silent one.
        if self.protocol.state is State.CLOSING and not self.leaving:
            self.transport.abort()
        # Pings are answered whether or not the peer takes the answers: bound what piles up.
        if self.transport.get_write_buffer_size() > WS_UNSENT_BYTES:
            self.flooded = True
            self.transport.abort()

    def _look(self) -> None:
        """Go on from what has come of the answer."""
        answer = self.answer
        if answer.status == 101 and answer.version >= (1, 1):
            self.upgraded = True
            lines = [
                f"{name}: {answer.headers[name]}" for name in _UPGRADE if name in answer.headers
            ]
            start = "\r\n".join(["HTTP/1.1 101 Switching Protocols", *lines, "", ""])
            self.data_received(start.encode("latin-1") + answer.rest)
            if self.protocol.handshake_exc is not None:
                self._refused()
        elif answer.over:
            self._refused()
        elif answer.status and self._late is None:
            self._late = self.loop.call_later(self.patience, self._refused)

    def _refused(self) -> None:
        """There will be no upgrade: do not wait for what else may come."""
        self.protocol.handshake_exc = self.protocol.handshake_exc or _Refused("no upgrade")
        if not self.response_rcvd.done():
            self.response_rcvd.set_result(None)

    def eof_received(self) -> None:
        self.answer.eof()
        if self.answer.status and not self.upgraded:
            self._refused()
        super().eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self.ended_by = exc
        if self._late is not None:
            self._late.cancel()
        if self.answer.status and not self.upgraded:
            self._refused()
        super().connection_lost(exc)


class _Refused(InvalidHandshake):
    """The answer to the upgrade is another one than 101."""


class WsLine(Channel):
    """One WebSocket; a reader task sees what comes between beats too."""

    holds = True
    echoes = True
    """What a beat sent is to come back as it was."""
    awaited = "echo"

    def __init__(self, target: Target, probing: Probing) -> None:
        super().__init__(target, probing)
        self._ws: _Connection | None = None
        self._reader: asyncio.Task[None] | None = None
        self._echo: asyncio.Future[str | bytes] | None = None
        self._nonce = ""
        """What the newest beat sent."""
        self._beats: deque[str] = deque(maxlen=_MOST_BEATS)
        self._skipped = 0
        """Messages since the last echo that answer no beat."""
        self._in_place: str | bytes | None = None
        """The first of them since the newest beat was sent, where it is no late echo."""
        self._first = True
        self._asked = new_nonce()
        """The nonce of the upgrade request."""
        self._spoiled = False
        """A beat failed on it: not worth a polite close, which a silent peer would draw out."""
        self.marked = ""
        """The last segment of the leg's path whose mark the answer to the upgrade carried."""

    def wishes(self, leg: Leg) -> dict[str, Any]:
        """What else the upgrade asks for, as `websockets.connect` takes it."""
        return {}

    def check_upgrade(self, leg: Leg, ws: ClientConnection) -> None:
        """Raises ProbeError when an answer of 101 is not what was asked for."""

    async def start(self, leg: Leg) -> None:
        """TCP, TLS and the upgrade. Raises ProbeError, Collapsed."""
        timing, facts = self.probing.timing, self.facts
        shown = headers_of(leg)
        sock, _ = await dial.connect(self.target, self.probing, facts, timing.connect_timeout)
        # A failed handshake closes `sock` before the kernel can be asked what became of it.
        try:
            witness = sock.dup()
        except OSError as error:
            sock.close()
            raise dial.connect_error(error, self.target) from error
        loop = asyncio.get_running_loop()
        began, began_at = loop.time(), self.probing.clock.now()
        secure = (leg.url or "").startswith("wss:")
        made: list[_Connection] = []

        def factory(*args: Any, **kwargs: Any) -> _Connection:
            made.append(_Connection(*args, **kwargs))
            made[0].patience, made[0].answer = timing.watchdog * BODY_SHARE, AnswerReader()
            return made[0]

        tls: dict[str, Any] = {}
        if secure:
            # A TLS handshake ends at its own deadline, the upgrade at the watchdog's.
            tls = {
                "ssl": self.probing.tls.context(),
                "server_hostname": self.target.tls_name,
                "ssl_handshake_timeout": timing.connect_timeout,
            }
        dialling = connect(
            _with_host(leg.url or "", leg.host_header),
            sock=sock,
            **tls,
            create_connection=factory,  # type: ignore[arg-type]
            compression=None,
            proxy=None,
            open_timeout=None,
            ping_interval=None,
            close_timeout=1,
            max_size=MAX_FRAME_BYTES,
            max_queue=4,
            user_agent_header=AGENT,
            additional_headers={
                **asking(self._asked),
                **self.probing.naming(self.target.traced, facts),
                **shown,
            },
            logger=_QUIET,
            **self.wishes(leg),
        )
        try:
            async with self.probing.step(
                facts, "upgrade", timing.watchdog, "rtt_timeout", "ask", "no answer to the upgrade"
            ):
                self._ws = await dialling  # type: ignore[assignment]
        except ProbeError as error:
            status = made[0].answer.status if made else 0
            if status == 101:
                words = "upgraded, and too late ourselves to see it"
                raise ProbeError("prober_stalled", "ask", words, conclusive=False) from error
            if status:  # its head came late, and its body not at all
                raise self._rejected(leg, made[0].answer) from error
            error.tcp = tcpinfo.sample(witness)
            error.heard = bool(made and made[0].answer.begun)
            raise
        except InvalidHandshake as error:
            raise await self._refusal(leg, made[0], error) from error
        except (OSError, EOFError) as error:
            if not made or not made[0].connected_at:
                if isinstance(error, ConnectionAbortedError):  # asyncio's handshake timeout
                    late = ProbeError(
                        "tls_failed", "ask", f"no TLS within {span(timing.connect_timeout)}"
                    )
                    late.tcp = tcpinfo.sample(witness)
                    raise late from error
                # A server that takes one connection at a time has to see the end of this one.
                with suppress(OSError):
                    witness.shutdown(socket.SHUT_RDWR)
                raise await tls_error(
                    error, self.target, facts, self.probing.tls, timing.connect_timeout
                ) from error
            if isinstance(error, ConnectionResetError):
                raise await self._unanswered(secure, reset=True) from error
            raise ProbeError("io_error", "ask", f"upgrade: {showable(error)}") from error
        finally:
            witness.close()
            if self._ws is None and (not made or not made[0].connected_at):
                sock.close()
            if made and made[0].connected_at:
                took = made[0].connected_at - began
                if secure:
                    facts.phases["tls"] = round(took, 6)
                    facts.step("tls", began_at, took)
                after = loop.time() - made[0].connected_at
                if "upgrade" in facts.phases:
                    facts.phases["upgrade"] = round(after, 6)
                facts.step("upgrade", began_at + took, after, failed=self._ws is None)
                facts.cert_not_after = made[0].cert_not_after
            elif secure and "upgrade" in facts.steps:
                facts.step("tls", began_at, facts.steps.pop("upgrade").seconds, failed=True)
        assert self._ws is not None
        try:
            self.marked = self._check_route(leg, self._ws.answer.headers)
            self.check_upgrade(leg, self._ws)
            now = self.probing.clock.now()
            note_date(facts, self._ws.answer.headers, self._asked, began_at, now)
        except (Collapsed, ProbeError):
            await self.close()
            raise
        self._reader = asyncio.create_task(self._read(self._ws))

    async def _unanswered(self, secure: bool, reset: bool = False) -> ProbeError:
        """The peer ended the connection in place of an answer to the upgrade."""
        failed = ProbeError("closed_by_peer", "ask", "closed before answering the upgrade")
        if reset:
            failed = ProbeError("connection_reset", "ask", "reset during the upgrade")
        if not secure:
            return failed
        limit = self.probing.timing.connect_timeout
        return await unanswered(failed, self.target, self.probing.tls, limit)

    async def _refusal(self, leg: Leg, ws: _Connection, error: InvalidHandshake) -> ProbeError:
        """Why there is no WebSocket. Raises Collapsed."""
        answer, ended_by = ws.answer, ws.ended_by
        if answer.beyond:
            return beyond_us(answer)
        if answer.no_http:
            return no_http(answer, self.target.host)
        if answer.status and answer.status != 101:
            return self._rejected(leg, answer)
        if isinstance(error, NegotiationError) and (picked := _unasked(answer.headers)):
            marked = self._check_route(leg, answer.headers)
            return ProbeError("protocol_error", "ask", picked).by_answer(101, marked)
        if answer.status:
            why = f"{error}" if answer.version >= (1, 1) else "HTTP/1.0 knows no upgrade"
            if error.__cause__ is not None:
                why = f"{why}: {error.__cause__}"
            words = f"broken answer to the upgrade: HTTP 101, {showable(why)}"
            marked = self._check_route(leg, answer.headers)
            return ProbeError("protocol_error", "ask", words).by_answer(101, marked)
        secure = (leg.url or "").startswith("wss:")
        if isinstance(ended_by, ConnectionResetError):
            return await self._unanswered(secure, reset=True)
        if isinstance(ended_by, ssl.SSLError) and not isinstance(ended_by, ssl.SSLEOFError):
            limit = self.probing.timing.connect_timeout
            return await tls_error(ended_by, self.target, self.facts, self.probing.tls, limit)
        return await self._unanswered(secure)

    def _check_route(self, leg: Leg, headers: Headers) -> str:
        return check_route(leg, headers, self.facts, self.probing.marks, self._asked)

    def _rejected(self, leg: Leg, answer: AnswerReader) -> ProbeError:
        status, headers, sso = answer.status, answer.headers, self.probing.sso
        marked = self._check_route(leg, headers)
        body, _ = decoded(headers, bytes(answer.body))
        asked = parse(leg.url or "")
        wall = sso_answer(status, headers, body, sso, asked)
        foreign = refusal(status, body, leg.tls_cert is not None)
        said = "" if busy(status, headers) else refused(leg, status, headers, body, sso, asked)
        if said:
            failed = ProbeError("token_refused", "ask", f"upgrade: {said}", conclusive=False)
        elif foreign is not None:
            words = f"HTTP {status} instead of 101: {self.target.host} {foreign.words}"
            failed = ProbeError("upgrade_rejected", "ask", words, conclusive=foreign.conclusive)
        elif wall is not None and not busy(status, headers):
            failed = ProbeError("walled_off", "ask", f"upgrade: {wall}")
        else:
            words = f"HTTP {status} instead of 101"
            to = onward(status, headers, b"", asked)
            if to is not None:
                words += f", a redirect to {showable(to, 80)}"
            if status == 401 and (login := wants(headers)):
                words += f": {login}"
            conclusive = not busy(status, headers)
            failed = ProbeError("upgrade_rejected", "ask", words, conclusive=conclusive)
        return failed.by_answer(status, marked)

    async def _read(self, ws: _Connection) -> None:
        try:
            while True:
                message = await _message(ws)
                if message is None:
                    self._end(ProbeError("protocol_error", "hold", "a message without an end"))
                    return
                if self._echo is not None and not self._echo.done():
                    if self.is_answer(message, self._nonce):
                        self._echo.set_result(message)
                        continue
                    if message not in self._beats and self._in_place is None:
                        self._in_place = message
                if not self.skip(message):
                    words = f"more than {WS_SKIPPED} messages that answer no beat, the last one"
                    detail = f"{words} {described(message)}"
                    self._end(ProbeError("protocol_error", "hold", detail))
                    return
                await asyncio.sleep(0)  # a message that waits already is no turn of the loop
        except ConnectionClosed as error:
            self._end(_why_closed(error, ws))

    def is_answer(self, message: str | bytes, nonce: str) -> bool:
        """Whether a message answers the beat that sent this nonce."""
        return answers(message, nonce)

    def skip(self, message: str | bytes) -> bool:
        """Note a message that answers no beat; False when there were too many."""
        if message in self._beats:
            note = "skipped a second echo of an earlier beat"
        else:
            note = f"skipped a message that answers no beat: {described(message)}"
        if note not in self.facts.evidence:
            self.facts.evidence = [*self.facts.evidence[: _MOST_NOTES - 1], note]
        self._skipped += 1
        return self._skipped <= WS_SKIPPED

    def _end(self, error: ProbeError) -> None:
        self.lost = error
        self._spoiled = True
        if self._echo is not None and not self._echo.done():
            self._echo.set_exception(error)
        else:
            self.on_lost()

    async def beat(self) -> Echo:
        assert self._ws is not None
        if self.lost is not None:
            raise self.lost
        if not self._first:
            self.facts.traced = ""  # frames have no headers
        clock = self.probing.clock
        self._nonce = nonce = secrets.token_hex(16)
        self._beats.append(nonce)
        self._spoiled, self._in_place = True, None
        sent = clock.now()
        ended = await self._exchange(nonce)
        self._skipped = 0
        self._spoiled = self.lost is not None
        if self._first:
            self._first = False
            self.facts.phases["first_echo"] = round(ended - sent, 6)
        return Echo(sent=sent, ended=ended, nonce=nonce, clears=self.clears())

    async def _exchange(self, nonce: str) -> float:
        """Send, and wait for what answers it; when that came. Raises ProbeError."""
        assert self._ws is not None
        limit, before = self.probing.timing.watchdog, self.tcp()
        self._echo = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(limit):
                await self.send(self._ws, nonce)
                frame = await self._echo
        except TimeoutError as error:
            late = ProbeError("rtt_timeout", "ask", f"no {self.awaited} within {span(limit)}")
            late.tcp = self.tcp()
            if self._in_place is not None and self.echoes:
                # It may have been on its way before we asked: only their kernel's word counts.
                late.reason = "wrong_echo"
                late.detail += f"; in its place came {described(self._in_place)}"
                late.answered = claim(late.tcp, before).kind == "acknowledged"
            raise late from error
        except ConnectionClosed as error:
            raise self.lost or _why_closed(error, self._ws) from error
        finally:
            if not self._echo.cancel() and not self._echo.cancelled():
                self._echo.exception()  # seen, also when `send` was the first to fail
            self._echo = None
        ended = self.probing.clock.now()
        if self.echoes and frame != nonce:
            words = f"the echo differs from what was sent, a text of {len(nonce)} characters"
            detail = f"{words}: {described(frame)}"
            raise ProbeError("wrong_echo", "ask", detail, answered=True)
        return ended

    async def send(self, ws: ClientConnection, nonce: str) -> None:
        """What a beat sends."""
        await ws.send(nonce)

    def clears(self) -> tuple[str, ...] | None:
        """What a good beat proves to work, as `Echo.clears`."""
        return None

    def tcp(self) -> TcpSample | None:
        if self._ws is None or self._ws.transport is None:
            return None
        return tcpinfo.sample(self._ws.transport.get_extra_info("socket"))

    async def close(self) -> None:
        if self._reader is not None:
            self._reader.cancel()
        if self._ws is not None:
            try:
                self._ws.leaving = True
                if not self._spoiled:
                    async with asyncio.timeout(1.0):
                        await self._ws.close()
            except (TimeoutError, OSError):
                pass
            finally:
                self._ws.transport.abort()


def _with_host(url: str, host: str | None) -> str:
    """`url` as a server is to see it; what is dialled and checked is given apart."""
    if host is None:
        return url
    parts = urlsplit(url)
    user, at, _ = parts.netloc.rpartition("@")
    return parts._replace(netloc=user + at + host).geturl()


async def _message(ws: _Connection) -> str | bytes | None:
    """The next message; None when it comes in more pieces than any of ours could."""
    parts: list[Any] = []
    async with aclosing(ws.recv_streaming()) as pieces:  # type: ignore[type-var]
        async for piece in pieces:
            parts.append(piece)
            if len(parts) > WS_FRAGMENTS:
                return None
    whole: str | bytes = parts[0][:0].join(parts)
    return whole


def _unasked(headers: Headers) -> str:
    """What the server's answer names that our request did not offer (RFC 6455, section 4.1)."""
    for name, what in (("protocol", "a subprotocol"), ("extensions", "an extension")):
        value = headers.get(f"sec-websocket-{name}", "")
        if value:
            return f"the server picks {what} that was not asked for: {showable(value, 60)}"
    return ""


def _why_closed(error: ConnectionClosed, ws: _Connection) -> ProbeError:
    ended_by = ws.ended_by
    if ws.flooded:
        return ProbeError("protocol_error", "hold", "the peer asks more than it listens")
    code = 0 if error.sent is None or error.rcvd_then_sent else error.sent.code
    if code == _TOO_BIG:
        words = f"a message of more than {MAX_FRAME_BYTES} bytes, which is more than t3probe reads"
        return ProbeError("protocol_error", "hold", words, conclusive=False)
    if code in _OUR_COMPLAINTS:
        return ProbeError(
            "protocol_error", "hold", f"the peer broke the protocol: {showable(error.sent)}"
        )
    if error.rcvd is not None:
        return ProbeError(
            "closed_by_peer", "hold", f"closed by the peer: {showable(error.rcvd)}", answered=True
        )
    if isinstance(ended_by, (ConnectionResetError, BrokenPipeError)):
        return ProbeError("connection_reset", "hold", "connection reset")
    if ended_by is not None:
        return ProbeError("io_error", "hold", f"connection lost: {showable(ended_by)}")
    return ProbeError("closed_by_peer", "hold", "closed by the peer without a close frame")


async def open(leg: Leg, target: Target, probing: Probing) -> Channel:
    """A WebSocket to `target`, upgraded and proven to be on the leg's own route."""
    return await started(WsLine(target, certified(leg, probing)), leg)


async def started(line: WsLine, leg: Leg) -> Channel:
    """This line, upgraded. Raises ProbeError, Collapsed."""
    try:
        await line.start(leg)
    except ProbeError as error:
        error.facts = line.facts
        raise
    return line


SHOWN_CHARACTERS = 40
SHORTEST_PART = 8
"""So many characters of what was sent are no accident."""


def answers(message: str | bytes, sent: str) -> bool:
    """Whether it is `sent` come back, be it as it was or damaged: of the other type, inside of
    something else, cut short, or with some of its characters changed.

    Anything else answers no beat: a greeting, a ping of the application, somebody else's news.
    """
    text = _text(message).lower()
    if sent in text or (len(text) >= SHORTEST_PART and text in sent):
        return True
    alike = sum(one == other for one, other in zip(text, sent, strict=False))
    return len(text) == len(sent) and 2 * alike >= len(sent)


def described(message: str | bytes) -> str:
    """Type, length and the first characters of a foreign message, fit for a record."""
    kind, unit = ("binary", "byte") if isinstance(message, bytes) else ("text", "character")
    # Whole, before it is cut: half of a secret is one, too.
    shown = showable(_text(message), 400)[:SHOWN_CHARACTERS]
    return f"{kind} of {count(len(message), unit)}" + (f' "{shown}"' if shown else "")


def _text(message: str | bytes) -> str:
    return message.decode("latin-1") if isinstance(message, bytes) else message
