"""`bench/tomography.py`: what it reads, what it makes, how it counts, and one small run of it."""

from __future__ import annotations

import json
import random
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
import tomography
from attribution import greedy
from hypothesis import given
from hypothesis import strategies as st
from tomography import NOTHING, SCENARIOS, Scenario, Score
from tomography_networks import Network, NetworkError, folded, made, matrix, mesh, read, tree

from t3probe.verdict.exact.case import Case
from t3probe.verdict.exact.labels import solve

SEEDS = st.integers(0, 10**6)

# -- what is read -----------------------------------------------------------------------------

REFUSED = [
    (b"", "m.csv: expected rows of 0 and 1 with commas, found none; fill it or remove it"),
    (b"a,b\n", "m.csv: expected rows of 0 and 1 with commas, found none; fill it or remove it"),
    (
        b"1,0,1\n\n1,1\n",
        "m.csv: line 3: expected 3 values as in line 1, found 2; all rows need a value for every "
        "link",
    ),
    (
        b"1,0\n1,0,1\n",
        "m.csv: line 2: expected 2 values as in line 1, found 3; all rows need a value for every "
        "link",
    ),
    (
        b"1,0\n1,2\n",
        "m.csv: line 2, value 2: expected 0 or 1, found '2'; only a first line without any 0 or "
        "1 may hold something else",
    ),
    (
        b"0,1,2\n1,1,0\n",
        "m.csv: line 1, value 3: expected 0 or 1, found '2'; only a first line without any 0 or "
        "1 may hold something else",
    ),
    (
        b"a,b\nc,d\n",
        "m.csv: line 2, value 1: expected 0 or 1, found 'c'; only a first line without any 0 or "
        "1 may hold something else",
    ),
    (
        b"1,,1\n",
        "m.csv: line 1, value 2: expected 0 or 1, found ''; only a first line without any 0 or 1 "
        "may hold something else",
    ),
    (
        b"1;0\n",
        "m.csv: expected rows of 0 and 1 with commas, found none; fill it or remove it",
    ),
    (
        b"1,0\n0,0\n",
        "m.csv: line 2: expected a path over at least one link, found zeros alone; remove the row",
    ),
    (
        b"\xff\xfe1,0",
        "m.csv: expected UTF-8 text with commas, found something else ('utf-8' codec can't decode "
        "byte 0xff in position 0: invalid start byte); export it anew",
    ),
    (
        b'"1,0\n1,1\n',
        "m.csv: expected UTF-8 text with commas, found something else (unexpected end of data); "
        "export it anew",
    ),
]


@pytest.mark.parametrize(("data", "sentence"), REFUSED)
def test_what_is_no_path_matrix_is_refused(data: bytes, sentence: str) -> None:
    with pytest.raises(NetworkError) as caught:
        matrix(data, "m.csv", "m", "folder")
    assert str(caught.value) == sentence


@pytest.mark.parametrize(
    "data",
    [
        b"1,0,1\n0,1,1\n",
        b"1,0,1\n0,1,1",
        b"a,b,c\n1,0,1\n0,1,1\n",
        b'\xef\xbb\xbflink 1,"link, 2",link 3\r\n1, 0 ,1\r\n\r\n0,1,1\r\n,,\r\n',
    ],
)
def test_a_path_matrix_is_read(data: bytes) -> None:
    assert matrix(data, "m.csv", "m", "f") == Network("m", "f", 3, ((0, 2), (1, 2)))


@given(st.lists(st.lists(st.booleans(), min_size=4, max_size=4).filter(any), min_size=1))
def test_what_is_written_is_read_back(rows: list[list[bool]]) -> None:
    text = "\n".join(",".join("01"[cell] for cell in row) for row in rows)
    found = matrix(text.encode(), "m.csv", "m", "f")
    assert [[at in path for at in range(found.links)] for path in found.paths] == rows


