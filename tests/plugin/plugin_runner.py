"""Runs the real checks with a real pytest in a process of its own, against one lab."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from made_once import made_once

from t3probe.lab.process import LabProcess
from t3probe.observation import Observation
from t3probe.record.facts import Recording
from t3probe.record.junit import read_junit

ROOT = Path(__file__).resolve().parents[2]
ENVIRON = {
    **{
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("T3PROBE", "PYTEST", "COV_"))
    },
    "T3PROBE_LOOPBACK_ONLY": "1",
    "PYTHONPATH": str(ROOT),
    "NO_COLOR": "1",
}


@dataclass
class Result:
    """One finished run of the checks."""

    code: int
    output: str
    results: Path

    @property
    def recording(self) -> Recording:
        return read_junit(self.results / "junit.xml")

    @property
    def legs(self) -> dict[str, Observation]:
        return {seen.leg: seen for seen in self.recording.observations}

    @property
    def verdict(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.results / "verdict.json").read_text())
        return found


class Recorded:
    """Runs that many tests read: each is made once, by the first process of the tests that asks."""

    def __init__(self, lab: LabProcess, factory: pytest.TempPathFactory) -> None:
        self.lab = lab
        self.factory = factory

    def __call__(self, *arguments: str, faults: Sequence[str] = ()) -> Result:
        """The run with these arguments under these faults; afterwards the lab has none. Its results
        are not written to."""

        def make(folder: Path) -> None:
            self.lab.switch(list(faults))
            try:
                done = Runner(self.lab, folder)(*arguments)
            finally:
                self.lab.clear()
            (folder / "done.json").write_text(json.dumps([done.code, done.output]))

        words = " ".join((*arguments, *faults))
        folder = made_once(self.factory, "run-" + re.sub(r"[^\w.]+", "-", words).strip("-"), make)
        code, output = json.loads((folder / "done.json").read_text())
        return Result(code, output, folder / "results")


class Runner:
    """Starts pytest on the checks."""

    def __init__(self, lab: LabProcess, folder: Path) -> None:
        self.lab = lab
        self.folder = folder

    def command(self, *arguments: str, deployment: str | None = "") -> list[str]:
        # Options and values as one word: of two, the run would begin by starting itself over.
        words = [sys.executable, "-m", "pytest", f"--results={self.folder / 'results'}"]
        if deployment is not None:
            words.append(f"--deployment={deployment or self.lab.deployment_path}")
        return [*words, *arguments]

    def __call__(
        self, *arguments: str, deployment: str | None = "", env: dict[str, str] | None = None
    ) -> Result:
        done = subprocess.run(
            self.command(*arguments, deployment=deployment),
            cwd=ROOT,
            env={**ENVIRON, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=100,
            check=False,
        )
        return Result(done.returncode, done.stdout.decode(), self.folder / "results")

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            self.command(*arguments),
            cwd=ROOT,
            env=ENVIRON,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
