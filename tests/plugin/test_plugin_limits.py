"""What the machine has not enough of is one sentence, and never a traceback."""

from __future__ import annotations

import errno
import subprocess
import sys
from pathlib import Path

import pytest
from plugin_runner import ENVIRON, ROOT

from t3probe.usage import refused_by_system


def limited(*words: str, files: str, where: Path) -> subprocess.CompletedProcess[str]:
    """A run on the built-in lab, under a limit of open files."""
    command = [sys.executable, "-m", "pytest", "--hold", "0", "-q", "-p", "no:cacheprovider"]
    return subprocess.run(
        ["sh", "-c", f'ulimit {files} && exec "$@"', "sh", *command, "--results", str(where)],
        cwd=ROOT, env=ENVIRON, capture_output=True, text=True, timeout=90, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("files", ["64", "128"])
def test_too_few_open_files_for_the_lab(files: str, tmp_path: Path) -> None:
    done = limited(files=f"-n {files}", where=tmp_path)
    said = done.stdout + done.stderr
    assert done.returncode == 4, said
    assert f"of 256 open files or more, found {files}; raise it, such as with ulimit -n" in said
    assert "INTERNALERROR" not in said
    assert "Traceback" not in said


def test_a_soft_limit_is_raised(tmp_path: Path) -> None:
    done = limited(files="-Sn 64", where=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(errno.EMFILE, "Too many open files"),
         "it: Too many open files; raise the limit of open files, such as with ulimit -n 1024"),
        (BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable"),
         "it: Resource temporarily unavailable; raise the limit of processes and threads, such as "
         "with ulimit -u 4096"),
        (RuntimeError("can't start new thread"),
         "it: no new thread can be started; raise the limit of processes and threads, such as with "
         "ulimit -u 4096"),
        (MemoryError(), "it: no memory is left; give it more memory"),
        (OSError(errno.ENOSPC, "No space left on device", "x/junit.xml"),
         "it: No space left on device (x/junit.xml); make room, or name another folder"),
        (OSError("odd"), "it: odd; see what this machine allows"),
        (RuntimeError("of our own"), "of our own"),
    ],
)  # fmt: skip
def test_what_the_system_refuses(error: OSError, said: str) -> None:
    assert refused_by_system("it", error) == said
