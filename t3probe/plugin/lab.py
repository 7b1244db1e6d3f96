"""The built-in lab for runs that name no deployment.

It is no part of `t3probe.plugin`: this repository's own conftest.py loads it, and `t3probe check`
gives the lab to a run without a file. So nobody else's pytest ever starts a lab.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from t3probe.lab.process import LabProcess


class RunLab:
    """The lab as a child process, started when the session starts to probe."""

    template = str(Path(__file__).parents[1] / "lab" / "lab.toml")

    def __init__(self) -> None:
        self._process: LabProcess | None = None

    def start(self, faults: Sequence[str]) -> str:
        """Start it; its deployment file. Raises LabError."""
        from t3probe.lab.process import LabProcess

        self._process = LabProcess(faults=list(faults))
        self._process.start()
        return str(self._process.deployment_path)

    def stop(self) -> None:
        """Stop it; harmless when it never started."""
        if self._process is not None:
            self._process.stop()


def pytest_t3probe_lab(config: pytest.Config) -> RunLab:
    """The lab; raises UsageError where what it needs is not installed, as in the image."""
    if find_spec("trustme") is None:
        raise pytest.UsageError(
            "expected a deployment file, found none, and the built-in lab cannot start: trustme is "
            "not installed; name a file with --deployment FILE or T3PROBE_DEPLOYMENT, or "
            "pip install 't3probe[lab]'"
        )
    return RunLab()
