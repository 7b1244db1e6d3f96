"""Sending a file to a receiver of remote write: recorded runs, or the JUnit file of another suite.

Each run goes under its own times, so nothing has to be read back, and to send one twice changes
nothing: Prometheus then says that it has these times, or newer ones. Runs go oldest first; how old
they may be is the receiver's to say. Until all are read they wait in a file without a name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from os import SEEK_END
from pathlib import Path
from tempfile import SpooledTemporaryFile
from typing import IO, NamedTuple

from t3probe.deliver import metrics
from t3probe.deliver.metrics.carry import Group, of_shard
from t3probe.deliver.metrics.remote import Written, written
from t3probe.deliver.sinks import Receipt
from t3probe.deliver.sinks.other_suite import read_suite
from t3probe.deliver.sinks.receiver import NeverTakenError, Sender
from t3probe.deliver.sinks.remote_write import span_ms
from t3probe.exchange.bounds import RECORDED_MEMORY_BYTES
from t3probe.exchange.client import Budget, Trouble
from t3probe.record.facts import RecordError, Recording
from t3probe.record.reading import Damage, RecordFile, read_recordings, run_key
from t3probe.text.words import count
from t3probe.timing import Clock, SystemClock
from t3probe.verdict.incident.run import judge_run

SECONDS = 60.0
"""For all runs of a file together."""


class _Run(NamedTuple):
    began_ms: int
    request: Written


class _Waiting(NamedTuple):
    began_ms: int
    series: int
    at: int
    bytes: int


class _Queue:
    """Runs that are read, until all are. Of each only a line is in memory."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._runs: dict[object, _Waiting] = {}

    def __len__(self) -> int:
        return len(self._runs)

    def put(self, key: object, run: _Run) -> None:
        """The last one of a key counts. Raises OSError."""
        at, body = self._file.seek(0, SEEK_END), run.request.body
        self._file.write(body)
        self._runs[key] = _Waiting(run.began_ms, run.request.series, at, len(body))

    def oldest_first(self) -> Iterator[tuple[int, bytes]]:
        """Each one's number of series, and its request. Raises OSError."""
        for one in sorted(self._runs.values(), key=lambda one: one.began_ms):
            self._file.seek(one.at)
            yield one.series, self._file.read(one.bytes)


def send_recording(
    path: str | Path, sender: Sender, labels: Mapping[str, str], clock: Clock | None = None
) -> Receipt:
    """Send what a file recorded; `-` is standard input.

    `labels`: job, vantage and shard; without a vantage, or a shard, each run has its own. Raises
    RecordError when the file is neither runs nor another suite's tests.
    """
    clock = clock or SystemClock()
    damage = Damage()
    sentences: tuple[str, ...] = ()
    try:
        with RecordFile(path) as source, SpooledTemporaryFile(RECORDED_MEMORY_BYTES) as file:
            runs = _Queue(file)
            try:
                for recording in read_recordings(source, damage):
                    runs.put(run_key(recording), _written(recording, labels, clock))
            except RecordError as error:
                if not source.xml:
                    raise
                suite = read_suite(source, error)
                runs = _Queue(file)
                runs.put("", _of(metrics.check_families(suite.checks), labels, clock))
                sentences = tuple(suite.sentences)
            report = _send(sender, runs, source.name, clock)
    except OSError as error:
        why = f"the folder of temporary files cannot be used ({error.strerror})"
        return Receipt(False, f"{why}; name another one in TMPDIR, and send the file again")
    if damage.count:
        sentences = (*sentences, f"{damage}; {damage.advice}")
    return report._replace(sentence="; ".join((report.sentence, *sentences)))


def _written(recording: Recording, labels: Mapping[str, str], clock: Clock) -> _Run:
    run = recording.run
    own = metrics.families(run, recording.observations, judge_run(run, recording.observations))
    own = of_shard(own, run.shard)
    shard = "" if run.shard is None else str(run.shard)
    told = {name: value for name, value in labels.items() if value}
    return _of(own, {"vantage": run.vantage, "shard": shard, **told}, clock)


def _of(own: Group, labels: Mapping[str, str], clock: Clock) -> _Run:
    began_ms, ended_ms = span_ms(own, clock)
    return _Run(began_ms, written(own, labels, began_ms, ended_ms))


def _send(sender: Sender, runs: _Queue, name: str, clock: Clock) -> Receipt:
    budget = Budget(clock, SECONDS)
    sent, series, there, refused = 0, 0, 0, []
    try:
        for number, body in runs.oldest_first():
            try:
                sender.send(body, budget)
            except NeverTakenError as error:
                if error.newer_there:
                    there += 1
                else:
                    refused.append(str(error))
            else:
                sent, series = sent + 1, series + number
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
    had = "this run" if len(runs) == 1 else count(there, "run")
    known = f"; of {had} it has these times, or newer ones, already" if there else ""
    return Receipt(True, f"{which}{sender.subject}: wrote {series} series{known}")
