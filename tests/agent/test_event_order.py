"""The order of a run's events, as the contract lays it down: golden traces."""

import asyncio

import pytest

from polyvox import Text, ToolCall, user
from polyvox.agent import AgentEnd, MessageUpdate, RunState, ToolExecutionEnd
from polyvox.errors import RateLimitError, ServerError
from polyvox.events import TextDelta
from polyvox.messages import AssistantMessage, ToolMessage
from polyvox.tools import ToolContext, ToolResult, tool

from .rig import agent_of, calls, trace, without_updates


@tool
async def f() -> str:
    """Do one thing."""
    return "one"


@tool
async def g() -> str:
    """Do another."""
    return "two"


@tool
async def fails() -> str:
    """Do what can't be done."""
    raise OSError("the disk is gone")


PLAIN = "agent_start turn_start ms:U me:U ms:A me:A turn_end agent_end:done"
TOOLS = (
    "agent_start turn_start ms:U me:U ms:A me:A"
    " ts:f ts:g te:f ms:TR me:TR te:g ms:TR me:TR turn_end"
    " turn_start ms:A me:A turn_end agent_end:done"
)


async def test_a_plain_answer():
    line = await trace(agent_of(["Hello."]).stream("Hi."))
    assert line.startswith("agent_start turn_start ms:U me:U ms:A mu mu")
    assert without_updates(line) == PLAIN


async def test_the_model_fails_before_it_answers():
    run = agent_of([RateLimitError("slow down")]).stream("Hi.")
    assert await trace(run) == PLAIN.replace("done", "error")
    assert isinstance(run.result.error, RateLimitError)
    assert run.result.message is not None
    assert run.result.message.stop_reason == "error"


async def test_two_tools():
    assert (
        without_updates(
            await trace(agent_of([calls("f", "g"), "Done."], tools=[f, g]).stream("Go."))
        )
        == TOOLS
    )


async def test_a_tool_that_does_not_exist_and_one_that_fails():
    run = agent_of([calls("zz", "fails"), "Done."], tools=[f, fails]).stream("Go.")
    line = without_updates(await trace(run))
    wanted = TOOLS.replace("te:f", "te:zz!").replace("te:g", "te:fails!")
    assert line == wanted.replace("ts:f ts:g", "ts:zz ts:fails")
    missing, failing = [each for each in run.state.messages if isinstance(each, ToolMessage)]
    assert "There is no tool 'zz'" in missing.content[0].text
    assert "the disk is gone" in failing.content[0].text


async def test_a_tool_that_is_done_sooner_is_told_sooner_but_its_message_waits_for_its_turn():
    quick_is_done = asyncio.Event()

    @tool
    async def slow() -> str:
        await quick_is_done.wait()
        return "slow"

    @tool
    async def quick() -> str:
        quick_is_done.set()
        return "quick"

    run = agent_of([calls("slow", "quick"), "Done."], tools=[slow, quick]).stream("Go.")
    line = without_updates(await trace(run))
    assert "ts:slow ts:quick te:quick te:slow ms:TR me:TR ms:TR me:TR turn_end" in line
    results = [each for each in run.state.messages if isinstance(each, ToolMessage)]
    assert [each.tool_name for each in results] == ["slow", "quick"]


STEERED = "turn_start ms:U me:U ms:A me:A turn_end"


@pytest.mark.parametrize(
    ("mode", "turns"),
    [("one-at-a-time", [1, 1, 1, 1]), ("all", [2, 2])],
)
async def test_messages_said_while_tools_run(mode: str, turns: list[int]):
    run = agent_of(
        [calls("speak"), *["Yes."] * len(turns)],
        tools=[_speaker(lambda: run)],
        steering=mode,
        follow_ups=mode,
    ).stream("Go.")
    line = without_updates(await trace(run))
    _, _, after = line.partition("te:speak ms:TR me:TR turn_end ")
    wanted = " ".join(
        " ".join(["turn_start", *["ms:U me:U"] * count, "ms:A me:A turn_end"]) for count in turns
    )
    assert after == f"{wanted} agent_end:done"
    said = [
        each.content[0].text
        for each in run.state.messages
        if each.__class__.__name__ == "UserMessage"
    ]
    assert said == ["Go.", "s1", "s2", "u1", "u2"]


def _speaker(run):
    @tool
    def speak() -> str:
        """Say something into the run."""
        for text in ("s1", "s2"):
            run().steer(text)
        for text in ("u1", "u2"):
            run().follow_up(text)
        return "said"

    return speak


