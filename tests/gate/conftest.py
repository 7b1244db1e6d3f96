"""One lab and one run before a deploy for all tests of the smoke script."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from smoke_runs import Smoke

from t3probe.lab.process import LabProcess


@pytest.fixture(scope="session")
def smoke_lab() -> Iterator[LabProcess]:
    with LabProcess() as lab:
        yield lab


@pytest.fixture(scope="session")
def clean_before(smoke_lab: LabProcess, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that a run before the deploy left, when all was well."""
    smoke = Smoke(smoke_lab, tmp_path_factory.mktemp("before"))
    done = smoke("before", "--gate", "dispatch")
    assert done.returncode == 0, done.stdout
    return smoke.files


@pytest.fixture
def smoke(smoke_lab: LabProcess, tmp_path: Path) -> Iterator[Smoke]:
    """The script in a folder of its own, where nothing was run yet."""
    yield Smoke(smoke_lab, tmp_path)
    smoke_lab.clear()


@pytest.fixture
def deployed(smoke: Smoke, clean_before: Path) -> Smoke:
    """The same, after a run before the deploy that found all well."""
    shutil.copytree(clean_before, smoke.files)
    return smoke
