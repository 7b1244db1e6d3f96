"""A seat: a lab, the suite that looks at it, a person in front of it; and an evening there."""

from __future__ import annotations

import argparse
import json
import math
import os
import queue
import shutil
import subprocess
import sys
import time
import tomllib
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from evenings.person import Person
from evenings.saying import differences
from evenings.table import Act, Evening
from realpath.runner import ENVIRON, ROOT

from t3probe.ask.explain.asked import reported
from t3probe.ask.explain.report import Report, to_lines
from t3probe.commands.explain import add, asked_by
from t3probe.lab.process import LabProcess
from t3probe.text.words import utc
from t3probe.timing import FakeClock

TIMING = {"heartbeat": "500ms", "watchdog": "3s", "connect_timeout": "1500ms"}
SETTLED_BEATS = 3
AFTER_SECONDS = 3.5
"""What follows the last act, at the least: the page and the legs come back, and beat again."""
OPENING_SECONDS = 3.0
"""What a page and its first beats may take of a run's hold."""
LEGS_CONNECTIONS = 12
"""So many more connections than before: the suite's legs are there."""
RUN_SECONDS = 60.0
WAIT_SECONDS = 20.0
LATER_SECONDS = 60.0
LATE_SECONDS = 0.1
"""With an event loop of its own that was later than this the prober has met other times than those
that the table is about."""
SEATS = 3
TRIES = 3
WINDOW = "6s"


@dataclass
class Told:
    """What came of an evening."""

    evening: Evening
    folder: Path
    """What the run and the page left."""
    wrong: list[str] = field(default_factory=list)
    accuses: bool = False
    """An innocent is accused: a segment of ours, their last mile or their device."""
    answer: str = ""
    """What `t3probe explain` printed."""
    undecided: bool = False
    """The answer names the guilty among others, or says that it cannot tell."""
    stalled: bool = False
    """A leg told nothing, for the prober itself stood still."""
    lag_seconds: float = 0.0
    """How late the prober's own loop was, at the worst."""

    @property
    def says_nothing(self) -> bool:
        """It is not as written, accuses nobody wrongly, and is undecided or met other times than
        those that the table is about; or was not through in time."""
        if not self.wrong or (self.accuses and not self.stalled):
            return False
        return self.undecided or self.lag_seconds >= LATE_SECONDS

    def __str__(self) -> str:
        lines = [self.evening.name, *self.wrong]
        return "\n".join([*lines, f"the prober's own loop was late by {self.lag_seconds:.2f} s"])


class Seat:
    """A context manager. One evening after the other."""

    def __init__(self) -> None:
        self._lab = LabProcess(timing=TIMING)

    def __enter__(self) -> Seat:
        self._lab.start()
        try:
            self._person = Person(*edge_of(self._lab))
        except BaseException:
            self._lab.stop()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        try:
            self._person.__exit__(*error)
        finally:
            self._lab.stop()

    def spend(self, evening: Evening, folder: Path) -> Told:
        """One evening, and what is said about it. The run and the record are left in `folder`."""
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        person, told = self._person, Told(evening, folder)
        hold = OPENING_SECONDS + evening.seconds + AFTER_SECONDS
        before = self._connections()
        run = self._suite(folder, hold)
        try:
            person.until(
                "the legs of the suite", lambda: self._connections() > before + LEGS_CONNECTIONS
            )
            if not evening.late:
                self._open(evening)
            began = time.time()
            for act in evening.acts:
                time.sleep(max(0.0, began + act.at - time.time()))
                self._do(act, evening)
            record, said = self._seen(evening)
            assert run.poll() is None, "the run was over before the evening was"
            run.wait(RUN_SECONDS)
        finally:
            if run.poll() is None:
                run.kill()
                run.wait()
            self._lab.clear()
            person.close()
        (folder / "record.json").write_text(json.dumps(record))
        told.wrong += [f"the page's words: {one}" for one in differences(said, record)]
        self._judge(told, began + evening.asked, record, folder)
        return told

    # Before and during

    def _connections(self) -> int:
        return int(self._lab.status()["connections"])

    def _suite(self, folder: Path, hold: float) -> subprocess.Popen[bytes]:
        words = ["--deployment", self._lab.deployment_path, "--hold", f"{hold:.1f}s"]
        with (folder / "output.txt").open("wb") as output:
            return subprocess.Popen(
                [sys.executable, "-m", "pytest", *words, "--results", str(folder / "run")],
                cwd=ROOT,
                env=ENVIRON,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )

    def _open(self, evening: Evening) -> None:
        self._person.open(suspends=evening.suspends, clock=evening.clock, colo=evening.colo)
        if not evening.late:
            self._person.until(
                "the page's first beats", lambda: self._person.good_beats() >= SETTLED_BEATS
            )

    def _do(self, act: Act, evening: Evening) -> None:
        person, what = self._person, act.what
        if isinstance(what, float):
            {"busy": person.busy, "set clock": person.set_clock}[act.verb](what)
            return
        match act.verb:
            case "ours":
                self._lab.switch(what.split())
            case "home":
                person.home.befall(*what.split())
            case "network":
                person.network(what)
            case "open":
                self._open(evening)
            case _:
                {
                    "offline": person.offline,
                    "online": lambda: person.offline(False),
                    "sleep": person.sleep,
                    "wake": lambda: person.sleep(False),
                    "freeze": person.freeze,
                    "thaw": lambda: person.freeze(False),
                    "away": person.away,
                    "back": person.back,
                }[act.verb]()

    def _seen(self, evening: Evening) -> tuple[Any, Any]:
        """The record, and what the page said, of one moment after the last drop is over."""
        person = self._person
        end = time.monotonic() + WAIT_SECONDS
        settled = person.beats_sent() + SETTLED_BEATS
        while True:
            record, said = person.record_and_words()
            over = all(one["ended"] is not None for one in record["drops"])
            if over == evening.back and (len(record["beats"]) >= settled or not evening.back):
                return record, said
            assert time.monotonic() < end, f"not {'back' if evening.back else 'away'}: {record}"
            time.sleep(0.1)

    # After

    def _judge(self, told: Told, at: float, record: dict[str, Any], folder: Path) -> None:
        evening = told.evening
        report = ask(at, folder)
        explained, told.answer = report.told, "\n".join(to_lines(report))
        told.lag_seconds = max([0.0, *(one.lag_seconds for one in explained.runs)])
        told.stalled = any("prober_stalled" in leg.why for leg in explained.legs)
        named = frozenset(explained.convicted or explained.suspects)
        if explained.finding not in ("ours", "ours_one_of", "both"):
            named = frozenset()
        wanted = (evening.finding, evening.accused, evening.proven)
        found = (explained.finding, named, explained.proven)
        if wanted != found:
            vague = explained.finding == "ours_one_of" and evening.accused <= named
            told.undecided = vague or explained.finding in ("unclear", "not_observed")
            told.accuses = _accuses(evening, explained.finding, frozenset(explained.convicted))
            told.wrong.append(f"written: {_words(*wanted)}; said: {_words(*found)}")
        if evening.drops is not None and len(record["drops"]) != evening.drops:
            told.wrong.append(f"written: {evening.drops} drops; seen: {len(record['drops'])}")
        if told.wrong:
            told.wrong += [f"    {one}" for one in told.answer.splitlines()]
            told.wrong += [f"    {one}" for one in _short(record)]


