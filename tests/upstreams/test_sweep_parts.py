"""The parts of a sweep: its frames, its names, its connects, and the book it is written into."""

from __future__ import annotations

import errno
import os
import resource
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sweep_help import leg, places, written

from t3probe.run.sweep import child as sweep_child
from t3probe.run.sweep import names as sweep_names
from t3probe.run.sweep import wire as wire
from t3probe.run.sweep.book import Said
from t3probe.run.sweep.child import Sweeper
from t3probe.run.sweep.names import NameAnswers, is_literal
from t3probe.timing import FakeClock, SystemClock

# -- frames ------------------------------------------------------------------------------

KINDS = st.sampled_from([wire.TRIES, wire.TICK, wire.END])


@given(st.lists(st.tuples(KINDS, st.binary(max_size=40))), st.integers(0, 50))
def test_frames_come_back_and_a_cut_one_is_left_out(
    sent: list[tuple[bytes, bytes]], cut: int
) -> None:
    whole = b"".join(wire.frame(kind, payload) for kind, payload in sent)
    assert list(wire.frames(whole)) == sent
    part = list(wire.frames(bytearray(whole[: max(0, len(whole) - cut)])))
    assert part == sent[: len(part)]
    assert cut or len(part) == len(sent)


def test_a_request_comes_through_a_pipe_as_it_was() -> None:
    settings = wire.Settings(12.5, 64, 0.25, 3.0, 5.0, 0.25)
    asked = [(0, [("127.0.0.1", 80)]), (wire.REFUSED_OK, [("::1", 1), ("a.test", 65535)])]
    source, end = os.pipe()
    os.write(end, wire.request(settings, wire.asked(asked)))
    found = sweep_child.read_request(source)
    os.close(end)
    assert sweep_child.read_request(source) is None
    os.close(source)
    assert found == (settings, ["0 127.0.0.1 80", "1 ::1 1 a.test 65535"])


# -- names -------------------------------------------------------------------------------


@given(st.ip_addresses().map(str))
def test_addresses_are_no_names(address: str) -> None:
    assert is_literal(address)
    assert not is_literal(f"a{address}.test")


@contextmanager
def looking_up(answer: Any) -> Iterator[list[str]]:
    asked: list[str] = []
    real = sweep_names._look_up

    def fake(host: str) -> Any:
        asked.append(host)
        return answer(host)

    sweep_names._look_up = fake
    try:
        yield asked
    finally:
        sweep_names._look_up = real


def all_answers(names: NameAnswers) -> dict[int, Any]:
    out = {}
    while names.left:
        for number, _, found in names.answered():
            out[number] = found
    return out


def test_a_host_is_asked_once_whatever_hangs_on_it() -> None:
    targets = [[("a.test", 1)], [("a.test", 2), ("b.test", 3)], [("127.0.0.1", 4), ("b.test", 5)]]
    with looking_up(lambda host: ["127.0.0.2", "127.0.0.3"] if host[0] == "a" else "no b") as asked:
        found = all_answers(NameAnswers(targets, [0, 1, 2], 5.0, SystemClock()))
    assert sorted(asked) == ["a.test", "b.test"]
    assert found[0] == [("127.0.0.2", 1), ("127.0.0.3", 1)]
    assert found[1] == found[2] == "no b"


def test_literal_addresses_stay_in_their_place() -> None:
    with looking_up(lambda host: ["127.0.0.9"]):
        targets = [[("127.0.0.1", 4), ("b.test", 5), ("::1", 6)]]
        found = all_answers(NameAnswers(targets, [0], 5.0, SystemClock()))
    assert found[0] == [("127.0.0.1", 4), ("127.0.0.9", 5), ("::1", 6)]


def test_names_without_an_answer_are_given_up() -> None:
    clock, never = FakeClock(), threading.Event()
    with looking_up(lambda host: never.wait(60)):
        names = NameAnswers([[("a.test", 1)]], [0], 5.0, clock)
        assert not list(names.answered())
        clock.advance(5.0)
        ((number, took, found),) = names.answered()
        never.set()
    assert (number, took) == (0, 5_000_000)
    assert found == "the system's resolver does not know a.test: no answer in time"
    assert not names.left


