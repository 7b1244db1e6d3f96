"""The namespaces, anew for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from netns.netns_ground import CannotBuildError, Ground, unavailable


@pytest.fixture
def ground() -> Iterator[Ground]:
    made = Ground()
    try:
        try:
            made.build()
        except (CannotBuildError, OSError) as error:
            unavailable(str(error))
        yield made
    finally:
        made.close()
