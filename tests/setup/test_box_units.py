"""Without Kubernetes: units that systemd itself accepts, and a compose file."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import socket
import subprocess
import time
from pathlib import Path

import pytest
import yaml

from t3probe.commands.manifests import main
from t3probe.config import loads
from t3probe.setup.box import compose, units
from t3probe.watch.systemd import Supervisor

ROOT = Path(__file__).resolve().parents[2]
SMALL = """
name = "mine"
segments = ["a"]
[[leg]]
name = "one"
kind = "tcp"
address = "127.0.0.1:1"
path = ["a"]
"""
analyze = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed: apt systemd"
)


def written(folder: Path) -> list[str]:
    """The units in a folder, with programs that are there: `verify` looks for them."""
    programs = folder / "bin"
    programs.mkdir()
    for name in ("t3probe", "t3probe-job"):
        (programs / name).write_text("#!/bin/sh\n")
        (programs / name).chmod(0o755)
    made = units(None, "/etc/t3probe/my.toml", str(programs))
    for name, text in made.items():
        (folder / name).write_text(text)
    return [str(folder / name) for name in made]


def test_the_files_of_the_repository_are_current() -> None:
    spec = importlib.util.spec_from_file_location("box", ROOT / "docs" / "make" / "box.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    files = module.files()
    assert {file: file.read_text() for file in files} == files


def systemd_runs() -> bool:
    """Whether it is the first process of this machine, and would do what we say."""
    if shutil.which("systemctl") is None or os.geteuid() != 0:
        return False
    asked = subprocess.run(["systemctl", "is-system-running"], capture_output=True, text=True)
    return asked.stdout.strip() in {"running", "degraded"}


@pytest.mark.skipif(not systemd_runs(), reason="no systemd runs here that would start a timer")
def test_the_real_timer_starts_a_run_and_another() -> None:
    name, folder = "t3probe-test", Path("/run/systemd/system")
    made = units(None, "/etc/t3probe/my.toml", "/opt/t3probe/bin")
    service = made["t3probe.service"].replace("/run/t3probe", f"/run/{name}")
    service = service.replace("RuntimeDirectory=t3probe\n", f"RuntimeDirectory={name}\n")
    service = service.replace("StateDirectory=t3probe-job\n", f"StateDirectory={name}\n")
    ran = Path(f"/run/{name}/ran")
    line = f"ExecStart=/bin/sh -c 'echo ran >> {ran}'"
    service = re.sub(r"(?m)^ExecStart=.*$", line, service)
    timer = made["t3probe.timer"].replace("OnCalendar=minutely", "OnCalendar=*:*:0/2")
    files = {folder / f"{name}.service": service, folder / f"{name}.timer": timer}
    try:
        for file, text in files.items():
            file.write_text(text)
        subprocess.run(["systemctl", "daemon-reload"], check=True)
        subprocess.run(["systemctl", "start", f"{name}.timer"], check=True)
        for _ in range(300):
            if ran.exists() and ran.read_text().count("ran") > 1:
                break
            time.sleep(0.1)
        assert ran.read_text().count("ran") > 1
    finally:
        subprocess.run(["systemctl", "stop", f"{name}.timer", f"{name}.service"])
        for file in files:
            file.unlink(missing_ok=True)
        subprocess.run(["systemctl", "daemon-reload"])


@analyze
def test_systemd_accepts_the_units(tmp_path: Path) -> None:
    words = ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", *written(tmp_path)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120)
    said = [line for line in done.stderr.splitlines() if "t3probe" in line]
    assert (done.returncode, said) == (0, []), done.stderr


@analyze
@pytest.mark.parametrize("unit", ["t3probe.service", "t3probe-watch.service"])
def test_systemd_finds_little_to_mend(tmp_path: Path, unit: str) -> None:
    written(tmp_path)
    words = ["systemd-analyze", "security", "--offline=yes", "--threshold=25", str(tmp_path / unit)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout[-400:] + done.stderr


def test_a_textfile_s_folder_is_the_one_other_place_that_is_written() -> None:
    deployment = loads(SMALL + '[delivery]\ntextfile = "/srv/text/t3.prom"\n', environ={}, now=0.0)
    made = units(deployment)
    assert "ReadWritePaths=/srv/text\n" in made["t3probe.service"]
    assert "ReadWritePaths" not in units()["t3probe.service"]


def test_a_path_that_would_mean_something_else_is_refused() -> None:
    for path in (
        "/etc/t3 probe/my.toml",
        "/etc/%h.toml",
        "/etc/$x.toml",
        "my.toml",
        "/a\nUser=root",
    ):
        with pytest.raises(ValueError, match="expected an absolute path"):
            units(None, path)
        with pytest.raises(ValueError, match="expected an absolute path"):
            compose(path)


def test_the_compose_file_has_both_and_the_job_hears_signals() -> None:
    made = yaml.safe_load(compose("/srv/t3/t3.toml"))
    job, watch = made["services"]["job"], made["services"]["watch"]
    assert job["volumes"][0] == watch["volumes"][0] == "/srv/t3:/etc/t3probe:ro"
    assert job["environment"]["T3PROBE_DEPLOYMENT"] == "/etc/t3probe/t3.toml"
    assert watch["entrypoint"][-1] == "/etc/t3probe/t3.toml"
    script = job["entrypoint"][-1].replace("$$", "$")
    assert subprocess.run(["sh", "-n", "-c", script], timeout=20).returncode == 0
    assert (job["read_only"], job["cap_drop"]) == (True, ["ALL"])


@pytest.mark.parametrize("kind", ["systemd", "compose"])
def test_the_command_prints_them(
    tmp_path: Path, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "my.toml"
    file.write_text(SMALL)
    assert main([kind, str(file)]) == 0
    said = capsys.readouterr().out
    assert said.startswith(f"# t3probe manifests {kind} {file}\n")
    assert re.search("my.toml", said.partition("\n")[2])
    file.write_text("name = 1")
    assert main([kind, str(file)]) == 4


@pytest.mark.parametrize("abstract", [False, True])
def test_systemd_is_told_by_its_socket(tmp_path: Path, abstract: bool) -> None:
    name = f"\0t3probe-{tmp_path.name}" if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(name)
        sock.settimeout(20)
        environ = {"NOTIFY_SOCKET": name.replace("\0", "@"), "WATCHDOG_USEC": "60000000"}
        one = Supervisor({**environ, "WATCHDOG_PID": "7"}, 7)
        for say in (one.ready, one.alive, one.stopping):
            say()
        assert [sock.recv(99) for _ in range(3)] == [b"READY=1", b"WATCHDOG=1", b"STOPPING=1"]
    assert one.period_seconds == 60
    one.alive()  # nobody listens any more
    assert Supervisor({**environ, "WATCHDOG_PID": "8"}, 7).period_seconds is None
    assert Supervisor({}, 7).period_seconds is None
