"""Every pattern of the package, how it is used, and crafted text for it.

The text is made from the pattern's own tree: what a repetition repeats, very often, behind what
must stand before it, and behind too many beginnings of it.
"""

from __future__ import annotations

import ast
import importlib
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    from re import _constants as ops  # type: ignore[attr-defined]
    from re import _parser as parser  # type: ignore[attr-defined]

ROOT = Path(__file__).resolve().parents[1]
METHODS = frozenset({"search", "match", "fullmatch", "sub", "subn", "split", "findall", "finditer"})
REPEATS = (ops.MAX_REPEAT, ops.MIN_REPEAT, ops.POSSESSIVE_REPEAT)
OFTEN = 30
"""A repetition of more than this is worth a run."""
CHARACTERS = "aA10 \"'-.:=,;/\\<>[]()@_\t\n\r%&*é\0zx"


class Use(NamedTuple):
    """One pattern and one method by which it reads."""

    name: str
    pattern: re.Pattern[Any]
    method: str

    def read(self, text: Any) -> None:
        if self.method in ("sub", "subn"):
            getattr(self.pattern, self.method)(text[:0], text)
        else:
            found = getattr(self.pattern, self.method)(text)
            if self.method == "finditer":
                list(found)


def uses() -> Iterator[Use]:
    """Those of all modules, compiled once or written where they are used."""
    for path in sorted((ROOT / "t3probe").rglob("*.py")):
        if path.name == "__main__.py":
            continue
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        yield from _of_module(name, ast.parse(path.read_text(encoding="utf-8")))


def _of_module(name: str, tree: ast.Module) -> Iterator[Use]:
    module = vars(importlib.import_module(name))
    short = name.removeprefix("t3probe.")
    methods: dict[str, set[str]] = {}
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Attribute) and node.attr in METHODS):
            continue
        if isinstance(node.value, ast.Name):
            methods.setdefault(node.value.id, set()).add(node.attr)
    for key, value in list(module.items()):
        for pattern in _patterns(value):
            # One that is imported is its own module's; one in a table may be used in any way.
            for method in methods.get(key, {"search"}):
                yield Use(f"{short}.{key}", pattern, method)
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            of, method = node.func.value, node.func.attr
            if isinstance(of, ast.Name) and of.id == "re" and method in METHODS:
                flags = {one.arg: _value(one.value, module) for one in node.keywords}.get(
                    "flags", 0
                )
                if method in ("search", "match", "fullmatch") and len(node.args) > 2:
                    flags = _value(node.args[2], module)
                pattern = re.compile(_value(node.args[0], module), flags)
                yield Use(f"{short}:{ast.unparse(node.args[0])}", pattern, method)


def _value(node: ast.expr, module: dict[str, Any]) -> Any:
    return eval(ast.unparse(node), module)  # the package's own expressions


def _patterns(value: object, above: tuple[int, ...] = ()) -> Iterator[re.Pattern[Any]]:
    if isinstance(value, re.Pattern):
        yield value
    elif isinstance(value, (dict, list, tuple)) and id(value) not in above:
        # A generated module may hold its own names.
        for one in value.values() if isinstance(value, dict) else value:
            yield from _patterns(one, (*above, id(value)))


def crafted(pattern: re.Pattern[Any]) -> list[tuple[str, str, str]]:
    """Recipes for `made`: what stands first, what is repeated, what ends it."""
    pumps: list[tuple[str, str]] = []
    _pumps(parser.parse(pattern.pattern, pattern.flags), "", pumps)
    found: dict[tuple[str, str, str], None] = {}
    for before, body in pumps:
        found[before, body, "\0"] = None
        found["", before + body, "\0!"] = None
        found["", before, body] = None  # as many beginnings as repetitions
    for one in " \"'[<(1a\\":
        found["", one, ""] = None
    return [one for one in found if one[1]]


def made(recipe: tuple[str, str, str], size: int, pattern: re.Pattern[Any]) -> Any:
    """About `size` characters, or bytes where the pattern reads bytes."""
    before, body, end = recipe
    if end and end[0] not in "\0!":
        text = body * (size // 2 // len(body)) + end * (size // 2 // len(end)) + "\0"
    else:
        text = before + body * (size // len(body)) + end
    return text if isinstance(pattern.pattern, str) else text.encode("latin-1", "replace")


def _pumps(tree: Any, before: str, found: list[tuple[str, str]]) -> None:
    for op, argument in tree:
        if op in REPEATS:
            body = argument[2]
            if argument[1] > OFTEN:
                bodies = _characters(*body[0])[:12] if len(body) == 1 else [_sample(body)]
                found += [(before, one) for one in bodies if one]
            _pumps(body, before, found)
        elif op is ops.SUBPATTERN:
            _pumps(argument[3], before, found)
        elif op is ops.ATOMIC_GROUP:
            _pumps(argument, before, found)
        elif op is ops.BRANCH:
            for branch in argument[1]:
                _pumps(branch, before, found)
        elif op in (ops.ASSERT, ops.ASSERT_NOT):
            _pumps(argument[1], before, found)
        before += _one(op, argument)
        found.append(("", before))


def _sample(tree: Any) -> str:
    return "".join(_one(op, argument) for op, argument in tree)


def _one(op: Any, argument: Any) -> str:
    if op in REPEATS:
        return _sample(argument[2]) * max(argument[0], 1)
    if op is ops.SUBPATTERN:
        return _sample(argument[3])
    if op is ops.ATOMIC_GROUP:
        return _sample(argument)
    if op is ops.BRANCH:
        return _sample(argument[1][0])
    return _characters(op, argument)[0]


def _characters(op: Any, argument: Any) -> list[str]:
    """What one element of a pattern may match."""
    if op is ops.LITERAL:
        return [chr(argument)]
    if op is ops.NOT_LITERAL:
        return [one for one in CHARACTERS if ord(one) != argument]
    if op is ops.ANY:
        return ["a", " ", '"']
    if op is not ops.IN:
        return [""]
    barred = any(kind is ops.NEGATE for kind, _ in argument)
    kinds = [one for one in argument if one[0] is not ops.NEGATE]
    likely = [one for one in CHARACTERS if any(_is(one, *kind) for kind in kinds) is not barred]
    if not barred:
        likely += [chr(value) for kind, value in kinds if kind is ops.LITERAL]
        likely += [chr(value[0]) for kind, value in kinds if kind is ops.RANGE]
    return likely or ["a"]


def _is(one: str, kind: Any, value: Any) -> bool:
    if kind is ops.LITERAL:
        return ord(one) == value
    if kind is ops.RANGE:
        return bool(value[0] <= ord(one) <= value[1])
    word = str(value).removeprefix("CATEGORY_")
    good = {"DIGIT": one.isdigit(), "SPACE": one.isspace(), "WORD": one.isalnum() or one == "_"}
    return good[word.removeprefix("NOT_")] is not word.startswith("NOT_")
