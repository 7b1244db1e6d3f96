"""How often the segment that is called broken is broken, on random networks with noisy legs.

Each case: 6 to 14 segments on a path, 5 to 14 legs (two thirds contiguous parts of the path, the
rest random), one or two faults among the segments that a leg crosses, every leg tried three
times, each outcome wrong with the noise's probability. A `steady` fault always fails; a fault
that fails `at times` does so in half of the tries: of each leg by itself, or (`together`) of
all legs in the same tries, as when a run is a try.

Judged by the posterior, by the exact labels on what most tries of a leg said, and by greedy
cover on the same (the segment that explains most failed legs, again until all are explained;
segments on legs that passed are no candidates while there are others).

    precision   of the segments called broken, how many are
    recall      of the broken segments, how many are called broken
    called      segments called broken, per case
    open        segments left under suspicion and not called broken, per case

    python bench/attribution.py [CASES_PER_CELL]
"""

from __future__ import annotations

import multiprocessing
import random
import sys
from collections import Counter
from collections.abc import Iterable
from itertools import product
from typing import NamedTuple

from t3probe.verdict.exact.case import Case
from t3probe.verdict.exact.labels import solve
from t3probe.verdict.repeated.posterior import posterior

TRIES = 3
ASKED_PRECISION, ASKED_NOISE = 0.95, 0.05
KINDS = ("steady", "at times", "together")
JUDGES = ("posterior", "exact labels", "greedy cover")
CASES = 2000


class Cell(NamedTuple):
    """What the cases of one row of the table share."""

    noise: float
    faults: int
    kind: str


class Made(NamedTuple):
    """A case, and the truth."""

    segments: tuple[str, ...]
    legs: dict[str, tuple[str, ...]]
    counts: dict[str, tuple[int, int]]
    broken: frozenset[str]


def make(cell: Cell, seed: int) -> Made:
    """The case of this seed."""
    rng = random.Random(f"{cell} {seed}")
    segments = tuple(f"s{at}" for at in range(rng.randint(6, 14)))
    legs = {}
    for at in range(rng.randint(5, 14)):
        length = rng.randint(1, len(segments) - 1)
        start = rng.randint(0, len(segments) - length)
        part = segments[start : start + length]
        if rng.random() < 1 / 3:
            part = tuple(rng.sample(segments, rng.randint(1, len(segments) // 2)))
        legs[f"leg{at}"] = part
    crossed = sorted({one for part in legs.values() for one in part})
    broken = frozenset(rng.sample(crossed, min(cell.faults, len(crossed))))
    rate = 1.0 if cell.kind == "steady" else 0.5
    moments = [{one for one in sorted(broken) if rng.random() < rate} for _ in range(TRIES)]
    counts = {}
    for leg, part in legs.items():
        fails = 0
        for moment in moments:
            bad = moment
            if cell.kind == "at times":
                bad = {one for one in sorted(broken) if rng.random() < rate}
            fails += (not bad.isdisjoint(part)) != (rng.random() < cell.noise)
        counts[leg] = (fails, TRIES)
    return Made(segments, legs, counts, broken)


def judge(made: Made) -> list[tuple[set[str], set[str]]]:
    """For each judge the segments it calls broken, and those it leaves under suspicion."""
    found = posterior(made.segments, made.legs, made.counts)
    failed = [leg for leg, (fails, tries) in made.counts.items() if 2 * fails > tries]
    passed = [leg for leg in made.legs if leg not in failed]
    case = Case(segments=made.segments, legs=made.legs, failed=tuple(failed), passed=tuple(passed))
    exact = solve(case)
    return [
        (set(found.convicted_by_repetition), set(found.suspects)),
        (set(exact.convicted), set(exact.ambiguous + exact.masked)),
        (greedy(case, explain_all=True), set()),
    ]


def greedy(case: Case, *, explain_all: bool) -> set[str]:
    """The classic cover: the segment on most failed legs that are not explained yet, of several the
    first, until all are. Segments on good legs are innocent.

    A failed leg whose segments are all innocent accuses these with `explain_all`, and else nobody.
    """
    innocent = {one for leg in case.passed for one in case.legs[leg]}
    order = {one: -at for at, one in enumerate(case.segments)}
    left = []
    for leg in case.failed:
        path = set(case.legs[leg])
        left.append(path - innocent or (path if explain_all else set()))
    out: set[str] = set()
    while left := [part for part in left if part and part.isdisjoint(out)]:
        explains = Counter(one for part in left for one in part)
        out.add(max(explains, key=lambda one: (explains[one], order[one])))
    return out


Tally = list[list[int]]
"""For each judge: called, called rightly, broken, left open."""


def tally(work: tuple[Cell, Iterable[int]]) -> Tally:
    """All cases of these seeds."""
    cell, seeds = work
    out = [[0, 0, 0, 0] for _ in JUDGES]
    for seed in seeds:
        made = make(cell, seed)
        for sums, (called, suspects) in zip(out, judge(made), strict=True):
            sums[0] += len(called)
            sums[1] += len(called & made.broken)
            sums[2] += len(made.broken)
            sums[3] += len(suspects)
    return out


def main() -> int:
    cases = int(sys.argv[1]) if len(sys.argv) > 1 else CASES
    cells = [Cell(*one) for one in product((0.0, 0.02, 0.05), (1, 2), KINDS)]
    print(f"{cases} cases per row, every leg tried {TRIES} times")
    print(f"{'noise':<7}{'faults':<17}{'judge':<14}precision   recall   called     open")
    good = True
    with multiprocessing.Pool(2) as pool:
        for cell, sums in zip(
            cells, pool.imap(tally, [(cell, range(cases)) for cell in cells]), strict=True
        ):
            for judged, (called, right, broken, suspects) in zip(JUDGES, sums, strict=True):
                precision = right / called if called else 1.0
                under = judged == JUDGES[0] and precision < ASKED_PRECISION
                good &= not under
                print(
                    f"{cell.noise:<7.0%}{f'{cell.faults} {cell.kind}':<17}{judged:<14}"
                    f"{precision:9.3f}{right / broken:9.3f}{called / cases:9.2f}"
                    f"{suspects / cases:9.2f}{'  UNDER ' + str(ASKED_PRECISION) if under else ''}"
                )
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
