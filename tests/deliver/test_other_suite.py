"""Reading other suites' JUnit files, as the writers of the world write them."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from t3probe.deliver.metrics import CHECK_NAME_LIMIT
from t3probe.deliver.sinks.other_suite import Suite, SuiteTest, read_suite
from t3probe.record.facts import RecordError


def of(folder: Path, cases: str) -> dict[str, tuple[bool | None, float | None]]:
    """The checks of a suite with these cases."""
    file = folder / "other.xml"
    file.write_text(f"<testsuites><testsuite name='s'>{cases}</testsuite></testsuites>")
    return {one.name: (one.passed, one.seconds) for one in read_suite(file).checks}


WRITERS = {
    "pytest": (
        '<testcase classname="t" name="x" time="0.5"/>', (True, 0.5),
    ),
    "pytest xfail": (
        '<testcase classname="t" name="x" time="0.5"><skipped type="pytest.xfail" message=""/>'
        "</testcase>", (None, None),
    ),
    "Surefire, made good": (
        '<testcase classname="t" name="x" time="0.5"><flakyFailure type="E"/></testcase>',
        (True, 0.5),
    ),
    "Surefire, failed each time": (
        '<testcase classname="t" name="x" time="0.5"><failure/><rerunFailure type="E"/></testcase>',
        (False, 0.5),
    ),
    "Surefire, an hour": (
        '<testcase classname="t" name="x" time="3,600.25"/>', (True, 3600.25),
    ),
    "Jest, todo": (
        '<testcase classname="t" name="x" time="0"><skipped/></testcase>', (None, None),
    ),
    "gotestsum, a second try": (
        '<testcase classname="t" name="x" time="0.500000"><failure message="Failed"/></testcase>'
        '<testcase classname="t" name="x" time="0.250000"></testcase>', (False, 0.75),
    ),
    "Playwright, skipped": (
        '<testcase name="x" classname="t" time="0"><properties><property name="skip" value=""/>'
        "</properties><skipped></skipped></testcase>", (None, None),
    ),
    "CTest": ('<testcase name="x" classname="t" time="0.5" status="run"/>', (True, 0.5)),
    "CTest, disabled": (
        '<testcase name="x" classname="t" time="0" status="disabled"><skipped message="Disabled"/>'
        "</testcase>", (None, None),
    ),
    "CTest, not run": ('<testcase name="x" classname="t" time="0" status="notrun"/>', (None, None)),
    "CTest, failed": (
        '<testcase name="x" classname="t" time="0.5" status="fail"><failure/></testcase>',
        (False, 0.5),
    ),
    "googletest": (
        '<testcase name="x" status="run" result="completed" time="0.5" classname="t" />',
        (True, 0.5),
    ),
    "googletest, disabled": (
        '<testcase name="x" status="notrun" result="suppressed" time="0." classname="t" />',
        (None, None),
    ),
    "googletest, skipped": (
        '<testcase name="x" status="run" result="skipped" time="0." classname="t" />',
        (None, None),
    ),
    "Bats": (
        '<testcase classname="t" name="x" time="0"><skipped>no tool</skipped></testcase>',
        (None, None),
    ),
    "PHPUnit": (
        '<testsuite name="in"><testsuite name="deeper"><testcase name="x" class="T" classname="t" '
        'assertions="1" time="0.5"><error type="E">m</error></testcase></testsuite></testsuite>',
        (False, 0.5),
    ),
    "behave": (
        '<testcase classname="t" name="x" status="untested" time="0"><system-out/></testcase>',
        (None, None),
    ),
    "NUnit, converted": ('<testcase classname="t" name="x" executed="False"/>', (None, None)),
    "an attribute": ('<testcase classname="t" name="x" disabled="true" time="0"/>', (None, None)),
    "a status alone": ('<testcase classname="t" name="x" status="FAILED"/>', (False, None)),
    "a status that nobody knows": (
        '<testcase classname="t" name="x" status="purple" time="0.5"/>', (None, None),
    ),
    "a failure that says it was skipped": (
        '<testcase classname="t" name="x" time="0.5"><skipped/><failure/></testcase>', (False, 0.5),
    ),
    "skipped, then run": (
        '<testcase classname="t" name="x" time="9"><skipped/></testcase>'
        '<testcase classname="t" name="x" time="0.5"/>', (True, 0.5),
    ),
    "one of two has no time": (
        '<testcase classname="t" name="x"/><testcase classname="t" name="x" time="0.5"/>',
        (True, None),
    ),
    "a namespace": (
        '<n:testcase xmlns:n="urn:n" classname="t" name="x" time="0.5"><n:failure/></n:testcase>',
        (False, 0.5),
    ),
}  # fmt: skip


@pytest.mark.parametrize("writer", WRITERS)
def test_what_writers_write(writer: str, tmp_path: Path) -> None:
    cases, expected = WRITERS[writer]
    assert of(tmp_path, cases) == {"t.x": expected}


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0.0), ("1.5", 1.5), (" 2 ", 2.0), (".5", 0.5), ("3.", 3.0), ("1e-05", 1e-05),
        ("1,234.5", 1234.5), ("12,345,678.9", 12345678.9),
        ("", None), ("nan", None), ("inf", None), ("-1", None), ("-0.5", None), ("1,234", None),
        ("0,5", None), ("1.234,5", None), ("1 234.5", None), ("1\u202f234,5", None),
        ("1_000", None), ("1.5s", None), ("PT1.5S", None), ("00:00:01.5", None), ("x", None),
        ("1e999", None), ("1234,5.0", None), ("\u0661", None),
    ],
)  # fmt: skip
def test_a_duration_is_a_number_or_absent(text: str, seconds: float | None, tmp_path: Path) -> None:
    assert of(tmp_path, f'<testcase name="x" time="{text}"/>') == {"x": (True, seconds)}


def test_no_duration_is_absent(tmp_path: Path) -> None:
    assert of(tmp_path, '<testcase name="x"/>') == {"x": (True, None)}


def test_a_suite_that_failed_as_a_whole_is_a_check(tmp_path: Path) -> None:
    cases = '<error message="cannot be loaded"/><testcase name="x" time="1"/>'
    assert of(tmp_path, cases) == {"s": (False, None), "x": (True, 1.0)}


@given(st.permutations([True, True, False, None, None]))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_worst_of_a_name_counts_in_any_order(tmp_path: Path, tries: list[bool | None]) -> None:
    within = {True: "", False: "<failure/>", None: "<skipped/>"}
    cases = "".join(f'<testcase name="x" time="1">{within[one]}</testcase>' for one in tries)
    assert of(tmp_path, cases) == {"x": (False, 3.0)}


@pytest.mark.parametrize(
    ("failed", "passed", "idle", "said"),
    [
        (1, 999, 0, []),
        (1, 1, 1, ["1 test did not run"]),
        (2, 1499, 9, [
            "of 1,501 tests 1,000 are pushed, those that failed first; 501 that passed were left "
            "out", "9 tests did not run",
        ]),
        (1001, 1, 0, [
            "of 1,002 tests 1,000 are pushed, those that failed first; 1 that passed and 1 that "
            "failed were left out",
        ]),
        (1100, 0, 0, [
            "of 1,100 tests 1,000 are pushed, those that failed first; 100 that failed were left "
            "out",
        ]),
    ],
)  # fmt: skip
def test_what_is_not_pushed_is_said(failed: int, passed: int, idle: int, said: list[str]) -> None:
    outcomes = [*[True] * passed, *[None] * idle, *[False] * failed]
    checks = [SuiteTest(f"{n}", outcome, None) for n, outcome in enumerate(outcomes)]
    assert Suite(checks).sentences == said


def test_names_are_bounded(tmp_path: Path) -> None:
    cases = "".join(f'<testcase name="{"x" * 500}{n:05d}"/>' for n in range(20))
    found = of(tmp_path, cases)
    assert {len(one) for one in found} == {CHECK_NAME_LIMIT}
    assert len(found) == 20


def test_control_characters(tmp_path: Path) -> None:
    assert of(tmp_path, '<testcase name="a&#10;b"/>') == {"a b": (True, None)}


def test_an_entity_bomb_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "bomb.xml"
    levels = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 12))
    file.write_text(
        f'<!DOCTYPE x [<!ENTITY a0 "lollollol">{levels}]>'
        "<testsuite><testcase name='a'><failure>&a11;</failure></testcase></testsuite>"
    )
    with pytest.raises(RecordError):
        read_suite(file)
