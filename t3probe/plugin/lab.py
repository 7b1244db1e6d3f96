"""The built-in lab for runs that name no deployment.

It is no part of `t3probe.plugin`: this repository's own conftest.py loads it, and `t3probe check`
gives the lab to a run without a file. So nobody else's pytest ever starts a lab.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest

if TYPE_CHECKING:
    from t3probe.lab.process import LabProcess


class RunLab:
    """The lab as a child process, started when the session starts to probe."""

    template = str(Path(__file__).parents[1] / "lab" / "lab.toml")

    def __init__(self, experiments: int = 0, *, opinions: bool = False) -> None:
        """`experiments`: so many remote rigs; `opinions`: with those of cloudflared and Traefik.
        Raises ValueError for a number that is none."""
        self._opinions = opinions
        self._process: LabProcess | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._experiments = experiments
        self.rigs: Sequence[str] = ()
        self.streams: Sequence[str] = ()
        self.environ: Mapping[str, str] = {}
        if experiments:
            self._with_rigs(experiments)

    def _with_rigs(self, number: int) -> None:
        from t3probe.lab.deployment import PLACEHOLDER, PLACES_OF_RIGS, deployment_text
        from t3probe.lab.rig_faults import STREAMS, checked_number, environment, rig_names

        self.rigs, self.streams = rig_names(checked_number(number)), STREAMS
        self.environ = environment()
        self._folder = tempfile.TemporaryDirectory(prefix="t3probe-lab-rigs-")
        places = msgspec.structs.replace(PLACEHOLDER, rig_services=PLACES_OF_RIGS)
        file = Path(self._folder.name, "lab.toml")
        file.write_text(deployment_text(places), encoding="utf-8")
        self.template = str(file)

    def start(self, faults: Sequence[str]) -> str:
        """Start it; its deployment file. Raises LabError."""
        from t3probe.lab.process import LabProcess

        self._process = LabProcess(
            faults=list(faults), experiments=self._experiments, opinions=self._opinions
        )
        self._process.start()
        return str(self._process.deployment_path)

    def stop(self) -> None:
        """Stop it; harmless when it never started."""
        if self._process is not None:
            self._process.stop()
        if self._folder is not None:
            self._folder.cleanup()


def pytest_t3probe_lab(config: pytest.Config) -> RunLab:
    """The lab; raises UsageError where what it needs is not installed, as in the image."""
    if find_spec("trustme") is None:
        raise pytest.UsageError(
            "expected a deployment file, found none, and the built-in lab cannot start: trustme is "
            "not installed; name a file with --deployment FILE or T3PROBE_DEPLOYMENT, or "
            "pip install 't3probe[lab]'"
        )
    try:
        return RunLab(config.option.experiments, opinions=config.option.opinions)
    except ValueError as error:
        raise pytest.UsageError(str(error)) from None
