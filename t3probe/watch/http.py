"""Answers `/metrics` and `/healthz` from a thread of its own.

The thread has its own event loop, so that it answers while the probing loop stands still; it
only ever reads. Connections, request sizes and times are bounded: a client, hostile or
not, costs the probing no more than a little CPU. Whether the held mode is alive, the probing loop
writes and this thread reads (`SignsOfLife`).

A snapshot, which is what the held mode shows at one moment, is made by the probing loop and never
changes afterwards: this thread needs no lock.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from t3probe.config.types import Timing
from t3probe.deliver.metrics import families, rendered
from t3probe.deliver.metrics.carry import labelled
from t3probe.deliver.metrics.exposition import Sheet
from t3probe.exchange.bounds import (
    SERVED_BACKLOG,
    SERVED_CONNECTIONS,
    SERVED_HEAD_BYTES,
    SERVED_REQUEST_SECONDS,
)
from t3probe.exchange.room import Room
from t3probe.observation import Observation, RunRecord
from t3probe.text import plain
from t3probe.text.words import span
from t3probe.timing import Clock
from t3probe.verdict.incident.run import RunVerdict

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

LIVING = (
    "t3probe_disconnects_total",
    "t3probe_rtt_seconds",
    "t3probe_connection_age_seconds",
    "t3probe_last_disconnect_timestamp",
    "t3probe_observed_seconds_total",
)
"""Families that count over the whole life; all others tell of the present, as after a run."""


@dataclass(frozen=True, eq=False)
class Snapshot:
    """The present as a run would have recorded it, and the counts of a lifetime."""

    record: RunRecord
    observations: Sequence[Observation]
    judged: RunVerdict
    counts: Sheet
    """A copy: nothing else writes into it."""

    def text(self) -> bytes:
        """The Prometheus text format, as UTF-8."""
        told = families(self.record, self.observations, self.judged)
        present = {name: family for name, family in told.items() if name not in LIVING}
        vantage = self.record.vantage
        whole = present | self.counts.families()
        return rendered(labelled(whole, {"vantage": vantage}) if vantage else whole)


_PLAIN = "text/plain; charset=utf-8"
_WORDS = {
    200: "OK",
    400: "Bad Request",
    404: "Not Found",
    405: "Method Not Allowed",
    500: "Internal Server Error",
    503: "Service Unavailable",
}

Listen = tuple[str, int]
"""Host ("" for all addresses) and port."""


def parse_listen(text: str) -> Listen:
    """`127.0.0.1:9108`, `[::1]:9108` or `:9108`. Raises ValueError, one sentence."""
    host, colon, port = text.rpartition(":")
    if not colon or not port.isascii() or not port.isdecimal() or int(port) > 65535:
        raise ValueError(
            f"--listen: expected HOST:PORT or :PORT, such as 127.0.0.1:9108, found {text!r}"
        )
    return host.removeprefix("[").removesuffix("]"), int(port)


def _bound(listen: Listen) -> socket.socket:
    """A listening socket. Raises OSError."""
    host, port = listen
    if not host and socket.has_dualstack_ipv6():
        try:
            return socket.create_server(
                ("", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=SERVED_BACKLOG
            )
        except OSError:
            pass  # the kernel knows IPv6 and this network does not
    six = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=six, backlog=SERVED_BACKLOG)


class Server:
    """Listens from its making on; answers from `start` to `stop`."""

    def __init__(self, listen: Listen, health: SignsOfLife) -> None:
        """Raises OSError when the address cannot be had."""
        self._health = health
        self._snapshot: Snapshot | None = None
        self._text: tuple[Snapshot, bytes] | None = None
        self._asked: set[asyncio.StreamWriter] = set()
        self._room = Room[asyncio.StreamWriter](
            SERVED_CONNECTIONS,
            idle=lambda one: one not in self._asked,
            end=lambda one: one.transport.abort(),
        )
        self._loop = asyncio.new_event_loop()
        self._stopped = asyncio.Event()
        self._socket = _bound(listen)
        host, port = self._socket.getsockname()[:2]
        self.address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        """Where it listens."""
        self._thread = threading.Thread(target=self._run, name="t3probe-http", daemon=True)

    def publish(self, snapshot: Snapshot) -> None:
        """From now on show this. Called by the probing loop; never waits."""
        self._snapshot = snapshot

    def start(self) -> None:
        """Answer."""
        self._thread.start()

    def stop(self) -> None:
        """Stop answering, within half a second."""
        if self._thread.is_alive():
            with suppress(RuntimeError):  # it has ended by itself meanwhile
                self._loop.call_soon_threadsafe(self._stopped.set)
            self._thread.join(0.5)
        elif not self._loop.is_closed():
            self._loop.close()
        self._socket.close()

    # -- in the thread -------------------------------------------------------------------

    def _run(self) -> None:
        loop = self._loop
        asyncio.set_event_loop(loop)
        try:
            loop.run_until_complete(self._serve())
            tasks = asyncio.all_tasks(loop)
            for task in tasks:
                task.cancel()
            loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        finally:
            loop.close()

    async def _serve(self) -> None:
        self._room.heed_descriptors(self._loop)
        listening = await asyncio.start_server(
            self._client, sock=self._socket, limit=SERVED_HEAD_BYTES, backlog=SERVED_BACKLOG
        )
        await self._stopped.wait()
        listening.close()

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._room.enter(writer)
        try:
            async with asyncio.timeout(SERVED_REQUEST_SECONDS):
                head = await reader.readuntil(b"\r\n\r\n")
                self._asked.add(writer)
                writer.write(self._answer(head))
                await writer.drain()
                writer.close()
                await writer.wait_closed()
        except (OSError, EOFError, TimeoutError, asyncio.LimitOverrunError):
            pass
        finally:
            self._room.leave(writer)
            self._asked.discard(writer)
            writer.transport.abort()

    def _answer(self, head: bytes) -> bytes:
        words = head.split(b"\r\n", 1)[0].decode("latin-1").split(" ")
        if len(words) != 3 or not words[2].startswith("HTTP/1."):
            return _response(400, _PLAIN, b"expected an HTTP/1 request\n")
        method, path = words[0], words[1].partition("?")[0]
        if path not in ("/metrics", "/healthz"):
            return _response(404, _PLAIN, b"there are /metrics and /healthz\n", method)
        if method not in ("GET", "HEAD"):
            return _response(405, _PLAIN, b"expected GET or HEAD\n")
        if path == "/healthz":
            well, sentence = self._health.check()
            return _response(200 if well else 503, _PLAIN, f"{plain(sentence)}\n".encode(), method)
        snapshot = self._snapshot
        if snapshot is None:
            return _response(503, _PLAIN, b"nothing has been measured yet\n", method)
        if self._text is None or self._text[0] is not snapshot:
            try:
                self._text = snapshot, snapshot.text()
            except Exception as error:  # the scraper is told, and the next one may fare better
                why = f"the metrics cannot be written: {type(error).__name__}\n"
                return _response(500, _PLAIN, why.encode(), method)
        return _response(200, CONTENT_TYPE, self._text[1], method)


def _response(status: int, kind: str, body: bytes, method: str = "GET") -> bytes:
    head = (
        f"HTTP/1.1 {status} {_WORDS[status]}\r\nContent-Type: {kind}\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n"
        f"{'Allow: GET, HEAD' + chr(13) + chr(10) if status == 405 else ''}\r\n"
    )
    return head.encode("ascii") + (b"" if method == "HEAD" else body)


LOOP_LIMIT_SECONDS = 5.0
"""A loop that has not turned for so long stands still. It turns every second."""


def beat_limit(timing: Timing, holds: bool) -> float:
    """How long after the newest beat of all legs another one is overdue, in seconds.

    `holds` says whether any leg holds a connection; without one, only sweeps are made. An
    attempt may take the connect timeout twice and then the watchdog, and a drop two of them.
    """
    apart = timing.heartbeat if holds else timing.sweep_interval
    attempt = 2 * timing.connect_timeout + timing.watchdog
    return apart + max(timing.backoff_max, 2 * attempt)


@dataclass(frozen=True, slots=True)
class _Sign:
    """The newest sign of life. Replaced as a whole: a reader sees one or the other."""

    turned: float
    beat: float
    limit: float
    oldest: str


class SignsOfLife:
    """Signs of life and their age. Times are of the monotonic clock, in seconds."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        now = clock.monotonic()
        self._sign = _Sign(now, now, float("inf"), "")

    def turned(self, beat_age: float, limit: float, oldest: str = "") -> None:
        """The loop turns; the newest beat of all legs is so old and may be as old as `limit`.

        `oldest` names the leg that waits longest for a beat.
        """
        now = self._clock.monotonic()
        self._sign = _Sign(now, now - beat_age, limit, oldest)

    def check(self) -> tuple[bool, str]:
        """Whether all is well, and one sentence."""
        sign, now = self._sign, self._clock.monotonic()
        still, silent = now - sign.turned, now - sign.beat
        if still > LOOP_LIMIT_SECONDS:
            return False, f"the probing loop has stood still for {span(still)}"
        if silent > sign.limit:
            return (
                False,
                f"no leg has beaten for {span(silent)}, at most {span(sign.limit)} expected",
            )
        last = f"; {sign.oldest} waits longest" if sign.oldest else ""
        return True, f"the loop turns, the newest beat is {span(max(0.0, silent))} old{last}"
