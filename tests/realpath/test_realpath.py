"""Every line of the table: real programs, broken by real means, and the verdict as written."""

from __future__ import annotations

import shutil
from concurrent.futures import Future

import pytest
from realpath.line import Line
from realpath.runner import Result
from realpath.table import LINES

pytestmark = pytest.mark.timeout(900)


@pytest.mark.parametrize("line", LINES, ids=lambda line: line.key)
def test_the_verdict_is_as_written(line: Line, begun: dict[str, Future[Result]]) -> None:
    result = begun[line.key].result(800)
    if result.wrong:
        pytest.fail(str(result), pytrace=False)
    shutil.rmtree(result.folder, ignore_errors=True)
