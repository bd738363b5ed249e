"""Servers over HTTP that don't do as they should."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web

from polyvox.errors import NetworkError, RequestTimeoutError
from polyvox.messages import ToolCall
from polyvox.model import Call
from polyvox.secret import Secret
from polyvox.tools import Tool, ToolContext, ToolResult, run_tool
from polyvox.tools.mcp import McpToolset

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Serve = Callable[[Handler], Awaitable[str]]


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Serve with this handler; gives the address."""
    runners: list[web.AppRunner] = []

    async def server(handler: Handler) -> str:
        app = web.Application()
        app.router.add_route("*", "/mcp", handler)
        runners.append(web.AppRunner(app, shutdown_timeout=0.1))
        await runners[-1].setup()
        await web.TCPSite(runners[-1], "127.0.0.1", 0).start()
        return f"http://127.0.0.1:{runners[-1].addresses[0][1]}/mcp"

    yield server
    for runner in runners:
        await runner.cleanup()


class Lab:
    """A server of the older protocol, with sessions, that has one tool and counts what it did."""

    def __init__(self) -> None:
        self.sessions = 0
        self.calls = 0
        self.refusal = 0
        self.headers: list[str] = []
        self.deleted = asyncio.Event()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.headers.append(request.headers.get("Authorization", ""))
        if request.method == "DELETE":
            self.deleted.set()
            await asyncio.Event().wait()
        if request.method != "POST":
            return web.Response(status=405)
        asked = await request.json()
        if "id" not in asked:
            return web.Response(status=202)
        if asked["method"] == "initialize":
            self.sessions += 1
        elif request.headers.get("mcp-session-id") != str(self.sessions):
            return web.Response(status=404)
        if asked["method"] == "tools/call" and self.refusal:
            status, self.refusal = self.refusal, 0
            self.sessions += 1
            return web.Response(status=status)
        answer = {"jsonrpc": "2.0", "id": asked["id"], "result": self.result(asked)}
        return web.json_response(answer, headers={"mcp-session-id": str(self.sessions)})

    def result(self, asked: dict[str, Any]) -> dict[str, Any]:
        if asked["method"] == "initialize":
            about = {"name": "lab", "version": "1"}
            version = asked["params"]["protocolVersion"]
            return {"protocolVersion": version, "serverInfo": about, "capabilities": {"tools": {}}}
        if asked["method"] == "tools/list":
            return {"tools": [{"name": "add", "inputSchema": {"type": "object"}}]}
        self.calls += 1
        return {"content": [{"type": "text", "text": "added"}]}


async def outcome(tool: Tool) -> ToolResult:
    context = ToolContext(call=Call(), tool_call=ToolCall("1", tool.name), deps=None)
    return await run_tool(tool, {}, context)


async def test_headers_go_with_every_request(serve: Serve):
    lab = Lab()
    headers = {"Authorization": Secret("Bearer 4711")}
    async with McpToolset.http(await serve(lab.handle), headers=headers) as toolset:
        await toolset.tools()
    assert set(lab.headers) == {"Bearer 4711"}


@pytest.mark.parametrize("status", [400, 404])
async def test_a_session_that_was_forgotten_is_made_anew_and_the_call_sent_once(
    serve: Serve, status: int
):
    lab = Lab()
    async with McpToolset.http(await serve(lab.handle)) as toolset:
        (tool,) = await toolset.tools()
        lab.refusal = status
        assert (await outcome(tool)).text == "added"
    assert lab.calls == 1


async def test_a_server_that_does_not_answer_the_farewell_does_not_hold_the_closing(serve: Serve):
    lab = Lab()
    async with McpToolset.http(await serve(lab.handle)) as toolset:
        await toolset.tools()
    assert lab.deleted.is_set()


async def test_a_refusal_is_told_with_its_status(serve: Serve):
    async def refuse(request: web.Request) -> web.StreamResponse:
        return web.Response(status=401)

    async with McpToolset.http(await serve(refuse), name="lab") as toolset:
        with pytest.raises(NetworkError, match=r"'lab' can't be used at .* HTTP 401"):
            await toolset.tools()


async def test_a_server_that_never_answers_is_given_up(serve: Serve):
    async def wait(request: web.Request) -> web.StreamResponse:
        await asyncio.Event().wait()
        raise AssertionError

    async with McpToolset.http(await serve(wait), connect_timeout=0.2) as toolset:
        with pytest.raises(RequestTimeoutError, match=r"within 0\.2 s"):
            await toolset.tools()
