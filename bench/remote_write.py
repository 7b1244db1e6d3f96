"""Remote write over outages and kills, on the real receivers: is `increase()` the truth?

Needs Debian's `prometheus` and `victoria-metrics`, which run on loopback for the time of the
measurement. Runs are scripted and their times lie in the past, so nothing waits.

    python bench/remote_write.py [RUNS]

- An outage of 40 minutes within 300 runs. Two runs are killed before they send, and one between its
  request and the answer. Then over all runs: `increase()` to the drops that were made up, on
  VictoriaMetrics, and on Prometheus with an out-of-order window and without one.
- An outage of 90 minutes on Prometheus without such a window, while another vantage goes on: what
  is there and what is counted as lost together.
- 500 runs that wait, of 14 legs each: after how many runs of a box that answers they are gone, and
  whether their order was kept.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "deliver"))

from delivery_runs import DEAD
from remote_parts import DROPS, LASTED, Box, Prometheus, RealReceiver, Victoria

from t3probe.config import load
from t3probe.deliver.metrics import gauges, zeros
from t3probe.deliver.metrics.carry import LOST, RUN_TIMESTAMP, Family
from t3probe.deliver.sinks import Batch, backlog, remote_write
from t3probe.deliver.sinks.receiver import RemoteReceiver, Sender
from t3probe.deliver.sinks.remote_write import RemoteWrites
from t3probe.timing import SystemClock

ROOT = Path(__file__).resolve().parent.parent
RUNS = 300
WAITING = 500
WITHIN = 3
MOST_OFF = 0.01


class Shifted(SystemClock):
    """The machine's clock, with another date."""

    def __init__(self, wall: float) -> None:
        self._ahead = wall - time.time()

    def wall(self) -> float:
        return time.time() + self._ahead


@contextmanager
def started(one: RealReceiver) -> Iterator[RealReceiver]:
    one.start()
    try:
        yield one
    finally:
        one.stop(signal.SIGKILL)


def killed(box: Box, number: int, drops: int, began: float, place: type, name: str) -> None:
    """A run in a process of its own, which is killed when it calls `name`."""
    child = os.fork()
    if not child:

        def end(*_: object, **__: object) -> None:
            os.kill(os.getpid(), signal.SIGKILL)

        setattr(place, name, end)
        box.run(number, drops, began)
        os._exit(1)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status), "the run was to be killed"


def target(server: RealReceiver) -> RemoteReceiver:
    return RemoteReceiver(server.url + server.write)


def shown(real: RealReceiver, at: float) -> None:
    """Wait until the last run is shown."""
    real.settled(
        RUN_TIMESTAMP,
        lambda found: any(float(one["value"][1]) == at for one in found),
        at,
    )


