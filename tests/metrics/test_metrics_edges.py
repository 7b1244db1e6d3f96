"""Numbers at the edges: what is written, what is no measurement, and how counts are joined."""

from __future__ import annotations

import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from metrics_record import CLOUDFLARE, INTERNAL, UPSTREAMS, WALLED, WALLOFF, recorded, values
from msgspec.structs import replace
from prometheus_client import CollectorRegistry, Gauge, generate_latest
from prometheus_client.utils import floatToGoString

from t3probe.deliver import metrics
from t3probe.deliver.metrics import baselines, carry
from t3probe.deliver.metrics.carry import Family, Group, Histogram, counter
from t3probe.deliver.metrics.exposition import LIMIT, Sheet, rendered
from t3probe.observation import Beat, Drop, Observation, RunRecord

LOST = "t3probe_counts_lost_total"
AGE = "t3probe_connection_age_seconds"


def said(*seen: Observation, run: RunRecord | None = None) -> dict[str, float]:
    return values(recorded(run or RunRecord(segments=("wan",)), seen))


# -- text -----------------------------------------------------------------------------------------


@given(st.floats() | st.integers(-(10**17), 10**17).map(float) | st.floats(1e5, 1e17))
@example(1e6)
@example(999_999.5)
@example(1e16)
@example(-math.inf)
def test_numbers_are_written_as_the_client_library_writes_them(value: float) -> None:
    assert rendered({"g": Family("gauge", "", {(): value})}) == (
        f"# HELP g \n# TYPE g gauge\ng {floatToGoString(value)}\n".encode()  # type: ignore[no-untyped-call]
    )


@pytest.mark.parametrize("text", ["plain", 'a"b', "a\\b", "a\nb", '\\"\n', "é"])
def test_labels_and_helps_are_written_as_the_client_library_writes_them(text: str) -> None:
    registry = CollectorRegistry()
    Gauge("g", text, ["label"], registry=registry).labels(text).set(1)
    group: Group = {"g": Family("gauge", text, {(("label", text),): 1.0})}
    assert rendered(group) == generate_latest(registry)


def test_families_come_in_the_order_of_the_table_and_others_last() -> None:
    empty = Family("gauge", "")
    one = Family("gauge", "", {(): 1.0})
    group = {"zzz": one, "t3probe_loop_lag_seconds": one, "t3probe_connected": one, "x": empty}
    text = rendered(group).decode()
    names = [line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")]
    assert names == ["t3probe_connected", "t3probe_loop_lag_seconds", "zzz"]
    assert rendered({}) == b""
    assert rendered({"x": empty}) == b""


# -- the sheet ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("amount", "counted"),
    [(0.0, 0.0), (0.5, 0.5), (LIMIT, LIMIT), (LIMIT * 1.5, 0.0), (-0.5, 0.0), (math.nan, 0.0)],
)
def test_what_counts(amount: float, counted: float) -> None:
    sheet = Sheet()
    sheet.count(LOST, (), 1.0)
    sheet.count(LOST, (), amount)
    assert values(sheet.families()) == {LOST: 1.0 + counted}
    assert LIMIT == 1e12


@pytest.mark.parametrize(
    ("value", "seen"),
    [(0.0, True), (0.5, True), (LIMIT, True), (LIMIT * 1.5, False), (-0.5, False),
     (math.nan, False), (math.inf, False)],
)  # fmt: skip
def test_what_is_observed(value: float, seen: bool) -> None:
    sheet = Sheet()
    sheet.observe(AGE, ("x",), [value])
    assert values(sheet.families())[f"{AGE}_count leg=x"] == seen


def test_a_bucket_holds_what_is_no_longer_than_its_bound() -> None:
    sheet = Sheet()
    sheet.observe(AGE, ("x",), [10.0, 10.5, 30.0, 1e9])
    sheet.observe(AGE, ("x",), [0.0])
    found = values(sheet.families())
    shown = {key.split("le=")[1].split()[0]: value for key, value in found.items() if "le=" in key}
    assert (shown["10.0"], shown["30.0"], shown["60.0"], shown["86400.0"], shown["+Inf"]) == (
        2, 4, 4, 4, 5,
    )  # fmt: skip
    assert found[f"{AGE}_sum leg=x"] == 1e9 + 50.5


