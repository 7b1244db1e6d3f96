"""How often the verdict is right on real programs: the table, many times.

    python tests/realpath/accuracy.py --times 10 --busy 4
    python tests/realpath/accuracy.py --times 1 --every 7 --blackbox

Half of the rounds go beside busy processes. Each broken segment of each run is counted once:
convicted; in a "one of" though the line convicts it alone; in a "one of" as the line says; or
missed. Then innocents that were convicted, gates that were open on a broken segment, runs without a
fault that were not clean, and the lines whose verdict was not as written. The code is 1 when an
innocent was convicted or a gate was open on a broken segment.

With `--blackbox` a blackbox_exporter probes the same legs during the same outages, and whom the
rule of thumb of blackbox.py names is counted likewise. It knows no "one of": where the line has
one, it names one of them alone.
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

from realpath import blackbox  # noqa: E402 - it is a script beside a package of tests
from realpath.line import Line  # noqa: E402
from realpath.programs import find, missing  # noqa: E402
from realpath.runner import ROOT, Pool, Result, TooLateError  # noqa: E402
from realpath.table import LINES  # noqa: E402

FOLDER = ROOT / "results" / "accuracy"


class Tally:
    """What many runs gave."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.probed: Counter[str] = Counter()
        """The same of blackbox_exporter, where it was asked."""
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
        counts["innocent convicted"] += len(result.convicted - result.broken)
        counts["gate open on a broken segment"] += len(result.passed)
        clean = result.code == line.code
        count(counts, result, result.convicted, result.one_of, clean)
        if result.blamed is None:
            return
        self.probed["runs"] += 1
        self.probed["innocent named"] += len(innocents(result))
        count(
            self.probed, result, result.blamed, frozenset(), True, "one named where several may be"
        )

    def text(self) -> str:
        """A line for each figure."""
        said = [f"{what:34} {count}" for what, count in self.counts.items()]
        rows = sum(self.not_as_written.values())
        said.append(
            f"{'verdict not as written':34} {rows} runs of {len(self.not_as_written)} lines"
        )
        said += [f"  {count} x {key}" for key, count in self.not_as_written.most_common()]
        said += self.unjust
        if self.probed:
            said.append("blackbox_exporter and the rule of thumb:")
            said += [f"  {what:34} {count}" for what, count in self.probed.items()]
        return "\n".join(said)


def count(
    counts: Counter[str],
    result: Result,
    convicted: frozenset[str],
    one_of: frozenset[frozenset[str]],
    clean: bool,
    alone: str = "convicted, rightly",
) -> None:
    """Add what one run says of each broken segment. `alone`: where it names one of several of which
    the line cannot tell."""
    line, named = result.line, convicted.union(*one_of)
    if not result.broken:
        counts["runs without an outage"] += 1
        counts["of these clean"] += not named and clean
        return
    if line.or_clean and not named:
        counts["over before anybody looked"] += 1
        return
    for segment in line.convicted | line.suspect:
        if segment in convicted:
            counts["convicted, rightly"] += 1
        elif segment not in named:
            counts["missed"] += 1
        elif segment in line.convicted:
            counts['needless "one of"'] += 1
        else:
            counts['"one of", as written'] += 1
    for group in line.one_of:
        if group in one_of:
            counts['"one of", as written'] += 1
        elif group & convicted:
            counts[alone] += 1
        elif group & named:
            counts['another "one of"'] += 1
        else:
            counts["missed"] += 1


def innocents(result: Result) -> frozenset[str]:
    """Whom blackbox_exporter's probes accuse wrongly. A line that convicts nobody may still leave
    some in doubt; naming these is not counted."""
    doubted = frozenset[str]() if result.broken else result.line.closed
    return (result.blamed or frozenset()) - result.broken - doubted


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


def differs(result: Result) -> str:
    """What blackbox_exporter's probes make of a run, where that is not what is broken."""
    line, named = result.line, result.blamed or frozenset()
    if line.or_clean and not named:
        return ""
    missed = (line.convicted | line.suspect) - named
    missed |= frozenset(one for group in line.one_of if not group & named for one in group)
    if not missed and not innocents(result):
        return ""
    words = " ".join(sorted(named)) or "nobody"
    broken = " ".join(sorted(result.broken)) or "nobody"
    return f"blackbox_exporter: {line.key}: names {words}; broken: {broken}; {result.folder}"


def rounds(
    lines: Sequence[Line], times: int, many: int, probed: bool = False
) -> Iterator[Result | str]:
    """Every line, `times` times, or why a run says nothing; from the middle on beside `many` busy
    processes. `probed`: blackbox_exporter beside each."""
    quiet = (times + 1) // 2
    for numbers, processes in ((range(quiet), 0), (range(quiet, times), many)):
        if not numbers:
            continue
        with busy(processes):
            pool = Pool(FOLDER, probed=probed)  # as many stacks as the machine bears now
            try:
                for at in numbers:
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
    parser.add_argument("--every", type=int, default=1, help="every Nth of these only", metavar="N")
    parser.add_argument(
        "--blackbox", action="store_true", help="have blackbox_exporter probe the same outages"
    )
    asked = parser.parse_args()
    lacks = missing()
    if asked.blackbox and not find(blackbox.COMMAND):
        lacks.append(blackbox.COMMAND)
    if lacks:
        print(f"a path of real programs needs {', '.join(lacks)}; ci/services installs them")
        return 4
    tally = Tally()
    lines = [one for one in LINES if asked.only in one.key][:: asked.every]
    for number, result in enumerate(
        rounds(lines, asked.times, asked.busy, asked.blackbox), start=1
    ):
        if isinstance(result, str):
            tally.counts["not measured"] += 1
            print(result, flush=True)
        else:
            tally.take(result)
            if result.wrong:
                print(result, flush=True)
            if result.blamed is not None and (said := differs(result)):
                print(said, flush=True)
        if number % len(lines) == 0:
            print(f"== after round {number // len(lines)}\n{tally.text()}", flush=True)
    figures = {"lines": len(lines), "times": asked.times, **tally.counts}
    if tally.probed:
        figures["blackbox_exporter"] = dict(tally.probed)
    (FOLDER / "accuracy.json").write_text(json.dumps(figures, indent=2) + "\n")
    return int(bool(tally.unjust))


if __name__ == "__main__":
    sys.exit(main())
