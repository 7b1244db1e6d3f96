"""A folder in which the documents' commands run: a copy of what they name, and prepared inputs."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
from docs_reader import ROOT

from t3probe.record.log import record_line
from t3probe.record.reading import read_recording

COPIED = ("checks", "deployments", "cronjob", "ci", "bench", "docs")
FILES = ("conftest.py", "pyproject.toml", "pytest.ini", "Makefile", "README.md", "CONTRIBUTING.md")
SHIM = """#!/bin/sh
exec {python} -m {module} "$@"
"""
CLOUDFLARED = (
    '{"level":"error","time":"2026-11-20T14:03:07Z",'
    '"error":"stream 13 canceled by remote with error code 0"}\n'
)
DISPATCH = "2026/11/20 14:03:07 http: proxy error: context canceled\n"


class Scratch:
    """The folder, its environment, and a lab's addresses."""

    def __init__(
        self, folder: Path, deployment: str, places: Mapping[str, str] | None = None
    ) -> None:
        """`places`: more of them, by name."""
        self.folder = folder
        self.deployment = deployment
        for name in COPIED:
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / name, folder / name, ignore=ignored)
        for name in FILES:
            shutil.copy(ROOT / name, folder / name)
        self._environment()
        shutil.copy(deployment, folder / "lab.toml")
        legs = {leg["name"]: leg for leg in self._file()["leg"]}
        dispatch = legs["dispatch"]["url"].replace("ws:", "http:").removesuffix("/probe/ws")
        self.places = {
            **(places or {}),
            "lab": deployment,
            "dispatch": dispatch,
            "balancer": legs["internal"]["pin"],
            # Its public legs, with the resolvers and the authority that it has.
            "site": " ".join(
                [legs["edge"]["url"].removesuffix("cdn-cgi/trace"), "--ca", self._file()["tls_ca"]]
                + [word for url in legs["edge"]["doh"] for word in ("--doh", url)]
            ),
            "plain": dispatch.removeprefix("http://").replace(":", " "),
        }

    def _file(self) -> dict[str, Any]:
        return tomllib.loads(Path(self.deployment).read_text(encoding="utf-8"))

    def _environment(self) -> None:
        """`.venv` with the interpreter of this test, and our commands on the PATH."""
        venv, shims = self.folder / ".venv", self.folder / "shims"
        venv.mkdir()
        for name in ("bin", "lib", "pyvenv.cfg"):
            if (Path(sys.prefix) / name).exists():
                (venv / name).symlink_to(Path(sys.prefix) / name)
        shims.mkdir()
        for name, module in (("t3probe", "t3probe.cli"), ("pytest", "pytest")):
            (shims / name).write_text(SHIM.format(python=sys.executable, module=module))
            (shims / name).chmod(0o755)
        # A link would not do: Python looks for its environment beside the name it was called by.
        (shims / "python").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
        (shims / "python").chmod(0o755)
        for name in (".run", ".dev"):  # as `make setup` leaves it
            (venv / name).touch()
        home = self.folder / "home"
        (home / ".local/share/bash-completion/completions").mkdir(parents=True)
        # make hands on what it was told, and so what `make test ARGS=...` was told.
        ours = ("T3PROBE", "PYTEST", "COV_", "MAKE", "MFLAGS", "ARGS", "TESTS", "JOBS")
        self.environ = {
            **{key: value for key, value in os.environ.items() if not key.startswith(ours)},
            "HOME": str(home),
            "PATH": f"{shims}:{os.environ['PATH']}",
            "PYTHON": sys.executable,
            "PYTHONPATH": str(ROOT),
            "PYTHONDONTWRITEBYTECODE": "1",
            "NO_COLOR": "1",
            "T3PROBE_LOOPBACK_ONLY": "1",
            # As short as a run of the lab can be and still hold.
            "T3PROBE__TIMING__HOLD": "1s",
            "T3PROBE__TIMING__HEARTBEAT": "300ms",
        }

    def prepare(self) -> None:
        """Inputs that the documents name, of a real run."""
        done = self.run("pytest --deployment {lab} --record-line > pod.log", timeout=60)
        assert done.returncode == 0, done.stdout + (self.folder / "pod.log").read_text()
        record = self.folder / "results" / "junit.xml"
        for name in ("before.xml", "after.xml", "run.xml", "monday.xml", "tuesday.xml"):
            shutil.copy(record, self.folder / name)
        one = read_recording(record)
        for vantage in ("home", "cloud"):  # a record is known by what is in it, not by its name
            run = msgspec.structs.replace(one.run, vantage=vantage)
            line = record_line(run, one.observations)
            (self.folder / f"{vantage}.xml").write_text(f"{line}\n")
        today = self.folder / "results-of-today"
        today.mkdir()
        for name in ("one.xml", "two.xml"):
            shutil.copy(record, today / name)
        (self.folder / "dispatch.log").write_text(DISPATCH)
        (self.folder / "cloudflared.log").write_text(CLOUDFLARED)
        began, over = one.run.started_at, one.run.started_at + one.run.duration_seconds
        browser = {
            "t3probe_client": 1,
            "began": began,
            "made": over,
            "browser": "Chrome 156, Linux",
        }
        (self.folder / "record.json").write_text(json.dumps(browser))
        (self.folder / "outcomes.json").write_text(
            json.dumps({"segments": ["wan"], "legs": {"egress": ["wan"]}, "failed": ["egress"]})
        )

    def run(self, line: str, timeout: float = 100) -> subprocess.CompletedProcess[str]:
        """One line of bash, in the folder; {names} are filled in."""
        for name, value in self.places.items():
            line = line.replace(f"{{{name}}}", value)
        # A fault may come later than a short hold is over.
        fixed = "FAULT=" in line or "--fault" in line
        environ = {k: v for k, v in self.environ.items() if not (fixed and "__TIMING__" in k)}
        return subprocess.run(
            ["bash", "-o", "pipefail", "-c", line],
            cwd=self.folder,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=timeout,
            check=False,
        )
