"""The subcommand `t3probe forensics`."""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING, Any

from t3probe.ask.forensics.kinds import SOURCES
from t3probe.exchange.terminal import put_json

if TYPE_CHECKING:
    from collections.abc import Iterable

    from t3probe.ask.explain.moment import Moment
    from t3probe.ask.forensics.beside import RunsNearby
    from t3probe.ask.forensics.kinds import SegmentMap
    from t3probe.ask.forensics.read import FileReport, LogQuery
    from t3probe.ask.forensics.tally import Tally

EXIT_CANNOT_TELL = 1
EXIT_USAGE = 4
ABOUT = """\
Reads server-side logs and says which side died, and what died in the same
second. Sources are told apart by what is in their lines, never by a file's
name: cloudflared, Traefik's and nginx's access logs, nginx's error log,
haproxy, Envoy, dnsdist, dispatch's proxy errors, serve's time-outs; as
journalctl, syslog, docker, kubectl, containerd and logcli give them; plain,
gzip, xz, bzip2, UTF-8 or UTF-16. docs/forensics.md lists all forms. Memory
stays bounded whatever their size. The exit code is 1 when more than half of
the lines could not be read or have no time: then the logs cannot tell."""
EXAMPLES = """\
examples:
  journalctl -u dispatch -u t3-serve -o short-iso | t3probe forensics -
  t3probe forensics tunnel.log access.log.1.gz --around 14:03 --runs results/
  t3probe forensics haproxy.log --map haproxy=tunnel"""


class _Mistake(Exception):
    """Wrong usage, or a file that cannot be read; one sentence."""


