"""Runs ci/smoke as a pipeline does, against one lab."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from t3probe.lab.process import LabProcess
from t3probe.record.facts import Recording
from t3probe.record.junit import read_junit

ROOT = Path(__file__).resolve().parents[2]
INSIDE = ("internal", "traefik", "dispatch", "devvm", "t3serve", "home", "orders", "billing",
          "search")  # fmt: skip
"""Legs of the lab that a runner outside the network cannot reach, as in deployments/t3.toml."""
OURS = ("T3PROBE", "PYTEST", "COV_", "GITHUB_", "GITLAB_", "CI_")
QUICK = {
    "T3PROBE__TIMING__HOLD": "1500ms",
    "T3PROBE__TIMING__HEARTBEAT": "300ms",
    "T3PROBE__TIMING__WATCHDOG": "1s",
    "T3PROBE__TIMING__CONNECT_TIMEOUT": "1s",
    "T3PROBE__TIMING__DEADLINE": "8s",
}


def with_vantages(lab_file: str) -> str:
    """The lab's deployment file, with the inner legs for the vantage `cluster` alone."""
    text = Path(lab_file).read_text(encoding="utf-8")
    for name in INSIDE:
        text, count = re.subn(rf'(?m)^name = "{name}"$', r'\g<0>\nvantages = ["cluster"]', text)
        assert count == 1, name
    return text


def started(
    command: Sequence[str], folder: Path, environ: Mapping[str, str]
) -> subprocess.Popen[str]:
    """A program of a pipeline: nothing to read, and all that it says in one stream."""
    return subprocess.Popen(
        command,
        cwd=folder,
        env=environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


class Smoke:
    """The script, in a folder that stands for the pipeline's workspace."""

    def __init__(self, lab: LabProcess, folder: Path) -> None:
        self.lab = lab
        self.folder = folder
        self.files = folder / "results" / "smoke"
        self.deployment = folder / "lab.toml"
        self.deployment.write_text(with_vantages(lab.deployment_path), encoding="utf-8")
        self.environ = {
            **{key: one for key, one in os.environ.items() if not key.startswith(OURS)},
            **QUICK,
            "T3PROBE_DEPLOYMENT": str(self.deployment),
            "T3PROBE_LOOPBACK_ONLY": "1",
            "PYTHON": sys.executable,
            "PYTHONPATH": str(ROOT),
            "PYTHONDONTWRITEBYTECODE": "1",
            "NO_COLOR": "1",
        }

    def start(self, *words: str, **environ: str) -> subprocess.Popen[str]:
        command = [str(ROOT / "ci" / "smoke"), *words]
        return started(command, self.folder, {**self.environ, **environ})

    def __call__(self, *words: str, **environ: str) -> subprocess.CompletedProcess[str]:
        process = self.start(*words, **environ)
        output, _ = process.communicate(timeout=100)
        return subprocess.CompletedProcess(words, process.returncode, output)

    def names(self) -> set[str]:
        return {one.name for one in self.files.iterdir()}

    def record(self, which: str) -> Recording:
        return read_junit(self.files / f"{which}.xml")

    def verdict(self, which: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.files / f"{which}.json").read_text())
        return found
