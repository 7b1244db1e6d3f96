"""The protocol over standard input and output: one client, which started this process.

The package's own transport ends in a traceback when the client is gone, and reads a line however
long it is; so the streams are ours.
"""

from __future__ import annotations

import asyncio
import io
import os
import sys
from typing import Any, NoReturn

import anyio
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server

from t3probe.exchange.bounds import MCP_REQUEST_BYTES
from t3probe.exchange.terminal import disarmed_json

__all__ = ["EXIT_UNWRITABLE", "serve_stdio"]

EXIT_UNWRITABLE = 1
_TOO_LONG = "a request longer than allowed\n"
"""No JSON, so it is answered as what it is: a request that cannot be read."""


class _Requests(io.TextIOWrapper):
    """Lines of a bounded length; of a longer one nothing is kept."""

    def readline(self, size: int = -1, /) -> str:  # type: ignore[override]
        line = super().readline(MCP_REQUEST_BYTES)
        if len(line) < MCP_REQUEST_BYTES or line.endswith("\n"):
            return line
        while (rest := super().readline(MCP_REQUEST_BYTES)) and not rest.endswith("\n"):
            pass
        return _TOO_LONG


class _Answers(io.TextIOWrapper):
    """Ends the process when nobody can be answered any more: a thread still waits for standard
    input then, and cannot be told to stop."""

    def write(self, text: str, /) -> int:
        try:
            return super().write(disarmed_json(text))
        except OSError as error:
            _over(error)

    def flush(self) -> None:
        try:
            super().flush()
        except OSError as error:
            _over(error)


def _over(error: OSError) -> NoReturn:
    if isinstance(error, BrokenPipeError):
        os._exit(0)  # the client is gone
    why = error.strerror or type(error).__name__
    print(
        f"t3probe: mcp: standard output cannot be written ({why}); give it a client that reads it",
        file=sys.stderr, flush=True,
    )  # fmt: skip
    os._exit(EXIT_UNWRITABLE)


def serve_stdio(server: Server[Any]) -> int:
    """Serve one client over standard input and output until it closes them. A signal's handler
    has to end the process: a thread waits for standard input."""
    asyncio.run(_served(server))
    return 0


async def _served(server: Server[Any]) -> None:
    requests = _Requests(os.fdopen(os.dup(0), "rb"), encoding="utf-8", errors="replace")
    answers = _Answers(os.fdopen(os.dup(1), "wb"), encoding="utf-8")
    os.dup2(2, 1)  # whatever else is printed must not stand between answers
    async with stdio_server(anyio.wrap_file(requests), anyio.wrap_file(answers)) as (read, write):
        await server.run(read, write, server.create_initialization_options())
