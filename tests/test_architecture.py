"""The rules of the house that a reader could not check by eye."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "t3probe"
FILES = sorted(PACKAGE.rglob("*.py"))

LAYERS = [
    {
        "timing",
        "observation",
        "median",
        "baseline",
        "guard",
        "hookspec",
        "entry",
        "interrupt",
        "config",
        "usage",
        "words",
        "columns",
        "shards",
    },
    {"pressure", "tcpinfo", "tls", "resolve", "probes"},
    {"run", "verdict", "gate", "record", "judge", "junit", "options", "output", "own_checks"},
    {
        "compare",
        "markdown",
        "report",
        "progress",
        "summary",
        "metrics",
        "sinks",
        "alertmanager",
        "cluster",
        "forensics",
        "explain",
    },
    {"session", "lab", "deliver", "echo", "upstreams"},
    {"shipping"},
    {"plugin", "commands", "cli", "job", "watch", "first", "mcp_server"},
]
"""Rooms from the ground up: a room imports its own layer or a lower one, never a higher."""

PURE = [
    "observation.py",
    "shards.py",
    "baseline.py",
    "summary.py",
    "run/conclude.py",
    "run/evidence.py",
    "probes/escapes.py",
    "probes/sso.py",
    "upstreams/envoy_config.py",
    "upstreams/envoy_hosts.py",
    "upstreams/envoy_routes.py",
    "upstreams/sources_legs.py",
    "upstreams/views.py",
]
IO_MODULES = {"socket", "asyncio", "aiohttp", "websockets", "time", "os", "subprocess", "ssl"}


def imported(path: Path) -> set[str]:
    """Every module that a file imports, relative ones made whole; type-only ones left out."""
    tree = ast.parse(path.read_text())
    package = ["t3probe", *path.relative_to(PACKAGE).parts[:-1]]
    found: set[str] = set()

    def visit(node: ast.AST) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
                continue
            if isinstance(child, ast.Import):
                found.update(alias.name for alias in child.names)
            elif isinstance(child, ast.ImportFrom):
                base = package[: len(package) - child.level + 1] if child.level else []
                name = ".".join([*base, *([child.module] if child.module else [])])
                found.add(name)
                if name == "t3probe":
                    found.update(f"t3probe.{alias.name}" for alias in child.names)
            visit(child)

    visit(tree)
    return found


def layer(room: str) -> int:
    return next(number for number, rooms in enumerate(LAYERS) if room in rooms)


@pytest.mark.parametrize("path", FILES, ids=lambda one: str(one.relative_to(PACKAGE)))
def test_imports_point_one_way(path: Path) -> None:
    room = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    if room == "__init__":
        return
    for name in imported(path):
        parts = name.split(".")
        if parts[0] == "t3probe" and len(parts) > 1:
            assert layer(parts[1]) <= layer(room), f"{room} imports {name}"


@pytest.mark.parametrize("path", FILES, ids=lambda one: str(one.relative_to(PACKAGE)))
def test_no_private_part_of_pytest(path: Path) -> None:
    assert not [name for name in imported(path) if name.split(".")[0] == "_pytest"]


@pytest.mark.parametrize("path", FILES, ids=lambda one: str(one.relative_to(PACKAGE)))
def test_only_timing_reads_a_clock(path: Path) -> None:
    if path.name != "timing.py":
        assert "time" not in imported(path)
        text = path.read_text()
        assert "datetime.now(" not in text
        assert "utcnow(" not in text


@pytest.mark.parametrize("path", FILES, ids=lambda one: str(one.relative_to(PACKAGE)))
def test_files_stay_small(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 400


@pytest.mark.parametrize("name", PURE)
def test_pure_files_do_no_io(name: str) -> None:
    assert not imported(PACKAGE / name) & IO_MODULES


def test_the_verdict_does_no_io() -> None:
    for path in (PACKAGE / "verdict").glob("*.py"):
        assert not imported(path) & IO_MODULES, path.name


def test_checks_are_short_enough_to_read_aloud() -> None:
    for path in (PACKAGE.parent / "checks").glob("*.py"):
        assert len(path.read_text().splitlines()) <= 40
