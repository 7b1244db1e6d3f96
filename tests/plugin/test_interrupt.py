"""Signals that are remembered, the time that is left after one, a JUnit file that is whole."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from plugin_runner import ENVIRON, ROOT

from t3probe.config import load
from t3probe.deliver import delivery as deliver
from t3probe.deliver.delivery import Shipping, correct, end_of_run, start_of_run
from t3probe.deliver.metrics import zeros
from t3probe.deliver.metrics.carry import Family
from t3probe.deliver.sinks import Batch, pushgateway
from t3probe.deliver.sinks.gateway import Gateway
from t3probe.exchange.client import Budget
from t3probe.plugin.interrupt import SIGNALS, Interrupts
from t3probe.plugin.junit import JUnitFile
from t3probe.run.session import Session
from t3probe.timing import Clock, FakeClock

LAB = ROOT / "deployments" / "lab.toml"
DEAD = Gateway("http://127.0.0.1:1", "t3-probe")
LOOK = """
import signal, sys

class Look:
    def find_spec(self, name, path=None, target=None):
        if name == "t3probe.config":
            print(*(callable(signal.getsignal(one)) for one in (signal.SIGTERM, signal.SIGINT)))
            print(signal.getsignal(signal.SIGTERM) == signal.getsignal(signal.SIGINT))

