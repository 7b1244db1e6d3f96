"""The subcommand `t3probe compare`."""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING, Any

from t3probe.exchange.terminal import put_commands, put_json
from t3probe.usage import say

if TYPE_CHECKING:
    from t3probe.record.facts import Recording

EXIT_REGRESSION, EXIT_USAGE, EXIT_UNTOLD = 1, 4, 5
ABOUT = """\
What got worse between two recorded runs, segment by segment: before a deploy
and after it. They may be minutes apart and from different machines.

A segment regressed when it was cleared before and is not cleared after. What
was broken before is no regression.
Differences in round trips and phases are shown beside the noise of the two
runs; they never close the gate."""
EXAMPLES = """\
exit codes:
  0  no regression in the gated segments
  1  a gated segment was cleared before and is not any more
  4  wrong usage, or a file that cannot be read
  5  cannot tell: a segment that --gate names is not cleared, and no leg that
     gave evidence crossed it before, or after; or --gate names segments, and
     the run after was interrupted"""


def add(commands: Any) -> None:
    """Add the subcommand to argparse's subparsers."""
    parser = commands.add_parser(
        "compare",
        help="what got worse between two runs",
        description=ABOUT,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    opt = parser.add_argument
    opt("before", metavar="BEFORE", help="a JUnit file, or a log (the newest run in it)")
    opt("after", metavar="AFTER", help="the same, of the run after the deploy")
    opt("--gate", metavar="SEGMENT,...", help="whose regression counts; default: all segments")
    opt(
        "--format",
        choices=("text", "json", "markdown", "github"),
        default="text",
        help="markdown: a chat message; github: annotations, and Markdown in the job's summary",
    )
    parser.set_defaults(run=_compare)


def _compare(arguments: argparse.Namespace) -> int:
    from t3probe.record.facts import RecordError
    from t3probe.show.compare import compare
    from t3probe.show.compare.lines import to_lines, to_markdown
    from t3probe.show.markdown import message
    from t3probe.verdict import gate

    try:
        before, after = (_one(file) for file in (arguments.before, arguments.after))
        known = dict.fromkeys(
            one for run in (before.run, after.run) for one in (*run.segments, *run.own_segments)
        )
        gated = gate.named(arguments.gate, known, "the runs")
    except (RecordError, ValueError) as error:
        print(f"t3probe: {error}", file=sys.stderr)
        return EXIT_USAGE
    found = compare(before, after, gated)
    if arguments.format == "json":
        put_json(found.to_dict())
    elif arguments.format == "markdown":
        print("\n".join(message(to_markdown(found))))
    elif arguments.format == "github":
        from t3probe.show.annotations import append, of_comparison

        print("\n".join(to_lines(found)))
        put_commands("\n".join(of_comparison(found)))
        try:
            append(to_markdown(found), os.environ)
        except OSError as error:
            print(f"t3probe: the job's summary: {error.strerror}", file=sys.stderr)
    else:
        print("\n".join(to_lines(found)))
    if found.regressions:
        return EXIT_REGRESSION
    return EXIT_UNTOLD if found.untold or (found.named and found.interrupted) else 0


def _one(file: str) -> Recording:
    """The run to compare, and what of the file cannot be read. Raises RecordError."""
    from t3probe.record.reading import Damage, read_recording

    damage = Damage()
    recording = read_recording(file, damage)
    if damage.count:
        say(f"{file}: {damage}; {damage.advice}")
    return recording
