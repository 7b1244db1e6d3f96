"""Runs lines of the table: a real `pytest` against a stack, a fault on the way, and the verdict."""

from __future__ import annotations

import math
import os
import queue
import re
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Protocol, TypeVar

from realpath import blackbox
from realpath.configs import SEGMENTS
from realpath.line import ALL, MID, START, Line
from realpath.stack import Stack

from t3probe.record.facts import Recording
from t3probe.record.junit import read_junit
from t3probe.verdict.gate import blocked
from t3probe.verdict.incident.run import RunVerdict, judge_run

__all__ = [
    *("Pool", "Result", "TooLateError", "await_event", "beside", "fresh", "held", "judge"),
    "run_line",
]


class Outcome(Protocol):
    """What something that a stack did gave."""

    @property
    def says_nothing(self) -> bool:
        """It is not as written, and met other times than those that the table is about."""


T = TypeVar("T", bound=Outcome)

ROOT = Path(__file__).resolve().parents[2]
MOST_STACKS = 7
IMPORT_SECONDS = 0.25
"""Where the imports of a run take no longer than this, as many stacks as that do not make each
other late; where they take twice as long, half as many."""
TRIES = 3
"""So often a run is made that says nothing about the verdict: it was over before the moment of its
fault, or the prober itself stood on no firm ground. From the second time on it shares the machine
with one other at most, as far as we are concerned."""
LATE_SECONDS = 0.05
"""With an event loop of its own that was later than this the prober has met other times than those
that the table is about. Whom it then convicts or clears wrongly counts all the same."""
LEFT_SECONDS = 2.2
"""A fault in mid-hold that leaves less of the hold than this is not met as the table has it: a beat
goes out within 0.3 s, and is given up 1.5 s later."""
RUN_SECONDS = 60.0
ECHOES = 3
"""So many echoes on one connection say that it is held."""
ENVIRON = {
    **{name: value for name, value in os.environ.items() if not name.startswith(("T3PROBE", "PY"))},
    "T3PROBE_LOOPBACK_ONLY": "1",
    "PYTHONPATH": str(ROOT),
    "NO_COLOR": "1",
}


class TooLateError(AssertionError):
    """The run was over before the moment of its fault."""


@dataclass
class Result:
    """What one run of a line gave."""

    line: Line
    code: int
    convicted: frozenset[str]
    one_of: frozenset[frozenset[str]]
    shut: frozenset[str]
    """The segments that a gate does not let pass."""
    status: str
    output: str
    folder: Path
    lag_seconds: float = 0.0
    """How late the prober's own event loop was, at the worst."""
    undecided: bool = False
    """A second look told nothing of some drop."""
    left_seconds: float = math.inf
    """How much of the hold was left when a fault in mid-hold began."""
    wrong: list[str] = field(default_factory=list)
    """How it differs from the line, a sentence each."""
    blamed: frozenset[str] | None = None
    """Whom the rule of thumb names by blackbox_exporter's probes; None: they were not asked for."""

    @property
    def says_nothing(self) -> bool:
        """See `Outcome`."""
        late = self.lag_seconds >= LATE_SECONDS or self.left_seconds < LEFT_SECONDS
        # Of two attempts at one moment the longer one may have met the recovery: no verdict.
        undecided = self.undecided or self.status == "inconsistent"
        return bool(self.wrong) and not self.unjust and (late or undecided)

    @property
    def broken(self) -> frozenset[str]:
        """The segments that the line breaks, as far as they can be seen."""
        return self.line.convicted.union(self.line.suspect, *self.line.one_of)

    @property
    def unjust(self) -> bool:
        """It convicts a segment that is not broken, or lets a gate pass one that is convicted by
        right."""
        innocent = self.convicted - self.broken
        return bool(innocent or self.passed)

    @property
    def passed(self) -> frozenset[str]:
        """Broken segments that were seen to be so, and that a gate lets pass all the same."""
        seen = bool(self.convicted or self.one_of)
        return self.line.convicted.union(self.line.suspect) - self.shut if seen else frozenset()

    def __str__(self) -> str:
        line = self.line
        said = [
            f"{line.at}: {line.name}",
            f"  written: convicted {_words(line.convicted)}; one of {_groups(line.one_of)};"
            f" suspect {_words(line.suspect)};"
            f" closed {_words(line.closed)}; chance {_words(line.chance)}; code {line.code}",
            f"  found:   convicted {_words(self.convicted)}; one of {_groups(self.one_of)};"
            f" closed {_words(self.shut)}; code {self.code}; {self.status};"
            f" own loop late by {self.lag_seconds:.2f} s; {self.left_seconds:.1f} s left",
            *(f"  {one}" for one in self.wrong),
            f"  record and logs: {self.folder}",
        ]
        if line.why:
            said.insert(1, f"  why: {line.why}")
        return "\n".join(said)


