"""Slowness on the lab, against what earlier runs left in a real Pushgateway."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest
from deliver.delivery_programs import RealGateway, get
from plugin_runner import Runner
from steady_lab import SteadyLab

from t3probe.deliver.metrics import baselines
from t3probe.deliver.sinks.gateway import read_group
from t3probe.lab.process import LabProcess
from t3probe.observation import Baseline, Observation, median, trips
from t3probe.record.facts import Recording
from t3probe.text.words import glossed
from t3probe.verdict.incident.run import judge_run
from t3probe.verdict.slow.baseline import MIN_BEATS
from t3probe.verdict.slow.slowness import Slowness

TIMING = {"hold": "1600ms", "heartbeat": "200ms", "slow_floor": "60ms"}
SHARED = {**TIMING, "slow_floor": "200ms"}
"""Of the lab that is a process: it shares the processor with whatever else the machine does, and
its floor is over what that adds."""
SLOW = ("wan", "doh", "cf-edge", "tunnel", "traefik", "carve-out", "devvm", "dispatch", "serve")
DELAY = 0.15
FAULT = "{}:slow:150ms"
GLOSS = {"tunnel": "or what the CDN does with this path"}


@dataclass
class Setting:
    """A lab, and a gateway in which good runs have left what is usual; and a lab on whose clock
    only waiting takes time, for what is told from round trips."""

    lab: LabProcess
    steady: SteadyLab
    usual: dict[str, Baseline]
    """What is usual in the steady lab."""
    gateway: RealGateway
    folder: Path
    learned: dict[str, Baseline]
    outputs: list[str]

    def gauges(self, name: str) -> dict[str, float]:
        """A family of the group as the gateway shows it, by segment or leg."""
        found = json.loads(get(self.gateway.url + "/api/v1/metrics"))["data"]
        (group,) = [one for one in found if "part" not in one["labels"]]
        return {
            one["labels"].get("segment") or one["labels"]["leg"]: float(one["value"])
            for one in group.get(name, {"metrics": []})["metrics"]
        }

    def run(self, *faults: str, legs: tuple[str, ...] = (), hold: float | None = None) -> Slowness:
        """One run of these legs (all: none named) under these faults."""
        deployment = self.steady.deployment()
        session = self.steady.session(deployment, hold)
        session.baselines = dict(self.usual)
        names = legs or [one.name for one in deployment.legs]
        self.steady.measure(session, names, faults)
        return judge_run(session.record(), session.recorded()).slowness


def learned_by(gateway: RealGateway) -> dict[str, Baseline]:
    """What the gateway holds of earlier runs."""
    body = get(gateway.url + "/api/v1/metrics")
    group, _ = read_group(body, {"job": "t3-probe"}, {"part": "upstreams"})
    return baselines(group)


def steady_baselines(lab: SteadyLab) -> dict[str, Baseline]:
    """What a gateway would hold after many runs of this lab, when nothing is slow."""
    deployment = lab.deployment()
    session = lab.session(deployment, None)
    lab.measure(session, [one.name for one in deployment.legs], [])
    return {
        seen.leg: Baseline(
            beats=300,
            moving_seconds=median(trips(seen.beats)),
        )
        for seen in session.recorded()
    }


@pytest.fixture(scope="module")
def setting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Setting]:
    folder = tmp_path_factory.mktemp("slowness")
    gateway = RealGateway(folder)
    gateway.start()
    try:
        with LabProcess(timing=SHARED) as lab, SteadyLab(folder, TIMING, pace=8.0) as steady:
            checks = Runner(lab, folder)
            outputs: list[str] = []
            learned: dict[str, Baseline] = {}
            # Five runs, or more where a busy machine leaves few beats in each.
            while len(outputs) < 5 or min(one.beats for one in learned.values()) < MIN_BEATS + 10:
                assert len(outputs) < 20, learned
                learned = learned_by(gateway)
                done = checks("--exit-delivered", "--gateway", gateway.url)
                assert done.code == 0, done.output
                outputs.append(json.dumps(done.verdict["slowness"]))
            usual = steady_baselines(steady)
            yield Setting(lab, steady, usual, gateway, folder, learned_by(gateway), outputs)
    finally:
        gateway.stop()


def adding(found: Slowness) -> list[str]:
    return [name for name, value in found.segments.items() if value]


def test_the_first_runs_learn_and_judge_nothing(setting: Setting) -> None:
    first, last = (json.loads(setting.outputs[at]) for at in (0, -1))
    assert first["status"] == "unknown"
    assert first["segments"] == first["legs"] == {}
    # The lab shares our processor: on a busy machine what answers may really be slow. It is judged.
    slow = [one for one in last["legs"].values() if one["slow"]]
    assert (last["status"] == "usual") == (not slow), last
    assert all(one["excess_seconds"] > 0.2 for one in slow), last
    assert set(last["legs"]) == set(setting.learned)
    for name in ("cloudflare", "internal", "egress", "walloff-probe"):
        learned = setting.learned[name]
        assert learned.moving_seconds is not None
        assert learned.low_seconds is not None
        assert learned.high_seconds is not None
        assert learned.low_seconds / 2 <= learned.moving_seconds <= 2 * learned.high_seconds
    assert set(setting.gauges("t3probe_rtt_baseline_seconds")) == set(setting.learned)


@pytest.mark.parametrize("segment", SLOW)
def test_a_slow_segment_is_named(setting: Setting, segment: str) -> None:
    found = setting.run(FAULT.format(segment))
    assert adding(found) == [segment], found.to_dict()
    assert found.status == "localised"
    assert found.segments[segment] == pytest.approx(DELAY, rel=0.3)


@pytest.mark.parametrize(
    ("segment", "legs", "group"),
    [
        ("cf-edge", ("resolver", "cloudflare", "internal"), ("cf-edge", "tunnel")),
        ("tunnel", ("resolver", "cloudflare", "internal"), ("cf-edge", "tunnel")),
        ("wan", ("edge", "internal"), ("wan", "cf-edge")),
        ("devvm", ("traefik", "dispatch"), ("devvm", "dispatch")),
        ("carve-out", ("internal", "dispatch"), ("traefik", "carve-out")),
    ],
)
def test_what_these_legs_cannot_tell_apart_is_a_group(
    setting: Setting, segment: str, legs: tuple[str, ...], group: tuple[str, ...]
) -> None:
    found = setting.run(FAULT.format(segment), legs=legs)
    assert adding(found) == [], found.to_dict()
    assert found.status == "ambiguous"
    (told,) = found.explained.sure
    assert told.segments == group
    assert told.seconds == pytest.approx(DELAY, rel=0.3)
    named = " or ".join(glossed(group, GLOSS))
    assert found.text.startswith(f"one of {named} is slow and adds ")


def test_two_slow_segments_are_two(setting: Setting) -> None:
    # Opening one of these connections takes up to two seconds, and three held beats as long.
    found = setting.run("cf-edge:slow:150ms", "devvm:slow:400ms", hold=5)
    assert adding(found) == ["cf-edge", "devvm"], found.to_dict()
    assert "more than one segment is slow" in found.text


def test_what_the_cdn_adds(setting: Setting) -> None:
    takes = setting.run("cf-edge:slow:150ms").latency
    assert takes.segments["cf-edge"] == pytest.approx(DELAY, rel=0.3)
    groups = dict(setting.run("tunnel:slow:150ms", legs=("cloudflare", "internal")).latency.groups)
    assert groups[("wan", "cf-edge", "tunnel")] == pytest.approx(DELAY, rel=0.3)


def test_the_scheduled_job_publishes_it_and_its_file_alone_says_the_same(setting: Setting) -> None:
    checks = Runner(setting.lab, setting.folder)
    # By far more than a busy machine adds.
    setting.lab.switch(["cf-edge:slow:500ms", "serve:refuse"])
    try:
        done = checks("--exit-delivered", "--gateway", setting.gateway.url, "--hold", "6s")
    finally:
        setting.lab.clear()
    assert done.code == 0, done.output
    assert done.verdict["convicted"] == ["serve"]
    assert re.search(r"also slow     cf-edge is slow and adds [4-6]\d\d ms", done.output)
    excess = setting.gauges("t3probe_segment_excess_seconds")
    assert excess["cf-edge"] == pytest.approx(0.5, rel=0.3)
    assert excess["traefik"] == 0
    assert "serve" not in excess
    assert "cf-edge" in setting.gauges("t3probe_segment_latency_seconds")
    recording: Recording = done.recording
    again = judge_run(recording.run, recording.observations).to_dict()
    assert again["slowness"] == done.verdict["slowness"]
    # A slow run hardly moves what is usual.
    usual = setting.gauges("t3probe_rtt_baseline_seconds")
    before = setting.learned["edge"].moving_seconds
    assert before is not None
    assert usual["edge"] <= before + 0.5 * 1.3 / 1000


def test_without_a_gateway_nothing_is_judged(setting: Setting) -> None:
    checks = Runner(setting.lab, setting.folder)
    setting.lab.switch(["cf-edge:slow:150ms"])
    try:
        unread = checks("--push", "--gateway", "http://127.0.0.1:1")
        alone = checks()
    finally:
        setting.lab.clear()
    for done in (unread, alone):
        assert done.verdict["slowness"]["status"] == "unknown"
        assert done.verdict["slowness"]["segments"] == {}
        assert all(one.baseline is None for one in done.legs.values())


def test_an_observation_keeps_its_baseline_in_the_record() -> None:
    seen = Observation(
        leg="x", kind="http", path=("a",), outcome="passed",
        baseline=Baseline(beats=31, low_seconds=0.025, high_seconds=0.05, moving_seconds=0.03),
    )  # fmt: skip
    assert msgspec.json.decode(msgspec.json.encode(seen), type=Observation) == seen
