"""Every word that `t3probe` understands, read off its parsers. Pure, but for the imports."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib import import_module

from t3probe.commands import COMMANDS
from t3probe.usage import Parser, Parsers

__all__ = ["Option", "Words", "all_words", "parser_of"]

NO_FILE = frozenset(
    {"URL", "NAME", "N", "HOST", "HOST:PORT", "PATH", "DURATION", "SEGMENT,...", "TIME", "CIDR",
     "WHERE", "PORT", "HOST=WHERE", "ADDRESS[:PORT]", "URL|HOST:PORT", "KEY=DURATION",
     "SEGMENT:KIND[:ARG][@AFTER][+FOR]"}
)  # fmt: skip
"""Placeholders of values that are no files; what is not here is completed as a file."""


@dataclass(frozen=True)
class Option:
    """One option of a command."""

    flags: tuple[str, ...]
    help: str
    takes: bool
    """Whether a value follows."""
    choices: tuple[str, ...] = ()
    file: bool = False
    """The value is a file or a folder."""


@dataclass(frozen=True)
class Words:
    """What may follow a command."""

    options: tuple[Option, ...]
    choices: tuple[str, ...] = ()
    """Of its first word that is no option, where these are known."""
    file: bool = False
    """That word is a file or a folder."""
    below: dict[str, Words] = field(default_factory=dict)
    """Subcommands."""


def parser_of(name: str) -> Parser:
    """The parser of one subcommand. Raises KeyError."""
    command = COMMANDS[name]
    module = import_module(command.module)
    if not hasattr(module, "add"):
        made: Parser = module.parser()
        return made
    parsers = Parsers(command.example)
    module.add(parsers)
    assert parsers.made is not None
    return parsers.made


def all_words() -> dict[str, Words]:
    """The words of every subcommand, in the order of the overview."""
    return {name: _words(parser_of(name)) for name in COMMANDS}


def _words(parser: argparse.ArgumentParser) -> Words:
    options, below = [], {}
    choices: tuple[str, ...] = ()
    file = False
    # argparse keeps this for itself, and gives no other way to ask.
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            below = {name: _words(one) for name, one in action.choices.items()}
            choices = tuple(below)
        elif action.option_strings:
            options.append(_option(action))
        else:
            choices = choices or tuple(map(str, action.choices or ()))
            file = file or (not choices and _is_file(action))
    return Words(tuple(options), choices, file, below)


def _option(action: argparse.Action) -> Option:
    choices = tuple(map(str, action.choices or ()))
    takes = action.nargs != 0
    return Option(
        flags=tuple(action.option_strings),
        help=next(_sentences(action.help or ""), ""),
        takes=takes,
        choices=choices,
        file=takes and not choices and _is_file(action),
    )


def _is_file(action: argparse.Action) -> bool:
    return str(action.metavar or action.dest).upper() not in NO_FILE and action.type is None


def _sentences(text: str) -> Iterator[str]:
    """A help text up to its first semicolon: %(default)s and the like stand behind it."""
    return (part for part in text.split(";") if part and "%(" not in part)
