"""Remote write to a receiver that answers in every way: what is sent, what waits, what is lost."""

from __future__ import annotations

import os
import random
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from delivery_runs import DEAD
from delivery_servers import Handler, Server, _request, answering, closing, half, serving, silent
from remote_parts import BEGAN, DROPS, LASTED, Box, Store, decoded, lost_drops, measured, receiver

from t3probe.deliver.sinks import Batch
from t3probe.deliver.sinks.receiver import RemoteReceiver
from t3probe.deliver.sinks.remote_write import RemoteWrites
from t3probe.exchange.client import Login

FUTURE = 120


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def server(store: Store) -> Iterator[Server]:
    with serving(store) as one:
        yield one


def test_a_run_is_one_request_with_zeros_at_its_start(
    tmp_path: Path, store: Store, server: Server
) -> None:
    report = Box(tmp_path, [receiver(server)]).run(0, drops=3)
    assert report.ok
    assert report.sentence == f"the receiver at 127.0.0.1:{server.port}: wrote 37 series"
    (body,) = store.bodies
    series = decoded(body)
    began, ended = round(BEGAN * 1000), round((BEGAN + LASTED) * 1000)
    by_name: dict[str, list[dict[str, str]]] = {}
    for labels, samples in series.items():
        names = [name for name, _ in labels]
        assert names == sorted(set(names))
        assert all(value for _, value in labels)
        known = dict(labels)
        assert (known["job"], known["vantage"]) == ("t3-probe", "cluster")
        assert not {"instance", "shard"} & known.keys()
        by_name.setdefault(known["__name__"], []).append(known)
        gauge = known["__name__"] in {"t3probe_connected", "t3probe_run_timestamp_seconds",
                                      "t3probe_run_duration_seconds"}  # fmt: skip
        assert [ts for ts, _ in samples] == ([ended] if gauge else [began, ended])
        assert gauge or samples[0][1] == 0
    assert {one["le"] for one in by_name["t3probe_rtt_seconds_bucket"]} == {
        "0.05", "0.1", "0.25", "1", "20", "+Inf"
    }  # fmt: skip
    assert store.grown(DROPS, leg="cloudflare") == 3
    head = server.requests[-1].partition(b"\r\n\r\n")[0].decode().lower().split("\r\n")
    assert head[0] == "post /api/v1/write http/1.1"
    for line in ("content-encoding: snappy", "content-type: application/x-protobuf",
                 "x-prometheus-remote-write-version: 0.1.0"):  # fmt: skip
        assert line in head
    assert any(line.startswith("user-agent: t3probe") for line in head)


def test_login_and_headers_go_along_and_never_replace_the_protocols(
    tmp_path: Path, server: Server
) -> None:
    login = Login(token="a-token-of-ours")
    headers = {"X-Scope-OrgID": "team-a", "Content-Type": "text/plain"}
    Box(tmp_path, [receiver(server, login=login, headers=headers)]).run(0)
    head = server.requests[-1].partition(b"\r\n\r\n")[0].decode().split("\r\n")
    assert "Authorization: Bearer a-token-of-ours" in head
    assert "X-Scope-OrgID: team-a" in head
    assert [one for one in head if one.startswith("Content-Type")] == [
        "Content-Type: application/x-protobuf"
    ]


KEPT: dict[str, tuple[Handler, str]] = {
    "401": (answering("401 No"), "set token_file or T3PROBE_REMOTE_WRITE_TOKEN"),
    "403": (answering("403 No"), "refuses us with 403"),
    "404": (answering("404 No"), "answers 404; name the URL that takes remote write"),
    "405": (answering("405 No"), "answers 405"),
    "408": (answering("408 Slow"), "answers 408"),
    "415": (answering("415 No"), "answers 415"),
    "429": (answering("429 Slower", b"", "Retry-After: 5"), "answers 429"),
    "500": (answering("500 Broken", b"duplicate label"), "answers 500 (duplicate label)"),
    "503": (answering("503 Away"), "answers 503"),
    "301": (answering("301 There", b"", "Location: http://127.0.0.1:9/w"), "is not followed"),
    "reset": (closing, "closed the connection without an answer"),
    "half": (half, "sent half an answer"),
    "no HTTP": (lambda sock, *_: sock.sendall(b"SSH-2.0-x\r\n"), "does not speak HTTP"),
}


