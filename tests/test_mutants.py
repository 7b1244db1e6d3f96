"""The sampler of changes: its table names what exists, and its changes are what it says."""

from __future__ import annotations

import ast

import pytest
from mutants import HERE, ROOMS, changes, chosen, modules_of

TEXT = '''"""True + False"""
from typing import Literal

Label = Literal["masked", "convicted"]
LIMIT: float = 2.0

def judge(a: int, b: int = 1) -> bool:
    if a is not None and not b:
        print("masked", a)
    raise ValueError(f"{a + b} or")
'''


@pytest.mark.parametrize("room", ROOMS)
def test_every_pattern_of_the_table_finds_something(room: str) -> None:
    for modules, tests in ROOMS[room].items():
        for pattern in modules.split():
            assert list((HERE.parent / "t3probe").glob(pattern)), pattern
        for pattern in tests.split():
            assert list(HERE.glob(pattern)), pattern


@pytest.mark.parametrize("room", ROOMS)
def test_every_change_is_still_python_and_another_program(room: str) -> None:
    for one in chosen(list(modules_of(room, "")), 1, 40):
        text = (HERE.parent / "t3probe" / one.module).read_text()
        assert text[one.start : one.end] == one.old
        changed = text[: one.start] + one.new + text[one.end :]
        assert ast.dump(ast.parse(changed)) != ast.dump(ast.parse(text)), str(one)


def test_which_tokens_are_changed() -> None:
    found = [(one.line, one.old, one.new) for one in changes("x.py", TEXT)]
    assert found == [
        (5, "2.0", "4.0"),
        (7, "1", "2"),
        (8, "is not", "is"),
        (8, "and", "or"),
        (8, "not ", ""),
        (9, 'print("masked", a)', "pass"),
        (9, '"masked"', "'unobserved'"),
    ]


def test_the_same_seed_draws_the_same_changes_from_each_module_in_turn() -> None:
    modules = ["verdict/gate.py", "job.py"]
    some = chosen(modules, 1, 6)
    assert some == chosen(modules, 1, 6) != chosen(modules, 2, 6)
    assert [one.module for one in some] == modules * 3
    assert chosen(modules, 1, 4) == some[:4]
