"""Who broke, on networks of the sizes that papers on Boolean network tomography use.

Each trial breaks links of a network, derives from its path matrix which paths fail, and asks the
function behind `t3probe verdict --case`. The networks are made by the seed, trees and meshes
(`bench/tomography_networks.py`), or are the path matrices in the CSV files of each FOLDER. Three
scenarios: one fault, two faults, and one fault while each path's outcome is turned round with a
probability of 5 %.

    precision   of the links named, how many are broken; - when nobody was named
    recall      of the broken links, how many are named
    F1          2 * right / (named + broken)

over all trials of a row together, rounded down. Four answers are scored: who is convicted; the one
smallest explanation (`simplest`; nobody, when there are several); both together; and greedy cover
on the same outcomes.

How hits are counted. Links in identical columns are on the same paths, so no outcome can tell them
apart. They are one class, and a class is one segment for all four answers: naming the class of the
broken link is one hit, naming another is one wrong name, however many links are in it. The link
that breaks is drawn from all links that a path crosses, each as likely as any other; two faults are
in two classes. Links on no path do not break.

Greedy cover is the classic: a link on a good path is innocent; the link on most failed paths that
are not explained yet is named, of several the first, until all are explained. A failed path whose
links are all innocent stays unexplained. On a tree with one source this is the smallest consistent
failure set (SCFS) of Duffield, "Network tomography of binary network performance characteristics",
IEEE Transactions on Information Theory, 2006. On any paths it is the idea of Tomo in Dhamdhere,
Teixeira, Dovrolis and Diot, "NetDiagnoser: troubleshooting network unreachabilities using
end-to-end probes and routing data", CoNEXT 2007, and of Kompella, Yates, Greenberg and Snoeren, "IP
fault localization via risk modeling", NSDI 2005. It is written anew here.

`cleared` counts broken links that the verdict clears, `cut` the trials in which a list was cut
(`minimal_sets_truncated`, or repairs that are), `worst` is the slowest verdict's CPU time. Without
wrong outcomes every conviction must be right and no broken link cleared: else the exit code is 1.
The networks made here take about 20 s of one core; the time goes with --trials.

    python bench/tomography.py [FOLDER ...] [--trials N] [--seed S]
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from attribution import greedy
from tomography_networks import FORM, Classes, Network, NetworkError, folded, made, read

from t3probe.usage import say
from t3probe.verdict.exact.case import Case
from t3probe.verdict.exact.labels import Verdict, solve

TRIALS = 500
JUDGES = ("convicted", "simplest", "both", "greedy cover")


class Scenario(NamedTuple):
    """How many links break, and how probable it is that a path's outcome is wrong."""

    title: str
    faults: int
    flipped: float


SCENARIOS = (
    Scenario("one fault", 1, 0.0),
    Scenario("two faults", 2, 0.0),
    Scenario("one, 5 % flipped", 1, 0.05),
)


class Trial(NamedTuple):
    """A case, and the truth about it."""

    case: Case
    broken: frozenset[str]
    flipped: frozenset[str]
    """The paths whose outcome is wrong."""


class Score(NamedTuple):
    """Counts over some trials."""

    named: int = 0
    right: int = 0
    broken: int = 0

    @classmethod
    def of(cls, named: Iterable[str], broken: frozenset[str]) -> Score:
        """One trial."""
        names = set(named)
        return cls(len(names), len(names & broken), len(broken))

    def merged(self, other: Score) -> Score:
        """The trials of both."""
        return Score(*map(sum, zip(self, other, strict=True)))

    @property
    def precision(self) -> float | None:
        """None when nobody was named."""
        return self.right / self.named if self.named else None

    @property
    def recall(self) -> float | None:
        """None when nothing was broken."""
        return self.right / self.broken if self.broken else None

    @property
    def f1(self) -> float | None:
        """None when nobody was named and nothing was broken."""
        both = self.named + self.broken
        return 2 * self.right / both if both else None


class Row(NamedTuple):
    """What came of a scenario on one network, or on several."""

    scores: tuple[Score, ...]
    """Of each of `JUDGES`."""
    doubted: tuple[Score, Score]
    """Of what all repairs agree on: the outcomes to disbelieve, and the broken links."""
    counts: Counter[str]
    worst_seconds: float

    def merged(self, other: Row) -> Row:
        """Both together."""
        wrong, links = map(Score.merged, self.doubted, other.doubted)
        return Row(
            tuple(map(Score.merged, self.scores, other.scores)),
            (wrong, links),
            self.counts + other.counts,
            max(self.worst_seconds, other.worst_seconds),
        )


NOTHING = Row((Score(),) * len(JUDGES), (Score(), Score()), Counter(), 0.0)


def make(classes: Classes, scenario: Scenario, rng: random.Random) -> Trial:
    """Break links by chance and see which paths fail."""
    broken: set[int] = set()
    while len(broken) < min(scenario.faults, len(classes.members)):
        free = [at for at in range(len(classes.members)) if at not in broken]
        (one,) = rng.choices(free, [len(classes.members[at]) for at in free])
        broken.add(one)
    names = [f"link{group[0]}" for group in classes.members]
    legs = {f"path{at}": path for at, path in enumerate(classes.paths)}
    flipped = {leg for leg in legs if rng.random() < scenario.flipped}
    failed = {leg for leg, path in legs.items() if broken.isdisjoint(path) == (leg in flipped)}
    case = Case(
        segments=tuple(names),
        legs={leg: tuple(names[at] for at in path) for leg, path in legs.items()},
        failed=tuple(leg for leg in legs if leg in failed),
        passed=tuple(leg for leg in legs if leg not in failed),
    )
    return Trial(case, frozenset(names[at] for at in broken), frozenset(flipped))


