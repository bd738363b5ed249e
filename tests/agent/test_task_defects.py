"""What the agent that this replaces did wrong, or right: one test for each case that was observed."""

import asyncio
import json
from typing import Any

import pytest

from polyvox import AsyncClient, ToolCall
from polyvox.agent import Agent
from polyvox.agent.tasks import (
    TaskFailedError,
    TaskStatus,
    UserInterrupts,
    run_until_done,
)
from polyvox.messages import AssistantMessage, Text, ToolMessage
from polyvox.testing import MockProvider
from polyvox.tools import tool
from polyvox.usage import Cost, Usage

from .rig import agent_of, calls
from .task_rig import Asked, Halting, Never, answered, roles, text_of, while_halted


@tool
async def look(place: str) -> str:
    """Look somewhere."""
    return f"nothing in {place}"


def look_call(**fields: Any) -> AssistantMessage:
    return calls(ToolCall("call-look", "look", **fields))


async def test_a_task_that_is_done_at_the_start_asks_no_model():
    agent, status = agent_of(["never said"]), Asked()
    result = await run_until_done(agent, "Go.", status)
    assert (result.outcome, result.attempts, status.calls) == ("done", 0, [True])
    assert agent.model.requests == []
    assert [text_of(message) for message in result.messages] == ["Go."]
    assert str(result.cost) == "free"


async def test_a_plain_task_complete_takes_one_call_of_the_model_and_two_of_the_status():
    usage = Usage(100, 20, cost=Cost("known", nanos=198_000))
    agent = agent_of([AssistantMessage([Text("TASK COMPLETE")], usage=usage)])
    status = Asked("it is not there")
    result = await run_until_done(agent, "Go.", status)
    assert roles(result.messages) == "U U A"
    assert text_of(result.messages[1]).startswith("Initial status: The task is not done yet.")
    assert "- it is not there" in text_of(result.messages[1])
    assert (len(agent.model.requests), status.calls) == (1, [True, False])
    assert (result.usage.input_tokens, result.usage.output_tokens) == (100, 20)


async def test_replayed_tool_calls_are_whole_on_the_wire():
    script = [look_call(arguments={"place": "the attic"}), "TASK COMPLETE"]
    async with mock_of(script) as server, client_of(server) as client:
        agent = Agent("openai/gpt-5-mini", tools=[look], client=client)
        result = await run_until_done(agent, "Go.", Asked("no"))
        sent = json.loads(server.requests[1].body)["messages"]
    assert (result.outcome, roles(result.messages)) == ("done", "U U AC T A")
    assert [each["role"] for each in sent] == ["user", "user", "assistant", "tool"]
    (call,) = sent[2]["tool_calls"]
    assert (call["type"], call["function"]["name"]) == ("function", "look")
    assert call["id"] == sent[3]["tool_call_id"]


@pytest.mark.parametrize(
    "call",
    [look_call(unparsed='{"place": "the at'), look_call(unparsed=""), look_call(arguments={})],
)
async def test_malformed_or_empty_arguments_are_told_to_the_model_and_the_loop_goes_on(
    call: AssistantMessage,
):
    agent = agent_of([call, look_call(arguments={"place": "it"}), "TASK COMPLETE"], tools=[look])
    result = await run_until_done(agent, "Go.", Asked("no"))
    assert (result.outcome, roles(result.messages)) == ("done", "U U AC T AC T A")
    told = result.messages[3]
    assert isinstance(told, ToolMessage)
    assert told.is_error


async def test_an_unknown_tool_is_told_to_the_model_and_the_loop_goes_on():
    agent = agent_of([calls("nope"), "TASK COMPLETE"], tools=[look])
    result = await run_until_done(agent, "Go.", Asked("no"))
    assert result.outcome == "done"
    assert "no tool 'nope'" in text_of(result.messages[3])


