"""The answers out of one recorded run, and the newest run of some files.

A file is read again only where it changed. Of each file its newest run's time is kept, and of the
newest file the run itself: a month of files costs no more memory than one.
"""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from t3probe.ask.mcp_server.answers import (
    LATEST,
    EnvoyOpinion,
    ExperimentsAnswer,
    HealthAnswer,
    IncidentRow,
    LegRow,
    LegsAnswer,
    NothingToTellError,
    SourceInfo,
    SourceState,
    UpstreamRow,
    VerdictAnswer,
    short,
    source_info,
)
from t3probe.ask.mcp_server.rigs import of_observations
from t3probe.exchange.bounds import RUN_FILES as FILES_LIMIT
from t3probe.exchange.client import Budget
from t3probe.observation import (
    WORST_FIRST,
    Observation,
    RunRecord,
    badness,
    median,
    of_old,
    parts_said,
)
from t3probe.record.facts import RecordError, Recording
from t3probe.record.reading import Damage, Rank, newest_since, record_files
from t3probe.show.summary import headline
from t3probe.text.names import UPSTREAM_LEG
from t3probe.text.words import listed, some, utc
from t3probe.verdict.incident.evidence import takes_part
from t3probe.verdict.incident.run import RunVerdict, judge_run

__all__ = [
    "FILES_LIMIT",
    "INCIDENTS",
    "NOTHING",
    "OfRun",
    "RunFiles",
    "health_answer",
    "legs_answer",
]

NOTHING = "nothing recorded: run the checks first"
NOTES = 3

_Signature = tuple[int, int, int]


@dataclass
class _File:
    """What is known of one file."""

    signature: _Signature
    rank: Rank | None
    """Of its newest run; None: it holds none that can be read."""
    problem: str = ""


class RunFiles:
    """The recorded runs below some names, which may come and go."""

    def __init__(self, names: Sequence[str], shard: int = 0) -> None:
        """A run of another shard than `shard` answers only when there is no other."""
        self.names = tuple(names)
        self._shard = shard
        self._files: dict[Path, _File] = {}
        self._best: tuple[Path, OfRun] | None = None
        self._lock = threading.Lock()

    def there(self) -> list[str]:
        """Those names that lead to a file or a folder now: a pipe may never end."""
        return [one for one in self.names if os.path.isfile(one) or os.path.isdir(one)]

    def newest(self, budget: Budget) -> tuple[OfRun, list[str]]:
        """The newest run there is now, and sentences about files that cannot be read.

        Raises NothingToTellError: nothing is recorded, nothing can be read, or reading takes
        longer than `budget` before any is; what was read by then need not be read again.
        """
        if not self._lock.acquire(timeout=budget.left_seconds):
            raise NothingToTellError("the recorded runs are still being read; ask again in a while")
        try:
            return self._newest(budget)
        finally:
            self._lock.release()

    def _newest(self, budget: Budget) -> tuple[OfRun, list[str]]:
        there = dict(self._listed())
        self._files = {path: one for path, one in self._files.items() if path in there}
        if self._best is not None and self._best[0] not in there:
            self._best = None
        changed = [
            path
            for path, signature in there.items()
            if path not in self._files or self._files[path].signature != signature
        ]
        # The last written one first: when time runs out, the newest is most likely among the read.
        changed.sort(key=lambda path: there[path], reverse=True)
        unread = ""
        for number, path in enumerate(changed):
            if budget.left_seconds <= 0:
                unread = f"{len(changed) - number} of {len(there)} files are still to be read"
                break
            self._read(path, there[path])
        known = [
            (one.rank, str(path), path) for path, one in self._files.items() if one.rank is not None
        ]
        problems = [one.problem for one in self._files.values() if one.problem]
        if not known and unread:
            raise NothingToTellError(f"{unread}; ask again, or start with fewer --runs")
        if not known:
            raise NothingToTellError(problems[0] if problems else NOTHING)
        best = max(known)[2]
        if self._best is None or self._best[0] != best:
            self._read(best, there[best], keep=True)  # another file held the newest run until now
            if self._best is None or self._best[0] != best:
                raise NothingToTellError("the recorded runs are changing right now; ask again")
        notes = problems[:NOTES]
        if len(problems) > NOTES:
            notes.append(f"{len(problems) - NOTES} more files cannot be read")
        if unread:
            notes.append(f"{unread}, and one of them may hold a newer run; ask again")
        return self._best[1], notes

    def _listed(self) -> Iterator[tuple[Path, _Signature]]:
        paths: list[Path] = []
        for name in self.names:
            try:
                paths += record_files(name)[1]
            except OSError:
                continue
        for path in paths[-FILES_LIMIT:]:
            try:
                stat = path.stat()
            except OSError:
                continue
            yield path, (stat.st_mtime_ns, stat.st_size, stat.st_ino)

    def _read(self, path: Path, signature: _Signature, keep: bool = False) -> None:
        """Look into one file. While it is being written anew, what was read of it stands."""
        damage = Damage()
        held = self._best is not None and self._best[0] == path
        try:
            if not os.path.isfile(path):
                raise RecordError(str(path), "expected a file, found none", "name a JUnit file")
            since = (
                None
                if keep or held or self._best is None
                else self._rank(self._best[1].recording.run)
            )
            rank, recording = newest_since(path, damage, since, self._rank)
        except RecordError as error:
            known = self._files[path].rank if held and path in self._files else None
            more = "; this is the run that it held before" if held else ""
            self._files[path] = _File(signature, known, f"{error}{more}")
            return
        problem = f"{path}: {damage}" if damage.count else ""
        self._files[path] = _File(signature, rank, problem)
        if recording is not None:
            self._best = path, OfRun(recording, str(path))

    def _rank(self, run: RunRecord) -> Rank:
        return run.shard in (None, self._shard), run.started_at


