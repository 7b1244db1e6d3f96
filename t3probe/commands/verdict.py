"""`t3probe verdict`: recorded runs judged again, and made-up cases."""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING, Any

from t3probe.exchange.terminal import put_commands, put_json
from t3probe.usage import a_run, say

if TYPE_CHECKING:
    from t3probe.record.facts import Recording

FORMATS = ("json", "text", "markdown", "github")


def add(commands: Any) -> None:
    """Add the subcommand to the subparsers."""
    parser = commands.add_parser("verdict", help="judge a recorded run again, or a made-up case")
    opt = parser.add_argument
    opt(
        "record",
        nargs="*",
        metavar="RUN",
        help=f"{a_run('the newest run')}; of vantages and with --repeat a folder, too",
    )
    opt("--case", metavar="FILE.json", help="outcomes to judge, one or a list")
    opt("--text", action="store_true", help="the same as --format text")
    opt(
        "--format",
        choices=FORMATS,
        help="default: json; markdown: a chat message; github: annotations, and Markdown in the "
        "job's summary",
    )
    opt("--gate", metavar="SEGMENT,...", help="exit 1 if one of these cannot be cleared")
    opt(
        "--within",
        metavar="DURATION",
        help="several RUNs are vantages, judged together: of each the newest run that overlaps the "
        "newest of all, or begins at most so long before it; default: 90s",
    )
    opt(
        "--clocks",
        metavar="DURATION",
        help="within this the vantages' clocks agree where no server told both; 0s: such runs are "
        "not compared; default: 1s",
    )
    opt("--all", action="store_true", help="every run of a log, in order, not only the newest")
    opt(
        "--repeat",
        action="store_true",
        help="all runs of these files and folders as tries of one and the same thing: what "
        "fails only some of the time",
    )
    parser.set_defaults(run=_verdict, usage=parser.error)


def _verdict(arguments: argparse.Namespace) -> int:
    arguments.format = arguments.format or ("text" if arguments.text else "json")
    arguments.text = arguments.format == "text"
    if (not arguments.record) == (arguments.case is None):
        return say(
            "verdict: expected a recorded run or --case FILE, one of the two; "
            "name results/junit.xml, say"
        )
    for_runs = arguments.all or arguments.repeat or arguments.gate is not None
    for_runs = for_runs or arguments.within is not None or arguments.clocks is not None
    if arguments.case is not None and (for_runs or arguments.format != "json"):
        return say(
            "verdict: --all, --repeat, --within, --clocks, --gate, --text and --format are for "
            "recorded runs, not for --case; leave it out"
        )
    if arguments.repeat and (arguments.gate is not None or arguments.format not in FORMATS[:2]):
        return say("verdict: --repeat answers in JSON or --text, without a gate; leave those out")
    if arguments.case is not None:
        return _case(arguments.case)
    if arguments.repeat:
        return _repeated(arguments)
    several = arguments.within is not None or arguments.clocks is not None
    if several or len(arguments.record) > 1 or os.path.isdir(arguments.record[0]):
        return _vantages(arguments)
    return _recorded(arguments)


def _case(file: str) -> int:
    from t3probe.exchange.bounds import CASE_BYTES
    from t3probe.exchange.files import TooLargeError, read_regular
    from t3probe.verdict.exact.case import CaseError, parse_cases
    from t3probe.verdict.exact.labels import solve

    try:
        if file == "-":
            data = sys.stdin.buffer.read(CASE_BYTES + 1)
            if len(data) > CASE_BYTES:
                raise TooLargeError("standard input", CASE_BYTES)
        else:
            data = read_regular(file, CASE_BYTES, pipe=True)
        cases, several = parse_cases(data, file)
    except OSError as error:
        return say(f"{file}: cannot be read: {error.strerror}; name a JSON file with a case")
    except CaseError as error:
        return say(error)
    answers = [solve(case).to_dict() for case in cases]
    for case, answer in zip(cases, answers, strict=True):
        if case.counts is not None:
            from t3probe.verdict.repeated.repetition import of_case

            answer |= of_case(case).to_dict()
    put_json(answers if several else answers[0])
    return 0


def _recorded(arguments: argparse.Namespace) -> int:
    from t3probe.record.facts import RecordError
    from t3probe.record.reading import Damage, RecordFile, newest, read_recordings, run_key, unsure
    from t3probe.text.words import moment

    damage, sure = Damage(), True
    notes: list[object] = []
    try:
        with RecordFile(arguments.record[0]) as source:
            recordings = read_recordings(source, damage)
            if arguments.all:
                answers = list(
                    {run_key(one): _RunOutput(one, arguments) for one in recordings}.values()
                )
            else:
                recording, runs, sure = newest(recordings, damage)
                answers = [_RunOutput(recording, arguments)]
                if runs > 1:
                    when = moment(recording.run.started_at)
                    what = f"{source.name} holds {runs} runs; this is the newest"
                    notes.append(f"{what}, of {when}")
        if arguments.gate is not None and damage.count and (arguments.all or not sure):
            raise unsure(source.name, damage)
    except (RecordError, ValueError) as error:
        return say(error)
    if damage.count:
        notes.append(f"{source.name}: {damage}; {damage.advice}")
    if arguments.format != "text":
        notes += dict.fromkeys(one.note for one in answers if one.note)
    for note in notes:
        say(note)
    if arguments.format == "json":
        documents = [one.json for one in answers]
        put_json(documents if arguments.all else documents[0])
    else:
        put = put_commands if arguments.format == "github" else print
        put("\n".join(line for one in answers for line in one.lines))
    if arguments.format == "github":
        from t3probe.show.annotations import append

        try:
            append((line for one in answers for line in one.summary), os.environ)
        except OSError as error:
            say(f"the job's summary: {error.strerror}")
    return int(any(one.closed for one in answers))


