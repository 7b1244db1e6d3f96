"""`t3probe init`: a deployment file from a few answers, each of them tried once."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from t3probe.exchange.files import write_whole
from t3probe.usage import say

if TYPE_CHECKING:
    from t3probe.config import Deployment
    from t3probe.setup.ask import Answers
    from t3probe.setup.look import Finding

STOPPED = 2
GREETING = "Return takes what stands in [brackets], Ctrl-C leaves; the file comes last."
ABOUT = """\
Asks what is needed, or takes it from the options, tries everything once, and
writes a commented deployment file that passes validation. On a terminal it
asks for what no option names; elsewhere, and with --yes, the defaults stand."""


def add(commands: Any) -> None:
    """Add the subcommand to the subparsers."""
    from t3probe.setup.ask import FLAGS_ONLY, QUESTIONS

    parser = commands.add_parser(
        "init",
        help="write a deployment file of your own",
        description=ABOUT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    opt = parser.add_argument
    opt(
        "-o", "--output", default="deployment.toml", metavar="FILE",
        help="where it goes; - is standard output; default: %(default)s",
    )  # fmt: skip
    for question in (*QUESTIONS, *FLAGS_ONLY):
        words = question.prompt[:1].lower() + question.prompt[1:] or question.why
        opt(
            question.flag,
            dest=question.key,
            action="append" if question.many else "store",
            metavar=question.metavar,
            help=words + ("; repeatable" if question.many else ""),
        )
    opt(
        "--cdn", choices=("auto", "cloudflare", "none"), default="auto",
        help="what is in front of the load balancer; auto: looked for",
    )  # fmt: skip
    opt("--ca", default="", metavar="FILE", help="certificate authorities to trust, as PEM")
    opt(
        "--from-status-env", action="store_true",
        help="write [experiments] from the STATUS_* variables of a status server, and nothing else",
    )  # fmt: skip
    opt("--yes", action="store_true", help="ask nothing")
    opt("--no-probe", action="store_true", help="contact nothing")
    opt("--force", action="store_true", help="write over a file that is there")
    parser.set_defaults(run=_init)


def _init(arguments: argparse.Namespace) -> int:
    from t3probe import guard
    from t3probe.config import DeploymentError
    from t3probe.setup.ask import Refused, gather, on_terminal

    guard.install_from_environment()
    file = arguments.output
    if file != "-" and os.path.lexists(file) and not arguments.force:
        return say(f"init: {file}: there is one already; name another with -o, or add --force")
    problem = "" if file == "-" else _unwritable(file)
    if problem:
        return say(f"init: {file}: cannot be written: {problem}; name another with -o")
    if arguments.from_status_env:
        return _from_status(arguments)
    person = sys.stdin is not None and sys.stdin.isatty() and not arguments.yes
    try:
        if person:
            _tell(GREETING)
        asked = on_terminal(_read, _tell) if person else None
        given = gather(arguments, asked, os.path.abspath(arguments.ca) if arguments.ca else "")
        text, found = _written(given, _may_probe(arguments, person), file)
        deployment = _loaded(text, file)
        if file == "-":
            print(text, end="")
        else:
            _put(Path(file), text, arguments.force)
    except (Refused, DeploymentError) as problem:
        return say(f"init: {problem}")
    except (EOFError, KeyboardInterrupt):
        _tell("\nt3probe: init: stopped; nothing was written")
        return STOPPED
    except FileExistsError:  # since the questions began
        return say(f"init: {file}: there is one already; name another with -o, or add --force")
    except OSError as error:
        if file == "-":
            raise
        return say(f"init: {file}: cannot be written: {error.strerror}; name another with -o")
    _tell_about(deployment, found, file)
    return 0


def _from_status(arguments: argparse.Namespace) -> int:
    """The file that the variables of a status server say."""
    from t3probe.config import DeploymentError, Wrong
    from t3probe.setup.from_status import from_status

    file = arguments.output
    try:
        text, notes = from_status(os.environ)
        _loaded(text, file)
        if file == "-":
            print(text, end="")
        else:
            _put(Path(file), text, arguments.force)
    except (Wrong, DeploymentError) as problem:
        return say(f"init: {problem}")
    except FileExistsError:
        return say(f"init: {file}: there is one already; name another with -o, or add --force")
    except OSError as error:
        if file == "-":
            raise
        return say(f"init: {file}: cannot be written: {error.strerror}; name another with -o")
    for one in notes:
        _tell(one)
    if file != "-":
        _tell(f"wrote {file}; next: t3probe check {file}")
    return 0


def _unwritable(file: str) -> str:
    """Why nothing can be written there, looked at before anything is asked; empty: it can."""
    folder = os.path.dirname(file) or "."
    if not file:
        return "it has no name"
    if os.path.isdir(file):
        return "it is a folder"
    if not os.path.isdir(folder):
        return f"there is no folder {folder}"
    return "" if os.access(folder, os.W_OK | os.X_OK) else f"the folder {folder} is read-only"


def _put(path: Path, text: str, force: bool) -> None:
    """Whole or not at all. Raises FileExistsError unless `force`, and OSError."""
    path = path.resolve() if force else path  # what a link names is replaced, and not the link
    write_whole(path, text.encode(), keep=not force)


def _may_probe(arguments: argparse.Namespace, person: bool) -> bool:
    if arguments.no_probe or not person:
        return not arguments.no_probe
    return _read("\nTry each of them now, one beat? [yes]: ").strip().lower() in {"", "y", "yes"}


def _written(given: Answers, may_probe: bool, file: str) -> tuple[str, dict[str, Finding]]:
    """The file's text, and what was seen. Raises DeploymentError."""
    from t3probe.guard import LoopbackOnlyError
    from t3probe.setup.draft import draft, render

    made = draft(given, cdn=given.cdn == "cloudflare" or (given.cdn == "auto" and may_probe))
    text = render(made)
    deployment = _loaded(text, file)
    if not may_probe:
        return text, {}
    try:
        found = _looked(deployment)
        if given.cdn == "auto" and not found["edge"].works:
            # What people use may still be there, only without a CDN in front.
            _tell(f"no CDN was recognised: its page {found['edge'].words}")
            made = draft(given, cdn=False)
            found = _looked(_loaded(render(made), file))
    except LoopbackOnlyError as problem:
        _tell(f"nothing was tried: {problem}")
        made = draft(given, cdn=given.cdn == "cloudflare")
        return render(made), {}
    return render(made, {leg: one.words for leg, one in found.items()}), found


