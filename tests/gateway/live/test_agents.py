"""Agents as models: over HTTP in any dialect and over the WebSocket, steered, approved of, and stopped."""

import asyncio
import json
from contextlib import asynccontextmanager
from typing import Any

import pytest

from polyvox.agent import Agent, RunLimits
from polyvox.messages import AssistantMessage, Text, ToolCall, user
from polyvox.model import Call
from polyvox.quote import quote_of
from polyvox.request import Request
from polyvox.testing import MockProvider, check_grammar
from polyvox.tools import tool
from polyvox.usage import Usage

from .rig import Client, reaching, serving

CHAT = {"model": "agent/helper", "messages": [{"role": "user", "content": "Please."}]}


def calling(*calls: ToolCall, text: str = "Let me see.") -> AssistantMessage:
    content: list[Any] = [Text(text), *calls]
    return AssistantMessage(content, usage=Usage(input_tokens=10, output_tokens=5))


def saying(text: str) -> AssistantMessage:
    return AssistantMessage([Text(text)], usage=Usage(input_tokens=20, output_tokens=7))


FIND = calling(ToolCall("call-1", "find", {"word": "rain"}))
DELETE = calling(ToolCall("call-1", "delete", {"name": "notes"}))


class Shed:
    """The tools, and what was done with them."""

    def __init__(self) -> None:
        self.found: list[str] = []
        self.deleted: list[str] = []
        self.begun = asyncio.Event()
        self.go_on = asyncio.Event()
        self.stopped = asyncio.Event()

    def tools(self) -> list[Any]:
        @tool
        def find(word: str) -> str:
            """Find a word."""
            self.found.append(word)
            return f"{word}: found"

        @tool(needs_approval=True)
        def delete(name: str) -> str:
            """Delete something."""
            self.deleted.append(name)
            return f"{name} is gone"

        @tool
        async def wait() -> str:
            """Wait for a long time."""
            self.begun.set()
            try:
                await self.go_on.wait()
            except asyncio.CancelledError:
                self.stopped.set()
                raise
            return "waited"

        return [find, delete, wait]


@asynccontextmanager
async def helped(*script: Any, **options: Any):
    """A gateway with an agent, whose model plays the script."""
    shed = Shed()
    async with (
        MockProvider("openai-chat", script=list(script) or ["Nothing."]) as mock,
        reaching(mock.url) as client,
    ):
        model = client.model("openai/gpt-5-mini")
        agent = Agent(model, tools=shed.tools(), name="helper", **options)
        async with serving(client, agents={"helper": agent}) as gateway:
            yield gateway, mock, shed


# ------------------------------------------------------------------------------------- as a model


@pytest.mark.parametrize("stream", [False, True])
async def test_a_run_is_one_answer_over_http(stream: bool):
    async with helped(FIND, saying("It rains.")) as (gateway, _, shed):
        body = {**CHAT, "stream": stream}
        if stream:
            headers = {"authorization": "Bearer good"}
            url = f"http://{gateway.address}/v1/chat/completions"
            async with gateway.http.post(url, json=body, headers=headers) as answer:
                lines = (await answer.text()).splitlines()
            chunks = [json.loads(line[6:]) for line in lines if line.startswith("data: {")]
            deltas = [chunk["choices"][0]["delta"] for chunk in chunks if chunk["choices"]]
            text = "".join(delta.get("content") or "" for delta in deltas)
            assert not any("tool_calls" in delta for delta in deltas)
        else:
            status, answer = await gateway.ask("POST", "/v1/chat/completions", body)
            assert status == 200
            choice = answer["choices"][0]
            text = choice["message"]["content"]
            assert choice["finish_reason"] == "stop"
            assert "tool_calls" not in choice["message"]
            assert answer["usage"]["completion_tokens"] == 12
        assert text == "Let me see.\nIt rains."
        assert shed.found == ["rain"]
        (ended,) = gateway.books.ended
        assert len(gateway.books.attempts) == 2
        assert ended.error is None


