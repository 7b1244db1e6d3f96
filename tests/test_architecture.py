"""The rules of the house that a reader could not check by eye."""

from __future__ import annotations

import ast
import functools
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent.parent / "t3probe"
FILES = sorted(PACKAGE.rglob("*.py"))

LAYERS = [
    {
        "bounds",
        "room",
        "timing",
        "observation",
        "median",
        "baseline",
        "files",
        "guard",
        "hookspec",
        "entry",
        "interrupt",
        "config",
        "usage",
        "words",
        "columns",
        "shards",
        "utf16",
        "json_stream",
    },
    {"pressure", "tcpinfo", "tls", "resolve", "probes"},
    {
        "run",
        "verdict",
        "gate",
        "record",
        "judge",
        "junit",
        "options",
        "output",
        "own_checks",
        "results",
    },
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
    "probes/bodies.py",
    "probes/cookies.py",
    "probes/http_wire.py",
    "probes/redirects.py",
    "json_stream.py",
    "upstreams/envoy_config.py",
    "upstreams/envoy_dump.py",
    "upstreams/envoy_hosts.py",
    "upstreams/envoy_routes.py",
    "upstreams/sources_legs.py",
    "upstreams/views.py",
]
IO_MODULES = {"socket", "asyncio", "aiohttp", "websockets", "time", "os", "subprocess", "ssl"}


@functools.cache
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


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def test_imports_point_one_way() -> None:
    offenders = []
    for path in FILES:
        room = room_of(path)
        if room == "__init__":
            continue
        for name in sorted(imported(path)):
            parts = name.split(".")
            if parts[0] == "t3probe" and len(parts) > 1 and layer(parts[1]) > layer(room):
                offenders.append(f"{path.relative_to(PACKAGE)} imports {name}")
    assert not offenders, "\n".join(offenders)


def test_no_private_part_of_pytest_and_only_timing_reads_a_clock() -> None:
    offenders = []
    for path in FILES:
        words = [name for name in imported(path) if name.split(".")[0] == "_pytest"]
        if path.name != "timing.py":
            text = path.read_text()
            words += [name for name in imported(path) if name == "time"]
            words += [one for one in ("datetime.now(", "utcnow(") if one in text]
        offenders += [f"{path.relative_to(PACKAGE)}: {word}" for word in words]
    assert not offenders, "\n".join(offenders)


def test_pure_files_do_no_io() -> None:
    pure = [*(PACKAGE / name for name in PURE), *(PACKAGE / "verdict").glob("*.py")]
    assert len(pure) > len(PURE)
    offenders = [
        f"{path.relative_to(PACKAGE)} imports {name}"
        for path in pure
        for name in sorted(imported(path) & IO_MODULES)
    ]
    assert not offenders, "\n".join(offenders)


def test_files_stay_small_and_checks_short_enough_to_read_aloud() -> None:
    limits = [(path, 600) for path in FILES]
    limits += [(path, 40) for path in (PACKAGE.parent / "checks").glob("*.py")]
    assert len(limits) > len(FILES)
    offenders = [
        f"{path.relative_to(PACKAGE.parent)}: {lines} lines, at most {most}"
        for path, most in limits
        if (lines := len(path.read_text().splitlines())) > most
    ]
    assert not offenders, "\n".join(offenders)
