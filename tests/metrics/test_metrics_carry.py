"""Counters that continue, zeros that fill, labels that are added: as a file's text holds them."""

from __future__ import annotations

import re

import msgspec
import pytest
from metrics_record import CLOUDFLARE, DEPLOYMENT, INTERNAL, RUN, recorded, values
from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families

from t3probe.deliver import metrics
from t3probe.deliver.metrics import carry
from t3probe.deliver.metrics.carry import Family, Group
from t3probe.deliver.metrics.exposition import rendered
from t3probe.observation import Observation

LAST = "t3probe_last_disconnect_timestamp leg=cloudflare"
DROPPED = "t3probe_disconnects_total leg=cloudflare reason=closed_by_peer"
RTT = "t3probe_rtt_seconds"
CALM = Observation(leg="cloudflare", kind="ws_echo", path=("wan",), outcome="inconclusive")
ZEROS = metrics.zeros(DEPLOYMENT)


def of(text: str) -> list[Metric]:
    return list(text_string_to_metric_families(text))


def after(text: str, fresh: Group) -> dict[str, float]:
    """What is written when a file holds the text."""
    return values(carry.continued(carry.standing(of(text), fresh), fresh))


def text_of(group: Group) -> str:
    return rendered(group).decode()


def test_counters_and_histograms_are_added_and_gauges_are_the_newer() -> None:
    fresh = recorded()
    twice = after(text_of(fresh), fresh)
    gauges = values({name: one for name, one in fresh.items() if one.kind == "gauge"})
    for name, value in values(fresh).items():
        assert twice[name] == (value if name in gauges else 2 * value), name
    assert twice.keys() == values(fresh).keys()


def test_bounds_are_the_same_however_they_are_written() -> None:
    text = text_of(recorded()).replace('le="1.0"', 'le="1"')
    assert 'le="1"' in text
    assert after(text, recorded())["t3probe_rtt_seconds_bucket le=1.0 leg=internal"] == 8


def test_the_last_disconnect_outlives_runs_without_one_but_not_the_leg() -> None:
    before = text_of(recorded())
    assert after(before, recorded(RUN, (CALM,)))[LAST] == RUN.started_at + 21
    assert LAST not in after(before, recorded(RUN, (INTERNAL,)))
    later = recorded()
    last = later["t3probe_last_disconnect_timestamp"]
    last.series = dict.fromkeys(last.series, 5e9)
    assert after(text_of(later), recorded())[LAST] == RUN.started_at + 21
    assert after(text_of(later), recorded(RUN, (CALM,)))[LAST] == 5e9
    last.series = dict.fromkeys(last.series, float("nan"))
    assert LAST not in after(text_of(later), recorded(RUN, (CALM,)))


SINCE = carry.SINCE


def since(**segments: float) -> Group:
    made = {(("segment", name),): at for name, at in segments.items()}
    return {SINCE: Family("gauge", series=dict(made))}


def test_a_conviction_that_goes_on_keeps_its_beginning() -> None:
    """Only from run to run: one that was over begins anew."""
    before, now = (
        since(tunnel=100.0, wan=100.0, dispatch=200.0),
        since(tunnel=160.0, dispatch=160.0),
    )
    found = carry.continued(before, now)[SINCE].series
    assert found == {(("segment", "tunnel"),): 100.0, (("segment", "dispatch"),): 160.0}
    assert SINCE not in carry.continued(before, {})
    assert carry.continued(since(tunnel=float("nan")), now)[SINCE].series == now[SINCE].series
    assert now == since(tunnel=160.0, dispatch=160.0), "no group is changed"


def test_what_is_written_is_in_the_order_of_the_table() -> None:
    kept = carry.continued(recorded(), recorded(RUN, (CALM,)))
    assert list(kept)[-1] == LAST.partition(" ")[0]
    names = re.findall(r"(?m)^# TYPE (\S+)", rendered(kept).decode())
    assert names == [one for one in metrics.BY_NAME if one in kept]


def test_a_gate_is_as_it_was_until_it_is_asked_again_and_goes_with_its_table() -> None:
    name = "t3probe_ingest_gate check=wrong_token gate=metrics"
    whole = Observation(
        leg="ingest-metrics", kind="ingest", path=("wan",), outcome="passed",
        labels={"gate": "metrics"}, gate={"wrong_token": False},
    )  # fmt: skip
    before = text_of(recorded(RUN, (whole,)))
    silent = msgspec.structs.replace(whole, gate={"token": True})
    assert after(before, recorded(RUN, (silent,)))[name] == 0
    closed = msgspec.structs.replace(whole, gate={"wrong_token": True})
    assert after(before, recorded(RUN, (closed,)))[name] == 1
    assert name not in after(before, recorded(RUN, (INTERNAL,)))


def test_the_last_disconnect_of_another_vantage_is_not_ours() -> None:
    lan = carry.labelled(recorded(), {"vantage": "lan"})
    for vantage, kept in (("lan", True), ("attic", False)):
        own = carry.labelled(recorded(RUN, (CALM,)), {"vantage": vantage})
        assert any(LAST in one for one in values(carry.continued(lan, own))) is kept


