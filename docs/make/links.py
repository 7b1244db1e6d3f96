"""The base of every link to the runbook, from `[project.urls]` of pyproject.toml.

Alertmanager shows a link as it is, so a relative one leads nowhere. `python docs/make/links.py`
writes the base into the rules; a test holds that it is current.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

__all__ = ["FILES", "linked", "runbook"]

ROOT = Path(__file__).resolve().parents[2]
FILES = (
    ROOT / "cronjob" / "rules" / "t3probe.rules.yml",
    ROOT / "cronjob" / "overlays" / "t3" / "alerts" / "prometheusrule.yaml",
)


def runbook() -> str:
    """Where the runbook is read."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return str(project["urls"]["Runbook"])


def linked(text: str, base: str) -> str:
    """The rules with this base before the name of each page."""
    return re.sub(r"(runbook_url: )[^\s#]*#", lambda it: f"{it[1]}{base}#", text)


def main() -> None:
    """Write the files."""
    for file in FILES:
        text = file.read_text(encoding="utf-8")
        file.write_text(linked(text, runbook()), encoding="utf-8")


if __name__ == "__main__":
    main()
