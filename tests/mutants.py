"""Do the tests notice? Change one token of a module, run the tests of its room, and see them fail.

    make mutants ARGS="--room delivery --count 40 --seed 7"

The tree is copied into temporary folders and changed there, never here. Which tokens are changed
follows from the seed and the module alone. A change that no test notices is printed with its
place: it needs a test, or it changes nothing that anybody can see.
"""

from __future__ import annotations

import argparse
import ast
import io
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import tokenize
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise, permutations
from pathlib import Path
from queue import SimpleQueue
from typing import NamedTuple

HERE = Path(__file__).resolve().parent
SOLVING = "verdict/test_verdict_[cehinr]*.py verdict/test_verdict_solve*.py"
ROOMS: dict[str, dict[str, str]] = {
    "deliver": {
        "deliver/delivery.py": "deliver/test_deliver_bounds.py deliver/test_[ds]*i[pv]*.py",
        "deliver/sinks/pushgateway.py": "deliver/test_gateway_c*.py deliver/test_deliver_b*.py",
        "deliver/sinks/gateway.py": "deliver/test_gateway_groups.py deliver/test_continuation.py",
        "deliver/sinks/spool.py": "deliver/test_[gs]*_[cgf]*.py deliver/test_spool.py",
    },
    "record": {"record/*.py": "record/test_record_files.py record/test_record.py record/*.py"},
    "gate": {
        "verdict/gate.py show/compare/difference.py show/compare/lines.py": "gate/test_compare*.py",
    },
    "showing": {
        "text/__init__.py": "showing/test_showing.py",
        "text/words.py": "showing/test_words.py",
        "exchange/terminal.py": "showing/test_terminal.py",
    },
    "run": {
        "run/conclude.py run/footing.py": "run/test_conclude*.py run/test_footing*.py",
        "run/own_answer.py": "run/test_evidence.py",
        "run/attempt.py run/book.py run/controller.py": "run/test_[abce]*.py run/*.py",
    },
    "probes": {
        "probes/resolve.py probes/doh.py": "probes/test_probe*.py probes/test_resolve*.py",
        "probes/tcp.py probes/dial.py": "probes/test_[pt]*.py probes/test_drop*.py",
        "probes/http.py probes/http_client.py": "probes/test_probe*.py probes/test_[ah][nt]*.py",
        "probes/ws_echo.py probes/base.py": "probes/test_[pw][rs]*.py probes/*.py",
        "probes/walls.py probes/sso.py": "probes/test_probe*.py probes/test_wall*.py",
        "probes/redirects.py": "probes/test_redirects.py",
        "probes/http_wire.py": "probes/test_bodies.py probes/test_http_wire.py",
    },
    "verdict": {
        "verdict/exact/*.py": SOLVING,
    },
    "metrics": {
        "deliver/metrics/[bst]*.py": "metrics/test_metrics_*.py",
        "deliver/metrics/carry.py": "metrics/test_metrics_*.py deliver/test_continuation.py",
    },
}
"""Room -> modules below `t3probe/` -> the quick ones among the tests of that room. Both may be
patterns; the tests run in this order, and the first that fails ends it."""
LEFT_OUT = {".git", ".venv", "results", "__pycache__", ".mypy_cache", ".ruff_cache", ".hypothesis"}
PAIRS = "< <=, > >=, == !=, and or, + -, * /, += -=, True False, min max, any all, break continue"
SWAPPED = {
    "is": "is not",
    "in": "not in",
    **{one: two for pair in PAIRS.split(", ") for one, two in permutations(pair.split())},
}
"""Tokens and what stands in their place; `is not` and `not in` lose their `not`."""
WORDS = (
    ("connect_refused", "connect_timeout", "tls_failed", "rtt_timeout", "closed_by_peer"),
    ("passed", "degraded", "failed", "inconclusive"),
    ("exonerated", "convicted", "ambiguous", "masked", "unobserved"),
    ("down", "cut", "unknown"),
    ("connect", "ask", "hold"),
)
"""Of each closed list some: a word is changed into the next one."""
SPARED = (ast.Import, ast.ImportFrom, ast.JoinedStr, ast.Raise, ast.Assert)
"""Where a change says nothing: the wording of messages, and what only narrows types."""


class Change(NamedTuple):
    """One token in place of another."""

    module: str
    line: int
    start: int
    end: int
    """Offsets in the text, in characters."""
    old: str
    new: str

    def __str__(self) -> str:
        what = " ".join(self.old.split())
        return f"{self.module}:{self.line}: {what[:70]} -> {self.new or 'nothing'}"


