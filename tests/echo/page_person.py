"""A person with the page open: a real Chromium, a relay that breaks what is between, and what a
record may say."""

from __future__ import annotations

import contextlib
import itertools
import json
import select
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

from show.report_browser import Browser, Page

from t3probe.timing import SystemClock

PATIENCE_SECONDS = 60
POLL_SECONDS = 0.05
RESET = struct.pack("ii", 1, 0)
TRACE = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nCF-RAY: 8f00-%s\r\nConnection: close\r\n\r\n"
    b"fl=1\nip=203.0.113.77\ncolo=%s\n"
)
REASONS = {
    "connect_failed": "no connection could be opened",
    "connect_timeout": "opening a connection took longer than",
    "rtt_timeout": "no answer came within",
    "closed_by_peer": "the server’s side closed the connection (code",
    "connection_reset": "the connection broke off without a word",
    "wrong_echo": "the answer was not what was sent",
    "io_error": "the browser could not send",
}
SYMPTOMS = {
    "down": "nothing worked",
    "cut": "only the open connection was lost",
    "refusing": "new connections failed, while the open one went on",
    "blip": "one new connection failed, the next one worked",
    "unknown": "is not known",
}
GAPS = {
    "slept": "This device slept for",
    "frozen": "The browser froze this page",
    "late": "This page stood still for",
    "hidden": "This page was in the background",
    "offline": "This device ",
    "network": "This device changed to another network",
    "stepped": "The clock of this device was set",
}
LISTS = ("connections", "beats", "drops", "gaps", "edges")


def fits(record: dict[str, Any]) -> None:
    """That a record is as its contract says."""
    assert len(json.dumps(record, separators=(",", ":"), ensure_ascii=False).encode()) <= 32768
    assert set(record) == {
        "t3probe_client", "page", "browser", "began", "made", "heartbeat_seconds",
        "watchdog_seconds", "clock", *LISTS, "left_out",
    }  # fmt: skip
    assert record["t3probe_client"] == 1
    assert len(record["browser"]) <= 60
    assert "?" not in record["page"] + record["browser"]
    assert "#" not in record["page"]
    clock = record["clock"]
    assert clock is None or set(clock) == {"offset_seconds", "within_seconds"}
    assert clock is None or clock["within_seconds"] > 0
    assert set(record["left_out"]) == set(LISTS)
    edge = {"began", "opened", "last_good", "ended", "reason", "code"}
    for one in record["connections"]:
        assert set(one) == edge
        ordered(one["began"], one["opened"], one["last_good"], one["ended"])
        assert (one["reason"] is None) == (one["ended"] is None)
    for at, *both in record["beats"]:
        assert record["began"] - 0.01 <= at <= record["made"]
        assert all(one is None or one == -1 or one >= 0 for one in both), both
    for one in record["drops"]:
        assert set(one) == {
            "began", "noticed", "ended", "strand", "symptom", "reason", "code", "age_seconds",
            "edge_answered",
        }  # fmt: skip
        ordered(one["began"], one["noticed"], one["ended"])
        assert one["strand"] in ("held", "fresh", "both")
        assert one["symptom"] in SYMPTOMS
        assert one["reason"] in REASONS
    for one in record["gaps"]:
        assert set(one) == {"began", "ended", "kind", "seconds"}
        assert one["kind"] in GAPS
        ordered(one["began"], one["ended"])
    for name in LISTS:
        times = [
            one[0] if name == "beats" else one.get("began", one.get("at")) for one in record[name]
        ]
        assert times == sorted(times), name


def ordered(*moments: float | None) -> None:
    known = [one for one in moments if one is not None]
    assert known == sorted(known), moments


