"""One lab for all tests of a process; whoever breaks it puts it right again."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from t3probe.lab.process import LabProcess


@pytest.fixture(scope="session")
def one_lab() -> Iterator[LabProcess]:
    with LabProcess() as lab:
        yield lab


@pytest.fixture
def lab(one_lab: LabProcess) -> Iterator[LabProcess]:
    yield one_lab
    one_lab.clear()
