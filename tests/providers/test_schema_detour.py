"""JSON of a schema on every way, through both dialects: the reply looks the same."""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any

import msgspec
import pytest

from polyvox.client import AsyncClient, Client, parse
from polyvox.dialects import Quirks
from polyvox.events import Done, Event, Start, TextDelta, TextEnd, TextStart, Warned
from polyvox.messages import AssistantMessage, Text, ToolCall, user
from polyvox.model import Call
from polyvox.providers.schema_detour import Detour, way_for
from polyvox.request import NamedTool, Reasoning, Request, ResponseFormat, ToolDefinition
from polyvox.testing import Knobs, ThreadedMock, check_grammar


class City(msgspec.Struct):
    name: str
    people: int


SCHEMA = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "people": {"type": "integer"}},
    "required": ["name", "people"],
}
MAP = {"type": "object", "additionalProperties": {"type": "integer"}}
TEXT = '{"name":"Oslo","people":717710}'
WANTED = ResponseFormat(SCHEMA)
OPENAI, ANTHROPIC = "openai-chat", "anthropic-messages"
LACKING = Quirks(json_schema=False)


def ask(wanted: ResponseFormat | None = WANTED, **fields: Any) -> Request:
    return Request(messages=[user("Which?")], response_format=wanted, **fields)


@pytest.mark.parametrize(
    ("request_", "quirks", "dialect", "way"),
    [
        (ask(None), LACKING, ANTHROPIC, "native"),
        (ask(), Quirks(), OPENAI, "native"),
        (ask(), Quirks(), ANTHROPIC, "native"),
        (ask(ResponseFormat(MAP)), Quirks(), OPENAI, "native"),
        (ask(ResponseFormat(MAP)), Quirks(), ANTHROPIC, "tool"),
        (ask(ResponseFormat()), LACKING, OPENAI, "native"),
        (ask(ResponseFormat()), Quirks(), ANTHROPIC, "prompt"),
        (ask(), LACKING, OPENAI, "prompt"),
        (ask(), LACKING, ANTHROPIC, "tool"),
        (ask(reasoning=Reasoning("high")), LACKING, ANTHROPIC, "prompt"),
        (ask(reasoning=Reasoning("none")), LACKING, ANTHROPIC, "tool"),
        (ask(tool_choice=NamedTool("weather")), LACKING, ANTHROPIC, "prompt"),
        (ask(ResponseFormat({"type": "array"})), LACKING, ANTHROPIC, "prompt"),
    ],
)
def test_the_rule(request_: Request, quirks: Quirks, dialect: str, way: str):
    assert way_for(request_, quirks, dialect) == way


CALL = {
    "type": "tool_call",
    "id": "c1",
    "name": "City",
    "arguments": {"name": "Oslo", "people": 717710},
}
CALLED = {"message": {"content": [CALL], "stop_reason": "tool_calls"}}
WAYS = {
    "openai native": (OPENAI, True, TEXT),
    "openai prompt": (OPENAI, False, TEXT),
    "anthropic native": (ANTHROPIC, True, TEXT),
    "anthropic tool": (ANTHROPIC, False, CALLED),
}


@pytest.fixture
def served(polyvox_mock: Callable[..., ThreadedMock]):
    """A client of a mock provider, and the mock."""

    def serve(way: str, script: list[object] | None = None) -> tuple[Client, ThreadedMock]:
        dialect, native, answer = WAYS[way]
        server = polyvox_mock(dialect, script or [answer])
        row: dict[str, object] = {
            "title": "the lab",
            "dialect": dialect,
            "base_url": server.url,
            "auth": "none",
            "local": True,
            "quirks": {"json_schema": native},
        }
        return Client(providers={"lab": row}), server

    return serve


@pytest.mark.parametrize("way", WAYS)
def test_the_reply_looks_the_same_on_every_way(way: str, served: Any):
    client, server = served(way)
    with client:
        reply = client.complete("lab/m", "Which?", response_format=City)
    assert reply.parsed == City("Oslo", 717710)
    assert [type(block) for block in reply.content] == [Text]
    assert reply.stop_reason == "stop"
    sent = server.requests[0].request
    if way == "anthropic tool":
        assert sent.tool_choice == NamedTool("City")
        assert sent.tools[0].parameters["required"] == ["name", "people"]
        assert sent.response_format is None
    elif way == "openai prompt":
        assert sent.response_format == ResponseFormat()
        assert '"people":{"type":"integer"}' in sent.system[-1].text
    else:
        assert sent.response_format.schema["properties"] == SCHEMA["properties"]