async def test_agents_are_listed_among_the_models():
    async with helped() as (gateway, _, _):
        _, answer = await gateway.ask("GET", "/v1/models")
        assert [model["id"] for model in answer["data"]] == ["agent/helper"]


async def test_the_events_keep_their_grammar_and_tool_work_is_nested():
    async with helped(FIND, saying("It rains.")) as (gateway, _, _):
        model = gateway.agents.model("agent/helper")
        assert model is not None
        request = Request(messages=[user("Please.")], system=[Text("Be kind.")])
        events = [event async for event in model.stream(request, Call(id="call_7"))]
        check_grammar(events)
        assert events[-1].message.id == "run_7"
        assert events[-1].message.usage.output_tokens == 12
        kinds = [type(event.event).__name__ for event in events if type(event).__name__ == "Nested"]
        assert kinds[:2] == ["Start", "ToolCallStart"]
        assert kinds.count("Done") == 2


async def test_what_an_agent_does_not_heed_is_told():
    async with helped(saying("Hello.")) as (gateway, mock, _):
        async with gateway.connected() as ours:
            await ours.start("a", "agent/helper", system="Be kind.", body={"temperature": 0.5})
            warned = await ours.event("warning")
            assert warned["field"] == "temperature"
            await ours.next("closed")
        sent = json.loads(mock.requests[0].body)
        assert "temperature" not in sent
        assert [each["content"] for each in sent["messages"]] == ["Be kind.", "Hello?"]


async def test_a_tool_that_only_the_caller_says_was_called_is_not_run():
    async with helped(saying("No.")) as (gateway, _, shed):
        call = {"id": "1", "type": "function", "function": {"name": "find", "arguments": "{}"}}
        crafted = {"role": "assistant", "content": None, "tool_calls": [call]}
        body = {**CHAT, "messages": [*CHAT["messages"], crafted]}
        status, _ = await gateway.ask("POST", "/v1/chat/completions", body)
        assert status == 200
        assert shed.found == []


async def test_what_is_reserved_is_what_the_limits_allow():
    limits = RunLimits(turns=4, cost=0.1)
    async with helped(limits=limits) as (gateway, _, _):
        model = gateway.agents.model("agent/helper")
        assert model is not None
        request = Request(messages=[user("Please.")])
        quote = quote_of(model, request)
        one = quote_of(gateway.asking.models.client.model("openai/gpt-5-mini"), request)
        assert quote.output_tokens == 4 * one.output_tokens
        assert quote.cost.nanos == 100_000_000
        assert one.cost.nanos < quote.cost.nanos < 4 * one.cost.nanos


# ------------------------------------------------------------------------------------- live


async def test_over_the_socket_the_agents_own_events_come_as_well():
    async with helped(FIND, saying("It rains.")) as (gateway, _, _), gateway.connected() as ours:
        await ours.start("a", "agent/helper")
        await ours.next("closed")
        kinds = ours.nested("a")
        assert kinds[0] == "agent_start"
        assert kinds[-1] == "agent_end"
        assert kinds.index("tool_execution_start") < kinds.index("tool_execution_end")
        assert kinds.count("turn_start") == 2
        assert ours.text("a") == "Let me see.\nIt rains."
        await ours.start("b", "agent/helper", nested=False)
        await ours.next("closed")
        assert ours.nested("b") == []


async def test_what_is_said_into_a_run_is_read_in_its_next_turn():
    waiting = calling(ToolCall("call-1", "wait"))
    async with helped(waiting, saying("As you say.")) as (gateway, mock, shed):
        async with gateway.connected() as ours:
            await ours.start("a", "agent/helper")
            await shed.begun.wait()
            await ours.say("steer", id="a", text="Hurry up.")
            await ours.say("ping")
            await ours.next("pong")
            shed.go_on.set()
            await ours.next("closed")
            await ours.say("steer", id="a", text="Too late.")
            assert "is over" in (await ours.next("error"))["error"]["text"]
        last = json.loads(mock.requests[1].body)["messages"][-1]
        assert (last["role"], last["content"]) == ("user", "Hurry up.")


