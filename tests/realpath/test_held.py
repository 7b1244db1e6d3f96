"""What the held mode shows in an outage and after it, and what `explain` says of it, as written."""

from __future__ import annotations

import shutil
from concurrent.futures import Future

import pytest
from realpath.explained import Answers
from realpath.held import HeldResult
from realpath.table_held import EXPLAINED, HELD, HeldLine, Two

pytestmark = pytest.mark.timeout(900)


@pytest.mark.parametrize("outage", HELD, ids=lambda one: one.key)
def test_the_gauges_are_as_written(outage: HeldLine, begun: dict[str, Future[HeldResult]]) -> None:
    result = begun[outage.key].result(800)
    if result.wrong:
        pytest.fail(str(result), pytrace=False)
    shutil.rmtree(result.folder, ignore_errors=True)


@pytest.mark.parametrize("two", EXPLAINED, ids=lambda one: one.key)
def test_each_of_two_outages_is_told_for_its_time(
    two: Two, begun: dict[str, Future[Answers]]
) -> None:
    answers = begun[two.key].result(800)
    if answers.wrong:
        pytest.fail(str(answers), pytrace=False)
    shutil.rmtree(answers.folder, ignore_errors=True)
