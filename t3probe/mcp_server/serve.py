"""The protocol, by the package `mcp`: over stdio, and as streamable HTTP on loopback.

Nothing is kept between requests, so that many clients cost no more than their questions. Over
HTTP the package checks Host and Origin: no web page can reach it through a name that it made to
lead to loopback.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from typing import Any

import uvicorn
from mcp import types
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server
from mcp.server.transport_security import TransportSecuritySettings
from mcp.shared.exceptions import MCPError

from t3probe.mcp_server.tools import TOOLS, Toolbox, ToolError, input_schema, output_schema

__all__ = ["PATH", "protocol", "serve_http", "serve_stdio"]

PATH = "/mcp"
REQUEST_BYTES = 256 << 10
CONNECTIONS = 64
END_SECONDS = 2
"""How long open requests may take to end after SIGTERM."""
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


def serve_stdio(server: Server[Any]) -> int:
    """Serve one client over standard input and output until it closes them, or a signal."""
    for one in (signal.SIGTERM, signal.SIGINT):
        # A thread waits for standard input and cannot be told to stop; nothing needs saving.
        signal.signal(one, lambda number, frame: os._exit(0))

    async def serve() -> None:
        async with stdio_server() as (read, write):
            await server.run(read, write, server.create_initialization_options())

    asyncio.run(serve())
    return 0


def serve_http(server: Server[Any], listening: socket.socket) -> int:
    """Serve every client of a listening socket until a signal.

    uvicorn handles signals itself, and raises the one that ended it once more for the caller's
    own handler, which has to end the process with 0.
    """
    host, port = listening.getsockname()[:2]
    name = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    hosts = [*dict.fromkeys((name, f"localhost:{port}"))]
    application = server.streamable_http_app(
        streamable_http_path=PATH,
        json_response=True,
        stateless_http=True,
        max_request_body_size=REQUEST_BYTES,
        transport_security=TransportSecuritySettings(
            enable_dns_rebinding_protection=True,
            allowed_hosts=hosts,
            allowed_origins=[f"http://{one}" for one in hosts],
        ),
    )
    config = uvicorn.Config(
        application, loop="asyncio", http="h11", ws="none", log_config=None, access_log=False,
        server_header=False, limit_concurrency=CONNECTIONS, timeout_keep_alive=30,
        timeout_graceful_shutdown=END_SECONDS,
    )  # fmt: skip
    print(f"t3probe: mcp: serving at http://{name}{PATH}", file=sys.stderr, flush=True)
    uvicorn.Server(config).run(sockets=[listening])
    return 0
