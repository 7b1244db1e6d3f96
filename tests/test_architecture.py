"""The rules of the house that a reader could not check by eye."""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from t3probe.text.names import MADE_LEGS, MADE_SEGMENTS

PACKAGE = Path(__file__).resolve().parent.parent / "t3probe"
FILES = sorted(PACKAGE.rglob("*.py"))

ROOMS = [
    *(
        "guard",
        "timing",
        "text",
        "exchange",
        "usage",
        "observation",
        "config",
        "upstreams",
        "probes",
    ),
    *("run", "record", "verdict", "deliver", "show", "echo", "lab", "setup", "ask", "judge"),
    *("plugin", "watch", "commands", "entry", "job", "cli"),
]
"""From the ground up: a room imports lower ones, and itself, and nothing else."""

PURE = [
    "observation.py",
    "text/names.py",
    "text/__init__.py",
    "text/words.py",
    "exchange/trace_ids.py",
    "show/summary.py",
    "show/coverage.py",
    "show/coverage_together.py",
    "run/conclude.py",
    "run/own_answer.py",
    "probes/sso.py",
    "probes/http_wire.py",
    "probes/redirects.py",
    "upstreams/envoy_config.py",
    "upstreams/envoy_hosts.py",
    "upstreams/envoy_routes.py",
    "upstreams/sources_legs.py",
    "upstreams/views.py",
]
IO_MODULES = {"socket", "asyncio", "aiohttp", "websockets", "time", "os", "subprocess", "ssl"}


def name_of(path: Path) -> str:
    """A file's module."""
    parts = ["t3probe", *path.relative_to(PACKAGE).with_suffix("").parts]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(path): path for path in FILES}


@functools.cache
def imported(path: Path) -> frozenset[str]:
    """Every module that a file imports, those for typing and inside functions, too."""
    package = ["t3probe", *path.relative_to(PACKAGE).parts[:-1]]
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            name = ".".join([*base, *([node.module] if node.module else [])])
            whole = [f"{name}.{alias.name}" for alias in node.names]
            found.update(one if one in MODULES else name for one in whole)
    return frozenset(found)


def ours(path: Path) -> Iterator[str]:
    """The modules of the package that a file imports."""
    return (name for name in sorted(imported(path)) if name.startswith("t3probe."))


def room_of(module: str) -> str:
    """The room at the top in which a module lies."""
    return module.split(".")[1]


def told(offenders: Iterable[str]) -> str:
    return "\n".join(sorted(offenders))


def test_every_room_has_its_place() -> None:
    assert {room_of(name) for name in MODULES if name != "t3probe"} == set(ROOMS)


def test_imports_point_down() -> None:
    offenders = [
        f"{module} imports {name}"
        for module, path in MODULES.items()
        if module != "t3probe"
        for name in ours(path)
        if room_of(name) != room_of(module)
        and ROOMS.index(room_of(name)) > ROOMS.index(room_of(module))
    ]
    assert not offenders, told(offenders)


def test_no_files_import_each_other_in_a_circle() -> None:
    below: dict[str, set[str]] = {
        module: {name for name in ours(path) if name in MODULES and name != module}
        for module, path in MODULES.items()
    }
    while leaves := [one for one, some in below.items() if not some & below.keys()]:
        for one in leaves:
            del below[one]
    # What is left lies in a circle or above one.
    assert not below, told(f"{one} imports {' '.join(sorted(some))}" for one, some in below.items())


def test_no_private_part_of_pytest_and_only_timing_reads_a_clock() -> None:
    offenders = []
    for path in FILES:
        words = [name for name in imported(path) if name.split(".")[0] == "_pytest"]
        if path.name != "timing.py":
            text = path.read_text()
            words += [name for name in imported(path) if name == "time"]
            words += [one for one in ("datetime.now(", "utcnow(") if one in text]
        offenders += [f"{path.relative_to(PACKAGE)}: {word}" for word in words]
    assert not offenders, told(offenders)


def test_pure_files_do_no_io() -> None:
    pure = [*(PACKAGE / name for name in PURE), *(PACKAGE / "verdict").rglob("*.py")]
    assert len(pure) > len(PURE)
    offenders = [
        f"{path.relative_to(PACKAGE)} imports {name}"
        for path in pure
        for name in imported(path) & IO_MODULES
    ]
    assert not offenders, told(offenders)