async def test_a_premature_task_complete_is_answered_with_feedback_and_a_second_try():
    agent = agent_of(["TASK COMPLETE", "Now it is. TASK COMPLETE"])
    result = await run_until_done(agent, "Go.", Asked("no file", "an empty file"))
    assert (result.outcome, result.attempts) == ("done", 2)
    assert roles(result.messages) == "U U A U A"
    assert text_of(result.messages[3]) == "The task is not done yet.\nErrors:\n- an empty file"


async def test_chatter_without_a_marker_is_nudged_so_that_no_answer_follows_an_answer():
    agent = agent_of(["Let me see.", "I think it works.", "TASK COMPLETE"])
    status = Asked("no")
    result = await run_until_done(agent, "Go.", status)
    assert (result.outcome, roles(result.messages)) == ("done", "U U A U A U A")
    assert "write TASK COMPLETE" in text_of(result.messages[3])
    assert status.calls == [True, False]
    for request in agent.model.requests:
        assert roles(request.messages)[-1] == "U"


async def test_chatter_for_ever_is_a_result_and_no_exception():
    status = Never()
    agent = agent_of([{"message": {"content": "Hm."}, "repeat": True}])
    result = await run_until_done(agent, "Go.", status, max_attempts=3)
    assert (result.outcome, result.attempts) == ("exhausted", 3)
    assert roles(result.messages) == "U U A U A U A"
    assert result.status.errors == ["2 tests fail"]
    assert status.calls == [True, False]


async def test_task_complete_beside_tool_calls_waits_for_a_turn_without_any():
    early = calls(ToolCall("c", "look", {"place": "it"}), text="TASK COMPLETE")
    agent, status = agent_of([early, "TASK COMPLETE"], tools=[look]), Asked("no")
    result = await run_until_done(agent, "Go.", status)
    assert (result.outcome, result.attempts) == ("done", 1)
    assert roles(result.messages) == "U U AC T A"
    assert status.calls == [True, False]


async def test_an_interrupt_before_the_first_word_is_read_and_the_task_goes_on():
    model, interrupts = Halting(None, "TASK COMPLETE", silent=True), UserInterrupts()

    async def status(initial: bool) -> TaskStatus:
        return TaskStatus(errors=[] if len(model.requests) == 2 else ["no"])

    task = run_until_done(Agent(model), "Go.", status, interrupts=interrupts)
    result = await while_halted(model, task, lambda: interrupts.send("Leave the tests alone."))
    assert result.outcome == "done"
    assert text_of(result.messages[3]) == "Leave the tests alone."
    assert roles(model.requests[1].messages) == "U U A U U"


async def test_a_text_that_an_interrupt_cuts_short_is_kept():
    model = Halting(None, "TASK COMPLETE")
    interrupts = UserInterrupts()
    task = run_until_done(Agent(model), "Go.", Asked("no", "still no"), interrupts=interrupts)
    result = await while_halted(model, task, lambda: interrupts.send("Leave the tests alone."))
    assert result.outcome == "done"
    assert [text_of(message) for message in result.messages[2:4]] == [
        "So far",
        "Leave the tests alone.",
    ]
    assert roles(model.requests[1].messages) == "U U A U U"


async def test_an_interrupt_between_a_call_and_its_tool_leaves_no_call_without_an_answer():
    interrupts, ran = UserInterrupts(), list[str]()

    @tool
    async def stop_here() -> str:
        """Wait for ever, after the user has cut in."""
        interrupts.send("Stop that.")
        await asyncio.Event().wait()
        return ""

    @tool(sequential=True)
    async def never_run() -> str:
        """Must not be run."""
        ran.append("it")
        return ""

    script = [calls("stop_here", "never_run"), "TASK COMPLETE"]
    async with mock_of(script) as server, client_of(server) as client:
        agent = Agent("openai/gpt-5-mini", tools=[stop_here, never_run], client=client)
        result = await run_until_done(agent, "Go.", Asked("no", "no"), interrupts=interrupts)
        sent = json.loads(server.requests[1].body)["messages"]
    assert (result.outcome, ran) == ("done", [])
    assert answered(result.messages)
    assert roles(result.messages) == "U U AC T T U U A"
    assert [each["role"] for each in sent][2:] == ["assistant", "tool", "tool", "user", "user"]