def test_a_folder_is_read_by_name(tmp_path: Path) -> None:
    for name in ("b.csv", "a.csv"):
        (tmp_path / name).write_text("1,0\n")
    (tmp_path / "readme.txt").write_text("no matrix")
    assert [one.title for one in read(str(tmp_path))] == ["a", "b"]


def test_a_folder_without_matrices_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert tomography.main([str(tmp_path)]) == 4
    assert tomography.main([str(tmp_path / "none")]) == 4
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.replace(str(tmp_path), "F").splitlines() == [
        "t3probe: F: expected *.csv files with a path matrix each, found none; name another folder",
        "t3probe: F/none: cannot be read: No such file or directory; name a folder of CSV files",
    ]


def test_help_says_what_is_accepted(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        tomography.main(["--help"])
    said = " ".join(capsys.readouterr().out.split())
    for word in ("rows are paths", "columns are links", "values 0 or 1", "header"):
        assert word in said


# -- what is made -----------------------------------------------------------------------------


def walked(network: Network, path: tuple[int, ...]) -> list[int]:
    """The nodes along a path, from the root at which it begins."""
    for root in network.roots:
        nodes = [root]
        for link in path:
            beyond = [end for end in network.ends[link] if end != nodes[-1]]
            if len(beyond) != 1:
                break
            nodes += beyond
        else:
            return nodes
    raise AssertionError(f"{path} begins at no root")


@given(SEEDS, st.integers(2, 300))
def test_a_tree_has_a_path_from_its_root_to_each_leaf(seed: int, leaves: int) -> None:
    network = tree(random.Random(seed), leaves)
    walks = [walked(network, path) for path in network.paths]
    assert len({walk[-1] for walk in walks}) == len(walks) == leaves
    assert not {walk[-1] for walk in walks} & {node for walk in walks for node in walk[:-1]}
    # A tree: every node is entered by one link, and every link is on a path.
    assert len({far for _, far in network.ends}) == network.links == len(network.ends)
    assert {link for path in network.paths for link in path} == set(range(network.links))


@given(SEEDS, st.integers(8, 60), st.integers(1, 4), st.integers(1, 4))
def test_a_mesh_has_a_shortest_path_from_each_monitor_to_each_target(
    seed: int, nodes: int, monitors: int, targets: int
) -> None:
    network = mesh(random.Random(seed), nodes, monitors, targets)
    walks = [walked(network, path) for path in network.paths]
    assert len(set(network.roots)) == monitors
    aims = {walk[-1] for walk in walks}
    assert len(aims) == targets
    assert Counter((walk[0], walk[-1]) for walk in walks) == Counter(
        (root, aim) for root in network.roots for aim in aims
    )
    for walk in walks:
        reached, steps = {walk[0]}, 0
        while walk[-1] not in reached:
            reached |= {e for ends in network.ends if reached & set(ends) for e in ends}
            steps += 1
        assert len(walk) - 1 == steps


def test_a_seed_makes_the_same_networks_again() -> None:
    assert made(3) == made(3) != made(4)
    assert {one.kind for one in made(3)} == {"trees", "meshes"}


@given(st.lists(st.sets(st.integers(0, 7), min_size=1), min_size=1, max_size=6))
def test_links_in_equal_columns_are_one_class(paths: list[set[int]]) -> None:
    classes = folded(Network("n", "k", 8, tuple(tuple(sorted(one)) for one in paths)))
    column = {link: tuple(link in path for path in paths) for link in range(8)}
    seen = [link for link in column if any(column[link])]
    assert sorted(link for group in classes.members for link in group) == seen
    home = {link: at for at, group in enumerate(classes.members) for link in group}
    for one in seen:
        for other in seen:
            assert (home[one] == home[other]) == (column[one] == column[other])
    assert [set(path) for path in classes.paths] == [{home[one] for one in path} for path in paths]


# -- how it is counted ------------------------------------------------------------------------

NAMES = st.sets(st.sampled_from("abcdefgh"))


@given(NAMES, NAMES)
def test_one_trial_is_scored(named: set[str], broken: set[str]) -> None:
    score = Score.of(named, frozenset(broken))
    right = sum(one in broken for one in named)
    assert score.precision == (right / len(named) if named else None)
    assert score.recall == (right / len(broken) if broken else None)
    if score.precision and score.recall:
        mean = 2 / (1 / score.precision + 1 / score.recall)
        assert score.f1 == pytest.approx(mean)
    elif named or broken:
        assert score.f1 == 0
    else:
        assert score.f1 is None
    if named == broken != set():
        assert (score.precision, score.recall, score.f1) == (1, 1, 1)


@given(st.lists(st.tuples(NAMES, NAMES), max_size=5))
def test_trials_add_up(trials: list[tuple[set[str], set[str]]]) -> None:
    total = Score()
    for named, broken in trials:
        total = total.merged(Score.of(named, frozenset(broken)))
    told = Score.of(
        [f"{at}{one}" for at, (named, _) in enumerate(trials) for one in named],
        frozenset(f"{at}{one}" for at, (_, broken) in enumerate(trials) for one in broken),
    )
    assert total == told


def test_figures_are_rounded_down() -> None:
    assert tomography.figures(Score(1000, 999, 999)) == "0.99 1.00 0.99"
    assert tomography.figures(Score(100, 29, 29)) == "0.29 1.00 0.44"
    assert tomography.figures(Score(0, 0, 7)) == "   - 0.00 0.00"


def outcomes(paths: list[str], failed: str) -> Case:
    """Paths of links of one letter; the numbers in `failed` failed."""
    legs = {str(at): tuple(one) for at, one in enumerate(paths)}
    return Case(
        segments=tuple(sorted({one for path in paths for one in path})),
        legs=legs,
        failed=tuple(failed),
        passed=tuple(one for one in legs if one not in failed),
    )


def test_greedy_takes_the_most_then_the_first() -> None:
    assert greedy(outcomes(["ab", "ac", "bd"], "012"), explain_all=False) == {"a", "b"}
    assert greedy(outcomes(["ab", "ac", "b"], "01"), explain_all=False) == {"a"}
    contradicted = outcomes(["ab", "a", "b"], "0")
    assert greedy(contradicted, explain_all=False) == set()
    assert greedy(contradicted, explain_all=True) == {"a"}


@given(SEEDS, st.integers(2, 40), st.integers(1, 4))
def test_on_a_tree_greedy_is_the_smallest_consistent_failure_set(
    seed: int, leaves: int, faults: int
) -> None:
    """The links nearest to the root all of whose leaves failed."""
    rng = random.Random(seed)
    classes = folded(tree(rng, leaves))
    case = tomography.make(classes, Scenario("", faults, 0.1), rng).case
    good = {one for leg in case.passed for one in case.legs[leg]}
    nearest = {next(one for one in case.legs[leg] if one not in good) for leg in case.failed}
    assert greedy(case, explain_all=False) == nearest == set(solve(case).simplest or ())


@given(SEEDS, st.integers(1, 3), st.sampled_from([0.0, 0.3, 1.0]))
def test_outcomes_follow_from_the_broken_links(seed: int, faults: int, flipped: float) -> None:
    rng = random.Random(seed)
    classes = folded(mesh(rng, 12, 2, 4))
    trial = tomography.make(classes, Scenario("", faults, flipped), rng)
    assert len(trial.broken) == min(faults, len(classes.members))
    assert trial.broken <= set(trial.case.segments)
    assert set(trial.case.failed) | set(trial.case.passed) == set(trial.case.legs)
    for leg, path in trial.case.legs.items():
        truth = not trial.broken.isdisjoint(path)
        assert (leg in trial.case.failed) == (truth != (leg in trial.flipped))
    if flipped in (0.0, 1.0):
        assert len(trial.flipped) == flipped * len(trial.case.legs)


@given(SEEDS, st.integers(1, 3))
def test_right_outcomes_convict_and_clear_rightly(seed: int, faults: int) -> None:
    rng = random.Random(seed)
    network = rng.choice([tree(rng, 20), mesh(rng, 25, 3, 8)])
    scenario = Scenario("", faults, 0.0)
    row = tomography.measure(folded(network), scenario, 5, "seed")
    convicted, simplest, both, cover = row.scores
    assert convicted.right == convicted.named
    assert row.counts["cleared"] == row.counts["inconsistent"] == 0
    assert both.right >= max(convicted.right, simplest.right)
    assert tomography.sound(scenario, row)
    if faults == 1:  # no other class is on exactly the paths that failed
        assert simplest == cover == Score(5, 5, 5)


def test_a_wrong_conviction_or_clearing_is_not_sound() -> None:
    wrong = NOTHING._replace(scores=(Score(2, 1, 2), *NOTHING.scores[1:]))
    cleared = NOTHING._replace(counts=Counter(cleared=1))
    for row in (wrong, cleared):
        assert not tomography.sound(Scenario("", 1, 0.0), row)
        assert tomography.sound(Scenario("", 1, 0.05), row)


def test_what_all_repairs_agree_on_is_counted() -> None:
    """A link on three paths, one of which passed: that one is wrong, or the two others are."""
    paths = ["ab", "ac", "ad", "b", "c", "d"]
    trial = tomography.Trial(outcomes(paths, "01"), frozenset("a"), frozenset("2"))
    row = tomography.judged(trial)
    assert row.doubted == (Score(1, 1, 1), Score(1, 1, 1))
    assert row.counts == Counter(trials=1, cleared=1, inconsistent=1, alone=1, exactly=1)
    two = tomography.Trial(outcomes(["ab", "ab", "a", "b"], "01"), frozenset("a"), frozenset("2"))
    row = tomography.judged(two)  # either link may be broken, for one outcome
    assert row.doubted == (Score(0, 0, 1), Score(0, 0, 1))
    assert row.counts["alone"] == 0
    assert row.counts["exactly"] == 1


# -- a small run ------------------------------------------------------------------------------


def test_a_folder_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("real").mkdir()
    Path("real/small.csv").write_text("a,b,c,d\n1,1,0,0\n1,0,1,1\n")
    Path("real/other.csv").write_text("1,0\n1,1\n")
    words = ["real", "--trials", "7", "--seed", "3"]
    assert tomography.main(words) == 0
    first = capsys.readouterr().out
    assert "small: 2 paths, 4 links, 3 classes" in first
    for scenario in SCENARIOS:
        assert len(re.findall(rf"^.{{21}}{scenario.title} +[-\d]", first, re.M)) == 3
    assert re.search(r"^small +\d of 7 ", first, re.M)
    assert re.search(r"^all real +\d+ of 14 ", first, re.M)
    assert tomography.main(words) == 0
    assert untimed(capsys.readouterr().out) == untimed(first)


def untimed(text: str) -> str:
    return re.sub(r" +\d+ ms$", "", text, flags=re.M)


def test_a_wrong_conviction_ends_with_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tomography, "sound", lambda _scenario, _row: False)
    (tmp_path / "one.csv").write_text("1\n")
    assert tomography.main([str(tmp_path), "--trials", "1"]) == 1
    assert "one: 1 paths, 1 links, 1 classes" in capsys.readouterr().out


def test_the_command_gives_the_same_verdicts(tmp_path: Path) -> None:
    cases = []
    for network in (tree(random.Random(1), 12), mesh(random.Random(1), 25, 4, 12)):
        rng = random.Random(2)
        cases += [tomography.make(folded(network), one, rng).case for one in SCENARIOS]
    file = tmp_path / "cases.json"
    keys = ("segments", "legs", "failed", "passed")
    file.write_text(json.dumps([{key: getattr(one, key) for key in keys} for one in cases]))
    ran = subprocess.run(
        [sys.executable, "-m", "t3probe.cli", "verdict", "--case", str(file)],
        check=True,
        capture_output=True,
    )
    assert json.loads(ran.stdout) == json.loads(json.dumps([solve(one).to_dict() for one in cases]))
    assert {solve(one).status for one in cases} > {"inconsistent"}
