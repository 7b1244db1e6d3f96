"""Listening to relay and jump: their statistics, by a WebSocket.

Its address comes with a code that is good once; a code that is not good leaves the connection open
and silent, so a connection without a report for a while is given up. The address is dialled only on
the service's own host and with no weaker scheme. A connection is given up, too, before its token
ends, since that would end it without a word. Each connection has a token, an address and a code of
its own; between two that failed lies a pause that grows.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable
from typing import Any, cast
from urllib.parse import urlsplit

import msgspec
from msgspec.structs import replace

from t3probe import AGENT
from t3probe.config.endpoints import parse_url, plain_host
from t3probe.config.errors import Wrong
from t3probe.exchange.bounds import JSON_PIECE_BYTES, RIG_EXCHANGE_SECONDS, RIG_REPORT_BYTES
from t3probe.exchange.client import Trouble
from t3probe.guard import LoopbackOnlyError
from t3probe.text import keep_lent, showable
from t3probe.text.words import span
from t3probe.upstreams.experiments.ask import RigService, ServiceError
from t3probe.upstreams.experiments.wire import (
    NoReportError,
    ReportReader,
    Service,
    ServiceReport,
    read_usual,
)

STATS_PATHS: dict[Service, str] = {
    "relay": "/session/stats",
    "jump": "/api/v1/connect/stats",
}
PAUSE_SECONDS = 1.0
PAUSE_GROWS_TO_SECONDS = 30.0
_QUIET = logging.getLogger("t3probe.experiments.websockets")
_QUIET.addHandler(logging.NullHandler())
_QUIET.propagate = False


class _Address(msgspec.Struct):
    uri: str


_ADDRESS = msgspec.json.Decoder(_Address)


def _no_redirect(exc: Exception) -> Exception | str:
    return exc


def checked_address(uri: str, base: str) -> str:
    """The address that a service at `base` gave us, when it may be dialled. Raises Wrong."""
    own = parse_url(base, ("http", "https"))
    schemes = ("wss",) if own.scheme == "https" else ("ws", "wss")
    there = parse_url(uri.partition("?")[0], schemes)  # the code behind it is none of a file's
    if plain_host(there.host) != plain_host(own.host):
        raise Wrong(f"an address on {own.host}")
    return uri


class StatsListener:
    """Listens to one service."""

    def __init__(
        self,
        asked: RigService,
        now: Callable[[], float],
        *,
        silence_seconds: float,
        keep: bool = False,
    ) -> None:
        """`now`: seconds of the clock by which reports are dated; `silence_seconds`: a connection
        that brought no report for so long is given up; `keep`: reports keep their message."""
        self._keep = keep
        self.asked = asked
        self.service = cast(Service, asked.service)
        self.silence_seconds = silence_seconds
        self.notes: dict[str, int] = {}
        """Sentences about messages that were no reports, and how often each came."""
        self.asked_seconds: float | None = None
        """How long the newest answer with an address took."""
        self._now = now

    async def hear(self, heard: Callable[[ServiceReport], bool]) -> None:
        """One connection: `heard` is given each report and says whether to go on. Returns when it
        says no, or when the token is about to end. Raises ServiceError when the connection ends
        otherwise, and LoopbackOnlyError."""
        from websockets.asyncio.client import connect
        from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidURI

        loop = asyncio.get_running_loop()
        uri = await loop.run_in_executor(None, self._address)
        name = self.asked.name
        tls: dict[str, Any] = {}
        if uri.startswith("wss:"):
            try:
                tls["ssl"] = self.asked.site.context()
            except Trouble as trouble:
                raise ServiceError("tls_failed", f"{name} {trouble.what}", tells=False) from None
        dialling = connect(
            uri,
            **tls,
            compression=None,
            proxy=None,
            open_timeout=min(RIG_EXCHANGE_SECONDS, self.silence_seconds),
            ping_interval=None,
            close_timeout=1,
            max_size=RIG_REPORT_BYTES,
            max_queue=2,
            user_agent_header=AGENT,
            logger=_QUIET,
        )
        # It would follow redirects, and to other hosts.
        dialling.process_redirect = _no_redirect  # type: ignore[method-assign]
        try:
            connection = await dialling
        except LoopbackOnlyError:
            raise
        except TimeoutError:
            raise ServiceError("rtt_timeout", f"{name} does not open its WebSocket") from None
        except InvalidURI:
            raise ServiceError("protocol_error", f"{name} gives an address of no use") from None
        except InvalidHandshake as error:
            said = showable(error, 80)
            raise ServiceError("upgrade_rejected", f"{name} refuses WebSockets: {said}") from None
        except ssl.SSLError as error:
            said = showable(error.reason)
            raise ServiceError("tls_failed", f"{name} breaks TLS off ({said})") from None
        except ConnectionRefusedError:
            raise ServiceError("connect_refused", f"{name} refuses its WebSocket's port") from None
        except (OSError, EOFError) as error:
            said = showable(getattr(error, "strerror", None) or type(error).__name__)
            raise ServiceError("connect_failed", f"{name} cannot be reached ({said})") from None
        try:
            await self._hear(connection, heard)
        except ConnectionClosed as error:
            closed = error.rcvd or error.sent
            code = f" ({closed.code})" if closed is not None else ""
            raise ServiceError(
                "closed_by_peer", f"{name} ended the connection that was to report{code}"
            ) from None
        finally:
            await connection.close()

    async def _hear(self, connection: Any, heard: Callable[[ServiceReport], bool]) -> None:
        until = asyncio.get_running_loop().time() + self.asked.tokens.usable_seconds
        while True:
            report = await self._report(connection)
            if not heard(report) or asyncio.get_running_loop().time() >= until:
                return

    async def _report(self, connection: Any) -> ServiceReport:
        try:
            async with asyncio.timeout(self.silence_seconds):
                while True:
                    frame = await connection.recv(decode=False)
                    report = await self._read(frame)
                    if report is not None:
                        return replace(report, frame=frame) if self._keep else report
        except TimeoutError:
            said = next(iter(self.notes), "")
            why = f"; {said}" if said else ""
            raise ServiceError(
                "rtt_timeout",
                f"{self.asked.name} reported nothing for {span(self.silence_seconds)}{why}",
            ) from None

    async def _read(self, data: bytes) -> ServiceReport | None:
        at = self._now()  # what is read below takes its time
        usual = read_usual(self.service, data, at)
        if usual is not None:
            return usual
        reader = ReportReader(self.service)
        try:
            for start in range(0, len(data), JSON_PIECE_BYTES):
                reader.feed(data[start : start + JSON_PIECE_BYTES])
                await asyncio.sleep(0)  # beats wait for no report
            return reader.close(at)
        except NoReportError as error:
            said = f"{self.asked.service} {error}"
            if said in self.notes or len(self.notes) < 8:
                self.notes[said] = self.notes.get(said, 0) + 1
            return None

    def _address(self) -> str:
        """Where to listen. Raises ServiceError."""
        path = STATS_PATHS[self.service]
        began = self._now()
        answer = self.asked.ask("POST", path, seconds=self.silence_seconds)
        self.asked_seconds = self._now() - began
        name = self.asked.name
        try:
            found = _ADDRESS.decode(answer.body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise ServiceError(
                "protocol_error", f"{name} answers {path} with something that holds no address"
            ) from None
        for part in urlsplit(found.uri).query.split("&"):
            keep_lent(part.partition("=")[2])
        try:
            return checked_address(found.uri, self.asked.url)
        except (Wrong, ValueError):
            raise ServiceError(
                "protocol_error",
                f"{name} gives an address on another host, or with a weaker scheme, to listen at; "
                "it was not dialled",
                tells=False,
            ) from None

    async def listen(
        self,
        heard: Callable[[ServiceReport], bool],
        failed: Callable[[ServiceError], None],
        sleep: Callable[[float], Any] = asyncio.sleep,
    ) -> None:
        """Connections one after the other, until `heard` says no. Each that fails is told to
        `failed`."""
        pause, over = PAUSE_SECONDS, False

        def one(report: ServiceReport) -> bool:
            nonlocal pause, over
            pause, over = PAUSE_SECONDS, not heard(report)
            return not over

        while not over:
            try:
                await self.hear(one)
            except ServiceError as error:
                failed(error)
                await sleep(pause)
                pause = min(2 * pause, PAUSE_GROWS_TO_SECONDS)
