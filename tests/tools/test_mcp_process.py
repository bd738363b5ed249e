"""Servers that are child processes and don't do as they should."""

import asyncio
import io
import os
import select
import sys
from pathlib import Path
from typing import Any

import pytest

from polyvox.errors import NetworkError, ProtocolError
from polyvox.tools import ToolResult
from polyvox.tools.mcp import McpToolset
from polyvox.tools.mcp.wires import HttpPlace

from .test_mcp import call, gone, process_of

RAW = str(Path(__file__).with_name("mcp_raw.py"))


def raw(kind: str, **options: Any) -> McpToolset:
    return McpToolset.stdio(sys.executable, RAW, kind, name="raw", **options)


async def called(kind: str) -> ToolResult:
    async with raw(kind) as toolset:
        return await call(toolset, "pid")


def actor() -> "asyncio.Task[Any]":
    """The task that a session lives in."""
    return next(each for each in asyncio.all_tasks() if each.get_name() == "polyvox-mcp-raw")


async def test_what_a_server_writes_that_is_no_message_goes_where_its_stderr_does(
    capfd: pytest.CaptureFixture[str],
):
    sink = io.StringIO()
    async with raw("noisy", stderr=sink) as toolset:
        assert await process_of(toolset)
    assert sink.getvalue().splitlines()[:2] == ["Server is up!", "\ufffd\ufffd"]
    assert capfd.readouterr() == ("", "")


async def test_a_message_may_be_of_any_size():
    assert len((await called("giant")).text) == 20_000_000


async def test_an_answer_of_an_unknown_kind_is_an_error_that_names_the_server():
    result = await called("hologram")
    assert result.is_error
    assert "the MCP server 'raw' answered what the protocol does not know" in result.text


async def test_a_list_of_what_are_no_tools_is_an_error_of_ours():
    async with raw("bare") as toolset:
        with pytest.raises(ProtocolError, match=r"'raw' answered what .*inputSchema"):
            await toolset.tools()


async def test_a_server_that_does_not_want_to_end_is_ended():
    toolset = raw("stubborn")
    process = await process_of(toolset)
    await toolset.aclose()
    assert gone(process)


async def test_a_server_is_gone_even_when_its_end_is_cancelled():
    toolset = raw("stubborn")
    process = await process_of(toolset)
    closing = asyncio.create_task(toolset.aclose())
    await asyncio.sleep(0)  # the session is told
    await asyncio.sleep(0)  # and begins to end
    actor().cancel()
    await closing
    assert gone(process)


def test_a_loop_that_ends_while_a_server_is_ended_ends_too():
    async def left() -> int:
        toolset = raw("stubborn")
        process = await process_of(toolset)
        task = asyncio.create_task(toolset.aclose())
        task.add_done_callback(lambda _: None)
        await asyncio.sleep(0)
        return process

    assert gone(asyncio.run(left()))


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="the end of others is told on Linux only")
async def test_what_a_server_has_started_ends_with_it(tmp_path: Path):
    script = tmp_path / "server.py"
    note = tmp_path / "pid"
    script.write_text(
        "import runpy, subprocess, sys\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        f"open({str(note)!r}, 'w').write(str(child.pid))\n"
        f"sys.argv = ['raw', 'plain']; runpy.run_path({RAW!r}, run_name='__main__')\n"
    )
    async with McpToolset.stdio(sys.executable, str(script), name="raw") as toolset:
        assert await process_of(toolset)
        child = os.pidfd_open(int(note.read_text()))
    ended, _, _ = select.select([child], [], [], 10)
    os.close(child)
    assert ended


async def test_what_was_given_in_headers_and_variables_is_not_shown():
    toolset = McpToolset.http("http://127.0.0.1:1/mcp", headers={"Authorization": "Bearer hush"})
    place = toolset._place  # pyright: ignore[reportPrivateUsage]
    assert isinstance(place, HttpPlace)
    assert "hush" not in repr(place)
    assert "hush" not in repr(raw("plain", env={"TOKEN": "hush"})._place)  # pyright: ignore[reportPrivateUsage]


async def test_what_may_be_secret_in_an_address_is_not_told():
    toolset = McpToolset.http("http://ada:hush@127.0.0.1:1/mcp?key=hush")
    with pytest.raises(NetworkError, match=r"127\.0\.0\.1:1/mcp") as caught:
        await toolset.tools()
    assert "hush" not in str(caught.value)


async def test_a_sink_that_can_not_take_a_line_does_not_end_the_server():
    sink = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    async with raw("noisy", stderr=sink) as toolset:
        assert await process_of(toolset)
    sink.seek(0)
    assert sink.readline() == "Server is up!\n"