def test_two_values_of_one_gauge_are_merged() -> None:
    sheet = Sheet()
    for value in (2.0, 3.0, 1.0):
        sheet.gauge("t3probe_connected", ("most",), value)
        sheet.gauge("t3probe_connected", ("least",), value, min)
    sheet.gauge("t3probe_connected", ("none",), math.nan)
    sheet.gauge("t3probe_connected", ("none",), math.inf)
    assert values(sheet.families()) == {
        "t3probe_connected leg=most": 3.0,
        "t3probe_connected leg=least": 1.0,
    }


def test_a_sheet_takes_over_a_copy() -> None:
    one, other = Sheet(), Sheet()
    other.count(LOST, (), 1.0)
    other.observe(AGE, ("x",), [5.0])
    one.absorb(other)
    other.observe(AGE, ("x",), [5.0])
    other.count(LOST, (), 1.0)
    found = values(one.families())
    assert (found[LOST], found[f"{AGE}_count leg=x"], found[f"{AGE}_sum leg=x"]) == (1, 1, 5)


def test_a_lone_surrogate_is_written_out() -> None:
    sheet = Sheet()
    sheet.gauge("t3probe_connected", ("a\udcff",), 1.0)
    sheet.gauge("t3probe_connected", ("é",), 1.0)
    assert list(values(sheet.families())) == [
        "t3probe_connected leg=a\\udcff",
        "t3probe_connected leg=é",
    ]


# -- what a run says ------------------------------------------------------------------------------


def drop(noticed: float, reason: str = "rtt_timeout", **more: object) -> Drop:
    return Drop(
        began=0.0, noticed=noticed, reason=reason, symptom="cut", stage="hold", call=1, **more,
    )  # type: ignore[arg-type] # fmt: skip


def test_the_newest_drop_is_the_last_disconnect() -> None:
    seen = replace(CLOUDFLARE, drops=(drop(3.0), drop(9.0), drop(5.0), drop(20.0, stalled=True)))
    found = said(seen, run=RunRecord(segments=("wan",), started_at=1000.0))
    assert found["t3probe_last_disconnect_timestamp leg=cloudflare"] == 1009.0
    assert found["t3probe_disconnects_total leg=cloudflare reason=rtt_timeout"] == 3


def test_a_reason_of_a_later_version_is_no_label() -> None:
    seen = replace(CLOUDFLARE, drops=(drop(3.0, "made_up"),))
    assert not [one for one in said(seen) if "made_up" in one]


def test_phases_at_zero_are_measured_and_below_it_are_not() -> None:
    seen = replace(CLOUDFLARE, phases={"connect": 0.0, "tls": -0.5})
    found = said(seen)
    assert found["t3probe_phase_seconds leg=cloudflare phase=connect"] == 0
    assert "t3probe_phase_seconds leg=cloudflare phase=tls" not in found


def test_a_round_trip_that_went_backwards_is_none() -> None:
    beats = (
        Beat(sent=5.0, ended=4.0, ok=True, conn=0),
        Beat(sent=5.0, ended=5.0, ok=True, conn=0),
        Beat(sent=5.0, ended=5.5, ok=False, conn=0),
    )
    assert said(replace(CLOUDFLARE, beats=beats))["t3probe_rtt_seconds_count leg=cloudflare"] == 1


def test_of_two_certificates_the_one_that_ends_first() -> None:
    first = replace(CLOUDFLARE, cert_not_after=5.0)
    for seen in ((first, replace(first, cert_not_after=9.0)), (first,)):
        found = said(*seen)
        assert found["t3probe_tls_cert_expiry_timestamp_seconds leg=cloudflare"] == 5.0


