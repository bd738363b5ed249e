"""The scripts that everybody's agents play in the benchmark, and who plays them."""

import json
from typing import Any

import pytest

from polyvox.dialects import Target, get_dialect
from polyvox.events import Done, Event
from polyvox.messages import AssistantMessage, ToolCall

AGENTS = ("polyvox", "pydantic-ai", "openai-agents", "smolagents")


@pytest.fixture(autouse=True)
def _importable(pytestconfig: pytest.Config, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(pytestconfig.rootpath))


def asked(*after: str, stream: bool = False, tools: str = "add") -> bytes:
    """The body of a request: what an agent sends when these came after the prompt."""
    messages = [{"role": "user", "content": text} for text in ("agent add 2", *after)]
    return json.dumps({"tools": [tools], "messages": messages, "stream": stream}).encode()


def body_of(response: bytes | None) -> bytes:
    assert response is not None
    head, _, body = response.partition(b"\r\n\r\n")
    assert b"content-length: %d" % len(body) in head
    return body


def message_of(response: bytes | None) -> dict[str, Any]:
    """The message of an answer that is not streamed."""
    (choice,) = json.loads(body_of(response))["choices"]
    assert choice["finish_reason"] == (
        "tool_calls" if "tool_calls" in choice["message"] else "stop"
    )
    return choice["message"]


def streamed(response: bytes | None) -> AssistantMessage:
    """The message of a streamed answer, as our dialect reads it."""
    codec = get_dialect("openai-chat")
    decoder = codec.stream_decoder(Target(provider="p", model="m", base_url="http://127.0.0.1"))
    events: list[Event] = []
    for frame in codec.frame_reader().feed(body_of(response)):
        events += decoder.feed(frame)
    events += decoder.close()
    assert isinstance(events[-1], Done)
    return events[-1].message


def called(message: dict[str, Any]) -> list[tuple[str, str, dict[str, int]]]:
    return [
        (call["id"], call["function"]["name"], json.loads(call["function"]["arguments"]))
        for call in message["tool_calls"]
    ]


def test_each_turn_calls_one_tool_until_the_script_is_played():
    from bench.scripts import DONE, reply

    assert called(message_of(reply(asked()))) == [("call_0_0", "add", {"a": 0, "b": 1})]
    then = message_of(reply(asked("Observation of call_0_0: 1")))
    assert called(then) == [("call_1_0", "add", {"a": 1, "b": 1})]
    last = message_of(reply(asked("call_0_0", "call_1_0")))
    assert last["content"] == DONE


def test_an_answer_is_streamed_to_who_asks_for_that():
    from bench.scripts import DONE, reply

    (call,) = streamed(reply(asked(stream=True))).tool_calls
    assert call == ToolCall("call_0_0", "add", {"a": 0, "b": 1})
    assert streamed(reply(asked("call_1_0", stream=True))).text == DONE


def test_the_script_of_the_last_prompt_is_played():
    from bench.scripts import reply

    later = message_of(reply(asked("call_0_0", "call_1_0", "done", "agent nap 3")))
    assert called(later) == [(f"call_0_{index}", "nap", {}) for index in range(3)]


def test_who_ends_by_a_tool_is_told_to_call_it():
    from bench.scripts import DONE, reply

    last = message_of(reply(asked("call_0_0", "call_1_0", tools="final_answer")))
    assert called(last) == [("call_2_0", "final_answer", {"answer": DONE})]


def test_a_prompt_without_a_script_is_for_the_other_answers():
    from bench.scripts import reply

    assert reply(b'{"messages": [{"role": "user", "content": "flow text 5"}]}') is None


@pytest.mark.parametrize("name", AGENTS)
def test_an_agent_plays_a_script_to_its_end(name: str):
    """Ours always; the others' where they are installed."""
    from bench.plan import Plan
    from bench.processes import loopback, run_code

    plan = Plan(quick=True, only=[name])
    if plan.absent:
        pytest.skip(f"{name} is not installed")
    (agent,) = plan.agents
    with loopback() as server:
        for prompt in ("agent add 2", "agent nap 3"):
            code = f"from bench.agenting import start; start({name!r}, {server.url!r}, {prompt!r})"
            run_code(agent.python, code)  # raises if its last words are not those of the script


def test_who_is_not_installed_is_named_and_costs_nothing(monkeypatch: pytest.MonkeyPatch):
    from bench.agents import agents
    from bench.plan import Plan
    from bench.processes import Interpreter, Loopback

    monkeypatch.setattr(Interpreter, "has", lambda self, package: False)
    plan = Plan(quick=True, only=["pydantic-ai", "smolagents"])
    section = agents(plan, Loopback("http://127.0.0.1:9", ""))
    assert (section.rows, section.limits, plan.crashes) == ([], [], [])
    assert section.notes[-2:] == [
        "not installed, so not measured: pydantic-ai",
        "not installed, so not measured: smolagents",
    ]


async def test_the_model_in_process_plays_the_same_script_as_the_server():
    from bench.contenders.polyvox_agent import Canned
    from bench.scripts import reply

    from polyvox.model import Call
    from polyvox.request import Request

    canned = Canned()
    bodies = [asked(stream=True), asked("call_0_0", stream=True), asked("call_1_0", stream=True)]
    assert canned.play("agent add 2") == len(bodies)
    for body in bodies:
        *_, last = [event async for event in canned.stream(Request(messages=[]), Call())]
        assert isinstance(last, Done)
        assert last.message.content == streamed(reply(body)).content
