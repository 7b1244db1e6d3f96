"""One result per upstream: ids, selecting, what the terminal shows, and JUnit."""

from __future__ import annotations

from pathlib import Path

import pytest
from items_help import CHECK, Made
from lxml import etree

SCHEMA = Path(__file__).parents[1] / "plugin" / "xunit2.xsd"
GOOD, BAD, UNSURE, SLOW = ("passed",), ("failed",), ("inconclusive",), ("degraded",)


@pytest.fixture
def made(tmp_path: Path) -> Made:
    return Made(tmp_path)


def many(number: int, *words: str) -> dict[str, tuple[str, ...]]:
    return {f"envoy-{words[0]}-{at:03d}": words for at in range(number)}


def ids(output: str) -> list[str]:
    return [line for line in output.splitlines() if "::" in line]


def test_each_upstream_has_an_id_and_other_legs_have_none(made: Made) -> None:
    done = made.run({"envoy-a": GOOD, "envoy-b": BAD}, "--collect-only", "-q")
    start = "test_made.py::test_it_can_be_connected_to"
    assert ids(done.output) == [f"{start}[envoy-a]", f"{start}[envoy-b]"]


@pytest.mark.parametrize(
    ("words", "left"),
    [
        (["-k", "orders and 8443"], ["a", "b", "orders-1"]),
        (["-k", "orders-1"], ["orders-1"]),
        (["-k", "not orders"], []),
        (["-k", "billing"], []),
        (["-m", "legs"], ["a", "b", "orders-1"]),
        (["-m", "not legs"], []),
        (["--deselect", "test_made.py::test_it_can_be_connected_to[envoy-a]"], ["b", "orders-1"]),
        (["test_made.py::test_it_can_be_connected_to[envoy-b]"], ["b"]),
        (["test_made.py::test_it_can_be_connected_to"], ["a", "b", "orders-1"]),
    ],
)
def test_selecting_is_pytests_own(made: Made, words: list[str], left: list[str]) -> None:
    seen = {"envoy-a": GOOD, "envoy-b": GOOD, "envoy-orders-1": GOOD}
    done = made.run(seen, *words)
    assert list(done.cases) == [f"envoy-{one}" for one in left], done.output
    assert done.code == (0 if left else 5)


def test_ids_with_whatever_a_backend_is_called(made: Made) -> None:
    names = ["envoy-six-[::1]:9000", "envoy-a.b_c-10.0.0.7:80", "envoy-x-y.test:1"]
    done = made.run(dict.fromkeys(names, GOOD))
    assert list(done.cases) == names
    one = made.run(dict.fromkeys(names, GOOD), "-k", "10.0.0.7:80 or y.test")
    assert list(one.cases) == names[1:]


def test_what_becomes_of_each_outcome(made: Made) -> None:
    seen = {
        "envoy-good": GOOD, "envoy-slow": SLOW, "envoy-bad": BAD, "envoy-unsure": UNSURE,
        "envoy-planned": ("failed", "planned downtime"), "envoy-cut": (),
    }  # fmt: skip
    done = made.run(seen)
    assert done.code == 1
    tags = {name: [one.tag for one in case] for name, case in done.cases.items()}
    assert tags == {
        "envoy-good": [], "envoy-slow": [], "envoy-bad": ["failure"], "envoy-unsure": ["error"],
        "envoy-planned": ["skipped"], "envoy-cut": ["error"],
    }  # fmt: skip
    words = "envoy-bad: failed, connect_refused: what happened"
    assert done.cases["envoy-bad"][0].get("message") == words
    assert "envoy-unsure: inconclusive: what happened" in str(
        done.cases["envoy-unsure"][0].get("message")
    )
    assert "the run was interrupted" in str(done.cases["envoy-cut"][0].get("message"))
    assert {done.cases[one].get("time") for one in ("envoy-good", "envoy-bad")} == {"0.250"}
    assert "1 failed, 2 passed, 1 skipped, 2 errors" in done.output
    assert words in done.output
    report = etree.parse(made.folder / "junit.xml")
    etree.XMLSchema(etree.parse(SCHEMA)).assertValid(report)
    suite = report.find("testsuite")
    numbers = [suite.get(one) for one in ("tests", "failures", "errors", "skipped")]
    assert numbers == ["6", "1", "2", "1"]


def test_good_ones_are_counted_and_not_drawn(made: Made) -> None:
    done = made.run(many(200, "passed"))
    assert "200 passed" in done.output
    assert "...." not in done.output
    assert len(done.lines) < 20
    assert len(done.cases) == 200