class Person:
    """Somebody who looks at the page."""

    def __init__(self, page: Page) -> None:
        self.page = page

    def record(self) -> dict[str, Any]:
        """What the page has recorded so far."""
        found: dict[str, Any] = self.page.run("t3probe.record()")
        fits(found)
        return found

    def drops(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.record()["drops"]
        return found

    def gaps(self, kind: str) -> list[dict[str, Any]]:
        return [one for one in self.record()["gaps"] if one["kind"] == kind]

    def says(self, words: str) -> bool:
        """Whether the page's headline has these words."""
        return words in str(self.page.run("document.querySelector('#state').textContent"))

    def good_beats(self) -> int:
        """Beats that worked on both strands."""
        return sum(
            all(one is not None and one >= 0 for one in both) for _, *both in self.record()["beats"]
        )

    def until(self, condition: Callable[[], Any]) -> Any:
        """Wait for a condition; what it comes to."""
        clock = SystemClock()
        end = clock.monotonic() + PATIENCE_SECONDS
        while not (found := condition()):
            assert clock.monotonic() < end, self.record()
            threading.Event().wait(POLL_SECONDS)
        return found

    def more_beats(self, count: int = 3) -> None:
        """Wait until so many further beats worked."""
        before = self.good_beats()
        self.until(lambda: self.good_beats() >= before + count)

    def words_match(self) -> None:
        """Wait until the page's list says what its record has, no more and no less."""
        self.until(self._words_match)

    def _words_match(self) -> bool:
        shown = self.page.run("[...document.querySelectorAll('#list li')].map(e => e.textContent)")
        record = self.record()
        wanted = [
            (at(one["began"]), REASONS[one["reason"]], SYMPTOMS[one["symptom"]],
             at(one["ended"]) if one["ended"] else "not over yet")
            for one in record["drops"]
        ] + [(at(one["began"]), GAPS[one["kind"]]) for one in record["gaps"]]  # fmt: skip
        return len(shown) == len(wanted) and all(
            any(all(word in text for word in words) for text in shown) for words in wanted
        )


def at(moment: float) -> str:
    """How the page writes a time of day."""
    return datetime.fromtimestamp(moment, UTC).strftime("%H:%M:%S")


def visiting(browser: Browser, port: int, *, before: str = "", **more: Any) -> Person:
    """Open the page of the responder at `port`. It writes times in UTC."""
    page = browser.visit(f"http://127.0.0.1:{port}/probe/", before=UTC_TIMES + before, **more)
    return Person(page)


UTC_TIMES = """{
  const old = Date.prototype.toLocaleTimeString;
  Date.prototype.toLocaleTimeString = function (where, how) {
    return old.call(this, 'en-GB', {...how, timeZone: 'UTC'});
  };
}"""


class Relay:
    """What lies between the browser and the responder. A context manager."""

    def __init__(self, target: int, *, sources: int = 1) -> None:
        """`sources`: from how many addresses it dials, in turn."""
        self._target = target
        self._sources = itertools.cycle(f"127.0.0.{one + 1}" for one in range(sources))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._silent: list[socket.socket] = []
        self.refuse = 0
        """How many of the next WebSockets are refused."""
        self.replace = (b"", b"")
        """What is something else in answers."""
        self.hold = False
        """Whether answers wait."""
        self.colo = ""
        """The place of a CDN that answers here; empty: there is none, or it does not answer."""
        self._over = False
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Relay:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over = True
        self._thread.join(10)
        for one in (*self._silent, *(one for pair in self._pairs for one in pair)):
            one.close()
        self._listener.close()

    def cut(self) -> None:
        """Reset everything that is open."""
        for pair in list(self._pairs):
            self._end(pair, reset=True)

    def _end(self, pair: tuple[socket.socket, socket.socket], *, reset: bool = False) -> None:
        with contextlib.suppress(ValueError):
            self._pairs.remove(pair)
        for one in pair:
            with contextlib.suppress(OSError):
                if reset:
                    one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                one.close()

    def _run(self) -> None:
        while not self._over:
            hold = self.hold
            ends = {
                one: pair for pair in list(self._pairs) for one in pair[:1] + pair[1:] * (not hold)
            }
            try:
                ready, _, _ = select.select([self._listener, *self._silent, *ends], [], [], 0.05)
            except (OSError, ValueError):
                continue  # one was cut meanwhile
            for one in ready:
                if one is self._listener:
                    self._silent.append(self._listener.accept()[0])
                elif one in self._silent:
                    self._silent.remove(one)
                    self._begin(one)
                elif one in ends and ends[one] in self._pairs:
                    self._pass(one, ends[one])

    def _begin(self, near: socket.socket) -> None:
        """The first words of a client; a browser also opens connections in reserve."""
        with contextlib.suppress(OSError):
            head = near.recv(65536)
            wanted = bool(head)
            if b"/probe/ws" in head and self.refuse > 0:
                self.refuse -= 1
                wanted = False
            if b"/cdn-cgi/trace" in head and self.colo:
                near.sendall(TRACE % ((self.colo.encode(),) * 2))
                wanted = False
            if wanted:
                far = socket.create_connection(
                    ("127.0.0.1", self._target), 10, (next(self._sources), 0)
                )
                far.sendall(head)
                self._pairs.append((near, far))
                return
        near.close()

    def _pass(self, one: socket.socket, pair: tuple[socket.socket, socket.socket]) -> None:
        other = pair[1] if one is pair[0] else pair[0]
        try:
            data = one.recv(65536)
            if data:
                if one is pair[1]:
                    data = data.replace(*self.replace) if self.replace[0] else data
                other.sendall(data)
        except OSError:
            data = b""
        if not data:
            self._end(pair)


@contextlib.contextmanager
def closing(person: Person) -> Iterator[Person]:
    """Close the page in the end."""
    try:
        yield person
    finally:
        person.page.close()
