"""How every subcommand reads its words: the example first, one sentence on wrong usage."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any, NoReturn

__all__ = ["EXIT_USAGE", "Parser", "Parsers", "a_run", "print_json", "say"]

EXIT_USAGE = 4
"""Wrong usage or an unreadable file, as with pytest."""


class Parser(argparse.ArgumentParser):
    """Shows its example before anything else; ends with pytest's exit code for usage."""

    example = ""

    def format_help(self) -> str:
        example = self.example
        if not example and (self.epilog or "").startswith("example: "):
            example, self.epilog = str(self.epilog).removeprefix("example: "), None
        text = super().format_help()
        return f"example: {example}\n\n{text}" if example else text

    def error(self, message: str) -> NoReturn:
        self.exit(EXIT_USAGE, f"{self.prog}: {message}; see {self.prog} --help\n")


class Parsers:
    """Stands where a module adds its subcommand: makes the parser of the one that was asked for."""

    def __init__(self, example: str) -> None:
        self._example = example
        self.made: Parser | None = None

    def add_parser(self, name: str, help: str = "", **more: Any) -> Parser:
        """Like argparse's own."""
        more.setdefault("description", help[:1].upper() + help[1:])
        self.made = Parser(prog=f"t3probe {name}", **more)
        self.made.example = self._example
        return self.made


def a_run(which: str) -> str:
    """Help for a word that names a recorded run."""
    return f"a JUnit file, or a log ({which} in it); - is standard input"


def say(sentence: object) -> int:
    """One sentence for people on standard error; the exit code for usage."""
    print(f"t3probe: {sentence}", file=sys.stderr)
    return EXIT_USAGE


def print_json(data: Any) -> None:
    """Indented ASCII JSON on standard output."""
    json.dump(data, sys.stdout, indent=2, ensure_ascii=True)
    print()
