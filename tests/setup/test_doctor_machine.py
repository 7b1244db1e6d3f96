"""`t3probe doctor` about this machine: each thing right, wrong, and not to be told."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest
from first_help import ROOT
from hypothesis import given
from hypothesis import strategies as st

from t3probe.config import Deployment, loads
from t3probe.setup import machine
from t3probe.setup.doctor import examined, shown
from t3probe.setup.machine import DoctorRow

SMALLEST: str = runpy.run_path(str(ROOT / "docs" / "make" / "deployment_file.py"))["SMALLEST"]


def deployment(more: str = "") -> Deployment:
    return loads(SMALLEST + more, environ={}, now=0.0)


def test_python() -> None:
    assert machine.python((3, 11, 0)) == DoctorRow("ok", "python", "3.11.0")
    assert machine.python((3, 10, 4)) == DoctorRow(
        "wrong", "python", "3.10.4; 3.11 is the oldest", "make setup PYTHON=python3.11"
    )


def test_packages() -> None:
    assert [row.state for row in machine.packages()] == ["ok"]
    wanted = ["msgspec>=0.1", "no-such-thing>=2", "aiohttp>=999", "other; extra == 'dev'"]
    rows = list(machine.packages(wanted))
    assert [(row.state, row.fix) for row in rows] == [
        ("wrong", "pip install 'no-such-thing>=2'"),
        ("wrong", "pip install 'aiohttp>=999'"),
    ]
    assert "no-such-thing is not installed" in rows[0].words
    assert "999 is the oldest" in rows[1].words


def test_variables_that_name_nothing() -> None:
    assert [row.state for row in machine.variables({"HOME": "/"})] == ["ok"]
    good = {
        "T3PROBE_VANTAGE": "a", "T3PROBE__TIMING__HOLD": "1s", "T3PROBE_GATEWAY_TOKEN_FILE": "x",
        "T3PROBE_SOURCE_EDGE_USER": "a", "T3PROBE_PROMETHEUS_CA_FILE": "a",
    }  # fmt: skip
    assert [row.state for row in machine.variables(good)] == ["ok"]
    rows = list(machine.variables({"T3PROBE_VANTGE": "a", "T3PROBE_\x1b[31m": "b"}))
    assert [row.state for row in rows] == ["wrong", "wrong"]
    assert "did you mean T3PROBE_VANTAGE? unset it" in {row.fix for row in rows}
    assert all(row.words.isprintable() for row in rows)


def test_every_variable_of_ours_is_known() -> None:
    """Whatever the package and the scripts around it read."""
    files = [*(ROOT / "t3probe").rglob("*.py"), *(ROOT / "ci").glob("*"), ROOT / "conftest.py"]
    text = "\n".join(one.read_text() for one in files if one.is_file())
    found = set(re.findall(r"\bT3PROBE_(?!_)[A-Z][A-Z0-9_]*[A-Z0-9]\b", text))
    examples = {"T3PROBE_NAME", "T3PROBE_NAME_FILE"}
    rows = list(machine.variables(dict.fromkeys(found - examples, "x")))
    assert [row.state for row in rows] == ["ok"], rows
    assert len(found) > 10


def test_folders(tmp_path: Path) -> None:
    (file := tmp_path / "file").write_text("")
    more = f'[delivery]\ntextfile = "{tmp_path}/none/t3.prom"\nspool = "{tmp_path}/spool"\n'
    rows = {row.what: row for row in machine.folders(deployment(more), str(file / "results"))}
    assert rows["results"].state == "wrong"
    assert "--results" in rows["results"].fix
    assert rows["textfile"].state == "wrong"
    assert "change textfile" in rows["textfile"].fix
    assert rows["spool"] == DoctorRow("ok", "spool", f"{tmp_path}/spool can be written")
    assert not (tmp_path / "spool").exists()
    (good,) = machine.folders(None, str(tmp_path / "a" / "b"))
    assert good.state == "ok"


def test_files() -> None:
    assert machine.files(None, 1024).state == "ok"
    many = "".join(
        f'[[upstream]]\nname = "u{n}"\naddress = "10.0.0.1:{n + 1}"\n' for n in range(600)
    )
    row = machine.files(deployment(many), 1024)
    assert row.state == "wrong"
    needed = re.search(r"ulimit -n ([0-9]+)", row.fix)
    assert needed
    assert machine.files(deployment(many), int(needed[1])).state == "ok"


@pytest.mark.parametrize(
    ("files", "state", "words"),
    [
        ({"cpu.max": "max 100000"}, "ok", "no limit"),
        ({"cpu.max": "50000 100000"}, "wrong", "limited to 0.5 of a second per second"),
        ({"cpu.cfs_quota_us": "200000", "cpu.cfs_period_us": "100000"}, "wrong", "limited to 2"),
        ({"cpu.cfs_quota_us": "-1", "cpu.cfs_period_us": "100000"}, "ok", "no limit"),
        ({"cpu.max": "nonsense"}, "ok", "no limit"),
    ],
)
def test_cpu_limits(tmp_path: Path, files: dict[str, str], state: str, words: str) -> None:
    group = tmp_path / "mount" / "pod"
    group.mkdir(parents=True)
    (group / "cpu.stat").write_text("")
    (own := tmp_path / "cgroup").write_text("0::/pod\n")
    for name, text in files.items():
        (group / name).write_text(text)
    row = machine.cpu(own, tmp_path / "mount")
    assert row.state == state
    assert words in row.words


def test_no_control_group_tells_nothing(tmp_path: Path) -> None:
    assert machine.cpu(tmp_path / "none", tmp_path).state == "could not tell"


def test_a_bad_file_is_wrong_and_the_rest_is_looked_at(tmp_path: Path) -> None:
    (file := tmp_path / "bad.toml").write_text("name = 3")
    rows = {row.what: row for row in examined(str(file), str(tmp_path), None, {})}
    assert rows["deployment"].state == "wrong"
    assert "expected" in rows["deployment"].words
    assert {"python", "results", "cpu"} <= set(rows)


def test_warnings_of_the_file_are_told(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(SMALLEST.replace('"app"]', '"app", "x"]', 1))
    rows = list(examined(str(file), str(tmp_path), None, {"T3PROBE_LOOPBACK_ONLY": "1"}))
    (row,) = [one for one in rows if one.what == "deployment"]
    assert row.state == "wrong"
    assert "on the path of no leg" in row.words


def test_overrides_that_fit_nothing_are_told_without_a_file(tmp_path: Path) -> None:
    rows = list(examined("", str(tmp_path), None, {"T3PROBE__TIMING__HLD": "1s"}))
    (row,) = [one for one in rows if one.what == "deployment"]
    assert row.state == "wrong"
    assert "T3PROBE__TIMING__HOLD" in row.words


ROWS = st.builds(
    DoctorRow,
    st.sampled_from(["ok", "wrong", "could not tell"]),
    st.just("route"),
    st.text(alphabet="ab c", min_size=1, max_size=200),
    st.text(alphabet="ab c"),
)


@given(ROWS)
def test_a_row_fits_a_terminal(row: DoctorRow) -> None:
    words = max((len(word) for word in f"{row.words} {row.fix}".split()), default=0)
    for line in shown(row):
        assert len(line) <= max(80, 30 + words)


GATE = """
name = "x"
segments = ["gate", "store"]
[[ingest]]
name = "m-1"
kind = "remote_write"
url = "https://127.0.0.1:1/api/v1/write"
path = ["gate", "store"]
"""


def test_the_token_of_a_gate(tmp_path: Path) -> None:
    from t3probe.setup.doctor import _read

    file = tmp_path / "x.toml"
    file.write_text(GATE)

    def row(environ: dict[str, str]) -> DoctorRow:
        (found,) = [one for one in _read(str(file), environ)[1] if one.what == "ingest"]
        return found

    assert row({}).state == "wrong"
    assert "T3PROBE_INGEST_M_1_TOKEN" in row({}).fix
    good = row({"T3PROBE_INGEST_M_1_TOKEN": "hunter2-0123"})
    assert (good.state, "hunter2" in good.words) == ("ok", False)
    assert row({"T3PROBE_INGEST_M_1_TOKEN": "hunter2 0123"}).state == "wrong"
    (known,) = machine.variables({"T3PROBE_INGEST_M_1_TOKEN_FILE": "x"})
    assert known.state == "ok"