def outage(name: str, real: RealReceiver, folder: Path, runs: int, away: range) -> bool:
    """The first figure for one receiver; whether it is as asked."""
    chance, truth = random.Random(7), 0
    start = float(int(time.time()) - 60 * runs)
    box = Box(folder, [])
    kills: dict[int, tuple[type, str]] = {
        runs // 5: (Sender, "send"),
        away[len(away) // 2]: (Sender, "send"),
        runs * 4 // 5: (backlog.Backlog, "taken"),
    }
    for number in range(runs):
        drops = chance.choice((0, 0, 0, 0, 1, 1, 2, 5))
        truth += drops
        began = start + 60 * number
        box.receivers = [RemoteReceiver(DEAD) if number in away else target(real)]
        if number in kills:
            killed(box, number, drops, began, *kills[number])
        else:
            assert box.run(number, drops, began).ok is (number not in away)
    end = start + 60 * (runs - 1) + LASTED
    shown(real, end)
    window, at = f"{runs + 2}m", end + 30
    grown = sum(float(one["value"][1]) for one in real.query(f"increase({DROPS}[{window}])", at))
    lost = real.steps(LOST, window, at)
    off = abs(grown - truth) / truth
    exact = isinstance(real, Victoria)
    good = lost == 0 and (off == 0 if exact else off <= MOST_OFF)
    raw = real.steps(DROPS, window, at)
    print(
        f"  {name:<34} true {truth}  increase() {grown:.2f}  raw {raw:g}  lost {lost:g}  "
        f"{'ok' if good else 'OVER'}"
    )
    return good


def long_outage(real: RealReceiver, folder: Path, runs: int, away: range) -> bool:
    """The second figure: nothing wrong, and the loss counted exactly."""
    chance, truth, in_time = random.Random(8), 0, 0
    start = float(int(time.time()) - 60 * runs)
    ours = Box(folder / "ours", [])
    other = Box(folder / "other", [target(real)], vantage="other")
    refused = 0
    for number in range(runs):
        began, drops = start + 60 * number, chance.choice((0, 0, 1, 2))
        truth += drops
        in_time += drops * (number not in away)
        assert other.run(number, 0, began).ok
        ours.receivers = [RemoteReceiver(DEAD) if number in away else target(real)]
        refused += "put aside" in ours.run(number, drops, began).sentence
    end = start + 60 * (runs - 1) + LASTED
    shown(real, end)
    window, at = f"{runs + 2}m", end + 30
    there = real.steps(f'{DROPS}{{vantage="cluster"}}', window, at)
    lost = real.steps(f'{LOST}{{vantage="cluster"}}', window, at)
    good = there + lost == truth and lost > 0 and not refused
    print(
        f"  true {truth}  there {there:g}  counted as lost {lost:g}  refused {refused}  "
        f"{'ok' if good else 'WRONG'}"
    )
    return good


def many(name: str, real: RealReceiver, folder: Path) -> bool:
    """The third figure for one receiver."""
    deployment = load(ROOT / "deployments" / "t3.toml", {}, now=0.0)
    zero, named = zeros(deployment), gauges(deployment)
    start = float(int(time.time()) - 60 * (WAITING + 10))

    def run(number: int, one: RemoteReceiver) -> str:
        end = start + 60 * number + LASTED
        own = {**zero, RUN_TIMESTAMP: Family("gauge", "", {(): end})}
        own["t3probe_run_duration_seconds"] = Family("gauge", "", {(): LASTED})
        remote = RemoteWrites([one], {"job": "t3-probe", "vantage": "many"}, Shifted(end))
        sink = remote.sink(folder, keep=True, gauges=named, tells=True)
        sink(Batch(zero, opening=True))
        return sink(Batch(own)).sentence

    for number in range(WAITING):
        run(number, RemoteReceiver(DEAD, max_age_seconds=86_400))
    order: list[str] = []
    taken: Callable[..., None] = backlog.Backlog.taken

    def noting(self: backlog.Backlog, one: backlog.Waiting) -> None:
        order.append(one.name)
        taken(self, one)

    backlog.Backlog.taken = noting  # type: ignore[method-assign]
    waiting, took, seconds = WAITING, 0, 0.0
    try:
        while waiting and took < 20:
            began = time.monotonic()
            run(WAITING + took, RemoteReceiver(real.url + real.write, max_age_seconds=86_400))
            seconds += time.monotonic() - began
            took += 1
            waiting = len(list(folder.glob("*/*.rw")))
    finally:
        backlog.Backlog.taken = taken  # type: ignore[method-assign]
    sorted_ = order == sorted(order)
    good = took <= WITHIN and sorted_ and not list(folder.glob("*/*.refused"))
    print(
        f"  {name:<34} gone within {took} runs, {seconds / len(order) * 1000:.1f} ms each, order "
        f"{'kept' if sorted_ else 'LOST'}  asked <= {WITHIN}  {'ok' if good else 'OVER'}"
    )
    return good


def main() -> None:
    for one in ("prometheus", "victoria-metrics"):
        if shutil.which(one) is None:
            print(f"nothing measured: {one} is not installed; apt install {one}")
            sys.exit(0)
    remote_write.END_SECONDS = 3.6  # as a run has it
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else RUNS
    away = range(runs // 3, runs // 3 + 40 * runs // RUNS)
    good = []
    with tempfile.TemporaryDirectory() as name:
        top = Path(name)
        makers: dict[str, Callable[[Path], RealReceiver]] = {
            "VictoriaMetrics": Victoria,
            "Prometheus, out of order for 6h": lambda folder: Prometheus(folder, "6h"),
            "Prometheus": Prometheus,
        }
        print(f"{runs} runs, away for {len(away)}, three killed")
        for number, (what, make) in enumerate(makers.items()):
            with started(make(top / f"a{number}")) as real:
                good.append(outage(what, real, top / f"spool-a{number}", runs, away))
        long = range(runs // 3, runs // 3 + 90 * runs // RUNS)
        print(f"Prometheus, {runs} runs, away for {len(long)}, and another vantage goes on")
        with started(Prometheus(top / "b")) as real:
            good.append(long_outage(real, top / "spool-b", runs, long))
        print(f"{WAITING} runs that wait")
        for number, (what, make) in enumerate(list(makers.items())[:3:2]):
            with started(make(top / f"c{number}")) as real:
                good.append(many(what, real, top / f"spool-c{number}"))
    sys.exit(not all(good))


if __name__ == "__main__":
    main()
