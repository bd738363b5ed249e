"""What an agent's functions become: tools, once, that all of its runs share."""

import threading
from typing import Any

import pytest

from polyvox import Agent, RunState
from polyvox.agent import RunLimits
from polyvox.errors import PolyvoxError

from .rig import agent_of, calls


async def test_a_function_is_made_a_tool_once_and_not_in_each_run():
    def weather() -> str:
        return "Sunny."

    agent = agent_of(["Done."], tools=[weather])
    first, second = [(await agent.role_of("agent")).tools["weather"] for _ in range(2)]
    assert first is second


async def test_the_runs_of_an_agent_share_the_threads_of_its_functions():
    seen: set[threading.Thread] = set()

    def look() -> str:
        seen.add(threading.current_thread())
        return "seen"

    agent = agent_of([calls("look"), "Done."] * 20, tools=[look])
    for _ in range(20):
        await agent.run("Look.")
    assert len(seen) < 20


def test_an_agent_among_the_tools_is_told_how_it_becomes_one():
    with pytest.raises(PolyvoxError, match=r"Agent\('helper', .*\) is no tool.*\n.*as_tool\(\)"):
        Agent("simulated/echo", tools=[Agent("simulated/echo", name="helper")])


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"tools": print}, "tools is of type builtin_function_or_method\nGive a list"),
        ({"handoffs": Agent("simulated/echo", name="b")}, "handoffs is of type Agent\nGive a list"),
        ({"limits": {"turns": 3}}, "limits is of type dict\nGive RunLimits"),
    ],
)
def test_an_option_of_the_wrong_kind_is_told_at_once(options: dict[str, Any], text: str):
    with pytest.raises(PolyvoxError, match=text):
        Agent("simulated/echo", **options)


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"limits": 3}, "limits is of type int\nGive RunLimits"),
        ({"state": b"{}"}, "state is of type bytes\n.*RunState.from_json"),
    ],
)
def test_a_setting_of_a_run_of_the_wrong_kind_is_told_at_once(settings: dict[str, Any], text: str):
    with pytest.raises(PolyvoxError, match=text):
        agent_of(["Done."]).stream("Go.", **settings)


async def test_no_state_is_a_new_one_and_no_limits_are_the_agents_own():
    agent = agent_of([calls("look"), "Done."], limits=RunLimits(turns=2))
    result = await agent.run("Look.", state=None, limits=None)
    assert result.text == "Done."


def test_a_run_can_only_be_resumed_from_a_state_or_a_session():
    wrong: Any = RunState().to_json()
    with pytest.raises(PolyvoxError, match="state is of type bytes"):
        agent_of(["Done."]).resume_stream(wrong)
