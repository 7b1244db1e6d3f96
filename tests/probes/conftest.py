"""Fixtures for the probes' tests."""

from __future__ import annotations

from probes.fixtures import authority, no_throttling
from steady_loop import steady_loops

__all__ = ["authority", "no_throttling", "pytest_asyncio_loop_factories"]

pytest_asyncio_loop_factories = steady_loops
