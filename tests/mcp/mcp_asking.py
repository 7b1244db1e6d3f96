"""Asking: the tools themselves, the server inside this process, and one in its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, TextIO

import jsonschema
from mcp import Client
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp_runs import NOW

from t3probe.ask.mcp_server.drop import DropSources
from t3probe.ask.mcp_server.of_run import RunFiles
from t3probe.ask.mcp_server.tools import TOOLS, Sources, Toolbox, ToolError, output_schema
from t3probe.deliver.sinks.gateway import Gateway
from t3probe.timing import Clock, FakeClock

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = [sys.executable, "-m", "t3probe.cli", "mcp"]
ENVIRONMENT = {"T3PROBE_LOOPBACK_ONLY": "1", "PYTHONPATH": str(ROOT)}
SECONDS = 30.0
"""For things that take a moment, on however busy a machine."""


class Asked:
    """Tools that answer out of some files or a gateway, at a known time."""

    def __init__(
        self,
        *names: Path | str,
        gateway: Gateway | None = None,
        prometheus: str | None = None,
        deployment: Path | None = None,
        gloss: Mapping[str, str] | None = None,
        clock: Clock | None = None,
        **more: Any,
    ) -> None:
        self.runs = RunFiles([str(one) for one in names]) if names else None
        self.clock = clock or FakeClock(wall=NOW + 10)
        drop = DropSources(
            runs=self.runs, prometheus=prometheus,
            deployment=None if deployment is None else str(deployment), job="t3-probe",
            vantage=None,
        )  # fmt: skip
        self.tools = Toolbox(Sources(self.runs, gateway, drop, gloss or {}), self.clock, {}, **more)

    async def __call__(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """The answer, which fits its schema."""
        answer = await self.tools.call(tool, arguments)
        kind = next(one for one in TOOLS if one.name == tool)
        jsonschema.validate(answer, output_schema(kind))
        return answer

    async def refused(self, tool: str, **arguments: Any) -> str:
        """The sentence with which it does not answer."""
        try:
            answer = await self.tools.call(tool, arguments)
        except ToolError as error:
            text = str(error)
            assert text.isprintable(), text
            assert len(text) < 800, text
            return text
        raise AssertionError(f"it answered: {answer}")


@asynccontextmanager
async def over_stdio(*words: str | Path, folder: Path) -> AsyncIterator[Client]:
    """A client with a server of its own as a child, started in `folder`."""
    parameters = StdioServerParameters(
        command=PROGRAM[0], args=[*PROGRAM[1:], *map(str, words)], env=ENVIRONMENT, cwd=folder
    )
    with _appending(folder / "stderr.txt") as errors:
        async with Client(stdio_client(parameters, errlog=errors)) as client:
            yield client


@contextmanager
def started(words: Sequence[str | Path], folder: Path) -> Iterator[subprocess.Popen[str]]:
    """The program, ended when it is left."""
    process = subprocess.Popen(
        [*PROGRAM, *map(str, words)], cwd=folder, env={**_plain(), **ENVIRONMENT}, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    with process:
        try:
            yield process
        finally:
            process.kill()


def _appending(file: Path) -> TextIO:
    return file.open("a")


def _plain() -> Mapping[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("T3PROBE_")}


@contextmanager
def serving(*words: str | Path, folder: Path) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """A server over HTTP on a free port: its URL and the process."""
    http = ["--transport", "http", "--listen", "127.0.0.1:0"]
    with started([*words, *http], folder) as process:
        assert process.stderr is not None
        line = process.stderr.readline()
        found = re.search(r"http://\S+", line)
        assert found, line + process.stderr.read()
        yield found[0], process
