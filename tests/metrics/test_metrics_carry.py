"""Counters that continue, zeros that fill, labels that are added."""

from __future__ import annotations

import pytest
from metrics_record import CLOUDFLARE, DEPLOYMENT, INTERNAL, RUN, recorded, values
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.parser import text_string_to_metric_families

from t3probe import metrics

LAST = "t3probe_last_disconnect_timestamp leg=cloudflare"
DROPPED = "t3probe_disconnects_total leg=cloudflare reason=closed_by_peer"


def of(text: str) -> list[Metric]:
    return list(text_string_to_metric_families(text))


def test_counters_and_histograms_are_added_and_gauges_are_the_newer() -> None:
    fresh = recorded()
    twice = values(metrics.continued(fresh, metrics.series(fresh)))
    gauges = {name for one in fresh if one.type == "gauge" for name in values([one])}
    for name, value in values(fresh).items():
        assert twice[name] == (value if name in gauges else 2 * value), name
    assert twice.keys() == values(fresh).keys()


def test_bounds_are_the_same_however_they_are_written() -> None:
    text = metrics.exposition(recorded()).decode().replace('le="1.0"', 'le="1"')
    assert 'le="1"' in text
    again = metrics.continued(recorded(), metrics.series(of(text)))
    assert values(again)["t3probe_rtt_seconds_bucket le=1.0 leg=internal"] == 8


def test_the_last_disconnect_outlives_runs_without_one_but_not_the_leg() -> None:
    before = metrics.series(recorded())
    calm = CLOUDFLARE.__class__(
        leg="cloudflare", kind="ws_echo", path=("wan",), outcome="inconclusive"
    )
    kept = values(metrics.continued(recorded(RUN, (calm,)), before))
    assert kept[LAST] == RUN.started_at + 21
    assert LAST not in values(metrics.continued(recorded(RUN, (INTERNAL,)), before))
    later = {key: value + 99 for key, value in before.items()}
    assert values(metrics.continued(recorded(), later))[LAST] == RUN.started_at + 21


def test_series_of_legs_that_are_gone_are_dropped() -> None:
    left = values(metrics.continued(recorded(RUN, (INTERNAL,)), metrics.series(recorded())))
    assert not [name for name in left if "cloudflare" in name]
    assert left["t3probe_rtt_seconds_count leg=internal"] == 8


@pytest.mark.parametrize("nonsense", [float("nan"), float("inf"), -1.0])
def test_what_no_counter_can_hold_is_taken_as_not_there(nonsense: float) -> None:
    before = dict.fromkeys(metrics.series(recorded()), nonsense)
    assert values(metrics.continued(recorded(), before)) == values(recorded())


@pytest.mark.parametrize("damage", ["missing bucket", "torn buckets", "torn count"])
def test_a_histogram_continues_as_a_whole_or_not_at_all(damage: str) -> None:
    before = metrics.series(recorded(RUN, (INTERNAL,)))
    bucket = ("t3probe_rtt_seconds_bucket", (("le", "1.0"), ("leg", "internal")))
    count = ("t3probe_rtt_seconds_count", (("leg", "internal"),))
    whole = values(metrics.continued(recorded(RUN, (INTERNAL,)), before))
    assert whole["t3probe_rtt_seconds_count leg=internal"] == 8
    if damage == "missing bucket":
        del before[bucket]
    elif damage == "torn buckets":
        before[bucket] = 9.0
    else:
        before[count] = 9.0
    anew = values(metrics.continued(recorded(RUN, (INTERNAL,)), before))
    for name, value in values(recorded(RUN, (INTERNAL,))).items():
        if name.startswith("t3probe_rtt"):
            assert anew[name] == value
    assert anew["t3probe_observed_seconds_total leg=internal"] == 70


def test_buckets_that_became_fewer_continue() -> None:
    before = metrics.series(recorded(RUN, (INTERNAL,)))
    before["t3probe_rtt_seconds_bucket", (("le", "0.75"), ("leg", "internal"))] = 4.0
    again = values(metrics.continued(recorded(RUN, (INTERNAL,)), before))
    assert again["t3probe_rtt_seconds_bucket le=1.0 leg=internal"] == 8


def test_zeros_fill_only_what_is_missing() -> None:
    zeros = metrics.zeros(DEPLOYMENT)
    assert metrics.missing([], zeros)
    assert not metrics.missing(recorded(), zeros)
    assert metrics.filled(recorded(), zeros) == recorded()
    part = recorded(RUN, (CLOUDFLARE,))
    assert metrics.missing(part, zeros)
    filled = metrics.filled(part, zeros)
    assert not metrics.missing(filled, zeros)
    found = values(filled)
    assert found[DROPPED] == 1
    assert found["t3probe_disconnects_total leg=internal reason=io_error"] == 0
    assert found["t3probe_connected leg=cloudflare"] == 1
    assert found.keys() == values(part).keys() | values(zeros).keys()


def test_filling_nothing_is_the_zeros() -> None:
    assert metrics.filled([], metrics.zeros(DEPLOYMENT)) == metrics.zeros(DEPLOYMENT)


def test_another_type_and_lacking_buckets_give_way_to_zeros() -> None:
    zeros = metrics.zeros(DEPLOYMENT)
    text = metrics.exposition(recorded()).decode()
    lacking = "".join(
        line for line in text.splitlines(keepends=True) if 'le="20.0",leg="internal"' not in line
    )
    found = values(metrics.filled(of(lacking), zeros))
    assert found["t3probe_rtt_seconds_count leg=internal"] == 0
    assert found["t3probe_rtt_seconds_count leg=cloudflare"] == 3
    wrong = GaugeMetricFamily("t3probe_rtt_seconds", "x", value=5)
    assert values(metrics.filled([wrong], zeros)) == values(zeros)


def test_labels_are_added_and_can_be_left_out_again() -> None:
    marked = metrics.labelled(recorded(), {"vantage": "lan", "leg": "never"})
    assert all(sample.labels["vantage"] == "lan" for one in marked for sample in one.samples)
    assert 'leg="cloudflare",reason="io_error",vantage="lan"' in (
        metrics.exposition(marked).decode()
    )
    plain = metrics.labelled(recorded(), {"vantage": "lan", "job": "x"})
    assert metrics.series(plain, without=("vantage", "job")) == metrics.series(recorded())
    assert all("vantage" not in s.labels for one in recorded() for s in one.samples)
