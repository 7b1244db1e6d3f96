"""The one hook that the plugin asks of a `conftest.py`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import pytest


class BuiltInLab(Protocol):
    """Where a run goes when no deployment is named."""

    template: str
    """A deployment file with the lab's legs; collecting reads it and opens no connection."""

    rigs: Sequence[str]
    """The names of its remote rigs; none: it has none."""
    streams: Sequence[str]
    """The streams of each."""
    environ: Mapping[str, str]
    """Variables with the secrets of the services that know them."""

    def start(self, faults: Sequence[str]) -> str:
        """Start it and return the deployment file with its real ports. Raises RuntimeError."""
        ...

    def stop(self) -> None:
        """Stop it; harmless when it never started."""
        ...


@pytest.hookspec(firstresult=True)
def pytest_t3probe_lab(config: pytest.Config) -> BuiltInLab | None:
    """The lab to use when neither `--deployment` nor `T3PROBE_DEPLOYMENT` names a file."""