async def test_a_model_that_can_not_reason_is_asked_without_a_word_of_reasoning():
    async with mock_of(["TASK COMPLETE"]) as server, client_of(server) as client:
        agent = Agent("openai/gpt-4o-mini", client=client, reasoning="low")
        result = await run_until_done(agent, "Go.", Asked("no"))
        body = json.loads(server.requests[0].body)
    assert result.outcome == "done"
    assert not [name for name in body if name.startswith("reasoning")]


async def test_an_unknown_price_does_not_end_the_task_and_is_no_zero():
    async with mock_of(["Hm.", "TASK COMPLETE"]) as server, client_of(server) as client:
        agent = Agent("openai/nobody-knows-this-one", client=client)
        result = await run_until_done(agent, "Go.", Asked("no"))
    assert (result.outcome, result.attempts) == ("done", 2)
    assert result.cost.status == "unknown"
    assert result.usage.total_tokens > 0


async def test_a_price_known_for_a_part_is_a_lower_bound_for_all():
    script = [
        AssistantMessage([Text("Hm.")], usage=Usage(1, 1, cost=Cost("known", nanos=500))),
        AssistantMessage([Text("TASK COMPLETE")], usage=Usage(1, 1, cost=Cost("unknown", nanos=7))),
    ]
    result = await run_until_done(agent_of(script), "Go.", Asked("no"))
    assert (result.outcome, result.cost) == ("done", Cost("unknown", nanos=507))


async def test_a_task_that_is_done_after_an_interrupt_asks_the_model_no_more():
    model = Halting(None)
    interrupts = UserInterrupts()
    task = run_until_done(Agent(model), "Go.", Asked("no"), interrupts=interrupts)
    result = await while_halted(model, task, lambda: interrupts.send("I did it myself."))
    assert (result.outcome, len(model.requests)) == ("done", 1)
    assert roles(result.messages) == "U U A U"
    assert text_of(result.messages[-1]) == "I did it myself."


async def test_giving_up_is_a_result_and_an_exception_only_for_who_wants_one():
    result = await run_until_done(agent_of(["I GIVE UP: no compiler."]), "Go.", Never())
    assert (result.outcome, result.detail) == ("gave_up", "I GIVE UP: no compiler.")
    with pytest.raises(TaskFailedError, match=r"gave_up.*no compiler") as caught:
        result.raise_for_outcome()
    assert caught.value.result is result


async def test_an_exception_in_the_status_function_becomes_feedback():
    answers = iter([TaskStatus(errors=["no"]), ValueError("no such file"), TaskStatus()])

    def status(initial: bool) -> TaskStatus:
        answer = next(answers)
        if isinstance(answer, ValueError):
            raise answer
        return answer

    result = await run_until_done(agent_of(["TASK COMPLETE", "TASK COMPLETE"]), "Go.", status)
    assert result.outcome == "done"
    assert "- The status could not be told: ValueError: no such file" in text_of(result.messages[3])


async def test_the_status_may_be_asked_after_every_turn_without_a_marker():
    status = Asked("no", "half")
    script = [look_call(arguments={"place": "a"}), look_call(arguments={"place": "b"})]
    agent = agent_of(script, tools=[look])
    result = await run_until_done(agent, "Go.", status, check_each_turn=True)
    assert (result.outcome, result.attempts) == ("done", 1)
    assert status.calls == [True, False, False]
    assert roles(result.messages) == "U U AC T U AC T"
    assert text_of(result.messages[4]) == "The task is not done yet.\nErrors:\n- half"


def mock_of(script: list[Any]) -> MockProvider:
    models = ["gpt-5-mini", "gpt-4o-mini", "nobody-knows-this-one"]
    return MockProvider("openai-chat", script, models=models)


def client_of(server: MockProvider) -> AsyncClient:
    return AsyncClient(base_urls={"openai": server.url}, keys={"openai": "any"})
