"""What the tests of first contact share: our command in a process of its own, a lab's flags."""

from __future__ import annotations

import argparse
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from plugin.plugin_runner import ENVIRON as RUN_ENVIRON
from plugin.plugin_runner import ROOT

from t3probe.lab.process import LabProcess

__all__ = [
    "ENVIRON",
    "ROOT",
    "inside_flags",
    "lab_file",
    "parsers_below",
    "public_flags",
    "t3probe",
]

ENVIRON = {**RUN_ENVIRON, "COLUMNS": "80"}


def t3probe(
    *words: str, folder: Path, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a subcommand without a terminal."""
    return subprocess.run(
        [sys.executable, "-m", "t3probe.cli", *words],
        cwd=folder,
        env={**ENVIRON, **(env or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def parsers_below(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """A command's parser and those of its subcommands. argparse keeps its actions for itself,
    and gives no other way to ask."""
    yield parser
    for action in parser._actions:
        if isinstance(action.choices, dict):
            for one in action.choices.values():
                yield from parsers_below(one)


def lab_file(lab: LabProcess) -> dict[str, Any]:
    """A lab's deployment file as it is written, with its legs by name."""
    raw = tomllib.loads(Path(lab.deployment_path).read_text())
    return {**raw, "legs": {leg["name"]: leg for leg in raw["leg"]}}


def public_flags(lab: LabProcess) -> list[str]:
    """What tells `init` of the lab's public side."""
    raw = lab_file(lab)
    leg = raw["legs"]["cloudflare"]
    ca = Path(lab.deployment_path).parent / raw["tls_ca"]
    found = ["--host", urlsplit(leg["url"]).netloc, "--ca", str(ca), "--sso", "sso.lab.test"]
    return found + [word for url in leg["doh"] for word in ("--doh", url)]


def inside_flags(lab: LabProcess) -> list[str]:
    """What tells it of the rest."""
    legs = lab_file(lab)["legs"]
    found = ["--internal", legs["internal"]["pin"], "--dispatch", legs["dispatch"]["url"]]
    return [*found, "--serve", legs["t3serve"]["url"], "--machine", legs["devvm"]["url"]]
