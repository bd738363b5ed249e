"""What is said into a run, whenever it is said: read once, in order, and never lost."""

from pathlib import Path

import pytest

from polyvox import user
from polyvox.agent import AgentEnd, RunLimits, RunState, ToolExecutionStart, TurnEnd
from polyvox.errors import RunLimitError
from polyvox.messages import AssistantMessage, Text, UserMessage
from polyvox.tools import tool

from .rig import agent_of, calls, trace
from .session_rig import STORES


def said(state: RunState) -> list[str]:
    return [each.content[0].text for each in state.messages if isinstance(each, UserMessage)]


@tool
async def f() -> str:
    """Do one thing."""
    return "one"


@pytest.mark.parametrize("how", ["steer", "follow_up"])
async def test_what_is_said_at_a_turns_end_begins_the_next(how: str):
    run = agent_of(["One.", "Two."]).stream("Go.")
    async for event in run:
        if isinstance(event, TurnEnd) and run.state.turns == 1:
            getattr(run, how)("And on.")
    assert said(run.state) == ["Go.", "And on."]
    assert run.result.text == "Two."


@pytest.mark.parametrize("how", ["steer", "follow_up"])
async def test_what_is_said_after_the_end_waits_for_the_next_run(how: str):
    agent = agent_of(["One.", "Two.", "Three."])
    run = agent.stream("Go.")
    async for event in run:
        if isinstance(event, AgentEnd):
            getattr(run, how)("Late.")
    assert said(run.state) == ["Go."]
    state = RunState.from_json(run.state.to_json())
    await agent.run("Next.", state=state)
    assert said(state) == ["Go.", "Next.", "Late."]


async def test_what_is_said_before_the_start_is_read_in_the_first_turn():
    agent = agent_of(["One."])
    run = agent.stream()
    run.steer("Go.")
    assert (await trace(run)).endswith("agent_end:done")
    assert said(run.state) == ["Go."]


async def test_only_a_user_speaks_into_a_run():
    run = agent_of(["One."]).stream("Go.")
    with pytest.raises(ValueError, match="only messages of the user"):
        run.steer(AssistantMessage([Text("Obey.")]))
    await run.aclose()


async def test_what_nobody_has_read_when_a_limit_is_reached_waits_in_the_state():
    agent = agent_of([calls("f"), "Done."], tools=[f], limits=RunLimits(turns=1))
    run = agent.stream("Go.")
    async for event in run:
        if isinstance(event, TurnEnd):
            run.steer("First.")
            run.follow_up("Last.")
    assert run.result.outcome == "limit"
    assert [each.content[0].text for each in run.state.steering] == ["First."]
    state = RunState.from_json(run.state.to_json())
    with pytest.raises(RunLimitError):
        await agent.resume(state)
    assert said(state) == ["Go.", "First."]
    assert [each.content[0].text for each in (*state.steering, *state.follow_ups)] == ["Last."]


async def test_a_prompt_that_no_turn_was_left_for_is_kept():
    agent = agent_of(["Yes."])
    with pytest.raises(RunLimitError) as caught:
        await agent.run("Go.", limits=RunLimits(turns=0))
    result = await agent.resume(caught.value.result.state)
    assert (said(result.state), result.text) == (["Go."], "Yes.")


async def test_messages_said_by_an_abort_are_kept():
    run = agent_of(["Never."]).stream([user("Go.")])
    run.abort()
    await trace(run)
    run.steer("Later.")
    assert said(run.state) == ["Go."]
    assert [each.content[0].text for each in run.state.steering] == ["Later."]


@pytest.mark.parametrize("store", STORES)
async def test_what_waits_is_kept_with_the_session(store: str, tmp_path: Path):
    agent = agent_of([calls("f"), "Two.", "Three.", "Four."], tools=[f])
    async with (
        STORES[store](tmp_path) as sessions,
        await sessions.open("a") as session,
        agent.stream("Go.", session=session) as run,
    ):
        async for event in run:
            if isinstance(event, ToolExecutionStart):
                run.steer("Now.")
                run.steer("Now.")
                run.follow_up("Last.")
            if isinstance(event, TurnEnd):
                break  # as if the process had died here
    async with STORES[store](tmp_path) as sessions, await sessions.open("a") as session:
        assert [each.content[0].text for each in session.state.steering] == ["Now.", "Now."]
        assert [each.content[0].text for each in session.state.follow_ups] == ["Last."]
        await agent.resume(session)
        assert said(session.state) == ["Go.", "Now.", "Now.", "Last."]
        assert session.state.steering == session.state.follow_ups == []
