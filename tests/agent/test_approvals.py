"""Calls that somebody has to approve of: they suspend the run, and nothing else lets them through."""

import asyncio
import subprocess
import sys
from typing import Any

import pytest

from polyvox import ToolCall
from polyvox.agent import Ask, RunState
from polyvox.errors import BadRequestError
from polyvox.messages import ToolMessage
from polyvox.tools import tool

from .rig import agent_of, calls, trace, without_updates

CHILD = """
import asyncio, json, sys
from polyvox.agent import RunState
from polyvox.tools import tool
from tests.agent.rig import agent_of

@tool(needs_approval=True)
def delete(path: str) -> str:
    print("deleted", path)
    return f"{path} is gone"

async def main():
    state = RunState.from_json(sys.stdin.buffer.read())
    agent = agent_of(["Done."], tools=[delete])
    result = await agent.resume(state, json.loads(sys.argv[1]))
    print(result.outcome)
    for call in result.messages[2:]:
        print(call.content[0].text)

asyncio.run(main())
"""


def deleting(**options: Any):
    deleted: list[str] = []

    @tool(needs_approval=True, **options)
    def delete(path: str) -> str:
        deleted.append(path)
        return f"{path} is gone"

    return delete, deleted


def call(path: str, id: str = "1") -> ToolCall:
    return ToolCall(id, "delete", {"path": path})


def texts(state: RunState) -> list[str]:
    return [each.content[0].text for each in state.messages if isinstance(each, ToolMessage)]


async def suspended(*asked: ToolCall) -> RunState:
    delete, deleted = deleting()
    result = await agent_of([calls(*asked)], tools=[delete]).run("Clean up.")
    assert result.outcome == "suspended"
    assert not deleted
    return RunState.from_json(result.state.to_json())


@pytest.mark.parametrize(
    ("approvals", "said"),
    [
        ('{"1": true}', ["deleted a", "done", "a is gone", "Done."]),
        ('{"1": false}', ["done", "delete was not run: it is not allowed.", "Done."]),
        ('{"1": "Keep it."}', ["done", "Keep it.", "Done."]),
        ('{"1": {"path": "b"}}', ["deleted b", "done", "b is gone", "Done."]),
        ('{"1": {"path": 1}}', ["done", "path: expected a string, got a whole number", "Done."]),
        ("{}", ["suspended"]),
    ],
    ids=["yes", "no", "why-not", "changed", "wrongly-changed", "undecided"],
)
async def test_another_process_resumes_with_what_was_decided(approvals: str, said: list[str]):
    state = await suspended(call("a"))
    command = [sys.executable, "-c", CHILD, approvals]
    done = await asyncio.to_thread(
        subprocess.run, command, input=state.to_json(), stdout=subprocess.PIPE, check=True
    )
    assert done.stdout.decode().splitlines() == said


async def test_those_that_need_none_run_while_others_wait():
    delete, deleted = deleting()

    @tool
    def look() -> str:
        return "seen"

    asked = calls(call("a", "1"), "look", call("b", "2"))
    agent = agent_of([asked, "Done."], tools=[delete, look])
    run = agent.stream("Clean up.")
    line = without_updates(await trace(run))
    assert line.endswith("approve:delete ts:look approve:delete te:look agent_end:suspended")
    assert [each.id for each in run.result.pending] == ["1", "2"]
    state = RunState.from_json(run.state.to_json())
    again = agent.resume_stream(state, {"2": True})
    assert "ts:look" not in await trace(again)
    assert deleted == ["b"]
    assert [each.id for each in again.result.pending] == ["1"]
    last = await agent.resume(RunState.from_json(state.to_json()), {"1": "No."})
    assert texts(last.state) == ["No.", "seen", "b is gone"]
    assert last.text == "Done."
    assert deleted == ["b"]


async def test_an_approval_is_for_one_call_and_not_for_a_later_one_of_the_same_id():
    delete, deleted = deleting()
    agent = agent_of([calls(call("a")), calls(call("b")), "Never."], tools=[delete])
    first = await agent.run("Clean up.")
    second = await agent.resume(first.state, {"1": True})
    assert second.outcome == "suspended"
    assert deleted == ["a"]
    assert second.state.approvals == {}


async def test_an_approval_of_no_open_call_is_refused():
    state = await suspended(call("a"))
    delete, _ = deleting()
    with pytest.raises(BadRequestError, match="no call '2' waits for an approval\nOpen: '1'"):
        agent_of(["Never."], tools=[delete]).resume_stream(state, {"2": True})


@pytest.mark.parametrize("decision", [0, 1, "", [], object()])
@pytest.mark.parametrize("who", ["approve", "before_tool", "resume"])
async def test_only_true_is_a_yes(who: str, decision: Any):
    delete, deleted = deleting()
    hooks = {} if who == "resume" else {who: lambda *_: decision}
    if who == "before_tool":
        hooks["approve"] = lambda *_: True
    agent = agent_of([calls(call("a")), "Done."], tools=[delete], **hooks)
    result = await agent.run("Clean up.")
    if who == "resume":
        result = await agent.resume(result.state, {"1": decision})
    assert deleted == []
    assert "was not run" in texts(result.state)[0]


async def test_who_can_not_decide_now_leaves_it_to_another():
    delete, deleted = deleting()

    async def approve(use: Any, reason: str) -> None:
        assert reason == "delete is run only when somebody approves"

    agent = agent_of([calls(call("a")), "Done."], tools=[delete], approve=approve)
    result = await agent.run("Clean up.")
    assert result.state.waiting == {"1": "delete is run only when somebody approves"}
    assert deleted == []


async def test_before_tool_asks_and_its_reason_is_told():
    ran: list[str] = []

    @tool
    def f() -> str:
        ran.append("f")
        return "one"

    agent = agent_of([calls("f"), "Done."], tools=[f], before_tool=lambda use: Ask("is it late?"))
    result = await agent.run("Go.")
    assert result.state.waiting == {"call-f": "is it late?"}
    assert (await agent.resume(result.state, {"call-f": True})).text == "Done."
    assert ran == ["f"]


async def test_an_approval_does_not_overrule_what_before_tool_changes():
    """The hook keeps a tool in its folder, also when a person has said yes in between."""
    delete, deleted = deleting()
    agent = agent_of(
        [calls(call("../a")), "Done."],
        tools=[delete],
        before_tool=lambda use: {"path": use.arguments["path"].replace("../", "")},
    )
    result = await agent.run("Clean up.")
    await agent.resume(result.state, {"1": True})
    assert deleted == ["a"]


async def test_an_approval_does_not_overrule_what_before_tool_forbids():
    delete, deleted = deleting()
    agent = agent_of(
        [calls(call("a")), "Done."],
        tools=[delete],
        before_tool=lambda use: "Not there." if use.arguments["path"] == "etc" else None,
    )
    result = await agent.run("Clean up.")
    result = await agent.resume(result.state, {"1": {"path": "etc"}})
    assert texts(result.state) == ["Not there."]
    assert deleted == []


async def test_a_prompt_for_a_run_that_still_waits_is_read_when_it_goes_on():
    state = await suspended(call("a"))
    delete, _ = deleting()
    agent = agent_of(["Done."], tools=[delete])
    again = await agent.run("And hurry.", state=state)
    assert again.outcome == "suspended"
    last = await agent.resume(RunState.from_json(again.state.to_json()), {"1": False})
    assert [each.content[0].text for each in last.messages[-2:]] == ["And hurry.", "Done."]