SOURCE = "source"
INCIDENTS = 10
WARNINGS = 5


class OfRun:
    """Answers about one run; judged once, when first asked."""

    def __init__(self, recording: Recording, name: str) -> None:
        self.recording = recording
        self.name = name
        """Of the file it is recorded in."""

    @property
    def started_at(self) -> float:
        """Unix seconds."""
        return self.recording.run.started_at

    @property
    def ended_at(self) -> float:
        """Unix seconds."""
        return self.started_at + self.recording.run.duration_seconds

    @cached_property
    def judged(self) -> RunVerdict:
        """The verdict."""
        return judge_run(self.recording.run, self.recording.observations)

    def source(self, now: float, notes: Sequence[str] = ()) -> SourceInfo:
        """The header of an answer given at `now`, Unix seconds."""
        run = self.recording.run
        parts = parts_said((run,))
        said = [*([f"of {parts}"] if parts else []), *filter(None, [of_old(run.version)])]
        said += map(short, notes)
        said += [short(one) for one in some(run.warnings, WARNINGS)]
        return source_info(
            "runs", self.name, self.ended_at, now,
            deployment=short(run.deployment), vantage=short(run.vantage),
            shard=run.shard, shards=run.shards,
            complete=run.complete and not (run.interrupted or run.partial), notes=tuple(said),
        )  # fmt: skip

    def health(self, source: SourceInfo, unreachable_only: bool) -> HealthAnswer:
        """What is known of the upstreams."""
        seen = self.recording.observations
        found = [
            SourceState(name=short(one.leg), outcome=one.outcome, detail=short(one.detail))
            for one in sorted(seen, key=lambda one: badness(one.outcome))
            if one.kind == SOURCE
        ]
        rows = [_upstream(one) for one in seen if one.upstream]
        return health_answer(source, rows, unreachable_only, found)

    def legs(self, source: SourceInfo) -> LegsAnswer:
        """What is known of the other legs."""
        seen = self.recording.observations
        rows = [_leg(self.recording.run.started_at, one) for one in seen if not one.of_many]
        return legs_answer(source, rows, len(seen) - len(rows))

    def experiments(self, source: SourceInfo) -> ExperimentsAnswer:
        """What is known of remote rigs."""
        return of_observations(source, self.recording.observations)

    def verdict(self, source: SourceInfo) -> VerdictAnswer:
        """The run's verdict and its worst incidents."""
        run, judged = self.recording.run, self.judged
        found, likely = judged.verdict, judged.posterior
        return VerdictAnswer(
            source=source,
            sentence=headline(judged)[1],
            status=found.status,
            convicted=found.convicted,
            at_least_one_of=found.at_least_one_of,
            ambiguous=found.ambiguous,
            exonerated=found.exonerated,
            masked=found.masked,
            unobserved=found.unobserved,
            simplest=(found.simplest or ()) if found.at_least_one_of else (),
            contradictions=found.contradictions,
            extra_leg=found.extra_leg or (),
            incidents=tuple(
                IncidentRow(
                    began_utc=_utc(run.started_at + one.began),
                    recovered_utc=""
                    if one.recovered is None
                    else _utc(run.started_at + one.recovered),
                    symptom=one.symptom,
                    failed=one.failed,
                    cleared_by=dict(one.cleared_by),
                    finding=one.finding,
                )
                for one in judged.incidents[:INCIDENTS]
            ),
            incidents_total=len(judged.incidents),
            slowness=judged.slowness.text if judged.slowness.slow else "",
            limits=tuple(judged.limit_texts),
            probability={
                name: round(likely.posterior[name], 6)
                for name in sorted(
                    dict.fromkeys(run.segments), key=lambda one: -likely.posterior.get(one, 0.0)
                )
                if name not in likely.untried
            },
        )


