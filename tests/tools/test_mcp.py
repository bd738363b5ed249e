"""Servers of the official package, run as child processes, as sets of tools."""

import asyncio
import io
import logging
import os
import shutil
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from polyvox.errors import ConfigurationError, NetworkError, ProtocolError, RequestTimeoutError
from polyvox.messages import File, Image, Text, ToolCall
from polyvox.model import Call
from polyvox.secret import Secret
from polyvox.tools import Tool, ToolContext, ToolResult, run_tool
from polyvox.tools.mcp import McpToolset
from polyvox.tools.mcp.content import legal_names
from polyvox.tools.toolset import BaseToolset, combine

RIG = str(Path(__file__).with_name("mcp_rig.py"))


def rig(*kind: str, **options: Any) -> McpToolset:
    return McpToolset.stdio(sys.executable, RIG, *kind, name="rig", **options)


@pytest.fixture
async def server() -> AsyncIterator[McpToolset]:
    async with rig() as toolset:
        yield toolset


async def tool(toolset: BaseToolset, name: str) -> Tool:
    return {each.name: each for each in await toolset.tools()}[name]


async def call(
    toolset: BaseToolset, name: str, told: "asyncio.Queue[ToolResult] | None" = None, **values: Any
) -> ToolResult:
    found = await tool(toolset, name)
    context = ToolContext(
        call=Call(),
        tool_call=ToolCall("1", name, values),
        deps=None,
        on_update=told.put_nowait if told else lambda _: None,
    )
    return await run_tool(found, found.read(values), context)


async def process_of(toolset: McpToolset) -> int:
    return int((await call(toolset, "pid")).text)


