"""The answers of the held mode come from a thread of their own, whatever the loop does."""

from __future__ import annotations

import asyncio
import io
import json
import queue
import resource
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from t3probe.deliver.metrics.exposition import Sheet
from t3probe.exchange.bounds import SERVED_CONNECTIONS
from t3probe.observation import RunRecord
from t3probe.timing import FakeClock
from t3probe.verdict.incident.run import judge_run
from t3probe.watch.http import LOOP_LIMIT_SECONDS, Server, SignsOfLife, Snapshot
from t3probe.watch.log import MAX_WAITING, Log
from t3probe.watch.serving import parse_listen


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def server(clock: FakeClock) -> Iterator[Server]:
    one = Server(("127.0.0.1", 0), SignsOfLife(clock))
    one.start()
    yield one
    one.stop()


def get(server: Server, path: str) -> tuple[int, str, str]:
    """Status, content type and body."""
    try:
        with urllib.request.urlopen(f"http://{server.address}{path}", timeout=10) as answer:
            return answer.status, answer.headers["content-type"], answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers["content-type"], error.read().decode()


def snapshot(vantage: str = "") -> Snapshot:
    record = RunRecord(segments=("wan",), vantage=vantage, started_at=5.0, duration_seconds=2.0)
    return Snapshot(record, (), judge_run(record, []), Sheet())


def test_metrics_are_those_of_the_newest_snapshot(server: Server) -> None:
    assert get(server, "/metrics")[0] == 503
    server.publish(snapshot())
    status, kind, body = get(server, "/metrics")
    assert (status, kind) == (200, "text/plain; version=0.0.4; charset=utf-8")
    assert "t3probe_run_timestamp_seconds 7.0" in body.splitlines()
    server.publish(snapshot("attic"))
    assert 't3probe_run_timestamp_seconds{vantage="attic"} 7.0' in get(server, "/metrics")[2]


def test_a_snapshot_that_cannot_be_written_is_said(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: Snapshot) -> bytes:
        raise KeyError("a secret")

    monkeypatch.setattr(Snapshot, "text", broken)
    server.publish(snapshot())
    status, _, body = get(server, "/metrics")
    assert (status, body) == (500, "the metrics cannot be written: KeyError\n")


async def test_healthz_is_answered_while_the_loop_stands_still(
    server: Server, clock: FakeClock
) -> None:
    """The very loop that should turn is the one that waits here without yielding."""
    answers: list[tuple[int, str, str]] = []

    def ask() -> None:
        answers.append(get(server, "/healthz"))

    for advance in (0.0, LOOP_LIMIT_SECONDS + 1):
        clock.advance(advance)
        asking = threading.Thread(target=ask)
        asking.start()
        asking.join(10)  # blocks the loop
    assert [status for status, _, _ in answers] == [200, 503]
    assert "the probing loop has stood still for 6 s" in answers[1][2]