class _RunOutput:
    """One run's answer, in the form that was asked for."""

    def __init__(self, recording: Recording, arguments: argparse.Namespace) -> None:
        from t3probe.observation import of_old
        from t3probe.verdict import gate
        from t3probe.verdict.incident.run import judge_run

        run, seen = recording.run, recording.observations
        judged = judge_run(run, seen)
        self.verdict = judged.verdict
        self.gate = gate.named(arguments.gate, (*run.segments, *run.own_segments), "the run")
        said: list[str] = []
        if self.gate:
            said = gate.sentences(self.verdict, self.gate, run.gloss, interrupted=run.interrupted)
        blocked = gate.blocked(self.verdict, self.gate)
        self.closed = bool(self.gate) and (run.interrupted or bool(blocked))
        self.json: Any = None
        self.lines: list[str] = []
        self.summary: list[str] = []
        self.note = of_old(run.version)
        if arguments.format == "json":
            self.json = judged.to_dict()
        elif arguments.format == "text":
            from t3probe.show.summary import render, row

            self.lines = [line for _, line in render(run, seen, judged)]
            self.lines += list(row("note", self.note)) if self.note else []
            self.lines += [line for one in said for line in row("gate", one)]
        else:
            from t3probe.show.markdown import message, run_markdown

            self.summary = list(run_markdown(run, seen, judged, said))
            self.lines = list(message(self.summary))
        if arguments.format == "github":
            from t3probe.show.annotations import of_run

            self.lines = list(of_run(seen, judged, said))


def _vantages(arguments: argparse.Namespace) -> int:
    from t3probe.config.durations import parse_duration
    from t3probe.config.errors import Wrong
    from t3probe.record.facts import RecordError
    from t3probe.record.vantages import at_one_time
    from t3probe.verdict import gate
    from t3probe.verdict.vantages import judge_together

    if arguments.all or arguments.format not in FORMATS[:2]:
        return say(
            "verdict: several vantages are answered in JSON or --text, without --all; leave those "
            "out, or name one run"
        )
    if "-" in arguments.record:
        return say("verdict: expected files for several vantages, found standard input; save it")
    notes: list[object] = []
    left_out: list[str] = []
    option, text = "--within", arguments.within or "90s"
    try:
        within_seconds = float(parse_duration(text, allow_zero=True))
        option, text = "--clocks", arguments.clocks or "1s"
        clocks_seconds = float(parse_duration(text, allow_zero=True)) or None
    except Wrong as wrong:
        shown = f"verdict: {option}: expected {wrong.expected}, found {text!r}"
        return say("; ".join(one for one in (shown, wrong.hint) if one))
    try:
        chosen = at_one_time(arguments.record, notes, left_out, within_seconds)
        runs = [(one.run, one.observations) for one in chosen]
        found = judge_together(runs, clocks_seconds, left_out)
        names = gate.named(arguments.gate, found.segments, "the runs")
    except (RecordError, ValueError) as error:
        return say(f"verdict: {error}")
    if not chosen[0].run.local:
        notes.append(
            "the file calls no segment local: name there what each vantage has for itself, such "
            'as local = ["wan"]'
        )
    if not arguments.text:
        notes += filter(None, (*left_out, found.old))
    for note in notes:
        say(note)
    cut = any(run.interrupted for run, _ in runs)
    said = gate.sentences(found.verdict, names, found.gloss, interrupted=cut) if names else []
    if arguments.text:
        from t3probe.show.vantages import lines

        print("\n".join(lines(found, said)))
    else:
        put_json(found.to_dict())
    return int(bool(names) and (cut or bool(gate.blocked(found.verdict, names))))


def _repeated(arguments: argparse.Namespace) -> int:
    from t3probe.record.facts import RecordError
    from t3probe.record.reading import read_runs
    from t3probe.verdict.repeated.repetition import from_runs, render

    notes: list[object] = []
    try:
        found = from_runs(read_runs(arguments.record, notes))
    except (RecordError, ValueError) as error:
        return say(error)
    if found.old and not arguments.text:
        notes.append(found.old)
    for note in notes:
        say(note)
    if arguments.text:
        print("\n".join(render(found)))
    else:
        put_json(found.to_dict())
    return 0
