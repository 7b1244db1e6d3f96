"""Hunts for false convictions: random faults on labs, at random moments, for random times.

    python bench/hunt.py --single 1000 --double 300 --clean 100 --seed 1

Half of the runs go beside busy processes (`--busy`, 4 by default). Several labs run at once
(`--labs`). Printed are the runs that convict an innocent segment, that clear a broken one which a
failed beat touched, and that contradict themselves, each with its faults and seed; then how many
faults were named alone, in a "one of", or not seen. `--half` runs `half` alone, on segments that
the deployment declares `spread`. The code is 1 when a bound of `--most` is exceeded.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import random
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

os.environ.setdefault("T3PROBE_LOOPBACK_ONLY", "1")

import msgspec

from t3probe import guard

HOLD_SECONDS = 3.0
LATE_KINDS = frozenset({"slow"})
"""Slowness is no outage: it is hunted elsewhere (tests of slowness)."""
LONG_SLOW = frozenset({"wan"})
QUIET_KINDS = frozenset({"close", "idle", "internal"})
"""Not outages of their own: polite closes, and a collapse."""


class Fault(NamedTuple):
    """One fault of the lab and the segment that is broken by it."""

    text: str
    segment: str


class Job(NamedTuple):
    """One run."""

    seed: int
    faults: tuple[Fault, ...]
    spread: tuple[str, ...]


class Found(NamedTuple):
    """What one run said."""

    job: Job
    status: str
    convicted: tuple[str, ...]
    one_of: tuple[tuple[str, ...], ...]
    exonerated: tuple[str, ...]
    touched: tuple[str, ...]
    """Broken segments on the path of a leg that dropped."""
    clean: bool
    text: str
    record: str
    """The run as one line, to be judged again: `t3probe verdict FILE`."""


def a_fault(rng: random.Random, kinds: Sequence[tuple[str, str]]) -> Fault:
    """A random fault, its onset anywhere from 0 to the end of the hold."""
    segment, kind = rng.choice(kinds)
    text = f"{segment}:{kind}"
    onset = rng.randint(0, round(HOLD_SECONDS * 1000) - 1)
    if kind == "cut" or rng.random() < 0.8:
        text += f"@{onset}ms"
    if kind != "cut" and rng.random() < 0.5:
        text += f"+{rng.randint(5, round(HOLD_SECONDS * 1000))}ms"
    return Fault(text, "wall" if kind == "too-wide" else segment)


def jobs(count: int, many: int, seed: int, half: bool) -> Iterator[Job]:
    """`count` runs with `many` faults each."""
    kinds = [
        (segment, kind)
        for segment, some in FAULTS.items()
        for kind in some
        if kind not in LATE_KINDS | QUIET_KINDS and (kind == "half") == half
    ]
    for number in range(count):
        rng = random.Random(f"{seed}/{many}/{half}/{number}")
        faults: list[Fault] = []
        while len(faults) < many:
            fault = a_fault(rng, kinds)
            if all(one.segment != fault.segment for one in faults):
                faults.append(fault)
        yield Job(number, tuple(faults), ("tunnel", "traefik", "dispatch") if half else ())


def work(numbered: tuple[int, Job]) -> Found:
    """One run on this process's own lab."""
    job = numbered[1]
    lab = _lab()
    lab.clear()
    deployment = load(lab.deployment_path, os.environ, now=SystemClock().wall())
    if job.spread:
        deployment = msgspec.structs.replace(deployment, spread=job.spread)
    session = Session(deployment, vantage="", hold=HOLD_SECONDS)
    lab.switch([one.text for one in job.faults])
    switched = SystemClock().wall()
    session.measure([leg.name for leg in session.available], None)
    lab.clear()
    seen = session.recorded()
    record = session.record()
    judged = judge_run(record, seen)
    shift = record.started_at - switched
    dropped = [one for one in seen if one.outcome == "failed"]
    faults = [(one.segment, *_active(one.text)) for one in job.faults]
    touched = {
        segment
        for segment, began, ended in faults
        for one in dropped
        if segment in one.path
        for beat in one.beats
        if not beat.ok and beat.conclusive and _met(beat, began - shift, ended - shift)
    }
    verdict = judged.verdict
    said = "; ".join(f"{one.symptom} {'+'.join(one.failed)}" for one in judged.incidents)
    return Found(
        job,
        verdict.status,
        verdict.convicted,
        verdict.at_least_one_of,
        verdict.exonerated,
        tuple(touched),
        verdict.status == "clean" and all(one.outcome == "passed" for one in seen),
        f"{verdict.status} convicted={verdict.convicted} one_of={verdict.at_least_one_of} [{said}]",
        record_line(record, seen),
    )


