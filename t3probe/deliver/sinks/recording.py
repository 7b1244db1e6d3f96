"""Pushing a file: any recorded run, or the JUnit file of any other test suite."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from msgspec.structs import replace

from t3probe.deliver import metrics
from t3probe.deliver.metrics import carry as going
from t3probe.deliver.metrics.carry import Group
from t3probe.deliver.sinks import Batch, Receipt
from t3probe.deliver.sinks.gateway import Gateway
from t3probe.deliver.sinks.other_suite import read_suite
from t3probe.deliver.sinks.pushgateway import Pushgateway
from t3probe.record.facts import RecordError, Recording
from t3probe.record.reading import Damage, RecordFile, read_recordings, run_key
from t3probe.timing import Clock
from t3probe.verdict.incident.run import judge_run


def push_recording(path: str | Path, gateway: Gateway, clock: Clock | None = None) -> Receipt:
    """Push what a file recorded, under the gateway's job; `-` is standard input.

    The runs of a JUnit file (one) or a log (any number) continue the counts of their group,
    the gateway's vantage and shard or, when it names none, each run's own. A run that is there
    already, or is older than what is there, changes nothing. All others are counted once, oldest
    first, and written at once with the gauges of the newest: what was between could not be
    scraped.
    Another suite's tests become `t3probe_check_success` and `t3probe_check_duration_seconds`.
    Raises RecordError when the file is neither.
    """
    damage = Damage()
    groups: dict[tuple[str, str], _GroupRuns] = {}
    with RecordFile(path) as source:
        try:
            for recording in read_recordings(source, damage):
                run = recording.run
                shard = "" if run.shard is None else str(run.shard)
                where = replace(
                    gateway,
                    vantage=gateway.vantage or run.vantage,
                    shard=gateway.shard or shard,
                )
                key = where.vantage, where.shard
                groups.setdefault(key, _GroupRuns(where, source.name)).add(recording)
        except RecordError as error:
            if not source.xml:
                raise
            return _push_checks(source, gateway, clock, error)
    reports = [runs.push(clock) for runs in groups.values()]
    sentences = [one.sentence for one in reports]
    if damage.count:
        sentences.append(f"{damage}; {damage.advice}")
    return Receipt(all(one.ok for one in reports), "; ".join(sentences))


class _Run(NamedTuple):
    """One run on its way to its group."""

    stamp: float
    counts: Group
    """Without gauges, but for those that outlive a run."""


class _GroupRuns:
    """Runs for one group of the gateway. Of all but the newest only the counts are kept."""

    def __init__(self, gateway: Gateway, name: str) -> None:
        self._gateway, self._name = gateway, name
        self._runs: dict[object, _Run] = {}
        self._newest: tuple[float, Group] = 0.0, {}

    def add(self, recording: Recording) -> None:
        judged = judge_run(recording.run, recording.observations)
        own = metrics.families(recording.run, recording.observations, judged)
        own = going.of_shard(own, recording.run.shard)
        stamp = _stamp(own)
        if stamp >= self._newest[0]:
            self._newest = stamp, own
        # A run that was recorded twice may be there under the time of either.
        key = run_key(recording)
        before = self._runs.get(key)
        first = stamp if before is None else min(stamp, before.stamp)
        kept = {n: f for n, f in own.items() if f.kind != "gauge" or n in going.CARRIED}
        self._runs[key] = _Run(first, kept)

    def push(self, clock: Clock | None) -> Receipt:
        """Read the group, and write it with all runs in it that it does not have."""
        runs = sorted(self._runs.values(), key=lambda one: one.stamp)
        every = going.added(*(one.counts for one in runs))
        zeros = going.filled(going.zeroed(every), going.counter(going.LOST, 0.0))
        push = Pushgateway(self._gateway, None, clock)
        begun = push.start(zeros)
        if not begun.ok or push.known is None:
            return Receipt(False, f"{begun.sentence}; nothing of {self._name} was pushed")
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
        return Receipt(report.ok, f"{what}: {report.sentence}{older}")

    def _nothing_new(self, same: bool) -> Receipt:
        group = ", ".join(f"{name}={value}" for name, value in self._gateway.key.items())
        if len(self._runs) > 1:
            which = "the newest of its runs" if same else "a newer run than all of its"
        else:
            which = "this run" if same else "a newer run"
        sentence = f"{self._name}: the group {group} holds {which} already; nothing was pushed"
        return Receipt(same, sentence)


def _stamp(group: Group) -> float:
    """When the newest run of a group ended, in Unix seconds; 0 when nothing says it."""
    series = group.get(going.RUN_TIMESTAMP, going.Family("gauge")).series
    return max((one for one in series.values() if isinstance(one, float)), default=0.0)


def _push_checks(
    source: RecordFile, gateway: Gateway, clock: Clock | None, unreadable: RecordError
) -> Receipt:
    suite = read_suite(source, unreadable)
    push = Pushgateway(gateway, None, clock)
    begun = push.start({})
    if not begun.ok or push.known is None:
        return Receipt(False, f"{begun.sentence}; nothing of {source.name} was pushed")
    if going.DISCONNECTS in push.known:
        return Receipt(
            False,
            f"{source.name}: job {gateway.job} holds runs of t3probe, which this file would "
            "replace; name another job",
        )
    done = push(Batch(metrics.check_families(suite.checks)))
    return Receipt(done.ok, "; ".join((done.sentence, *suite.sentences)))