def edge_of(lab: LabProcess) -> tuple[tuple[str, int], str]:
    """Where its edge listens, and the file of its authority."""
    file = tomllib.loads(Path(lab.deployment_path).read_text())
    edge = next(one for one in file["leg"] if one["name"] == "edge")
    host, _, port = edge["fallback"][0].rpartition(":")
    return (host, int(port)), file["tls_ca"]


class Seats:
    """Several seats, at each of which one evening follows the other."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        count = int(os.environ.get("EVENINGS_SEATS", SEATS))
        self._free: queue.SimpleQueue[Seat | None] = queue.SimpleQueue()
        for _ in range(count):
            self._free.put(None)
        self._open: list[Seat] = []
        self._threads = ThreadPoolExecutor(count)
        self._alone = ThreadPoolExecutor(1)
        self._begun: list[Future[None]] = []

    def submit(self, evening: Evening) -> Future[Told]:
        """Spend an evening as soon as a seat is free; again, by itself when the others are
        through, where it said nothing."""
        told: Future[Told] = Future()
        self._begun.append(self._threads.submit(self._first, evening, told))
        return told

    def close(self) -> None:
        """End every seat; evenings that have not begun are not spent."""
        for threads in (self._threads, self._alone):
            threads.shutdown(wait=True, cancel_futures=True)
        for seat in self._open:
            seat.__exit__()

    def _first(self, evening: Evening, told: Future[Told]) -> None:
        try:
            found = self._spend(evening)
        except BaseException as error:
            found = Told(evening, self._folder, [f"{type(error).__name__}: {error}"])
            found.lag_seconds = math.inf
        if found.says_nothing:
            self._alone.submit(self._again, evening, told)
        else:
            told.set_result(found)

    def _again(self, evening: Evening, told: Future[Told]) -> None:
        wait(list(self._begun))
        try:
            for left in reversed(range(TRIES - 1)):
                found = self._spend(evening)
                if not left or not found.says_nothing:
                    told.set_result(found)
                    return
        except BaseException as error:
            told.set_exception(error)

    def _spend(self, evening: Evening) -> Told:
        seat = self._free.get()
        try:
            if seat is None:
                seat = Seat()
                seat.__enter__()
                self._open.append(seat)
            return seat.spend(evening, self._folder / evening.key)
        except BaseException:
            if seat is not None and seat in self._open:  # whatever state it is in
                self._open.remove(seat)
                seat.__exit__()
            seat = None
            raise
        finally:
            self._free.put(seat)


def ask(at: float, folder: Path) -> Report:
    """What `t3probe explain` says of a moment, a minute later."""
    parser = argparse.ArgumentParser()
    add(parser.add_subparsers())
    words = ["explain", "--at", utc(at), "--runs", str(folder / "run"), "--window", WINDOW]
    words += ["--client", str(folder / "record.json")]
    return reported(asked_by(parser.parse_args(words)), FakeClock(wall=at + LATER_SECONDS), {})


def _accuses(evening: Evening, finding: str, convicted: frozenset[str]) -> bool:
    """Whether an answer that is not the written one accuses somebody who did nothing."""
    if finding in ("ours", "both"):
        return not convicted <= evening.accused
    theirs = {"last_mile": "last_mile", "their_device": "their_device", "their_edge": "last_mile"}
    guilty = {evening.finding, *(["their_device"] if evening.finding == "both" else [])}
    return finding in theirs and finding not in guilty and theirs[finding] not in guilty


def _words(finding: str, accused: frozenset[str], proven: bool) -> str:
    return " ".join([finding, *sorted(accused), *(["proven"] if proven else [])])


def _short(record: dict[str, Any]) -> list[str]:
    """What matters of a record, in seconds from its beginning."""
    began = record["began"]

    def moved(one: Any) -> Any:
        return round(one - began, 2) if isinstance(one, float) and one > began - 1 else one

    lists = ("connections", "drops", "gaps", "edges")
    return [
        f"{name}: { ({key: moved(value) for key, value in one.items()}) }"
        for name in lists
        for one in record[name]
    ]