def test_what_the_system_says_about_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*arguments: object, **more: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", fails)
    words = "the system's resolver does not know a.test: Name or service not known"
    assert sweep_names._look_up("a.test") == words


# -- connects ----------------------------------------------------------------------------


SYN_SENT = 2


class Watched(socket.socket):
    """Counts those that are open, and keeps the kernel's own numbers.

    Unless it is `near`, the answer is not there yet when the call to connect comes back.
    """

    open = 0
    most = 0
    near = False
    told: list[int] = []  # noqa: RUF012 - set anew by each test
    asked = False

    @classmethod
    def anew(cls, near: bool) -> None:
        cls.open = cls.most = 0
        cls.near, cls.told = near, []

    def connect_ex(self, address: Any) -> int:
        Watched.open += 1
        Watched.most = max(Watched.most, Watched.open)
        return super().connect_ex(address)

    def getsockopt(self, *arguments: Any) -> Any:
        found = super().getsockopt(*arguments)
        if arguments[1] == socket.TCP_INFO:
            if not (self.near or self.asked):
                self.asked = True
                return bytes([SYN_SENT]) + found[1:]
            Watched.told.append(struct.unpack_from("=8B24I", found.ljust(104, b"\0"))[8 + 15])
        return found

    def close(self) -> None:
        Watched.open -= 1
        super().close()


def sweep_here(settings: wire.Settings, lines: list[str]) -> Said:
    """Sweep in this process; what was said."""
    source, stop = os.pipe()
    answer, out = os.pipe()
    data = bytearray()

    def keep() -> None:
        while piece := os.read(answer, 1 << 16):
            data.extend(piece)

    reader = threading.Thread(target=keep)
    reader.start()
    sweeper = Sweeper(settings, lines, out, source, SystemClock())
    try:
        sweeper.run()
    finally:
        os.close(out)
        reader.join()
        for one in (source, stop, answer):
            os.close(one)
        sweeper._epoll.close()
    return Said(data, len(lines))


def settings(at_once: int) -> wire.Settings:
    return wire.Settings(SystemClock().monotonic(), at_once, 0.25, 1.0, 1.0, 60.0)


@pytest.mark.parametrize(("at_once", "near", "most"), [(1, False, 1), (7, False, 7), (7, True, 1)])
def test_no_more_at_once_than_stated_and_the_time_is_the_kernels(
    monkeypatch: pytest.MonkeyPatch, at_once: int, near: bool, most: int
) -> None:
    monkeypatch.setattr(sweep_child, "Socket", Watched)
    with places() as here:
        listening = here.listening()
        Watched.anew(near)
        host, port = listening.getsockname()
        said = sweep_here(settings(at_once), [f"0 {host} {port}"] * 300)
    assert said.complete
    assert Watched.most == most
    reported = [one[0][4] for one in said.tries]
    assert sorted(reported) == sorted(Watched.told)
    assert min(reported) > 0


@pytest.mark.parametrize("at_once", [1, 3])
def test_several_addresses_take_a_place_each(monkeypatch: pytest.MonkeyPatch, at_once: int) -> None:
    monkeypatch.setattr(sweep_child, "Socket", Watched)
    with places() as here:
        host, port = here.listening().getsockname()
        Watched.anew(near=False)
        said = sweep_here(settings(at_once), [f"0{f' {host} {port}' * 5}"] * 20)
    assert said.complete
    assert Watched.most == at_once
    assert [sorted(one[1] for one in tries) for tries in said.tries] == [[0, 1, 2, 3, 4]] * 20


def test_few_descriptors_leave_less_room(monkeypatch: pytest.MonkeyPatch) -> None:
    def limited(number: int) -> None:
        monkeypatch.setattr(resource, "getrlimit", lambda _: (number, number))

    limited(resource.RLIM_INFINITY)
    assert sweep_child.room(64) == (64, 4096)
    limited(1 << 20)
    assert sweep_child.room(1024) == (1024, 4096)
    limited(1024)
    assert sweep_child.room(64) == (64, 928)
    assert sweep_child.room(1024) == (992, 0)
    limited(8)
    assert sweep_child.room(64) == (1, 0)