def test_of_many_bad_ones_some_are_shown_and_all_are_counted(made: Made) -> None:
    seen = {**many(50, "failed"), **many(30, "inconclusive"), **many(3, "passed")}
    done = made.run(seen)
    assert done.code == 1
    for word, last, more in (("FAILED", "failed", 30), ("ERROR", "inconclusive", 10)):
        shown = [line for line in done.lines if line.startswith(word + " ")]
        assert len(shown) == 20
        assert f"[envoy-{last}-019]" in shown[-1]
        assert f"{more} more {'failed' if last == 'failed' else 'errors'}" in done.lines[-1]
    assert "20 failed, 3 passed" in done.lines[-1]
    assert sum(case.find("failure") is not None for case in done.cases.values()) == 50
    assert sum(case.find("error") is not None for case in done.cases.values()) == 30


def test_verbose_shows_all(made: Made) -> None:
    done = made.run({**many(30, "passed"), **many(25, "failed")}, "-v")
    assert sum("PASSED" in line for line in done.lines) == 30
    assert sum(line.startswith("FAILED ") for line in done.lines) == 25
    assert "25 failed, 30 passed" in done.lines[-1]


def test_stopping_at_the_first_failure(made: Made) -> None:
    seen = {"envoy-a": GOOD, "envoy-b": BAD, "envoy-c": BAD, "envoy-d": GOOD}
    done = made.run(seen, "-x")
    assert list(done.cases) == ["envoy-a", "envoy-b"]
    assert "stopping after 1 failures" in done.output
    done = made.run(seen, "--maxfail=2")
    assert list(done.cases) == ["envoy-a", "envoy-b", "envoy-c"]


def test_a_check_may_judge_by_itself(made: Made) -> None:
    check = CHECK.replace("    judge(leg)", "    assert leg.ended < 1.0, 'too late'")
    done = made.run({"envoy-a": GOOD, "envoy-b": SLOW}, check=check)
    assert done.code == 1
    for name in ("envoy-a", "envoy-b"):
        assert "too late" in str(done.cases[name][0].get("message"))
    assert "2 failed" in done.output


def test_a_check_may_fail_or_skip_what_the_probe_found_well(made: Made) -> None:
    check = CHECK.replace(
        "    judge(leg)",
        "    if leg.leg == 'envoy-a':\n        pytest.fail('not this one', pytrace=False)\n"
        "    pytest.skip('nor this')",
    )
    done = made.run({"envoy-a": GOOD, "envoy-b": GOOD}, check=check)
    assert done.code == 1, done.output
    tags = {name: [one.tag for one in case] for name, case in done.cases.items()}
    assert tags == {"envoy-a": ["failure"], "envoy-b": ["skipped"]}
    assert done.cases["envoy-a"][0].get("message") == "not this one"


def test_several_checks_keep_apart(made: Made) -> None:
    """Each in a file of its own, with its own function, place and words."""
    other = (
        CHECK.replace("@pytest", "\n\n@pytest")
        .replace("it_can_be_connected_to", "other")
        .replace("judge(leg)", "leg.outcome == 'passed' or pytest.skip('as agreed')")
    )
    (made.folder / "test_other.py").write_text(other)
    seen = {"envoy-a": BAD, "envoy-b": GOOD}
    done = made.run(seen)
    assert "1 failed, 2 passed, 1 skipped" in done.output
    assert "FAILED test_made.py::test_it_can_be_connected_to[envoy-a]" in done.output
    assert "SKIPPED [1] test_other.py:7: as agreed" in done.output
    placed = made.run(seen, "-o", "junit_family=xunit1").cases["envoy-b"]  # of the later file
    assert (placed.get("file"), placed.get("line")) == ("test_other.py", "6")


@pytest.mark.parametrize(
    "mark", ["pytestmark = pytest.mark.skip('closed')", "@pytest.mark.skip('closed')"]
)
def test_a_check_with_other_marks_is_pytests(made: Made, mark: str) -> None:
    check = CHECK.replace("@pytest", f"{mark}\n@pytest", 1)
    done = made.run({"envoy-a": GOOD}, check=check)
    assert "passed" not in done.output
    assert "closed" in done.output


def test_a_check_with_fixtures_is_pytests(made: Made) -> None:
    """It is left to parametrising, which this conftest does not do."""
    check = CHECK.replace("(leg)", "(leg, tmp_path)", 1)
    done = made.run({"envoy-a": GOOD}, check=check)
    assert "fixture 'leg' not found" in done.output


def test_any_runner_can_run_an_item(made: Made) -> None:
    """Where our protocol is not asked, pytest's own gives the same."""
    seen = {"envoy-good": GOOD, "envoy-bad": BAD, "envoy-unsure": UNSURE}
    (made.folder / "without.py").write_text(
        "from t3probe.plugin.items import UpstreamItems\n"
        "UpstreamItems.pytest_runtest_protocol = lambda self, item: None\n"
    )
    done = made.run(seen, "-p", "without")
    tags = {name: [one.tag for one in case] for name, case in done.cases.items()}
    assert tags == {"envoy-good": [], "envoy-bad": ["failure"], "envoy-unsure": ["error"]}