def answers(case: Case, verdict: Verdict) -> tuple[Iterable[str], ...]:
    """Whom each of `JUDGES` names."""
    simplest = verdict.simplest or ()
    return (
        verdict.convicted,
        simplest,
        {*verdict.convicted, *simplest},
        greedy(case, explain_all=False),
    )


def judged(trial: Trial) -> Row:
    """One trial, judged."""
    began = time.process_time()
    verdict = solve(trial.case)
    took = time.process_time() - began
    repairs: dict[str, Any] = verdict.repairs or {}
    counts = Counter(
        trials=1,
        cleared=len(trial.broken & set(verdict.exonerated)),
        cut=verdict.minimal_sets_truncated or "truncated" in repairs,
    )
    doubted = Score(), Score()
    if options := repairs.get("options"):
        wrong = [frozenset(one["disbelieve"]) for one in options]
        faults = [frozenset(one["faults"]) for one in options]
        doubted = (
            Score.of(wrong[0].intersection(*wrong), trial.flipped),
            Score.of(faults[0].intersection(*faults), trial.broken),
        )
        counts += Counter(inconsistent=1, alone=len(options) == 1, exactly=trial.flipped in wrong)
    scores = tuple(Score.of(named, trial.broken) for named in answers(trial.case, verdict))
    return Row(scores, doubted, counts, took)


def measure(classes: Classes, scenario: Scenario, trials: int, seed: str) -> Row:
    """All trials of one scenario on one network."""
    rng = random.Random(seed)
    row = NOTHING
    for _ in range(trials):
        row = row.merged(judged(make(classes, scenario, rng)))
    return row


def sound(scenario: Scenario, row: Row) -> bool:
    """Whether every conviction was right and nobody was cleared who broke, if that can be asked."""
    convicted = row.scores[0]
    right = convicted.right == convicted.named and not row.counts["cleared"]
    return bool(scenario.flipped) or right


# -- what is printed --------------------------------------------------------------------------


def figures(score: Score) -> str:
    """Precision, recall and F1, rounded down: 1.00 has no exception."""
    named, right, broken = score
    parts = ((right, named), (right, broken), (2 * right, named + broken))
    return " ".join(f"{100 * one // all_ / 100:4.2f}" if all_ else "   -" for one, all_ in parts)


def line(title: str, scenario: Scenario, row: Row) -> str:
    """One row of the table."""
    cells = "   ".join(map(figures, row.scores))
    return (
        f"{title:<21}{scenario.title:<18}{cells}{row.counts['cleared']:9}{row.counts['cut']:5}"
        f"{row.worst_seconds * 1e3:7.0f} ms"
    )


def share(part: int, whole: int) -> str:
    return f"{part / whole:.0%}" if whole else "-"


def repaired(title: str, row: Row) -> str:
    """What the repairs of one row named."""
    count = row.counts
    many = count["inconsistent"]
    said = f"{many} of {count['trials']}"
    cells = "   ".join(map(figures, row.doubted))
    return (
        f"{title:<21}{said:<18}{cells}"
        f"{share(count['exactly'], many):>9}{share(count['alone'], many):>12}"
    )


def report(networks: Sequence[Network], trials: int, seed: int) -> bool:
    """Measure and print; whether every row is sound."""
    good = True
    kinds: dict[str, list[Row]] = {}
    doubted = []
    print(f"{trials} trials a row, seed {seed}; precision, recall, F1 of each")
    heads = "   ".join(f"{one:<14}" for one in JUDGES)
    print(f"{'':<39}{heads}{'cleared':>9}{'cut':>5}{'worst':>10}")
    for network in networks:
        classes = folded(network)
        kept = len(classes.members)
        print(f"{network.title}: {len(network.paths)} paths, {network.links} links, {kept} classes")
        for at, scenario in enumerate(SCENARIOS):
            row = measure(classes, scenario, trials, f"{seed} {network.title} {scenario.title}")
            rows = kinds.setdefault(network.kind, [NOTHING] * len(SCENARIOS))
            rows[at] = rows[at].merged(row)
            good &= sound(scenario, row)
            print(line("", scenario, row), flush=True)
            if scenario.flipped:
                doubted.append(repaired(network.title, row))
    for kind, rows in kinds.items():
        for scenario, row in zip(SCENARIOS, rows, strict=True):
            print(line(f"all {kind}", scenario, row))
            if scenario.flipped:
                doubted.append(repaired(f"all {kind}", row))
    print("\nOutcomes that contradict each other convict nobody. What all `repairs` agree on then,")
    print("against the outcomes that were turned round and against the broken links; how often one")
    print("of them disbelieves exactly what was turned round, and how often there is one only:")
    print(
        f"{'':<21}{'inconsistent':<18}{'outcomes':<17}{'links':<14}{'exactly':>9}{'one only':>12}"
    )
    print("\n".join(doubted))
    return good


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").splitlines()[0], epilog=f"FOLDER: {FORM}."
    )
    parser.add_argument("folder", nargs="*", metavar="FOLDER", help="of path matrices, see below")
    parser.add_argument("--trials", type=int, default=TRIALS, help="a row; default %(default)s")
    parser.add_argument("--seed", type=int, default=1, help="default %(default)s")
    asked = parser.parse_args(words)
    if asked.trials < 1:
        parser.error(f"--trials: expected 1 or more, found {asked.trials}; leave it out")
    try:
        given = [one for folder in asked.folder for one in read(folder)]
    except NetworkError as error:
        return say(error)
    return 0 if report(given or made(asked.seed), asked.trials, asked.seed) else 1


if __name__ == "__main__":
    sys.exit(main())