sys.meta_path.insert(0, Look())
import t3probe.plugin
"""


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(monotonic=100.0)


@pytest.fixture
def interrupts(clock: FakeClock) -> Interrupts:
    return Interrupts(clock)


def test_a_signal_before_anybody_listens_is_told_later(
    interrupts: Interrupts, clock: FakeClock
) -> None:
    interrupts.arrived(signal.SIGTERM)
    interrupts.arrived(signal.SIGTERM)  # nothing raises while modules are being imported
    clock.advance(3)
    told: list[float] = []
    interrupts.tell(told.append)
    assert told == [100.0]


def test_who_raises_when(interrupts: Interrupts) -> None:
    told: list[float] = []
    interrupts.tell(told.append)
    interrupts.arrived()
    with pytest.raises(KeyboardInterrupt):
        interrupts.arrived()
    interrupts.never()
    interrupts.arrived()
    with interrupts.raising(4), pytest.raises(KeyboardInterrupt):
        interrupts.arrived()
    interrupts.arrived()
    assert told == [100.0] * 5


def test_once_the_record_stands_only_a_second_signal_does_anything(interrupts: Interrupts) -> None:
    told: list[float] = []
    interrupts.tell(told.append)
    interrupts.never()
    interrupts.arrived()
    interrupts.settled()
    interrupts.arrived()
    with pytest.raises(KeyboardInterrupt):
        interrupts.arrived()
    assert len(told) == 1
    interrupts.over()
    interrupts.arrived()
    interrupts.tell(told.append)
    assert len(told) == 2


@pytest.fixture
def handlers() -> Iterator[None]:
    before = [(one, signal.getsignal(one)) for one in SIGNALS]
    yield
    for one, handler in before:
        signal.signal(one, handler)


def test_installing(interrupts: Interrupts, handlers: None) -> None:
    interrupts.install()
    for one in SIGNALS:
        os.kill(os.getpid(), one)
    assert interrupts.count == 2


def test_signals_are_taken_before_the_long_imports() -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOOK], env=ENVIRON, cwd=ROOT, capture_output=True, check=True
    )
    assert done.stdout.split() == [b"True", b"True", b"True"]


def test_what_is_left_after_a_signal(clock: FakeClock) -> None:
    session = Session(load(str(LAB), {}, now=0.0), vantage="", hold=1.0, system=clock)
    assert session.seconds_left(4.8) == 4.8
    session.stop(99.0)
    assert session.seconds_left(4.8) == pytest.approx(3.9)
    assert session.seconds_left(1.5) == 1.5
    clock.advance(1)
    session.stop()  # the first one counts
    assert session.seconds_left(4.8) == pytest.approx(2.9)
    clock.advance(60)
    assert session.seconds_left(4.8) == 1.0


class Writer:
    """Looks like what writes JUnit."""

    def __init__(self, file: Path) -> None:
        self.logfile = str(file)
        self.properties: list[tuple[str, str]] = []

    def add_global_property(self, name: str, value: str) -> None:
        self.properties.append((name, value))

    def write(self, text: str) -> None:
        Path(self.logfile).write_text(text)


@pytest.fixture
def writer(tmp_path: Path) -> Writer:
    (tmp_path / "junit.xml").write_text("old")
    return Writer(tmp_path / "junit.xml")


@pytest.fixture
def junit(writer: Writer) -> JUnitFile:
    plugins = SimpleNamespace(get_plugins=lambda: [object(), writer])
    return JUnitFile(SimpleNamespace(pluginmanager=plugins))  # type: ignore[arg-type]


def test_a_whole_file_takes_its_place(junit: JUnitFile, writer: Writer, tmp_path: Path) -> None:
    with junit.written_whole():
        writer.write("<testsuites></testsuites>")
        assert (tmp_path / "junit.xml").read_text() == "old"
    assert (tmp_path / "junit.xml").read_text() == "<testsuites></testsuites>"
    assert writer.logfile == str(tmp_path / "junit.xml")
    assert os.listdir(tmp_path) == ["junit.xml"]


def test_half_a_file_does_not(junit: JUnitFile, writer: Writer, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), junit.written_whole():
        writer.write("<testsuites><testsu")
        raise KeyboardInterrupt
    assert (tmp_path / "junit.xml").read_text() == "old"
    assert os.listdir(tmp_path) == ["junit.xml"]


def test_nothing_written_changes_nothing_and_is_said(junit: JUnitFile, tmp_path: Path) -> None:
    with pytest.raises(OSError, match="it is not whole"), junit.written_whole():
        pass
    assert os.listdir(tmp_path) == ["junit.xml"]
    assert (tmp_path / "junit.xml").read_text() == "old"


def test_the_last_one_can_be_kept(junit: JUnitFile, writer: Writer, tmp_path: Path) -> None:
    junit.keep_last()
    with junit.written_whole():
        writer.write("<testsuites></testsuites>")
    assert (tmp_path / "junit.xml").read_text() == "old"


def test_properties_go_to_every_writer(junit: JUnitFile, writer: Writer) -> None:
    junit.add("a", "b")
    assert writer.properties == [("a", "b")]


def test_no_zeros_for_a_run_that_was_told_to_end_before_it_began(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("socket.socket.connect", None)
    deployment = load(str(LAB), {}, now=0.0)
    begun = start_of_run(
        deployment, DEAD, zeros(deployment), vantage="", results=tmp_path, environ={}, seconds=0.0
    )
    monkeypatch.undo()
    ended = end_of_run(begun, {}, ok=True, seconds=0.5)
    assert ended.sentences == (
        "the gateway at 127.0.0.1:1 refuses connections; this run saw no drop, its other counts "
        "are lost",
    )
    assert correct(begun, {}, 0.5) == []  # nobody has what could be wrong


@pytest.mark.parametrize(("given", "opening", "used"), [
    (None, True, 1.8), (0.5, True, 0.5), (9.0, True, 1.8),
    (None, False, 4.0), (0.5, False, 0.5), (9.0, False, 4.0),
])  # fmt: skip
def test_a_sink_takes_no_longer_than_it_is_given(
    given: float | None, opening: bool, used: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[float] = []

    def spy(clock: Clock, seconds: float) -> Budget:
        seen.append(seconds)
        return Budget(clock, seconds)

    monkeypatch.setattr(pushgateway, "Budget", spy)
    pushgateway.sink(DEAD, None)(Batch({}, opening=opening, seconds=given))
    assert seen == [used]


def test_a_correction_that_fails_is_said() -> None:
    gauge = {"t3probe_run_complete": Family("gauge", "Complete.", {(): 0.0})}
    report = pushgateway.sink(DEAD, None)(Batch(gauge, correction=True, seconds=0.5))
    assert report.sentence == (
        "the gateway at 127.0.0.1:1 refuses connections; t3probe_run_complete there was not "
        "corrected"
    )


@pytest.mark.parametrize(("told", "seconds"), [(False, deliver.START_SECONDS), (True, 0.0)])
def test_shipping_begins_without_zeros_once_told_to_end(
    told: bool, seconds: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = Session(load(str(LAB), {}, now=0.0), vantage="", hold=1.0)
    given: list[float] = []

    def start_of_run(*_: object, seconds: float, **__: object) -> SimpleNamespace:
        given.append(seconds)
        return SimpleNamespace(known={})

    monkeypatch.setattr(deliver, "start_of_run", start_of_run)
    shipping = Shipping(
        session, scheduled=True, told=False, gateway=DEAD.url, environ={}, results=tmp_path
    )
    if told:
        session.stop()
    shipping.begin(whole=True)
    assert given == [seconds]
