"""Serving tools to other programs over the Model Context Protocol, by the ``mcp`` package (an extra).

Whoever may connect may call every tool: over HTTP that is, by default, who is on this machine.
"""

import asyncio
import base64
import os
import socket
import sys
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout, suppress
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import quote
from uuid import uuid4

from polyvox import jsontext
from polyvox.errors import (
    ConfigurationError,
    in_words,
)
from polyvox.messages import File, Image, Text, ToolCall, ToolResultBlock
from polyvox.model import Call
from polyvox.tools import ToolArgumentsError, ToolContext, ToolResult, error_result, run_tool
from polyvox.tools.mcp.wires import check_installed
from polyvox.tools.result import plain_value
from polyvox.tools.tool import Tool
from polyvox.tools.toolset import BaseToolset, ToolLike, combine

if TYPE_CHECKING:
    from mcp.server import Server, ServerRequestContext
    from mcp.types import (
        CallToolRequestParams,
        CallToolResult,
        ContentBlock,
        ListToolsResult,
        PaginatedRequestParams,
    )

__all__ = ["serve_tools"]

_PATH = "/mcp"
_GRACE_SECONDS = 1
_MOST_UPDATES = 1_000


async def serve_tools(
    tools: Sequence[ToolLike],
    *,
    name: str = "polyvox",
    transport: Literal["stdio", "http"] = "stdio",
    host: str = "127.0.0.1",
    port: int = 8000,
    on_ready: Callable[[str], None] | None = None,
) -> None:
    """Serve tools over MCP until cancelled, or until the client of a "stdio" server has gone.

    Args:
        tools: tools, functions and sets of them, which are closed at the end.
        name: what the server says it is called.
        transport: "stdio", for a program that starts this one (what tools print goes to stderr); or
            "http", for any number of clients at ``http://<host>:<port>/mcp``.
        host: the address to listen at. Another one than this machine's own lets others in: there is no
            login, so put a proxy with one before it.
        port: 0 takes a free one.
        on_ready: told the address when clients may connect over HTTP.

    Nobody is there to approve a call: tools that need it are refused. Raises ``ConfigurationError`` for
    two tools of one name, a taken port, and without the extra ``mcp``.
    """
    check_installed()
    async with combine(*tools, name=name) as toolset:
        await toolset.tools()  # what is wrong with them is told before anybody connects
        server = _Served(toolset).server(name)
        if transport == "stdio":
            await _over_stdio(server)
        else:
            await _over_http(server, host, port, on_ready)


class _Served:
    """Answers the two requests that there are of tools."""

    def __init__(self, toolset: BaseToolset) -> None:
        self._toolset = toolset

    def server(self, name: str) -> "Server[Any]":
        from mcp.server import Server

        return Server(
            name,
            version=version("polyvox"),
            on_list_tools=self._list,
            on_call_tool=self._call,
        )

    async def _list(
        self, context: "ServerRequestContext[Any]", params: "PaginatedRequestParams | None"
    ) -> "ListToolsResult":
        from mcp.types import ListToolsResult
        from mcp.types import Tool as Listed

        definitions = [tool.definition for tool in await self._toolset.tools()]
        return ListToolsResult(
            tools=[
                Listed(
                    name=each.name,
                    description=each.description or None,
                    input_schema={"type": "object", **each.parameters},
                )
                for each in definitions
            ]
        )

    async def _call(
        self, context: "ServerRequestContext[Any]", params: "CallToolRequestParams"
    ) -> "CallToolResult":
        from mcp import MCPError
        from mcp.types import INVALID_PARAMS

        tools = {tool.name: tool for tool in await self._toolset.tools()}
        if params.name not in tools:
            raise MCPError(INVALID_PARAMS, f"Unknown tool: {params.name}")
        async with _Progress(context) as progress:
            result = await _run(tools[params.name], params.arguments or {}, progress)
        return _answer(result)


async def _run(tool: Tool, arguments: dict[str, Any], progress: "_Progress") -> ToolResult:
    context = ToolContext(
        call=Call(),
        tool_call=ToolCall(f"mcp-{uuid4().hex}", tool.name, arguments),
        deps=None,
        on_update=progress.tell,
    )
    try:
        values = tool.read(arguments)
        refused = tool.approval_needed(values, context)
    except ToolArgumentsError as error:
        return error_result(error.text)
    except Exception as error:  # noqa: BLE001 - a failing approval is no approval
        return error_result(f"{tool.name} was not run: {in_words(error)}")
    if refused:
        return error_result(f"{tool.name} needs somebody's approval, and nobody is here to give it")
    return await run_tool(tool, values, context)


