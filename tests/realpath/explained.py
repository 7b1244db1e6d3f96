"""Two outages in one run, and what `t3probe explain` says about each a minute later."""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass, field
from pathlib import Path

from realpath.runner import (
    LATE_SECONDS,
    RUN_SECONDS,
    TooLateError,
    await_event,
    beside,
    fresh,
    held,
)
from realpath.stack import Stack
from realpath.table_held import Two

from t3probe.ask.explain.asked import reported
from t3probe.ask.explain.report import to_lines
from t3probe.commands.explain import add, asked_by
from t3probe.text.words import utc
from t3probe.timing import FakeClock

__all__ = ["Answers", "run_two"]

HOLD = "9s"
LASTS_SECONDS = 1.5
APART_SECONDS = 2.5
"""From the repair of the first to the beginning of the second."""
LATER_SECONDS = 60.0
LONG_AFTER_SECONDS = 600.0


@dataclass
class Answers:
    """What one run with two outages gave."""

    two: Two
    folder: Path
    lag_seconds: float = 0.0
    """How late the prober's own event loop was, at the worst."""
    wrong: list[str] = field(default_factory=list)

    @property
    def says_nothing(self) -> bool:
        """See `runner.Outcome`."""
        return bool(self.wrong) and self.lag_seconds >= LATE_SECONDS

    def __str__(self) -> str:
        return "\n".join([self.two.key, *self.wrong, f"own loop late by {self.lag_seconds:.2f} s"])


def run_two(two: Two, stack: Stack, folder: Path) -> Answers:
    """Bring the stack to health, run the checks, break and repair it twice, and ask."""
    stack.reset()
    fresh(folder)
    marks = stack.sizes()
    words = ["--deployment", str(stack.deployment()), "--hold", HOLD, "--results", str(folder)]
    times = []
    with beside(stack, folder / "output.txt", "pytest", *words) as process:
        await_event(lambda: held(stack.written(marks)), process, two.key)
        for fault, repair in ((two.first, two.first_repair), (two.second, two.second_repair)):
            if times:
                time.sleep(APART_SECONDS)
            began = time.time()
            fault.begin(stack)
            time.sleep(LASTS_SECONDS)
            if process.poll() is not None:
                raise TooLateError(f"{two.key}: the run was over before the outage was")
            times.append((began + time.time()) / 2)
            repair(stack)
        process.wait(RUN_SECONDS)
    answers = Answers(two, folder)
    for at, broken in zip(times, (two.first_broken, two.second_broken), strict=True):
        _ask(answers, at, broken)
    _ask(answers, times[-1] + LONG_AFTER_SECONDS, frozenset())
    return answers


def _ask(answers: Answers, at: float, broken: frozenset[str]) -> None:
    """Ask about a time, a minute later; nobody `broken`: nobody was looking."""
    parser = argparse.ArgumentParser()
    add(parser.add_subparsers())
    words = ["explain", "--at", utc(at), "--runs", str(answers.folder)]
    words += ["--leg", answers.two.leg] if answers.two.leg else []
    report = reported(asked_by(parser.parse_args(words)), FakeClock(wall=at + LATER_SECONDS), {})
    told = report.told
    answers.lag_seconds = max([answers.lag_seconds, *(one.lag_seconds for one in told.runs)])
    finding = {0: "not_observed", 1: "ours"}.get(len(broken), "ours_one_of")
    named = frozenset({"ours": told.convicted, "ours_one_of": told.suspects}.get(told.finding, ()))
    if (told.finding, named) != (finding, broken):
        answers.wrong += [
            f"written: {finding} {sorted(broken)}; said: {told.finding} {sorted(named)}",
            *(f"    {one}" for one in to_lines(report)),
        ]
