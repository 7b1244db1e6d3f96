"""Two vantages on the real lab: their runs say when they began by its clock, and are judged
together."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from t3probe.lab.process import LabProcess

PROGRAM = [sys.executable, "-c", "import sys; from t3probe.cli import main; sys.exit(main())"]


def test_two_vantages_are_judged_together(tmp_path: Path) -> None:
    with LabProcess() as lab:
        runs = [
            subprocess.Popen(
                [*PROGRAM, "check", lab.deployment_path, "--hold", "2s", "--vantage", name,
                 "--results", str(tmp_path / name)],
                cwd=tmp_path, stdout=subprocess.DEVNULL, env=os.environ | {"T3PROBE_VANTAGE": ""},
            )
            for name in ("home", "cloud")
        ]  # fmt: skip
        for one in runs:
            one.wait()
    files = [str(tmp_path / name / "junit.xml") for name in ("home", "cloud")]
    done = subprocess.run(
        [*PROGRAM, "verdict", *files], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    found = json.loads(done.stdout)
    assert {one["vantage"] for one in found["vantages"]} == {"home", "cloud"}
    labels = ("exonerated", "convicted", "ambiguous", "masked", "unobserved")
    assert {"wan@home", "wan@cloud"} <= {name for label in labels for name in found[label]}
    assert found["clocks"]["ahead_seconds"] == {}
    assert '"server_began"' in Path(files[0]).read_text().replace("&quot;", '"')
