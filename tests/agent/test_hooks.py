"""Hooks of the program: whatever they do, no tool runs unseen, and no run hangs."""

import asyncio
from typing import Any

import pytest

from polyvox import Image, Text, ToolCall, user
from polyvox.agent import RunLimits
from polyvox.errors import ConfigurationError
from polyvox.messages import ToolMessage
from polyvox.tools import ToolResult, tool

from .rig import agent_of, calls, trace

CALL = ToolCall("1", "double", {"n": 2})


@tool
def double(n: int) -> int:
    """Double a number."""
    return 2 * n


def told(state: Any) -> list[str]:
    return [each.content[0].text for each in state.messages if isinstance(each, ToolMessage)]


def both(hook: Any) -> list[Any]:
    """The hook, and the same as a coroutine's function."""

    async def asynchronous(*given: Any) -> Any:
        await asyncio.sleep(0)
        return hook(*given)

    return [pytest.param(hook, id="sync"), pytest.param(asynchronous, id="async")]


def broken(*given: Any) -> Any:
    raise ValueError("no idea")


@pytest.mark.parametrize("hook", both(lambda use: {"n": 3}))
async def test_before_tool_changes_arguments(hook: Any):
    result = await agent_of([calls(CALL), "Done."], tools=[double], before_tool=hook).run("Go.")
    assert told(result.state) == ["6"]
    assert result.messages[1].tool_calls[0].arguments == {"n": 2}


@pytest.mark.parametrize("hook", both(lambda use: {"n": "three"}))
async def test_arguments_that_before_tool_made_are_checked_too(hook: Any):
    result = await agent_of([calls(CALL), "Done."], tools=[double], before_tool=hook).run("Go.")
    assert told(result.state) == ["n: expected a whole number, got a string"]


@pytest.mark.parametrize("hook", both(broken))
async def test_a_tool_is_not_run_when_before_tool_fails(hook: Any):
    result = await agent_of([calls(CALL), "Done."], tools=[double], before_tool=hook).run("Go.")
    assert told(result.state) == ["double was not run: ValueError: no idea"]


@pytest.mark.parametrize("hook", both(broken))
async def test_what_after_tool_could_not_look_at_is_withheld(hook: Any):
    result = await agent_of([calls(CALL), "Done."], tools=[double], after_tool=hook).run("Go.")
    assert told(result.state) == ["The result of double was withheld: ValueError: no idea"]


@pytest.mark.parametrize("hook", both(lambda use, result: "nonsense"))
async def test_what_after_tool_gives_must_be_a_result(hook: Any):
    result = await agent_of([calls(CALL), "Done."], tools=[double], after_tool=hook).run("Go.")
    assert "after_tool gave a str; give a ToolResult or None" in told(result.state)[0]


@pytest.mark.parametrize("hook", both(lambda use, result: ToolResult(content=[Text("hidden")])))
async def test_after_tool_gives_another_result(hook: Any):
    result = await agent_of([calls(CALL), "Done."], tools=[double], after_tool=hook).run("Go.")
    assert told(result.state) == ["hidden"]


class Hanging:
    """A hook that never answers; a deaf one does not even heed that it is cancelled."""

    def __init__(self, *, deaf: bool) -> None:
        self.asked, self.release, self.deaf = asyncio.Event(), asyncio.Event(), deaf

    async def __call__(self, *given: Any) -> None:
        self.asked.set()
        while not self.release.is_set():
            try:
                await self.release.wait()
            except asyncio.CancelledError:
                if not self.deaf:
                    raise


@pytest.mark.parametrize("deaf", [False, True], ids=["heeding", "deaf"])
@pytest.mark.parametrize("name", ["before_tool", "after_tool", "approve", "transform"])
async def test_abort_ends_a_run_whose_hook_hangs(name: str, deaf: bool):
    needy = tool(double, needs_approval=name == "approve")
    hook = Hanging(deaf=deaf)
    run = agent_of([calls(CALL, "double"), "Never."], tools=[needy], **{name: hook}).stream("Go.")
    tracing = asyncio.create_task(trace(run))
    await hook.asked.wait()
    run.abort("enough")
    assert (await tracing).endswith("agent_end:aborted")
    assert run.state.unanswered == []
    hook.release.set()


@pytest.mark.parametrize("name", ["before_tool", "after_tool", "approve", "transform"])
async def test_the_time_ends_a_run_whose_hook_hangs(name: str):
    needy = tool(double, needs_approval=name == "approve")
    hook = Hanging(deaf=False)
    limits = RunLimits(seconds=0.05)
    agent = agent_of([calls(CALL), "Never."], tools=[needy], limits=limits, **{name: hook})
    assert (await trace(agent.stream("Go."))).endswith("agent_end:limit")


async def test_a_hook_that_is_cancelled_by_its_own_doing_stops_the_tool_and_not_the_run():
    async def before(use: Any) -> None:
        raise asyncio.CancelledError

    result = await agent_of([calls(CALL), "Done."], tools=[double], before_tool=before).run("Go.")
    assert told(result.state) == ["double was not run: RuntimeError: it was cancelled"]


async def test_what_a_hook_or_a_tool_changes_in_its_arguments_is_no_part_of_the_conversation():
    @tool
    def spoil(names: list[Any]) -> str:
        names.append("tool")
        names[0].append("tool")
        return "done"

    def before(use: Any) -> None:
        use.arguments["names"].append("hook")
        use.arguments["more"] = 1

    asked = calls(ToolCall("1", "spoil", {"names": [[]]}))
    result = await agent_of([asked, "Done."], tools=[spoil], before_tool=before).run("Go.")
    assert result.messages[1].tool_calls[0].arguments == {"names": [[]]}


@pytest.mark.parametrize("hook", both(lambda messages: [user("Something else.")]))
async def test_transform_changes_what_the_model_reads_and_nothing_else(hook: Any):
    agent = agent_of(["Yes."], transform=hook)
    result = await agent.run("Hi.")
    assert agent.model.requests[0].messages == [user("Something else.")]
    assert result.messages[0] == user("Hi.")


@pytest.mark.parametrize(
    "hook", [*both(broken), *both(lambda messages: None), *both(lambda messages: 3)]
)
async def test_a_transform_that_fails_ends_the_run_with_an_error(hook: Any):
    run = agent_of(["Never."], transform=hook).stream("Hi.")
    assert (await trace(run)) == "agent_start turn_start ms:U me:U agent_end:error"
    assert isinstance(run.result.error, ConfigurationError)
    assert "transform failed" in run.result.error.text
    assert run.state.messages == [user("Hi.")]


async def test_a_result_with_an_image_passes_through_after_tool():
    @tool
    def draw() -> list[Any]:
        return ["Here: ", Image(url="https://example.com/a.png")]

    agent = agent_of([calls("draw"), "Done."], tools=[draw], after_tool=lambda use, result: None)
    (message,) = [
        each for each in (await agent.run("Go.")).messages if isinstance(each, ToolMessage)
    ]
    assert [type(each) for each in message.content] == [Text, Image]
