"""The pure rules of going on, by properties."""

from __future__ import annotations

import json

from delivery_runs import LEGS, REASONS, run_families
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from t3probe.deliver.metrics import carry as going
from t3probe.deliver.metrics.carry import DISCONNECTS, Family, Group, Histogram
from t3probe.deliver.metrics.exposition import rendered
from t3probe.deliver.sinks.gateway import older, overlapped, read_group, split

RTT = "t3probe_rtt_seconds"
drops = st.dictionaries(
    st.tuples(st.sampled_from(LEGS), st.sampled_from(REASONS)), st.integers(0, 5)
)
# Quarters add up without rounding, so that sums can be compared.
trips = st.dictionaries(
    st.sampled_from(LEGS), st.lists(st.integers(0, 100).map(lambda one: one / 4), max_size=5)
)
runs = st.builds(lambda d, t: run_families(d, t, 1.0), drops, trips)
ZERO = run_families()


def plain(group: Group) -> dict[str, dict[going.Labels, float | Histogram]]:
    return {name: family.series for name, family in group.items() if family.kind != "gauge"}


@given(runs)
def test_on_zero_the_counts_are_the_counts(run: Group) -> None:
    assert plain(going.continued(ZERO, run)) == plain(run)
    assert plain(going.continued({}, run)) == plain(run)
    assert plain(going.added(going.zeroed(run), run)) == plain(run)


@given(runs, runs, runs)
def test_adding_is_associative_and_commutes(a: Group, b: Group, c: Group) -> None:
    left = going.added(going.added(a, b), c)
    assert plain(left) == plain(going.added(a, going.added(b, c)))
    assert plain(left) == plain(going.added(c, b, a))
    one_by_one = going.continued(going.continued(a, b), c)
    assert plain(one_by_one) == plain(left)


@given(st.lists(st.tuples(runs, st.booleans()), max_size=8))
def test_steps_over_lost_states_are_the_truth(script: list[tuple[Group, bool]]) -> None:
    """Zeros stand, and are seen, at the start of every run."""
    group, before, steps, truth = ZERO, 0, 0, 0
    for run, lost in script:
        group = ZERO if lost else group
        for value in (going.drops(group), going.drops(group := going.continued(group, run))):
            steps += value - before if value >= before else value
            before = value
        truth += going.drops(run)
    assert steps == truth


@given(runs, runs)
def test_no_count_steps_back(before: Group, run: Group) -> None:
    after = going.continued(before, run)
    assert not older(before, after)
    assert overlapped(before, after) == bool(plain(going.counts(run)))


@given(runs, st.sets(st.sampled_from((0.05, 0.1, 0.5, 1.0, 5.0, 20.0))), runs)
def test_changed_buckets_keep_count_and_sum(old: Group, bounds: set[float], run: Group) -> None:
    for key, value in run[RTT].series.items():
        assert isinstance(value, Histogram)
        run[RTT].series[key] = value.at(tuple(sorted(bounds)))
    after = going.continued(old, run)[RTT].series
    for key, value in after.items():
        was, new = old[RTT].series[key], run[RTT].series[key]
        assert isinstance(value, Histogram)
        assert isinstance(was, Histogram)
        assert isinstance(new, Histogram)
        assert value.bounds == tuple(sorted(bounds))
        assert (value.count, value.sum) == (was.count + new.count, was.sum + new.sum)
        steps = [*value.cumulative, value.count]
        assert steps == sorted(steps)
        for bound in set(value.bounds) & set(was.bounds):
            at = [one.cumulative[one.bounds.index(bound)] for one in (value, was, new)]
            assert at[0] == at[1] + at[2]