class _Progress:
    """Sends what a tool tells on its way, in order; all is sent before its result.

    When the client takes it too slowly, the oldest of what waits is dropped.
    """

    def __init__(self, context: "ServerRequestContext[Any]") -> None:
        self._session = context.session
        self._told: asyncio.Queue[str | None] = asyncio.Queue(_MOST_UPDATES)

    def tell(self, partial: ToolResult) -> None:
        self._put(_clean(partial.text))

    async def __aenter__(self) -> "_Progress":
        self._sending = asyncio.create_task(self._send())
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            self._sending.cancel()
        self._put(None)
        await asyncio.wait({self._sending})

    def _put(self, text: str | None) -> None:
        if self._told.full():
            self._told.get_nowait()
        self._told.put_nowait(text)

    async def _send(self) -> None:
        count = 0
        with suppress(Exception):  # the client has gone, or wants none: its result is yet to come
            while (text := await self._told.get()) is not None:
                count += 1
                await self._session.report_progress(count, message=text or None)


def _answer(result: ToolResult) -> "CallToolResult":
    from mcp.types import CallToolResult

    details = result.details
    try:
        structured = _clean(plain_value(details)) if details is not None else None
    except (TypeError, ValueError, RecursionError):
        structured = None  # it is for the program that made it
    return CallToolResult(
        content=[_block(block) for block in result.content],
        structured_content=structured if isinstance(structured, dict) else None,
        is_error=result.is_error,
    )


def _block(block: ToolResultBlock) -> "ContentBlock":
    from mcp.types import (
        AudioContent,
        BlobResourceContents,
        EmbeddedResource,
        ImageContent,
        ResourceLink,
        TextContent,
    )

    if isinstance(block, Text):
        return TextContent(text=_clean(block.text))
    media_type = block.media_type or None
    if block.data is None:
        place = block.url or f"file:{block.id if isinstance(block, File) else ''}"
        name = isinstance(block, File) and block.name
        return ResourceLink(name=name or place, uri=place, mime_type=media_type)
    data = base64.b64encode(block.data).decode()
    if isinstance(block, Image):
        return ImageContent(data=data, mime_type=block.media_type)
    if block.media_type.startswith("audio/"):
        return AudioContent(data=data, mime_type=block.media_type)
    uri = f"file:///{quote(_clean(block.name) or 'result', safe='')}"
    return EmbeddedResource(resource=BlobResourceContents(uri=uri, blob=data, mime_type=media_type))


def _clean(value: Any) -> Any:
    """As it is in JSON that any client can read: half an emoji would end the server, not the call."""
    return jsontext.decode(jsontext.encode(value), object)


async def _over_stdio(server: "Server[Any]") -> None:
    from mcp import stdio_server

    async with stdio_server() as (read, write):
        with redirect_stdout(
            sys.stderr
        ):  # what tools print must not come after the messages either
            await server.run(read, write, server.create_initialization_options())


async def _over_http(
    server: "Server[Any]", host: str, port: int, on_ready: Callable[[str], None] | None
) -> None:
    import uvicorn

    app = server.streamable_http_app(streamable_http_path=_PATH, host=host)
    running = uvicorn.Server(
        uvicorn.Config(
            app, log_config=None, access_log=False, timeout_graceful_shutdown=_GRACE_SECONDS
        )
    )
    with _listening(host, port) as listener:
        if on_ready is not None:
            shown = f"[{host}]" if ":" in host else host
            on_ready(f"http://{shown}:{listener.getsockname()[1]}{_PATH}")
        serving = asyncio.create_task(running.serve(sockets=[listener]))
        try:
            await asyncio.shield(serving)
        finally:
            running.should_exit = True  # when cancelled: its own way to end leaves nothing behind
            await asyncio.wait({serving})


def _listening(host: str, port: int) -> socket.socket:
    """A socket that takes connections from now on, even before anybody answers them."""
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        if os.name == "posix":  # else the port of a server that just ended is not free for a while
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen()
    except OSError as error:
        listener.close()
        raise ConfigurationError(f"can't listen at {host}, port {port}: {error}") from error
    return listener