@pytest.mark.parametrize("answer", KEPT)
def test_what_may_be_mended_is_kept_and_goes_first_the_next_time(
    answer: str, tmp_path: Path, store: Store, server: Server
) -> None:
    handler, words = KEPT[answer]
    with serving(handler) as broken:
        report = Box(tmp_path, [receiver(broken)]).run(0, drops=2)
        asked = len(broken.requests)
    assert not report.ok
    assert words in report.sentence
    assert f"this run waits in {tmp_path / 'remote-write'}" in report.sentence
    # One quick try more where that may help, and no other.
    assert asked == (2 if answer in {"408", "500", "503", "reset", "half", "no HTTP"} else 1)
    box = Box(tmp_path, [receiver(server)])
    assert len(box.files) == 1
    report = box.run(1, drops=5)
    assert report.ok
    assert "and 1 run that waited" in report.sentence
    assert store.began == [round(BEGAN * 1000), round((BEGAN + 60) * 1000)]
    assert (store.grown(DROPS), lost_drops(store), box.files) == (7, 0, [])


def test_no_answer_in_time_is_kept_within_the_runs_time(tmp_path: Path) -> None:

    with serving(silent) as server:
        remote = RemoteWrites([receiver(server)], {"job": "j"})
        sink = remote.sink(tmp_path, keep=True, gauges={}, tells=False)
        report = sink(Batch(measured({}, BEGAN), seconds=0.3))
    assert not report.ok
    assert "did not answer in time; this run waits in" in report.sentence


@pytest.mark.parametrize("status", [400, 409, 413, 422])
def test_what_is_refused_for_good_is_put_aside_counted_and_said_once(
    status: int, tmp_path: Path, store: Store, server: Server
) -> None:
    refusing = True
    store.answer = lambda body: f"{status} No" if refusing and decoded(body) else "204 Yes"
    box = Box(tmp_path, [receiver(server)])
    report = box.run(0, drops=4)
    assert not report.ok
    assert f"it refuses it with {status} (No): this run, which was put aside" in report.sentence
    assert "4 drops are counted as lost" in report.sentence
    assert (len(store.bodies), box.files) == (1, [])  # not tried again
    assert len(list(tmp_path.glob("remote-write/*.refused"))) == 1
    refusing = False
    report = box.run(1, drops=1)
    assert report.ok
    assert "refuses" not in report.sentence
    assert (store.grown(DROPS), lost_drops(store)) == (1, 4)
    assert box.run(2).ok
    assert lost_drops(store) == 4


def test_one_that_is_refused_holds_up_nobody(tmp_path: Path, store: Store, server: Server) -> None:
    box = Box(tmp_path, [RemoteReceiver(DEAD)])
    for number in range(3):
        assert not box.run(number, drops=1 + number).ok
    bad = round((BEGAN + 60) * 1000)
    store.answer = lambda body: (
        "400 Bad" if (all_ := decoded(body)) and bad in dict(next(iter(all_.values()))) else "204 Y"
    )
    box.receivers = [receiver(server)]
    report = box.run(3, drops=8)
    assert report.ok
    assert (
        "a run that waited since 2023-11-14T22:14:55.000Z, which was put aside" in report.sentence
    )
    assert store.began == [round((BEGAN + 60 * n) * 1000) for n in range(4)]
    assert store.grown(DROPS) == 1 + 3 + 8
    box.run(4)
    assert lost_drops(store) == 2


def test_nothing_is_sent_before_what_waits(tmp_path: Path, store: Store, server: Server) -> None:
    box = Box(tmp_path, [RemoteReceiver(DEAD)])
    for number in range(5):
        box.run(number, drops=1)
    asked = 0

    def two_then_busy(body: bytes) -> str:
        nonlocal asked
        asked += bool(decoded(body))
        return "204 Y" if asked <= 2 else "429 Slower"

    store.answer = two_then_busy
    box.receivers = [receiver(server)]
    report = box.run(5, drops=1)
    assert not report.ok
    assert "this run and 3 runs before it wait in" in report.sentence
    assert len(box.files) == 4
    store.answer = lambda body: "204 Y"
    assert box.run(6).ok
    assert store.began == sorted(store.began)
    assert store.grown(DROPS) == 6


