"""Going on with a run whose process died, or whose store failed: nothing is lost, nothing done twice."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from polyvox import Text, ToolCall, user
from polyvox.agent import (
    AgentEnd,
    AgentEvent,
    AgentStart,
    MessageEnd,
    RunState,
    ToolExecutionEnd,
    TurnEnd,
    TurnStart,
)
from polyvox.agent.sessions import JsonlSessions, SqliteSessions
from polyvox.errors import ConfigurationError, PolyvoxError
from polyvox.messages import AssistantMessage, ToolMessage
from polyvox.tools import ToolContext, ToolResult, tool

from .rig import agent_of, calls, trace, without_updates

CHILD = """
import asyncio, sys
from pathlib import Path
from polyvox import ToolCall
from polyvox.agent import ToolExecutionEnd
from polyvox.agent.sessions import JsonlSessions, SqliteSessions
from polyvox.tools import tool
from tests.agent.rig import agent_of, calls

@tool
async def work(n: int) -> str:
    if n == 1:
        await asyncio.Event().wait()
    return f"{n} by the first process"

async def main():
    store, folder = sys.argv[1], Path(sys.argv[2])
    made = JsonlSessions(folder / "s") if store == "jsonl" else SqliteSessions(folder / "s.db")
    session = await made.open("s")
    asked = calls(*(ToolCall(f"call-{n}", "work", {"n": n}) for n in range(3)))
    async for event in agent_of([asked], tools=[work]).stream("Go.", session=session):
        if isinstance(event, ToolExecutionEnd):
            print(event.call.id, flush=True)

asyncio.run(main())
"""


@pytest.mark.parametrize("store", ["jsonl", "sqlite"])
async def test_after_kill_9_only_calls_without_a_recorded_result_are_run(
    store: str, tmp_path: Path
):
    command = [sys.executable, "-c", CHILD, store, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: ASYNC220 - it is killed
        assert process.stdout is not None
        assert {process.stdout.readline() for _ in range(2)} == {"call-0\n", "call-2\n"}
        process.kill()
    ran: list[int] = []

    @tool
    async def work(n: int) -> str:
        ran.append(n)
        return f"{n} by the second process"

    made = JsonlSessions(tmp_path / "s") if store == "jsonl" else SqliteSessions(tmp_path / "s.db")
    agent = agent_of(["Done."], tools=[work])
    async with made, await made.open("s") as session:
        result = await agent.resume(session)
    assert ran == [1]
    assert result.text == "Done."
    texts = [each.content[0].text for each in agent.model.requests[0].messages[2:]]
    assert texts == [
        "0 by the first process",
        "1 by the second process",
        "2 by the first process",
    ]


def replayed(events: list[AgentEvent], upto: int) -> RunState:
    """The state of a process that was killed when it had kept so many events."""
    state = RunState()
    for event in events[:upto]:
        state.apply(event)
    return RunState.from_json(state.to_json())


async def test_killed_after_any_event_a_run_goes_on_to_the_same_conversation():
    ran: list[str] = []

    @tool
    async def f() -> str:
        ran.append("f")
        return "one"

    @tool
    async def end() -> ToolResult:
        return ToolResult(content=[Text("bye")], terminate=True)

    script = [calls("f", ToolCall("2", "f")), calls("f", "end")]
    events = [event async for event in agent_of(script, tools=[f, end]).stream("Go.")]
    kept = [each for each in events if not isinstance(each, AgentEnd)]
    prompt = next(n for n, each in enumerate(kept) if isinstance(each, MessageEnd)) + 1
    whole = replayed(events, len(events))
    for upto in range(prompt, len(kept)):
        state = replayed(kept, upto)
        done = sum(isinstance(each, ToolExecutionEnd) for each in kept[:upto])
        answers = sum(isinstance(each, AssistantMessage) for each in state.messages)
        ran.clear()
        agent = agent_of(script[answers:] or ["Never."], tools=[f, end])
        result = await agent.resume(state)
        assert result.outcome == "done", upto
        assert result.messages == whole.messages, upto
        assert len(ran) == 3 - min(done, 3), upto


async def test_a_tool_that_ended_the_run_still_does_when_another_had_to_wait():
    @tool
    async def end() -> ToolResult:
        return ToolResult(content=[Text("bye")], terminate=True)

    @tool(needs_approval=True)
    async def f() -> str:
        return "one"

    agent = agent_of([calls("end", "f"), "Never."], tools=[end, f])
    first = await agent.run("Go.")
    last = await agent.resume(RunState.from_json(first.state.to_json()), {"call-f": True})
    assert last.outcome == "done"
    assert len(agent.model.requests) == 1


@pytest.mark.parametrize(
    ("text", "read"),
    [("half a \ud800", "half a \ufffd"), ("\x00", "\x00"), ("\U0001f9ea", "\U0001f9ea")],
)
async def test_a_state_can_be_written_whatever_a_tool_said(text: str, read: str):
    @tool
    async def odd() -> ToolResult:
        return ToolResult(content=[Text(text)], details={"a": object(), "b": float("nan")})

    @tool(needs_approval=True)
    async def f() -> str:
        return "one"

    result = await agent_of([calls("odd", "f")], tools=[odd, f]).run("Go.")
    assert RunState.from_json(result.state.to_json()).results["call-odd"].content == [Text(read)]


async def test_details_that_have_no_json_are_told_in_words():
    around: list[Any] = []
    around.append(around)

    @tool
    async def odd() -> list[Any]:
        return [Text("fine")]

    def after(use: Any, result: ToolResult) -> ToolResult:
        return ToolResult(content=result.content, details={(1, 2): around})

    @tool(needs_approval=True)
    async def f() -> str:
        return "one"

    agent = agent_of([calls("odd", "f")], tools=[odd, f], after_tool=after)
    result = await agent.run("Go.")
    read = RunState.from_json(result.state.to_json())
    assert read.results["call-odd"].details == "{(1, 2): [[...]]}"
    json.loads(result.state.to_json())


class Failing:
    """A session that can't keep the events of one kind, as on a full disk."""

    id = "failing"

    def __init__(self, kind: type[Any], error: Exception) -> None:
        self.state, self.kind, self.error = RunState(), kind, error

    async def append(self, event: AgentEvent) -> None:
        if isinstance(event, self.kind):
            raise self.error
        self.state.apply(event)