@pytest.mark.parametrize("way", WAYS)
def test_the_stream_keeps_its_grammar_and_says_what_was_done(way: str, served: Any):
    client, _ = served(way)
    with client, client.stream("lab/m", "Which?", response_format=City) as stream:
        events = list(stream)
    check_grammar(events)
    told = [event.field for event in events if isinstance(event, Warned)]
    assert told == ([] if way.endswith("native") else ["response_format"])
    kinds = [type(event) for event in events if isinstance(event, (TextStart, TextEnd))]
    assert kinds == [TextStart, TextEnd]
    pieces = "".join(event.text for event in events if isinstance(event, TextDelta))
    assert isinstance(events[-1], Done)
    assert pieces == events[-1].message.text
    assert parse(events[-1].message, City) == City("Oslo", 717710)


def test_other_tools_may_be_called_before_the_answer(served: Any):
    weather = {"type": "tool_call", "id": "c1", "name": "weather", "arguments": {}}
    first = {"message": {"content": [weather], "stop_reason": "tool_calls"}}
    client, server = served("anthropic tool", [first])
    with client:
        reply = client.complete(
            "lab/m", "Which?", tools=[ToolDefinition("weather")], response_format=City
        )
    assert [call.name for call in reply.tool_calls] == ["weather"]
    assert reply.stop_reason == "tool_calls"
    sent = server.requests[0].request
    assert sent.tool_choice == "required"
    assert [tool.name for tool in sent.tools] == ["weather", "City"]


def test_a_tool_of_the_same_name_is_left_alone(served: Any):
    client, server = served("anthropic tool")
    with client:
        client.complete("lab/m", "?", tools=[ToolDefinition("City")], response_format=City)
    assert [tool.name for tool in server.requests[0].request.tools] == ["City", "City_"]


def test_an_answer_that_broke_off_is_text_too(served: Any):
    broken = {**CALLED, "knobs": {"error_after_chunks": 3}}
    client, _ = served("anthropic tool", [broken])
    with client, client.stream("lab/m", "Which?", response_format=City) as stream:
        events: list[Any] = []
        with pytest.raises(Exception, match=r"."):
            events.extend(stream)
        message = stream.message
    assert message.stop_reason == "error"
    assert message.tool_calls == []


async def test_the_outer_call_too_is_left_the_answer_as_text():
    outer = Call()
    inner = outer.child()
    detour = Detour(ask(), "tool", ANTHROPIC)
    said = ToolCall("call_1", detour.request.tools[0].name, {}, unparsed='{"name":"Os')

    async def told() -> AsyncGenerator[Event]:
        try:
            yield Start("lab", "m")
        finally:
            inner.leave(AssistantMessage([said], "aborted"))

    async with aclosing(detour.read(told(), inner)) as events:
        await anext(events)
    assert outer.partial is not None
    assert inner.partial is outer.partial
    assert outer.partial.content == [Text('{"name":"Os')]


@pytest.mark.parametrize("knobs", [Knobs(), Knobs(arguments_piece=1, write_size=64)])
async def test_leaving_early_keeps_the_answer_so_far_as_text(knobs: Knobs, polyvox_mock: Any):
    server = polyvox_mock(ANTHROPIC, [CALLED], knobs=knobs)
    row: dict[str, object] = {
        "title": "the lab",
        "dialect": ANTHROPIC,
        "base_url": server.url,
        "auth": "none",
        "quirks": {"json_schema": False},
    }
    async with (
        AsyncClient(providers={"lab": row}) as client,
        client.stream("lab/m", "Which?", response_format=City) as stream,
    ):
        async for event in stream:
            if isinstance(event, TextDelta):
                break
    assert stream.message.stop_reason == "aborted"
    assert stream.message.tool_calls == []