def judge(line: Line, code: int, recording: Recording, output: str, folder: Path) -> Result:
    """A run compared with its line."""
    judged: RunVerdict = judge_run(recording.run, recording.observations)
    verdict = judged.verdict
    known = [*SEGMENTS, *recording.run.own_segments]
    shut = frozenset(map(_short, blocked(verdict, known)))
    result = Result(
        line=line,
        code=code,
        convicted=frozenset(map(_short, verdict.convicted)),
        one_of=frozenset(frozenset(map(_short, one)) for one in verdict.at_least_one_of),
        shut=shut,
        status=verdict.status,
        lag_seconds=recording.run.loop_lag_seconds,
        undecided=any(one.symptom == "unknown" for each in judged.incidents for one in each.faults),
        output=output,
        folder=folder,
    )
    _compare(result)
    return result


def _compare(result: Result) -> None:
    line, wrong = result.line, result.wrong
    if line.or_clean and not (result.convicted or result.one_of or result.shut):
        if result.code:
            wrong.append(f"nothing was seen, but the code is {result.code}")
        return
    if line.suspect:
        named = result.convicted.union(*result.one_of)
        if missed := line.suspect - named:
            wrong.append(f"nobody suspects {_words(missed)}")
        if innocent := result.convicted - line.suspect - line.convicted:
            wrong.append(f"convicted: {_words(innocent)}")
        if missed := line.convicted - result.convicted:
            wrong.append(f"not convicted: {_words(missed)}")
        if others := [one for one in result.one_of if not one & line.suspect]:
            wrong.append(f"one of: {_groups(others)}, without {_words(line.suspect)}")
    else:
        if result.convicted != line.convicted:
            wrong.append(f"convicted: {_words(result.convicted)}, not {_words(line.convicted)}")
        if result.one_of != line.one_of:
            wrong.append(f"one of: {_groups(result.one_of)}, not {_groups(line.one_of)}")
    if opened := line.closed - result.shut - line.chance:
        wrong.append(f"the gate lets {_words(opened)} pass")
    if closed := result.shut - line.closed - line.chance:
        wrong.append(f"the gate does not let {_words(closed)} pass")
    if result.code != line.code:
        wrong.append(f"the exit code is {result.code}, not {line.code}")


def _short(segment: str) -> str:
    """Without the port and address of an upstream, which differ from stack to stack."""
    return segment.partition("-8443-")[0]


def _words(names: Iterable[str]) -> str:
    found = set(names)
    return " ".join([one for one in ALL if one in found] + sorted(found.difference(ALL))) or "-"


def _groups(groups: Iterable[frozenset[str]]) -> str:
    return ", ".join(sorted(f"({_words(one)})" for one in groups)) or "-"