@pytest.mark.parametrize("error", [ConfigurationError("disk full"), OSError("disk full")])
@pytest.mark.parametrize(
    "kind", [AgentStart, TurnStart, MessageEnd, ToolExecutionEnd, TurnEnd, AgentEnd]
)
async def test_a_session_that_can_not_write_ends_the_run_with_its_error(
    kind: type[Any], error: Exception
):
    cancelled = asyncio.Event()

    @tool
    async def quick() -> str:
        return "quick"

    @tool
    async def slow(context: ToolContext[Any]) -> str:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()
        return "never"

    session = Failing(kind, error)
    tools = [quick, slow] if kind is ToolExecutionEnd else [quick]
    agent = agent_of([calls(*(each.name for each in tools)), "Done."], tools=tools)
    run = agent.stream("Go.", session=session)
    assert (await trace(run)).endswith("agent_end:error")
    assert "disk full" in str(run.result.error)
    assert session.state.outcome == "error"
    if kind is ToolExecutionEnd:
        await asyncio.wait_for(cancelled.wait(), 5)
    session.kind = type(None)
    going_on = agent_of(["Done."] * 2, tools=[quick, quick.renamed("slow")])
    if session.state.messages:
        assert (await going_on.resume(session)).outcome == "done"
    else:
        assert (await going_on.run("Go.", session=session)).outcome == "done"


async def test_an_answer_that_could_not_be_kept_is_with_the_error():
    class Full(Failing):
        async def append(self, event: AgentEvent) -> None:
            if isinstance(event, MessageEnd) and isinstance(event.message, AssistantMessage):
                raise self.error
            self.state.apply(event)

    with pytest.raises(PolyvoxError, match="disk full") as caught:
        await agent_of(["Dear."]).run("Go.", session=Full(AgentEnd, OSError("disk full")))
    assert caught.value.result.text == "Dear."
    assert isinstance(caught.value.__cause__, OSError)


async def test_two_calls_of_one_id_are_two_calls():
    ran: list[int] = []

    @tool
    async def f(n: int) -> str:
        ran.append(n)
        return str(n)

    asked = calls(*(ToolCall(id, "f", {"n": n}) for n, id in enumerate(["1", "1", "", ""])))
    result = await agent_of([asked, "Done."], tools=[f]).run("Go.")
    answers = [each for each in result.messages if isinstance(each, ToolMessage)]
    assert ran == [0, 1, 2, 3]
    assert [each.content[0].text for each in answers] == ["0", "1", "2", "3"]
    assert [each.tool_call_id for each in answers] == [
        each.id for each in result.messages[1].tool_calls
    ]
    assert len({each.tool_call_id for each in answers}) == 4


async def test_ids_that_come_again_in_a_later_turn_are_other_calls():
    ran: list[int] = []

    @tool
    async def f(n: int) -> str:
        ran.append(n)
        return str(n)

    script = [calls(ToolCall("1", "f", {"n": n})) for n in range(3)]
    result = await agent_of([*script, "Done."], tools=[f]).run("Go.")
    assert ran == [0, 1, 2]
    assert result.state.results == {}


async def test_a_conversation_is_gone_on_with_by_an_agent_of_that_name_alone():
    state = RunState(agent="billing", messages=[user("Hi.")])
    run = agent_of(["Never."]).resume_stream(state)
    assert without_updates(await trace(run)) == "agent_start agent_end:error"
    assert isinstance(run.result.error, ConfigurationError)


async def test_a_result_of_a_turn_that_never_ended_is_not_taken_for_a_later_call_of_that_id():
    state = RunState()
    first = ToolCall("1", "f", {"n": 1})
    for event in (
        MessageEnd(user("Go.")),
        MessageEnd(calls(first)),
        ToolExecutionEnd(first, ToolResult(content=[Text("old")])),
        MessageEnd(ToolMessage("1", [Text("old")], tool_name="f")),
        MessageEnd(user("Again.")),
        MessageEnd(calls(first)),
    ):
        state.apply(event)
    assert state.results == {}
    assert state.unanswered == [first]