def test_files_hold_one_subject_and_checks_are_short_enough_to_read_aloud() -> None:
    limits = [(path, 600) for path in FILES]
    limits += [(path, 40) for path in (PACKAGE.parent / "checks").glob("*.py")]
    assert len(limits) > len(FILES)
    offenders = [
        f"{path.relative_to(PACKAGE.parent)}: {lines} lines, at most {most}"
        for path, most in limits
        if (lines := len(path.read_text().splitlines())) > most
    ]
    assert not offenders, told(offenders)


def test_a_class_of_a_name_is_one_class() -> None:
    homes: dict[str, list[str]] = {}
    for module, path in MODULES.items():
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                homes.setdefault(node.name, []).append(module)
    assert len(homes) > 300
    offenders = [f"{name}: {' '.join(some)}" for name, some in homes.items() if len(some) > 1]
    assert not offenders, told(offenders)


READERS = (
    "echo/", "ask/", "exchange/json_stream.py", "exchange/client.py", "probes/", "record/",
    "deliver/sinks/", "upstreams/", "run/sweep/",
)  # fmt: skip
"""Where what others send, keep or leave behind is read."""
BOUND = re.compile(r"^_?(MAX|MOST|LONGEST)_|_(LIMIT|BYTES|CONNECTIONS)$|^(LIMIT|MOST)$")
NO_BOUNDS = {
    "how much of it a sentence or an answer shows": {
        "from_runs.py", "explain/judge.py", "explain/pressure.py", "mcp_server/answers.py",
        "probes/doh.py", "probes/sso.py", "sinks/kuberhealthy.py",
        "upstreams/sources.py", "upstreams/sources_legs.py", "http_wire.py _SHOWN_BYTES",
        "ws_echo.py _MOST_NOTES", "tls.py _MOST_NAMES", "envoy.py MOST_NAMES",
        "gateway.py _START_BYTES", "prometheus.py MOST_WARNINGS",
    },
    "the size of one read": {
        "echo/responder.py", "forensics/stream.py", "record/junit.py", "record/log.py",
        "record/reading.py", "json_stream.py", "parent.py READ_BYTES",
        "parent.py PIPE_BYTES",
    },
    "a size that a protocol has": {"echo/frames.py", "tls.py _RECORD_BYTES"},
    "what a value may be": {
        "explain/asked.py", "prometheus.py LONGEST_SECONDS", "forensics/access.py",
        "sinks/other_suite.py",
    },
    "how far into a line a rule looks": {"forensics/envoy.py", "forensics/haproxy.py"},
    "what one kept thing costs": {"upstreams/nodes.py"},
    "how much of our own is under way or kept": {
        "echo/limits.py", "forensics/tally.py", "ws_echo.py _MOST_BEATS",
        "backlog.py MOST_SERIES", "parent.py MOST_CONTROLS", "sweep/child.py", "sweep/wire.py",
    },
}  # fmt: skip
"""Numbers that look like a bound and are none, and why: a path's end, or a file and one name."""


def test_every_bound_on_what_others_send_stands_in_one_place() -> None:
    known = {one for several in NO_BOUNDS.values() for one in several}
    used, offenders = set(), []
    for path in FILES:
        file = str(path.relative_to(PACKAGE))
        if not file.startswith(READERS):
            continue
        for node in ast.parse(path.read_text()).body:
            if not isinstance(node, ast.Assign) or not BOUND.search(ast.unparse(node.targets[0])):
                continue
            if not {type(one) for one in ast.walk(node.value)} <= {
                ast.Constant, ast.BinOp, ast.LShift, ast.Mult, ast.Pow,
            }:  # fmt: skip
                continue
            name = ast.unparse(node.targets[0])
            hits = {one for one in known if file.endswith(one) or f"{path.name} {name}" == one}
            used |= hits
            if not hits:
                offenders.append(f"{file} {name}")
    assert not offenders, f"these belong into t3probe/exchange/bounds.py:\n{told(offenders)}"
    assert known == used


def test_bounds_import_nothing() -> None:
    assert imported(PACKAGE / "exchange" / "bounds.py") == {"__future__"}


def test_made_prefixes_stand_in_one_table() -> None:
    offenders = [
        f"{module}:{node.lineno} {node.value!r}"
        for module, path in MODULES.items()
        if module != "t3probe.text.names"
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        if re.match("|".join({*MADE_LEGS, *MADE_SEGMENTS}), node.value)
    ]
    assert not offenders, told(offenders)