def run_line(line: Line, stack: Stack, folder: Path) -> Result:
    """Bring the stack to health, run the checks against it, break it as the line says.

    The record and what every hop wrote meanwhile are left in `folder`.
    """
    stack.reset(line.both)
    fresh(folder)
    marks = stack.sizes()
    if line.at == START:
        for fault in line.faults:
            fault.begin(stack)
    sampler = blackbox.Sampler(stack, line.both) if blackbox.installed(stack) else None
    words = ["--deployment", str(stack.deployment(line.both)), "--hold", line.hold]
    words += ["--results", str(folder), *(["--gate", line.gate] if line.gate else [])]
    try:
        with beside(stack, folder / "output.txt", "pytest", *words) as process:
            if sampler is not None and line.at == MID:
                sampler.start()
            broken_at = _break_on_the_way(line, stack, process, marks)
            # Before, what the probes ask would be taken for the moment of a fault that ends.
            if sampler is not None and line.at == START:
                sampler.start()
            code = process.wait(RUN_SECONDS)
    finally:
        if sampler is not None:
            sampler.stop()
    for name, text in stack.written(marks).items():
        (folder / name).write_bytes(text)
    recording = read_junit(folder / "junit.xml")
    result = judge(line, code, recording, (folder / "output.txt").read_text(), folder)
    if broken_at is not None:
        hold_over_at = recording.run.started_at + recording.run.hold_seconds
        result.left_seconds = hold_over_at - broken_at
    if sampler is not None:
        sampler.write(folder / "blackbox.json")
        result.blamed = sampler.blamed()
    return result


