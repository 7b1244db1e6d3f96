"""`t3probe check`: pytest with our plugin on the packaged checks, from any folder."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from t3probe.usage import Parser

ABOUT = """\
Runs every check and prints the verdict: on a deployment file, on the public
legs of a URL, or without either on the built-in lab. It is pytest with the
plugin of t3probe: the same options, exit codes and record. Neither a pytest
configuration nor a conftest.py of this folder is read."""
MORE = """\
The first word that is neither an option nor an option's value is the file or
the URL. Everything else goes to pytest: -k NAME, -x, -v, --junitxml FILE, and
paths of checks of your own (`pytest --help` has them all).

exit codes: 0 all passed, 1 a check failed, 2 interrupted, 4 wrong usage"""


class _Group:
    """pytest's way to add an option, for a parser of ours."""

    def __init__(self, parser: argparse.ArgumentParser) -> None:
        self._parser = parser

    def getgroup(self, name: str, description: str = "") -> _Group:
        """The options stand by themselves."""
        return self

    def addoption(self, *names: str, **settings: Any) -> None:
        """Add one."""
        self._parser.add_argument(*names, **settings)


def parser() -> Parser:
    """What the help and the shells' completion know of it."""
    from t3probe.plugin import options
    from t3probe.plugin.suite import for_urls

    made = Parser(
        prog="t3probe check",
        usage="t3probe check [FILE | URL] [options of pytest]",
        description=ABOUT,
        epilog=MORE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.example = "t3probe check my.toml -k cloudflare"
    made.add_argument(
        "target", nargs="?", metavar="DEPLOYMENT",
        help="a deployment file, or an https:// or wss:// URL; default: T3PROBE_DEPLOYMENT, then "
        "the built-in lab",
    )  # fmt: skip
    for_urls(_Group(made))
    options.add(_Group(made))  # type: ignore[arg-type]  # all that it uses
    return made


def main(words: Sequence[str]) -> int:
    """Run the checks; pytest's exit code. `words` are what follows `t3probe check`."""
    if any(one in ("-h", "--help") for one in words):
        parser().parse_args(["--help"])
    from t3probe.exchange.terminal import Terminal

    # pytest writes for itself; the plugin guards what it writes.
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if isinstance(stream, Terminal):
            setattr(sys, name, stream.raw)
    from t3probe.plugin.suite import Checking, run

    return run(words, Checking())
