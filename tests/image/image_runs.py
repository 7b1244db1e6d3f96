"""The image's root and its configuration, and programs run in it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

RUNNER = Path(__file__).with_name("image_container.py")
PEAK_KIB = 64 * 1024
"""What a run in the image may take."""


@dataclass(frozen=True)
class Image:
    """A built image: its files, and what it says of itself (OCI image configuration)."""

    root: Path
    config: Mapping[str, Any]

    @property
    def environment(self) -> dict[str, str]:
        return dict(one.split("=", 1) for one in self.config["Env"])

    @property
    def user(self) -> tuple[int, int]:
        uid, gid = self.config["User"].split(":")
        return int(uid), int(gid)


@dataclass(frozen=True)
class Ended:
    """A program that has ended."""

    code: int
    said: str
    complained: str
    peak_kib: int
    cpu_seconds: float
    disk_bytes: int
    results: Path


class Started:
    """A program in the image."""

    def __init__(
        self,
        image: Image,
        folder: Path,
        *,
        args: Sequence[str] | None = None,
        more: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
        deployment: Path | None = None,
        binds: Sequence[tuple[str, str, str]] = (),
        memory: Sequence[str] = ("/results",),
    ) -> None:
        """`args`: in place of the image's entry point; `more`: behind it."""
        self._folder, self._results = folder, folder / "results"
        environment = {**image.environment, "T3PROBE_LOOPBACK_ONLY": "1", **(env or {})}
        if deployment is not None:
            binds = [*binds, (str(deployment.parent), "/etc/t3probe", "ro")]
            environment["T3PROBE_DEPLOYMENT"] = f"/etc/t3probe/{deployment.name}"
        uid, gid = image.user
        assert uid == gid
        spec = {
            "root": str(image.root),
            "args": [*(image.config["Entrypoint"] if args is None else args), *more],
            "env": environment,
            "cwd": image.config["WorkingDir"],
            "uid": uid,
            "binds": [list(one) for one in binds],
            "memory": list(memory),
            "pid": str(folder / "pid"),
            "cost": str(folder / "cost.json"),
            "keep": ["/results", str(self._results)] if "/results" in memory else None,
        }
        file = folder / "spec.json"
        file.write_text(json.dumps(spec))
        self.process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(RUNNER), str(file)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    @property
    def pid(self) -> int:
        """The program's process id."""
        file = self._folder / "pid"
        while not file.exists():
            assert self.process.poll() is None, self.process.communicate()
            time.sleep(0.001)
        return int(file.read_text())

    def hears(self, number: int) -> bool:
        """Whether it has a handler for this signal. Before the program is there, it has not."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        if "\nUid:\t65532\t" not in status:
            return False
        caught = next(line for line in status.splitlines() if line.startswith("SigCgt:"))
        return bool(int(caught.split()[1], 16) >> (number - 1) & 1)

    def tell(self, number: int = signal.SIGTERM) -> None:
        os.kill(self.pid, number)

    def end(self, seconds: float = 60) -> Ended:
        """Wait for its end; fails when that takes longer than `seconds`."""
        said, complained = self.process.communicate(timeout=seconds)
        file = self._folder / "cost.json"
        assert file.exists(), complained
        cost = json.loads(file.read_text())
        return Ended(said=said, complained=complained, results=self._results, **cost)

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.communicate()


Stamp = tuple[int, int, int, int, int]


def stamps(root: Path) -> dict[str, Stamp]:
    """What would tell of a change, for every file and folder."""
    found = {".": _stamp(root)}
    for folder, folders, files in os.walk(root):
        for name in [*folders, *files]:
            path = os.path.join(folder, name)
            found[os.path.relpath(path, root)] = _stamp(path)
    return found


def _stamp(path: str | Path) -> Stamp:
    one = os.lstat(path)
    return (one.st_mtime_ns, one.st_ctime_ns, one.st_size, one.st_ino, one.st_mode)


def changed(before: Mapping[str, Stamp], after: Mapping[str, Stamp]) -> list[str]:
    """Paths that came, went or changed."""
    return sorted(key for key in before.keys() | after.keys() if before.get(key) != after.get(key))
