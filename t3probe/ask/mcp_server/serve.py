"""The protocol, by the package `mcp`, without a transport.

Nothing is kept between requests, so that many clients cost no more than their questions.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from typing import Any

from mcp import types
from mcp.server.lowlevel import Server
from mcp.shared.exceptions import MCPError

from t3probe.ask.mcp_server.answers import short
from t3probe.ask.mcp_server.tools import TOOLS, Toolbox, ToolError, input_schema, output_schema

__all__ = ["protocol", "quiet_logs"]

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
    """A sentence on one line: tracebacks help nobody who runs this."""

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