def test_with_few_descriptors_everything_is_tried_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Two places and none to park: what does not answer keeps its place for its time."""
    monkeypatch.setattr(sweep_child, "room", lambda at_once: (2, 0))
    with places() as here:
        silent, good = here.silent(), here.answering()
        lines = [f"0 {one.replace(':', ' ')}" for one in (*[silent] * 3, good)]
        short = settings(64)._replace(patience=0.05, limit=0.2)
        said = sweep_here(short, lines)
    assert said.complete
    assert [[one[3] for one in tries] for tries in said.tries] == [[-1, -1]] * 3 + [[0]]


def test_a_machine_without_descriptors_knows_nothing_about_an_upstream(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Out(socket.socket):
        def __init__(self, *arguments: Any) -> None:
            raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(sweep_child, "Socket", Out)
    said = sweep_here(settings(4), ["0 127.0.0.1 1"] * 3)
    monkeypatch.undo()
    seen = written([leg("a", "127.0.0.1:1")], said.tries[0])
    assert seen[0].outcome == "inconclusive"
    assert "Too many open files" in seen[0].detail


def test_closed_and_reset_before_we_looked_is_a_reset(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken(socket.socket):
        def getsockopt(self, *arguments: Any) -> Any:
            return bytes(72) if arguments[1] == socket.TCP_INFO else errno.EPIPE

    with places() as here:
        host, port = here.listening().getsockname()
        monkeypatch.setattr(sweep_child, "Socket", Broken)
        said = sweep_here(settings(4), [f"0 {host} {port}"])
        monkeypatch.undo()
    assert [one[3] for one in said.tries[0]] == [errno.ECONNRESET]  # and no second try


# -- controls ----------------------------------------------------------------------------


def a_sweeper(lines: list[str], clock: FakeClock) -> Sweeper:
    """One that never runs."""
    return Sweeper(wire.Settings(0.0, 4, 0.25, 1.0, 1.0, 60.0), lines, -1, -1, clock)


def test_a_round_of_controls_for_what_was_noticed_since_the_last() -> None:
    clock = FakeClock()
    sweeper = a_sweeper([f"{wire.CONTROL} 127.0.0.1 {port}" for port in (1, 2)], clock)
    begun = int(clock.monotonic() * 1e6)
    assert not sweeper._control(begun), "there is none that was good"
    sweeper._controls = [0, 1]
    assert sweeper._control(begun)
    assert not sweeper._control(begun), "the round is later than what was noticed"
    clock.advance(1.0)
    assert not sweeper._control(begun)
    assert sweeper._control(begun + 1_000_000)
    assert list(sweeper._next) == [(0, 0, 1), (1, 0, 1), (0, 0, 2), (1, 0, 2)]
    sweeper._epoll.close()


def test_rounds_have_a_bound() -> None:
    clock = FakeClock()
    sweeper = a_sweeper([f"{wire.CONTROL} 127.0.0.1 1"], clock)
    sweeper._controls = [0]
    rounds = 0
    for _ in range(wire.MOST_ROUNDS + 20):
        clock.advance(1.0)
        rounds += sweeper._control(int(clock.monotonic() * 1e6))
    assert rounds == wire.MOST_ROUNDS
    assert [one[2] for one in sweeper._next] == list(range(1, wire.MOST_ROUNDS + 1))
    sweeper._epoll.close()
    # The record has room for all of them.
    assert wire.TRIED.unpack(wire.TRIED.pack(0, 0, wire.MOST_ROUNDS, 0, 0, 0, 0))[2] == (
        wire.MOST_ROUNDS
    )


def test_what_failed_is_no_control_and_each_second_look_has_one_before_it() -> None:
    with places() as here:
        bad, silent, good = here.refusing(), here.silent(), here.answering()
        lines = [f"{wire.CONTROL} {one.replace(':', ' ')}" for one in (bad, silent, good, bad)] + [
            f"0 {good.replace(':', ' ')}"
        ]
        said = sweep_here(settings(4)._replace(limit=0.4), lines)
    assert said.complete
    assert [[one[2] for one in said.tries[at]] for at in (0, 1, 3, 4)] == [[0, 1]] * 3 + [[0]]
    controls = [one[5] for one in said.tries[2] if one[2]]
    assert [one[2] for one in said.tries[2]] == list(range(len(controls) + 1))
    for at in (0, 1, 3):
        first, second = said.tries[at]
        assert any(first[6] < sent <= second[5] for sent in controls)


# -- the book ----------------------------------------------------------------------------


ONE = leg("one", "127.0.0.1:1")
REFUSED = errno.ECONNREFUSED


def test_a_second_try_that_works_makes_it_a_blip_that_stands_alone() -> None:
    tries = [(0, 0, 0, REFUSED, 0, 10, 20), (0, 0, 1, 0, 35, 5000, 6000)]
    (seen,) = written([ONE], tries)
    (drop,) = seen.drops
    assert (drop.symptom, drop.lone, drop.began, drop.noticed) == ("blip", True, 100.0, 100.00002)
    assert drop.recovered == 100.006
    assert drop.attempt is not None
    assert (drop.attempt.ok, drop.attempt.started) == (True, 100.005)
    assert seen.beats[1].measured_seconds == 35e-6
    assert (seen.outcome, seen.connected) == ("degraded", True)
    assert seen.counted == []


def test_without_a_second_try_nobody_knows_whether_it_is_down() -> None:
    (seen,) = written([ONE], [(0, 0, 0, -1, 0, 10, 3_000_010)])
    (drop,) = seen.drops
    assert (drop.symptom, drop.noticed) == ("unknown", 103.00001)
    assert drop.reason == "connect_timeout"
    assert drop.detail == "no TCP connection to 127.0.0.1:1 within 3 s"


def test_a_reset_comes_after_the_handshake() -> None:
    (seen,) = written([ONE], [(0, 0, 0, errno.ECONNRESET, 0, 10, 20)])
    assert seen.outcome == "passed"
    assert seen.beats[0].measured_seconds is None


def test_a_control_has_a_beat_more_for_each_round_that_was_good() -> None:
    tries = [
        (0, 0, 0, 0, 31, 10, 20),
        (0, 0, 1, 0, 32, 5000, 6000),
        (0, 0, 2, -1, 0, 7000, 8000),
        (0, 0, 3, 0, 33, 9000, 9500),
    ]
    (seen,) = written([ONE], tries)
    assert (seen.outcome, seen.drops) == ("passed", ())
    assert [(one.conn, one.sent) for one in seen.beats] == [
        (0, 100.00001), (1, 100.005), (3, 100.009),
    ]  # fmt: skip
    assert {one.strand for one in seen.beats} == {"fresh"}
    assert seen.phases["connect"] == 31e-6


def test_our_own_clock_where_the_kernel_keeps_no_time() -> None:
    (seen,) = written([ONE], [(0, 0, 0, 0, 0, 10, 530)])
    assert seen.beats[0].rtt_seconds == pytest.approx(520e-6)


def test_a_child_that_stood_still_convicts_nobody() -> None:
    stall = wire.MOMENT.pack(1_000_000) + wire.MOMENT.pack(4_000_000)
    tries = [(0, 0, 0, -1, 0, 10, 4_000_010)]
    (seen,) = written([ONE], tries, wire.frame(wire.STALL, stall))
    assert (seen.outcome, seen.reason) == ("inconclusive", "prober_stalled")


def test_an_attempt_that_was_cut_short_tells_nothing() -> None:
    """One of two addresses did not come to its end."""
    named = wire.NAMED.pack(0, 1500) + b"127.0.0.1 1 127.0.0.2 1"
    addresses = wire.frame(wire.ADDRESSES, named)
    (seen,) = written([ONE], [(0, 1, 0, 0, 35, 10, 20)], addresses)
    assert seen.outcome == "inconclusive"
    whole = [(0, 1, 0, 0, 35, 10, 20), (0, 0, 0, 0, 36, 10, 30)]
    (seen,) = written([ONE], whole, addresses)
    assert seen.answered == (2, 2)
    assert seen.phases == {"resolve": 0.0015, "connect": 36e-6}
    assert seen.address == "127.0.0.1:1"


def test_a_name_that_nobody_knows_is_inconclusive_even_where_the_child_died() -> None:
    unknown = wire.frame(wire.UNKNOWN_NAME, wire.NAMED.pack(0, 5) + b"no such name")
    seen = written([ONE, leg("two", "127.0.0.1:2")], [], unknown, problem="it died")
    assert (seen[0].reason, seen[0].detail) == ("resolver_failed", "no such name")
    assert (seen[1].reason, seen[1].detail) == (None, "it died")
