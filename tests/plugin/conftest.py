"""One lab for the tests of this folder, and the runner that starts the checks against it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from deliver.delivery_programs import RealGateway
from plugin_runner import Recorded, Runner

from t3probe.lab.process import LabProcess


@pytest.fixture(scope="session")
def plugin_lab() -> Iterator[LabProcess]:
    with LabProcess() as lab:
        yield lab


@pytest.fixture
def recorded(plugin_lab: LabProcess, tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    return Recorded(plugin_lab, tmp_path_factory)


@pytest.fixture
def checks(plugin_lab: LabProcess, tmp_path: Path) -> Iterator[Runner]:
    yield Runner(plugin_lab, tmp_path)
    plugin_lab.clear()


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[RealGateway]:
    one = RealGateway(tmp_path)
    one.start()
    yield one
    one.stop()
