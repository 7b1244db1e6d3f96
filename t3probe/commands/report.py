"""`t3probe report`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from t3probe.exchange.files import write_whole
from t3probe.usage import say

EXIT_FAILED = 1


def add(commands: Any) -> None:
    """Add the subcommand to the subparsers."""
    parser = commands.add_parser(
        "report",
        help="write one HTML page about a run, or about many",
        description="One self-contained page: the newest run in full, and the history of all.",
    )
    opt = parser.add_argument
    opt("record", nargs="+", metavar="RUN", help="JUnit files, logs, folders of them; - is stdin")
    opt("-o", "--output", required=True, metavar="FILE", help="where it goes; - is stdout")
    parser.set_defaults(run=_report)


def _report(arguments: argparse.Namespace) -> int:
    from t3probe.record.facts import RecordError
    from t3probe.record.reading import LatestRuns
    from t3probe.show.page.history import RUNS_DRAWN, History
    from t3probe.show.page.page import render_page

    notes: list[object] = []
    history = History()
    try:
        latest = LatestRuns(arguments.record, notes, RUNS_DRAWN)
        for recording in latest:
            history.add(recording)
        history.older = latest.left_out
    except RecordError as error:
        return say(f"report: {error}")
    for note in notes:
        say(note)
    if history.newest is None:
        return say(
            f"report: expected recorded runs, found none in {', '.join(arguments.record)}; "
            "name results/junit.xml"
        )
    page = render_page(history)
    if arguments.output == "-":
        sys.stdout.buffer.write(page)
        sys.stdout.buffer.flush()
        return 0
    try:
        _write(Path(arguments.output), page)
    except OSError as error:
        why = error.strerror or type(error).__name__
        old = "; what stands there is an older page" if Path(arguments.output).is_file() else ""
        say(f"report: {arguments.output}: cannot be written: {why}{old}; name a file in a folder")
        return EXIT_FAILED
    return 0


def _write(path: Path, page: bytes) -> None:
    """Whole or not at all: a reader never sees half a page."""
    if path.exists() and not path.is_file():  # a device or a pipe, such as /dev/stdout
        path.write_bytes(page)
        return
    write_whole(path.resolve(), page)  # what a link names is replaced, and not the link
