"""Sections of MCP servers: what they may say, and the sets of tools that clients make of them."""

import asyncio
import os
import sys
from pathlib import Path

import pytest

from polyvox import AsyncClient, Client
from polyvox.config import load_config
from polyvox.config.stores import secrets_of
from polyvox.errors import ConfigurationError, NetworkError
from polyvox.messages import ToolCall
from polyvox.model import Call
from polyvox.secret import Secret
from polyvox.tools import Tool, ToolContext, run_tool

from .conftest import Examine, Write

RIG = Path(__file__).resolve().parents[1] / "tools" / "mcp_rig.py"
SERVER = f"[mcp.rig]\ncommand = '{sys.executable}'\nargs = ['{RIG}']\n"


async def outcome(tool: Tool, **values: object) -> str:
    context = ToolContext(call=Call(), tool_call=ToolCall("1", tool.name), deps=None)
    return (await run_tool(tool, dict(values), context)).text


@pytest.mark.parametrize(
    ("section", "told"),
    [
        ("", "it needs a command or a url, and not both"),
        ("command = 'x'\nurl = 'http://lab'", "it needs a command or a url, and not both"),
        ("url = 'lab'", "url must begin with http:// or https://"),
        ("url = 'http://lab'\nargs = ['x']", "args means nothing to a server with a url"),
        ("url = 'http://lab'\nenv = { A = 'b' }", "env means nothing to a server with a url"),
        (
            "command = 'x'\nheaders = { A = 'b' }",
            "headers means nothing to a server with a command",
        ),
        ("command = 'sh'\nonly = ['a']\nwithout = ['b']", "take one of only and without"),
        ("command = 'sh'\nprefix = 'a b'", "prefix may hold letters (a to z), digits, _ and -"),
        ("command = 'sh'\narg = ['a']", "unknown key 'arg' in mcp.lab; did you mean 'args'?"),
        ("command = 'sh'\ntimeout = 0", "mcp.lab.timeout"),
    ],
)
def test_what_makes_no_sense_is_told_with_its_place(look: Examine, section: str, told: str):
    problems = [str(problem) for problem in look(f"[mcp.lab]\n{section}").errors]
    assert len(problems) == 1
    assert told in problems[0]
    assert problems[0].startswith("polyvox.toml, line")


def test_a_command_and_a_folder_that_are_not_there_are_warnings(look: Examine):
    loaded = look("[mcp.lab]\ncommand = 'nothing'\ncwd = 'nowhere'")
    assert not loaded.errors
    assert [str(each) for each in loaded.problems] == [
        "polyvox.toml, line 2: there is no command 'nothing': the server can't be started yet",
        "polyvox.toml, line 3: there is no folder 'nowhere'",
    ]


def test_variables_and_headers_are_secrets(write: Write, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("LAB_TOKEN", "token-4711")
    config = load_config(
        write(
            "[mcp.a]\ncommand = 'sh'\nenv = { TOKEN = '${LAB_TOKEN}' }\n"
            "[mcp.b]\nurl = 'http://127.0.0.1/mcp'\nheaders = { Authorization = 'Bearer 0815' }"
        )
    )
    assert secrets_of(config) == [Secret("token-4711"), Secret("Bearer 0815")]
    assert "token-4711" not in repr(config)


async def test_a_client_gives_the_tools_that_the_section_wants(write: Write):
    text = SERVER + "prefix = 'r_'\nonly = ['pid', 'variable']\nenv = { TOKEN = 'its-own' }"
    async with AsyncClient.from_config(write(text)) as client:
        assert client.toolset("rig") is client.toolset("rig")
        tools = {tool.name: tool for tool in await client.toolset("rig").tools()}
        assert set(tools) == {"r_pid", "r_variable"}
        assert await outcome(tools["r_variable"], key="TOKEN") == "its-own"
        process = int(await outcome(tools["r_pid"]))
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)


async def test_tools_that_are_not_wanted_are_left_out(write: Write):
    async with AsyncClient.from_config(write(SERVER + "without = ['pid']")) as client:
        names = {tool.name for tool in await client.toolset("rig").tools()}
    assert "pid" not in names
    assert "variable" in names


async def test_a_server_at_an_address_is_asked_there(write: Write):
    text = "[mcp.lab]\nurl = 'http://127.0.0.1:1/mcp'\nheaders = { Authorization = 'Bearer 0815' }"
    async with AsyncClient.from_config(write(text)) as client:
        with pytest.raises(NetworkError, match=r"'lab' can't be used at http://127\.0\.0\.1:1/mcp"):
            await client.toolset("lab").tools()


def test_a_synchronous_client_has_the_sets_too(write: Write):
    with Client.from_config(write(SERVER)) as client:
        toolset = client.toolset("rig")

        async def names() -> set[str]:
            async with toolset:
                return {tool.name for tool in await toolset.tools()}

        assert "pid" in asyncio.run(names())


def test_a_server_that_the_file_does_not_name_is_told(write: Write):
    with (
        Client.from_config(write(SERVER)) as client,
        pytest.raises(ConfigurationError, match=r"no MCP server 'rag'.*\nIt has rig\."),
    ):
        client.toolset("rag")
    with Client() as client, pytest.raises(ConfigurationError, match=r"Add a section \[mcp\.rig\]"):
        client.toolset("rig")