@pytest.mark.parametrize(
    ("changes", "known"),
    [({}, True), ({"drops": (drop(1.0),)}, False), ({"drops": ()}, False)],
)
def test_a_wall_that_failed_otherwise_says_nothing(changes: dict, known: bool) -> None:
    found = said(replace(WALLED, **changes))
    assert ("t3probe_walled_off expected=walled path=/" in found) == known


def test_a_public_path_that_is_walled_off() -> None:
    off = replace(WALLOFF, outcome="failed", drops=(drop(1.0, "walled_off"),), labels={
        "path": "/p", "expected": "public",
    })  # fmt: skip
    name = "t3probe_walled_off expected=public path=/p"
    assert said(off)[name] == 1
    well = replace(off, outcome="passed", drops=())
    assert said(well)[name] == 0
    assert said(well, off)[name] == said(off, well)[name] == 1
    for labels in ({"path": "/p"}, {"path": "/p", "expected": "neither"}, {"expected": "public"}):
        assert not [
            one for one in said(replace(off, labels=labels)) if "walled_off" in one.split()[0]
        ]


def test_durations_and_success_of_checks() -> None:
    back = replace(INTERNAL, started=5.0, ended=4.0)
    assert said(back)["t3probe_check_duration_seconds check=internal"] == 0
    source = Observation(leg="src", kind="source", path=("wan",), outcome="inconclusive")
    assert said(source)["t3probe_check_success check=src"] == 0
    planned = replace(source, planned="until noon")
    assert "t3probe_check_success check=src" not in said(planned)
    assert "t3probe_planned leg=src" not in said(source)
    other = replace(source, kind="http")
    assert "t3probe_check_success check=src" not in said(other)


def test_an_upstream_takes_the_median_of_its_connects() -> None:
    found = said(*UPSTREAMS)
    labels = "backend=a listen_port=8080 route=api"
    assert found[f"t3probe_backend_connect_seconds {labels}"] == 0.25
    assert found[f"t3probe_backend_reachable {labels}"] == 1


def test_another_suites_checks_of_no_length() -> None:
    none = ("a", None, 0.0), ("b", True, -1.0), ("d", True, None)
    found = values(metrics.check_families([*none, ("c", False, 2.0)]))
    assert found == {
        "t3probe_check_success check=b": 1.0,
        "t3probe_check_success check=d": 1.0,
        "t3probe_check_success check=c": 0.0,
        "t3probe_check_duration_seconds check=c": 2.0,
    }


# -- joining --------------------------------------------------------------------------------------

SOME = Histogram((1.0, 2.0), (1.0, 3.0), 4.0, 6.0)


def test_counts_are_what_is_not_zero() -> None:
    group: Group = {
        **counter("c", 2.0, (("a", "1"),)),
        "g": Family("gauge", "", {(): 5.0}),
        "h": Family("histogram", "", {(): SOME, (("a", "1"),): SOME.empty}),
    }
    group["c"].series[("a", "2"),] = 0.0
    found = carry.counts(group)
    assert {name: one.series for name, one in found.items()} == {
        "c": {(("a", "1"),): 2.0},
        "h": {(): SOME},
    }
    zero = carry.zeroed(group)
    assert zero["c"].series == {(("a", "1"),): 0.0, (("a", "2"),): 0.0}
    assert set(zero) == {"c", "h"}
    assert carry.counts(zero) == {}


@pytest.mark.parametrize(
    ("value", "sane"),
    [
        (0.0, True), (1.5, True), (-0.5, False), (math.inf, False), (math.nan, False),
        (SOME, True), (SOME.empty, True),
        (Histogram((1.0,), (3.0,), 3.0, 0.0), True),
        (Histogram((1.0,), (3.0,), 2.0, 0.0), False),
        (Histogram((1.0, 2.0), (3.0, 2.0), 4.0, 0.0), False),
        (Histogram((1.0,), (-1.0,), 2.0, 0.0), False),
        (Histogram((1.0,), (1.0,), 2.0, -1.0), False),
        (Histogram((1.0,), (1.0,), math.inf, 1.0), False),
        (Histogram((1.0,), (1.0,), 2.0, math.inf), False),
        (Histogram((1.0,), (1.0,), math.nan, 1.0), False),
    ],
)  # fmt: skip
def test_what_a_count_can_be(value: float | Histogram, sane: bool) -> None:
    assert carry.sane(value) == sane


