"""Every line of the table: real programs, broken by real means, and the verdict as written."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path

import pytest
from realpath.conftest import needs_programs
from realpath.line import Line
from realpath.runner import ROOT, Pool, Result
from realpath.table import LINES

pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="session")
def running(request: pytest.FixtureRequest) -> Iterator[dict[str, Future[Result]]]:
    """Every selected line, begun: several run at once, whatever the order of the tests."""
    needs_programs()
    folder = Path(os.environ.get("CI_ARTIFACTS", ROOT / "results"), "realpath")
    shutil.rmtree(folder, ignore_errors=True)
    asked = [getattr(item, "callspec", None) for item in request.session.items]
    wanted = [one.params["line"] for one in asked if one is not None and "line" in one.params]
    pool = Pool(folder)
    try:
        yield {line.key: pool.submit(line) for line in wanted}
    finally:
        pool.close()


@pytest.mark.parametrize("line", LINES, ids=lambda line: line.key)
def test_the_verdict_is_as_written(line: Line, running: dict[str, Future[Result]]) -> None:
    result = running[line.key].result(800)
    if result.wrong:
        pytest.fail(str(result), pytrace=False)
    shutil.rmtree(result.folder, ignore_errors=True)
