"""Measures what a verdict costs against its limits: 50 ms for 12 segments and 30 legs, 1 s
for 200 segments and 400 legs and for 10,000 legs of which most stand alone.

Run `python bench/verdict_cost.py`. Each line: the slowest and the median of some cases, the
limit, and how many lists of that kind were cut.
"""

from __future__ import annotations

import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable

from t3probe.observation import Attempt, Beat, Drop, Observation, RunRecord
from t3probe.verdict.exact.case import Case
from t3probe.verdict.exact.labels import solve
from t3probe.verdict.incident.run import judge_run

Made = tuple[list[str], list[list[str]], list[list[str]]]
"""Segments, the legs' segments, and paths."""


def names(count: int) -> list[str]:
    return [f"s{at}" for at in range(count)]


def scattered(rng: random.Random, segments: int, legs: int, low: int, high: int) -> Made:
    """Legs over random segments."""
    known = names(segments)
    crossed = [rng.sample(known, rng.randint(low, high)) for _ in range(legs)]
    return known, crossed, crossed


def contiguous(rng: random.Random, segments: int, legs: int, low: int, high: int) -> Made:
    """Legs over contiguous parts of one long path."""
    known = names(segments)
    crossed = []
    for _ in range(legs):
        length = rng.randint(low, high)
        start = rng.randint(0, segments - length)
        crossed.append(known[start : start + length])
    return known, crossed, [known, *crossed]


def shuffled(rng: random.Random, segments: int, legs: int, low: int, high: int) -> Made:
    """Legs over random segments, and as many paths that each cross every segment."""
    known, crossed, _ = scattered(rng, segments, legs, low, high)
    return known, crossed, [rng.sample(known, segments) for _ in range(legs)]


def case(made: Made, failed: Iterable[int], passed: Iterable[int]) -> Case:
    segments, crossed, paths = made
    return Case(
        segments=tuple(segments),
        legs={f"leg{at}": tuple(one) for at, one in enumerate(crossed)},
        paths=tuple(map(tuple, paths)),
        failed=tuple(f"leg{at}" for at in failed),
        passed=tuple(f"leg{at}" for at in passed),
    )


def truthful(rng: random.Random, made: Made, faults: int, lies: float = 0.0) -> Case:
    """Outcomes of that many random faults, some of them wrong."""
    segments, crossed, _ = made
    broken = set(rng.sample(segments, faults))
    fails = [bool(broken & set(one)) != (rng.random() < lies) for one in crossed]
    return case(
        made,
        [at for at, fail in enumerate(fails) if fail],
        [at for at, fail in enumerate(fails) if not fail],
    )


def tossed(rng: random.Random, made: Made, share: float) -> Case:
    """Each leg fails by chance."""
    fails = [rng.random() < share for _ in made[1]]
    return case(
        made,
        [at for at, fail in enumerate(fails) if fail],
        [at for at, fail in enumerate(fails) if not fail],
    )


def all_failed(made: Made) -> Case:
    return case(made, range(len(made[1])), ())


def alone(rng: random.Random, legs: int, racks: int, room: bool, share: float, lie: bool) -> Case:
    """Many upstreams, each with a segment of its own, below racks, below a room."""
    own = names(legs)
    shared = [f"rack{at}" for at in range(racks)] + (["room"] if room else [])
    crossed = []
    for at, one in enumerate(own):
        rack = [f"rack{at % racks}"] if racks else []
        crossed.append([one, *rack, *(["room"] if room else [])])
    if lie:
        crossed += [crossed[at] for at in range(0, legs, 100)]
    made = (own + shared, crossed, crossed)
    if not lie:
        return tossed(rng, made, share)
    first = tossed(rng, (own + shared, crossed[:legs], crossed), share)
    failed = set(first.failed)
    extra = [f"leg{at}" for at in range(legs, len(crossed))]
    return Case(
        segments=first.segments,
        legs={f"leg{at}": tuple(one) for at, one in enumerate(crossed)},
        paths=first.paths,
        failed=first.failed
        + tuple(x for at, x in enumerate(extra) if f"leg{at * 100}" not in failed),
        passed=first.passed + tuple(x for at, x in enumerate(extra) if f"leg{at * 100}" in failed),
    )


