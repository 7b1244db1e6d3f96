"""The subcommand `t3probe mcp`."""

from __future__ import annotations

import argparse
import os
import re
import signal
import socket
import sys
from typing import TYPE_CHECKING, Any

from t3probe.usage import EXIT_USAGE

if TYPE_CHECKING:
    from t3probe.ask.mcp_server.tools import Sources

DEFAULT_RUNS = "results/junit.xml"
DEFAULT_LISTEN = "127.0.0.1:9118"
INSTALL = "run: pip install 't3probe[mcp]'"
ABOUT = """\
Answers an assistant's questions about the last recorded run, by the Model
Context Protocol: which upstreams cannot be reached, what the legs saw, the
verdict, and what broke when somebody dropped. It reads only, probes nothing,
and says with every answer how old that run is. Files are read anew when they
change. With --gateway the group in a Pushgateway answers instead of the runs;
explain_drop then needs --runs or --prometheus."""
EXAMPLES = """\
exit codes:
  0  the client closed its end, SIGTERM or SIGINT
  1  standard output cannot be written
  4  wrong usage, or the package mcp is not installed

examples:
  t3probe mcp --runs results/
  t3probe mcp --gateway http://127.0.0.1:9091 --vantage cluster --transport http

Logins: T3PROBE_GATEWAY_TOKEN, or T3PROBE_GATEWAY_USER and _PASSWORD, and the
same with T3PROBE_PROMETHEUS_ (each also with _FILE)."""


def add(commands: Any) -> None:
    """Add the subcommand to the subparsers."""
    parser = commands.add_parser(
        "mcp",
        help="answer an assistant's questions about the last run",
        description=ABOUT,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    opt = parser.add_argument
    opt("--runs", metavar="RUN", nargs="+",
        help=f"recorded runs: folders, JUnit files or logs; default: {DEFAULT_RUNS}")  # fmt: skip
    opt("--gateway", metavar="URL", help="a Pushgateway that holds the run's group")
    opt("--job", default="t3-probe", help="the metrics' job; default: %(default)s")
    opt("--vantage", default="", metavar="NAME", help="the metrics of this vantage")
    opt("--shard", default="", metavar="N", help="the part of a split run that answers")
    opt("--prometheus", metavar="URL", help="the metrics, for explain_drop")
    opt(
        "--deployment",
        metavar="FILE",
        help="what each leg crosses, for explain_drop, and what names of segments mean",
    )
    opt("--transport", choices=("stdio", "http"), default="stdio", help="default: %(default)s")
    opt("--listen", metavar="ADDRESS:PORT",
        help=f"of http, on loopback; port 0: any; default: {DEFAULT_LISTEN}")  # fmt: skip
    parser.set_defaults(run=_run)


class _Refused(Exception):
    """One sentence."""


def _run(arguments: argparse.Namespace) -> int:
    # First: what follows loads for half a second, and a signal may come in it.
    before = {one: signal.signal(one, _end) for one in (signal.SIGTERM, signal.SIGINT)}
    try:
        return _served(arguments)
    except _Refused as error:
        print(f"t3probe: mcp: {error}", file=sys.stderr)
        return EXIT_USAGE
    finally:
        for number, handler in before.items():
            signal.signal(number, handler or signal.SIG_DFL)


def _served(arguments: argparse.Namespace) -> int:
    from t3probe import guard

    guard.install_from_environment()
    _installed()
    listening = _listening(arguments)
    sources = _sources(arguments)
    from t3probe.ask.mcp_server.tools import Toolbox
    from t3probe.timing import SystemClock

    try:
        from t3probe.ask.mcp_server.serve import protocol, quiet_logs

        if listening is None:
            from t3probe.ask.mcp_server.serve import serve_stdio
        else:
            from t3probe.ask.mcp_server.over_http import serve_http
    except ImportError as error:
        raise _Refused(
            f"the package mcp is only half installed ({str(error)[:200]}); {INSTALL}"
        ) from error
    quiet_logs()
    server = protocol(Toolbox(sources, SystemClock(), os.environ), _version_of("t3probe") or "")
    if listening is not None:
        return serve_http(server, listening)
    if sys.stdin.isatty():
        print("t3probe: mcp: waiting for a client on standard input, which an assistant that "
              "starts this would be; Ctrl-C ends it", file=sys.stderr, flush=True)  # fmt: skip
    return serve_stdio(server)


def _end(number: int, frame: object) -> None:
    # At once: an exception would end as another's error in whatever is loading, a thread waits
    # for standard input and cannot be told to stop, and nothing needs saving.
    os._exit(0)


def _installed() -> None:
    """Raises _Refused unless a version of the package mcp is there that we know."""
    found = _version_of("mcp")
    if found is None:
        raise _Refused(f"the package mcp is not installed; {INSTALL}")
    if found.partition(".")[0] != "2":
        raise _Refused(f"expected the package mcp 2, found {found}; {INSTALL}")


def _version_of(package: str) -> str | None:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _listening(arguments: argparse.Namespace) -> socket.socket | None:
    """The socket to serve; None: standard input and output."""
    if arguments.transport == "stdio":
        if arguments.listen is not None:
            raise _Refused("--listen belongs to --transport http, found stdio; add it, or leave "
                           "--listen out")  # fmt: skip
        for name, stream in (("input", sys.__stdin__), ("output", sys.__stdout__)):
            if stream is None:
                raise _Refused(f"expected a client at standard {name}, found it closed; let an "
                               "assistant start this, or serve with --transport http")  # fmt: skip
        return None
    from t3probe.guard import is_loopback
    from t3probe.watch.serving import parse_listen

    text = arguments.listen or DEFAULT_LISTEN
    try:
        host, port = parse_listen(text)
    except ValueError as error:
        raise _Refused(
            f"--listen: expected ADDRESS:PORT such as {DEFAULT_LISTEN}, found {text[:80]!r}; write "
            "the address, a colon and a port up to 65535"
        ) from error
    host = "127.0.0.1" if host == "localhost" else host
    if not is_loopback(host):
        raise _Refused(
            f"--listen: expected a loopback address such as {DEFAULT_LISTEN}, found {text[:80]!r}; "
            "it asks for no login, so put a proxy that does in front of it"
        )
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family)
    except OSError as error:
        raise _Refused(
            f"--listen {text[:80]}: cannot listen there: {error.strerror or error}; name another"
        ) from error


