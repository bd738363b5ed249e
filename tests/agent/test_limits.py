"""What a run meets that does not behave: tools, models, toolsets, readers, threads, sheer size."""

import asyncio
import gc
import threading
import weakref
from collections.abc import AsyncGenerator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from polyvox import ToolCall, user
from polyvox.agent import Agent, AgentEnd, RunState, ToolExecutionUpdate
from polyvox.agent.inbox import MOST_UPDATES
from polyvox.errors import ConfigurationError, PolyvoxError, ProtocolError
from polyvox.events import Event, Start, TextDelta, TextStart
from polyvox.messages import AssistantMessage, Text, ToolMessage
from polyvox.tools import FunctionToolset, ToolContext, ToolRetry, tool

from .rig import agent_of, calls, trace, without_updates


def told(state: RunState) -> list[str]:
    return [each.content[0].text for each in state.messages if isinstance(each, ToolMessage)]


# ------------------------------------------------------------------------------------------- tools


class Odd(BaseException):
    """Neither an error nor a wish to end."""


def raising(error: BaseException, *, in_thread: bool) -> Any:
    if in_thread:

        @tool
        def f() -> str:
            raise error
    else:

        @tool
        async def f() -> str:
            raise error

    return f


@pytest.mark.parametrize("in_thread", [False, True], ids=["async", "thread"])
@pytest.mark.parametrize(
    "error", [asyncio.CancelledError(), SystemExit(3), OSError("gone"), StopIteration()], ids=repr
)
async def test_what_a_tool_raises_is_told_to_the_model(error: BaseException, in_thread: bool):
    agent = agent_of([calls("f"), "Done."], tools=[raising(error, in_thread=in_thread)])
    result = await asyncio.wait_for(agent.run("Go."), 5)
    assert result.text == "Done."
    assert next(each for each in result.messages if isinstance(each, ToolMessage)).is_error


@pytest.mark.parametrize("in_thread", [False, True], ids=["async", "thread"])
async def test_what_no_tool_may_swallow_passes_through_the_run(in_thread: bool):
    agent = agent_of([calls("f"), "Never."], tools=[raising(Odd(), in_thread=in_thread)])
    with pytest.raises(Odd):
        await asyncio.wait_for(agent.run("Go."), 5)


@pytest.mark.parametrize("in_thread", [False, True], ids=["async", "thread"])
def test_ctrl_c_in_a_tool_ends_the_program_and_not_the_conversation(in_thread: bool):
    state = RunState()
    error = KeyboardInterrupt()
    agent = agent_of([calls("f"), "Done."], tools=[raising(error, in_thread=in_thread)])
    with pytest.raises(KeyboardInterrupt):
        agent.run_sync("Go.", state=state)
    assert [each.id for each in state.unanswered] == ["call-f"]


async def test_a_tool_that_cancels_its_own_task_holds_up_nobody():
    @tool
    async def f() -> str:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await asyncio.sleep(0)
        return "never"

    result = await asyncio.wait_for(agent_of([calls("f"), "Done."], tools=[f]).run("Go."), 5)
    assert told(result.state) == ["f was cancelled"]


async def test_a_value_without_json_is_an_error_result():
    @tool
    async def f() -> Any:
        return object()

    result = await agent_of([calls("f"), "Done."], tools=[f]).run("Go.")
    assert "a object has no JSON" in told(result.state)[0]


async def test_updates_after_the_end_and_from_threads_left_behind_are_dropped():
    kept: list[ToolContext[Any]] = []
    go, gone = threading.Event(), threading.Event()

    @tool
    async def f(context: ToolContext[Any]) -> str:
        kept.append(context)

        def late() -> None:
            go.wait(5)
            context.update("from a thread")
            gone.set()

        threading.Thread(target=late).start()
        context.update("in time")
        return "one"

    events: list[Any] = []
    async for event in agent_of([calls("f"), "Done."], tools=[f]).stream("Go."):
        events.append(event)
        if not isinstance(event, ToolExecutionUpdate) and kept:
            kept[0].update("too late")
            go.set()
            await asyncio.to_thread(gone.wait, 5)
    texts = [each.result.text for each in events if isinstance(each, ToolExecutionUpdate)]
    assert texts == ["in time"]


@pytest.mark.parametrize(("fails", "tries"), [(1, 2), (2, 3), (9, 3)])
async def test_a_tool_may_ask_for_another_try_so_often_and_no_more(fails: int, tries: int):
    attempts: list[int] = []

    @tool(max_retries=2)
    async def f(context: ToolContext[Any]) -> str:
        attempts.append(context.attempt)
        if len(attempts) <= fails:
            raise ToolRetry("again, please")
        return "one"

    result = await agent_of([*[calls("f")] * tries, "Done."], tools=[f]).run("Go.")
    assert attempts == list(range(1, tries + 1))
    last = (
        "one" if fails < tries else "again, please\nThat was the last try: go on without this tool."
    )
    assert told(result.state)[-1] == last
    assert result.text == "Done."


