"""The real programs: found, or the test says why it cannot run."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest

PACKAGES = {
    "promtool": "prometheus",
    "vmalert": "victoria-metrics",
    "amtool": "prometheus-alertmanager",
    "prometheus-alertmanager": "prometheus-alertmanager",
}
"""Each program and the Debian package that has it."""


def program(name: str) -> str:
    """The path of a program. Without it the test is skipped, or fails where CI=true."""
    path = shutil.which(name)
    if path is not None:
        return path
    sentence = f"{name} is not installed; on Debian: apt install {PACKAGES[name]}"
    if os.environ.get("CI") == "true":
        pytest.fail(sentence, pytrace=False)
    pytest.skip(sentence)


def run(*command: str) -> tuple[int, str]:
    """Exit code and all output of a command that ends by itself."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stdout + done.stderr
