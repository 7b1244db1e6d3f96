#!/usr/bin/env python3
"""Write the image's pinned requirements anew: `make lock`.

pip resolves what pyproject.toml asks for, and for some of its extras, once for each architecture,
for the image's Python; the hashes are those that the package index gives for the wheels it would
take. Nothing is installed, and folders of this machine that pip may know take no part.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import Any
from urllib.parse import unquote

ROOT = Path(__file__).resolve().parents[2]
PYTHON = "3.11"
ARCHITECTURES = ("x86_64", "aarch64")
GLIBC = 36
"""Debian 12 has glibc 2.36; wheels for an older one (down to 2.5) work there."""
INDEX = "https://pypi.org/simple"
EXTRAS = ("experiments", "otlp", "remote-write")
"""The extras that the image has: what a deployment file can ask a run for."""
HEAD = """\
# The wheels of the image, for Python {python} on Linux, {architectures}. Generated from
# pyproject.toml by `make lock`; do not edit. An entry names its wheels, then their hashes.
"""


def of_the_image(project: dict[str, Any]) -> list[str]:
    """What the image needs: the dependencies, but for those of the extra `lab`, for it has no lab,
    and the extras of its deliveries."""
    extras = project["optional-dependencies"]
    needed = [one for one in project["dependencies"] if one not in extras["lab"]]
    return [*needed, *(one for name in EXTRAS for one in extras[name])]


Found = dict[str, tuple[str, dict[str, str]]]
"""Name -> (version, {file name: SHA-256})."""


def pip_environment() -> dict[str, str]:
    """This machine's, with its certificates, but without its folders and indexes."""
    environ = {
        key: value
        for key, value in os.environ.items()
        if key not in {"PIP_FIND_LINKS", "PIP_EXTRA_INDEX_URL", "PIP_INDEX_URL", "PIP_CONFIG_FILE"}
    }
    asked = [sys.executable, "-m", "pip", "config", "list"]
    settings = subprocess.run(asked, capture_output=True, text=True, check=False).stdout
    for certificates in re.findall(r"^\S*\.cert='(.*)'$", settings, re.MULTILINE):
        environ.setdefault("PIP_CERT", certificates)
    return {**environ, "PIP_CONFIG_FILE": os.devnull}


def resolve(wanted: list[str], architecture: str, held: dict[str, str]) -> Found:
    """What pip would install there. `held`: versions that are decided already."""
    platforms = [f"manylinux_2_{minor}_{architecture}" for minor in range(GLIBC, 4, -1)]
    with tempfile.TemporaryDirectory() as folder:
        constraints = Path(folder, "constraints.txt")
        constraints.write_text("".join(f"{name}=={held[name]}\n" for name in held))
        report = Path(folder, "report.json")
        words = [sys.executable, "-m", "pip", "install", "--quiet", "--dry-run"]
        words += ["--ignore-installed", "--only-binary=:all:", f"--report={report}"]
        words += [f"--index-url={INDEX}", f"--python-version={PYTHON}", "--implementation=cp"]
        words += [f"--platform={one}" for one in (*platforms, f"manylinux2014_{architecture}")]
        words += [f"--target={folder}/none", f"--constraint={constraints}", *wanted]
        subprocess.run(words, check=True, env=pip_environment())
        installed = json.loads(report.read_text())["install"]
    return {
        one["metadata"]["name"].lower().replace("_", "-"): (
            one["metadata"]["version"],
            {
                unquote(one["download_info"]["url"].rsplit("/", 1)[1]): one["download_info"][
                    "archive_info"
                ]["hashes"]["sha256"]
            },
        )
        for one in installed
    }


def lock(wanted: list[str], target: Path) -> None:
    """Write the pinned file for these requirements."""
    whole: Found = {}
    for architecture in ARCHITECTURES:
        held = {name: version for name, (version, _) in whole.items()}
        for name, (version, files) in resolve(wanted, architecture, held).items():
            whole.setdefault(name, (version, {}))[1].update(files)
    lines = [HEAD.format(python=PYTHON, architectures=" and ".join(ARCHITECTURES))]
    for name, (version, files) in sorted(whole.items()):
        lines += [f"#   {file}\n" for file in sorted(files)]
        hashes = [f"--hash=sha256:{files[file]}" for file in sorted(files)]
        lines.append(" \\\n    ".join([f"{name}=={version}", *hashes]) + "\n")
    target.write_text("".join(lines))
    print(f"{target.relative_to(ROOT)}: {len(whole)} packages")


def main() -> None:
    """Both files: what runs, and what builds the project's own wheel."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    lock(of_the_image(project["project"]), ROOT / "cronjob" / "requirements.txt")
    lock(project["build-system"]["requires"], ROOT / "cronjob" / "requirements-build.txt")


if __name__ == "__main__":
    main()
