"""`t3probe completion`: what completes these words in bash, zsh and fish."""

from __future__ import annotations

import argparse
from importlib import import_module
from typing import Any

from t3probe.commands import COMMANDS
from t3probe.usage import Parser, Parsers

SHELLS = ("bash", "zsh", "fish")
ABOUT = """\
Prints a script that completes the commands, their options and their values.
Where the shells look for it:

  bash  ~/.local/share/bash-completion/completions/t3probe, or source it
  zsh   _t3probe in a folder of $fpath
  fish  ~/.config/fish/completions/t3probe.fish"""


def add(commands: Any) -> None:
    """Add the subcommand to the subparsers."""
    parser = commands.add_parser(
        "completion",
        help="print what completes these words in a shell",
        description=ABOUT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("shell", choices=SHELLS, help="whose script it is to be")
    parser.set_defaults(run=_completion)


def _completion(arguments: argparse.Namespace) -> int:
    print(script(arguments.shell))
    return 0


def script(shell: str) -> str:
    """The script for one of `SHELLS`. Raises NotImplementedError for another."""
    import shtab

    whole = argparse.ArgumentParser(prog="t3probe")
    whole.add_argument("--version", action="version", help="show t3probe's own version")
    commands = whole.add_subparsers()
    for name, one in COMMANDS.items():
        # The line of the overview, not the first line of what may be a paragraph.
        commands.add_parser(
            name, help=one.help, description=one.help, parents=[parser_of(name)], add_help=False
        )
    made = shtab.complete(whole, shell)
    return _mended(made) if shell == "zsh" else made


def _mended(made: str) -> str:
    """zsh's script with two of its specifications as `_arguments` reads them: a positional that
    may stand several times is `*:`, and a colon in a placeholder (HOST:PORT) ends nothing."""
    lines = made.replace('"(*)::', '"*:').replace('"(*):', '"*:').split("\n")
    for number, line in enumerate(lines):
        option, _, value = line.partition("]:")
        placeholder, colon, values = value.rpartition(":")
        if colon:
            lines[number] = f"{option}]:" + placeholder.replace(":", r"\:") + f":{values}"
    return "\n".join(lines)


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
