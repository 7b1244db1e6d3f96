"""One run of each vantage, out of some files and folders: those that looked at one time."""

from __future__ import annotations

from collections.abc import Sequence

from t3probe.config.errors import quote
from t3probe.observation import RunRecord
from t3probe.record.facts import RecordError, Recording
from t3probe.record.reading import RunKey, key_of, read_runs
from t3probe.text.words import moment, span


def at_one_time(
    names: Sequence[str], notes: list[object], left_out: list[str], within_seconds: float
) -> list[Recording]:
    """The newest run of all, and of each other vantage the newest one that overlaps it or began at
    most `within_seconds` before it, in the order in which vantages are met.

    Of all others only the time is looked at. A vantage that has none such is said in `left_out`;
    in `notes` are shards, whose legs are a part only. Raises RecordError, one sentence, when fewer
    than two vantages are left.
    """
    ends: dict[RunKey, float] = {}
    shards = 0

    def note(run: RunRecord) -> bool:
        nonlocal shards
        if run.shard:
            shards += 1
        else:
            ends[key_of(run)] = run.started_at + run.duration_seconds
        return False

    for _ in read_runs(names, [], note):
        pass
    if shards:
        notes.append(f"{shards} runs of shards that run no legs are left out")
    newest = max(ends, default=None)
    if newest is None:
        raise RecordError(names[0], "expected runs of vantages, found none", "name two or more")
    chosen: dict[str, RunKey] = {}
    latest: dict[str, RunKey] = {}
    for key in sorted(ends):
        latest[key[2]] = key
        if ends[key] >= newest[0] or newest[0] - key[0] <= within_seconds:
            chosen[key[2]] = key
    for vantage, key in latest.items():
        if vantage not in chosen:
            left_out.append(
                f"vantage {quote(vantage)} is left out: its newest run is of {moment(key[0])}, "
                f"{span(newest[0] - key[0])} before the newest of all; see --within"
            )
    if len(chosen) < 2:
        whose = (
            f"those of {quote(newest[2])} alone" if newest[2] else "runs without a vantage alone"
        )
        raise RecordError(
            ", ".join(names[:3]),
            f"expected runs of two vantages at one time, found {whose}",
            "name runs of another --vantage, or widen --within; to judge one run name its file",
        )
    keys = set(chosen.values())
    found = {
        key_of(one.run): one for one in read_runs(names, notes, lambda run: key_of(run) in keys)
    }
    order = {one.run.vantage: one for one in found.values()}
    return list(order.values())