def _active(text: str) -> tuple[float, float]:
    """From when to when a fault is in force, in seconds after it was switched on."""
    fault = parse_fault(text)
    began = fault.after
    lasts = 0.0 if fault.kind == "cut" else fault.lasts
    return began, float("inf") if lasts is None else began + lasts


def _met(beat: Beat, began: float, ended: float) -> bool:
    """Whether a failed beat met a fault for certain: it failed while that was in force."""
    return began <= beat.ended and (beat.ended <= ended or began >= beat.sent)


_LAB: list[Any] = []


def _lab() -> Any:
    if not _LAB:
        _LAB.append(LabProcess(timing={"hold": f"{HOLD_SECONDS:g}s"}).start())
    return _LAB[0]


def _busy(count: int) -> list[Any]:
    some = [multiprocessing.Process(target=_spin, daemon=True) for _ in range(count)]
    for one in some:
        one.start()
    return some


def _spin() -> None:
    while True:
        pass


class Tally:
    """What a hunt found."""

    def __init__(self, folder: str) -> None:
        self.counts: Counter[str] = Counter()
        self.folder = folder

    def take(self, what: str, found: Found) -> None:
        """Count one run, and print it when it is wrong."""
        broken = {one.segment for one in found.job.faults}
        faults = " ".join(one.text for one in found.job.faults)
        wrong = []
        if set(found.convicted) - broken:
            wrong.append("convicts an innocent")
        if set(found.touched) & set(found.exonerated):
            wrong.append("clears a broken segment")
        if found.status == "inconsistent":
            wrong.append("inconsistent")
        if not broken and not found.clean:
            wrong.append("not clean")
        for one in wrong:
            self.counts[f"{what}: {one}"] += 1
        if wrong:
            print(f"{', '.join(wrong)}: {faults or 'no fault'}: {found.text}", flush=True)
            if self.folder:
                file = Path(self.folder, f"{what}-{found.job.seed}.log")
                file.write_text(found.record + "\n", encoding="ascii")
        suspects = {name for group in found.one_of for name in group}
        for segment in broken:
            if segment not in found.touched:
                self.counts[f"{what}: not seen"] += 1
            elif segment in found.convicted:
                self.counts[f"{what}: named alone"] += 1
            elif segment in suspects:
                self.counts[f"{what}: in a one of"] += 1
            else:
                self.counts[f"{what}: neither"] += 1
        self.counts[f"{what}: runs"] += 1


def main() -> int:
    """Hunt; the code is 1 when more went wrong than `--most`."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, count in (("single", 100), ("double", 30), ("half", 0), ("clean", 10)):
        parser.add_argument(f"--{name}", type=int, default=count)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--labs", type=int, default=4)
    parser.add_argument("--busy", type=int, default=4)
    parser.add_argument("--most", type=int, default=3)
    parser.add_argument("--keep", default="", help="a folder for the records of wrong runs")
    asked = parser.parse_args()
    guard.install()
    plans = [
        ("single", list(jobs(asked.single, 1, asked.seed, half=False))),
        ("double", list(jobs(asked.double, 2, asked.seed, half=False))),
        ("half", list(jobs(asked.half, 1, asked.seed, half=True))),
        ("clean", [Job(number, (), ()) for number in range(asked.clean)]),
    ]
    tally = Tally(asked.keep)
    context = multiprocessing.get_context("fork")
    with context.Pool(asked.labs) as pool:
        for busy in (0, asked.busy):
            spinning = _busy(busy)
            for what, some in plans:
                part = some[::2] if not busy else some[1::2]
                for found in pool.imap_unordered(work, enumerate(part)):
                    tally.take(what, found)
            for one in spinning:
                one.terminate()
        pool.terminate()
    for what, count in sorted(tally.counts.items()):
        print(f"{what:40} {count}")
    wrong = ("convicts an innocent", "clears a broken segment", "inconsistent", "not clean")
    worst = max((tally.counts[f"{what}: {one}"] for what, _ in plans for one in wrong), default=0)
    return int(worst > asked.most)


from t3probe.config import load  # noqa: E402 - the guard's variable is set before
from t3probe.lab.faults import FAULTS, parse_fault  # noqa: E402
from t3probe.lab.process import LabProcess  # noqa: E402
from t3probe.observation import Beat  # noqa: E402
from t3probe.record.log import record_line  # noqa: E402
from t3probe.run.session import Session  # noqa: E402
from t3probe.timing import SystemClock  # noqa: E402
from t3probe.verdict.incident.run import judge_run  # noqa: E402

if __name__ == "__main__":
    sys.exit(main())