@given(runs)
def test_what_was_written_is_read(run: Group) -> None:
    """By both readers: of the file's text, and of the gateway's JSON, whose bounds and numbers
    are written another way."""
    assert going.standing(text_string_to_metric_families(rendered(run).decode()), run) == run
    key = {"job": "j", "vantage": "v"}
    extra = {"instance": "", **key}
    families: dict[str, object] = {"labels": key, "last_push_successful": True}
    for name, family in run.items():
        series: list[dict[str, object]] = []
        for labels, value in family.series.items():
            one: dict[str, object] = {"labels": {**extra, **dict(labels)}}
            if isinstance(value, Histogram):
                pairs = zip(value.bounds, value.cumulative, strict=True)
                one["buckets"] = {f"{b:g}": f"{c:g}" for b, c in pairs}
                one |= {"count": f"{value.count:g}", "sum": repr(value.sum)}
            else:
                one["value"] = f"{value:g}"
            series.append(one)
        families[name] = {"type": family.kind.upper(), "help": family.help, "metrics": series}
    body = json.dumps({"status": "success", "data": [{"labels": {"job": "other"}}, families]})
    assert read_group(body.encode(), key, {**key, "part": "upstreams"}) == (run, False)
    assert read_group(body.encode(), {"job": "none"}, key) == ({}, True)
    assert read_group(body.encode(), {"job": "none"}, {"job": "other"}) == ({}, False)


def test_le_1_and_le_1_0_are_one_bound() -> None:
    group = run_families({}, {"t3serve": [0.5]})
    text = rendered(group).decode().replace('le="1.0"', 'le="1"')
    assert 'le="1"' in text
    assert going.from_metrics(text_string_to_metric_families(text)) == group


def test_a_torn_series_begins_anew() -> None:
    def one(kind: str, **more: object) -> str:
        family = {"type": kind, "metrics": [{"labels": {"job": "j"}, **more}]}
        return json.dumps({"data": [{"labels": {"job": "j"}, "x": family}]})

    for text in (
        one("COUNTER", value="-1"),
        one("COUNTER", value="NaN"),
        one("COUNTER", value="much"),
        one("HISTOGRAM", buckets={"1": "5", "+Inf": "3"}, count="3", sum="1"),
        one("HISTOGRAM", buckets={"1": "1", "+Inf": "3"}, count="3", sum="NaN"),
        one("HISTOGRAM", buckets={"1": "1", "+Inf": "+Inf"}, count="+Inf", sum="1"),
        one("HISTOGRAM", buckets={"1": "NaN", "+Inf": "3"}, count="3", sum="1"),
        one("HISTOGRAM", buckets={"1": "1", "+Inf": "3"}, count="4", sum="1"),
    ):
        assert read_group(text.encode(), {"job": "j"}, {})[0]["x"].series == {}
    assert read_group(one("SUMMARY").encode(), {"job": "j"}, {})[0] == {}


def test_another_type_gives_way() -> None:
    theirs: Group = {DISCONNECTS: Family("gauge", series={(): 3.0})}
    assert going.missing(ZERO, theirs)[DISCONNECTS] == ZERO[DISCONNECTS]
    assert going.filled(theirs, ZERO)[DISCONNECTS] == ZERO[DISCONNECTS]
    assert going.continued(theirs, ZERO)[DISCONNECTS] == ZERO[DISCONNECTS]


def test_upstreams_are_split_off_and_counts_stay() -> None:
    check = Family("gauge", "Check.", {(("check", name),): 1.0 for name in ("envoy-a", "internal")})
    main, beside = split({**run_families({}, {}, 1.0), "t3probe_check_success": check})
    assert list(beside) == ["t3probe_check_success"]
    assert list(beside["t3probe_check_success"].series) == [(("check", "envoy-a"),)]
    assert list(main["t3probe_check_success"].series) == [(("check", "internal"),)]


def test_a_newer_stamp_alone_is_another_run() -> None:
    one, two = (run_families(stamp=at) for at in (1.0, 2.0))
    assert overlapped(one, two)
    assert not overlapped(two, one)
    assert not overlapped(one, one)
    assert overlapped(ZERO, one)
