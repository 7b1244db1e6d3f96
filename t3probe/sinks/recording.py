"""Pushing a file: any recorded run, or the JUnit file of any other test suite."""

from __future__ import annotations

import os
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import IO, NamedTuple

from t3probe import metrics
from t3probe.metrics import carry as going
from t3probe.metrics.carry import Group
from t3probe.record import Damage, RecordError, Recording, Source, read_recordings, run_key
from t3probe.sinks import Batch, Report
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
    """Push what a file recorded, under the gateway's job; `-` is standard input.

    The runs of a JUnit file (one) or a log (any number) continue the counts of their group,
    the gateway's vantage or, when it names none, each run's own. A run that is there already,
    or is older than what is there, changes nothing. All others are counted once, oldest first,
    and written at once with the gauges of the newest: nobody could scrape what was between.
    Another suite's tests become `t3probe_check_success` and `t3probe_check_duration_seconds`.
    Raises RecordError when the file is neither.
    """
    damage = Damage()
    groups: dict[str, _Runs] = {}
    with Source(path) as source:
        try:
            for recording in read_recordings(source, damage):
                where = replace(gateway, vantage=gateway.vantage or recording.run.vantage)
                groups.setdefault(where.vantage, _Runs(where, source.name)).add(recording)
        except RecordError as error:
            if not source.xml:
                raise
            return _push_checks(source, gateway, clock, error)
    reports = [runs.push(clock) for runs in groups.values()]
    sentences = [one.sentence for one in reports]
    if damage.count:
        sentences.append(f"{damage}; {damage.advice}")
    return Report(all(one.ok for one in reports), "; ".join(sentences))


class _Run(NamedTuple):
    """One run on its way to its group."""

    stamp: float
    counts: Group
    """Without gauges, but for those that outlive a run."""


class _Runs:
    """Runs for one group of the gateway. Of all but the newest only the counts are kept."""

    def __init__(self, gateway: Gateway, name: str) -> None:
        self._gateway, self._name = gateway, name
        self._runs: dict[object, _Run] = {}
        self._newest: tuple[float, Group] = 0.0, {}

    def add(self, recording: Recording) -> None:
        judged = judge_run(recording.run, recording.observations)
        own = going.from_metrics(
            metrics.families(recording.run, recording.observations, judged),
            self._gateway.upstream_key,
        )
        stamp = _stamp(own)
        if stamp >= self._newest[0]:
            self._newest = stamp, own
        # A run that was recorded twice may be there under the time of either.
        key = run_key(recording)
        before = self._runs.get(key)
        first = stamp if before is None else min(stamp, before.stamp)
        kept = {n: f for n, f in own.items() if f.kind != "gauge" or n in going.CARRIED}
        self._runs[key] = _Run(first, kept)

    def push(self, clock: Clock | None) -> Report:
        """Read the group, and write it with all runs in it that it does not have."""
        runs = sorted(self._runs.values(), key=lambda one: one.stamp)
        every = going.added(*(one.counts for one in runs))
        zeros = going.filled(going.zeroed(every), going.counter(going.LOST, 0.0))
        push = Pushgateway(self._gateway, None, clock)
        begun = push.start(zeros)
        if not begun.ok or push.known is None:
            return Report(False, f"{begun.sentence}; nothing of {self._name} was pushed")
        there = _stamp(push.known)
        fresh = [one for one in runs if not there >= one.stamp > 0]
        if not fresh:
            return self._nothing_new(there == runs[-1].stamp)
        own: Group = {}
        for one in fresh:
            own = going.continued(own, going.filled(one.counts, zeros))
        report = push.end(going.filled(own, self._newest[1]))
        if len(runs) == 1:
            return report
        what = f"{len(fresh)} of {len(runs)} runs of {self._name}"
        older = "" if len(fresh) == len(runs) else "; the others are not newer than what it held"
        return Report(report.ok, f"{what}: {report.sentence}{older}")

    def _nothing_new(self, same: bool) -> Report:
        group = ", ".join(f"{name}={value}" for name, value in self._gateway.key.items())
        if len(self._runs) > 1:
            which = "the newest of its runs" if same else "a newer run than all of its"
        else:
            which = "this run" if same else "a newer run"
        sentence = f"{self._name}: the group {group} holds {which} already; nothing was pushed"
        return Report(same, sentence)


def _stamp(group: Group) -> float:
    """When the newest run of a group ended, in Unix seconds; 0 when nothing says it."""
    series = group.get(going.RUN_TIMESTAMP, going.Family("gauge")).series
    return max((one for one in series.values() if isinstance(one, float)), default=0.0)


def _push_checks(
    source: Source, gateway: Gateway, clock: Clock | None, unreadable: RecordError
) -> Report:
    checks, left_out = junit_checks(source, unreadable)
    push = Pushgateway(gateway, None, clock)
    begun = push.start({})
    if not begun.ok or push.known is None:
        return Report(False, f"{begun.sentence}; nothing of {source.name} was pushed")
    if going.DISCONNECTS in push.known:
        return Report(
            False,
            f"{source.name}: job {gateway.job} holds runs of t3probe, which this file would "
            "replace; name another job",
        )
    families = metrics.check_families(checks)
    done = push(Batch(families))
    more = f"; {left_out} tests beyond the first {MAX_CHECKS} were left out" if left_out else ""
    return Report(done.ok, done.sentence + more)


def junit_checks(
    path: str | Path | Source, unreadable: RecordError | None = None
) -> tuple[list[Check], int]:
    """The tests of any suite's JUnit file, and how many more there are.

    Tests of one name are one check: it passed when none of them failed, and lasted as long as
    all of them. Raises RecordError; `unreadable` is what to raise when there is no test.
    """
    if not isinstance(path, Source):
        with Source(path) as opened:
            return junit_checks(opened, unreadable)
    found: dict[str, Check] = {}
    left_out = 0
    file = path.name
    try:
        stream = path.stream()
        if stream.seek(0, os.SEEK_END) > MAX_FILE_BYTES:
            raise RecordError(file, "expected at most 64 MiB", "give a smaller file")
        for check in _cases(path.stream()):
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


def _cases(stream: IO[bytes]) -> Iterator[Check]:
    """The test cases one by one; what was read is let go."""
    # expat refuses entity bombs itself (since 2.4.1).
    parents: list[ElementTree.Element] = []
    for event, node in ElementTree.iterparse(stream, ("start", "end")):  # noqa: S314
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
