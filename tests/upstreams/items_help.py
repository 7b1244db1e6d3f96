"""Runs of a real pytest over made-up upstreams: the hooks of the items, and nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parents[2]
CONFTEST = """
import pytest
from types import SimpleNamespace
from t3probe.config.types import Leg
from t3probe.observation import Observation
from t3probe.plugin.items import UpstreamItems

SEEN = eval(open("seen").read())

def observation(name, outcome, planned=""):
    detail = "" if outcome == "passed" else "what happened"
    reason = None if outcome != "failed" else "connect_refused"
    return Observation(leg=name, kind="tcp", path=("net",), outcome=outcome, reason=reason,
                       detail=detail, started=1.0, ended=1.25, planned=planned)

def pytest_configure(config):
    config.addinivalue_line("markers", "legs(*kinds): which legs")
    legs = [Leg(name=name, kind="tcp", path=("net",), upstream=True, route="orders",
                listen_port=8443)
            for name in SEEN]
    legs.append(Leg(name="egress", kind="tcp", path=("net",)))
    found = {name: observation(name, *words) for name, words in SEEN.items() if words}
    session = SimpleNamespace(available=legs, observations=found)
    config.pluginmanager.register(UpstreamItems(config, session))
"""
CHECK = """
import pytest
from t3probe.judge import judge

@pytest.mark.legs("upstream")
def test_it_can_be_connected_to(leg):
    judge(leg)
"""


@dataclass
class Result:
    """One finished run."""

    code: int
    output: str
    cases: dict[str, ElementTree.Element]

    @property
    def lines(self) -> list[str]:
        return self.output.splitlines()


class Made:
    """A folder with a check over upstreams: name -> (outcome, planned), or () for not probed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def run(
        self, seen: dict[str, tuple[str, ...]], *words: str, check: str = CHECK, ini: str = ""
    ) -> Result:
        (self.folder / "conftest.py").write_text(CONFTEST)
        (self.folder / "test_made.py").write_text(check)
        (self.folder / "pytest.ini").write_text(f"[pytest]\naddopts = -ra\n{ini}")
        (self.folder / "seen").write_text(repr(seen))
        report = self.folder / "junit.xml"
        report.unlink(missing_ok=True)
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider"]
        done = subprocess.run(
            [*command, f"--junitxml={report}", *words],
            cwd=self.folder,
            # pytest alone: what else is installed here would take longer to load than a run takes.
            env={
                **os.environ,
                "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
                "PYTHONPATH": str(ROOT),
                "NO_COLOR": "1",
                "COLUMNS": "120",
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=60,
            check=False,
        )
        cases = {}
        if report.exists():
            found = ElementTree.parse(report).iter("testcase")
            cases = {one.get("name", "").partition("[")[2][:-1]: one for one in found}
        return Result(done.returncode, done.stdout.decode(), cases)
