"""Assertions on the events of a run: what they take, what they refuse, what they say then."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.agent.rig import calls

from polyvox import Agent, tool
from polyvox.agent import AgentEnd, NestedRun, TurnStart
from polyvox.testing import ScriptedModel, assert_events, event_words


@tool
async def weather(city: str = "Oslo") -> str:
    """Tell the weather in a city."""
    return f"Sunny in {city}."


async def events():
    agent = Agent(ScriptedModel([calls("weather"), "Sunny."]), tools=[weather])
    return [event async for event in agent.stream("Is it raining?")]


WHOLE = """
    agent_start
    turn_start message_start:user message_end:user message_start:assistant message_end:assistant
    tool_execution_start:weather tool_execution_end:weather message_start:tool message_end:tool
    turn_end
    turn_start message_start:assistant message_end:assistant turn_end
    agent_end:done
"""


@pytest.mark.parametrize(
    "expected",
    [
        WHOLE,
        "... agent_end",
        "agent_start ... tool_execution_end:weather ... agent_end:done",
        "...",
        "... turn_end ... turn_end ...",
        "agent_start turn_start ... turn_end agent_end",
        "... message_update ...",
    ],
)
async def test_these_are_the_events(expected: str):
    assert_events(await events(), expected)


@pytest.mark.parametrize(
    "expected",
    [
        "",
        "agent_start",
        "agent_end ...",
        "... tool_execution_end:weather! ...",
        "... tool_execution_end:other ...",
        "... turn_end ... turn_end ... turn_end ...",
        "... agent_end:error",
        "... agent_end ... agent_end",
        WHOLE + " agent_end",
    ],
)
async def test_these_are_not(expected: str):
    with pytest.raises(AssertionError, match="not those expected"):
        assert_events(await events(), expected)


def test_the_difference_is_shown_line_by_line():
    with pytest.raises(AssertionError) as caught:
        assert_events([TurnStart(1), AgentEnd("limit")], "turn_start turn_end agent_end:done")
    assert str(caught.value).splitlines()[1:] == [
        "  turn_start",
        "+ agent_end:limit",
        "- turn_end",
        "- agent_end:done",
    ]


def test_nested_events_have_the_way_to_them_in_front():
    nested = NestedRun(["one", "two"], AgentEnd("done"))
    assert event_words([nested]) == ["one/two/agent_end:done"]


@given(st.lists(st.sampled_from("abc"), max_size=8), st.data())
def test_a_line_with_holes_fits_what_it_was_made_of(words: list[str], data: st.DataObject):
    from polyvox.testing.agent_events import _fits

    wanted: list[str] = []
    for word in words:
        wanted += ["..."] if data.draw(st.booleans()) else [word]
    assert _fits(words, wanted)