def fresh(folder: Path) -> None:
    """Make a folder; what was there is gone."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)


@contextmanager
def beside(stack: Stack, said: Path, module: str, *words: str) -> Iterator[subprocess.Popen[bytes]]:
    """A Python module as a program beside a stack, until the end of the block at the latest.

    What it writes goes to the file `said`.
    """
    with said.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", module, *words],
            cwd=ROOT,
            env=ENVIRON,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            process_group=0,
        )
    stack.keeper.tell("+", process.pid)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        stack.keeper.tell("-", process.pid)


def _break_on_the_way(
    line: Line, stack: Stack, process: subprocess.Popen[bytes], marks: dict[str, int]
) -> float | None:
    """At the line's moment begin its faults, and have those end that do so by themselves.

    Returns when they began, in Unix seconds, where that was in mid-hold.
    """

    def event(written: dict[str, bytes]) -> bool:
        if line.at == MID:
            return held(written)
        return _begun(written) and all(
            one.met[1].encode() in written.get(one.met[0], b"") for one in line.faults if one.met[0]
        )

    if line.at == START and all(fault.end is None for fault in line.faults):
        return None
    await_event(lambda: event(stack.written(marks)), process, line.key)
    began = time.time() if line.at == MID else None
    for fault in line.faults:
        if line.at == MID:
            fault.begin(stack)
        if fault.end is not None:
            stack.later(fault.lasts, _ending(fault.end, stack))
    return began


def await_event(event: Callable[[], bool], process: subprocess.Popen[bytes], key: str) -> None:
    """Return at an event of a run; raise TooLateError when the run is over before."""
    end = time.monotonic() + RUN_SECONDS
    while not event():
        if process.poll() is not None or time.monotonic() > end:
            raise TooLateError(f"{key}: the run was over before the moment of its fault")
        time.sleep(0.02)


def _ending(end: Callable[[Stack], object], stack: Stack) -> Callable[[], object]:
    return lambda: end(stack)


def _begun(written: dict[str, bytes]) -> bool:
    """Whether anybody has asked any of the processes that write at once."""
    names = ("serve.out", "dispatch.out", "dnsdist-1-access.log", "dnsdist-2-access.log")
    return any(written.get(name) for name in names)


_ECHO = re.compile(rb" (\w+) echo (\d+)\n")


def held(written: dict[str, bytes]) -> bool:
    """Whether three WebSockets, one for each leg, have echoed a few times each."""
    counts: dict[tuple[bytes, bytes], int] = {}
    for name in ("dispatch.out", "second.out"):
        for found in _ECHO.finditer(written.get(name, b"")):
            key = found[1], found[2]
            counts[key] = counts.get(key, 0) + 1
    return sum(count >= ECHOES for count in counts.values()) >= 3


def stacks_here() -> int:
    """How many stacks this machine bears at this moment, slow or busy as it may be; or
    REALPATH_STACKS."""
    if asked := os.environ.get("REALPATH_STACKS"):
        return int(asked)
    took = []
    for _ in range(5):
        began = time.monotonic()
        subprocess.run([sys.executable, "-c", "import pytest, websockets"], check=True)
        took.append(time.monotonic() - began)
    return max(2, min(MOST_STACKS, round(MOST_STACKS * IMPORT_SECONDS / statistics.median(took))))


class Pool:
    """Several stacks, each of which does one thing after another."""

    def __init__(self, folder: Path, probed: bool = False) -> None:
        """`probed`: each stack has a blackbox_exporter, which probes it during the runs."""
        self.folder = folder
        self._probed = probed
        self._free: queue.SimpleQueue[Stack | None] = queue.SimpleQueue()
        self._all: list[Stack] = []
        stacks = stacks_here()
        for _ in range(stacks):
            self._free.put(None)
        self._threads = ThreadPoolExecutor(stacks)
        self._alone = ThreadPoolExecutor(2)
        self._begun: list[Future[None]] = []

    def submit(self, line: Line, name: str = "") -> Future[Result]:
        """Run a line as soon as a stack is free; `name`: its folder."""
        return self.do(partial(run_line, line), name or line.key)

    def do(self, what: Callable[[Stack, Path], T], name: str) -> Future[T]:
        """Do something with a stack and a folder of this name as soon as a stack is free."""
        told: Future[T] = Future()
        folder = self.folder / name[:120]
        self._begun.append(self._threads.submit(self._first, what, folder, told))
        return told

    def run(self, lines: Sequence[Line]) -> Iterator[Result]:
        """Run lines, in their order."""
        for one in [self.submit(line) for line in lines]:
            yield one.result()

    def _first(self, what: Callable[[Stack, Path], T], folder: Path, told: Future[T]) -> None:
        """Do it beside others, and again when they are through where that told nothing.

        `again.txt` names what is done again, with the Unix time.
        """
        if not self._tried(what, folder, told):
            with (self.folder / "again.txt").open("a") as file:
                print(f"{time.time():.1f} {folder.name}", file=file)
            self._alone.submit(self._again, what, folder, told)

    def _again(self, what: Callable[[Stack, Path], T], folder: Path, told: Future[T]) -> None:
        wait(list(self._begun))
        for left in reversed(range(TRIES - 1)):
            if self._tried(what, folder, told, last=not left):
                return

    def _tried(
        self,
        what: Callable[[Stack, Path], T],
        folder: Path,
        told: Future[T],
        last: bool = False,
    ) -> bool:
        """Do it; whether it was told. What says nothing is told when it is the last time."""
        try:
            result = self._do(what, folder)
        except TooLateError as error:
            if last:
                told.set_exception(error)
            return last
        except BaseException as error:
            told.set_exception(error)
            return True
        if result.says_nothing and not last:
            return False
        told.set_result(result)
        return True

    def _do(self, what: Callable[[Stack, Path], T], folder: Path) -> T:
        stack = self._free.get()
        try:
            if stack is None:
                stack = Stack(self.folder / f"stack-{len(self._all)}-{os.urandom(3).hex()}")
                self._all.append(stack)
                stack.start()
                if self._probed:
                    blackbox.install(stack)
            return what(stack, folder)
        except BaseException:
            # Whatever state it is in, the next one gets a new one.
            if stack is not None:
                stack.close()
                self._all.remove(stack)
                stack = None
            raise
        finally:
            self._free.put(stack)

    def close(self) -> None:
        """End every stack; lines that have not begun are not run."""
        for threads in (self._threads, self._alone):
            threads.shutdown(wait=True, cancel_futures=True)
        for stack in self._all:
            stack.close()
            shutil.rmtree(stack.folder, ignore_errors=True)
