"""A real Pushgateway for the tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from delivery_programs import RealGateway


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[RealGateway]:
    """Empty, keeps nothing over a restart."""
    one = RealGateway(tmp_path)
    one.start()
    yield one
    one.stop()
