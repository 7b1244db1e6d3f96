"""A lab as a child process, for tests and for runs without a deployment of their own.

Imports nothing heavy: the lab's own libraries are loaded in the child only. The child ends
when its parent does, however that ends: it watches the pipe that is its standard input.
"""

from __future__ import annotations

import os
import select
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import IO, Any

from t3probe.lab import control
from t3probe.lab.control import LabError

START_SECONDS = 30
STOP_SECONDS = 5


class LabProcess:
    """One lab. Use it as a context manager, or call `start` and `stop`."""

    def __init__(
        self,
        faults: Sequence[str] = (),
        timing: Mapping[str, str] | None = None,
        *,
        experiments: int = 0,
        opinions: bool = False,
    ) -> None:
        """`faults` as text (`t3probe.lab.faults`); `timing` overrides the deployment's, such as
        `{"hold": "2s"}`; `experiments`: so many remote rigs; `opinions`: cloudflared and
        Traefik say what they think."""
        self._experiments, self._opinions = experiments, opinions
        self._faults = list(faults)
        self._timing = dict(timing or {})
        self._process: subprocess.Popen[bytes] | None = None
        self._folder = ""
        self._errors: IO[bytes] | None = None
        self._last_errors = ""
        self._control = ""
        self._token = ""
        self.ready_line = ""
        """What the lab said when it was ready."""

    @property
    def deployment_path(self) -> str:
        """The lab's deployment file."""
        return os.path.join(self._folder, "lab.toml")

    @property
    def pid(self) -> int:
        """The lab's process id; 0 when it does not run."""
        return self._process.pid if self._process else 0

    @property
    def control(self) -> str:
        """The control socket, host:port."""
        return self._control

    @property
    def token(self) -> str:
        """What an order to it must hold."""
        return self._token

    def start(self) -> LabProcess:
        """Start the lab; returns once every hop has answered end to end.

        Raises LabError with one sentence when the child could not start.
        """
        self._folder = tempfile.mkdtemp(prefix="t3probe-lab-file-")
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed by stop
        command = [sys.executable, "-m", "t3probe.lab", "--write", self.deployment_path]
        command += ["--with-parent"]
        if self._experiments:
            command += ["--experiments", str(self._experiments)]
        command += ["--opinions"] * self._opinions
        command += [part for fault in self._faults for part in ("--fault", fault)]
        command += [part for key in self._timing for part in ("--timing", self._pair(key))]
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                start_new_session=True,  # a Ctrl-C is for the run, which still needs its lab
            )
            self._wait_until_ready(self._process)
        except BaseException:
            self.stop()
            raise
        return self

    def switch(self, faults: Sequence[str]) -> dict[str, Any]:
        """Replace the faults in force. Raises ControlError."""
        return control.switch(self._control, self._token, faults)

    def clear(self) -> dict[str, Any]:
        """End every fault. Raises ControlError."""
        return control.switch(self._control, self._token, [])

    def status(self) -> dict[str, Any]:
        """The lab's faults, connections and tasks. Raises ControlError."""
        return control.ask(self._control, self._token, {"status": True})

    def errors(self) -> str:
        """What the child has written to its standard error, up to its end; empty when all is
        well."""
        if not self._errors:
            return self._last_errors
        self._errors.seek(0)
        return self._errors.read().decode("utf-8", "replace")

    def stop(self) -> None:
        """End the child (SIGTERM, then SIGKILL) and remove its files. May be called twice."""
        process, self._process = self._process, None
        if process:
            process.terminate()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe:
                    pipe.close()
        if self._errors:
            self._last_errors = self.errors()
            self._errors.close()
            self._errors = None
        if self._folder:
            shutil.rmtree(self._folder, ignore_errors=True)

    def __enter__(self) -> LabProcess:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _pair(self, key: str) -> str:
        return f"{key}={self._timing[key]}"

    def _wait_until_ready(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        readable, _, _ = select.select([process.stdout], [], [], START_SECONDS)
        line = process.stdout.readline() if readable else b""
        if not line:
            if not readable:
                raise LabError(f"the lab was not ready after {START_SECONDS} s: try again.")
            process.wait(STOP_SECONDS)
            said = self.errors().strip().splitlines()
            why = said[-1] if said else f"it said nothing and exited with {process.returncode}."
            raise LabError(why)
        self.ready_line = line.decode("utf-8", "replace").strip()
        self._control = _line_of(self.deployment_path, "control")
        self._token = _line_of(self.deployment_path, "token")


def _line_of(path: str, key: str) -> str:
    """What a lab's deployment file says for `key` (without a TOML parser)."""
    with open(path, encoding="utf-8") as file:
        for line in file:
            if line.startswith(f"{key} = "):
                return line.split('"')[1]
    raise LabError(f"{path}: expected a line `{key} = ...`, found none.")
