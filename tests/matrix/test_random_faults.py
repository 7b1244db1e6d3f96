"""A short hunt: random faults at any moment, for any time, on the lab's own clock.

Seeded, so that a run that goes wrong can be had again; `bench/hunt.py` is the long one, on labs
that run in real time. What a fault must lead to stands in the matrix. Here must hold that no
innocent segment is convicted, and that no broken one that failed a beat is cleared.
"""

from __future__ import annotations

import os
import random
from typing import NamedTuple

import pytest

from t3probe.lab.faults import FAULTS

HOLD = 2.2
RUNS = int(os.environ.get("T3PROBE_TEST_RUNS", "40"))
SLOWNESS = ("slow", "close", "idle", "half", "internal")
"""No outages: late answers, polite closes, one machine of two, a collapse."""
NAMED_SHARE = 0.6


class Break(NamedTuple):
    """A fault, the segment that is really broken, and from when to when."""

    text: str
    segment: str
    began: float
    ended: float


def a_fault(rng: random.Random) -> Break:
    segment = rng.choice(list(FAULTS))
    kind = rng.choice([one for one in FAULTS[segment] if one not in SLOWNESS])
    onset, length = rng.randint(0, 2200), rng.randint(5, 2200)
    text = f"{segment}:{kind}@{onset}ms"
    if kind == "cut":
        length = 0
    elif rng.random() < 0.5:
        text += f"+{length}ms"
    else:
        length = 100_000
    broken = "wall" if kind == "too-wide" else segment
    return Break(text, broken, onset / 1000, (onset + length) / 1000)


def hunt(field, many: int, seed: int) -> tuple[int, int]:
    """How many faults failed a leg for certain, and how many of these were named alone."""
    rng = random.Random(f"{many}/{seed}")
    faults = [a_fault(rng) for _ in range(many)]
    seen = field.run([one.text for one in faults], HOLD)
    broken = {one.segment for one in faults}
    verdict = seen.verdict
    assert set(verdict["convicted"]) <= broken, (faults, seen.trouble)
    met = {
        one.segment
        for one in faults
        for leg in seen.legs.values()
        if leg.outcome == "failed" and one.segment in leg.path
        for beat in leg.beats
        if not beat.ok and beat.conclusive and beat.sent >= one.began and beat.ended <= one.ended
    }
    if many == 1:
        assert not met & set(verdict["exonerated"]), (faults, seen.trouble)
        assert verdict["status"] != "inconsistent", (faults, seen.trouble)
    return len(met), len(met & set(verdict["convicted"]))


@pytest.mark.parametrize("many", [1, 2])
def test_no_innocent_is_convicted_and_most_are_named(field, many: int) -> None:
    met = named = 0
    for seed in range(RUNS // many):
        one, two = hunt(field, many, seed)
        met, named = met + one, named + two
    assert met >= RUNS // 8
    assert named >= NAMED_SHARE * met, (named, met)