def test_without_a_spool_nothing_is_kept_and_each_run_says_so(
    tmp_path: Path, store: Store, server: Server
) -> None:
    words = "nothing is kept over an outage: no spool folder is named"
    box = Box(tmp_path, [RemoteReceiver(DEAD)], keep=False)
    report = box.run(0, drops=3)
    assert not report.ok
    assert words in report.sentence
    assert "3 drops are counted as lost" in report.sentence
    assert box.files == []
    box.receivers = [receiver(server)]
    report = box.run(1, drops=1)
    assert report.ok
    assert words in report.sentence
    assert (store.grown(DROPS), lost_drops(store)) == (1, 3)


def test_what_is_too_old_goes_and_is_counted(tmp_path: Path, store: Store, server: Server) -> None:
    box = Box(tmp_path, [RemoteReceiver(DEAD, max_age_seconds=600)])
    said = [box.run(number, drops=1).sentence for number in range(15)]
    assert [one.count("older than 10 min; 1 drop is counted as lost") for one in said] == [
        int(number >= 10) for number in range(15)
    ]
    box.receivers = [receiver(server, max_age_seconds=600)]
    assert box.run(15, drops=1).ok
    assert (store.grown(DROPS), lost_drops(store)) == (10, 6)


@pytest.mark.parametrize("bound", [{"max_age_seconds": 600}, {"max_bytes": 8000}])
def test_what_goes_in_a_long_outage_raises_no_doubt_about_the_clock(
    bound: dict[str, int], tmp_path: Path, store: Store, server: Server
) -> None:
    box = Box(tmp_path, [receiver(server)])
    assert box.run(0).ok
    box.receivers = [RemoteReceiver(DEAD, **bound)]
    said = [box.run(number, drops=1).sentence for number in range(1, 41)]
    assert all("counted as lost" in one for one in said[30:])
    asked = store.asked
    box.receivers = [receiver(server)]
    assert box.run(41, drops=1).ok
    assert store.grown(DROPS) + lost_drops(store) == 41
    assert store.asked == asked


def test_what_is_too_much_goes_oldest_first_and_is_counted(
    tmp_path: Path, store: Store, server: Server
) -> None:
    away = RemoteReceiver(DEAD, max_bytes=3000)
    box = Box(tmp_path, [away])
    for number in range(12):
        box.run(number, drops=1)
    assert sum(one.stat().st_size for one in box.files) <= 3000
    kept = len(box.files)
    assert 2 < kept < 12
    box.receivers = [receiver(server)]
    assert box.run(12, drops=1).ok
    assert (store.grown(DROPS), lost_drops(store)) == (kept + 1, 12 - kept)
    assert store.began[-1] == round((BEGAN + 12 * 60) * 1000)
    assert store.began == sorted(store.began)


def test_several_receivers_have_a_backlog_each_and_wait_for_nobody(
    tmp_path: Path, store: Store, server: Server
) -> None:
    other = Store()
    with ExitStack() as stack:
        second = stack.enter_context(serving(other))
        here = receiver(server, name="here")
        box = Box(tmp_path, [here, RemoteReceiver(DEAD, name="there")])
        report = box.run(0, drops=1)
        assert not report.ok
        assert report.sentence.startswith("the receiver there at 127.0.0.1:1 refuses connections")
        assert f"the receiver here at 127.0.0.1:{server.port}: wrote" in report.sentence
        box.receivers = [here, receiver(second, name="there")]
        assert box.run(1, drops=2).ok
    assert store.grown(DROPS) == other.grown(DROPS) == 3
    assert len(store.bodies) == len(other.bodies) == 2


def test_a_clock_that_went_back_sends_nothing_that_spoils(
    tmp_path: Path, store: Store, server: Server
) -> None:
    box = Box(tmp_path, [receiver(server)])
    assert box.run(10, drops=1).ok
    report = box.run(5, drops=2)
    assert not report.ok
    assert "this machine's clock went back" in report.sentence
    assert len(store.bodies) == 1
    assert len(box.files) == 1
    report = box.run(11, drops=4)  # it was set right
    assert report.ok
    assert "1 run began before the last run" in report.sentence
    assert store.grown(DROPS) == 5
    for number in range(12, 70):
        box.run(number)
    assert (box.files, lost_drops(store), store.grown(DROPS)) == ([], 2, 5)


