"""Loads the plugin; gives it the built-in lab for when no deployment is named."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from t3probe.lab.process import LabProcess

pytest_plugins = ["t3probe.plugin"]


class Lab:
    """The lab as a child process, started when the session starts to probe."""

    template = str(Path(__file__).parent / "deployments" / "lab.toml")

    def __init__(self) -> None:
        self._process: LabProcess | None = None

    def start(self, faults: Sequence[str]) -> str:
        from t3probe.lab.process import LabProcess

        self._process = LabProcess(faults=list(faults))
        self._process.start()
        return str(self._process.deployment_path)

    def stop(self) -> None:
        if self._process is not None:
            self._process.stop()


def pytest_t3probe_lab(config: pytest.Config) -> Lab:
    if find_spec("trustme") is None:
        raise pytest.UsageError(
            "expected a deployment file, found none, and the built-in lab is not installed; name "
            "one with --deployment FILE or T3PROBE_DEPLOYMENT, or install t3probe[lab]"
        )
    return Lab()