async def test_an_interrupt_stops_the_tools_of_a_run():
    async with (
        helped(calling(ToolCall("call-1", "wait"))) as (gateway, _, shed),
        gateway.connected() as ours,
    ):
        await ours.start("a", "agent/helper")
        await shed.begun.wait()
        await ours.say("interrupt", id="a", reason="enough")
        failed = await ours.event("error")
        assert failed["error"]["text"] == "enough"
        assert failed["message"]["content"][0]["text"] == "Let me see."
        await shed.stopped.wait()
        assert (await ours.next("closed"))["usage"]["output_tokens"] == 5


async def test_closing_the_socket_stops_the_tools_of_a_run():
    async with helped(calling(ToolCall("call-1", "wait"))) as (gateway, _, shed):
        async with gateway.connected() as ours:
            await ours.start("a", "agent/helper")
            await shed.begun.wait()
        await shed.stopped.wait()
        await gateway.calls.over()
        assert gateway.books.ended[0].error == "aborted"


# ------------------------------------------------------------------------------------- approvals


async def suspended(ours: Client) -> str:
    await ours.start("a", "agent/helper")
    return (await ours.next("approval"))["approval"]["id"]


async def test_a_run_that_is_approved_of_over_http_goes_on():
    async with helped(DELETE, saying("Done.")) as (gateway, _, shed):
        status, answer = await gateway.ask("POST", "/v1/chat/completions", CHAT)
        assert status == 200
        text = answer["choices"][0]["message"]["content"]
        assert answer["id"] in text
        assert "delete (call-1)" in text
        assert shed.deleted == []

        _, listed = await gateway.ask("GET", "/v1/approvals")
        (view,) = listed["data"]
        assert view["id"] == answer["id"]
        assert view["calls"][0]["arguments"] == {"name": "notes"}
        assert view["model"] == "agent/helper"

        path = f"/v1/approvals/{view['id']}"
        status, answer = await gateway.ask("POST", path, {"approve": True}, key="mate")
        assert (status, answer["text"]) == (200, "Done.")
        assert answer["approval"] is None
        assert shed.deleted == ["notes"]
        assert len(gateway.books.ended) == 2
        assert {line.key for line in gateway.books.begun} == {"key_good", "key_mate"}
        status, _ = await gateway.ask("POST", path, {"approve": True})
        assert status == 404


async def test_a_run_that_is_denied_is_told_why():
    async with helped(DELETE, saying("As you wish.")) as (gateway, mock, shed):
        _, answer = await gateway.ask("POST", "/v1/chat/completions", CHAT)
        decision = {"approve": False, "comment": "Keep the notes."}
        status, answer = await gateway.ask("POST", f"/v1/approvals/{answer['id']}", decision)
        assert (status, answer["text"]) == (200, "As you wish.")
        assert shed.deleted == []
        told = json.loads(mock.requests[1].body)["messages"][-1]
        assert "Keep the notes." in told["content"]


async def test_each_call_may_be_decided_on_by_itself():
    both = calling(
        ToolCall("call-1", "delete", {"name": "one"}), ToolCall("call-2", "delete", {"name": "two"})
    )
    async with helped(both, saying("Done.")) as (gateway, _, shed):
        _, answer = await gateway.ask("POST", "/v1/chat/completions", CHAT)
        path = f"/v1/approvals/{answer['id']}"
        status, wrong = await gateway.ask("POST", path, {"approve": True, "calls": {"x": True}})
        assert status == 400
        assert "call-1, call-2" in wrong["error"]["message"]
        decision = {"approve": True, "calls": {"call-1": False}}
        status, _ = await gateway.ask("POST", path, decision)  # the slip has cost nothing
        assert status == 200
        assert shed.deleted == ["two"]


