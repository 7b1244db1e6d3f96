"""One browser for all tests of a worker."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from show.report_browser import Browser


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with Browser() as running:
        yield running
