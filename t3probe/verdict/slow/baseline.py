"""What is usual for a leg: the round trip that slowness is measured against. Pure.

A run is never judged by itself alone. What earlier runs left behind in the place they are
delivered to (the gateway's group, or the textfile) says what is usual:

- the histogram `t3probe_rtt_seconds` has every round trip there ever was, in coarse buckets: it
  knows how much was seen, and between which two bounds the median lies, and nothing closer;
- the gauge `t3probe_rtt_baseline_seconds` is a moving median beside it. Each run moves it by a
  sixtieth of the way to its own median, so that with a run a minute it follows within about an
  hour. A run that exceeds it by more than the absolute floor moves it by 1/1440 of the way only:
  a change that lasts becomes the usual after about a day, and not before.

That share is of the excess, and the floor is one for all legs: so legs over one slow segment keep
equal excesses for as long as it is slow. Were they to forget at different speeds, the one that
forgot first would clear the segment, and innocent ones would stand accused.

Until the histogram holds `LEARNING_BEATS`, the moving median is kept below the upper bound of the
histogram's bucket, so that one odd first run is soon forgotten. It is not kept above the lower
one: a slow phase soon after the start fills the histogram, and would be usual at once. Where
there is a histogram and no gauge, all that is known is the bucket, and slowness is claimed only
of what lies above its upper bound.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

from t3probe.observation import Baseline, Beat, Observation, counting_beats, median

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
CREEP = 1 / 1440
"""The same in a run that exceeds it by more than the absolute floor: a run a minute makes a day."""


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


def judged_beats(seen: Observation, since: float = -math.inf) -> list[Beat]:
    """Beats whose round trips count, that are no part of the leg's own baseline, and were sent
    since then."""
    until = -math.inf if seen.baseline is None else seen.baseline.until_seconds
    until = -math.inf if until is None else until
    some = [one for one in seen.beats if one.ended > until and one.sent >= since]
    return counting_beats(some, holds=bool(seen.connections))


def judged_trips(seen: Observation, since: float = -math.inf) -> list[float]:
    """The round trips of these beats, in seconds."""
    return [beat.rtt_seconds for beat in judged_beats(seen, since)]


def usual(baseline: Baseline | None) -> tuple[float, float] | None:
    """The least and the most that the usual round trip is, in seconds.

    Both are the same where a moving median is known. None: not known, or from too few beats.
    """
    if baseline is None or baseline.beats < MIN_BEATS:
        return None
    low, high, moving = baseline.low_seconds, baseline.high_seconds, baseline.moving_seconds
    if moving is not None and moving > 0:
        if high is not None and baseline.beats < LEARNING_BEATS:
            moving = min(moving, high)
        return moving, moving
    return None if low is None or high is None else (low, high)


def over(excess: float, usually: float, floor: float) -> bool:
    """Whether an excess over a usual round trip counts: it is over both floors."""
    return excess > floor and excess > SLOW_RATIO * usually


def moved(baseline: Baseline, seconds: Sequence[float], floor: float) -> float | None:
    """The moving median after a run with these good round trips; None: it stays as it is."""
    if len(seconds) < MIN_TRIPS:
        return None
    now, old = median(seconds), baseline.moving_seconds
    low, high = baseline.low_seconds, baseline.high_seconds
    if old is None or old <= 0:
        return round(now if low is None or high is None else min(max(now, low), high), 9)
    most = high if high is not None and baseline.beats < LEARNING_BEATS else math.inf
    old = min(old, most)
    share = max(STEP, len(seconds) / (baseline.beats + len(seconds)))
    new = old + (now - old) * (CREEP if now - old > floor else share)
    return round(min(new, most), 9)


def remembered(baseline: Baseline, seconds: Sequence[float], floor: float) -> Baseline:
    """The baseline that one who keeps it in memory has after these good round trips.

    For the held mode, which reads back nothing: to be called with the trips of a minute at a
    time, beginning from `Baseline()`. The histogram's bounds are left as they are.
    """
    new = moved(baseline, seconds, floor)
    if new is None:
        return baseline
    return msgspec.structs.replace(
        baseline, beats=baseline.beats + len(seconds), moving_seconds=new
    )