def nodes(node: ast.AST) -> Iterator[ast.AST]:
    """All nodes that are worth a change."""
    yield node
    for name, value in ast.iter_fields(node):
        of_class = isinstance(node, ast.ClassDef) and name == "keywords"
        if of_class or name in {"annotation", "returns", "decorator_list", "type_params"}:
            continue
        for child in value if isinstance(value, list) else [value]:
            typing = isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test)
            strict = isinstance(child, ast.keyword) and child.arg == "strict"
            alias = isinstance(child, ast.Subscript) and "'Literal'" in ast.dump(child.value)
            spared = isinstance(child, SPARED) or typing or strict or alias
            if isinstance(child, ast.AST) and not spared:
                yield from nodes(child)


def changes(module: str, text: str) -> list[Change]:
    """Every change of one token that this knows for a module."""
    lines = text.splitlines(keepends=True)
    begins = [0]
    for one in lines:
        begins.append(begins[-1] + len(one))
    tokens = [
        (begins[token.start[0] - 1] + token.start[1], token.string)
        for token in tokenize.generate_tokens(io.StringIO(text).readline)
    ]

    def at(line: int, column: int) -> int:
        return begins[line - 1] + len(lines[line - 1].encode()[:column].decode())

    found: dict[tuple[int, str], Change] = {}

    def put(line: int, start: int, end: int, new: str) -> None:
        found[start, new] = Change(module, line, start, end, text[start:end], new)

    def between(left: ast.expr, right: ast.expr) -> None:
        start = at(left.end_lineno or 0, left.end_col_offset or 0)
        stop = at(right.lineno, right.col_offset)
        inside = [(where, word) for where, word in tokens if start <= where < stop]
        for where, word in inside:
            if word in SWAPPED:
                negated = [at for at, other in inside if other == "not"]
                if negated:
                    first = min(where, negated[0])
                    put(left.end_lineno or 0, first, first + 6, "is" if word == "is" else "in")
                else:
                    put(left.end_lineno or 0, where, where + len(word), SWAPPED[word])
                return

    for node in nodes(ast.parse(text)):
        if not isinstance(node, ast.expr | ast.stmt):
            continue
        line = node.lineno
        start = at(line, node.col_offset)
        end = at(node.end_lineno or 0, node.end_col_offset or 0)
        match node:
            case ast.Compare():
                sides = [node.left, *node.comparators]
                for left, right in pairwise(sides):
                    between(left, right)
            case ast.BoolOp():
                for left, right in pairwise(node.values):
                    between(left, right)
            case ast.BinOp():
                between(node.left, node.right)
            case ast.AugAssign():
                between(node.target, node.value)
            case ast.UnaryOp(op=ast.Not()):
                put(line, start, start + 4, "")
            case ast.Constant(value=bool(value)):
                put(line, start, end, str(not value))
            case ast.Constant(value=int(value) | float(value)):
                put(line, start, end, str(value * 2 or 1))
            case ast.Constant(value=str(value)):
                for words in WORDS:
                    if value in words:
                        new = words[(words.index(value) + 1) % len(words)]
                        put(line, start, end, repr(new))
            case ast.Name(id="min" | "max" | "any" | "all") | ast.Break() | ast.Continue():
                put(line, start, end, SWAPPED[text[start:end]])
            case ast.Return(value=ast.expr()) if not isinstance(node.value, ast.Constant):
                put(line, start, end, "return None")
            case ast.Expr(value=ast.Call() | ast.Await()) | ast.AugAssign():
                put(line, start, end, "pass")
            case ast.Assign(targets=[ast.Attribute() | ast.Subscript()]):
                put(line, start, end, "pass")
        for test in [getattr(node, "test", None), *getattr(node, "ifs", [])]:
            if isinstance(test, ast.Name | ast.Attribute | ast.Call):
                start = at(test.lineno, test.col_offset)
                end = at(test.end_lineno or 0, test.end_col_offset or 0)
                put(test.lineno, start, end, f"not {text[start:end]}")
    return sorted(found.values(), key=lambda one: (one.start, one.new))


def chosen(modules: Sequence[str], seed: int, count: int) -> list[Change]:
    """`count` changes of these modules, from each in turn, by the seed."""
    queues = []
    for module in modules:
        there = changes(module, (HERE.parent / "t3probe" / module).read_text())
        random.Random(f"{seed}:{module}").shuffle(there)
        queues.append(there)
    turns = [one for turn in range(count) for queue in queues for one in queue[turn : turn + 1]]
    return turns[:count]