def gone(process: int) -> bool:
    """Whether there is no such process, not even one that nobody has asked for its status."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    return False


async def session_ends() -> None:
    """Until nothing of any session is left in this loop."""
    tasks = {each for each in asyncio.all_tasks() if each.get_name() == "polyvox-mcp-rig"}
    await asyncio.wait(tasks)


# ------------------------------------------------------------------------------- tools and answers


async def test_a_server_is_not_started_before_its_tools_are_asked_for():
    toolset = McpToolset.stdio("there-is-no-such-command")
    await toolset.aclose()
    with pytest.raises(ConfigurationError, match=r"'there-is-no-such-command' can't be started"):
        await toolset.tools()


async def test_tools_have_the_descriptions_and_schemas_of_the_server(server: McpToolset):
    found = (await tool(server, "variable")).definition
    assert found.description == "Tell an environment variable."
    assert found.parameters["properties"]["key"]["type"] == "string"
    assert found.parameters["required"] == ["key"]


async def test_names_that_no_model_could_call_are_changed(server: McpToolset):
    assert (await call(server, "files_read")).text.startswith("hello")


def test_changed_names_differ_from_all_others():
    long = "x" * 70
    assert legal_names(["a.b", "a_b", "a/b", long, long + "y", ""]) == {
        "a.b": "a_b_2",
        "a_b": "a_b",
        "a/b": "a_b_3",
        long: "x" * 64,
        long + "y": "x" * 62 + "_2",
        "": "_",
    }


async def test_answers_may_hold_text_pictures_sound_and_files(server: McpToolset):
    hello, picture, sound, text, file = (await call(server, "files_read")).content
    assert (hello, text) == (Text("hello"), Text("inside"))
    assert isinstance(picture, Image)
    assert picture.data is not None
    assert picture.data.startswith(b"\x89PNG")
    assert sound == File(b"\0\1\2", media_type="audio/wav")
    assert file == File(b"\0\1\2", media_type="application/x-b", name="b c.bin")


async def test_structured_data_is_for_the_program(server: McpToolset):
    result = await call(server, "pid")
    assert result.details == {"result": int(result.text)}


async def test_what_goes_wrong_in_the_server_is_an_error_result(server: McpToolset):
    result = await call(server, "fail")
    assert result.is_error
    assert "the disk is full" in result.text


async def test_progress_is_told(server: McpToolset):
    told: asyncio.Queue[ToolResult] = asyncio.Queue()
    calling = asyncio.create_task(call(server, "hang", told))
    update = await told.get()
    calling.cancel()
    assert (update.text, update.details) == ("begun", {"progress": 1, "total": 3})


async def test_cancelling_a_call_reaches_the_server(server: McpToolset):
    told: asyncio.Queue[ToolResult] = asyncio.Queue()
    calling = asyncio.create_task(call(server, "hang", told))
    await told.get()
    calling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await calling
    assert (await call(server, "was_cancelled")).text == "yes"


async def test_a_call_that_takes_too_long_is_cancelled_at_the_server():
    async with rig(timeout=0.5) as toolset:
        assert "took longer than 0.5 s" in (await call(toolset, "hang")).text
        assert (await call(toolset, "was_cancelled")).text == "yes"


async def test_calls_run_at_the_same_time(server: McpToolset):
    told: asyncio.Queue[ToolResult] = asyncio.Queue()
    calling = asyncio.create_task(call(server, "hang", told))
    await told.get()
    assert await process_of(server)
    calling.cancel()


async def test_tools_of_all_pages_are_found():
    async with rig("pages") as toolset:
        assert [each.name for each in await toolset.tools()] == ["tool-0", "tool-1", "tool-2"]


async def test_pages_without_end_are_an_error():
    async with rig("endless") as toolset:
        with pytest.raises(ProtocolError, match="lists its tools without end"):
            await toolset.tools()


async def test_the_tools_are_asked_for_once_and_again_when_they_have_changed(server: McpToolset):
    before = await server.tools()
    assert await server.tools() is before
    await call(server, "learn")
    while await server.tools() is before:  # noqa: ASYNC110 - the notice is on its way
        await asyncio.sleep(0)
    assert (await call(server, "learned")).text == "new"


async def test_who_asks_at_once_gets_the_same_tools(server: McpToolset):
    one, other = await asyncio.gather(server.tools(), server.tools())
    assert one is other


async def test_sets_of_servers_are_prefixed_filtered_and_combined_like_others(server: McpToolset):
    chosen = combine(server.filtered(["pid"]).prefixed("rig_"))
    assert [each.name for each in await chosen.tools()] == ["rig_pid"]
    assert int((await call(chosen, "rig_pid")).text) == await process_of(server)


# ----------------------------------------------------------------------------- starting and ending


async def test_a_server_gets_the_variables_given_and_no_others(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-ours")
    async with rig(env={"TOKEN": Secret("its-own")}) as toolset:
        assert (await call(toolset, "variable", key="TOKEN")).text == "its-own"
        assert (await call(toolset, "variable", key="OPENAI_API_KEY")).text == "not set"


async def test_a_server_that_does_not_start_is_told_with_its_last_words():
    with pytest.raises(NetworkError, match=r"'rig' has ended.*\nno database at hand$"):
        await rig("broken").tools()


async def test_a_server_that_never_answers_is_given_up():
    with pytest.raises(RequestTimeoutError, match=r"did not answer within 0\.2 s"):
        await rig("mute", connect_timeout=0.2).tools()


async def test_closing_does_not_wait_for_a_server_that_starts():
    toolset = rig("mute")
    asking = asyncio.create_task(toolset.tools())
    await asyncio.sleep(0)
    await toolset.aclose()
    with pytest.raises(NetworkError, match="was closed"):
        await asking


async def test_what_a_server_writes_to_stderr_goes_to_the_log(caplog: pytest.LogCaptureFixture):
    with caplog.at_level(logging.INFO, "polyvox.mcp"):
        async with rig() as toolset:
            await toolset.tools()
    assert "rig: rig is up" in caplog.messages


async def test_what_a_server_writes_to_stderr_goes_where_the_user_says(
    capfd: pytest.CaptureFixture[str],
):
    sink = io.StringIO()
    async with rig(stderr=sink) as toolset:
        await toolset.tools()
    assert "rig is up\n" in sink.getvalue()
    assert capfd.readouterr() == ("", "")


async def test_closing_ends_the_process():
    toolset = rig()
    process = await process_of(toolset)
    assert not gone(process)
    await toolset.aclose()
    assert gone(process)
    await toolset.aclose()


async def test_a_set_may_be_opened_used_and_closed_by_different_tasks():
    toolset = rig()
    await asyncio.create_task(toolset.tools())
    process = await asyncio.create_task(process_of(toolset))
    await asyncio.create_task(toolset.aclose())
    assert gone(process)


async def test_cancelling_the_owner_ends_the_process():
    told: asyncio.Queue[ToolResult] = asyncio.Queue()
    processes: list[int] = []

    async def own() -> None:
        async with rig() as toolset:
            processes.append(await process_of(toolset))
            await call(toolset, "hang", told)

    owner = asyncio.create_task(own())
    await told.get()
    owner.cancel()
    with pytest.raises(asyncio.CancelledError):
        await owner
    assert gone(processes[0])


async def test_who_is_cancelled_while_closing_is_so_after_the_end():
    toolset = rig()
    process = await process_of(toolset)
    closing = asyncio.create_task(toolset.aclose())
    await asyncio.sleep(0)
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
    assert gone(process)


def test_the_end_of_the_loop_ends_the_process():
    process = asyncio.run(process_of(rig()))
    assert gone(process)


def test_each_loop_has_a_session_of_its_own():
    toolset = rig()
    with asyncio.Runner() as one, asyncio.Runner() as other:
        first, second = one.run(process_of(toolset)), other.run(process_of(toolset))
        assert first != second
        assert one.run(process_of(toolset)) == first
        one.run(toolset.aclose())
        assert gone(first)
        assert other.run(process_of(toolset)) == second
        other.run(toolset.aclose())
        assert gone(second)


async def test_a_call_during_which_the_server_dies_fails_and_the_next_starts_it_again(
    server: McpToolset,
):
    process = await process_of(server)
    told: asyncio.Queue[ToolResult] = asyncio.Queue()
    calling = asyncio.create_task(call(server, "hang", told))
    await told.get()
    os.kill(process, signal.SIGKILL)
    result = await calling
    assert result.is_error
    assert "the MCP server 'rig' has ended" in result.text
    assert gone(process)
    assert await process_of(server) != process


async def test_a_server_that_died_between_calls_is_started_again(server: McpToolset):
    process = await process_of(server)
    os.kill(process, signal.SIGKILL)
    await session_ends()
    assert gone(process)
    assert await process_of(server) != process


async def test_a_server_that_can_not_be_started_again_is_told(tmp_path: Path):
    script = tmp_path / "server.py"
    shutil.copy(RIG, script)
    async with McpToolset.stdio(sys.executable, str(script), name="rig") as toolset:
        found, process = await tool(toolset, "pid"), await process_of(toolset)
        script.write_text("raise SystemExit('it was uninstalled')")
        os.kill(process, signal.SIGKILL)
        await session_ends()
        context = ToolContext(call=Call(), tool_call=ToolCall("1", "pid"), deps=None)
        result = await run_tool(found, {}, context)
    assert result.is_error
    assert "it was uninstalled" in result.text


def test_without_the_package_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "mcp.client", None)
    with pytest.raises(ConfigurationError, match=r"polyvox\[mcp\]"):
        McpToolset.http("http://127.0.0.1:1/mcp")
