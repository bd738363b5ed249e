"""Agents of the configuration: what a section becomes, and what is told of one that is wrong."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from polyvox.client import AsyncClient
from polyvox.config import load_config
from polyvox.errors import ConfigurationError
from polyvox.gateway.live.loading import load_agents

TOOLS = '''
from polyvox import Agent, tool
from polyvox.agent import Ask


@tool
def fetch(word: str) -> str:
    """Get a word."""
    return f"{word}!"


@tool
def delete_all() -> str:
    """Delete all."""
    return "gone"


def made():
    return Agent("simulated/echo", tools=[fetch], name="made", system="Be kind.")


hooked = Agent("simulated/echo", tools=[delete_all], before_tool=lambda use: None)
number = 1
'''


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    (tmp_path / "gateway_shed.py").write_text(TOOLS, "utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield
    sys.modules.pop("gateway_shed", None)


def loaded(text: str):
    Path("polyvox.toml").write_text(text, "utf-8")
    config = load_config("polyvox.toml")
    client = AsyncClient.from_config("polyvox.toml")
    return load_agents(config.agents, config.templates, client)


def problem(text: str) -> str:
    with pytest.raises(ConfigurationError) as caught:
        loaded(text)
    return f"{caught.value.text} | {caught.value.hint}"


async def test_a_section_becomes_the_agent_it_describes():
    agents = loaded(
        """
        [templates.calm]
        system = "Keep calm."
        temperature = 0.5
        [agents.helper]
        model = "simulated/echo"
        system = "Be brief."
        tools = ["gateway_shed"]
        template = "calm"
        limits = { turns = 3, cost = 0.5 }
        approve = ["delete_*"]
        """
    )
    agent = agents["helper"]
    role = await agent.role_of("helper")
    assert list(role.tools) == ["fetch", "delete_all"]
    assert [block.text for block in role.request.system] == ["Keep calm.\n\nBe brief."]
    assert role.request.temperature == 0.5
    assert role.model.name == "simulated/echo"
    assert (agent.limits.turns, agent.limits.cost) == (3, 0.5)
    assert agent.before_tool is not None


@pytest.fixture
def file_of_a_helper() -> None:
    Path("helper.toml").write_text(
        'model = "simulated/echo"\ntools = ["gateway_shed:fetch"]', "utf-8"
    )


@pytest.mark.usefixtures("file_of_a_helper")
async def test_an_agent_may_be_described_elsewhere():
    agents = loaded(
        """
        [agents.a]
        agent = "gateway_shed:made"
        limits = { turns = 2 }
        [agents.b]
        agent = "helper.toml"
        model = "simulated/lorem"
        """
    )
    assert agents["a"].limits.turns == 2
    assert list((await agents["a"].role_of("made")).tools) == ["fetch"]
    role = await agents["b"].role_of("helper")
    assert role.model.name == "simulated/lorem"


@pytest.mark.parametrize(
    ("section", "told"),
    [
        ("system = 'x'", "it needs a model, or an agent"),
        ("agent = 'a:b'\nsystem = 'x'", "system means nothing beside agent"),
        ("model = 'simulated/ecco'", "Did you mean 'simulated/echo'?"),
        ("model = 'simulated/echo'\ntool = ['x']", "unknown key 'tool'"),
        ("model = 'simulated/echo'\nmcp = ['files']", "there is no server 'files'"),
        ("model = 'simulated/echo'\ntemplate = 'x'", "there is no template 'x'"),
        ("model = 'simulated/echo'\nlimits = { turns = 0 }", "agents.helper.limits.turns"),
        ("model = 'simulated/echo'\nkeep_seconds = 0", "agents.helper.keep_seconds"),
        ("model = 'simulated/echo'\ntools = ['nowhere:f']", "there is no module 'nowhere'"),
        ("model = 'simulated/echo'\ntools = ['gateway_shed:fetsch']", "Did you mean 'fetch'?"),
        (
            "model = 'simulated/echo'\ntools = ['gateway_shed']\napprove = ['remove_*']",
            "no tool is called so: 'remove_*'",
        ),
        ("agent = 'gateway_shed:number'", "is no agent, but of type int"),
        ("agent = 'gateway_shed:hooked'\napprove = ['*']", "has a before_tool"),
    ],
)
def test_what_is_wrong_is_told_with_the_agents_name(section: str, told: str):
    text = problem(f"[agents.helper]\n{section}")
    assert told in text
    assert "helper" in text or "line" in text


def test_a_name_with_a_slash_is_none():
    assert "no slash" in problem('[agents."a/b"]\nmodel = "simulated/echo"')
