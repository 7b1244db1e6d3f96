"""The JUnit file of any other suite: which of its tests passed, failed, or did not run.

A test failed when anything says so. It did not run when a child (`<skipped>`) or an attribute
(`status="notrun"`, `executed="false"`) says so, or when its status is an unknown word:
then it is neither a pass nor a failure, and has no duration. Of the tests of one name the worst
counts, since two tests of one name and two tries of one test look alike; a failure that a later
try made good (`<flakyFailure>`) is none.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from t3probe.deliver.metrics import CHECK_NAME_LIMIT, CHECKS_LIMIT
from t3probe.exchange.bounds import OTHER_SUITE_BYTES, SUITE_TESTS
from t3probe.record.facts import RecordError
from t3probe.record.junit import read_elements
from t3probe.record.reading import RecordFile
from t3probe.text import plain
from t3probe.text.words import count, listed

LONGEST_SECONDS = 1e9
_BAD = {"failure", "error", "rerunfailure", "rerunerror"}
_NOT_RUN = {
    "skipped", "skip", "disabled", "ignored", "notrun", "pending", "todo", "xfail", "suppressed",
    "inconclusive", "aborted", "cancelled", "canceled",
}  # fmt: skip
_FAILED_WORDS = {
    "fail", "failed", "failure", "error", "errored", "broken", "timeout", "timedout", "crash",
    "crashed", "regression",
}  # fmt: skip
_RAN_WORDS = {
    "run", "ran", "executed", "completed", "complete", "done", "finished", "pass", "passed", "ok",
    "success", "successful", "succeeded", "fixed", "flaky", "xpass", "xpassed",
}  # fmt: skip
_NUMBER = re.compile(
    r"(?:\d+|\d{1,3}(?:,\d{3})+(?=\.))(?:\.\d*)?(?:e[+-]?\d{1,3})?|\.\d+", re.I | re.A
)
"""Seconds. Surefire writes `1,234.5`; a comma without a point behind it may mean either."""


class SuiteTest(NamedTuple):
    """One test of another suite."""

    name: str
    passed: bool | None
    """None: it did not run."""
    seconds: float | None
    """None: it did not run, or the file does not say in a number how long it took."""


class Suite(NamedTuple):
    """What a file holds."""

    checks: Sequence[SuiteTest]
    """One for each name, in the file's order."""

    @property
    def sentences(self) -> list[str]:
        """What is not pushed; empty when everything is."""
        out = []
        failed = sum(one.passed is False for one in self.checks)
        passed = sum(one.passed is True for one in self.checks)
        if failed + passed > CHECKS_LIMIT:
            lost = max(0, failed - CHECKS_LIMIT)
            good = failed + passed - CHECKS_LIMIT - lost
            what = listed(
                f"{many:,} that {how}" for many, how in ((good, "passed"), (lost, "failed")) if many
            )
            out.append(
                f"of {failed + passed:,} tests {CHECKS_LIMIT:,} are pushed, those that failed "
                f"first; {what} were left out"
            )
        if idle := len(self.checks) - failed - passed:
            out.append(f"{count(idle, 'test')} did not run")
        return out


def read_suite(path: str | Path | RecordFile, unreadable: RecordError | None = None) -> Suite:
    """The tests of any suite's JUnit file.

    Tests of one name are one check: it passed when one of them did and none failed, and lasted as
    long as all of them. A suite that failed as a whole is a check, too. Raises RecordError;
    `unreadable` is what to raise when there is no test.
    """
    if not isinstance(path, RecordFile):
        with RecordFile(path) as opened:
            return read_suite(opened, unreadable)
    found: dict[str, SuiteTest] = {}
    file = path.name
    try:
        stream = path.stream()
        if stream.seek(0, os.SEEK_END) > OTHER_SUITE_BYTES:
            raise RecordError(file, "expected at most 64 MiB", "give a smaller file")
        tests = _Tests(found)
        read_elements(path.stream(), tests.begin, tests.end)
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise RecordError(file, f"cannot be read: {why}", "name a JUnit file") from error
    except _TooManyError as error:
        raise RecordError(
            file, f"expected at most {SUITE_TESTS:,} tests, found more", "give a smaller file"
        ) from error
    except ValueError as error:
        raise RecordError(
            file, f"expected a JUnit file, found damaged XML ({error})", "run the tests again"
        ) from error
    if not found:
        raise unreadable or RecordError(
            file, "expected a JUnit file, found no test case", "name a JUnit file"
        )
    return Suite(tuple(found.values()))


def _both(one: SuiteTest, other: SuiteTest) -> SuiteTest:
    ran = [each for each in (one, other) if each.passed is not None]
    if len(ran) < 2:
        return ran[0] if ran else one
    whole = None
    if one.seconds is not None and other.seconds is not None:
        whole = one.seconds + other.seconds
    return SuiteTest(one.name, bool(one.passed and other.passed), whole)


class _TooManyError(Exception):
    pass


class _Element:
    """An open element: of a test's children only what they are is kept."""

    __slots__ = ("attributes", "children", "tag")

    def __init__(self, tag: str, attributes: dict[str, str]) -> None:
        self.tag, self.attributes = tag, attributes
        self.children: set[str] = set()


class _Tests:
    """The tests as they come."""

    def __init__(self, found: dict[str, SuiteTest]) -> None:
        self._found = found
        self._open: list[_Element] = []

    def begin(self, tag: str, attributes: dict[str, str]) -> None:
        """An element begins."""
        self._open.append(_Element(tag.rpartition("}")[2].lower(), attributes))

    def end(self, _: str) -> None:
        """An element ends."""
        node = self._open.pop()
        around = self._open[-1] if self._open else None
        if node.tag == "testcase":
            self._add(_check(node.attributes.get, node.children))
        elif around is not None and around.tag == "testcase":
            around.children.add(node.tag)
        elif around is not None and around.tag == "testsuite" and node.tag in _BAD:
            self._add(SuiteTest(_label(around.attributes.get("name", "")), False, None))

    def _add(self, check: SuiteTest) -> None:
        before = self._found.get(check.name)
        if before is None and len(self._found) >= SUITE_TESTS:
            raise _TooManyError
        self._found[check.name] = check if before is None else _both(before, check)


def _check(get: Callable[[str], str | None], tags: set[str]) -> SuiteTest:
    name = _label(".".join(filter(None, (get("classname"), get("name")))))
    words = {_plain(value) for key in ("status", "result") if (value := get(key))}
    if tags & _BAD or words & _FAILED_WORDS:
        return SuiteTest(name, False, _seconds(get("time") or ""))
    idle = _plain(get("executed") or "true") in ("false", "no", "0")
    idle |= any(_plain(get(key) or "") in ("true", "yes", "1") for key in ("skipped", "disabled"))
    if idle or tags & _NOT_RUN or words - _RAN_WORDS:
        return SuiteTest(name, None, None)
    return SuiteTest(name, True, _seconds(get("time") or ""))


def _plain(word: str) -> str:
    """`Not run`, `not-run` and `NotRun` are one word."""
    return re.sub(r"[\W_]+", "", word).casefold()


def _label(name: str) -> str:
    return plain(name, ascii=False)[-CHECK_NAME_LIMIT:] or "unnamed"


def _seconds(text: str) -> float | None:
    if not _NUMBER.fullmatch(text.strip()):
        return None
    seconds = float(text.replace(",", ""))
    return seconds if seconds < LONGEST_SECONDS else None
