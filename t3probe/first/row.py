"""What `t3probe doctor` says about one thing."""

from __future__ import annotations

from typing import Literal, NamedTuple

__all__ = ["UNTOLD", "Row", "State", "fine", "untold", "wrong"]

State = Literal["ok", "wrong", "could not tell"]
UNTOLD: State = "could not tell"


class Row(NamedTuple):
    """One line: what was looked at, what was found, and what to do about it."""

    state: State
    what: str
    words: str
    fix: str = ""
    """The command or the setting; empty only where all is well."""


def fine(what: str, words: str) -> Row:
    """Nothing to do."""
    return Row("ok", what, words)


def wrong(what: str, words: str, fix: str) -> Row:
    """Something that a run will suffer from."""
    return Row("wrong", what, words, fix)


def untold(what: str, words: str, fix: str) -> Row:
    """Neither; `fix` is what would make it known."""
    return Row(UNTOLD, what, words, fix)