def test_buckets_at_other_bounds() -> None:
    assert SOME.at((0.5, 1.0, 1.5, 2.0, 9.0)).cumulative == (0.0, 1.0, 1.0, 3.0, 3.0)
    assert SOME.at(()).count == 4.0
    both = SOME.plus(Histogram((2.0,), (5.0,), 5.0, 2.5))
    assert both == Histogram((2.0,), (8.0,), 9.0, 8.5)


def test_missing_excluding_and_filled() -> None:
    a, b = (("a", "1"),), (("a", "2"),)
    have: Group = {"c": Family("counter", "old", {a: 1.0}), "g": Family("gauge", "", {a: 1.0})}
    want: Group = {
        "c": Family("counter", "new", {a: 9.0, b: 9.0}),
        "g": Family("gauge", "", {b: 1.0}),
    }
    assert carry.missing(want, have) == {"c": Family("counter", "new", {b: 9.0})}
    assert carry.missing(want, {"c": Family("gauge", "", {a: 1.0})})["c"].series == {a: 9.0, b: 9.0}
    assert carry.excluding(want, have) == {
        "c": Family("counter", "new", {b: 9.0}),
        "g": Family("gauge", "", {b: 1.0}),
    }
    filled = carry.filled(have, want)
    assert filled["c"] == Family("counter", "old", {a: 1.0, b: 9.0})
    assert filled["g"].series == {a: 1.0, b: 1.0}
    assert have["c"].series == {a: 1.0}  # as it was
    other = carry.filled({"c": Family("gauge", "", {a: 1.0})}, want)
    assert other["c"] == Family("counter", "new", {a: 9.0, b: 9.0})


def test_totals_are_of_one_counter() -> None:
    group = {**counter("t3probe_disconnects_total", 2.0, (("leg", "a"),)), **counter(LOST, 3.0)}
    group["t3probe_disconnects_total"].series[("leg", "b"),] = 4.0
    assert (carry.total(group, LOST), carry.drops(group), carry.total(group, "x")) == (3, 6, 0)


# -- what is usual --------------------------------------------------------------------------------


def test_only_a_legs_histogram_is_a_baseline() -> None:
    trips = Histogram((0.25, 0.5), (0.0, 4.0), 4.0, 1.5)
    group: Group = {
        "t3probe_rtt_seconds": Family(
            "histogram",
            "",
            {(("leg", "a"),): trips, (("other", "b"),): trips, (("leg", "c"),): 4.0},
        ),
        "t3probe_rtt_baseline_seconds": Family(
            "gauge", "", {(("leg", "a"),): 0.375, (("leg", "c"),): trips}
        ),
    }
    found = baselines(group)
    assert set(found) == {"a"}
    assert (found["a"].beats, found["a"].moving_seconds) == (4, 0.375)


@pytest.mark.parametrize("order", [1, -1])
def test_of_two_looks_at_a_leg_the_worse_is_told(order: int) -> None:
    two = (replace(CLOUDFLARE, connected=True), replace(CLOUDFLARE, connected=False))[::order]
    assert said(*two)["t3probe_connected leg=cloudflare"] == 0
    two = (INTERNAL, replace(INTERNAL, outcome="failed"))[::order]
    assert said(*two)["t3probe_check_success check=internal"] == 0
    up = (UPSTREAMS[0], replace(UPSTREAMS[0], connected=False))[::order]
    assert said(*up)["t3probe_backend_reachable backend=a listen_port=8080 route=api"] == 0
