"""One lab for the tests of this folder, in a process of its own, without faults in between."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from labclient import Site

from t3probe.lab.process import LabProcess


@pytest.fixture(scope="session")
def lab_process() -> Iterator[LabProcess]:
    with LabProcess() as lab:
        yield lab
    assert lab.errors() == "", "the lab complained on its standard error"


@pytest.fixture
def site(lab_process: LabProcess) -> Iterator[Site]:
    """The lab's addresses; whatever a test switches on is off again afterwards."""
    yield Site(lab_process)
    lab_process.clear()