def _looked(deployment: Deployment) -> dict[str, Finding]:
    from t3probe.setup.look import finding, look

    _tell(f"trying {len(deployment.legs)} legs, one beat each ...")
    found = {leg: finding(seen) for leg, seen in look(deployment).items()}
    if deployment.upstream_source:
        from t3probe.upstreams.sources_run import RunSources

        sources = RunSources(deployment, deployment.vantage, os.environ).observations
        found |= {name: finding(seen) for name, seen in sources.items()}
    return found


def _loaded(text: str, file: str) -> Deployment:
    """The text as a deployment. Raises DeploymentError."""
    from t3probe.config import loads
    from t3probe.timing import SystemClock

    # Without the environment: what it sets is not in the file.
    return loads(text, file="deployment.toml" if file == "-" else file, environ={},
                 now=SystemClock().wall())  # fmt: skip


def _tell_about(deployment: Deployment, found: dict[str, Finding], file: str) -> None:
    from t3probe.setup.draft import ONE_RESOLVER
    from t3probe.show.coverage import coverage, untold

    for leg, one in found.items():
        mark = "ok     " if one.works else "warning"
        _tell(f"{mark}  {leg}: {one.words}" + (f"; {one.advice}" if one.advice else ""))
    if not found:
        _tell("nothing was tried: the file holds what was said, and a CDN only with --cdn")
    if any(leg.kind == "doh" and len(leg.doh) == 1 for leg in deployment.legs):
        _tell(f"{ONE_RESOLVER}: add --doh URL")
    for sentence in untold(coverage(deployment, deployment.legs)):
        _tell(sentence)
    missing = [
        words
        for leg, words in (
            ("internal", "--internal"),
            ("dispatch", "--dispatch"),
            ("devvm", "--machine"),
            ("t3serve", "--serve"),
        )
        if leg not in {one.name for one in deployment.legs}
    ]
    if missing:
        _tell(f"more legs would tell more: {', '.join(missing)}")
    if file != "-":
        _tell(f"wrote {file}; next: t3probe doctor {file}, then t3probe check {file}")


def _read(prompt: str) -> str:
    """One line from the terminal. The prompt goes where everything said goes: the file may go
    to standard output."""
    print(prompt, end="", file=sys.stderr, flush=True)
    line = sys.stdin.readline()
    if not line:
        raise EOFError
    return line


def _tell(sentence: str) -> None:
    print(sentence, file=sys.stderr)