def run_of(legs: int, failing: int) -> tuple[RunRecord, list[Observation]]:
    """A run over many upstreams of which some go down at the second beat of three."""
    own = tuple(names(legs))
    seen = []
    for at, one in enumerate(own):
        offset = at * 0.0003
        beats = [
            Beat(sent=t + offset, ended=t + offset + 0.001, ok=True, conn=n)
            for n, t in enumerate((0.0, 10.0, 20.0))
        ]
        drops = ()
        if at < failing:
            late = beats[1].sent + 0.0005
            drops = (
                Drop(
                    began=beats[0].ended,
                    noticed=late,
                    reason="connect_refused",
                    symptom="down",
                    stage="connect",
                    call=at + 1,
                    attempt=Attempt(started=late, ended=late, ok=False, stage="connect"),
                ),
            )
            del beats[1]
        seen.append(
            Observation(
                leg=f"envoy-{one}",
                kind="tcp",
                path=(one, f"rack{at % 20}"),
                level="connect",
                outcome="failed" if drops else "passed",
                beats=tuple(beats),
                drops=drops,
                ended=20.0 + offset,
            )
        )
    racks = tuple(f"rack{at}" for at in range(20))
    record = RunRecord(segments=racks, own_segments=own, paths=tuple(one.path for one in seen))
    return record, seen


def show(title: str, limit: float, makes: Iterable[Callable[[], Case]]) -> bool:
    took = []
    cut = statuses = 0
    for make in makes:
        made = make()
        start = time.perf_counter()
        verdict = solve(made)
        took.append(time.perf_counter() - start)
        repairs = verdict.repairs or {}
        cut += verdict.minimal_sets_truncated or "truncated" in repairs
        statuses += 1
    worst = max(took)
    print(
        f"{title:<58} worst {worst * 1e3:7.1f} ms  median {statistics.median(took) * 1e3:7.1f} ms"
        f"  limit {limit * 1e3:5.0f} ms  cut {cut}/{statuses}{'' if worst <= limit else '  OVER'}"
    )
    return worst <= limit


def import_cost() -> float:
    code = (
        "import time, t3probe.observation; start = time.perf_counter();"
        "import t3probe.verdict.incident.run; print(time.perf_counter() - start)"
    )
    runs = [
        float(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True).stdout)
        for _ in range(5)
    ]
    return min(runs)


def main() -> int:
    rng = random.Random(7)
    good = True
    print(f"import of the package beyond its observations: {import_cost() * 1e3:.1f} ms")
    for kind in (scattered, contiguous, shuffled):
        for low, high in ((1, 3), (2, 6), (4, 10)):
            made = [kind(rng, 12, 30, low, high) for _ in range(40)]
            size = f"12/30 {kind.__name__} {low}-{high}"
            good &= show(f"{size}, all failed", 0.05, [lambda m=m: all_failed(m) for m in made])
            good &= show(
                f"{size}, by chance",
                0.05,
                [lambda m=m, s=s: tossed(rng, m, s) for m in made for s in (0.2, 0.5, 0.8, 0.95)],
            )
    for kind in (scattered, contiguous, shuffled):
        for low, high in ((1, 3), (2, 8), (5, 20), (20, 60), (80, 200)):
            made = [kind(rng, 200, 400, low, high) for _ in range(3)]
            size = f"200/400 {kind.__name__} {low}-{high}"
            good &= show(f"{size}, all failed", 1.0, [lambda m=m: all_failed(m) for m in made])
            good &= show(
                f"{size}, 1 to 20 faults",
                1.0,
                [lambda m=m, f=f: truthful(rng, m, f) for m in made for f in (0, 1, 3, 20)],
            )
            good &= show(
                f"{size}, 1 to 20 faults, some lies",
                1.0,
                [
                    lambda m=m, f=f, e=e: truthful(rng, m, f, e)
                    for m in made
                    for f in (1, 5, 20)
                    for e in (0.003, 0.02)
                ],
            )
            good &= show(
                f"{size}, by chance",
                1.0,
                [lambda m=m, s=s: tossed(rng, m, s) for m in made for s in (0.05, 0.5, 0.95)],
            )
    for racks in (0, 1, 100):
        for room in (False, True):
            for lie in (False, True):
                text = f"10,000 alone, {racks} racks{', a room' * room}{', lies' * lie}"
                good &= show(
                    text,
                    1.0,
                    [
                        lambda a=(racks, room, s, lie): alone(rng, 10_000, *a)
                        for s in (0.0, 0.001, 0.5, 1.0)
                    ],
                )
    for failing in (10, 5_000, 10_000):
        record, seen = run_of(10_000, failing)
        start = time.perf_counter()
        judge_run(record, seen)
        print(f"a run of 10,000 legs, {failing} of them down: {time.perf_counter() - start:.3f} s")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