def add(commands: Any) -> None:
    """Add the subcommand to argparse's subparsers."""
    parser = commands.add_parser(
        "forensics",
        help="read server-side logs: which side died, and what died together",
        description=ABOUT,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("logs", nargs="+", metavar="FILE", help="a log; - is standard input")
    parser.add_argument(
        "--runs", nargs="+", default=[], metavar="RUN",
        help="recorded runs, or folders of them, to lay the bursts beside",
    )  # fmt: skip
    parser.add_argument(
        "--around", metavar="TIME",
        help="only what was near that time; in the forms that t3probe explain --at takes",
    )  # fmt: skip
    parser.add_argument(
        "--window", default="60s", metavar="DURATION",
        help="how far --around and a run's incidents may be away; default: %(default)s",
    )  # fmt: skip
    parser.add_argument("--since", metavar="TIME", help="only what was then or later")
    parser.add_argument("--until", metavar="TIME", help="only what was then or earlier")
    parser.add_argument(
        "--source", default="auto", choices=(*SOURCES, "auto"), metavar="SOURCE",
        help=f"whose logs they are: {', '.join(SOURCES)}; default: told line by line",
    )  # fmt: skip
    parser.add_argument(
        "--timezone", metavar="NAME",
        help="of times that bear none, such as Europe/Berlin; default: this machine's",
    )  # fmt: skip
    parser.add_argument(
        "--slow", default="10s", metavar="DURATION",
        help="from here on a request is slow; default: %(default)s",
    )  # fmt: skip
    parser.add_argument("--deployment", metavar="FILE", help="take the segments' order from it")
    parser.add_argument(
        "--map", action="append", default=[], metavar="SOURCE=SEGMENT",
        help="where a source stands, or what it is called in the deployment: haproxy=tunnel",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="the whole as JSON")
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    from t3probe.timing import SystemClock

    try:
        told = forensics(arguments, SystemClock().wall())
    except _Mistake as error:
        print(f"t3probe: forensics: {error}", file=sys.stderr)
        return EXIT_USAGE
    return 0 if told else EXIT_CANNOT_TELL


def forensics(arguments: argparse.Namespace, now: float) -> bool:
    """Read, judge and print. `now` is Unix seconds. Whether enough could be read to tell.

    Raises _Mistake.
    """
    from t3probe.ask.forensics.bursts import find
    from t3probe.ask.forensics.report import Findings, cannot_tell, to_dict, to_lines

    asked, sentence, around, window = _asked(arguments, now)
    places, gloss = _places(arguments, now)
    tally, files = _read(arguments.logs, asked)
    bursts = find(tally, places)
    unread: list[str] = []
    beside, runs = {}, None
    if arguments.runs:
        moments: list[tuple[int, int]] = [(one.began, one.ended) for one in bursts]
        if around is not None:
            moments.append((int(around[0]), int(around[1])))
        runs = _runs(arguments.runs, moments, window, unread)
        beside = {moment: runs.beside(*moment) for moment in moments}
        for one in runs.parts:
            gloss |= one.gloss
    found = Findings(
        tally, files, bursts, beside, runs, tuple(unread), places, asked.zone, sentence, around,
        gloss,
        asked.windowed,
    )  # fmt: skip
    if arguments.json:
        put_json(to_dict(found))
    else:
        for line in to_lines(found):
            print(line)
    return not cannot_tell(found)


def _asked(
    arguments: argparse.Namespace, now: float
) -> tuple[LogQuery, str, tuple[float, float] | None, float]:
    from t3probe.ask.explain.moment import TimeError, read_moment, read_zone
    from t3probe.ask.forensics.read import LogQuery
    from t3probe.text.words import utc

    if arguments.around and (arguments.since or arguments.until):
        raise _Mistake("expected --around or --since and --until, found both; leave one out")
    window = _seconds("--window", arguments.window)
    since, until = float("-inf"), float("inf")
    around: tuple[int, int] | None = None
    said: list[str] = []

    def read(text: str, word: str = "", *, future: bool = True) -> Moment:
        when = read_moment(text, now, zone, future=future)
        verb = f"{word} {when.said}, read" if word else f"{when.said} was read"
        said.append(f"{verb} as {utc(int(when.at))}")
        if when.note:
            said.append(when.note)
        return when

    try:
        zone = None if arguments.timezone is None else read_zone(arguments.timezone)
        if arguments.around:
            when = read(arguments.around, future=False)
            said[0] += f", within {arguments.window}"
            around = int(when.at - when.vague[0]), int(when.at + when.vague[1])
            since, until = around[0] - window, around[1] + window
        if arguments.since:
            since = int(read(arguments.since, "since").at)
        if arguments.until:
            until = int(read(arguments.until, "until").at)
    except TimeError as error:
        raise _Mistake(error) from error
    sentence = "; ".join(said)
    if since > until:
        raise _Mistake(f"expected --since before --until, found {sentence}; swap them")
    slow = _seconds("--slow", arguments.slow)
    return LogQuery(now, zone, arguments.source, since, until, slow), sentence, around, window


def _seconds(option: str, text: str) -> float:
    from t3probe.config.durations import parse_duration
    from t3probe.config.errors import Wrong

    try:
        return float(parse_duration(text))
    except Wrong as error:
        raise _Mistake(
            f"{option}: expected a duration such as 60s or 5m, found {text[:60]!r}; "
            f"{error.hint or 'write a number and a unit'}"
        ) from error


def _places(arguments: argparse.Namespace, now: float) -> tuple[SegmentMap, dict[str, str]]:
    """Where sources lie, and what the deployment file adds to the names of segments."""
    from t3probe.ask.forensics.kinds import REFERENCE, SegmentMap

    names = {}
    for text in arguments.map:
        source, equals, segment = text.partition("=")
        if not (equals and segment and source in SOURCES):
            raise _Mistake(
                f"--map: expected SOURCE=SEGMENT with one of {', '.join(SOURCES)}, "
                f"found {text[:60]!r}; write for example tunnel=cloudflared"
            )
        names[source] = segment
    if arguments.deployment is None:
        paths = [tuple(names.get(one, one) for one in path) for path in REFERENCE]
        places = SegmentMap(paths, names)
        if nowhere := [names[one] for one in places.unplaced if one in names]:
            known = ", ".join(dict.fromkeys(one for path in paths for one in path))
            raise _Mistake(
                f"--map: expected a segment of the reference deployment ({known}), found "
                f"{nowhere[0][:60]!r}; name one of these, or your file with --deployment"
            )
        return places, {}
    from t3probe.config import DeploymentError, load

    try:
        deployment = load(arguments.deployment, now=now)
    except DeploymentError as error:
        raise _Mistake(error) from error
    wrong = [one for one in names.values() if one not in deployment.segments]
    if wrong:
        raise _Mistake(
            f"--map: expected a segment of {arguments.deployment}, found {wrong[0][:60]!r}; "
            f"name one of {', '.join(deployment.segments)}"
        )
    paths = [*deployment.paths, *(leg.path for leg in deployment.legs)]
    return SegmentMap(paths, names, deployment.segments), dict(deployment.gloss)


def _read(names: Iterable[str], asked: LogQuery) -> tuple[Tally, tuple[FileReport, ...]]:
    from t3probe.ask.forensics.read import read_log
    from t3probe.ask.forensics.tally import Tally
    from t3probe.exchange.files import open_regular

    whole = Tally()
    reports = []
    read: set[tuple[int, int]] = set()
    for name in dict.fromkeys(names):
        try:
            if name == "-":
                if sys.stdin is None:
                    raise _Mistake("standard input cannot be read: it is closed; name a file")
                tally, report = read_log("standard input", sys.stdin.buffer, asked)
            else:
                with open_regular(name, pipe=True) as stream:
                    # /var/log/containers links to /var/log/pods: each line died once.
                    found = os.fstat(stream.fileno())
                    if (found.st_dev, found.st_ino) in read:
                        continue
                    read.add((found.st_dev, found.st_ino))
                    tally, report = read_log(name, stream, asked)
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or str(error)
            raise _Mistake(f"{name}: cannot be read: {why}; name a log file, or -") from error
        whole.merge(tally)
        reports.append(report)
    whole.prune()
    return whole, tuple(sorted(reports))


def _runs(
    names: Iterable[str], moments: list[tuple[int, int]], window: float, unread: list[str]
) -> RunsNearby:
    from t3probe.ask.forensics.beside import RunsNearby
    from t3probe.record.facts import RecordError
    from t3probe.record.reading import Damage, read_recordings, record_files

    runs = RunsNearby(moments, window)
    for name in names:
        whole_folder, files = record_files(name)
        for file in files:
            damage = Damage()
            try:
                for recording in read_recordings(file, damage, runs.wanted):
                    runs.add(recording)
            except RecordError as error:
                # A folder may hold other things; a file that was named must be a run.
                if not whole_folder:
                    raise _Mistake(error) from error
                unread.append(str(error))
            if damage.count:
                unread.append(f"{file}: {damage}")
    return runs
