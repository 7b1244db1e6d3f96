"""Where a machine lacks the programs of a path, and the stacks that all lines share."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from realpath.explained import run_two
from realpath.held import run_held
from realpath.line import Line
from realpath.programs import missing
from realpath.runner import ROOT, Pool
from realpath.table_held import HeldLine, Two


def needs_programs() -> None:
    """Skip without the programs; fail in CI."""
    if lacks := missing():
        words = f"a path of real programs needs {', '.join(lacks)}; ci/services installs them"
        if os.environ.get("CI", "") not in {"", "0", "false"}:
            pytest.fail(words, pytrace=False)
        pytest.skip(words)


@pytest.fixture(scope="session")
def begun(request: pytest.FixtureRequest) -> Iterator[dict[str, Future[Any]]]:
    """Every selected line of every table, begun: several run at once, whatever the order of the
    tests. Those of the held mode wait the most, so they begin first."""
    needs_programs()
    folder = Path(os.environ.get("CI_ARTIFACTS", ROOT / "results"), "realpath")
    shutil.rmtree(folder, ignore_errors=True)
    wanted = [
        one
        for item in request.session.items
        if isinstance(item, pytest.Function) and "begun" in item.fixturenames
        for one in item.callspec.params.values()
    ]
    assert len({one.key for one in wanted}) == len(wanted), "two lines share a name and a folder"
    wanted.sort(key=lambda one: not (isinstance(one, HeldLine) and one.minute))
    pool = Pool(folder)
    try:
        yield {
            **{
                o.key: pool.do(partial(run_held, o), o.key)
                for o in wanted
                if isinstance(o, HeldLine)
            },
            **{o.key: pool.do(partial(run_two, o), o.key) for o in wanted if isinstance(o, Two)},
            **{o.key: pool.submit(o) for o in wanted if isinstance(o, Line)},
        }
    finally:
        pool.close()
