"""Recorded runs near a time, judged anew and exact to the beat."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from t3probe.ask.explain.clients import ClientThen, compared
from t3probe.ask.explain.seen import DropSeen, IncidentSeen, LegSeen, OpinionSeen, RunSeen
from t3probe.observation import Observation, RunRecord
from t3probe.record.facts import RecordError, Recording
from t3probe.record.reading import Damage, RunKey, read_recordings, record_files, run_key
from t3probe.show.summary import COLO_CHARACTERS
from t3probe.text import showable
from t3probe.verdict.incident.evidence import takes_part
from t3probe.verdict.incident.run import Incident, judge_run
from t3probe.verdict.limits.found import histories

LEGS_LIMIT = 200
"""Upstreams can be ten thousand: beyond this only legs that failed are kept."""


class Nearby:
    """The runs of some files that lie near a time."""

    def __init__(
        self,
        began: float,
        ended: float,
        clients: Sequence[ClientThen] = (),
        public: str | None = None,
    ) -> None:
        """Keeps what overlaps `began` to `ended`, Unix seconds. `clients`: whose drops are compared
        with it; `public`: the leg that goes their way, None for the one that crosses most."""
        self._clients, self._public = clients, public
        self.began, self.ended = began, ended
        self.count = 0
        """How many records there are."""
        self.left_out = 0
        """How many of them lie at other times: of these only the time was looked at."""
        self.first: float | None = None
        self.last = 0.0
        """From the first run's start to the last one's end."""
        self.paths: tuple[tuple[str, ...], ...] = ()
        """Of the newest run that is kept."""
        self.notes: list[str] = []
        """What could not be read."""
        self._kept: dict[RunKey, tuple[RunRecord, RunSeen]] = {}

    def wanted(self, run: RunRecord) -> bool:
        """Count one run; whether it lies near the time."""
        over = run.started_at + run.duration_seconds
        self.count += 1
        self.first = run.started_at if self.first is None else min(self.first, run.started_at)
        self.last = max(self.last, over)
        near = run.started_at <= self.ended and over >= self.began
        self.left_out += not near
        return near

    def add(self, recording: Recording) -> None:
        """Take one run in that is wanted; of the same run the later record holds."""
        # Only what is told of it is kept: a run may have ten thousand upstreams.
        seen = run_seen(recording, self._clients, self._public)
        self._kept[run_key(recording)] = recording.run, seen

    def read(self, names: Iterable[str]) -> None:
        """Every run in these files and folders. Raises RecordError, one sentence, for a file that
        was named and holds none; what else is in a folder is noted."""
        for name in names:
            folder, files = (False, [name]) if name == "-" else record_files(name)
            others = 0
            for file in files:
                damage = Damage()
                try:
                    for recording in read_recordings(file, damage, self.wanted):
                        self.add(recording)
                except RecordError as error:
                    if not folder:
                        raise
                    if isinstance(error.__cause__, OSError):
                        self.notes.append(str(error))
                    else:
                        others += 1
                    continue
                if damage.count:
                    self.notes.append(f"{file}: {damage}")
            if others:
                what = "was no record" if others == 1 else "were no records"
                self.notes.append(f"{others} of {len(files)} files in {name} {what}")

    def runs(self) -> list[RunSeen]:
        """The runs that are kept, by their start."""
        kept = [self._kept[key] for key in sorted(self._kept)]
        if kept:
            self.paths = kept[-1][0].paths
        return [seen for _, seen in kept]

    def parts(self) -> list[RunRecord]:
        """What the runs that are kept know of themselves."""
        return [run for run, _ in self._kept.values()]


def run_seen(
    recording: Recording, clients: Sequence[ClientThen] = (), public: str | None = None
) -> RunSeen:
    """One run as facts with Unix times."""
    run, start = recording.run, recording.run.started_at
    judged = judge_run(run, recording.observations)
    legs = [one for one in recording.observations if not one.after_hold]
    if len(legs) > LEGS_LIMIT:
        legs = [one for one in legs if one.outcome == "failed" or not one.of_many]
    return RunSeen(
        began=start,
        ended=start + run.duration_seconds,
        vantage=run.vantage,
        complete=run.complete and not (run.interrupted or run.partial),
        lag_seconds=run.loop_lag_seconds,
        segments=judged.segments,
        gloss=run.gloss,
        spread=run.spread,
        legs=tuple(_leg(start, one) for one in legs),
        incidents=tuple(
            IncidentSeen(
                began=start + one.began,
                noticed=start + one.noticed,
                ended=None if one.recovered is None else start + one.recovered,
                symptom=one.symptom,
                failed=one.failed,
                paths=_suspected(one, judged.legs),
                exonerated=one.verdict.exonerated,
                finding=one.finding,
            )
            for one in sorted(judged.incidents, key=lambda one: one.began)
        ),
        exonerated=judged.verdict.exonerated,
        compared={
            one.name: found for one in clients if (found := compared(recording, one, public))
        },
        opinions=tuple(
            OpinionSeen(
                at=start + one.view.at,
                name=one.view.name,
                segment=one.view.segment,
                opinion=one.view.opinion,
                sentence=one.sentence,
                disagreement=one.disagreement,
            )
            for one in judged.opinions
        ),
        lived=tuple(histories(recording.observations, start)),
    )


def _suspected(
    incident: Incident, legs: Mapping[str, tuple[str, ...]]
) -> tuple[tuple[str, ...], ...]:
    """What is left of the failed legs' paths, drop by drop; where that contradicts itself, all."""
    if incident.contradicts:
        return tuple(legs[leg] for leg in incident.failed)
    return tuple(dict.fromkeys((*incident.suspect_sets, *incident.later_sets)))


def _leg(start: float, seen: Observation) -> LegSeen:
    why = ""
    if seen.planned:
        why = f"planned: {seen.planned}"
    elif not takes_part(seen):
        why = ": ".join(one for one in (seen.reason, seen.detail) if one) or "inconclusive"
    return LegSeen(
        name=seen.leg,
        path=seen.path,
        began=start + seen.started,
        ended=start + max(seen.started, seen.ended),
        seconds=0.0 if why else seen.observed_seconds,
        drops=() if why else tuple(_drops(start, seen)),
        connected=None if why else seen.connected,
        accepting=None if why else seen.accepting,
        first_good=min((start + one.ended for one in seen.beats if one.ok), default=None),
        why=why,
        kind=seen.kind,
        level=seen.level,
        held_seconds=_oldest(seen),
        colos=tuple(
            dict.fromkeys(
                showable(one, COLO_CHARACTERS)
                for one in (*(drop.colo for drop in seen.drops), seen.colo)
                if one
            )
        ),
    )


def _drops(start: float, seen: Observation) -> Iterator[DropSeen]:
    for drop in seen.counted:
        yield DropSeen(
            reason=drop.reason,
            began=start + drop.began,
            noticed=start + drop.noticed,
            ended=None if drop.recovered is None else start + drop.recovered,
            symptom=drop.symptom,
        )
    if seen.outcome == "failed" and not seen.drops:
        yield DropSeen(
            reason=seen.reason or "failed", began=start + seen.started, ended=None, symptom="down"
        )


def _oldest(seen: Observation) -> float | None:
    """How old the leg's oldest connection is known to have become."""
    if seen.level != "hold":
        return None
    opened: dict[int, float] = {}
    ages = [beat.sent - opened.setdefault(beat.conn, beat.sent) for beat in seen.beats if beat.ok]
    return max(ages, default=None)