def test_silent_clients_use_up_no_answer(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """More of them than there are places: they are let go, and an honest client is answered."""
    monkeypatch.setattr("t3probe.watch.serving.SERVED_REQUEST_SECONDS", 0.2)
    silent = [
        socket.create_connection(server._socket.getsockname()[:2])
        for _ in range(SERVED_CONNECTIONS + 20)
    ]
    try:
        deadline = time.monotonic() + 20
        while True:
            try:
                assert get(server, "/healthz")[0] == 200
                break
            except (OSError, urllib.error.URLError):
                assert time.monotonic() < deadline
        for one in silent:
            one.settimeout(10)
            with Ended():
                while one.recv(100):
                    pass
    finally:
        for one in silent:
            one.close()


def test_half_open_connections_shut_nobody_out(server: Server) -> None:
    """Thousands that ask for half of something, and none of them is timed out meanwhile."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = 65_536 if hard == resource.RLIM_INFINITY else hard
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(most, 12_000)), hard))
    count = min(10_000, resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 600)
    place = server._socket.getsockname()[:2]
    half: list[socket.socket] = []
    try:
        for _ in range(count):
            one = socket.create_connection(place, timeout=10)
            half.append(one)
            with Ended():
                one.sendall(b"GET /heal")
            time.sleep(0.0002)  # its thread gets its turn: what is not accepted is sent anew later
        for _ in range(3):
            assert get(server, "/healthz")[0] == 200
        assert len(server._room._open) <= SERVED_CONNECTIONS
    finally:
        for one in half:
            one.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


class Ended:
    """A connection that the server ended, politely or not."""

    def __enter__(self) -> None: ...

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> bool:
        return isinstance(error, ConnectionError)


@pytest.mark.parametrize(
    "request_bytes",
    [b"\r\n\r\n", b"GET /metrics\r\n\r\n", b"\x16\x03\x01" + bytes(100) + b"\r\n\r\n"],
)
def test_nonsense_is_refused(server: Server, request_bytes: bytes) -> None:
    with socket.create_connection(server._socket.getsockname()[:2], timeout=10) as one:
        one.sendall(request_bytes)
        assert one.recv(1000).startswith(b"HTTP/1.1 400 ")


def test_an_endless_head_is_cut_off(server: Server) -> None:
    with socket.create_connection(server._socket.getsockname()[:2], timeout=10) as one, Ended():
        for _ in range(200):
            one.sendall(b"X" * 1000)
        assert one.recv(1000) == b""


@pytest.mark.parametrize(
    ("text", "listen"),
    [(":9108", ("", 9108)), ("127.0.0.1:0", ("127.0.0.1", 0)), ("[::1]:80", ("::1", 80))],
)
def test_where_to_listen(text: str, listen: tuple[str, int]) -> None:
    assert parse_listen(text) == listen


@pytest.mark.parametrize("text", ["", "9108", "localhost", "x:", "x:70000", "x:-1", "x:٣"])
def test_where_nobody_can_listen(text: str) -> None:
    with pytest.raises(ValueError, match=r"--listen: expected HOST:PORT or :PORT, such as"):
        parse_listen(text)


# -- the log -------------------------------------------------------------------------------------


def test_lines_are_ascii_json_in_their_order() -> None:
    stream = io.StringIO()
    log = Log(lambda: 1.5, stream)
    log.say("one", leg="ä")
    log.say("two", at=0.0)
    log.end()
    assert stream.getvalue().isascii()
    first, second = map(json.loads, stream.getvalue().splitlines())
    assert first == {"time": "1970-01-01T00:00:01.500Z", "event": "one", "leg": "ä"}
    assert (second["time"], second["event"]) == ("1970-01-01T00:00:00.000Z", "two")


def test_a_reader_that_is_stuck_stops_nobody_and_what_was_lost_is_said() -> None:
    stuck, reading = threading.Event(), queue.SimpleQueue[None]()

    class Pipe(io.StringIO):
        def write(self, text: str) -> int:
            reading.put(None)
            stuck.wait(20)
            return super().write(text)

    pipe = Pipe()
    log = Log(lambda: 0.0, pipe)
    log.say("first")
    reading.get(timeout=10)  # the writer has it in hand and hangs
    for number in range(MAX_WAITING + 7):
        log.say("more", number=number)
    stuck.set()
    deadline = time.monotonic() + 20
    while log._lines.qsize() and time.monotonic() < deadline:
        time.sleep(0.01)
    log.say("last")
    log.end(20)
    said = [json.loads(line) for line in pipe.getvalue().splitlines()]
    assert len(said) == 1 + MAX_WAITING + 1
    assert said[-1]["lines_lost"] == 7


async def test_no_thread_is_left_behind(clock: FakeClock) -> None:
    for _ in range(3):
        one = Server(("127.0.0.1", 0), SignsOfLife(clock))
        one.start()
        one.publish(snapshot())
        assert (await asyncio.to_thread(get, one, "/metrics"))[0] == 200
        one.stop()
    assert "t3probe-http" not in {one.name for one in threading.enumerate()}
