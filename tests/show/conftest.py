"""One browser for the tests of the report; every page is closed again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from report_browser import Browser, Opener, Page
from report_runs import page_of

from t3probe.record.facts import Recording


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with Browser() as running:
        yield running


@pytest.fixture
def opener(browser: Browser, tmp_path: Path) -> Iterator[Opener]:
    """`opener(recording, ..., width=..., dark=...)` opens their report, or one that is made."""
    pages: list[Page] = []

    def open_report(*recordings: Recording, made: bytes = b"", **options: Any) -> Page:
        file = tmp_path / f"report-{len(pages)}.html"
        file.write_bytes(made or page_of(*recordings))
        pages.append(browser.open(file, **options))
        return pages[-1]

    yield open_report
    for one in pages:
        one.close()
    browser.events.clear()
