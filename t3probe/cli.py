"""The command `t3probe`: an overview of the subcommands, and the way into each."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module

from t3probe.commands import COMMANDS
from t3probe.usage import EXIT_USAGE, Parsers

__all__ = ["EXIT_USAGE", "main"]

EXAMPLE = "t3probe verdict results/junit.xml --text"


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit code. Raises SystemExit for wrong usage and for help."""
    words = list(sys.argv[1:] if argv is None else argv)
    if words[:1] in (["-h"], ["--help"]):
        print(_overview(), end="")
        return 0
    if words[:1] == ["--version"]:
        print(f"t3probe {_version()}")
        return 0
    command = COMMANDS.get(words[0]) if words else None
    if command is None:
        found = repr(words[0]) if words else "none"
        print(
            f"t3probe: expected a command, found {found}; t3probe --help lists them",
            file=sys.stderr,
        )
        return EXIT_USAGE
    module = import_module(command.module)
    try:
        if not hasattr(module, "add"):
            return int(module.main(words[1:]))
        parsers = Parsers(command.example)
        module.add(parsers)
        assert parsers.made is not None
        arguments = parsers.made.parse_args(words[1:])
        return int(arguments.run(arguments))
    except BrokenPipeError:
        sys.stderr.close()  # the reader left; Python would complain at exit
        return 0


def _overview() -> str:
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {one.help}" for name, one in COMMANDS.items()]
    return "\n".join(
        (
            f"example: {EXAMPLE}",
            "",
            "usage: t3probe COMMAND ...",
            "",
            "Which segment of the path broke, and which can be cleared, with data.",
            "",
            *lines,
            "",
            "t3probe COMMAND --help tells more of one, t3probe --version its own version.",
            "",
        )
    )


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("t3probe")
    except PackageNotFoundError:
        return "(not installed)"


if __name__ == "__main__":
    sys.exit(main())
