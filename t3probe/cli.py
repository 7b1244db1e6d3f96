"""The command `t3probe`: recorded runs and cases, what follows from a deployment file, the lab."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from t3probe.watch import command as watch

if TYPE_CHECKING:
    from t3probe.record import Recording

__all__ = ["EXIT_USAGE", "main"]

EXIT_USAGE = 4
"""Wrong usage or an unreadable file, as with pytest."""


class _Version(argparse.Action):
    """Looks the version up only when it is asked for."""

    def __call__(self, parser: argparse.ArgumentParser, *arguments: object) -> NoReturn:
        from importlib.metadata import PackageNotFoundError, version

        try:
            found = version("t3probe")
        except PackageNotFoundError:
            found = "(not installed)"
        print(f"t3probe {found}")
        parser.exit()


class _Parser(argparse.ArgumentParser):
    """Says one sentence, and ends with pytest's exit code for usage."""

    def error(self, message: str) -> NoReturn:
        self.exit(EXIT_USAGE, f"{self.prog}: {message}; see {self.prog} --help\n")


def _a_run(which: str) -> str:
    return f"a JUnit file, or a log ({which} in it); - is standard input"


def _parser() -> _Parser:
    parser = _Parser(
        prog="t3probe",
        description="Which segment of the path broke, and which can be cleared, with data.",
        epilog="example: t3probe verdict results/junit.xml",
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    verdict = commands.add_parser(
        "verdict",
        help="judge a recorded run again, or a made-up case",
        epilog="example: kubectl logs job/t3probe-29384 | t3probe verdict -",
    )
    verdict.add_argument("record", nargs="*", metavar="RUN", help=_a_run("the newest run"))
    verdict.add_argument("--case", metavar="FILE.json", help="outcomes to judge, one or a list")
    verdict.add_argument("--text", action="store_true", help="the summary in place of JSON")
    verdict.add_argument(
        "--all", action="store_true", help="every run of a log, in its order, not only the newest"
    )
    verdict.add_argument(
        "--repeat",
        action="store_true",
        help="all runs of these files and folders as tries of one and the same thing: what "
        "fails only some of the time",
    )
    verdict.set_defaults(run=_verdict, usage=verdict.error)

    push = commands.add_parser(
        "push",
        help="push recorded runs, or another suite's JUnit file",
        epilog="example: t3probe push results/junit.xml --gateway http://127.0.0.1:9091",
    )
    push.add_argument("record", metavar="RUN", help=_a_run("every run"))
    retire = commands.add_parser(
        "retire",
        help="delete the groups of a vantage that is gone",
        epilog="example: t3probe retire --gateway http://127.0.0.1:9091 --vantage attic",
    )
    for one, job in ((push, "t3-probe-manual"), (retire, "t3-probe")):
        one.add_argument("--gateway", metavar="URL", required=True)
        one.add_argument("--job", default=job, help="default: %(default)s")
        one.add_argument("--vantage", default="", metavar="NAME")
        one.add_argument("--shard", default="", metavar="N")
    push.set_defaults(run=_push)
    retire.set_defaults(run=_retire)

    lab = commands.add_parser(
        "lab",
        help="run the built-in lab until SIGTERM",
        add_help=False,
        epilog="example: t3probe lab --write lab.toml --fault tunnel:blackhole",
    )
    lab.set_defaults(run=_lab)

    watch.add(commands)

    echo = commands.add_parser(
        "echo",
        help="answer /probe/ws and /probe/healthz for a deployment without its own",
        add_help=False,
    )
    echo.set_defaults(run=_lab)

    schema = commands.add_parser(
        "schema",
        help="print the JSON Schema of the deployment file",
        epilog="example: t3probe schema > deployments/schema.json",
    )
    schema.set_defaults(run=_schema)

    alertmanager = commands.add_parser(
        "alertmanager",
        help="print a deployment's inhibit_rules for Alertmanager",
        epilog="example: t3probe alertmanager deployments/t3.toml > fragment.yml",
    )
    alertmanager.add_argument("deployment", metavar="DEPLOYMENT", help="a deployment file")
    alertmanager.set_defaults(run=_alertmanager)

    manifests = commands.add_parser(
        "manifests", help="print a NetworkPolicy or a PrometheusRule", add_help=False
    )
    manifests.set_defaults(run=_lab)

    from t3probe.forensics.command import add_forensics

    add_forensics(commands)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    if words[:1] == ["lab"]:
        from t3probe.lab.__main__ import main as lab

        return lab(words[1:])
    if words[:1] == ["echo"]:
        from t3probe.echo.__main__ import main as echo

        return echo(words[1:])
    if words[:1] == ["manifests"]:
        from t3probe.cluster.command import main as manifests

        return manifests(words[1:])
    arguments = _parser().parse_args(words)
    run: Callable[[argparse.Namespace], int] = arguments.run
    try:
        return run(arguments)
    except BrokenPipeError:
        sys.stderr.close()  # the reader left; Python would complain at exit
        return 0


def _say(sentence: object) -> int:
    print(f"t3probe: {sentence}", file=sys.stderr)
    return EXIT_USAGE


def _print_json(data: Any) -> None:
    json.dump(data, sys.stdout, indent=2, ensure_ascii=True)
    print()


def _verdict(arguments: argparse.Namespace) -> int:
    if (not arguments.record) == (arguments.case is None):
        return _say("verdict: expected a recorded run or --case FILE, one of the two")
    if arguments.case is not None and (arguments.all or arguments.text or arguments.repeat):
        return _say("verdict: --all and --text are for recorded runs, not for --case; leave it out")
    if arguments.case is not None:
        return _case(arguments.case)
    if arguments.repeat:
        return _repeated(arguments)
    if len(arguments.record) > 1:
        arguments.usage(f"expected one RUN, found {len(arguments.record)}; add --repeat")
    return _recorded(arguments)


def _case(file: str) -> int:
    from t3probe.verdict import CaseError, parse_cases, solve

    try:
        data = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
        cases, several = parse_cases(data, file)
    except OSError as error:
        return _say(f"{file}: cannot be read: {error.strerror}; name a JSON file with a case")
    except CaseError as error:
        return _say(error)
    answers = [solve(case).to_dict() for case in cases]
    for case, answer in zip(cases, answers, strict=True):
        if case.counts is not None:
            from t3probe.verdict.repetition import of_case

            answer |= of_case(case).to_dict()
    _print_json(answers if several else answers[0])
    return 0


def _recorded(arguments: argparse.Namespace) -> int:
    from t3probe.record import (
        Damage,
        RecordError,
        Source,
        newest,
        read_recordings,
        run_key,
    )
    from t3probe.summary import render
    from t3probe.timing import utc_text
    from t3probe.verdict import judge_run

    def answer(recording: Recording) -> Any:
        judged = judge_run(recording.run, recording.observations)
        if not arguments.text:
            return judged.to_dict()
        return [line for _, line in render(recording.run, recording.observations, judged)]

    damage = Damage()
    notes: list[object] = []
    try:
        with Source(arguments.record[0]) as source:
            recordings = read_recordings(source, damage)
            if arguments.all:
                answers = list({run_key(one): answer(one) for one in recordings}.values())
            else:
                recording, runs = newest(recordings)
                answers = [answer(recording)]
                if runs > 1:
                    when = utc_text(recording.run.started_at).rstrip("Z").replace("T", " ")
                    what = f"{source.name} holds {runs} runs; this is the newest"
                    notes.append(f"{what}, of {when} UTC")
    except RecordError as error:
        return _say(error)
    if damage.count:
        notes.append(f"{source.name}: {damage}; {damage.advice}")
    for note in notes:
        _say(note)
    if arguments.text:
        print("\n".join(line for lines in answers for line in lines))
    else:
        _print_json(answers if arguments.all else answers[0])
    return 0


def _repeated(arguments: argparse.Namespace) -> int:
    from t3probe.record import RecordError
    from t3probe.verdict.repetition import from_runs, render

    notes: list[object] = []
    try:
        found = from_runs(_runs_of(arguments.record, notes))
    except (RecordError, ValueError) as error:
        return _say(error)
    for note in notes:
        _say(note)
    if arguments.text:
        print("\n".join(render(found)))
    else:
        _print_json(found.to_dict())
    return 0


def _runs_of(names: Sequence[str], notes: list[object]) -> Iterator[Recording]:
    """Every run in these files and folders; what cannot be read is noted, or RecordError."""
    from t3probe.record import Damage, RecordError, read_recordings, record_files

    for name in names:
        folder, files = (False, [name]) if name == "-" else record_files(name)
        for file in files:
            damage = Damage()
            try:
                yield from read_recordings(file, damage)
            except RecordError as error:
                # A folder may hold other things; a file that was named must be a run.
                if not folder:
                    raise
                notes.append(error)
            else:
                if damage.count:
                    notes.append(f"{file}: {damage}; {damage.advice}")


def _gateway(arguments: argparse.Namespace) -> Any:
    from t3probe.sinks.gateway_client import Login, Site
    from t3probe.sinks.gateway_wire import Gateway

    login = Login.named(os.environ)
    Site(arguments.gateway, login)
    return Gateway(
        url=arguments.gateway,
        job=arguments.job,
        vantage=arguments.vantage,
        shard=arguments.shard,
        login=login,
    )


def _push(arguments: argparse.Namespace) -> int:
    from t3probe.config import DeploymentError
    from t3probe.deliver import push_recording
    from t3probe.record import RecordError

    try:
        report = push_recording(arguments.record, _gateway(arguments))
    except (RecordError, DeploymentError, ValueError) as error:
        return _say(error)
    print(report.sentence)
    return 0 if report.ok else 1


def _retire(arguments: argparse.Namespace) -> int:
    from t3probe.config import DeploymentError
    from t3probe.deliver import retire

    try:
        report, silence = retire(_gateway(arguments))
    except (DeploymentError, ValueError) as error:
        return _say(error)
    print(report.sentence)
    print(f"until its last run is forgotten, silence it: {silence}")
    return 0 if report.ok else 1


def _lab(arguments: argparse.Namespace) -> int:
    raise AssertionError("handled before parsing")


def _schema(arguments: argparse.Namespace) -> int:
    from t3probe.config.schema import schema

    _print_json(schema())
    return 0


def _alertmanager(arguments: argparse.Namespace) -> int:
    from t3probe.alertmanager import fragment
    from t3probe.config import DeploymentError, load
    from t3probe.timing import SystemClock

    try:
        deployment = load(arguments.deployment, os.environ, now=SystemClock().wall())
    except DeploymentError as error:
        return _say(error)
    print(fragment(deployment), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
