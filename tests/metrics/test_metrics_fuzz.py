"""Whatever was observed, the exposition is valid, whole, and holds no name from outside."""

from __future__ import annotations

import math
import re

from hypothesis import given, settings
from hypothesis import strategies as st
from metrics_record import values
from prometheus_client import generate_latest
from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from t3probe import __version__
from t3probe.deliver import metrics
from t3probe.deliver.metrics import carry
from t3probe.deliver.metrics.exposition import rendered
from t3probe.deliver.metrics.table import CLOSED, PHASES
from t3probe.observation import (
    OUTCOMES,
    REASONS,
    Beat,
    Drop,
    Observation,
    OpinionView,
    RunRecord,
)
from t3probe.verdict.incident.evidence import HOW
from t3probe.verdict.incident.run import judge_run

NAMES = ("edge", "internal", "walloff-a", "envoy-a", "envoy-b", 'q"u\\o\nte', "é\u2028\r", "")
SEGMENTS = ("wan", "cf-edge", "ser\nve", '"', "\\")
STRANGE = ("from the network", "\ud800", "\x00", "é")
LABELS = {
    "path": ("/", '/a"b\\', "/\n"),
    "expected": ("public", "walled"),
    "route": ("api", ""),
    "listen_port": ("8080", ""),
    "backend": ("a", "b"),
}
TIME = st.floats(-1e3, 1e6)
NUMBER = st.one_of(st.floats(0, 100), st.floats(allow_nan=False, allow_infinity=False))
BEATS = st.builds(
    Beat, sent=NUMBER, ended=NUMBER, ok=st.booleans(), conn=st.integers(0, 3),
    measured_seconds=st.none() | NUMBER,
)  # fmt: skip
DROPS = st.builds(
    Drop, began=TIME, noticed=TIME, reason=st.sampled_from(REASONS),
    symptom=st.sampled_from(["down", "cut", "unknown"]), stage=st.sampled_from(["ask", "hold"]),
    call=st.integers(0, 3), detail=st.sampled_from(STRANGE), stalled=st.booleans(),
    connection_age_seconds=st.none() | NUMBER, remote_address=st.sampled_from(STRANGE),
)  # fmt: skip
OBSERVATIONS = st.builds(
    Observation,
    leg=st.sampled_from(NAMES),
    kind=st.sampled_from(["ws_echo", "tcp", "walloff", "walled", "check"]),
    path=st.lists(st.sampled_from(SEGMENTS), unique=True, min_size=1).map(tuple),
    outcome=st.sampled_from(OUTCOMES),
    reason=st.none() | st.sampled_from(REASONS),
    detail=st.sampled_from(STRANGE),
    started=NUMBER,
    ended=NUMBER,
    observed_seconds=NUMBER,
    connected=st.sampled_from([None, True, False]),
    beats=st.lists(BEATS, max_size=4).map(tuple),
    drops=st.lists(DROPS, max_size=3).map(tuple),
    phases=st.dictionaries(st.sampled_from([*PHASES, *STRANGE]), NUMBER),
    address=st.sampled_from(STRANGE),
    cert_not_after=st.none() | NUMBER,
    cf_ray=st.sampled_from(STRANGE),
    planned=st.sampled_from(["", "until noon"]),
    after_hold=st.booleans(),
    labels=st.fixed_dictionaries(
        {}, optional={name: st.sampled_from(values) for name, values in LABELS.items()}
    ),
)
OPINIONS = st.builds(
    OpinionView,
    name=st.sampled_from(NAMES),
    segment=st.sampled_from(SEGMENTS),
    kind=st.sampled_from(STRANGE),
    opinion=st.sampled_from(["healthy", "degraded", "unhealthy", "unknown"]),
    steady=st.booleans(),
    detail=st.sampled_from(STRANGE),
    label=st.sampled_from([None, "", "convicted", "exonerated", *STRANGE]),
)
RUNS = st.builds(
    RunRecord,
    segments=st.lists(st.sampled_from(SEGMENTS)).map(tuple),
    started_at=st.floats(0, 4e9),
    duration_seconds=NUMBER,
    complete=st.booleans(),
    interrupted=st.booleans(),
    loop_lag_seconds=NUMBER,
    vantage=st.sampled_from(STRANGE),
    opinions=st.lists(OPINIONS, max_size=3).map(tuple),
)
ALLOWED = {
    "leg": NAMES,
    "opinion": NAMES,
    "check": NAMES,
    "segment": SEGMENTS,
    "version": (__version__,),
    **LABELS,
    "backend": (*LABELS["backend"], *NAMES),
    **CLOSED,
}