def health_answer(
    source: SourceInfo,
    rows: Sequence[UpstreamRow],
    unreachable_only: bool,
    found: Sequence[SourceState] = (),
) -> HealthAnswer:
    """Upstreams counted and put in order: the worst first, then by name."""
    count = Counter(one.reachable for one in rows)
    disagreeing = sum(bool(one.disagreement) for one in rows)
    listed = [one for one in rows if one.reachable is False or not unreachable_only]
    listed.sort(key=_upstream_rank)
    blind = [one.name for one in found if one.outcome in ("failed", "inconclusive")]
    if not rows:
        sentence = "no upstream is recorded"
    elif not count[False]:
        sentence = f"{count[True]} of {len(rows)} upstreams can be reached"
        sentence += " and none is known to be unreachable"
    else:
        be = "is" if count[False] == 1 else "are"
        sentence = f"{count[False]} of {len(rows)} upstreams {be} unreachable"
    if count[None]:
        sentence += f"; of {count[None]} this run cannot tell"
    if disagreeing:
        sentence += f"; with {disagreeing} Envoy disagrees"
    if blind:
        sentence += f"; {len(blind)} source of upstreams could not be read, so some may be missing"
    return HealthAnswer(
        source=source, sentence=sentence, total=len(rows), reachable=count[True],
        unreachable=count[False], unknown=count[None], disagreeing=disagreeing,
        upstreams=tuple(listed), not_listed=0, upstream_sources=tuple(found),
    )  # fmt: skip


def legs_answer(source: SourceInfo, rows: Sequence[LegRow], upstreams: int) -> LegsAnswer:
    """Legs counted and put in order: the worst first, then as they are declared."""
    counts = Counter(_word(one) for one in rows)
    known = {word: counts[word] for word in (*WORST_FIRST, "unknown") if counts[word]}
    said = ", ".join(f"{number} {word}" for word, number in known.items())
    refusing = [one.name for one in rows if one.connected and one.accepting is False]
    if refusing:
        names = listed(refusing)
        said += f"; {names} {'keeps' if len(refusing) == 1 else 'keep'} what is open and "
        said += f"{'accepts' if len(refusing) == 1 else 'accept'} nothing new"
    return LegsAnswer(
        source=source,
        sentence=f"{len(rows)} legs: {said}" if rows else "no leg is recorded",
        total=len(rows),
        counts=known,
        legs=tuple(sorted(rows, key=lambda one: (*WORST_FIRST, "unknown").index(_word(one)))),
        not_listed=0,
        upstreams=upstreams,
    )


def _word(row: LegRow) -> str:
    return "planned" if row.planned else row.outcome if row.outcome in WORST_FIRST else "unknown"


def _upstream_rank(row: UpstreamRow) -> tuple[int, str, str, str, str]:
    rank = 4
    if row.reachable is False:
        rank = 0
    elif row.disagreement:
        rank = 1
    elif row.reachable is None:
        rank = 2
    elif row.outcome == "degraded":
        rank = 3
    return rank, row.name, row.route, row.listen_port, row.backend


def _upstream(seen: Observation) -> UpstreamRow:
    known = seen.labels
    trips = seen.trips
    views = tuple(
        EnvoyOpinion(
            route=short(one.route), listen_port=short(one.listen_port), opinion=one.opinion,
            detail=short(one.detail), disagreement=one.disagreements,
        )
        for one in sorted(seen.views, key=lambda one: not one.disagreements)
    )  # fmt: skip
    compared = [one.disagreements for one in seen.views if one.disagreements is not None]
    return UpstreamRow(
        name=short(seen.leg),
        route=short(known.get("route", "")),
        listen_port=short(known.get("listen_port", "")),
        backend=short(known.get("backend", seen.leg.removeprefix(UPSTREAM_LEG))),
        reachable=seen.connected if takes_part(seen) else None,
        connect_seconds=median(trips) if trips else None,
        outcome=seen.outcome,
        why=_why(seen),
        envoy=views,
        disagreement=_unique(kind for one in compared for kind in one) if compared else None,
    )


def _leg(started_at: float, seen: Observation) -> LegRow:
    trips = seen.trips
    drops = seen.counted
    usual = None if seen.baseline is None else seen.baseline.moving_seconds
    return LegRow(
        name=short(seen.leg),
        kind=short(seen.kind),
        segments=tuple(map(short, seen.path)),
        outcome=seen.outcome,
        reason=seen.reason or "",
        detail=short(seen.detail),
        connected=seen.connected if takes_part(seen) else None,
        accepting=seen.accepting if takes_part(seen) else None,
        symptom=seen.symptom,
        planned=short(seen.planned),
        observed_seconds=seen.observed_seconds,
        median_seconds=median(trips) if trips else None,
        usual_seconds=usual,
        drops=len(drops),
        drop_reasons=dict(Counter(one.reason for one in drops)),
        last_drop_utc=_utc(started_at + max(one.noticed for one in drops)) if drops else "",
        address=short(seen.address),
    )


def _why(seen: Observation) -> str:
    words = [f"planned: {seen.planned}"] if seen.planned else []
    if seen.outcome != "passed":
        words += [one for one in (seen.reason, seen.detail) if one]
    return short(": ".join(words))


def _unique(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(set(names)))


def _utc(unix_seconds: float) -> str:
    return utc(unix_seconds) if 0 <= unix_seconds < LATEST else ""
