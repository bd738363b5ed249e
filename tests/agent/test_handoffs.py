"""Handing a conversation over to another agent, which has a model, tools and instructions of its own."""

import asyncio
import subprocess
import sys

import pytest

from polyvox.agent import Agent, RunState
from polyvox.errors import ConfigurationError
from polyvox.tools import tool

from .rig import agent_of, calls, trace, without_updates

CHILD = """
import asyncio, sys
from polyvox.agent import RunState
from tests.agent.rig import agent_of

async def main():
    billing = agent_of(["Paid."], name="billing")
    front = agent_of(["Never."], name="front", handoffs=[billing])
    state = RunState.from_json(sys.stdin.buffer.read())
    print((await front.run("And the next?", state=state)).text, state.agent)

asyncio.run(main())
"""


@tool
def invoice() -> str:
    """Make an invoice."""
    return "invoice 1"


def to(name: str) -> str:
    return f"transfer_to_{name}"


async def test_the_other_agent_goes_on_with_its_own_model_tools_and_instructions():
    billing = agent_of(
        [calls("invoice"), "Here it is."], name="billing", tools=[invoice], system="Be exact."
    )
    front = agent_of([calls(to("billing"))], name="front", handoffs=[billing], system="Be kind.")
    run = front.stream("I need an invoice.")
    line = without_updates(await trace(run))
    assert "te:transfer_to_billing ms:TR me:TR turn_end handed_over:billing turn_start" in line
    assert run.result.text == "Here it is."
    assert run.state.agent == "billing"
    assert [each.name for each in front.model.requests[0].tools] == [to("billing")]
    assert [each.name for each in billing.model.requests[0].tools] == ["invoice"]
    assert billing.model.requests[0].system[0].text == "Be exact."
    assert len(billing.model.requests[0].messages) == 3


async def test_of_two_handoffs_in_one_answer_the_first_counts():
    one, two = agent_of(["One."], name="one"), agent_of(["Two."], name="two")
    front = agent_of([calls(to("one"), to("two"))], name="front", handoffs=[one, two])
    run = front.stream("Go.")
    assert (await trace(run)).count("handed_over") == 1
    assert run.result.text == "One."


async def test_handing_over_to_itself_goes_on_as_it_was():
    agent = agent_of([calls(to("front")), "Still me."], name="front")
    agent.handoffs = [agent]
    assert (await agent.run("Go.")).text == "Still me."


async def test_there_and_back_again():
    front = agent_of([calls(to("billing")), "Welcome back."], name="front")
    billing = agent_of([calls(to("front"))], name="billing", handoffs=[front])
    front.handoffs = [billing]
    result = await front.run("Go.")
    assert (result.text, result.state.agent) == ("Welcome back.", "front")


async def test_a_new_process_goes_on_with_the_agent_that_took_over():
    billing = agent_of(["Yes."], name="billing")
    front = agent_of([calls(to("billing"))], name="front", handoffs=[billing])
    state = (await front.run("Go.")).state
    command = [sys.executable, "-c", CHILD]
    done = await asyncio.to_thread(
        subprocess.run, command, input=state.to_json(), stdout=subprocess.PIPE, check=True
    )
    assert done.stdout.decode() == "Paid. billing\n"


async def test_a_handoff_holds_when_another_call_of_the_answer_had_to_wait():
    @tool(needs_approval=True)
    def pay() -> str:
        return "paid"

    billing = agent_of(["Thanks."], name="billing")
    front = agent_of([calls(to("billing"), "pay")], name="front", tools=[pay], handoffs=[billing])
    first = await front.run("Go.")
    assert first.outcome == "suspended"
    state = RunState.from_json(first.state.to_json())
    assert (await front.resume(state, {"call-pay": True})).text == "Thanks."
    assert state.agent == "billing"


async def test_a_handoff_that_was_forbidden_is_none():
    billing = agent_of(["Never."], name="billing")
    front = agent_of(
        [calls(to("billing")), "Then not."],
        name="front",
        handoffs=[billing],
        before_tool=lambda use: "Not now.",
    )
    result = await front.run("Go.")
    assert (result.text, result.state.agent) == ("Then not.", "front")


async def test_agents_that_hand_over_to_each_other_need_names_of_their_own():
    front = Agent("simulated/echo", handoffs=[Agent("simulated/echo")])
    with pytest.raises(ConfigurationError, match=r"two agents .* are called 'agent'"):
        await front.run("Go.")