def passed(tree: Path, tests: str, seconds: float) -> bool:
    """Whether the tests are green in this tree; one that does not end in time is not."""
    found = [one for pattern in tests.split() for one in sorted(tree.glob(f"tests/{pattern}"))]
    paths = list(dict.fromkeys(str(one) for one in found if one.name.startswith("test_")))
    command = [sys.executable, "-m", "pytest", "-c", "tests/pytest.ini", "-xq", "--tb=no"]
    command += ["-p", "no:randomly", "--hypothesis-seed=0", *paths]
    environ = {**os.environ, "PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"}
    out = subprocess.DEVNULL
    with subprocess.Popen(
        command, cwd=tree, env=environ, stdout=out, stderr=out, start_new_session=True
    ) as process:
        try:
            return process.wait(seconds) == 0
        except subprocess.TimeoutExpired:
            return False
        finally:
            try:
                os.killpg(process.pid, signal.SIGKILL)  # and whatever the tests started
            except ProcessLookupError:
                pass


class Ground:
    """Copies of the tree, and the changes made in them."""

    def __init__(self, folder: str, jobs: int, until: float) -> None:
        self._until = until
        self._trees: SimpleQueue[Path] = SimpleQueue()
        self._limits: dict[str, float] = {}
        """How many seconds the tests may take; five times what they took without a change."""
        for number in range(jobs):
            tree = Path(folder, str(number))
            shutil.copytree(HERE.parent, tree, ignore=lambda _, names: LEFT_OUT & {*names})
            self._trees.put(tree)

    def green(self, tests: str) -> bool:
        """Whether the tests pass without a change."""
        tree, began = self._trees.get(), time.monotonic()
        try:
            return passed(tree, tests, 300)
        finally:
            self._limits[tests] = 10 + 5 * (time.monotonic() - began)
            self._trees.put(tree)

    def noticed(self, change: Change, tests: str) -> bool | None:
        """Whether the tests fail with this change; None when the time is over."""
        if time.monotonic() > self._until:
            return None
        tree = self._trees.get()
        file = tree / "t3probe" / change.module
        text = file.read_text()
        try:
            file.write_text(text[: change.start] + change.new + text[change.end :])
            seen = not passed(tree, tests, self._limits[tests])
        finally:
            file.write_text(text)
            self._trees.put(tree)
        if not seen:
            print(f"  not noticed: t3probe/{change}", flush=True)
        return seen


def modules_of(room: str, part: str) -> dict[str, str]:
    """The modules of a room whose path contains `part`, each with its tests."""
    package = HERE.parent / "t3probe"
    found = {
        str(path.relative_to(package)): tests
        for patterns, tests in ROOMS[room].items()
        for pattern in patterns.split()
        for path in sorted(package.glob(pattern))
    }
    return {module: tests for module, tests in found.items() if part in module}


def main() -> int:
    ask = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    ask.add_argument("--room", choices=ROOMS, action="append", help="this one only; repeatable")
    ask.add_argument("--module", default="", help="only modules whose path contains this")
    ask.add_argument("--count", type=int, default=24, help="changes in each room")
    ask.add_argument("--seed", type=int, default=1, help="which ones")
    ask.add_argument("--jobs", type=int, default=2, help="how many at a time")
    ask.add_argument("--minutes", type=float, default=40, help="begin no change after so long")
    asked = ask.parse_args()
    shares = []
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        ground = Ground(folder, asked.jobs, time.monotonic() + asked.minutes * 60)
        for room in asked.room or ROOMS:
            tests_of = modules_of(room, asked.module)
            red = [tests for tests in dict.fromkeys(tests_of.values()) if not ground.green(tests)]
            if red:
                shares.append(f"{room:10} red without a change: {', '.join(red)}")
            else:
                some = chosen(list(tests_of), asked.seed, asked.count)
                with ThreadPoolExecutor(asked.jobs) as pool:
                    tests = [tests_of[one.module] for one in some]
                    answers = list(pool.map(ground.noticed, some, tests))
                judged = [one for one in answers if one is not None]
                late = "" if judged == answers else f", time was over for {len(some) - len(judged)}"
                shares.append(f"{room:10} {sum(judged)} of {len(judged)} noticed{late}")
            print(shares[-1], flush=True)
    print("\n".join(["", *shares]))
    return int(any("red without" in one for one in shares))


if __name__ == "__main__":
    sys.exit(main())
