"""Pushing a file: any recorded run, or the JUnit file of any other test suite."""

from __future__ import annotations

import os
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from t3probe import metrics
from t3probe.record import RecordError, read_junit
from t3probe.sinks import Batch, Report
from t3probe.sinks import continuation as going
from t3probe.sinks.gateway_wire import Gateway
from t3probe.sinks.pushgateway import Pushgateway
from t3probe.timing import Clock
from t3probe.verdict import judge_run

__all__ = ["Check", "junit_checks", "push_recording"]

MAX_FILE_BYTES = 64 << 20
MAX_CHECKS = 1_000
"""How many tests of another suite are pushed."""
LONGEST_NAME = 120
"""How many characters of a test's name become its label: the last ones, which differ."""


class Check(NamedTuple):
    """One test of another suite."""

    name: str
    passed: bool | None
    """None: skipped."""
    seconds: float


def push_recording(path: str | Path, gateway: Gateway, clock: Clock | None = None) -> Report:
    """Push what a file recorded, under the gateway's job.

    A run of this suite continues the counts of its group; one that is there already, or is
    older than what is there, changes nothing. Another suite's tests become
    `t3probe_check_success` and `t3probe_check_duration_seconds`. Raises RecordError when the
    file is neither.
    """
    try:
        recording = read_junit(path)
    except RecordError as error:
        return _push_checks(path, gateway, clock, error)
    judged = judge_run(recording.run, recording.observations)
    own = going.from_metrics(
        metrics.families(recording.run, recording.observations, judged), gateway.upstream_key
    )
    push = Pushgateway(gateway, None, clock)
    begun = push.start(going.filled(going.zeroed(own), going.counter(going.LOST, 0.0)))
    if not begun.ok or push.known is None:
        return Report(False, f"{begun.sentence}; nothing of {path} was pushed")
    stamp, there = (
        max((one for one in series.values() if isinstance(one, float)), default=0.0)
        for series in (
            group.get(going.RUN_TIMESTAMP, going.Family("gauge")).series
            for group in (own, push.known)
        )
    )
    if there >= stamp > 0:
        which = "this run" if there == stamp else "a newer run"
        group = ", ".join(f"{name}={value}" for name, value in gateway.key.items())
        same = there == stamp
        return Report(same, f"{path}: the group {group} holds {which} already; nothing was pushed")
    return push.end(own)


def _push_checks(
    path: str | Path, gateway: Gateway, clock: Clock | None, unreadable: RecordError
) -> Report:
    checks, left_out = junit_checks(path, unreadable)
    push = Pushgateway(gateway, None, clock)
    begun = push.start({})
    if not begun.ok or push.known is None:
        return Report(False, f"{begun.sentence}; nothing of {path} was pushed")
    if going.DISCONNECTS in push.known:
        return Report(
            False,
            f"{path}: job {gateway.job} holds runs of t3probe, which this file would replace; "
            "name another job",
        )
    families = metrics.check_families(checks)
    done = push(Batch(families))
    more = f"; {left_out} tests beyond the first {MAX_CHECKS} were left out" if left_out else ""
    return Report(done.ok, done.sentence + more)


def junit_checks(
    path: str | Path, unreadable: RecordError | None = None
) -> tuple[list[Check], int]:
    """The tests of any suite's JUnit file, and how many more there are.

    Tests of one name are one check: it passed when none of them failed, and lasted as long as
    all of them. Raises RecordError; `unreadable` is what to raise when there is no test.
    """
    found: dict[str, Check] = {}
    left_out = 0
    file = str(path)
    try:
        if os.stat(path).st_size > MAX_FILE_BYTES:
            raise RecordError(file, "expected at most 64 MiB", "give a smaller file")
        for check in _cases(path):
            before = found.get(check.name)
            if before is None and len(found) >= MAX_CHECKS:
                left_out += 1
                continue
            found[check.name] = check if before is None else _both(before, check)
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise RecordError(file, f"cannot be read: {why}", "name a JUnit file") from error
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise RecordError(
            file, f"expected a JUnit file, found damaged XML ({error})", "run the tests again"
        ) from error
    if not found:
        raise unreadable or RecordError(
            file, "expected a JUnit file, found no test case", "name a JUnit file"
        )
    return list(found.values()), left_out


def _both(one: Check, other: Check) -> Check:
    known = [passed for passed in (one.passed, other.passed) if passed is not None]
    return Check(one.name, all(known) if known else None, one.seconds + other.seconds)


def _cases(path: str | Path) -> Iterator[Check]:
    """The test cases one by one; what was read is let go."""
    # expat refuses entity bombs itself (since 2.4.1).
    parents: list[ElementTree.Element] = []
    for event, node in ElementTree.iterparse(path, ("start", "end")):  # noqa: S314
        if event == "start":
            parents.append(node)
            continue
        parents.pop()
        if node.tag.rpartition("}")[2] == "testcase":
            tags = {child.tag.rpartition("}")[2] for child in node}
            bad = bool(tags & {"failure", "error"})
            name = ".".join(one for one in (node.get("classname", ""), node.get("name", "")) if one)
            yield Check(
                "".join(c if c.isprintable() else "?" for c in name)[-LONGEST_NAME:] or "unnamed",
                None if "skipped" in tags and not bad else not bad,
                _seconds(node.get("time", "")),
            )
        elif parents and parents[-1].tag.rpartition("}")[2] == "testcase":
            continue  # its parent still needs to see it
        if parents:
            parents[-1].remove(node)


def _seconds(text: str) -> float:
    try:
        seconds = float(text.replace(",", ""))
    except ValueError:
        return 0.0
    return seconds if 0 <= seconds < 1e9 else 0.0
