"""Abort, deadline and leaving, in every state of a run: at once, and nothing is lost or left open."""

import asyncio
import threading
import time
from collections.abc import AsyncGenerator

import pytest

from polyvox import Interrupt, ToolCall
from polyvox.agent import (
    Agent,
    AgentEnd,
    MessageEnd,
    MessageUpdate,
    RunLimits,
    ToolExecutionEnd,
    ToolExecutionStart,
    TurnStart,
)
from polyvox.assembly import failed
from polyvox.errors import AbortedError, RequestTimeoutError, RunLimitError
from polyvox.events import Event, Failed, Start, TextDelta, TextStart
from polyvox.messages import AssistantMessage, Text, ToolMessage
from polyvox.model import Call
from polyvox.request import Request
from polyvox.tools import tool
from polyvox.waiting import Waiter

from .rig import agent_of, calls, trace, without_updates


class Hanging:
    """A model that says a few words and then waits until it is told to stop."""

    name = "test/hanging"

    def __init__(self) -> None:
        self.closed = asyncio.Event()

    async def stream(self, request: Request, call: Call) -> AsyncGenerator[Event]:
        try:
            yield Start("test", "hanging")
            yield TextStart(0)
            yield TextDelta(0, "So far")
            try:
                with Waiter(call) as waiter:
                    await waiter.until(time.monotonic() + 1000)
            except AbortedError as error:
                message = AssistantMessage(
                    [Text("So far")], stop_reason="aborted", error=error.text
                )
                error.message = message
                yield Failed(error, message)
            except RequestTimeoutError as error:  # the deadline
                yield failed(error)
        finally:
            self.closed.set()


@tool
async def forever() -> str:
    """Wait until it is cancelled."""
    await asyncio.Event().wait()
    return "never"


@tool
async def stubborn() -> str:
    """Do not heed being cancelled."""
    release = asyncio.Event()
    STUBBORN.append(release)
    while not release.is_set():
        try:
            await release.wait()
        except asyncio.CancelledError:
            continue
    return "late"


STUBBORN: list[asyncio.Event] = []


@tool
def blocking() -> str:
    """Keep a thread busy."""
    released = threading.Event()
    BLOCKING.append(released)
    released.wait(30)
    return "late"


BLOCKING: list[threading.Event] = []


async def test_before_anything_was_asked():
    run = agent_of(["Never."]).stream("Hi.")
    run.abort()
    assert (await trace(run)).endswith("turn_end agent_end:aborted")
    assert isinstance(run.result.error, AbortedError)


async def test_while_the_model_answers_keeps_what_had_arrived():
    run = Agent(Hanging()).stream("Hi.")
    async for event in run:
        if isinstance(event, MessageUpdate) and isinstance(event.event, TextDelta):
            run.abort("enough")
    assert run.result.outcome == "aborted"
    assert run.result.text == "So far"
    assert run.state.messages[-1].stop_reason == "aborted"
    assert "enough" in run.result.detail


@pytest.mark.parametrize("hanging", [forever, stubborn, blocking], ids=lambda each: each.name)
async def test_while_tools_run_answers_every_call(hanging):
    @tool
    def quick() -> str:
        return "quick"

    run = agent_of([calls("quick", hanging.name), "Never."], tools=[quick, hanging]).stream("Go.")
    seen: list[str] = []
    async for event in run:
        if isinstance(event, ToolExecutionEnd) and event.call.name == "quick":
            run.abort("enough")
        seen.append(type(event).__name__)
    assert run.result.outcome == "aborted"
    assert run.state.unanswered == []
    stopped = run.state.messages[-1]
    assert isinstance(stopped, ToolMessage)
    assert stopped.content[0].text == "Stopped before it was done: enough."
    for release in (*STUBBORN, *BLOCKING):
        release.set()


async def test_between_tools_those_not_begun_are_answered():
    @tool
    async def first() -> str:
        return "one"

    run = agent_of(
        [calls("first", "forever", ToolCall("3", "first")), "Never."],
        tools=[first, forever],
        parallel_tools=False,
    ).stream("Go.")
    async for event in run:
        if isinstance(event, ToolExecutionStart) and event.call.name == "forever":
            run.abort("enough")
    texts = [each.content[0].text for each in run.state.messages if isinstance(each, ToolMessage)]
    assert texts == ["one", "Stopped before it was done: enough.", "Not run: enough."]


async def test_while_somebody_is_asked_for_an_approval():
    asked = asyncio.Event()

    @tool(needs_approval=True)
    def delete() -> str:
        raise AssertionError("it was run")

    async def approve(use, reason):
        asked.set()
        await asyncio.Event().wait()

    run = agent_of([calls("delete"), "Never."], tools=[delete], approve=approve).stream("Go.")

    async def stop() -> None:
        await asked.wait()
        run.abort("enough")

    stopping = asyncio.create_task(stop())
    line = await trace(run)
    await stopping
    assert line.endswith("turn_end agent_end:aborted")
    assert run.state.unanswered == []


async def test_an_interrupt_from_a_thread():
    interrupt = Interrupt()
    run = agent_of([calls("forever"), "Never."], tools=[forever]).stream("Go.", interrupt=interrupt)
    async for event in run:
        if isinstance(event, ToolExecutionStart):
            threading.Thread(target=interrupt.set, args=("from a thread",)).start()
    assert run.result.outcome == "aborted"
    assert "from a thread" in run.result.detail


