"""The rules of the house that a reader could not check by eye."""

from __future__ import annotations

import ast
import functools
import re
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
        "showing",
        "terminal",
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
    "showing.py",
    "record/hushed.py",
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


READERS = {
    "echo", "explain", "forensics", "json_stream", "mcp_server", "probes", "record", "resolve",
    "sinks", "tls", "upstreams",
}  # fmt: skip
"""Rooms that read what others send, keep or leave behind."""
BOUND = re.compile(r"^_?(MAX|MOST|LONGEST)_|_(LIMIT|BYTES|CONNECTIONS)$|^(LIMIT|MOST)$")
NO_BOUNDS = {
    "how much of it a sentence or an answer shows": {
        "explain/from_runs.py", "explain/judge.py", "explain/pressure.py", "mcp_server/answers.py",
        "mcp_server/fit.py", "probes/doh.py", "probes/sso.py", "sinks/annotations.py",
        "sinks/kuberhealthy.py", "upstreams/sources.py", "upstreams/sources_legs.py",
        "http_wire.py _SHOWN_BYTES", "ws_echo.py _MOST_NOTES", "tls.py _MOST_NAMES",
        "envoy.py MOST_NAMES", "gateway_json.py _START_BYTES", "prometheus.py MOST_WARNINGS",
    },
    "the size of one read": {
        "echo/responder.py", "forensics/stream.py", "record/junit.py", "record/log.py",
        "record/reading.py", "record/xml.py", "json_stream.py", "sweep.py READ_BYTES",
        "sweep.py PIPE_BYTES",
    },
    "a size that a protocol has": {"echo/frames.py", "tls.py _RECORD_BYTES"},
    "what a value may be": {
        "explain/asked.py", "prometheus.py LONGEST_SECONDS", "forensics/access.py",
        "sinks/other_suite.py",
    },
    "how far into a line a rule looks": {"forensics/envoy.py", "forensics/haproxy.py"},
    "what one kept thing costs": {"upstreams/nodes.py"},
    "how much of our own is under way or kept": {
        "echo/addresses.py", "forensics/tally.py", "ws_echo.py _MOST_BEATS",
        "sweep.py MOST_CONTROLS", "upstreams/sweep_child.py", "upstreams/sweep_wire.py",
    },
}  # fmt: skip
"""Numbers that look like one and are none, and why: a file, or one name in it."""


def test_every_bound_on_what_others_send_stands_in_one_place() -> None:
    known = {one for several in NO_BOUNDS.values() for one in several}
    used, offenders = set(), []
    for path in FILES:
        file = str(path.relative_to(PACKAGE))
        if room_of(path) not in READERS:
            continue
        for node in ast.parse(path.read_text()).body:
            if not isinstance(node, ast.Assign) or not BOUND.search(ast.unparse(node.targets[0])):
                continue
            if not {type(one) for one in ast.walk(node.value)} <= {
                ast.Constant, ast.BinOp, ast.LShift, ast.Mult, ast.Pow,
            }:  # fmt: skip
                continue
            name = ast.unparse(node.targets[0])
            hits = {file, f"{path.name} {name}"} & known
            used |= hits
            if not hits:
                offenders.append(f"{file} {name}")
    assert not offenders, "a bound on foreign input belongs into t3probe/bounds.py"
    assert known == used


def test_the_bounds_import_nothing() -> None:
    assert imported(PACKAGE / "bounds.py") <= {"__future__.annotations", "__future__"}
