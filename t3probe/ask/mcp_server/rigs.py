"""What is known of remote rigs, out of a recorded run or a Pushgateway's metrics."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from t3probe.ask.mcp_server.answers import ExperimentsAnswer, RigRow, SourceInfo, short
from t3probe.deliver.metrics.carry import Family, Group, Histogram
from t3probe.observation import Observation
from t3probe.verdict.incident.evidence import takes_part


def of_observations(source: SourceInfo, seen: Sequence[Observation]) -> ExperimentsAnswer:
    """What a run found."""
    found: dict[str, list[Observation]] = {}
    for one in seen:
        if one.kind in ("stream", "jump"):
            found.setdefault(one.labels.get("experiment", ""), []).append(one)
    return _answer(source, [_rig(name, legs) for name, legs in sorted(found.items())])


def _rig(name: str, legs: Sequence[Observation]) -> RigRow:
    streams = {one.labels.get("stream", ""): one for one in legs if one.kind == "stream"}
    jump = next((one for one in legs if one.kind == "jump"), None)
    wrong = [one for one in legs if takes_part(one) and one.outcome != "passed"]
    return RigRow(
        name=short(name),
        available=_all(
            None if not takes_part(s) else s.outcome != "failed" for s in streams.values()
        ),
        healthy=_all(one.outcome == "passed" if takes_part(one) else None for one in legs),
        jump=None if jump is None or not takes_part(jump) else jump.outcome == "passed",
        streams={
            short(stream): one.outcome == "passed"
            for stream, one in streams.items()
            if takes_part(one)
        },
        details=tuple(short(f"{one.leg}: {one.detail}") for one in wrong),
    )


def _all(parts: Iterable[bool | None]) -> bool | None:
    told = list(parts)
    return False if False in told else None if None in told or not told else True


def of_metrics(source: SourceInfo, group: Group) -> ExperimentsAnswer:
    """What a gateway has."""
    available = _gauge(group, "t3probe_experiment_available")
    healthy = _gauge(group, "t3probe_experiment_healthy")
    jumps = _gauge(group, "t3probe_jump_connected")
    active = _gauge(group, "t3probe_stream_active")
    names = dict.fromkeys(rig for rig, _ in (*available, *healthy, *jumps, *active))
    rows = [
        RigRow(
            name=short(name),
            available=available.get((name, "")),
            healthy=healthy.get((name, "")),
            jump=jumps.get((name, "")),
            streams={short(stream): on for (rig, stream), on in active.items() if rig == name},
        )
        for name in sorted(names)
    ]
    return _answer(source, rows)


def _gauge(group: Group, name: str) -> Mapping[tuple[str, str], bool]:
    found = {}
    for key, value in group.get(name, Family("gauge")).series.items():
        if not isinstance(value, Histogram):
            labels = dict(key)
            found[labels.get("experiment", ""), labels.get("stream", "")] = value >= 1
    return found


def _answer(source: SourceInfo, rows: Sequence[RigRow]) -> ExperimentsAnswer:
    count = Counter(one.healthy for one in rows)
    sentence = "no rig is known; a deployment file names them under [experiments]"
    if rows:
        sentence = f"{count[True]} of {len(rows)} rigs are healthy"
        if count[False]:
            sentence += f", {count[False]} not"
        if count[None]:
            sentence += f"; of {count[None]} it is not known"
    ranked = sorted(rows, key=lambda one: (False, None, True).index(one.healthy))
    return ExperimentsAnswer(
        source=source, sentence=sentence, total=len(rows), healthy=count[True],
        unhealthy=count[False], unknown=count[None], rigs=tuple(ranked), not_listed=0,
    )  # fmt: skip