def _sources(arguments: argparse.Namespace) -> Sources:
    """Where answers come from, as far as that can be checked before the first question."""
    from t3probe.ask.mcp_server.drop import DropSources
    from t3probe.ask.mcp_server.of_run import RunFiles
    from t3probe.ask.mcp_server.tools import Sources
    from t3probe.config import DeploymentError, load
    from t3probe.config.secrets import login_of
    from t3probe.deliver.sinks.gateway import Gateway
    from t3probe.exchange.client import Site
    from t3probe.timing import SystemClock

    if "-" in (arguments.runs or ()):
        raise _Refused("--runs: expected files or folders, found -; standard input is the client's")
    # What names another source asks for that one: only then a file by default is none.
    named = arguments.gateway is not None or arguments.prometheus is not None
    for_drops = arguments.runs or ([] if named else [DEFAULT_RUNS])
    shard = int(arguments.shard) if re.fullmatch(r"[0-9]{1,9}", arguments.shard) else 0
    drop_runs = RunFiles(for_drops, shard) if for_drops else None
    runs = drop_runs or (None if arguments.gateway is not None else RunFiles([DEFAULT_RUNS], shard))
    gateway = None
    gloss: dict[str, str] = {}
    option = ""
    try:
        if arguments.gateway is not None:
            option = "--gateway: "
            login = login_of("gateway", os.environ)
            Site(arguments.gateway, login)
            gateway = Gateway(arguments.gateway, arguments.job, arguments.vantage,
                              arguments.shard, login)  # fmt: skip
        if arguments.prometheus is not None:
            option = "--prometheus: "
            Site(arguments.prometheus, login_of("prometheus", os.environ))
        if arguments.deployment is not None:
            gloss = load(arguments.deployment, os.environ, now=SystemClock().wall()).gloss
    except DeploymentError as error:
        raise _Refused(error) from error
    except ValueError as error:
        more = "" if "expected" in str(error) else "; write http://HOST:PORT"
        raise _Refused(f"{option}{error}{more}") from error
    drop = DropSources(
        runs=drop_runs, prometheus=arguments.prometheus, deployment=arguments.deployment,
        job=arguments.job, vantage=arguments.vantage or None,
    )  # fmt: skip
    return Sources(runs, gateway, drop, gloss)
