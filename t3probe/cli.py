"""The command `t3probe`: an overview of the subcommands, and the way into each."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import TextIO, cast

from t3probe import __version__
from t3probe.commands import COMMANDS
from t3probe.exchange.terminal import Terminal, let_go
from t3probe.usage import EXIT_USAGE, NOWHERE, Parsers

__all__ = ["EXIT_USAGE", "main"]

EXAMPLE = "t3probe verdict results/junit.xml --text"
EXIT_INTERRUPTED = 2
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}
"""Why a write fails that is not ours to mend."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit code. Raises SystemExit for wrong usage and for help.

    A reader that leaves (`| head -1`) is no error, and the exit code is what it would have been: a
    gate stays closed. A standard output that cannot be written is an error, and an interrupt ends
    with pytest's code for it.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    if sys.stdout is None:  # `>&-`: nobody wants to read
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    before = sys.stdout, sys.stderr
    sys.stdout = cast(TextIO, Terminal(sys.stdout))
    if sys.stderr is not None:
        sys.stderr = cast(TextIO, Terminal(sys.stderr))
    code = 1  # of a command that did not come to its end
    try:
        try:
            code = _run(words)
        finally:
            sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        print("t3probe: interrupted; nothing more is done", file=sys.stderr)
        return EXIT_INTERRUPTED
    except OSError as problem:
        if isinstance(problem, BrokenPipeError):
            pass
        elif problem.filename is None and problem.errno in _FULL:
            print(
                f"t3probe: standard output cannot be written: {problem.strerror}; "
                "make room, or send it elsewhere",
                file=sys.stderr,
            )
            code = EXIT_USAGE
        elif problem.errno == errno.ENOENT and _nowhere():
            print(f"t3probe: {NOWHERE}", file=sys.stderr)
            return EXIT_USAGE
        else:
            raise
        let_go(sys.stdout)
        return code
    finally:
        sys.stdout, sys.stderr = before


def _nowhere() -> bool:
    """Whether the working directory is gone, of which relative names are told."""
    try:
        os.getcwd()
    except OSError:
        return True
    return False


def _run(words: list[str]) -> int:
    if words[:1] in (["-h"], ["--help"]):
        print(_overview(), end="")
        return 0
    if words[:1] == ["--version"]:
        print(f"t3probe {__version__}")
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
    if not hasattr(module, "add"):
        return int(module.main(words[1:]))
    parsers = Parsers(command.example)
    module.add(parsers)
    assert parsers.made is not None
    arguments = parsers.made.parse_args(words[1:])
    return int(arguments.run(arguments))


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


if __name__ == "__main__":
    sys.exit(main())