def test_a_clock_ahead_of_the_receiver_sends_nothing(
    tmp_path: Path, store: Store, server: Server
) -> None:
    box = Box(tmp_path, [receiver(server)])
    for number in (60, 61, 62):
        store.dated = BEGAN + 40 + 60 * (number - 60)
        report = box.run(number, drops=1)
        assert not report.ok
        assert "ended in its future" in report.sentence
    assert (store.bodies, store.asked) == ([], 3)
    store.dated = BEGAN + 220
    report = box.run(3, drops=2)  # the clock is right again
    assert report.ok, report.sentence
    assert store.grown(DROPS) == 2
    assert len(box.files) == 3


def test_a_clock_that_leaps_ahead_later_sends_nothing_either(
    tmp_path: Path, store: Store, server: Server
) -> None:
    box = Box(tmp_path, [receiver(server)])
    store.dated = BEGAN + 40
    assert box.run(0).ok
    for number in (1, 2, 3):  # it is an hour ahead from now on
        store.dated = BEGAN + 40 + 60 * number
        assert "ended in its future" in box.run(60 + number, drops=1).sentence
    assert len(store.bodies) == 1


def test_a_leap_in_an_outage_makes_nothing_too_old(
    tmp_path: Path, store: Store, server: Server
) -> None:
    store.dated = BEGAN + 40
    box = Box(tmp_path, [receiver(server)])
    assert box.run(0).ok
    box.receivers = [RemoteReceiver(DEAD)]
    for number in (1, 2, 1441, 1442):  # a day ahead
        box.run(number, drops=1)
    assert len(box.files) == 4
    box.receivers = [receiver(server)]
    store.dated = BEGAN + 340
    box.run(1443, drops=1)
    assert (store.grown(DROPS), lost_drops(store), len(box.files)) == (2, 0, 3)


@pytest.mark.parametrize(("ahead", "sent"), [(FUTURE - 10, True), (FUTURE + 10, False)])
def test_how_far_ahead(
    ahead: int, sent: bool, tmp_path: Path, store: Store, server: Server
) -> None:
    store.dated = float(int(BEGAN + LASTED - ahead))
    assert Box(tmp_path, [receiver(server)]).run(0).ok is sent


def test_the_time_is_asked_for_only_in_doubt(tmp_path: Path, store: Store, server: Server) -> None:
    box = Box(tmp_path, [receiver(server)])
    for number in (0, 1, 2, 3, 40, 41):
        assert box.run(number).ok
    assert store.asked == 2  # the first one, and the one after a long silence


def test_a_long_silence_judges_age_by_the_receivers_clock(
    tmp_path: Path, store: Store, server: Server
) -> None:
    """Our clock leapt a day ahead: what waits is a minute old and not a day."""
    box = Box(tmp_path, [RemoteReceiver(DEAD)])
    box.run(0, drops=3)
    box.receivers = [receiver(server)]
    store.dated = BEGAN + 90
    report = box.run(0, began=BEGAN + 86_400, drops=1)
    assert not report.ok
    assert store.grown(DROPS) == 3
    assert lost_drops(store) == 0


