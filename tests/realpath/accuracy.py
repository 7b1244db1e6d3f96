"""How often the verdict is right on real programs: the table, many times.

    python tests/realpath/accuracy.py --times 10 --busy 4

Half of the rounds go beside busy processes. Each broken segment of each run is counted once:
convicted; in a "one of" though the line convicts it alone; in a "one of" as the line says; or
missed. Then innocents that were convicted, gates that were open on a broken segment, runs without a
fault that were not clean, and the lines whose verdict was not as written. The code is 1 when an
innocent was convicted or a gate was open on a broken segment.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parents[1])]

from realpath.line import Line  # noqa: E402 - it is a script beside a package of tests
from realpath.programs import missing  # noqa: E402
from realpath.runner import ROOT, Pool, Result, TooLateError  # noqa: E402
from realpath.table import LINES  # noqa: E402

FOLDER = ROOT / "results" / "accuracy"


class Tally:
    """What many runs gave."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.not_as_written: Counter[str] = Counter()
        self.unjust: list[str] = []

    def take(self, result: Result) -> None:
        """Count one run."""
        line, counts = result.line, self.counts
        counts["runs"] += 1
        if result.wrong:
            self.not_as_written[line.key] += 1
        if result.unjust:
            self.unjust.append(str(result))
        named = result.convicted.union(*result.one_of)
        counts["innocent convicted"] += len(result.convicted - result.broken)
        counts["gate open on a broken segment"] += len(result.passed)
        if not result.broken:
            counts["runs without an outage"] += 1
            counts["of these clean"] += not named and result.code == line.code
            return
        if line.or_clean and not named:
            counts["over before anybody looked"] += 1
            return
        for segment in line.convicted | line.suspect:
            if segment in result.convicted:
                counts["convicted, rightly"] += 1
            elif segment not in named:
                counts["missed"] += 1
            elif segment in line.convicted:
                counts['needless "one of"'] += 1
            else:
                counts['"one of", as written'] += 1
        for group in line.one_of:
            if group in result.one_of:
                counts['"one of", as written'] += 1
            elif group & result.convicted:
                counts["convicted, rightly"] += 1
            elif group & named:
                counts['another "one of"'] += 1
            else:
                counts["missed"] += 1

    def text(self) -> str:
        """A line for each figure."""
        said = [f"{what:34} {count}" for what, count in self.counts.items()]
        rows = sum(self.not_as_written.values())
        said.append(
            f"{'verdict not as written':34} {rows} runs of {len(self.not_as_written)} lines"
        )
        said += [f"  {count} x {key}" for key, count in self.not_as_written.most_common()]
        return "\n".join([*said, *self.unjust])


@contextmanager
def busy(count: int) -> Iterator[None]:
    """So many processes that do nothing but count."""
    spin = [
        sys.executable,
        "-S",
        "-c",
        "import os\nme = os.getppid()\nwhile os.getppid() == me: pass",
    ]
    some = [subprocess.Popen(spin) for _ in range(count)]
    try:
        yield
    finally:
        for one in some:
            one.kill()
            one.wait()


def rounds(lines: Sequence[Line], times: int, many: int) -> Iterator[Result | str]:
    """Every line, `times` times, or why a run says nothing; from the middle on beside `many` busy
    processes."""
    pool = Pool(FOLDER)
    try:
        for at in range(times):
            with busy(many if at >= (times + 1) // 2 else 0):
                begun = [pool.submit(one, f"{at}-{one.key}") for one in lines]
                for future in begun:
                    try:
                        yield future.result()
                    except TooLateError as error:
                        yield str(error)
    finally:
        pool.close()


def main() -> int:
    """Run the table, print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--times", type=int, default=10)
    parser.add_argument("--busy", type=int, default=4, help="busy processes beside half of it")
    parser.add_argument("--only", default="", help="lines whose name holds this")
    asked = parser.parse_args()
    if lacks := missing():
        print(f"a path of real programs needs {', '.join(lacks)}; ci/services installs them")
        return 4
    tally = Tally()
    lines = [one for one in LINES if asked.only in one.key]
    for number, result in enumerate(rounds(lines, asked.times, asked.busy), start=1):
        if isinstance(result, str):
            tally.counts["not measured"] += 1
            print(result, flush=True)
        else:
            tally.take(result)
            if result.wrong:
                print(result, flush=True)
        if number % len(lines) == 0:
            print(f"== after round {number // len(lines)}\n{tally.text()}", flush=True)
    figures = {"lines": len(lines), "times": asked.times, **tally.counts}
    (FOLDER / "accuracy.json").write_text(json.dumps(figures, indent=2) + "\n")
    return int(bool(tally.unjust))


if __name__ == "__main__":
    sys.exit(main())
