"""A server of the official package, for the tests to run as a child process: ``python mcp_rig.py [KIND]``."""

import asyncio
import os
import sys

from mcp.server import Server
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.server.stdio import stdio_server
from mcp.types import (
    AudioContent,
    BlobResourceContents,
    EmbeddedResource,
    ImageContent,
    ListToolsResult,
    TextResourceContents,
    Tool,
)

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
server = MCPServer("rig")
cancelled = asyncio.Event()


@server.tool()
def pid() -> int:
    """Tell the process."""
    return os.getpid()


@server.tool()
def variable(key: str) -> str:
    """Tell an environment variable."""
    return os.environ.get(key, "not set")


@server.tool(name="files.read", structured_output=False)
def read() -> list[object]:
    """Give one block of every kind."""
    text = TextResourceContents(uri="file:///a.txt", text="inside", mime_type="text/plain")
    blob = BlobResourceContents(uri="file:///b%20c.bin", blob="AAEC", mime_type="application/x-b")
    return [
        "hello",
        ImageContent(data=PIXEL, mime_type="image/png"),
        AudioContent(data="AAEC", mime_type="audio/wav"),
        EmbeddedResource(resource=text),
        EmbeddedResource(resource=blob),
    ]


@server.tool()
def fail() -> str:
    """Go wrong."""
    raise ToolError("the disk is full")


@server.tool()
async def hang(context: Context) -> str:
    """Say that it has begun, and wait for ever."""
    try:
        await context.report_progress(1, 3, "begun")
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        cancelled.set()
        raise
    return "never"


@server.tool()
async def was_cancelled() -> str:
    """Wait until hang was."""
    await cancelled.wait()
    return "yes"


@server.tool()
async def learn(context: Context) -> str:
    """Have one more tool from now on."""
    server.add_tool(lambda: "new", name="learned", description="What was learned.")
    await context.notify_tools_changed()
    return "done"


async def pages() -> None:
    """Three tools on three pages; or on endlessly many."""

    async def listed(context: object, params: object) -> ListToolsResult:
        page = int(getattr(params, "cursor", None) or 0)
        tool = Tool(name=f"tool-{page}", input_schema={"type": "object"})
        last = page == 2 and sys.argv[1] == "pages"
        following = None if last else str((page + 1) % 3)
        return ListToolsResult(tools=[tool], next_cursor=following)

    paged = Server("pages", on_list_tools=listed)
    async with stdio_server() as (reading, writing):
        await paged.run(reading, writing, paged.create_initialization_options())


if __name__ == "__main__":
    kind = sys.argv[1] if len(sys.argv) > 1 else ""
    if kind == "broken":
        sys.exit("no database at hand")
    elif kind == "mute":
        sys.stdin.read()
    elif kind in ("pages", "endless"):
        asyncio.run(pages())
    else:
        print("rig is up", file=sys.stderr)
        server.run()