def test_two_runs_do_not_send_at_once(tmp_path: Path, store: Store, server: Server) -> None:
    import fcntl

    box = Box(tmp_path, [receiver(server)])
    folder = tmp_path / "remote-write"
    folder.mkdir()
    with (folder / "lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        # A budget on a clock that stands still never ends: this one's is the system's.
        report = _on_the_systems_clock(box, tmp_path)
    assert not report.ok
    assert "is in use by another run; this run waits in it" in report.sentence
    assert (store.bodies, len(box.files)) == ([], 1)
    assert box.run(1).ok
    assert len(store.bodies) == 2


def _on_the_systems_clock(box: Box, folder: Path):  # type: ignore[no-untyped-def]

    labels = {"job": "t3-probe", "vantage": "cluster"}
    sink = RemoteWrites(list(box.receivers), labels).sink(folder, keep=True, gauges={}, tells=False)
    return sink(Batch(measured({}, BEGAN)))


def test_a_folder_that_cannot_be_used_costs_the_keeping_alone(
    tmp_path: Path, store: Store, server: Server
) -> None:
    (tmp_path / "file").write_text("")
    report = Box(tmp_path / "file", [receiver(server)]).run(0, drops=2)
    assert report.ok
    assert "so nothing can be kept" in report.sentence
    assert store.grown(DROPS) == 2
    report = Box(tmp_path / "file", [RemoteReceiver(DEAD)]).run(0, drops=2)
    assert not report.ok
    assert "this run is lost, and its 2 drops with it" in report.sentence


def test_foreign_and_damaged_files_harm_nothing(
    tmp_path: Path, store: Store, server: Server
) -> None:
    box = Box(tmp_path, [RemoteReceiver(DEAD)])
    box.run(0, drops=1)
    folder = tmp_path / "remote-write"
    (folder / "state.json").write_bytes(b"\xff{")
    (folder / "notes.txt").write_text("mine")
    (folder / box.files[0].name.replace("-1.rw", "-7.rw")).mkdir()
    os.mkfifo(folder / f"{1:014d}-{2:014d}-{'0' * 8}-0.rw")
    box.receivers = [receiver(server)]
    report = box.run(1, drops=1)
    assert report.ok
    assert store.grown(DROPS) == 2
    assert (folder / "notes.txt").read_text() == "mine"


def test_a_series_that_was_not_measured_gets_a_stale_marker(
    tmp_path: Path, store: Store, server: Server
) -> None:
    import math
    import struct

    from t3probe.deliver.metrics.carry import Family

    named = {"t3probe_connected": Family("gauge", "", {(("leg", "gone"),): 0.0,
                                                       (("leg", "internal"),): 0.0})}  # fmt: skip
    Box(tmp_path, [receiver(server)], gauges=named).run(0)
    found = {
        dict(labels)["leg"]: samples
        for labels, samples in decoded(store.bodies[0]).items()
        if dict(labels)["__name__"] == "t3probe_connected"
    }
    (marker,) = found["gone"]
    assert marker[0] == round((BEGAN + LASTED) * 1000)
    assert math.isnan(marker[1])
    assert struct.pack(">d", marker[1]).hex() == "7ff0000000000002"
    assert found["internal"][0][1] == 1


def test_a_connection_is_used_again_and_one_that_was_closed_is_opened_anew(
    tmp_path: Path, store: Store
) -> None:
    """A backlog goes over one connection."""
    box = Box(tmp_path, [RemoteReceiver(DEAD)])
    for number in range(6):
        box.run(number, drops=1)
    connections = 0

    def several(sock: socket.socket, request: bytes, server: Server) -> None:
        nonlocal connections
        connections += 1
        for left in (2, 1, 0):  # three requests, then it closes without a word
            body = request.partition(b"\r\n\r\n")[2]
            for labels, samples in decoded(body).items():
                store.samples.setdefault(labels, {}).update(dict(samples))
            sock.sendall(b"HTTP/1.1 204 Y\r\n\r\n")
            if left:
                request = _request(sock)
                if not request:
                    return

    with serving(several) as server:
        box.receivers = [receiver(server)]
        report = box.run(6, drops=1)
    assert report.ok, report.sentence
    assert store.grown(DROPS) == 7
    assert connections == 3


@pytest.mark.parametrize("seed", range(5))
def test_a_receiver_that_comes_and_goes_gets_every_drop_once(
    seed: int, tmp_path: Path, store: Store, server: Server
) -> None:
    chance = random.Random(seed)
    store.answer = lambda body: chance.choice(["204 Y", "204 Y", "503 N", "nothing", "401 N"])
    box = Box(tmp_path, [receiver(server)])
    truth = 0
    for number in range(30):
        drops = chance.randrange(3)
        truth += drops
        box.run(number, drops)
    store.answer = lambda body: "204 Y"
    assert box.run(30).ok
    assert (store.grown(DROPS), lost_drops(store), box.files) == (truth, 0, [])
