"""What is usual for a leg: from a histogram's buckets, and how the moving median moves."""

from __future__ import annotations

from bisect import bisect_left
from statistics import median

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from t3probe.deliver.metrics.table import RTT_BUCKETS
from t3probe.observation import Baseline
from t3probe.verdict.slow.baseline import (
    LEARNING_BEATS,
    MIN_BEATS,
    MIN_TRIPS,
    from_buckets,
    moved,
    over,
    remembered,
    usual,
)

FLOOR = 0.02
TRIPS = st.lists(st.floats(0.0001, 19.0), min_size=1, max_size=60)


def buckets(trips: list[float]) -> Baseline:
    counts = [0] * (len(RTT_BUCKETS) + 1)
    for trip in trips:
        counts[bisect_left(RTT_BUCKETS, trip)] += 1
    cumulative = [float(sum(counts[: at + 1])) for at in range(len(RTT_BUCKETS))]
    return from_buckets(RTT_BUCKETS, cumulative, float(len(trips)))


def well_known(moving: float | None, low: float | None = None, high: float | None = None):
    return Baseline(beats=9000, low_seconds=low, high_seconds=high, moving_seconds=moving)


@settings(deadline=None)
@given(TRIPS)
def test_the_median_lies_between_the_bounds(trips: list[float]) -> None:
    found = buckets(trips)
    assert found.beats == len(trips)
    assert found.low_seconds is not None
    assert found.high_seconds is not None
    assert found.low_seconds <= median(trips) <= found.high_seconds


def test_the_bounds_are_those_of_one_bucket() -> None:
    found = buckets([0.03] * 7)
    assert (found.low_seconds, found.high_seconds) == (0.025, 0.05)
    found = buckets([0.03, 0.2])  # the middle of two values lies in between
    assert (found.low_seconds, found.high_seconds) == (0.025, 0.25)


def test_an_empty_histogram_and_one_above_its_last_bound_tell_nothing() -> None:
    assert buckets([]) == Baseline(beats=0)
    assert buckets([25.0] * 50) == Baseline(beats=50)
    assert usual(buckets([25.0] * 50)) is None


def test_too_few_beats_are_nothing_usual() -> None:
    for moving in (None, 0.03):
        few = Baseline(
            beats=MIN_BEATS - 1, low_seconds=0.025, high_seconds=0.05, moving_seconds=moving
        )
        assert usual(few) is None
    assert usual(buckets([0.03] * MIN_BEATS)) == (0.025, 0.05)
    assert usual(None) is None


def test_the_moving_median_is_exact_where_it_is_known() -> None:
    assert usual(well_known(0.031, 0.1, 0.25)) == (0.031, 0.031)
    assert usual(well_known(None, 0.1, 0.25)) == (0.1, 0.25)
    assert usual(well_known(0.0, 0.1, 0.25)) == (0.1, 0.25)


def test_while_it_learns_the_histogram_bounds_it() -> None:
    early = Baseline(
        beats=LEARNING_BEATS - 1, low_seconds=0.025, high_seconds=0.05, moving_seconds=0.4
    )
    assert usual(early) == (0.05, 0.05)
    assert moved(early, [0.4] * 5, FLOOR) == 0.05


def test_an_excess_counts_over_both_floors() -> None:
    assert over(0.021, 0.04, FLOOR)
    assert not over(0.020, 0.04, FLOOR)
    assert not over(0.021, 0.05, FLOOR)


@settings(deadline=None)
@given(st.floats(0.001, 5), st.lists(st.floats(0.001, 5), min_size=MIN_TRIPS, max_size=9))
def test_a_run_moves_it_a_little_and_never_past_itself(old: float, trips: list[float]) -> None:
    new, now = moved(well_known(old), trips, FLOOR), median(trips)
    assert new is not None
    assert min(old, now) - 1e-8 <= new <= max(old, now) + 1e-8
    assert abs(new - old) <= abs(now - old) / 60 + 1e-8


def test_a_slow_run_hardly_moves_it_but_what_lasts_becomes_usual() -> None:
    value, runs = 0.04, 0
    assert moved(well_known(value), [10.0] * 5, FLOOR) == pytest.approx(0.04 + 9.96 / 1440)
    while over(0.1 - value, value, FLOOR):
        value = moved(well_known(value), [0.1] * 5, FLOOR) or 0.0
        runs += 1
    assert 360 < runs < 1440  # minutes: longer than an evening, not longer than a day
    assert moved(well_known(0.1), [0.04] * 5, FLOOR) == pytest.approx(0.099)


def test_the_first_runs_are_a_mean_and_two_beats_are_no_run() -> None:
    first = moved(Baseline(), [0.03] * 5, FLOOR)
    assert first == 0.03
    second = moved(Baseline(beats=5, moving_seconds=first), [0.04] * 5, FLOOR)
    assert second == pytest.approx(0.035)
    assert moved(Baseline(), [0.03] * (MIN_TRIPS - 1), FLOOR) is None


def test_a_lost_gauge_begins_inside_the_histograms_bucket() -> None:
    assert moved(well_known(None, 0.025, 0.05), [0.9] * 5, FLOOR) == 0.05
    assert moved(well_known(None, 0.025, 0.05), [0.03] * 5, FLOOR) == 0.03


def test_a_memory_of_ones_own_learns_in_the_same_way() -> None:
    memory = Baseline()
    for _ in range(10):
        memory = remembered(memory, [0.03, 0.031, 0.029], FLOOR)
    assert memory.beats == 30
    assert usual(memory) == pytest.approx((0.03, 0.03))
    assert remembered(memory, [0.5], FLOOR) is memory
