"""Agents as tools of agents: what happens in them is told, paid once, and ends with the run around it."""

import asyncio
from typing import Any

from polyvox import ToolCall, Usage
from polyvox.agent import MessageUpdate, NestedRun, RunState
from polyvox.messages import AssistantMessage, Text, ToolMessage
from polyvox.tools import tool
from polyvox.usage import Cost

from .rig import agent_of, calls, word

USAGE = Usage(10, 5, cost=Cost("known", nanos=1_000))


def said(text: str) -> AssistantMessage:
    return AssistantMessage([Text(text)], "stop", USAGE)


def asking(name: str) -> AssistantMessage:
    call = ToolCall(f"call-{name}", name, {"task": f"for {name}"})
    return AssistantMessage([call], "tool_calls", USAGE)


def three_deep(innermost: Any) -> Any:
    inner = agent_of([calls(innermost.name), said("inner")], tools=[innermost], name="inner")
    middle = agent_of([asking("inner"), said("middle")], tools=[inner.as_tool()], name="middle")
    return agent_of([asking("middle"), said("outer")], tools=[middle.as_tool()], name="outer")


@tool
async def f() -> str:
    """Do one thing."""
    return "one"


async def test_events_from_three_deep_tell_the_whole_way():
    events = [event async for event in three_deep(f).stream("Go.")]
    nested = [each for each in events if isinstance(each, NestedRun)]
    assert not any(isinstance(each.event, NestedRun) for each in nested)
    paths = ["/".join(each.path) for each in nested]
    assert list(dict.fromkeys(paths)) == ["middle", "middle/inner"]
    line = " ".join(
        word(each)
        for each in nested
        if len(each.path) == 2 and not isinstance(each.event, MessageUpdate)
    )
    assert line.startswith("middle/inner(agent_start) middle/inner(turn_start)")
    assert "middle/inner(ts:f) middle/inner(te:f)" in line
    assert line.endswith("middle/inner(agent_end:done)")


async def test_every_attempt_is_on_the_books_once():
    result = await three_deep(f).run("Go.")
    assert len(result.attempts) == 6
    assert result.text == "outer"
    answers = [each for each in result.messages if isinstance(each, ToolMessage)]
    assert [each.content[0].text for each in answers] == ["middle"]


async def test_abort_reaches_the_innermost_and_leaves_no_task_behind():
    before = asyncio.all_tasks()
    begun, ended = asyncio.Event(), asyncio.Event()

    @tool
    async def wait() -> str:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        return "never"

    run = three_deep(wait).stream("Go.")

    async def stop() -> None:
        await begun.wait()
        run.abort("enough")

    stopping = asyncio.create_task(stop())
    assert [word(event) async for event in run][-1] == "agent_end:aborted"
    await asyncio.wait_for(ended.wait(), 5)
    await stopping
    assert await _left(before) == set()


async def test_leaving_closes_all_that_is_nested():
    before = asyncio.all_tasks()

    @tool
    async def wait() -> str:
        await asyncio.Event().wait()
        return "never"

    async with three_deep(wait).stream("Go.") as run:
        async for event in run:
            if isinstance(event, NestedRun) and word(event) == "middle/inner(ts:wait)":
                break
    assert await _left(before) == set()


async def _left(before: set[asyncio.Task[Any]]) -> set[asyncio.Task[Any]]:
    """The tasks that are there and were not, after those that were cancelled had their turns."""
    for _ in range(50):
        if asyncio.all_tasks() == before:
            break
        await asyncio.sleep(0)
    return asyncio.all_tasks() - before


async def test_an_inner_run_that_waits_for_an_approval_is_no_empty_success():
    @tool(needs_approval=True)
    async def delete() -> str:
        raise AssertionError("it was run")

    inner = agent_of([calls("delete")], tools=[delete], name="inner")
    outer = agent_of([asking("inner"), "Sorry."], tools=[inner.as_tool()])
    result = await outer.run("Go.")
    (message,) = [each for each in result.messages if isinstance(each, ToolMessage)]
    assert message.is_error
    assert "inner waits for an approval: delete" in message.content[0].text


async def test_an_inner_run_that_fails_is_an_error_result():
    inner = agent_of([{"error": {"kind": "server", "text": "gone"}}], name="inner")
    outer = agent_of([asking("inner"), "Sorry."], tools=[inner.as_tool()])
    result = await outer.run("Go.")
    (message,) = [each for each in result.messages if isinstance(each, ToolMessage)]
    assert message.is_error
    assert "gone" in message.content[0].text


async def test_a_slow_reader_misses_pieces_of_an_inner_answer_and_never_its_ends():
    inner = agent_of(["word " * 3_000], name="inner")
    outer = agent_of([asking("inner"), "Done."], tools=[inner.as_tool()])
    seen: list[str] = []
    async for event in outer.stream("Go."):
        for _ in range(4):
            await asyncio.sleep(0)
        seen.append(word(event))
    for each in ("agent_start", "turn_start", "me:A", "turn_end", "agent_end:done"):
        assert f"inner({each})" in seen


async def test_two_runs_of_one_agent_at_once_never_see_each_other():
    both = asyncio.Barrier(2)

    @tool
    async def meet(who: str) -> str:
        await both.wait()
        return f"I am {who}"

    def script(who: str) -> list[Any]:
        return [calls(ToolCall("1", "meet", {"who": who})), f"Bye {who}."]

    agent = agent_of(["-"], tools=[meet])
    one, two = agent_of(script("one")).model, agent_of(script("two")).model

    class Both:
        name = "test/both"

        def stream(self, request: Any, call: Any) -> Any:
            mine = request.messages[0].content[0].text == "one"
            return (one if mine else two).stream(request, call)

    agent.model = Both()
    first, second = await asyncio.gather(agent.run("one"), agent.run("two"))
    assert (first.text, second.text) == ("Bye one.", "Bye two.")
    assert first.messages[2].content[0].text == "I am one"
    assert second.messages[2].content[0].text == "I am two"
    assert RunState() == RunState()
    assert len(first.attempts) == len(second.attempts) == 2


async def test_an_interrupt_that_serves_many_runs_does_not_keep_them():
    from polyvox import Interrupt

    interrupt = Interrupt()
    agent = agent_of([{"message": {"content": "Hi."}, "repeat": True}])
    for _ in range(20):
        await agent.run("Hi.", interrupt=interrupt)
    import gc

    gc.collect()
    assert len(interrupt._listeners) <= 1
