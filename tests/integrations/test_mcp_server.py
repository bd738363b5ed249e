"""The official client against our tools, served over stdio by the command line, and over HTTP."""

import asyncio
import base64
import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest
from mcp import Client, MCPError, StdioServerParameters, stdio_client
from mcp.types import (
    AudioContent,
    BlobResourceContents,
    EmbeddedResource,
    ImageContent,
    ResourceLink,
    TextContent,
)

from polyvox.errors import ConfigurationError
from polyvox.integrations import serve_tools
from polyvox.messages import File, ToolCall
from polyvox.model import Call
from polyvox.tools import ToolContext, run_tool, tool
from polyvox.tools.discovery import discover
from polyvox.tools.mcp import McpToolset

HERE = Path(__file__).parent


@asynccontextmanager
async def serving() -> AsyncIterator[str]:
    """Serve the tools over HTTP on a free port; gives the address."""
    ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    toolset = discover(HERE / "served_tools.py")
    task = asyncio.create_task(
        serve_tools([toolset], transport="http", port=0, on_ready=ready.set_result)
    )
    await asyncio.wait({task, ready}, return_when=asyncio.FIRST_COMPLETED)
    try:
        yield ready.result()
    finally:
        task.cancel()
        await asyncio.wait({task})
    assert task.cancelled()


def by_command_line() -> StdioServerParameters:
    arguments = ["-m", "polyvox.cli", "tool", "serve", "--name", "shop", "served_tools"]
    return StdioServerParameters(command=sys.executable, args=arguments, cwd=HERE)


Connect = Callable[[], AbstractAsyncContextManager[Client]]


@pytest.fixture(params=["stdio", "stdio-legacy", "http", "http-legacy"])
def connect(request: pytest.FixtureRequest) -> Connect:
    """The client is to be entered and left by one task, which a fixture of its own would not be."""
    mode = "legacy" if request.param.endswith("legacy") else "auto"

    @asynccontextmanager
    async def over_stdio() -> AsyncIterator[Client]:
        with open(os.devnull, "w") as nowhere:  # noqa: ASYNC230
            transport = stdio_client(by_command_line(), errlog=nowhere)
            async with Client(transport, mode=mode) as client:
                yield client

    @asynccontextmanager
    async def over_http() -> AsyncIterator[Client]:
        async with serving() as address, Client(address, mode=mode) as client:
            yield client

    return over_stdio if request.param.startswith("stdio") else over_http


async def test_tools_are_listed_with_their_schemas(connect: Connect):
    async with connect() as client:
        tools = {each.name: each for each in (await client.list_tools()).tools}
        others = {"add", "count", "show", "refuse", "delete", "hang", "was_cancelled"}
        assert set(tools) == {*others, "odd", "buy"}
        add = tools["add"]
        assert add.description == "Add two numbers."
        assert add.input_schema["properties"]["a"] == {
            "type": "integer",
            "description": "the first",
        }


async def test_a_tool_is_called_and_may_print(connect: Connect):
    async with connect() as client:
        result = await client.call_tool("add", {"a": 2, "b": 3})
        assert result.content == [TextContent(text="5")]
        assert not result.is_error


async def test_every_kind_of_block_arrives(connect: Connect):
    async with connect() as client:
        result = await client.call_tool("show")
        text, picture, link, sound, file = result.content
        assert text == TextContent(text="hello")
        assert isinstance(picture, ImageContent)
        assert base64.b64decode(picture.data).startswith(b"\x89PNG")
        assert isinstance(link, ResourceLink)
        assert link.uri == "http://127.0.0.1/cat.png"
        assert isinstance(sound, AudioContent)
        assert isinstance(file, EmbeddedResource)
        assert isinstance(file.resource, BlobResourceContents)
        assert file.resource.uri == "file:///a%20b%2520%2Fc%3F.pdf"
        assert file.resource.mime_type == "application/pdf"
        assert result.structured_content == {"pages": 1}


@pytest.mark.parametrize(
    ("name", "arguments", "told"),
    [
        ("add", {"a": "two", "b": 3}, "a: expected a whole number"),
        ("refuse", {}, "not on a Sunday"),
        ("delete", {}, "needs somebody's approval"),
        ("buy", {}, "buy was not run: LookupError: who is asking?"),
    ],
)
async def test_what_goes_wrong_is_an_error_that_the_model_can_read(
    connect: Connect, name: str, arguments: dict[str, object], told: str
):
    async with connect() as client:
        result = await client.call_tool(name, arguments)
        assert result.is_error
        assert isinstance(result.content[0], TextContent)
        assert told in result.content[0].text


async def test_what_can_not_be_sent_as_it_is_does_not_end_the_server(connect: Connect):
    async with connect() as client:
        result = await client.call_tool("odd")
        assert result.content == [TextContent(text="half \ufffd")]
        assert result.structured_content is None
        assert (await client.call_tool("add", {"a": 2, "b": 3})).content == [TextContent(text="5")]


async def test_an_unknown_tool_is_an_error_of_the_protocol(connect: Connect):
    async with connect() as client:
        with pytest.raises(MCPError, match="Unknown tool: nothing"):
            await client.call_tool("nothing")


async def test_progress_arrives_in_order(connect: Connect):
    async with connect() as client:
        told: list[tuple[float, str | None]] = []

        async def hear(progress: float, total: float | None, message: str | None) -> None:
            told.append((progress, message))

        await client.call_tool("count", {"to": 3}, progress_callback=hear)
        assert told == [(1, "at 1"), (2, "at 2"), (3, "at 3")]


async def test_cancelling_reaches_the_tool(connect: Connect):
    async with connect() as client:
        begun = asyncio.Event()

        async def hear(progress: float, total: float | None, message: str | None) -> None:
            begun.set()

        calling = asyncio.create_task(client.call_tool("hang", progress_callback=hear))
        await begun.wait()
        calling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await calling
        result = await client.call_tool("was_cancelled")
        assert result.content == [TextContent(text="yes")]


async def test_our_own_sets_read_what_we_serve():
    async with serving() as address, McpToolset.http(address) as toolset:
        show = next(each for each in await toolset.tools() if each.name == "show")
        call = ToolCall("1", "show")
        result = await run_tool(show, {}, ToolContext(call=Call(), tool_call=call, deps=None))
        assert result.content[-1] == File(
            b"%PDF", media_type="application/pdf", name="a b%20/c?.pdf"
        )


async def test_a_port_that_is_taken_is_told():
    async with serving() as address:
        port = int(address.rpartition(":")[2].removesuffix("/mcp"))
        with pytest.raises(ConfigurationError, match=f"can't listen at 127.0.0.1, port {port}"):
            await serve_tools([], transport="http", port=port)


async def test_what_is_wrong_with_the_tools_is_told_before_anybody_connects():
    @tool(name="add")
    def other() -> str:
        return ""

    with pytest.raises(ConfigurationError, match="two tools are called 'add'"):
        await serve_tools([discover(HERE / "served_tools.py"), other])
