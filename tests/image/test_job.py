"""The launcher of the scheduled job, without the image: `make test` runs these."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from deliver.delivery_programs import RealGateway

from t3probe import job
from t3probe.record.reading import read_recording

ROOT = Path(__file__).resolve().parents[2]

TOLD_AT_ONCE = """
import os, signal, sys
import t3probe.job as job

class Told(job._Ears):
    def __init__(self):
        super().__init__()
        for number in signals:
            signal.raise_signal(number)

def again(*words):
    raise SystemExit("started over: " + repr(words))

os.execv = again
signals = [getattr(signal, one) for one in sys.argv.pop(1).split()]
job._Ears = Told
sys.exit(job.main())
"""


def run(
    folder: Path, signals: str, *words: str, suite: Path | None = None, **env: str
) -> subprocess.CompletedProcess[str]:
    environ = {key: value for key, value in os.environ.items() if not key.startswith("T3PROBE_")}
    environ |= {"T3PROBE_LOOPBACK_ONLY": "1", "PYTHONPATH": str(ROOT)}
    environ |= {"T3PROBE_SUITE": str(suite)} if suite else {}
    environ |= {"T3PROBE_DEPLOYMENT": str(ROOT / "deployments" / "lab.toml")}
    environ |= {"T3PROBE_RESULTS": str(folder / "results"), **env}
    return subprocess.run(
        [sys.executable, "-c", TOLD_AT_ONCE, signals, *words],
        cwd=folder,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize("suite", [None, ROOT], ids=["packaged", "own"])
@pytest.mark.parametrize("signals", ["", "SIGTERM", "SIGINT SIGTERM SIGTERM"])
def test_a_signal_from_before_the_checks_are_loaded_ends_the_run(
    tmp_path: Path, gateway: RealGateway, signals: str, suite: Path | None
) -> None:
    hold = "60s" if signals else "0"
    where = {"T3PROBE__DELIVERY__GATEWAY": gateway.url}
    ended = run(tmp_path, signals, "--hold", hold, suite=suite, **where)
    assert ended.returncode == 0, ended
    recording = read_recording(str(tmp_path / "results" / "junit.xml"))
    assert recording.run.interrupted is bool(signals)
    assert recording.run.hold_seconds == (60 if signals else 0)


@pytest.mark.parametrize("suite", [None, ROOT], ids=["packaged", "own"])
def test_paths_elsewhere_do_not_start_the_process_over(tmp_path: Path, suite: Path | None) -> None:
    """A signal that was heard before would be forgotten."""
    file = tmp_path / "other.toml"
    file.write_bytes((ROOT / "deployments" / "lab.toml").read_bytes())
    ended = run(tmp_path, "", "--deployment", str(file), "--collect-only", "-q", suite=suite)
    assert ended.returncode == 0, ended
    assert "test_tcp.py" in ended.stdout


def test_without_the_checks_it_says_so(tmp_path: Path) -> None:
    ended = run(tmp_path, "", suite=tmp_path / "nowhere")
    assert ended.returncode == 4
    assert ended.stdout == ""
    assert ended.stderr == (
        f"t3probe-job: expected checks with their conftest.py, found none in {tmp_path}/nowhere; "
        "name their folder with T3PROBE_SUITE, or leave it out for the packaged ones\n"
    )


def test_the_folder_it_stands_in_does_not_matter(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text("raise RuntimeError('read')")
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = --no-such-option\n")
    ended = run(tmp_path, "", "--collect-only", "-q")
    assert ended.returncode == 0, ended
    assert "test_websocket.py" in ended.stdout


def test_it_hears_before_anything_that_is_slow_to_import() -> None:
    """Process 1 is deaf until then."""
    code = "import sys; import t3probe.job; print(*sorted(set(sys.modules) & set(sys.argv)))"
    slow = ["asyncio", "ssl", "pytest", "aiohttp", "msgspec", "pathlib", "re", "inspect"]
    isolated = [sys.executable, "-I", "-S", "-c", f"import sys; sys.path.append({str(ROOT)!r})\n"]
    isolated[-1] += code
    done = subprocess.run([*isolated, *slow], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_the_checks_without_a_lab_ask_for_a_deployment(tmp_path: Path) -> None:
    """As in the image, which has none."""
    hide = "import sys; sys.modules['trustme'] = None; import pytest; sys.exit(pytest.main([]))"
    hide = hide.replace("= None", "= None; sys.meta_path.insert(0, type('No', (), NO))")
    hide = hide.replace("NO)", "{'find_spec': staticmethod(lambda *a: None)})")
    environ = {key: value for key, value in os.environ.items() if not key.startswith("T3PROBE_")}
    words = [sys.executable, "-c", hide]
    ended = subprocess.run(
        words, cwd=ROOT, env=environ, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 4, ended
    assert "expected a deployment file, found none" in ended.stderr


@pytest.mark.parametrize("word", ["-h", "--help"])
def test_its_help_is_a_page_and_nothing_is_probed(
    word: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert job.main(["--hold", "0", word]) == 0
    said = capsys.readouterr()
    assert said.out.startswith("usage: t3probe-job ")
    assert max(map(len, said.out.splitlines())) <= 80
    assert not said.err
