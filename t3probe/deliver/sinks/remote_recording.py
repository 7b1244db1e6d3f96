"""Sending a file to a receiver of remote write: recorded runs, or the JUnit file of another suite.

Each run goes under its own times, so nothing has to be read back, and to send one twice changes
nothing. Runs go oldest first; how old they may be is the receiver's to say.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from t3probe.deliver import metrics
from t3probe.deliver.metrics.carry import Group
from t3probe.deliver.metrics.remote import Written, written
from t3probe.deliver.sinks import Receipt
from t3probe.deliver.sinks.other_suite import read_suite
from t3probe.deliver.sinks.receiver import NeverTakenError, Sender
from t3probe.deliver.sinks.remote_write import span_ms
from t3probe.exchange.client import Budget, Trouble
from t3probe.record.facts import RecordError, Recording
from t3probe.record.reading import Damage, RecordFile, read_recordings, run_key
from t3probe.timing import Clock, SystemClock
from t3probe.verdict.incident.run import judge_run

SECONDS = 60.0
"""For all runs of a file together."""


class _Run(NamedTuple):
    began_ms: int
    request: Written


def send_recording(
    path: str | Path, sender: Sender, labels: Mapping[str, str], clock: Clock | None = None
) -> Receipt:
    """Send what a file recorded; `-` is standard input.

    `labels`: job, vantage and shard; without a vantage, or a shard, each run has its own. Raises
    RecordError when the file is neither runs nor another suite's tests.
    """
    clock = clock or SystemClock()
    damage = Damage()
    runs: dict[object, _Run] = {}
    sentences: tuple[str, ...] = ()
    with RecordFile(path) as source:
        try:
            for recording in read_recordings(source, damage):
                runs[run_key(recording)] = _written(recording, labels, clock)
        except RecordError as error:
            if not source.xml:
                raise
            suite = read_suite(source, error)
            runs = {"": _of(metrics.check_families(suite.checks), labels, clock)}
            sentences = tuple(suite.sentences)
        report = _send(sender, list(runs.values()), source.name, clock)
    if damage.count:
        sentences = (*sentences, f"{damage}; {damage.advice}")
    return report._replace(sentence="; ".join((report.sentence, *sentences)))


def _written(recording: Recording, labels: Mapping[str, str], clock: Clock) -> _Run:
    run = recording.run
    own = metrics.families(run, recording.observations, judge_run(run, recording.observations))
    shard = "" if run.shard is None else str(run.shard)
    told = {name: value for name, value in labels.items() if value}
    return _of(own, {"vantage": run.vantage, "shard": shard, **told}, clock)


def _of(own: Group, labels: Mapping[str, str], clock: Clock) -> _Run:
    began_ms, ended_ms = span_ms(own, clock)
    return _Run(began_ms, written(own, labels, began_ms, ended_ms))


def _send(sender: Sender, runs: list[_Run], name: str, clock: Clock) -> Receipt:
    budget = Budget(clock, SECONDS)
    sent, series, refused = 0, 0, []
    try:
        for one in sorted(runs, key=lambda one: one.began_ms):
            try:
                sender.send(one.request.body, budget)
            except NeverTakenError as error:
                refused.append(str(error))
            else:
                sent, series = sent + 1, series + one.request.series
    except Trouble as trouble:
        done = f"{sent} of {len(runs)} runs of {name} were sent"
        again = "send the file again, which is harmless"
        return Receipt(False, f"{sender.subject} {trouble}; {done}; {again}")
    finally:
        sender.close()
    if refused:
        which = "this run" if len(runs) == 1 else f"{len(refused)} of {len(runs)} runs of {name}"
        return Receipt(False, f"{which}: {sender.subject} {refused[0]}; nothing is tried again")
    which = "" if len(runs) == 1 else f"{len(runs)} runs of {name}: "
    return Receipt(True, f"{which}{sender.subject}: wrote {series} series")
