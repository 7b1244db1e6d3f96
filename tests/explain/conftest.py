"""The three hours, as a folder of runs and in a real Prometheus."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import explain_history as history
import pytest
from dashboard.dashboard_prometheus import program, prometheus


@pytest.fixture(scope="session")
def runs_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    history.write_runs(folder)
    return folder


@pytest.fixture(scope="session")
def metrics_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where the real Prometheus listens. Without the program: skipped, or failed where CI=true."""
    program("prometheus")
    program("promtool")
    folder = tmp_path_factory.mktemp("prometheus")
    file = folder / "history.om"
    file.write_text(history.openmetrics())
    with prometheus(folder, file, 300) as server:
        yield server._url
