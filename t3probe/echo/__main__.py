"""`python -m t3probe.echo`, and the body of `t3probe echo`: serve until told to stop."""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import errno
import os
import resource
import signal
import socket
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from t3probe.echo.limits import Limits, Proxies
from t3probe.echo.responder import Responder
from t3probe.usage import Parser

if TYPE_CHECKING:
    from t3probe.echo.site import PageSite

USAGE_ERROR = 4
START_ERROR = 1
_BACKLOG = 4096
_SPARE_FILES = 64
"""Descriptors for everything that is no client."""
_FEWEST_WAITING = 128
_HEARTBEAT_SECONDS = 10.0
_WATCHDOG_SECONDS = 20.0
_HEARTBEAT_UP_TO = 60.0
"""Seconds. A WebSocket that says nothing for `Limits.idle` is closed."""
_WATCHDOG_UP_TO = 600.0


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT; the exit code.

    0: stopped as told; 1: it could not start; 4: arguments that make no sense.
    """
    arguments = parser().parse_args(argv)
    try:
        host, port = _place(arguments.listen)
    except ValueError as error:
        _say(str(error))
        return USAGE_ERROR
    try:
        proxies = Proxies(arguments.trusted_proxy)
    except ValueError as error:
        _say(f"--trusted-proxy: expected a network such as 10.42.0.0/16: {error}; mend it")
        return USAGE_ERROR
    limits = Limits(connections=arguments.max_connections, per_address=arguments.max_per_address)
    try:
        site = _site(arguments)
    except ValueError as error:
        _say(str(error))
        return USAGE_ERROR
    try:
        limits = _fitted(limits, limits.pages if site is not None else 0)
        listener = _listen(host, port)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
        _say(f"cannot listen on {arguments.listen}: {reason}; name another --listen")
        return START_ERROR
    except ValueError as error:
        _say(str(error))
        return START_ERROR
    with listener:
        asyncio.run(_serve(listener, limits, proxies, site))
    return 0


def parser() -> Parser:
    """What it reads its words with."""
    limits = Limits()
    parser = Parser(
        prog="t3probe echo",
        description="Answer /probe/ws with an echo and /probe/healthz with 200, until SIGTERM.",
        epilog="example: t3probe echo --listen :8080 --trusted-proxy 10.42.0.0/16",
    )
    parser.add_argument(
        "--listen",
        default=":8080",
        metavar="[HOST]:PORT",
        help="default: %(default)s, on every address",
    )
    parser.add_argument(
        "--trusted-proxy",
        action="append",
        default=[],
        metavar="CIDR",
        help="whose X-Forwarded-For is believed when clients are told apart; repeatable; "
        "default: none, and the socket's address counts",
    )
    parser.add_argument(
        "--max-connections",
        type=_count,
        default=limits.connections,
        metavar="N",
        help="WebSockets at once; default: %(default)s",
    )
    parser.add_argument(
        "--max-per-address",
        type=_count,
        default=limits.per_address,
        metavar="N",
        help="WebSockets at once of one address, or of one /64; default: %(default)s",
    )
    parser.add_argument(
        "--page",
        action="store_true",
        help="serve a page at /probe/ that measures from a person's own browser",
    )
    parser.add_argument(
        "--page-heartbeat",
        type=lambda text: _seconds(text, _HEARTBEAT_UP_TO),
        default=_HEARTBEAT_SECONDS,
        metavar="SECONDS",
        help="how often the page asks for an echo, as the app does; default: %(default)g",
    )
    parser.add_argument(
        "--page-watchdog",
        type=lambda text: _seconds(text, _WATCHDOG_UP_TO),
        default=_WATCHDOG_SECONDS,
        metavar="SECONDS",
        help="how long the page waits for it, as the app does; default: %(default)g",
    )
    parser.add_argument(
        "--accept-records",
        action="store_true",
        help="let people send what their page recorded; it is kept in memory for an hour and "
        "fetched by a code; needs --page",
    )
    parser.add_argument(
        "--records-token-file",
        metavar="FILE",
        help="a file with a token that fetching a record needs, too; default: the code is enough",
    )
    return parser


def _site(arguments: argparse.Namespace) -> PageSite | None:
    """What there is beside the echo. Raises ValueError with a sentence."""
    if arguments.records_token_file is not None and not arguments.accept_records:
        raise ValueError("--records-token-file: expected --accept-records beside it; add it")
    if arguments.accept_records and not arguments.page:
        raise ValueError("--accept-records: expected --page beside it; add it")
    if not arguments.page:
        if (arguments.page_heartbeat, arguments.page_watchdog) != (
            _HEARTBEAT_SECONDS,
            _WATCHDOG_SECONDS,
        ):
            raise ValueError("--page-heartbeat and --page-watchdog: expected --page; add it")
        return None
    # Not before: without the page none of this is needed.
    from t3probe.echo.page import page
    from t3probe.echo.records import Records
    from t3probe.echo.site import PageSite, token_in

    shown = page(
        arguments.page_heartbeat, arguments.page_watchdog, records=arguments.accept_records
    )
    file = arguments.records_token_file
    if file is None:
        return PageSite(shown, Records() if arguments.accept_records else None)
    token_in(file)
    return PageSite(shown, Records(), token=lambda: token_in(file))


def _seconds(text: str, most: float) -> float:
    digits = text.removesuffix("s")
    number = float(digits) if digits.isascii() and digits.replace(".", "", 1).isdigit() else 0.0
    if not 0.2 <= number <= most:
        raise argparse.ArgumentTypeError(f"expected seconds from 0.2 to {most:g}, not {text!r}")
    return number


def _count(text: str) -> int:
    number = int(text) if text.isascii() and text.isdigit() else 0
    if not 1 <= number <= 1_000_000:
        raise argparse.ArgumentTypeError(f"expected a number from 1 to 1000000, not {text!r}")
    return number


def _place(text: str) -> tuple[str, int]:
    """Host and port of `--listen`; the host is empty for every address. Raises ValueError."""
    host, colon, port = text.rpartition(":")
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if not colon or not (port.isascii() and port.isdigit()) or int(port) > 65535:
        raise ValueError(f"--listen {text}: expected [HOST]:PORT, such as :8080 or [::1]:8080")
    if ":" in bare and bare == host:
        raise ValueError(f"--listen {text}: put the address in brackets, such as [::1]:8080")
    return bare, int(port)


def _fitted(limits: Limits, pages: int = 0) -> Limits:
    """Raise the soft limit of open files to the hard one; fewer waiting connections when even
    that is not enough. Raises ValueError when the WebSockets alone would not fit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if hard == resource.RLIM_INFINITY:
        return limits
    room = hard - _SPARE_FILES - limits.connections - pages
    if room < _FEWEST_WAITING:
        most = max(0, hard - _SPARE_FILES - _FEWEST_WAITING - pages)
        raise ValueError(
            f"--max-connections {limits.connections}: this process may open {hard} files, "
            f"which is enough for {most}; raise its limit or lower the number"
        )
    return dataclasses.replace(limits, waiting=min(limits.waiting, room))


def _listen(host: str, port: int) -> socket.socket:
    """A listening socket; on every address of both families when no host is named."""
    if host:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    if socket.has_dualstack_ipv6():
        try:
            return socket.create_server(
                ("", port), family=socket.AF_INET6, backlog=_BACKLOG, dualstack_ipv6=True
            )
        except OSError as error:
            if error.errno not in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL):
                raise
    return socket.create_server(("", port), backlog=_BACKLOG)


async def _serve(
    listener: socket.socket, limits: Limits, proxies: Proxies, site: PageSite | None
) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    responder = Responder(listener, limits, proxies, site=site, say=_say)
    responder.start()
    name = listener.getsockname()
    host = f"[{name[0]}]" if listener.family == socket.AF_INET6 else name[0]
    _say(
        f"listening on {host}:{name[1]}, at most {limits.connections} WebSockets, "
        f"{limits.per_address} of one address"
        + ("" if site is None else ", and the page at /probe/")
    )
    await stop.wait()
    _say(f"stopping: closing {len(responder.open)} WebSockets")
    await responder.drain()


def _say(sentence: str) -> None:
    print(f"t3probe echo: {sentence}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