def as_the_library_writes(families: list[Metric]) -> str:
    class Once(Collector):
        def collect(self) -> list[Metric]:
            return families

    return generate_latest(Once()).decode()


def made(run: RunRecord, seen: list[Observation]) -> carry.Group:
    return metrics.families(run, seen, judge_run(run, seen))


@settings(max_examples=150, deadline=None)
@given(run=RUNS, seen=st.lists(OBSERVATIONS, max_size=5))
def test_any_run_is_valid_and_true(run: RunRecord, seen: list[Observation]) -> None:
    group = made(run, seen)
    # Prometheus's own reader gets back what was meant, and writes it the same.
    text = rendered(group).decode()
    families = list(text_string_to_metric_families(text))
    assert list(carry.from_metrics(families).items()) == list(group.items())
    assert text == as_the_library_writes(families)
    assert text == "" or text.endswith("\n")

    samples = [sample for one in families for sample in one.samples]
    keys = [(one.name, tuple(sorted(one.labels.items()))) for one in samples]
    assert len(set(keys)) == len(keys)
    assert len({one.name for one in families}) == len(families)
    for sample in samples:
        assert math.isfinite(sample.value)
        for name, value in sample.labels.items():
            if name in ("legs", "cleared_by"):
                for piece in re.split(", | and ", value):
                    # Of two legs of one name the second one has a number: `x (2) (beside)`.
                    found = re.fullmatch(r"(?s)(.*?)(?: \(\d+\))?(?: \(([a-z ]+)\))?", piece)
                    assert found is not None
                    assert found[1] in (*NAMES, "") or re.fullmatch(r"[0-9]+ more", found[1])
                    assert found[2] in (*HOW, None)
            elif name != "le":
                assert value in ALLOWED[name] or value.removeprefix("envoy-") in ALLOWED[name]
                assert value not in STRANGE[:1]

    states: dict[str, list[float]] = {}
    for one in families:
        if one.type == "counter":
            assert all(sample.value >= 0 for sample in one.samples)
        if one.type == "histogram":
            _check_histogram(one)
        if one.name == "t3probe_segment_state":
            for sample in one.samples:
                states.setdefault(sample.labels["segment"], []).append(sample.value)
    assert set(states) == set(run.segments)
    assert all(sorted(five) == [0, 0, 0, 0, 1] for five in states.values())

    drops: dict[str, int] = {}
    for leg in seen:
        if not (leg.leg.startswith("envoy-") or leg.after_hold):
            counts = leg.outcome != "inconclusive" and not leg.planned
            number = sum(not drop.stalled for drop in leg.drops) if counts else 0
            drops[leg.leg] = drops.get(leg.leg, 0) + number
    counted: dict[str, float] = dict.fromkeys(drops, 0.0)
    for sample in samples:
        if sample.name == "t3probe_disconnects_total":
            counted[sample.labels["leg"]] += sample.value
    assert counted == drops


def _check_histogram(family: Metric) -> None:
    groups: dict[str, dict[str, float]] = {}
    for sample in family.samples:
        group = groups.setdefault(sample.labels["leg"], {})
        group[sample.labels.get("le", sample.name.rpartition("_")[2])] = sample.value
    for group in groups.values():
        total, summed = group.pop("count"), group.pop("sum")
        assert [float(bound) for bound in group] == sorted(float(bound) for bound in group)
        assert list(group.values()) == sorted(group.values())
        assert group["+Inf"] == total
        assert summed >= 0
        assert (summed == 0) or total > 0


@settings(max_examples=60, deadline=None)
@given(run=RUNS, runs=st.lists(st.lists(OBSERVATIONS, max_size=3), min_size=2, max_size=4))
def test_counters_continue_through_any_runs(run: RunRecord, runs: list[list[Observation]]) -> None:
    """Legs that come and go take their counts along; those that stay lose none."""
    before: carry.Group = {}
    truth: dict[str, float] = {}
    for seen in runs:
        own = made(run, seen)
        adds = values({name: one for name, one in own.items() if one.kind != "gauge"})
        truth = {key: truth.get(key, 0.0) + value for key, value in adds.items()}
        text = rendered(carry.continued(before, own)).decode()
        before = carry.standing(text_string_to_metric_families(text), own)
        found = values(before)
        assert {key: found[key] for key in truth} == truth
