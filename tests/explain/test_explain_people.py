"""Thousands of simulated evenings of one person: whom does the answer accuse?"""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Callable, Sequence

import pytest
from simulated_person import Evening
from verdict.simulated_world import HOLD, PAGE, PEOPLE, Breaks, Kind

RUNS = int(os.environ.get("T3PROBE_TEST_RUNS", "400"))
pytestmark = pytest.mark.timeout(max(120, RUNS // 5))
WAY = PEOPLE[PAGE].path.split()


def fault(rng: random.Random, segment: str) -> Breaks:
    """One fault of a segment of the person's way."""
    kinds: list[Kind] = ["gone", "cut", "drain", "answers"]
    if segment in ("last-mile", "wan", "devvm"):
        kinds = ["gone", "silence", "cut", "hush"]
    elif segment != "carve-out":
        kinds += ["silence", "stall", "hush"]
    onset = rng.uniform(0.0, HOLD)
    length = 0.005 * ((HOLD - onset + 20.0) / 0.005) ** rng.random()
    end = float("inf") if rng.random() < 0.2 else onset + length
    return Breaks(segment, rng.choice(kinds), onset, end, keeps=rng.random() < 0.5)


def findings(
    name: str, runs: int, made: Callable[[random.Random], Sequence[Breaks]]
) -> Counter[str]:
    """What became of so many evenings; printed. `wrong` is one that accuses an innocent."""
    found: Counter[str] = Counter()
    for seed in range(runs):
        breaks = made(random.Random(f"person {name} {seed}"))
        told, theirs = Evening(breaks, seed).explained()
        if not any(one.symptom != "blip" for one in theirs.drops):
            found["met nothing"] += 1
            continue
        broken = {one.segment for one in breaks}
        accused = set(told.verdict.convicted)
        if told.finding in ("last_mile", "their_edge"):
            accused.add("last-mile")
        found[told.finding + ", proven" * told.proven] += 1
        if accused - broken:
            found["wrong"] += 1
            print(f"{name} {seed}: wrong {breaks} {told.finding} {accused} {theirs.drops}")
    for what, number in sorted(found.items()):
        print(f"{name}: {what:<22}{number:>6}")
    return found


def test_their_last_mile_is_proven_or_likely_and_never_ours() -> None:
    found = findings("last mile", RUNS, lambda rng: [fault(rng, "last-mile")])
    assert found["wrong"] == 0
    assert found["ours"] + found["ours_one_of"] + found["both"] == 0
    assert found["last_mile, proven"] > RUNS / 5


def test_what_is_ours_is_never_their_last_mile() -> None:
    found = findings("ours", RUNS, lambda rng: [fault(rng, rng.choice(WAY[1:]))])
    assert found["wrong"] == 0
    assert found["last_mile"] + found["last_mile, proven"] + found["their_edge"] == 0
    assert found["ours"] > RUNS / 4


def test_both_at_once() -> None:
    found = findings(
        "both", RUNS, lambda rng: [fault(rng, "last-mile"), fault(rng, rng.choice(WAY[1:]))]
    )
    assert found["wrong"] <= RUNS / 1000
