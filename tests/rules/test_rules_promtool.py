"""Every alert on promtool: it fires, it stays quiet, and missing or old data is no alarm."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from rules_cases import FIRES, QUIET, connected, drops, state
from rules_file import RULES, alerts
from rules_programs import program, run
from rules_promtool import END, HOME, OLD, RUNS, Case, Story, check, expect, series, steady, step

SPEAK_OF_AGE = {"T3ProbeSilent", "T3ProbeWatchdog"}
TARGETS = (
    "T3Probe(LegDown|LegRefusing|DropBurst|EgressOnlyDivergence|BackendUnreachable"
    "|PublicPathWalledOff)"
)
ORPHANS = (
    f'count(max_over_time((ALERTS{{alertname=~"{TARGETS}", alertstate="firing"}} '
    'unless on (job, vantage) ALERTS{alertname="T3ProbeSegmentConvicted", alertstate="firing"})'
    f"[{END}m:30s]))"
)
"""How many targets fired at a time at which no segment was convicted."""


def tell(
    folder: Path,
    name: str,
    data: dict[str, str],
    exprs: Sequence[dict[str, object]] = (),
    texts: Sequence[dict[str, object]] = (),
) -> None:
    check(folder, Story(name, data, list(exprs), list(texts)))


def told() -> list[Case]:
    return [case for case in FIRES if case.alert not in SPEAK_OF_AGE]


def named(cases: list[Case]) -> list[object]:
    return [pytest.param(case, id=case.name.replace(": ", "-").replace(" ", "-")) for case in cases]


def test_rules_are_well_formed() -> None:
    code, said = run(program("promtool"), "check", "rules", str(RULES))
    assert code == 0, said
    assert "24 rules found" in said


def test_every_alert_has_stories() -> None:
    names = set(alerts())
    assert len(names) == 22
    assert {case.alert for case in FIRES} == names
    assert {case.alert for case in QUIET} == names - {"T3ProbeWatchdog"}
    assert all(case.at for case in FIRES)
    assert not any(case.at for case in QUIET)


@pytest.mark.parametrize("case", named(FIRES))
def test_fires(case: Case, tmp_path: Path) -> None:
    check(tmp_path, case.story_test())


@pytest.mark.parametrize("case", named(QUIET))
def test_stays_quiet(case: Case, tmp_path: Path) -> None:
    check(tmp_path, case.story_test())


def aged(case: Case) -> Case:
    """The same, and its last run was an hour before."""
    data = dict(case.data)
    for key in data:
        if key.startswith("push_"):  # these are times themselves
            data[key] = steady(-3600 if key.startswith("push_failure") else -7200)
    return replace(case, story="old data", data=data, runs=dict.fromkeys(case.runs, steady(-3600)))


def by_hand(data: dict[str, str]) -> dict[str, str]:
    """The same series under the job of runs by hand."""
    return {key.replace('"t3-probe"', '"t3-probe-manual"'): data[key] for key in data}


def usual(case: Case) -> bool:
    """Whether the case can share a world with others: no shards, no pushes of its own."""
    return case.runs == RUNS and not any(key.startswith("push_") for key in case.data)


def merged(runs: dict[str, str] = RUNS) -> dict[str, str]:
    """The series of many stories at once; of two with the same name, the first."""
    data = dict(runs)
    for case in FIRES:
        if usual(case):
            data |= {key: values for key, values in case.data.items() if key not in data}
    return data


@pytest.mark.parametrize("case", named(told()))
def test_old_data_is_no_alarm(case: Case, tmp_path: Path) -> None:
    check(tmp_path, replace(aged(case), at={}).story_test())


@pytest.mark.parametrize("missing", ["all but the runs", "the runs", "the right job"])
def test_missing_data_is_no_alarm(missing: str, tmp_path: Path) -> None:
    """Watched for every alert at once."""
    whole = merged()
    data = {
        "all but the runs": RUNS,
        "the runs": {key: whole[key] for key in whole if key not in RUNS},
        "the right job": by_hand(whole),
    }[missing]
    which = f'ALERTS{{alertname!~"{"|".join(SPEAK_OF_AGE)}", alertstate="firing"}}'
    tell(tmp_path, missing, data, [expect(f"max_over_time({which}[{END}m])", END, {})])
    # The same question finds them when nothing is missing.
    found = f"count(count by (alertname) (max_over_time({which}[{END}m])))"
    number = len({case.alert for case in FIRES if usual(case)} - SPEAK_OF_AGE)
    tell(tmp_path, "all there", whole, [expect(found, END, {"{}": number})])


def test_nothing_at_all_is_silence(tmp_path: Path) -> None:
    which = 'ALERTS{alertstate="firing", alertname!="T3ProbeWatchdog"}'
    bare = f"sum without (alertstate, severity) ({which})"
    tell(
        tmp_path,
        "nothing ever came",
        {},
        exprs=[
            expect(bare, 1.5, {}),
            expect(bare, 2, {'{alertname="T3ProbeSilent", job="t3-probe"}': 1}),
            expect(bare, 60, {'{alertname="T3ProbeSilent", job="t3-probe"}': 1}),
        ],
    )


def test_a_healthy_hour_with_two_missed_runs_is_quiet(tmp_path: Path) -> None:
    data = series("t3probe_run_timestamp_seconds", "0+60x10 600+0x1 780+60x86")
    for leg in ("cloudflare", "internal"):
        data |= connected(leg, steady(1)) | drops(leg, "rtt_timeout", steady(2))
        data |= series("t3probe_observed_seconds_total", f"0+35x{END}", leg=leg)
    data |= state("tunnel", "convicted", steady(0)) | state("tunnel", "exonerated", steady(1))
    data |= series("t3probe_run_complete", steady(1))
    data |= series("t3probe_loop_lag_seconds", steady(0.01))
    which = 'ALERTS{alertname!="T3ProbeWatchdog", alertstate="firing"}'
    tell(
        tmp_path,
        "healthy",
        data,
        exprs=[expect(f"count(max_over_time({which}[{END}m]))", END, {})],
    )


def test_when_runs_stop_only_silence_speaks_in_the_end(tmp_path: Path) -> None:
    data = merged(series("t3probe_run_timestamp_seconds", "0+60x30 1800+0x70"))
    bare = "count by (alertname) (ALERTS{alertstate='firing'})"
    speaking = {'{alertname="T3ProbeSilent"}': 1, '{alertname="T3ProbeWatchdog"}': 1}
    tell(
        tmp_path,
        "runs stop at minute 30",
        data,
        exprs=[
            expect(
                "count(count by (alertname) (ALERTS{alertstate='firing'})) > bool 6", 29, {"{}": 1}
            ),
            expect(bare, 52, speaking),
        ],
    )


def broken_tunnel(symptom: str) -> dict[str, str]:
    """Minutes 10 to 30: the tunnel is down, or cuts connections twice in every run."""
    data = RUNS | state("tunnel", "convicted", step(0, 10, 1, 30))
    data |= connected("internal", steady(1))
    for leg in ("cloudflare", "walloff-probe"):
        if symptom == "down":
            data |= connected(leg, step(1, 10, 0, 30))
            data |= drops(leg, "rtt_timeout", f"0+0x9 1+1x19 {steady(20, 70)}")
        else:
            data |= connected(leg, steady(1))
            data |= drops(leg, "connection_reset", f"0+0x9 2+2x19 {steady(40, 70)}")
    return data


@pytest.mark.parametrize("symptom", ["down", "cut"])
def test_a_convicted_segment_fires_before_its_legs_and_outlives_them(
    symptom: str, tmp_path: Path
) -> None:
    firing = "count(max_over_time(ALERTS{alertname=~'%s', alertstate='firing'}[100m])) > bool 0"
    tell(
        tmp_path,
        symptom,
        broken_tunnel(symptom),
        exprs=[expect(firing % TARGETS, END, {"{}": 1}), expect(ORPHANS, END, {})],
    )


def test_old_names_of_upstreams(tmp_path: Path) -> None:
    labels = {"route": "api", "listen_port": "10001", "backend": "orders"}
    text = 'job="t3-probe", vantage="cluster", route="api", listen_port="10001", backend="orders"'
    seen = series("t3probe_backend_reachable", steady(1), **labels)
    seen |= series("t3probe_backend_connect_seconds", steady(0.0125), **labels)
    seen |= series("t3probe_run_timestamp_seconds", "0+60x10 600+0x80")
    tell(
        tmp_path,
        "recording rules",
        seen,
        exprs=[
            expect("sigma_backend_reachable", 5, {f"sigma_backend_reachable{{{text}}}": 1}),
            expect(
                "sigma_backend_probe_latency_ms",
                5,
                {f"sigma_backend_probe_latency_ms{{{text}}}": 12.5},
            ),
            expect("sigma_backend_reachable", 20, {}),
            expect("sigma_backend_probe_latency_ms", 20, {}),
        ],
    )


WHY = re.compile(r"\{\{ with .*\{\{ end \}\}")
"""The part of a text that is asked for."""


def spoken(
    alert: str, minute: int, severity: str, summary: str, why: str = "", **labels: str
) -> dict[str, object]:
    """The check of an alert's text: the summary is pinned, the rest is as the file has it, `why` in
    place of what it asks for."""
    annotations = dict(alerts()[alert].annotations, summary=summary)
    for name, value in labels.items():
        annotations["description"] = annotations["description"].replace(
            "{{ $labels." + name + " }}", value
        )
    annotations["description"] = WHY.sub(why, annotations["description"])
    return {
        "eval_time": f"{minute}m",
        "alertname": alert,
        "exp_alerts": [
            {"exp_labels": {**labels, "severity": severity}, "exp_annotations": annotations}
        ],
    }


def test_the_page_names_the_segment(tmp_path: Path) -> None:
    labels = {**HOME, "segment": "tunnel"}
    summary = "tunnel is broken (seen from cluster)"
    text = spoken("T3ProbeSegmentConvicted", 15, "critical", summary, **labels)
    tell(tmp_path, "text", broken_tunnel("down"), texts=[text])


@pytest.mark.parametrize(
    ("cleared_by", "rest"),
    [
        ("edge (fresh beat)", " The rest of their paths was cleared by edge (fresh beat)."),
        ("", ""),
    ],
)
def test_the_page_says_why_and_since_when(cleared_by: str, rest: str, tmp_path: Path) -> None:
    labels = {**HOME, "segment": "tunnel"}
    summary = "tunnel is broken (seen from cluster)"
    why = f" Since 1970-01-01 00:09:30 +0000 UTC. Failed: cloudflare and page.{rest}"
    text = spoken("T3ProbeSegmentConvicted", 15, "critical", summary, why, **labels)
    seen = broken_tunnel("down")
    seen |= series("t3probe_segment_since_timestamp_seconds", steady(570), segment="tunnel")
    seen |= series(
        "t3probe_verdict_info",
        steady(1),
        segment="tunnel",
        legs="cloudflare and page",
        **({"cleared_by": cleared_by} if cleared_by else {}),
    )
    tell(tmp_path, "text", seen, texts=[text])


@pytest.mark.parametrize("vantage", ["cluster", ""])
def test_silence_names_the_vantage_it_knows(vantage: str, tmp_path: Path) -> None:
    summary = (
        f"No run from {vantage} for five minutes"
        if vantage
        else ("No run of t3probe has ever arrived")
    )
    labels = {"job": "t3-probe", "vantage": vantage} if vantage else {"job": "t3-probe"}
    text = spoken("T3ProbeSilent", 20, "warning", summary, **labels)
    tell(tmp_path, "text", OLD if vantage else {}, texts=[text])


def test_labels_in_texts_exist() -> None:
    """A label that an alert has not is an empty hole in its text, which promtool passes."""
    for case in FIRES:
        alert = alerts()[case.alert]
        used = set(re.findall(r"\$labels\.(\w+)", " ".join(alert.annotations.values())))
        known = {name for firing in case.at.values() for labels in firing for name in labels}
        assert used <= known, case.name
