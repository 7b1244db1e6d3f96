"""How every subcommand reads its words: the example first, one sentence on wrong usage."""

from __future__ import annotations

import argparse
import errno
import resource
import sys
from typing import Any, NoReturn

EXIT_USAGE = 4
"""Wrong usage or an unreadable file, as with pytest."""
NOWHERE = "the folder that this was started in is gone; start it in another one"


_RAISE = {
    errno.EMFILE: "raise the limit of open files, such as with ulimit -n 1024",
    errno.ENFILE: "the whole machine has no more open files: end something, or raise fs.file-max",
    errno.EAGAIN: "raise the limit of processes and threads, such as with ulimit -u 4096",
    errno.ENOMEM: "give it more memory",
    errno.ENOSPC: "make room, or name another folder",
    errno.EDQUOT: "make room, or name another folder",
    errno.EFBIG: "raise the limit of a file's size, such as with ulimit -f unlimited",
    errno.EROFS: "name a folder that can be written",
    errno.EACCES: "name a folder that can be written",
}


_COMPLETE = {
    **dict.fromkeys(("FILE", "FILE.json", "RUN", "DEPLOYMENT", "BEFORE", "AFTER", "rules"), "file"),
    "FOLDER": "directory",
}
"""What a shell completes a value as, by the placeholder that stands for it in the help."""


class Parser(argparse.ArgumentParser):
    """Shows its example before anything else; ends with pytest's exit code for usage."""

    example = ""

    def add_argument(self, *names: Any, **settings: Any) -> argparse.Action:
        """Like argparse's own; a value that is a file or a folder is completed as one."""
        action = super().add_argument(*names, **settings)
        if kind := _COMPLETE.get(str(action.metavar or action.dest)):
            action.complete = kind  # type: ignore[attr-defined]  # where shtab looks for it
        return action

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


def refused_by_system(what: str, error: OSError | RuntimeError | MemoryError) -> str:
    """One sentence about what the system has not enough of: what failed, why, what to do. Any
    other RuntimeError says itself what it has to say."""
    number, why, file = 0, str(error), ""
    if isinstance(error, OSError):
        number, why = error.errno or 0, error.strerror or str(error)
        file = f" ({error.filename})" if error.filename else ""
    elif isinstance(error, MemoryError):
        number, why = errno.ENOMEM, "no memory is left"
    elif "new thread" in why:
        number, why = errno.EAGAIN, "no new thread can be started"
    else:
        return why
    return f"{what}: {why}{file}; {_RAISE.get(number, 'see what this machine allows')}"


def room_for_files(needed: int) -> int:
    """The limit of open files, raised to `needed` where this process may; -1: there is none."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return -1
    if soft < needed:
        soft = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return soft


def a_run(which: str) -> str:
    """Help for a word that names a recorded run."""
    return f"a JUnit file, or a log ({which} in it); - is standard input"


def say(sentence: object) -> int:
    """One sentence for people on standard error; the exit code for usage."""
    print(f"t3probe: {sentence}", file=sys.stderr)
    return EXIT_USAGE
