"""The plugin in a repository of somebody else: silent, unless a leg is selected."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from plugin_runner import ENVIRON, ROOT, Result

THEIRS = """
import gc, os, signal, sys
import pytest

@pytest.mark.segments("serve")
def test_of_the_path():
    raise AssertionError

@pytest.mark.legs("tcp")
def test_of_a_leg(leg):
    raise AssertionError

def test_of_their_own(tmp_path):
    assert signal.getsignal(signal.SIGINT) in (signal.default_int_handler, signal.SIG_IGN)
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    assert gc.get_threshold() == (700, 10, 10)
    assert type(sys.__stdout__).__module__ != "t3probe.exchange.terminal"
"""


@pytest.fixture
def theirs(tmp_path: Path) -> Path:
    (tmp_path / "conftest.py").write_text('pytest_plugins = ["t3probe.plugin"]\n')
    (tmp_path / "pytest.ini").write_text(
        "[pytest]\nasyncio_default_fixture_loop_scope = function\naddopts = -p no:cacheprovider\n"
    )
    (tmp_path / "test_theirs.py").write_text(THEIRS)
    return tmp_path


def theirs_run(folder: Path, *words: str, **env: str) -> Result:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-rs", "-p", "no:randomly", *words],
        cwd=folder, env={**ENVIRON, "PYTHONDONTWRITEBYTECODE": "1", **env},
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        timeout=100, check=False,
    )  # fmt: skip
    return Result(done.returncode, done.stdout.decode(), folder / "results")


@pytest.mark.parametrize("words", [[], ["-n", "2"]], ids=["alone", "spread"])
def test_without_a_deployment_it_is_silent(theirs: Path, words: list[str]) -> None:
    if words:
        pytest.importorskip("xdist")
    before = set(theirs.iterdir())
    done = theirs_run(theirs, *words)
    assert done.code == 0, done.output
    assert "1 passed, 2 skipped" in done.output
    assert "no deployment is named, so there is no path to look at" in done.output
    assert "VERDICT" not in done.output
    assert "t3probe:" not in done.output
    assert set(theirs.iterdir()) == before


@pytest.mark.parametrize("words", [["--gate", "serve"], ["--push"], ["--exit-delivered"],
                                   ["--record-line"], ["--fault", "serve:exit"]])  # fmt: skip
@pytest.mark.parametrize("spread", [[], ["-n", "2"]], ids=["alone", "spread"])
def test_what_cannot_be_met_is_refused(theirs: Path, words: list[str], spread: list[str]) -> None:
    """A gate that nobody looks at must not open."""
    if spread:
        pytest.importorskip("xdist")
    done = theirs_run(theirs, *words, *spread)
    assert done.code == 4, done.output
    assert f"expected a deployment file for {words[0]}, found none" in done.output


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["--gate", "dispatch"], 5),
        (["--gate", "dispatch", "--collect-only"], 5),
        (["--exit-delivered"], 1),
        ([], 0),
    ],
    ids=["gate", "collected", "delivered", "plain"],
)
def test_where_no_leg_is_probed_no_gate_opens(theirs: Path, words: list[str], code: int) -> None:
    """Only a plain test is selected: it passes, and says nothing of the path."""
    (theirs / "test_theirs.py").write_text("def test_plain(): pass\n")
    done = theirs_run(theirs, "--deployment", str(ROOT / "deployments" / "lab.toml"), *words)
    assert done.code == code, done.output
    assert ("gate closed: there is no verdict" in done.output) == ("--gate" in words)


@pytest.mark.parametrize("words", [["--deployment", ""], []], ids=["option", "variable"])
def test_an_empty_name_of_a_deployment_is_refused(theirs: Path, words: list[str]) -> None:
    """It comes of a variable that is not set: what was to be looked at is not."""
    env = {} if words else {"T3PROBE_DEPLOYMENT": ""}
    done = theirs_run(theirs, *words, **env)
    assert done.code == 4, done.output
    assert "expected a deployment file, found an empty name" in done.output


@pytest.mark.parametrize("selected", ["test_of_a_leg", "test_of_their_own"])
def test_a_bad_file_over_processes_is_one_sentence(theirs: Path, selected: str) -> None:
    pytest.importorskip("xdist")
    (theirs / "bad.toml").write_text("name = 1\n")
    done = theirs_run(theirs, "-n", "2", "--deployment", "bad.toml", "-k", selected)
    assert done.code == 4, done.output
    assert done.output.count("bad.toml: name: expected") == 1
    assert "Traceback" not in done.output


def test_legs_that_a_source_would_name_are_not_spread_either(theirs: Path) -> None:
    pytest.importorskip("xdist")
    text = (ROOT / "tests" / "plugin" / "sources_only.toml").read_text()
    (theirs / "sources.toml").write_text(text)
    (theirs / "test_theirs.py").write_text(
        "import pytest\n@pytest.mark.legs('upstream')\ndef test_it(leg): pass\n"
    )
    done = theirs_run(theirs, "-n", "2", "--deployment", "sources.toml")
    assert done.code == 4, done.output
    assert "cannot be spread over processes" in done.output


def test_a_gate_over_processes_is_refused(theirs: Path) -> None:
    pytest.importorskip("xdist")
    file = str(ROOT / "deployments" / "lab.toml")
    done = theirs_run(theirs, "--gate", "serve", "-n", "2", f"--deployment={file}")
    assert done.code == 4, done.output
    assert "--gate: these checks cannot be spread over processes (-n)" in done.output


def test_only_a_selected_leg_keeps_it_from_being_spread(theirs: Path) -> None:
    pytest.importorskip("xdist")
    file = f"--deployment={ROOT / 'deployments' / 'lab.toml'}"
    done = theirs_run(theirs, "-n", "2", file, "-k", "of_their_own")
    assert done.code == 0, done.output
    assert "with -n there is no verdict" in done.output
    done = theirs_run(theirs, "-n", "2", file, "-k", "of_the_path")
    assert done.code == 1, done.output  # a plain test that fails
    assert not done.results.exists()
    done = theirs_run(theirs, "-n", "2", file)
    assert done.code == 4, done.output
    assert "cannot be spread over processes (-n)" in done.output
    assert "Traceback" not in done.output


def test_with_a_deployment_their_check_takes_part(checks, theirs: Path) -> None:
    done = theirs_run(theirs, f"--deployment={checks.lab.deployment_path}", "--hold", "0")
    assert done.code == 1, done.output
    assert "VERDICT" in done.output
    assert "test_of_the_path" in done.legs


def test_the_packaged_checks_from_anywhere(checks, tmp_path: Path) -> None:
    words = ("--pyargs", "t3probe.checks", "-p", "no:cacheprovider", "--hold", "0")
    done = theirs_run(tmp_path, *words, "--deployment", checks.lab.deployment_path)
    assert done.code == 0, done.output
    assert "VERDICT  clean" in done.output
    assert len(done.legs) == 14
    done = theirs_run(tmp_path, *words)
    assert done.code == 4, done.output
    assert "expected a deployment file, found none" in done.output


def test_a_signal_that_came_while_it_was_loaded_is_not_lost() -> None:
    """It was remembered for a run; nothing is run here, so it does what it always does."""
    code = (
        "import os, signal\n"
        "from t3probe.plugin.interrupt import Interrupts\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "one = Interrupts()\none.install()\nos.kill(os.getpid(), signal.SIGINT)\n"
        "try:\n    one.release()\nexcept KeyboardInterrupt:\n    print('heard')\n"
        "assert signal.getsignal(signal.SIGINT) is signal.default_int_handler\n"
    )
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "heard\n"), done
