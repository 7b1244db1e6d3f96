"""The protocol, by the package `mcp`, and its transport over standard input and output.

Nothing is kept between requests, so that many clients cost no more than their questions.

Over standard input and output there is one client, which started this process. The package's own
transport ends in a traceback when the client is gone, and reads a line however
long it is; so the streams are ours.
"""

from __future__ import annotations

import asyncio
import io
import json
import logging
import os
import sys
from typing import Any, NoReturn

import anyio
from mcp import types
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server
from mcp.shared.exceptions import MCPError

from t3probe.ask.mcp_server.answers import short
from t3probe.ask.mcp_server.tools import TOOLS, Toolbox, ToolError, input_schema, output_schema
from t3probe.exchange.bounds import MCP_REQUEST_BYTES
from t3probe.exchange.terminal import disarmed_json

INSTRUCTIONS = (
    "t3probe sends the same small traffic over several legs that differ in the segments they "
    "cross, and tells which segment broke. These tools read its last recorded run and probe "
    "nothing. source.age_seconds says how old that run is; source.warning says when it is too old."
)


def protocol(tools: Toolbox, version: str) -> Server[Any]:
    """The server, without a transport."""

    async def listed(context: object, params: object) -> types.ListToolsResult:
        return types.ListToolsResult(tools=[*_DESCRIBED])

    async def called(context: object, params: types.CallToolRequestParams) -> types.CallToolResult:
        try:
            answer = await tools.call(params.name, params.arguments)
        except LookupError as error:
            raise MCPError(types.INVALID_PARAMS, str(error)) from error
        except ToolError as error:
            said = types.TextContent(type="text", text=str(error))
            return types.CallToolResult(content=[said], is_error=True)
        text = json.dumps(answer, ensure_ascii=False, separators=(",", ":"))
        said = types.TextContent(type="text", text=text)
        return types.CallToolResult(content=[said], structured_content=answer)

    return Server(
        "t3probe",
        version=version,
        instructions=INSTRUCTIONS,
        on_list_tools=listed,
        on_call_tool=called,
    )


_DESCRIBED = tuple(
    types.Tool(
        name=one.name,
        title=one.title,
        description=one.description,
        input_schema=input_schema(one),
        output_schema=output_schema(one),
        annotations=types.ToolAnnotations(
            title=one.title,
            read_only_hint=True,
            destructive_hint=False,
            idempotent_hint=True,
            open_world_hint=False,
        ),
    )
    for one in TOOLS
)


class _OneLine(logging.Formatter):
    """A sentence on one line: tracebacks do not help those who run this."""

    def format(self, record: logging.LogRecord) -> str:
        """The record without its traceback."""
        kind = record.exc_info[0] if record.exc_info else None
        what = "" if kind is None else f" ({kind.__name__})"
        return f"t3probe: mcp: {short(record.getMessage())}{what}"


def _worth_telling(record: logging.LogRecord) -> bool:
    """Requests that are still open at the end are cancelled, which is no news."""
    kind = record.exc_info[0] if record.exc_info else None
    return kind is None or not issubclass(kind, asyncio.CancelledError)


def quiet_logs() -> None:
    """What the packages underneath warn of goes to standard error, a line each."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_OneLine())
    handler.addFilter(_worth_telling)
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)


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
    """Ends the process when no answer can be written any more: a thread still waits for standard
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