async def test_what_was_said_before_the_run_is_read_in_its_first_turn():
    run = agent_of(["Yes."]).stream("Go.")
    run.steer("And quickly.")
    assert without_updates(await trace(run)) == PLAIN.replace("ms:U me:U", "ms:U me:U ms:U me:U")


async def test_going_on_from_a_users_message():
    run = agent_of(["Hello."]).stream(state=RunState(messages=[user("Hi.")]))
    assert without_updates(await trace(run)) == PLAIN.replace("ms:U me:U ", "")


async def test_nothing_to_go_on_from():
    run = agent_of(["Hello."]).stream()
    assert await trace(run) == "agent_start agent_end:error"
    assert "the prompt is empty" in str(run.result.error)


async def test_a_conversation_that_is_done_stays_as_it_is():
    first = agent_of(["Hello."]).stream("Hi.")
    await trace(first)
    again = agent_of(["Never asked."]).resume_stream(first.state)
    assert await trace(again) == "agent_start agent_end:done"


async def test_calls_that_were_cut_off_are_answered_and_never_run():
    ran: list[str] = []

    @tool
    def write(path: str) -> str:
        ran.append(path)
        return "written"

    cut = AssistantMessage(
        [
            ToolCall("1", "write", {"path": "a"}),
            ToolCall("2", "write", unparsed='{"path": "b'),
        ],
        stop_reason="length",
    )
    run = agent_of([cut, "Sorry."], tools=[write]).stream("Go.")
    line = without_updates(await trace(run))
    assert "te:write! " in line
    assert ran == ["a"]
    cut_off = next(
        each for each in run.state.messages if isinstance(each, ToolMessage) and each.is_error
    )
    assert cut_off.tool_call_id == "2"
    assert "did not come whole" in cut_off.content[0].text


async def test_calls_of_an_answer_that_broke_off_are_answered_too():
    events = [
        {"type": "tool_call_start", "index": 0, "id": "1", "name": "f"},
        {"type": "tool_call_delta", "index": 0, "text": "{}"},
        {
            "type": "tool_call_end",
            "index": 0,
            "block": {"type": "tool_call", "id": "1", "name": "f"},
        },
        {
            "type": "error",
            "error": {"kind": "server", "text": "gone"},
            "message": {
                "role": "assistant",
                "content": [{"type": "tool_call", "id": "1", "name": "f"}],
                "stop_reason": "error",
            },
        },
    ]
    run = agent_of([{"events": events}], tools=[f]).stream("Go.")
    line = without_updates(await trace(run))
    assert line.endswith("ms:A me:A ms:TR me:TR turn_end agent_end:error")
    assert isinstance(run.result.error, ServerError)
    assert run.state.unanswered == []


async def test_a_tool_tells_of_its_progress():

    @tool
    async def work(context: ToolContext) -> str:
        context.update("half")
        return "all"

    line = without_updates(
        await trace(agent_of([calls("work"), "Done."], tools=[work]).stream("Go."))
    )
    assert "ts:work tu:work te:work" in line


async def test_a_tool_ends_the_run():
    @tool
    def finish() -> ToolResult:
        return ToolResult(content=[Text("bye")], terminate=True)

    run = agent_of([calls("finish"), "Never asked."], tools=[finish]).stream("Go.")
    line = without_updates(await trace(run))
    assert line.endswith("te:finish ms:TR me:TR turn_end agent_end:done")


async def test_the_last_event_has_the_messages_of_this_run_alone():
    agent = agent_of(["One.", "Two."])
    first = await agent.run("First.")
    events = [event async for event in agent.stream("Second.", state=first.state)]
    assert isinstance(events[-1], AgentEnd)
    assert [each.content[0].text for each in events[-1].messages] == ["Second.", "Two."]
    assert len(first.messages) == 4


@pytest.mark.parametrize("text", ["I will call it.", "I will call it.\n"])
async def test_the_text_of_a_run_comes_once_each_answer_on_a_line_of_its_own(text: str):
    script = [calls("f", text=text), calls("f"), "Done."]
    pieces = [piece async for piece in agent_of(script, tools=[f]).stream_text("Go.")]
    assert "".join(pieces) == "I will call it.\nDone."


async def test_an_update_is_the_models_own_event():
    events = [event async for event in agent_of(["Hello."]).stream("Hi.")]
    pieces = [
        each.event.text
        for each in events
        if isinstance(each, MessageUpdate) and isinstance(each.event, TextDelta)
    ]
    assert "".join(pieces) == "Hello."
    assert not any(isinstance(each, ToolExecutionEnd) for each in events)
