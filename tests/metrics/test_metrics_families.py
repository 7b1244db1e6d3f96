"""What a run says as metrics: the text of a recorded run, and the rules one by one."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from unittest import mock

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from metrics_record import (
    CLOUDFLARE,
    COLLAPSED,
    DEPLOYMENT,
    EGRESS,
    INTERNAL,
    OWN,
    PLANNED,
    RUN,
    SEEN,
    UPSTREAMS,
    WALLED,
    WALLOFF,
    recorded,
    values,
)

from t3probe.deliver import metrics
from t3probe.deliver.metrics import build
from t3probe.deliver.metrics.build import CHECK_NAME_LIMIT, CHECKS_LIMIT
from t3probe.deliver.metrics.table import GATE_CHECKS
from t3probe.observation import REASONS, Baseline, Observation
from t3probe.verdict.incident.run import judge_run

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
replace = msgspec.structs.replace
SENT_TO_THE_SSO = replace(WALLED.drops[0], reason="walled_off")


def said(*seen: Observation) -> dict[str, float]:
    return values(recorded(RUN, seen))


def test_the_text_of_a_recorded_run_byte_for_byte() -> None:
    assert metrics.rendered(recorded()) == (HERE / "recorded.prom").read_bytes()


@pytest.mark.parametrize("what", ["run", "zeros", "another suite"])
def test_promtool_finds_nothing(what: str) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        assert not os.environ.get("CI"), "promtool must be there in CI: apt install prometheus"
        pytest.skip("promtool is not installed; on Debian: apt install prometheus")
    families = {
        "run": recorded(),
        "zeros": metrics.zeros(DEPLOYMENT),
        "another suite": metrics.check_families([("a", True, 1.0)]),
    }[what]
    told = subprocess.run(
        [promtool, "check", "metrics"], input=metrics.rendered(families), capture_output=True
    )
    assert (told.returncode, told.stdout, told.stderr) == (0, b"", b"")


def test_names_types_and_labels_are_the_tables() -> None:
    for name, family in [*recorded().items(), *metrics.zeros(DEPLOYMENT).items()]:
        spec = metrics.BY_NAME[name]
        assert (family.kind, family.help) == (spec.type, spec.help)
        for key in family.series:
            assert [label for label, _ in key] == sorted(spec.labels)


ELSEWHERE = {
    *("t3probe_backend_disagreement", "t3probe_delivery_mark"),
    *("t3probe_experiment_healthy", "t3probe_experiment_available", "t3probe_jump_connected"),
    *("t3probe_stream_active", "t3probe_stream_age_seconds"),
    *("t3probe_experiment_events_total", "t3probe_book_mismatch"),
    "t3probe_connection_limit_seconds",
    *("t3probe_verdict_info", "t3probe_segment_since_timestamp_seconds"),
}
"""What the recorded run cannot say: it needs Envoy's own view, a delivery, a conviction, a limit,
rigs, or the held mode."""


def test_every_family_is_in_the_recorded_run_and_in_the_tables_order() -> None:
    assert list(recorded()) == [spec.name for spec in metrics.TABLE if spec.name not in ELSEWHERE]


# -- legs ----------------------------------------------------------------------------------


def test_every_reason_of_every_leg_exists_at_zero() -> None:
    found = said(INTERNAL)
    for reason in REASONS:
        assert found[f"t3probe_disconnects_total leg=internal reason={reason}"] == 0


def test_inconclusive_legs_add_nothing_and_have_no_state() -> None:
    found = said(COLLAPSED)
    assert {name for name, value in found.items() if "leg=edge" in name and value} == set()
    assert "t3probe_connected leg=edge" not in found
    assert "t3probe_last_disconnect_timestamp leg=edge" not in found
    assert "t3probe_phase_seconds leg=edge phase=connect" not in found
    assert "t3probe_check_success check=edge" not in found
    assert found["t3probe_check_duration_seconds check=edge"] == 2
    assert found["t3probe_rtt_seconds_count leg=edge"] == 0
    # What it saw was another route's certificate; otherwise it is the leg's own.
    name = "t3probe_tls_cert_expiry_timestamp_seconds leg=edge"
    assert name not in found
    assert said(replace(COLLAPSED, reason="http_5xx"))[name] == COLLAPSED.cert_not_after


def test_planned_legs_add_nothing_and_are_marked() -> None:
    found = said(PLANNED)
    assert found["t3probe_planned leg=t3serve"] == 1
    assert found["t3probe_tls_cert_expiry_timestamp_seconds leg=t3serve"] == PLANNED.cert_not_after
    assert found["t3probe_disconnects_total leg=t3serve reason=connect_refused"] == 0
    assert found["t3probe_observed_seconds_total leg=t3serve"] == 0
    for name in ("t3probe_connected leg=t3serve", "t3probe_check_success check=t3serve"):
        assert name not in found
        assert name in said(replace(PLANNED, planned=""))
    assert said(INTERNAL)["t3probe_planned leg=internal"] == 0


def test_our_own_stalls_are_no_disconnects() -> None:
    found = said(CLOUDFLARE)
    assert found["t3probe_disconnects_total leg=cloudflare reason=closed_by_peer"] == 1
    assert found["t3probe_disconnects_total leg=cloudflare reason=rtt_timeout"] == 0
    assert found["t3probe_connection_age_seconds_count leg=cloudflare"] == 1
    assert found["t3probe_last_disconnect_timestamp leg=cloudflare"] == RUN.started_at + 21


def test_only_good_beats_have_a_round_trip() -> None:
    found = said(CLOUDFLARE)
    assert found["t3probe_rtt_seconds_count leg=cloudflare"] == 3
    assert found["t3probe_rtt_seconds_bucket le=0.05 leg=cloudflare"] == 1
    # A value on a bound belongs to that bound's bucket.
    assert found["t3probe_rtt_seconds_bucket le=0.25 leg=cloudflare"] == 3


def test_the_buckets_asked_for_are_there() -> None:
    rtt = {0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20}
    assert rtt <= set(metrics.BY_NAME["t3probe_rtt_seconds"].buckets)
    ages = metrics.BY_NAME["t3probe_connection_age_seconds"].buckets
    assert ages == (10, 30, 60, 300, 900, 3600, 14400, 86400)


def test_phases_are_those_of_the_closed_list() -> None:
    found = {name for name in said(CLOUDFLARE) if name.startswith("t3probe_phase_seconds")}
    assert {name.rpartition("=")[2] for name in found} == {
        "resolve",
        "connect",
        "tls",
        "first_echo",
    }


# -- upstreams, walls, checks, segments ------------------------------------------------------


def test_upstreams_have_their_own_families_and_no_others() -> None:
    found = said(*UPSTREAMS)
    label = "backend={} listen_port=8080 route=api"
    assert found["t3probe_backend_reachable " + label.format("a")] == 1
    assert found["t3probe_backend_connect_seconds " + label.format("a")] == 0.25
    assert found["t3probe_backend_reachable " + label.format("b")] == 0
    assert "t3probe_backend_connect_seconds " + label.format("b") not in found
    assert not [name for name in found if "leg=" in name or "check=" in name]


def test_upstreams_of_an_older_record_are_still_told_apart() -> None:
    found = said(*(replace(one, labels={}) for one in UPSTREAMS))
    assert found["t3probe_backend_reachable backend=b listen_port= route="] == 0


def test_what_was_not_measured_of_an_upstream_is_absent() -> None:
    for changes in ({"outcome": "inconclusive", "connected": None}, {"planned": "until noon"}):
        found = said(replace(UPSTREAMS[0], **changes))
        assert not [name for name in found if "t3probe_backend" in name]


@pytest.mark.parametrize(
    ("seen", "value"),
    [
        (WALLOFF, 0.0),
        (replace(WALLED, labels=WALLOFF.labels, drops=(SENT_TO_THE_SSO,)), 1.0),
        (WALLED, 0.0),
        (replace(WALLED, outcome="passed", reason=None, drops=()), 1.0),
        (replace(WALLED, drops=(replace(WALLED.drops[0], reason="io_error"),)), None),
        (replace(WALLOFF, outcome="inconclusive"), None),
        (replace(WALLOFF, planned="until noon"), None),
        (replace(WALLOFF, labels={}), None),
    ],
)
def test_walls(seen: Observation, value: float | None) -> None:
    found = {name: one for name, one in said(seen).items() if "t3probe_walled_off" in name}
    assert list(found.values()) == ([] if value is None else [value])


def test_two_hosts_with_one_path_show_the_one_that_is_wrong() -> None:
    well = replace(WALLED, leg="walled-other", outcome="passed", reason=None, drops=())
    for pair in ((WALLED, well), (well, WALLED)):
        assert said(*pair)["t3probe_walled_off expected=walled path=/"] == 0


GATE = Observation(
    leg="ingest-metrics-gate", kind="ingest_gate", path=("traefik",), outcome="passed",
    labels={"gate": "metrics"}, gate={"no_token": True, "paths": False},
)  # fmt: skip
WHOLE = replace(GATE, leg="ingest-metrics", kind="ingest", gate={"token": True, "no_token": False})


def test_a_gate_shows_what_was_asked_and_of_two_answers_the_open_one() -> None:
    found = {name: one for name, one in said(GATE, WHOLE).items() if "ingest_gate" in name}
    assert found == {
        "t3probe_ingest_gate check=no_token gate=metrics": 0,
        "t3probe_ingest_gate check=paths gate=metrics": 0,
        "t3probe_ingest_gate check=token gate=metrics": 1,
    }


def test_what_no_gate_is_asked_is_no_label() -> None:
    strange = replace(GATE, gate={"of_a_strange_record": False})
    assert not [one for one in said(strange) if "ingest_gate" in one]


def test_the_runbook_says_what_to_do_about_everything_that_a_gate_is_asked() -> None:
    runbook = (ROOT / "docs" / "runbook.md").read_text()
    for check in set(GATE_CHECKS) - {"token"}:
        assert f"| `{check}` |" in runbook, check


def test_a_refused_token_shows_though_its_leg_could_not_tell() -> None:
    untold = replace(WHOLE, outcome="inconclusive", reason="token_refused", gate={"token": False})
    assert said(untold)["t3probe_ingest_gate check=token gate=metrics"] == 0
    for hidden in (replace(untold, planned="until noon"), replace(untold, reason="leg_collapsed")):
        assert not [name for name in said(hidden) if "ingest_gate" in name]


def test_checks_with_their_own_body_are_no_legs() -> None:
    found = said(OWN)
    assert found["t3probe_check_success check=test_invoice"] == 1
    assert not [name for name in found if "leg=" in name]


def test_degraded_passes() -> None:
    found = said(replace(INTERNAL, outcome="degraded"))
    assert found["t3probe_check_success check=internal"] == 1
    assert found["t3probe_connected leg=internal"] == 1


def test_own_segments_have_no_state() -> None:
    found = {name for name in values(recorded()) if name.startswith("t3probe_segment_state")}
    assert not [name for name in found if "upstream-" in name]
    assert len(found) == 5 * len(RUN.segments)


@pytest.mark.parametrize("changes", [{"interrupted": True}, {"partial": True}, {"complete": False}])
def test_a_run_that_is_not_whole_says_so(changes: dict[str, bool]) -> None:
    assert values(recorded())["t3probe_run_complete"] == 1
    assert values(recorded(replace(RUN, **changes)))["t3probe_run_complete"] == 0


def test_what_only_a_delivery_knows_can_be_given() -> None:
    found = values(
        metrics.families(RUN, SEEN, judge_run(RUN, SEEN), counts_lost=3, runs_overlapped=1)
    )
    assert found["t3probe_counts_lost_total"] == 3
    assert found["t3probe_runs_overlapped_total"] == 1


# -- zeros -----------------------------------------------------------------------------------


def test_zeros_are_the_counters_and_histograms_of_a_full_run() -> None:
    zeros = metrics.zeros(DEPLOYMENT)
    whole = {name: one for name, one in recorded().items() if one.kind != "gauge"}
    assert set(values(zeros)) == set(values(whole))
    assert set(values(zeros).values()) == {0.0}


def test_zeros_are_of_the_legs_that_this_vantage_runs() -> None:
    first, *others = DEPLOYMENT.legs
    legs = (replace(first, vantages=("lan",)), *others)
    deployment = replace(DEPLOYMENT, legs=legs, vantage="ci")
    name = f"t3probe_observed_seconds_total leg={first.name}"
    assert name not in values(metrics.zeros(deployment))
    assert name in values(metrics.zeros(deployment, "lan"))


# -- another suite's checks --------------------------------------------------------------------


def test_another_suites_checks() -> None:
    found = values(metrics.check_families([("a", True, 1.5), ("b", False, 0.0), ("c", None, 2.0)]))
    assert found == {
        "t3probe_check_success check=a": 1,
        "t3probe_check_success check=b": 0,
        "t3probe_check_duration_seconds check=a": 1.5,
        "t3probe_check_duration_seconds check=b": 0,
    }


def test_another_suites_checks_are_bounded_and_one_failure_of_a_name_counts() -> None:
    many = [(f"check {number}", True, 1.0) for number in range(CHECKS_LIMIT + 50)]
    long = [(start + "x" * 10_000, start != "b", 1.0) for start in "abc"]
    found = values(metrics.check_families([*many, *long]))
    assert len(found) == 2 * CHECKS_LIMIT
    assert found["t3probe_check_success check=" + "x" * CHECK_NAME_LIMIT] == 0


@given(st.lists(st.sampled_from([True, False, None]), max_size=60), st.integers(1, 30))
def test_what_is_cut_of_another_suite_passed(outcomes: list[bool | None], most: int) -> None:
    checks = [(f"{n}", passed, None) for n, passed in enumerate(outcomes)]
    with mock.patch.object(build, "CHECKS_LIMIT", most):
        found = list(values(metrics.check_families(checks)).values())
    assert len(found) == min(most, len(outcomes) - outcomes.count(None))
    assert found.count(0) == min(most, outcomes.count(False))


def test_what_is_no_number_of_seconds_is_not_published() -> None:
    endless = replace(INTERNAL, started=-1.7e308, ended=1.7e308, observed_seconds=-5.0)
    found = said(endless)
    assert "t3probe_check_duration_seconds check=internal" not in found
    assert found["t3probe_observed_seconds_total leg=internal"] == 0


# -- slowness ----------------------------------------------------------------------------------


USUAL = Baseline(beats=900, low_seconds=0.25, high_seconds=0.5, moving_seconds=0.1)
SLOW = "t3probe_segment_excess_seconds segment="
BASELINE = "t3probe_rtt_baseline_seconds leg=internal"


def test_what_slows_a_segment_is_told_and_hardly_moves_what_is_usual() -> None:
    found = said(replace(INTERNAL, baseline=USUAL))
    assert found[SLOW + "traefik"] == pytest.approx(0.4)
    assert found[BASELINE] == pytest.approx(0.1 + 0.4 / 1440)
    assert SLOW + "wan" not in found


def test_a_run_that_could_read_nothing_replaces_nothing() -> None:
    for seen in (
        replace(INTERNAL, baseline=None),
        replace(INTERNAL, baseline=USUAL, outcome="failed"),
        replace(INTERNAL, baseline=USUAL, outcome="inconclusive"),
        replace(INTERNAL, baseline=USUAL, planned="until noon"),
        replace(INTERNAL, baseline=USUAL, beats=INTERNAL.beats[:2]),
    ):
        found = said(seen)
        assert BASELINE not in found
        assert not [name for name in found if name.startswith(SLOW)]


def test_the_first_run_leaves_its_median() -> None:
    found = said(replace(INTERNAL, baseline=Baseline()))
    assert found[BASELINE] == 0.5
    assert not [name for name in found if name.startswith(SLOW)]


def test_own_segments_have_no_excess() -> None:
    slow = replace(INTERNAL, path=("upstream-a",), baseline=USUAL)
    assert not [name for name in said(slow) if name.startswith(SLOW)]


def test_a_conviction_says_why_and_since_when() -> None:
    """`wan` alone is left: what else the failed leg crosses, another one crossed meanwhile."""
    alone = replace(CLOUDFLARE, path=("wan",), clears=None)
    found = values(metrics.families(RUN, (alone,), judge_run(RUN, (alone,))))
    why = [name for name in found if name.startswith("t3probe_verdict_info")]
    assert why == ["t3probe_verdict_info cleared_by= legs=cloudflare segment=wan"]
    began = min(one.began for one in alone.drops if not one.stalled)
    since = "t3probe_segment_since_timestamp_seconds segment=wan"
    assert found[since] == RUN.started_at + began
    upstream = replace(alone, path=("upstream-a",))
    nobody = values(metrics.families(RUN, (upstream,), judge_run(RUN, (upstream,))))
    assert since not in nobody
    assert not [one for one in nobody if "verdict_info" in one], "it is no declared segment"


def test_a_probability_is_said_only_where_segments_share_a_suspicion() -> None:
    name = "t3probe_segment_posterior"
    assert name in recorded(RUN, (CLOUDFLARE, INTERNAL))
    assert name not in recorded(RUN, (INTERNAL, EGRESS))  # nobody failed
    alone = replace(CLOUDFLARE, path=("wan",), clears=None)
    judged = judge_run(RUN, (alone,))
    assert judged.verdict.convicted == ("wan",)
    assert name not in metrics.families(RUN, (alone,), judged)