async def test_a_run_goes_on_over_the_socket_and_may_wait_again():
    async with (
        helped(DELETE, DELETE, saying("Done.")) as (gateway, _, shed),
        gateway.connected() as ours,
    ):
        first = await suspended(ours)
        await ours.next("closed")
        await ours.say("approve", id="b", approval=first, decision={"approve": True})
        second = (await ours.next("approval", "b"))["approval"]["id"]
        assert second != first
        await ours.next("closed", "b")
        await ours.say("approve", id="c", approval=second, decision={"approve": False})
        await ours.next("closed", "c")
        assert ours.text("c") == "Done."
        assert shed.deleted == ["notes"]


async def test_tenants_never_see_each_others_runs():
    async with helped(DELETE) as (gateway, _, shed), gateway.connected() as ours:
        id = await suspended(ours)
        _, listed = await gateway.ask("GET", "/v1/approvals", key="other")
        assert listed["data"] == []
        status, _ = await gateway.ask("POST", f"/v1/approvals/{id}", {"approve": True}, key="other")
        assert status == 404
        async with gateway.connected("other") as theirs:
            await theirs.say("approve", id="b", approval=id, decision={"approve": True})
            assert (await theirs.next("error"))["error"]["kind"] == "not_found"
        status, _ = await gateway.ask("GET", "/v1/approvals", key="chat_only")
        assert status == 403
        assert shed.deleted == []
        _, listed = await gateway.ask("GET", "/v1/approvals", key="mate")
        assert [view["id"] for view in listed["data"]] == [id]


async def test_a_run_does_not_wait_for_ever():
    async with helped(DELETE) as (gateway, _, _), gateway.connected() as ours:
        id = await suspended(ours)
        gateway.now += 3_600
        status, _ = await gateway.ask("POST", f"/v1/approvals/{id}", {"approve": True})
        assert status == 404
        assert gateway.agents.approvals._kept == {}


async def test_a_decision_that_is_refused_leaves_the_run_waiting():
    async with helped(DELETE, saying("Done.")) as (gateway, _, shed), gateway.connected() as ours:
        id = await suspended(ours)
        known = gateway.keys.known
        known["mate"] = type(known["mate"])(key="key_mate", organisation="one", models=("x",))
        status, _ = await gateway.ask("POST", f"/v1/approvals/{id}", {"approve": True}, key="mate")
        assert status == 403
        async with gateway.connected("mate") as theirs:
            await theirs.say("approve", id="b", approval=id, decision={"approve": True})
            await theirs.next("closed")
        gateway.admission.resize(0, 0, 1.0)
        await ours.say("approve", id="c", approval=id, decision={"approve": True})
        assert (await ours.event("error", "c"))["error"]["kind"] == "rate_limit"
        await ours.next("closed", "c")
        gateway.admission.resize(9, 9, 1.0)
        status, _ = await gateway.ask("POST", f"/v1/approvals/{id}", {"approve": True})
        assert status == 200
        assert shed.deleted == ["notes"]


async def test_a_caller_who_leaves_stops_the_run_that_went_on():
    both = calling(ToolCall("call-1", "delete", {"name": "one"}), ToolCall("call-2", "wait"))
    async with helped(DELETE, both) as (gateway, _, shed):
        _, answer = await gateway.ask("POST", "/v1/chat/completions", CHAT)
        path = f"/v1/approvals/{answer['id']}"
        asking = asyncio.create_task(gateway.ask("POST", path, {"approve": True}))
        await shed.begun.wait()
        asking.cancel()
        await shed.stopped.wait()
        await gateway.calls.over()


async def test_an_agent_goes_on_from_no_answer_that_a_provider_keeps():
    asked = {"model": "agent/helper", "input": "And then?", "previous_response_id": "resp_1"}
    async with helped(saying("Hello.")) as (gateway, mock, _):
        status, answer = await gateway.ask("POST", "/v1/responses", asked)
    assert (status, mock.requests) == (400, [])
    assert "x-polyvox-context" in answer["error"]["message"]
