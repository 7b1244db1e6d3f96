"""`python -m t3probe.lab`, and the body of `t3probe lab`: run a lab until told to stop."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import signal
import stat
import sys
import tempfile
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path

from t3probe.lab.control import LabError
from t3probe.lab.faults import FAULTS, KINDS
from t3probe.lab.rig_faults import RIG_FAULT_KINDS, RIG_FAULTS
from t3probe.lab.stack import Lab
from t3probe.usage import Parser, room_for_files

FAULT_TEXT = """\
a fault:
  tunnel:blackhole     from the start until the end
  dispatch:slow:300ms  ARG of slow: each answer that much later
  traefik:close:1s     ARG of close: each connection ended after that time
  serve:idle:5s        ARG of idle: each connection ended once silent so long
  doh:refuse:1         ARG of any fault of doh: the first resolver only, or 2
  tunnel:cut@3s        @AFTER: so long after the first client; a cut is once
  wan:blackhole@2s+1s  +FOR: for so long
  serve:exit@2s+1s     the process ends then, and starts again a second later
"""
USAGE_ERROR = 4
START_ERROR = 1
OPEN_FILES = 256
"""With fewer the lab itself drops connections, and its legs accuse a hop of it."""


def main(argv: Sequence[str] | None = None) -> int:
    """Start a lab, write its deployment file, run until SIGTERM or SIGINT; the exit code.

    0: stopped as told; 1: it could not start; 4: arguments that make no sense.
    """
    arguments = parser().parse_args(argv)
    try:
        timing = dict(_pair(text) for text in arguments.timing)
        lab = Lab(
            arguments.fault, timing, experiments=arguments.experiments, opinions=arguments.opinions
        )
    except ValueError as error:
        print(f"t3probe lab: {error}", file=sys.stderr)
        return USAGE_ERROR
    if 0 <= (files := room_for_files(OPEN_FILES)) < OPEN_FILES:
        print(
            f"t3probe lab: expected a limit of {OPEN_FILES} open files or more, found {files}; "
            f"raise it, such as with ulimit -n {OPEN_FILES}",
            file=sys.stderr,
        )
        return START_ERROR
    try:
        asyncio.run(_run(lab, Path(arguments.write), with_parent=arguments.with_parent))
    except (LabError, OSError) as error:
        print(f"t3probe lab: {error}", file=sys.stderr)
        return START_ERROR
    return 0


def parser() -> Parser:
    """What it reads its words with."""
    faults = _list({segment: ", ".join(kinds) for segment, kinds in FAULTS.items()})
    faults += "\nwith --experiments:\n" + _list(
        {segment: ", ".join(kinds) for segment, kinds in RIG_FAULTS.items()}
    )
    kinds = _list({**KINDS, **{f"{one} (rigs)": text for one, text in RIG_FAULT_KINDS.items()}})
    parser = Parser(
        prog="t3probe lab",
        description="Run the built-in lab on loopback until SIGTERM or Ctrl-C.",
        epilog=f"{FAULT_TEXT}\nwhat can befall which segment:\n{faults}\n\nwhat it does:\n{kinds}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.example = "t3probe lab --write lab.toml --fault wan:blackhole@5s+1s"
    parser.add_argument(
        "--write", required=True, metavar="FILE", help="where the lab's deployment file goes"
    )
    parser.add_argument(
        "--fault",
        action="append",
        default=[],
        metavar="SEGMENT:KIND[:ARG][@AFTER][+FOR]",
        help="a fault to begin with, such as tunnel:blackhole; repeatable",
    )
    parser.add_argument(
        "--timing",
        action="append",
        default=[],
        metavar="KEY=DURATION",
        help="a timing of the deployment file, such as hold=2s; repeatable",
    )
    parser.add_argument(
        "--experiments",
        type=int,
        default=0,
        metavar="N",
        help="N remote rigs beside it, with relay, jump and book",
    )
    parser.add_argument(
        "--opinions",
        action="store_true",
        help="with what cloudflared and Traefik say of themselves",
    )
    parser.add_argument(
        "--with-parent", action="store_true", help="stop when standard input ends, too"
    )
    return parser


def _list(entries: Mapping[str, str]) -> str:
    return "\n".join(
        textwrap.fill(f"  {name}: {text}", 80, subsequent_indent="    ", break_on_hyphens=False)
        for name, text in entries.items()
    )


def _pair(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals:
        raise ValueError(f"--timing {text}: expected KEY=DURATION, such as hold=2s.")
    return key, value


async def _run(lab: Lab, file: Path, *, with_parent: bool) -> None:
    """Run the lab from ready to stop. Raises LabError, and OSError when the system refuses."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    transport = await _parent_watch(stop) if with_parent else None
    told = asyncio.create_task(stop.wait())
    starting = asyncio.create_task(lab.start())
    try:
        await asyncio.wait({told, starting}, return_when=asyncio.FIRST_COMPLETED)
        if not starting.done():
            return
        starting.result()
        text = lab.deployment_text()
        _write(file, text)
        faults = lab.status()["faults"]
        in_force = ", ".join(faults) if isinstance(faults, list) and faults else "none"
        print(f"lab ready: {file} (faults: {in_force})", flush=True)
        if lab.has_rigs:
            from t3probe.lab.rig_faults import environment

            for name, value in environment().items():
                print(f"export {name}={value}", flush=True)
        await told
        _remove(file, text)
    finally:
        told.cancel()
        starting.cancel()
        await asyncio.gather(told, starting, return_exceptions=True)
        await lab.stop()
        if transport:
            transport.close()


def _write(file: Path, text: str) -> None:
    """Write the file so that no reader sees half of it. Raises LabError."""
    try:
        _write_atomically(file, text)
    except OSError as error:
        raise LabError(f"cannot write {file}: {error.strerror}; name another --write.") from error


def _write_atomically(file: Path, text: str) -> None:
    handle, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as opened:
            opened.write(text)
        os.replace(name, file)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(name)
        raise


def _remove(file: Path, text: str) -> None:
    """Remove our deployment file, which leads nowhere now; leave anybody else's alone."""
    with contextlib.suppress(OSError, UnicodeDecodeError):
        if file.read_text(encoding="utf-8") == text:
            file.unlink()


class _UntilEof(asyncio.Protocol):
    """Sets an event when the parent's end of the pipe is gone."""

    def __init__(self, stop: asyncio.Event) -> None:
        self._stop = stop

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop.set()


async def _parent_watch(stop: asyncio.Event) -> asyncio.BaseTransport:
    mode = os.fstat(sys.stdin.fileno()).st_mode
    if not (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)):
        raise LabError("--with-parent: expected a pipe as standard input, found none.")
    loop = asyncio.get_running_loop()
    transport, _ = await loop.connect_read_pipe(lambda: _UntilEof(stop), sys.stdin)
    return transport


if __name__ == "__main__":
    sys.exit(main())
