"""Agents in TOML files: what they become, and what is told of a file that is wrong."""

from collections.abc import Callable
from pathlib import Path

import pytest

from polyvox import Agent
from polyvox.agent import RunLimits
from polyvox.agent.files import load_agent
from polyvox.client import AsyncClient
from polyvox.errors import ConfigurationError

Write = Callable[..., Path]

TOOLS = '''
from polyvox import tool


@tool
def fetch(word: str) -> str:
    """Get a word."""
    return f"{word}!"


@tool
def delete_all() -> str:
    """Delete all."""
    return "gone"


def plain(number: int) -> str:
    """No tool by itself."""
    return str(number)
'''


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a file into a folder of tools: ``write("model = 'simulated/echo'")``."""
    (tmp_path / "shed.py").write_text(TOOLS, "utf-8")
    (tmp_path / "bare.py").touch()

    def writer(text: str, name: str = "helper.toml") -> Path:
        (tmp_path / name).write_text(text, "utf-8")
        return tmp_path / name

    return writer


async def tool_names(agent: Agent[str]) -> list[str]:
    role = await agent.role_of(agent.name)
    return list(role.tools)


def problem(path: Path, **options: object) -> str:
    with pytest.raises(ConfigurationError) as caught:
        load_agent(path, **options)  # pyright: ignore[reportArgumentType]
    return f"{caught.value.text} | {caught.value.hint}"


# ------------------------------------------------------------------------------------- what it says


async def test_a_file_becomes_the_agent_it_describes(write: Write):
    agent = Agent.from_file(
        write("""
            model = "simulated/tools"
            system = "Be brief."
            tools = ["shed.py:fetch", "shed.py:plain"]
            parallel_tools = 2
            [limits]
            turns = 3
            cost = 0.5
            [settings]
            temperature = 0.5
            reasoning = "low"
            """)
    )
    role = await agent.role_of("helper")
    assert agent.name == "helper"
    assert [block.text for block in role.request.system] == ["Be brief."]
    assert [tool.name for tool in role.request.tools] == ["fetch", "plain"]
    assert (agent.parallel_tools, agent.limits) == (2, RunLimits(turns=3, cost=0.5))
    assert role.request.temperature == 0.5
    assert role.request.reasoning.effort == "low"
    assert (await agent.run('fetch "it"')).text == "fetch says: it!"


@pytest.mark.parametrize("place", ["./shed.py", "shed.py", "./"])
async def test_of_a_place_all_is_taken_that_is_marked_as_a_tool(write: Write, place: str):
    agent = load_agent(write(f"model = 'simulated/tools'\ntools = ['{place}']"))
    assert await tool_names(agent) == ["fetch", "delete_all"]


async def test_a_module_is_found_by_its_name(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.syspath_prepend(str(tmp_path))
    agent = load_agent(write("model = 'simulated/tools'\ntools = ['shed']"))
    assert await tool_names(agent) == ["fetch", "delete_all"]


async def test_instructions_may_stand_in_a_file_and_hold_variables(
    write: Write, monkeypatch: pytest.MonkeyPatch
):
    write("Be brief.\n", "rules.md")
    from_file = load_agent(write("model = 'simulated/echo'\nsystem_file = 'rules.md'"))
    assert (await from_file.role_of("helper")).request.system[0].text == "Be brief."
    monkeypatch.setenv("WHO", "Ada")
    inline = load_agent(write("model = 'simulated/echo'\nsystem = 'Serve ${WHO}.'"))
    assert (await inline.role_of("helper")).request.system[0].text == "Serve Ada."


INLINE = """
[output_schema]
type = "object"
required = ["count"]
properties.count.type = "integer"
"""


@pytest.mark.parametrize("schema", ["output_schema = 'tickets.json'", INLINE])
async def test_an_answer_may_have_a_schema(write: Write, schema: str):
    text = '{"type": "object", "required": ["count"], "properties": {"count": {"type": "integer"}}}'
    write(text, "tickets.json")
    result = await load_agent(write(f"model = 'simulated/tools'\n{schema}")).run("3 tickets")
    assert result.output == {"count": 3}


async def test_a_pattern_makes_tools_wait_for_an_approval(write: Write):
    agent = load_agent(
        write("model = 'simulated/tools'\ntools = ['shed.py']\napprove = ['delete_*']")
    )
    assert (await agent.run('fetch "it"')).outcome == "done"
    result = await agent.run("delete all")
    assert (result.outcome, [call.name for call in result.pending]) == ("suspended", ["delete_all"])


async def test_agents_may_hand_over_to_one_another(write: Write):
    write("model = 'simulated/echo'\nhandoffs = ['helper.toml']", "expert.toml")
    agent = load_agent(write("model = 'simulated/tools'\nhandoffs = ['expert.toml']"))
    (expert,) = agent.handoffs
    assert expert.handoffs == [agent]
    result = await agent.run("transfer to expert")
    assert result.state.agent == "expert"


async def test_a_model_in_place_of_the_file_s_is_asked_by_all(write: Write):
    write("model = 'simulated/lorem'", "expert.toml")
    agent = load_agent(write("handoffs = ['expert.toml']"), model="simulated/echo")
    assert [agent.model, agent.handoffs[0].model] == ["simulated/echo"] * 2


async def test_servers_of_tools_are_the_client_s(write: Write, tmp_path: Path):
    write("[mcp.files]\ncommand = 'no-such-server'", "polyvox.toml")
    pytest.importorskip("mcp")
    async with AsyncClient.from_config(tmp_path / "polyvox.toml") as client:
        path = write("model = 'simulated/echo'\nmcp = ['files']")
        assert list(load_agent(path, client=client).tools) == [client.toolset("files")]
        wrong = write("model = 'simulated/echo'\nmcp = ['files', 'flies']")
        assert "line 2: mcp[1]: there is no MCP server 'flies'" in problem(wrong, client=client)


# ------------------------------------------------------------------------------------- what is wrong


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("modell = 'a/b'", "line 1: unknown key 'modell'; did you mean 'model'?"),
        ("[limits]\nturn = 3", "line 2: unknown key 'turn' in limits; did you mean 'turns'?"),
        ("[limits]\nturns = 0", "line 2: limits.turns: expected a whole number >= 1"),
        ("[limits]\ncost = -1", "line 2: limits.cost: expected a number > 0"),
        ("[settings]\ntemprature = 1", "line 2: unknown key 'temprature' in settings"),
        ("tools = 'shed.py'", "line 1: tools: expected a list, got a string"),
        ("tools = [7]", "line 1: tools[0]: expected a string, got a whole number"),
        ("name = 'my agent'", "line 1: name: expected a string matching regex"),
        ("system = '${UNHEARD_OF}'", "line 1: system: the environment variable UNHEARD_OF is not"),
        ("system = 'a'", "helper.toml: model is missing"),
        ("model = 'a/b'\n[settings]\nsystem = 'a'", "line 3: settings.system: system stands above"),
        (
            "model = 'a/b'\ntools = [\n'shed.py:fetch',\n'shed.py:ftech']",
            "line 4: tools[1]: ",
        ),
        ("model = 'a/b'\ntools = ['shedd']", "line 2: tools[0]: there is no module 'shedd'"),
        (
            "model = 'a/b'\ntools = ['./bare.py']",
            "line 2: tools[0]: @tool marks nothing in ./bare.py",
        ),
        ("model = 'a/b'\ntools = ['./gone']", "line 2: tools[0]: there are no tools at"),
        ("model = 'a/b'\nsystem_file = 'gone.md'", "line 2: system_file: gone.md can't be read"),
        ("model = 'a/b'\nsystem = 'a'\nsystem_file = 'shed.py'", "line 3: system_file: there is a"),
        ("model = 'a/b'\noutput_schema = 'shed.py'", "line 2: output_schema: shed.py is no JSON"),
        ("model = 'a/b'\noutput_schema = 'bare.py'", "line 2: output_schema: bare.py is no JSON"),
        ("model = 'a/b'\ntools = ['~/shed.py:gone']", "has no 'gone'"),
        (
            "model = 'a/b'\ntools = ['shed.py']\napprove = ['fetch', 'remove_*']",
            "line 3: approve[1]: no tool is called so: 'remove_*' | There are: fetch, delete_all.",
        ),
        ("model = 'a/b'\nmcp = ['files']", "line 2: mcp: servers are named by the client's"),
        ("model = 'a/b'\nhandoffs = [\n'gone.toml']", "line 3: handoffs[0]: gone.toml is no file"),
        ("model = 'a/b'\nname = 'x' y", "line 2: this is no TOML"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, told: str
):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert told in problem(write(text))


def test_the_nearest_tool_is_named(write: Write):
    assert "Did you mean 'fetch'?" in problem(write("model = 'a/b'\ntools = ['shed.py:ftech']"))


def test_all_that_is_wrong_is_told_at_once(write: Write):
    told = problem(write("tools = ['nowhere']\nsystem_file = 'gone.md'"))
    assert "system_file: gone.md can't be read" in told
    assert "Also: " in told
    assert "there is no module 'nowhere'" in told
    assert "model is missing" in told
