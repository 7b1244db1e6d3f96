"""Remote write in trouble: gates in place of receivers, lost answers and files, full folders, no
time."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from delivery_runs import DEAD, run_families
from delivery_servers import Handler, Server, _request, answering, closing, serving
from remote_parts import BEGAN, DROPS, LASTED, Box, Store, decoded, lost_drops, measured, receiver

from t3probe.deliver.sinks import Batch
from t3probe.deliver.sinks.receiver import RemoteReceiver
from t3probe.deliver.sinks.remote_write import RemoteWrites
from t3probe.exchange.client import Login
from t3probe.timing import FakeClock


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def server(store: Store) -> Iterator[Server]:
    with serving(store) as one:
        yield one


GATES = {
    "vmauth": b'cannot find the provided auth token "Bearer another-token"',
    "nginx, http on a port of https": b"<html><head><title>400 The plain HTTP request was sent",
    "one that quotes the token": b"no such key: a-token-of-ours",
    "one without words": b"",
    "one that speaks of what it wants": b"bad request",
}


@pytest.mark.parametrize("status", ["400", "422"])
@pytest.mark.parametrize("body", GATES.values(), ids=GATES)
def test_a_gate_that_refuses_everything_loses_nothing(
    body: bytes, status: str, tmp_path: Path, store: Store, server: Server
) -> None:
    box = Box(tmp_path, [RemoteReceiver(DEAD)])
    for number in range(3):
        box.run(number, drops=1)
    with serving(answering(f"{status} No", body)) as gate:
        box.receivers = [receiver(gate, login=Login(token="a-token-of-ours"))]
        for number in (3, 4):
            before = len(gate.requests)
            report = box.run(number, drops=1)
            assert not report.ok
            assert "set token_file or T3PROBE_REMOTE_WRITE_TOKEN" in report.sentence
            assert f"{number} runs before it wait in" in report.sentence
            assert "a-token-of-ours" not in report.sentence
            assert len(gate.requests) - before <= 2
    box.receivers = [receiver(server)]
    assert box.run(5, drops=1).ok
    assert (store.grown(DROPS), lost_drops(store), box.files) == (6, 0, [])


def test_a_page_that_says_too_large_is_about_the_request(tmp_path: Path, store: Store) -> None:
    """nginx with a small `client_max_body_size`: the login is right."""

    def limited(body: bytes) -> str:
        return "413 <html>Request Entity Too Large</html>" if decoded(body) else "204 Y"

    store.answer = limited
    with serving(store) as server:
        box = Box(tmp_path, [receiver(server)])
        report = box.run(0, drops=2)
    assert "put aside" in report.sentence
    assert box.files == []


def test_whether_it_is_a_receiver_is_asked_once_a_run(
    tmp_path: Path, store: Store, server: Server
) -> None:
    box = Box(tmp_path, [receiver(server)])
    box.run(0)
    box.receivers = [RemoteReceiver(DEAD)]
    for number in range(1, 4):
        box.run(number, drops=1)
    asked = store.asked
    store.answer = lambda body: "400 No" if decoded(body) else "204 Y"
    box.receivers = [receiver(server)]
    report = box.run(4, drops=1)
    assert report.sentence.count("put aside") == 4
    assert store.asked == asked + 1
    store.answer = lambda body: "204 Y"
    box.run(5)
    assert lost_drops(store) == 4


def test_the_file_that_was_sent_is_the_one_that_may_be_there(tmp_path: Path, store: Store) -> None:
    """A run that waits behind goes nowhere; the answer to the one after it is lost."""
    store.strict = True
    with serving(store) as server:
        box = Box(tmp_path, [receiver(server)])
        assert box.run(10, drops=1).ok
        assert not box.run(5, drops=2).ok  # behind: it waits
        with serving(_deaf(store)) as deaf:
            box.receivers = [receiver(deaf)]
            assert not box.run(11, drops=4).ok
        box.receivers = [receiver(server)]
        report = box.run(12, drops=8)
    assert report.ok, report.sentence
    assert "refuses" not in report.sentence
    assert (store.grown(DROPS), lost_drops(store)) == (13, 0)
    assert len(box.files) == 1


def test_a_question_without_an_answer_makes_nothing_unsure(tmp_path: Path, store: Store) -> None:
    """Nobody knows whether the request without series was taken: no run was sent."""
    box = Box(tmp_path, [RemoteReceiver(DEAD)])
    with serving(closing) as silent_one:
        box.receivers = [receiver(silent_one)]
        box.run(0, drops=1)  # in doubt: it asks first
    store.answer = lambda body: "400 out of order" if decoded(body) else "204 Y"
    with serving(store) as server:
        box.receivers = [receiver(server)]
        report = box.run(1, drops=1)
    assert report.sentence.count("put aside") == 2


def test_a_file_that_cannot_be_read_is_not_the_one_that_was_sent(
    tmp_path: Path, store: Store
) -> None:
    store.strict = True
    with serving(store) as server:
        box = Box(tmp_path, [receiver(server)])
        box.run(0)
        (tmp_path / "remote-write" / _named(BEGAN + 40)).mkdir()
        with serving(_deaf(store)) as deaf:
            box.receivers = [receiver(deaf)]
            assert not box.run(1, drops=4).ok
        box.receivers = [receiver(server)]
        report = box.run(2, drops=8)
    assert "refuses" not in report.sentence
    assert (store.grown(DROPS), lost_drops(store)) == (12, 0)


def _named(began: float) -> str:
    """The name of a file of ours that began then."""
    from t3probe.deliver.sinks.backlog import Waiting, whose

    own = whose({"job": "t3-probe", "vantage": "cluster"})
    return Waiting(round(began * 1000), round(began * 1000) + 1, own, 0).name


def _deaf(store: Store) -> Handler:
    """A receiver that takes all and whose answers nobody sees."""

    def handler(sock: socket.socket, request: bytes, server: Server) -> None:
        series = decoded(request.partition(b"\r\n\r\n")[2])
        if not store.late(series):
            for labels, samples in series.items():
                store.samples.setdefault(labels, {}).update(dict(samples))
        if not series:
            sock.sendall(b"HTTP/1.1 204 Y\r\nConnection: close\r\n\r\n")

    return handler


def test_a_server_that_dies_on_a_connection_that_was_kept_may_have_the_run(
    tmp_path: Path, store: Store
) -> None:
    """It took the run, and is gone before its answer: the second try meets a closed port."""
    store.strict = True
    box = Box(tmp_path, [RemoteReceiver(DEAD)])
    for number in range(3):
        box.run(number, drops=1)
    listener = socket.create_server(("127.0.0.1", 0))

    def dying() -> None:
        sock, _ = listener.accept()
        with sock:
            seen = 0
            while seen < 2:
                series = decoded(_request(sock).partition(b"\r\n\r\n")[2])
                seen += bool(series)
                for labels, samples in series.items():
                    store.samples.setdefault(labels, {}).update(dict(samples))
                if seen < 2:
                    sock.sendall(b"HTTP/1.1 204 Y\r\n\r\n")
            listener.close()

    thread = threading.Thread(target=dying)
    thread.start()
    box.receivers = [RemoteReceiver(f"http://127.0.0.1:{listener.getsockname()[1]}/w")]
    report = box.run(3, drops=1)
    thread.join()
    assert "refuses connections" in report.sentence
    with serving(store) as server:
        box.receivers = [receiver(server)]
        report = box.run(4, drops=1)
    assert report.ok, report.sentence
    assert "refuses" not in report.sentence
    assert (store.grown(DROPS), lost_drops(store)) == (5, 0)


def _full(monkeypatch: pytest.MonkeyPatch, ending: str) -> None:
    """A folder that takes no more files of this name."""
    from t3probe.deliver.sinks import backlog

    real = backlog.write_whole

    def write(path: Path, content: bytes, **more: int) -> None:
        if path.name.endswith(ending):
            raise OSError(28, "No space left on device")
        real(path, content, **more)

    monkeypatch.setattr(backlog, "write_whole", write)


def _after_a_loss(folder: Path, store: Store, server: Server) -> Box:
    """Five drops were lost, and no run has told so."""
    box = Box(folder, [receiver(server)])
    store.answer = lambda body: "400 No" if decoded(body) else "204 Y"
    box.run(0, drops=5)
    store.answer = lambda body: "204 Y"
    return box


def test_what_was_lost_is_told_once_where_the_folder_takes_no_file(
    tmp_path: Path, store: Store, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    box = _after_a_loss(tmp_path, store, server)
    with monkeypatch.context() as patch:
        _full(patch, ".rw")
        for number in (1, 2, 3):
            report = box.run(number, drops=1)
            assert report.ok
            assert "so this run cannot be kept" in report.sentence
    for number in (4, 5):
        assert box.run(number, drops=1).ok
    assert (store.grown(DROPS), lost_drops(store)) == (5, 5)


def test_nor_twice_where_the_state_is_written_once_and_no_more(
    tmp_path: Path, store: Store, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    from t3probe.deliver.sinks import backlog

    box = _after_a_loss(tmp_path, store, server)
    real, states = backlog.write_whole, 0

    def write(path: Path, content: bytes, **more: int) -> None:
        nonlocal states
        states += path.name == "state.json"
        if path.name == "state.json" and states > 1:
            raise OSError(28, "No space left on device")
        real(path, content, **more)

    with monkeypatch.context() as patch:
        patch.setattr(backlog, "write_whole", write)
        assert box.run(1, drops=1).ok
    for number in (2, 3):
        assert box.run(number, drops=1).ok
    assert (store.grown(DROPS), lost_drops(store)) == (3, 5)


@pytest.mark.parametrize("keep", [True, False])
def test_a_run_that_was_neither_kept_nor_sent_is_counted_as_lost(
    keep: bool, tmp_path: Path, store: Store, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    box = Box(tmp_path, [RemoteReceiver(DEAD)], keep=keep)
    with monkeypatch.context() as patch:
        _full(patch, ".rw")
        report = box.run(0, drops=3)
        assert "3 drops are counted as lost" in report.sentence
        with serving(_deaf(store)) as deaf:  # it has it, and nobody knows
            box.receivers = [receiver(deaf)]
            report = box.run(1, drops=4)
            assert "is not known" in report.sentence
    box.receivers = [receiver(server)]
    box.run(2)
    assert (store.grown(DROPS), lost_drops(store)) == (4, 3)


def test_a_refused_run_beside_one_that_waits_is_lost_once(
    tmp_path: Path, store: Store, server: Server
) -> None:
    box = Box(tmp_path, [receiver(server)])
    box.run(10)
    box.run(5)  # behind
    store.answer = lambda body: "400 No" if decoded(body) else "204 Y"
    assert "wrote nothing of this run" in box.run(11, drops=3).sentence
    store.answer = lambda body: "204 Y"
    box.run(12)
    assert lost_drops(store) == 3


@pytest.mark.parametrize(
    "state",
    [
        '{"going": ["../mine", "a\\u0000b", "notes.txt"]}',
        '{"telling": "%s"}' % ("x" * 300),
        '{"telling": "a\\u0000b", "untold": 2}',
        '{"untold": -3}',
        '{"sent": {"x": -1}}',
        '{"sending": true}',
    ],
)
def test_a_foreign_state_deletes_nothing_and_ends_no_run(
    state: str, tmp_path: Path, store: Store, server: Server
) -> None:
    folder = tmp_path / "remote-write"
    folder.mkdir()
    (tmp_path / "mine").write_text("")
    (folder / "notes.txt").write_text("")
    (folder / "state.json").write_text(state)
    report = Box(tmp_path, [receiver(server)]).run(0, drops=1)
    assert report.ok, report.sentence
    assert (tmp_path / "mine").exists()
    assert (folder / "notes.txt").exists()
    assert lost_drops(store) == (2 if "2}" in state else 0)


def test_a_fault_of_ours_with_one_receiver_costs_the_others_nothing(
    tmp_path: Path, store: Store, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    from t3probe.deliver.sinks import backlog

    real = backlog.Backlog.opened

    def opened(self: backlog.Backlog) -> list[backlog.Waiting]:
        if self.folder.name.endswith("bad"):
            raise RuntimeError("a-secret")
        return real(self)

    monkeypatch.setattr(backlog.Backlog, "opened", opened)
    box = Box(tmp_path, [receiver(server, name="bad"), receiver(server, name="good")])
    report = box.run(0, drops=1)
    assert not report.ok
    assert "writing to it broke: RuntimeError; the receiver good" in report.sentence
    assert "a-secret" not in report.sentence
    assert store.grown(DROPS) == 1


def test_what_is_usual_outlives_a_slow_read(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    from t3probe.deliver.sinks import remote_write
    from t3probe.deliver.sinks.usual import Usual

    box = Box(tmp_path, [receiver(server)])
    for number in range(3):
        assert box.run(number).ok
    (file,) = tmp_path.glob("remote-write-usual-*.json")
    before, real, go = file.read_bytes(), Usual.read, threading.Event()

    def slow(self: Usual):  # type: ignore[no-untyped-def]
        go.wait(20)
        return real(self)

    with monkeypatch.context() as patch:
        patch.setattr(remote_write, "READ_SECONDS", 0.01)
        patch.setattr(Usual, "read", slow)
        report = box.run(3)
    assert report.ok
    assert "could not be read in time, and was left as it is" in report.sentence
    assert file.read_bytes() == before
    go.set()
    # One that is read between the run's start and its end is continued.
    labels = {"job": "t3-probe", "vantage": "cluster"}
    clock = FakeClock(wall=BEGAN + 240 + LASTED)
    sink = RemoteWrites([receiver(server)], labels, clock).sink(
        tmp_path, keep=True, gauges={}, tells=True
    )
    assert sink(Batch(run_families(), opening=True, seconds=0.0)).ok
    assert sink(Batch(measured({}, BEGAN + 240))).ok
    assert _round_trips(file) == 2 * 4


def _round_trips(file: Path) -> float:
    """How many the file knows of one leg."""
    from t3probe.deliver.metrics.carry import RTT, Histogram
    from t3probe.deliver.sinks.usual import Usual

    group = Usual(file).read()
    assert group is not None
    return sum(one.count for one in group[RTT].series.values() if isinstance(one, Histogram))


@pytest.mark.parametrize("seconds", [3.6, 0.4])
def test_threads_have_no_more_time_than_the_delivery(
    seconds: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All that is waited for, added up, when nothing ever ends."""
    from t3probe.deliver.sinks import remote_write

    clock, deadlines = FakeClock(wall=BEGAN), []

    class Stuck:
        over = True

        def __init__(self, _: str, work) -> None:  # type: ignore[no-untyped-def]
            if work.func.__name__ == "end":
                deadlines.append(work.args[1].left_seconds)

        def result(self, seconds: float) -> None:
            clock.advance(seconds)

    sink = RemoteWrites([RemoteReceiver(DEAD, name=one) for one in "abc"], {}, clock).sink(
        tmp_path, keep=True, gauges={}, tells=False
    )
    sink(Batch(run_families(), opening=True))
    monkeypatch.setattr(remote_write, "Aside", Stuck)
    began = clock.monotonic()
    report = sink(Batch(measured({}, BEGAN), seconds=seconds))
    assert "took too long" in report.sentence
    assert clock.monotonic() - began <= seconds + 1e-6
    assert all(0 < one < seconds for one in deadlines)
