"""The Model Context Protocol's own reference server, "everything" from npm, as a set of tools."""

import asyncio
import os
import shutil
import signal
import socket
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from polyvox.errors import NetworkError
from polyvox.messages import Image, ToolCall
from polyvox.model import Call
from polyvox.tools import ToolContext, ToolResult, run_tool
from polyvox.tools.mcp import McpToolset

NODE = shutil.which("node")
PACKAGES = Path(__file__).resolve().parents[2] / ".node" / "node_modules"
SERVER = PACKAGES / "@modelcontextprotocol" / "server-everything" / "dist" / "index.js"

pytestmark = pytest.mark.skipif(NODE is None, reason="there is no node on this machine")


def over_stdio() -> McpToolset:
    return McpToolset.stdio(str(NODE), str(SERVER), "stdio", name="everything")


@asynccontextmanager
async def listening(port: int) -> AsyncIterator[Process]:
    """The server over HTTP; it says on stderr when it is there."""
    process = await asyncio.create_subprocess_exec(
        str(NODE), str(SERVER), "streamableHttp", env={"PORT": str(port)}, stdout=PIPE, stderr=PIPE
    )
    try:
        assert process.stderr is not None
        while b"listening" not in (line := await process.stderr.readline()):
            assert line, "the server has ended"
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


@pytest.fixture(scope="module", autouse=True)
def _installed() -> None:
    assert SERVER.exists(), "the server is missing: run 'make setup'"


@pytest.fixture(params=["stdio", "http"])
async def everything(request: pytest.FixtureRequest) -> AsyncIterator[McpToolset]:
    if request.param == "stdio":
        async with over_stdio() as toolset:
            yield toolset
        return
    port = free_port()
    async with listening(port), McpToolset.http(f"http://127.0.0.1:{port}/mcp") as toolset:
        yield toolset


async def call(
    toolset: McpToolset,
    name: str,
    told: "asyncio.Queue[ToolResult] | None" = None,
    **arguments: Any,
) -> ToolResult:
    tool = {each.name: each for each in await toolset.tools()}[name]
    context = ToolContext(
        call=Call(),
        tool_call=ToolCall("1", name, arguments),
        deps=None,
        on_update=told.put_nowait if told else lambda _: None,
    )
    return await run_tool(tool, tool.read(arguments), context)


async def test_a_tool_is_listed_and_called(everything: McpToolset):
    assert (await call(everything, "echo", message="hello")).text == "Echo: hello"


async def test_a_picture_comes_as_one(everything: McpToolset):
    blocks = (await call(everything, "get-tiny-image")).content
    assert [block.media_type for block in blocks if isinstance(block, Image)] == ["image/png"]


async def test_a_link_to_a_resource_is_told_as_text(everything: McpToolset):
    result = await call(everything, "get-resource-links", count=1)
    assert "demo://resource/dynamic/" in result.text


async def test_structured_content_is_in_the_details(everything: McpToolset):
    result = await call(everything, "get-structured-content", location="Chicago")
    assert set(result.details) == {"temperature", "conditions", "humidity"}


async def test_what_the_server_refuses_is_an_error_result(everything: McpToolset):
    result = await call(everything, "gzip-file-as-resource", data="ftp://127.0.0.1/x")
    assert result.is_error
    assert "ftp" in result.text


async def test_progress_is_told(everything: McpToolset):
    told: asyncio.Queue[ToolResult] = asyncio.Queue()
    await call(everything, "trigger-long-running-operation", told, duration=0.2, steps=2)
    assert [told.get_nowait().text for _ in range(told.qsize())] == ["1 of 2", "2 of 2"]


async def test_a_cancelled_call_leaves_the_session_usable(everything: McpToolset):
    told: asyncio.Queue[ToolResult] = asyncio.Queue()
    slow = call(everything, "trigger-long-running-operation", told, duration=60, steps=600)
    calling = asyncio.create_task(slow)
    await told.get()
    calling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await calling
    assert (await call(everything, "get-sum", a=1, b=2)).text == "The sum of 1 and 2 is 3."


async def test_a_session_that_the_server_forgot_is_made_anew():
    port = free_port()
    async with McpToolset.http(f"http://127.0.0.1:{port}/mcp", name="everything") as toolset:
        async with listening(port) as process:
            tool = {each.name: each for each in await toolset.tools()}["echo"]
            os.kill(process.pid, signal.SIGKILL)
        values = {"message": "again"}
        async with listening(port):
            context = ToolContext(call=Call(), tool_call=ToolCall("1", "echo"), deps=None)
            result = await run_tool(tool, values, context)
            assert result.text == "Echo: again"


async def test_an_address_without_a_server_is_told():
    async with McpToolset.http(f"http://127.0.0.1:{free_port()}/mcp", name="lab") as toolset:
        with pytest.raises(NetworkError, match=r"the MCP server 'lab' can't be used at .*Connect"):
            await toolset.tools()
