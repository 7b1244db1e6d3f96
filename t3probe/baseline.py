"""What is usual for a leg: the round trip that slowness is measured against. Pure.

A run is never judged by itself alone. What earlier runs left behind in the place they are
delivered to (the gateway's group, or the textfile) says what is usual:

- the histogram `t3probe_rtt_seconds` has every round trip there ever was, in coarse buckets: it
  knows how much was seen, and between which two bounds the median lies, and nothing closer;
- the gauge `t3probe_rtt_baseline_seconds` is a moving median beside it. Each run moves it by a
  sixtieth of the way to its own median, so that with a run a minute it follows within about an
  hour. A run in which the leg was slow moves it by a thousandth of itself only: a change that
  lasts becomes the usual after about a day, and not before.

Until the histogram holds `LEARNING_BEATS`, the moving median is kept inside the histogram's
bucket, so that one odd first run is soon forgotten. Where there is a histogram and no gauge, all
that is known is the bucket, and slowness is claimed only of what lies above its upper bound.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from t3probe.median import median
from t3probe.observation import Baseline

__all__ = [
    "LEARNING_BEATS",
    "MIN_BEATS",
    "MIN_TRIPS",
    "SLOW_RATIO",
    "from_buckets",
    "moved",
    "over",
    "remembered",
    "usual",
]

MIN_BEATS = 30
"""Good beats of earlier runs below which nothing is called usual: some six runs."""
MIN_TRIPS = 3
"""Good beats of a run below which its median is neither judged nor learned from."""
LEARNING_BEATS = 300
"""Good beats below which the histogram bounds the moving median: some sixty runs."""
SLOW_RATIO = 0.5
"""The relative floor of an excess. The absolute one is the deployment's `timing.slow_floor`."""
STEP = 1 / 60
"""The part of the way to a run's median that the moving median goes at least."""
CREEP = 1 / 1000
"""The part of itself by which the moving median grows in a run in which the leg was slow."""


def from_buckets(
    bounds: Sequence[float],
    cumulative: Sequence[float],
    count: float,
    moving: float | None = None,
) -> Baseline:
    """A baseline from a histogram: finite upper bounds, cumulative counts, and the whole count."""
    # Of an even number there are two middle values, which may lie in two buckets.
    low = _bucket(bounds, cumulative, count, (count + 1) // 2)
    high = _bucket(bounds, cumulative, count, count // 2 + 1)
    if low is None or high is None:
        return Baseline(beats=count, moving_seconds=moving)
    return Baseline(beats=count, low_seconds=low[0], high_seconds=high[1], moving_seconds=moving)


def _bucket(
    bounds: Sequence[float], cumulative: Sequence[float], count: float, rank: float
) -> tuple[float, float] | None:
    """The bounds of the bucket that holds the value of this rank, counted from 1."""
    below = 0.0
    for bound, upto in zip(bounds, cumulative, strict=True):
        if count and upto >= rank:
            return below, bound
        below = bound
    return None


def usual(baseline: Baseline | None) -> tuple[float, float] | None:
    """The least and the most that the usual round trip is, in seconds.

    Both are the same where a moving median is known. None: nobody knows, or from too few beats.
    """
    if baseline is None or baseline.beats < MIN_BEATS:
        return None
    low, high, moving = baseline.low_seconds, baseline.high_seconds, baseline.moving_seconds
    if moving is not None and moving > 0:
        if low is not None and high is not None and baseline.beats < LEARNING_BEATS:
            moving = min(max(moving, low), high)
        return moving, moving
    return None if low is None or high is None else (low, high)


def over(excess: float, usually: float, floor: float) -> bool:
    """Whether an excess over a usual round trip counts: it is over both floors."""
    return excess > floor and excess > SLOW_RATIO * usually


def moved(baseline: Baseline, trips: Sequence[float], floor: float) -> float | None:
    """The moving median after a run with these good round trips; None: it stays as it is."""
    if len(trips) < MIN_TRIPS:
        return None
    now, old = median(trips), baseline.moving_seconds
    low, high = baseline.low_seconds, baseline.high_seconds
    known = usual(baseline)
    if old is None or old <= 0:
        new = now
    elif known is not None and over(now - known[1], known[1], floor):
        new = old * (1 + CREEP)
    else:
        new = old + (now - old) * max(STEP, len(trips) / (baseline.beats + len(trips)))
    bounded = old is None or baseline.beats < LEARNING_BEATS
    if bounded and low is not None and high is not None:
        new = min(max(new, low), high)
    return round(new, 9)


def remembered(baseline: Baseline, trips: Sequence[float], floor: float) -> Baseline:
    """The baseline that one who keeps it in memory has after these good round trips.

    For the held mode, which delivers nowhere: to be called with the trips of a minute at a time,
    beginning from `Baseline()`. The histogram's bounds are left as they are; give newer ones
    with `from_buckets`.
    """
    new = moved(baseline, trips, floor)
    if new is None:
        return baseline
    return msgspec.structs.replace(baseline, beats=baseline.beats + len(trips), moving_seconds=new)
