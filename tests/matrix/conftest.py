"""One lab for the whole matrix; each case switches its faults and runs every leg once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from matrix_field import Field
from steady_lab import SteadyLab

TIMING = {
    "heartbeat": "400ms",
    "watchdog": "1200ms",
    "connect_timeout": "1s",
    "backoff": "300ms",
    "backoff_max": "1s",
}
"""Scaled down so that a case takes about two seconds."""
PACE = 8.0
"""Of the lab's clock. The kernel, whose time is a real one, then dials a silent address again only
after every limit here: which of the two is first would else be a matter of the machine."""


@pytest.fixture(scope="session")
def field(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Field]:
    with SteadyLab(tmp_path_factory.mktemp("matrix"), TIMING, PACE) as lab:
        yield Field(lab)
