"""The evenings that are wanted, begun: several seats at once, whatever the order of the tests."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path

import pytest
from evenings.seat import Seats, Told
from realpath.runner import ROOT
from show.report_browser import chromium


@pytest.fixture(scope="session")
def begun(request: pytest.FixtureRequest) -> Iterator[dict[str, Future[Told]]]:
    """Every selected evening by its key; those that last longest begin first."""
    chromium()
    folder = Path(os.environ.get("CI_ARTIFACTS", ROOT / "results"), "evenings")
    shutil.rmtree(folder, ignore_errors=True)
    wanted = [
        item.callspec.params["evening"]
        for item in request.session.items
        if isinstance(item, pytest.Function) and "begun" in item.fixturenames
    ]
    assert len({one.key for one in wanted}) == len(wanted), "two evenings share a name"
    wanted.sort(key=lambda one: -one.seconds)
    seats = Seats(folder)
    try:
        yield {one.key: seats.submit(one) for one in wanted}
    finally:
        seats.close()