async def test_run_raises_and_keeps_what_was_done():
    interrupt = Interrupt()
    interrupt.set("no")
    with pytest.raises(AbortedError) as caught:
        await agent_of(["Never."]).run("Hi.", interrupt=interrupt)
    assert caught.value.result.outcome == "aborted"
    assert caught.value.result.messages[0].content[0].text == "Hi."


async def test_the_time_is_over_while_the_model_answers():
    run = Agent(Hanging(), limits=RunLimits(seconds=0.05)).stream("Hi.")
    await trace(run)
    assert run.result.outcome == "limit"
    assert "limits.seconds" in run.result.detail
    assert isinstance(run.result.error, RunLimitError)


async def test_the_time_is_over_while_a_tool_runs():
    limits = RunLimits(seconds=0.05)
    run = agent_of([calls("forever"), "Never."], tools=[forever], limits=limits).stream("Go.")
    line = without_updates(await trace(run))
    assert line.endswith("te:forever! ms:TR me:TR turn_end agent_end:limit")


async def test_a_run_that_is_over_the_time_can_go_on():
    script = [calls("forever"), "Done."]
    agent = agent_of(script, tools=[forever], limits=RunLimits(seconds=0.05))
    with pytest.raises(RunLimitError) as caught:
        await agent.run("Go.")
    result = await agent.resume(caught.value.result.state, limits=RunLimits())
    assert result.text == "Done."


@pytest.mark.parametrize(
    ("limits", "word"),
    [
        (RunLimits(turns=1), "limits.turns"),
        (RunLimits(tokens=1), "limits.tokens"),
        (RunLimits(cost=0), "limits.cost"),
    ],
)
async def test_limits_are_looked_at_before_a_turn(limits, word):
    @tool
    def more() -> str:
        return "and on"

    run = agent_of([calls("more"), "Never."], tools=[more], limits=limits).stream("Go.")
    line = await trace(run)
    assert line.endswith("agent_end:limit")
    assert word in run.result.detail
    assert run.state.unanswered == []


async def test_leaving_closes_the_models_stream():
    model = Hanging()
    async with Agent(model).stream("Hi.") as run:
        async for event in run:
            if isinstance(event, MessageUpdate) and isinstance(event.event, TextDelta):
                break
    assert model.closed.is_set()
    assert run.state.outcome == "aborted"


async def test_leaving_cancels_the_tools():
    cancelled = asyncio.Event()
    begun = asyncio.Event()

    @tool
    async def work() -> str:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    async with agent_of([calls("work"), "Never."], tools=[work]).stream("Go.") as run:
        async for event in run:
            if isinstance(event, ToolExecutionStart):
                break
    await asyncio.sleep(0)
    assert not begun.is_set() or cancelled.is_set()


async def test_cancelling_the_task_reaches_the_tool():
    begun, cancelled = asyncio.Event(), asyncio.Event()

    @tool
    async def work() -> str:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    running = asyncio.create_task(agent_of([calls("work"), "Never."], tools=[work]).run("Go."))
    await begun.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    await asyncio.wait_for(cancelled.wait(), 5)


async def test_a_message_said_into_a_run_may_skip_tools_that_were_not_begun():
    @tool
    async def first() -> str:
        run.steer("Stop that.")
        return "one"

    run = agent_of(
        [calls("first", "forever"), "All right."],
        tools=[first, forever],
        parallel_tools=False,
        steer_between_tools=True,
    ).stream("Go.")
    line = without_updates(await trace(run))
    assert (
        "te:first ms:TR me:TR ts:forever te:forever! ms:TR me:TR turn_end turn_start ms:U me:U"
        in line
    )
    assert run.result.text == "All right."


async def test_no_call_is_left_open_whenever_it_is_aborted():
    """Abort at the n-th event, for each n: every call has its answer, and the run its one end."""
    for number in range(40):
        run = agent_of(
            [calls("forever" if number % 2 else "quick", "quick"), "Done."],
            tools=[forever, tool(quick)],
        ).stream("Go.")
        events = []
        async for event in run:
            events.append(event)
            if len(events) == number + 1 or (number % 2 and len(events) > 30):
                run.abort()
            if (
                number % 2
                and isinstance(event, ToolExecutionStart)
                and event.call.name == "forever"
            ):
                run.abort()
        assert sum(isinstance(each, AgentEnd) for each in events) == 1
        assert isinstance(events[-1], AgentEnd)
        assert run.state.unanswered == []
        assert isinstance(events[1], TurnStart)


async def quick() -> str:
    """Be quick."""
    return "quick"


async def test_what_was_stopped_before_its_tools_began_runs_none_of_them():
    ran: list[str] = []

    @tool
    async def work() -> str:
        ran.append("work")
        return "done"

    run = agent_of([calls("work"), "Never."], tools=[work]).stream("Go.")
    async for event in run:
        if isinstance(event, MessageEnd) and isinstance(event.message, AssistantMessage):
            run.abort("enough")
    assert ran == []
    assert run.state.messages[-1].content[0].text == "Not run: enough."