def test_series_of_legs_that_are_gone_are_dropped() -> None:
    left = after(text_of(recorded()), recorded(RUN, (INTERNAL,)))
    assert not [name for name in left if "cloudflare" in name]
    assert left["t3probe_rtt_seconds_count leg=internal"] == 8


@pytest.mark.parametrize("nonsense", ["NaN", "+Inf", "-1.0"])
def test_what_no_counter_can_hold_is_taken_as_not_there(nonsense: str) -> None:
    lines = text_of(recorded()).splitlines()
    before = [one if one[0] == "#" else f"{one.rpartition(' ')[0]} {nonsense}" for one in lines]
    found = after("\n".join(before) + "\n", recorded())
    assert {one: value for one, value in found.items() if one != LAST} == {
        one: value for one, value in values(recorded()).items() if one != LAST
    }


@pytest.mark.parametrize(
    ("line", "instead"),
    [
        ('_bucket{le="1.0",leg="internal"} 4.0\n', ""),
        ('_bucket{le="1.0",leg="internal"} 4.0', '_bucket{le="1.0",leg="internal"} 9.0'),
        ('_bucket{le="1.0",leg="internal"} 4.0', '_bucket{le="1.0",leg="internal"} NaN'),
        ('_bucket{le="1.0",leg="internal"} 4.0', '_bucket{le="one",leg="internal"} 4.0'),
        ('_bucket{le="+Inf",leg="internal"} 4.0\n', ""),
        ('_count{leg="internal"} 4.0', '_count{leg="internal"} 9.0'),
        ('_count{leg="internal"} 4.0\n', ""),
        ('_sum{leg="internal"} 2.0\n', ""),
        ('_sum{leg="internal"} 2.0', '_sum{leg="internal"} -2.0'),
    ],
)
def test_a_histogram_continues_as_a_whole_or_not_at_all(line: str, instead: str) -> None:
    fresh = recorded(RUN, (INTERNAL,))
    before = text_of(fresh)
    assert after(before, fresh)["t3probe_rtt_seconds_count leg=internal"] == 8
    assert before.count(RTT + line) == 1
    anew = after(before.replace(RTT + line, RTT + instead if instead else ""), fresh)
    for name, value in values(fresh).items():
        if name.startswith(RTT):
            assert anew[name] == value
    assert anew["t3probe_observed_seconds_total leg=internal"] == 70


def test_buckets_that_became_fewer_continue() -> None:
    text = text_of(recorded(RUN, (INTERNAL,)))
    line = f'{RTT}_bucket{{le="1.0",leg="internal"}} 4.0\n'
    text = text.replace(line, line.replace("1.0", "0.75") + line)
    again = after(text, recorded(RUN, (INTERNAL,)))
    assert again["t3probe_rtt_seconds_bucket le=1.0 leg=internal"] == 8
    assert "t3probe_rtt_seconds_bucket le=0.75 leg=internal" not in again


def test_zeros_fill_only_what_is_missing() -> None:
    whole = recorded()
    assert carry.missing(ZEROS, {}) == ZEROS
    assert carry.missing(ZEROS, whole) == {}
    assert carry.filled(whole, ZEROS) == whole
    part = recorded(RUN, (CLOUDFLARE,))
    assert carry.missing(ZEROS, part)
    filled = carry.filled(part, ZEROS)
    assert not carry.missing(ZEROS, filled)
    found = values(filled)
    assert found[DROPPED] == 1
    assert found["t3probe_disconnects_total leg=internal reason=io_error"] == 0
    assert found["t3probe_connected leg=cloudflare"] == 1
    assert found.keys() == values(part).keys() | values(ZEROS).keys()
    assert carry.filled({}, ZEROS) == ZEROS


def test_another_type_and_lacking_buckets_give_way_to_zeros() -> None:
    lacking = "".join(
        line
        for line in text_of(recorded()).splitlines(keepends=True)
        if 'le="20.0",leg="internal"' not in line
    )
    there = carry.standing(of(lacking), ZEROS)
    assert list(carry.missing(ZEROS, there)) == [RTT]
    found = values(carry.filled(there, ZEROS))
    assert found["t3probe_rtt_seconds_count leg=internal"] == 0
    assert found["t3probe_rtt_seconds_count leg=cloudflare"] == 3
    wrong: Group = {RTT: Family("gauge", "x", {(): 5.0})}
    assert values(carry.filled(wrong, ZEROS)) == values(ZEROS)


def test_labels_are_added_and_a_series_own_label_wins() -> None:
    marked = carry.labelled(recorded(), {"vantage": "lan", "leg": "never"})
    assert all(("vantage", "lan") in key for one in marked.values() for key in one.series)
    assert (("leg", "internal"), ("vantage", "lan")) in marked[RTT].series
    assert (("leg", "never"), ("vantage", "lan")) in marked["t3probe_run_complete"].series
    assert 'leg="cloudflare",reason="io_error",vantage="lan"' in text_of(marked)
    assert carry.labelled(recorded(), {}) == recorded()
