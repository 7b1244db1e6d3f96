"""What the documents point to exists; generated pages are current; their examples load."""

from __future__ import annotations

import re
import runpy
import tomllib
from pathlib import Path

import pytest
from docs_reader import DOCUMENTS, ROOT, anchors, blocks

from t3probe import __version__
from t3probe.config import loads
from t3probe.deliver import metrics

MAKE = ROOT / "docs" / "make"
DEPLOYMENT_FILE = runpy.run_path(str(MAKE / "deployment_file.py"))
EXAMPLES: dict[str, str] = DEPLOYMENT_FILE["EXAMPLES"]
SMALLEST: str = DEPLOYMENT_FILE["SMALLEST"]

IDS = [str(one.relative_to(ROOT)) for one in DOCUMENTS]
FOLDERS = ("docs", "deployments", "cronjob", "ci", "checks", "tests", "bench", "t3probe")
PLACEHOLDERS = {"NAME", "FILE", "FOLDER"}
MADE = {"checks/test_session.py"}
"""Paths that a document tells the reader to make."""


def prose(path: Path) -> str:
    """A document without its fenced and indented blocks."""
    lines = path.read_text(encoding="utf-8").splitlines()
    for block in blocks(path):
        for number in range(block.line - 1, block.line - 1 + len(block.lines)):
            lines[number] = ""
    return "\n".join(lines)


@pytest.mark.parametrize("path", DOCUMENTS, ids=IDS)
def test_relative_links_resolve(path: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(path)):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        file = (path.parent / name) if name else path
        assert file.exists(), f"{path.name}: {target}: there is no such file"
        if anchor:
            assert anchor in anchors(file.read_text(encoding="utf-8")), f"{path.name}: {target}"


@pytest.mark.parametrize("path", DOCUMENTS, ids=IDS)
def test_paths_in_the_text_exist(path: Path) -> None:
    for code in re.findall(r"`([^`\n]+)`", prose(path)):
        pattern = rf"(?:{'|'.join(FOLDERS)})/[\w./-]+|[\w-]+\.md"
        if re.fullmatch(pattern, code) and not PLACEHOLDERS & set(re.split(r"[/.]", code)):
            found = (ROOT / code).exists() or (path.parent / code).exists() or code in MADE
            assert found, f"{path.name}: `{code}`: there is no such file"


def test_the_page_of_the_deployment_file_is_current() -> None:
    page = (ROOT / "docs" / "deployment-file.md").read_text(encoding="utf-8")
    assert page == DEPLOYMENT_FILE["text"](), "make documents"


def test_the_page_of_metrics_is_current_and_names_each() -> None:
    page = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
    assert page == runpy.run_path(str(MAKE / "metrics.py"))["page"](), "make documents"
    for spec in metrics.TABLE:
        assert f"`{spec.name}`" in page


def test_the_table_of_bounds_is_current() -> None:
    page = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    made = runpy.run_path(str(MAKE / "bounds.py"))
    assert page == made["place"](page), "make documents"
    assert page.count("\n| ") > 3


@pytest.mark.parametrize("heading", ["", *EXAMPLES])
def test_every_example_of_the_page_loads(heading: str) -> None:
    example = SMALLEST + "\n" + EXAMPLES.get(heading, "")
    found = loads(example, environ={}, now=0.0)
    assert not found.warnings
    assert example.count(heading) or not heading


def test_a_heading_has_one_anchor_each() -> None:
    assert anchors("# One\n\n## One\n\n```\n# no\n```\n### `a_b` (c)\n") == {
        "one",
        "one-1",
        "a_b-c",
    }


def test_the_links_to_the_runbook_have_the_projects_base() -> None:
    links = runpy.run_path(str(MAKE / "links.py"))
    for file in links["FILES"]:
        text = file.read_text(encoding="utf-8")
        assert "runbook_url: " in text
        assert links["linked"](text, links["runbook"]()) == text, "make documents"
    assert (
        links["linked"]("runbook_url: docs/x.md#a\n", "https://b") == "runbook_url: https://b#a\n"
    )


def test_the_version_stands_where_it_is_read() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert __version__ == project["version"]
    assert f"## {__version__}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    newest = project["classifiers"][-3].rpartition(".")[2]
    assert [f"3.{n}" for n in range(11, int(newest) + 1)] == [
        one.rpartition(" ")[2] for one in project["classifiers"] if ":: 3." in one
    ]