async def test_calls_of_one_answer_are_one_try_together():
    attempts: list[int] = []

    @tool(max_retries=2)
    async def f(context: ToolContext[Any]) -> str:
        attempts.append(context.attempt)
        raise ToolRetry("again, please")

    many = calls(*(ToolCall(str(n), "f") for n in range(4)))
    result = await agent_of([many, calls("f"), "Done."], tools=[f]).run("Go.")
    assert attempts == [1, 1, 1, 1, 2]
    assert result.text == "Done."


async def test_a_toolset_that_fails_is_the_error_of_the_run():
    class Broken(FunctionToolset):
        async def tools(self) -> Any:
            raise OSError("no such server")

    run = agent_of(["Never."], tools=[Broken()]).stream("Go.")
    assert await trace(run) == "agent_start agent_end:error"
    assert "OSError: no such server" in str(run.result.error)
    assert isinstance(run.result.error.__cause__, OSError)


# ------------------------------------------------------------------------------------------- models


class Breaking:
    """A model that says a few words and then breaks its word."""

    name = "test/breaking"

    def __init__(self, error: Exception | None, words: bool = True) -> None:
        self.error, self.words = error, words

    async def stream(self, request: Any, call: Any) -> AsyncGenerator[Event]:
        if self.words:
            yield Start("test", "breaking")
            yield TextStart(0)
            yield TextDelta(0, "So far")
        if self.error is not None:
            raise self.error


@pytest.mark.parametrize("words", [False, True], ids=["at-once", "in-the-middle"])
@pytest.mark.parametrize(
    ("error", "kind"),
    [(None, ProtocolError), (ValueError("oh"), PolyvoxError), (ProtocolError("x"), ProtocolError)],
    ids=["no-ending", "raises", "raises-ours"],
)
async def test_a_model_that_breaks_its_word(error: Any, kind: type, words: bool):
    run = Agent(Breaking(error, words)).stream("Hi.")
    line = without_updates(await trace(run))
    assert line == "agent_start turn_start ms:U me:U ms:A me:A turn_end agent_end:error"
    assert type(run.result.error) is kind
    assert run.result.text == ("So far" if words else "")
    assert run.result.message is not None
    assert run.result.message.stop_reason == "error"


@pytest.mark.parametrize("name", ["nobody/nothing", "simulated/nothing", "nothing"])
async def test_a_model_that_does_not_exist(name: str):
    agent = Agent(name)
    run = agent.stream("Hi.")
    assert await trace(run) == "agent_start agent_end:error"
    assert isinstance(run.result.error, ConfigurationError)
    await agent.aclose()


# ------------------------------------------------------------------------------------------- size


async def test_updates_for_a_slow_reader_are_bounded_and_the_newest_are_kept():
    @tool
    async def f(context: ToolContext[Any]) -> str:
        for number in range(10_000):
            context.update(str(number))
        return "one"

    events = [event async for event in agent_of([calls("f"), "Done."], tools=[f]).stream("Go.")]
    texts = [each.result.text for each in events if isinstance(each, ToolExecutionUpdate)]
    assert texts == [str(number) for number in range(10_000 - MOST_UPDATES, 10_000)]


async def test_a_history_of_ten_thousand_messages():
    messages = [
        each
        for number in range(5_000)
        for each in (user(str(number)), AssistantMessage([Text("Yes.")]))
    ]

    @tool
    async def f() -> str:
        return "one"

    agent = agent_of([calls("f"), "Done."], tools=[f])
    result = await agent.run("Go.", state=RunState(messages=list(messages)))
    assert len(result.messages) == 10_004
    assert len(result.new_messages) == 4
    assert result.messages[:10_000] == messages


# ------------------------------------------------------------------------------------------- loops


async def test_run_sync_inside_a_running_loop():
    agent = agent_of(["Hello."])
    assert agent.run_sync("Hi.").text == "Hello."


def test_run_sync_in_many_threads():
    agent = agent_of([{"message": {"content": "Hello."}, "repeat": True}])
    with ThreadPoolExecutor(8) as threads:
        texts = list(threads.map(lambda _: agent.run_sync("Hi.").text, range(40)))
    assert texts == ["Hello."] * 40


def test_an_agent_that_is_forgotten_is_gone_at_once_and_leaves_no_loop_open():
    gc.disable()  # an open loop would be a ResourceWarning, which is an error here
    try:
        agent = Agent("simulated/echo")
        result = agent.run_sync("Hi.")
        forgotten = weakref.ref(agent)
        del agent
        assert forgotten() is None
        assert result.text == "Hi."
    finally:
        gc.enable()


async def test_a_run_closed_at_any_event_leaves_no_task_and_goes_on():
    @tool
    async def f() -> str:
        return "one"

    before = asyncio.all_tasks()
    for number in range(1, 40):
        agent = agent_of([calls("f", ToolCall("2", "f")), "Done.", "Done."], tools=[f])
        ended = False
        async with agent.stream("Go.") as run:
            for _ in range(number):
                ended = isinstance(await anext(run, AgentEnd("done")), AgentEnd)
        for _ in range(20):
            await asyncio.sleep(0)
        assert asyncio.all_tasks() == before
        assert run.state.outcome == ("done" if ended else "aborted")
        if run.state.messages:
            await agent_of(["Done."] * 3, tools=[f]).resume(run.state)
            assert run.state.unanswered == []
