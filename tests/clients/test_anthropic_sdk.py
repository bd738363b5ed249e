"""The official anthropic SDK talks to our mock over real sockets: its parsing judges our server half."""

import base64
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import anthropic
import pytest

from polyvox.messages import (
    AssistantMessage,
    Image,
    Text,
    Thinking,
    ToolCall,
    ToolMessage,
    UserMessage,
)
from polyvox.request import NamedTool, Request
from polyvox.testing import Knobs, MockProvider, ThreadedMock

PNG = b"\x89PNG\r\n\x1a\n" + bytes(8)
HELLO: Any = [{"role": "user", "content": "Hello?"}]
WEATHER = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOLS: Any = [{"name": "weather", "description": "d", "input_schema": WEATHER}]
THOUGHT = {"type": "thinking", "text": "Hm, two cities.", "signature": "c2ln"}
TWO_CALLS = [
    {"type": "text", "text": "Let me see."},
    {"type": "tool_call", "id": "toolu_1", "name": "weather", "arguments": {"city": "Oslo"}},
    {"type": "tool_call", "id": "toolu_2", "name": "weather", "arguments": {"city": "Bergen"}},
]
USAGE = {
    "input_tokens": 100,
    "output_tokens": 20,
    "cache_read_tokens": 64,
    "cache_write_tokens": 16,
    "basis": "reported",
}


@contextmanager
def serving(
    script: Any = None, **settings: Any
) -> Iterator[tuple[ThreadedMock, anthropic.Anthropic]]:
    with (
        MockProvider("anthropic-messages", script, **settings) as server,
        anthropic.Anthropic(base_url=server.url, api_key="sk-ant", max_retries=0) as client,
    ):
        yield server, client


@asynccontextmanager
async def serving_async(
    script: Any = None, **settings: Any
) -> AsyncIterator[tuple[MockProvider, anthropic.AsyncAnthropic]]:
    async with (
        MockProvider("anthropic-messages", script, **settings) as server,
        anthropic.AsyncAnthropic(base_url=server.url, api_key="sk-ant", max_retries=0) as client,
    ):
        yield server, client


def ask(client: anthropic.Anthropic, **fields: Any) -> Any:
    given = {"model": "claude-test", "max_tokens": 99, "messages": HELLO, **fields}
    return client.messages.create(**given)


def stream(client: anthropic.Anthropic, **fields: Any) -> Any:
    given = {"model": "claude-test", "max_tokens": 99, "messages": HELLO, **fields}
    return client.messages.stream(**given)


def read(server: Any, place: int = -1) -> Request:
    request = server.requests[place].request
    assert request is not None
    return request


def test_a_whole_answer():
    with serving([{"message": {"content": "Good day.", "usage": USAGE}}]) as (server, client):
        answer = ask(client)
        assert [block.text for block in answer.content] == ["Good day."]
        assert answer.stop_reason == "end_turn"
        assert answer.model == "claude-test"
        assert (answer.type, answer.role) == ("message", "assistant")
        # Ours counts all input; theirs leaves out what the cache read and wrote.
        assert answer.usage.input_tokens == 20
        assert answer.usage.cache_read_input_tokens == 64
        assert answer.usage.cache_creation_input_tokens == 16
        assert answer.usage.output_tokens == 20
        assert answer._request_id == "req_mock_1"
        assert read(server).stream is False


async def test_a_whole_answer_asynchronously():
    async with serving_async(["Good day."]) as (_, client):
        answer = await client.messages.create(model="m", max_tokens=9, messages=HELLO)
        assert answer.content[0].text == "Good day."


@pytest.mark.parametrize(
    ("stop_reason", "expected"),
    [
        ("length", "max_tokens"),
        ("stop_sequence", "stop_sequence"),
        ("refusal", "refusal"),
        ("pause", "pause_turn"),
    ],
)
@pytest.mark.parametrize("streamed", [True, False])
def test_stop_reasons_are_those_of_the_sdk(stop_reason: str, expected: str, streamed: bool):
    said = {"content": "a", "stop_reason": stop_reason}
    if stop_reason == "stop_sequence":
        said["stop_sequence"] = "END"
    with serving([{"message": said}]) as (_, client):
        if streamed:
            with stream(client) as events:
                message = events.get_final_message()
        else:
            message = ask(client)
        assert message.stop_reason == expected
        assert message.stop_sequence == said.get("stop_sequence")


def test_tool_calls_and_thinking_of_a_whole_answer():
    with serving([{"message": {"content": [THOUGHT, *TWO_CALLS]}}]) as (_, client):
        answer = ask(client, tools=TOOLS)
        assert answer.stop_reason == "tool_use"
        thought, text, one, two = answer.content
        assert (thought.thinking, thought.signature) == ("Hm, two cities.", "c2ln")
        assert text.text == "Let me see."
        assert (one.id, one.name, one.input) == ("toolu_1", "weather", {"city": "Oslo"})
        assert (two.id, two.name, two.input) == ("toolu_2", "weather", {"city": "Bergen"})


def test_a_streamed_answer():
    with serving([{"message": {"content": "to be or not", "usage": USAGE}}]) as (server, client):
        with stream(client) as events:
            assert list(events.text_stream) == ["to", " be", " or", " not"]
            message = events.get_final_message()
        assert message.stop_reason == "end_turn"
        assert message.usage.output_tokens == 20
        assert message.usage.input_tokens == 20
        assert message.usage.cache_read_input_tokens == 64
        assert read(server).stream is True


async def test_a_streamed_answer_asynchronously():
    async with (
        serving_async(["to be"]) as (_, client),
        client.messages.stream(model="m", max_tokens=9, messages=HELLO) as events,
    ):
        assert [text async for text in events.text_stream] == ["to", " be"]


def test_the_raw_events_are_in_order():
    with serving(["a b"]) as (_, client):
        kinds = [event.type for event in ask(client, stream=True)]
        assert kinds == [
            "message_start",
            "content_block_start",
            "content_block_delta",
            "content_block_delta",
            "content_block_stop",
            "message_delta",
            "message_stop",
        ]


@pytest.mark.parametrize("size", [1, 4, 1000])
def test_streamed_tool_calls_are_put_together_by_the_sdks_own_helper(size: int):
    script = [{"message": {"content": [THOUGHT, *TWO_CALLS]}}]
    knobs = Knobs(arguments_piece=size, ping_every=2, write_size=17)
    with serving(script, knobs=knobs) as (_, client):
        with stream(client, tools=TOOLS) as events:
            kinds = {event.type for event in events}
            message = events.get_final_message()
        assert {"text", "thinking", "signature", "input_json"} <= kinds
        thought, text, one, two = message.content
        assert (thought.thinking, thought.signature) == ("Hm, two cities.", "c2ln")
        assert text.text == "Let me see."
        assert (one.input, two.input) == ({"city": "Oslo"}, {"city": "Bergen"})


def test_a_compressed_stream():
    knobs = Knobs(content_encoding="gzip")
    with serving(["to be"], knobs=knobs) as (_, client), stream(client) as events:
        assert events.get_final_text() == "to be"


def test_the_requests_fields_are_read():
    with serving() as (server, client):
        ask(
            client,
            system=[{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}],
            stop_sequences=["END"],
            tools=TOOLS,
            tool_choice={"type": "tool", "name": "weather", "disable_parallel_tool_use": True},
            metadata={"user_id": "u1"},
            # Not every version of the SDK has parameters for these.
            extra_body={"temperature": 0.5, "top_p": 0.9, "top_k": 40},
        )
        request = read(server)
        assert request.model == "claude-test"
        assert request.system == [Text("Be brief.", cache="short")]
        assert request.messages == [UserMessage([Text("Hello?")])]
        assert request.max_tokens == 99
        assert (request.temperature, request.top_p) == (0.5, 0.9)
        assert request.stop == ["END"]
        (tool,) = request.tools
        assert (tool.name, tool.description, tool.parameters) == ("weather", "d", WEATHER)
        assert request.tool_choice == NamedTool("weather")
        assert request.parallel_tool_calls is False
        assert request.options["anthropic-messages"]["top_k"] == 40


def test_a_thinking_budget_is_read():
    with serving() as (server, client):
        ask(client, max_tokens=4000, thinking={"type": "enabled", "budget_tokens": 2000})
        reasoning = read(server).reasoning
        assert reasoning is not None
        assert reasoning.budget_tokens == 2000


def test_pictures_are_read():
    inline = {"type": "base64", "media_type": "image/png", "data": base64.b64encode(PNG).decode()}
    remote = {"type": "url", "url": "https://example.com/cat.png"}
    content = [
        {"type": "text", "text": "What is this?"},
        {"type": "image", "source": inline},
        {"type": "image", "source": remote},
    ]
    with serving(["A cat."]) as (server, client):
        ask(client, messages=[{"role": "user", "content": content}])
        (message,) = read(server).messages
        assert message == UserMessage(
            [
                Text("What is this?"),
                Image(PNG, media_type="image/png"),
                Image(url="https://example.com/cat.png"),
            ]
        )


def test_a_conversation_with_tool_results_is_read():
    with serving([{"message": {"content": [THOUGHT, *TWO_CALLS]}}, "Rain."]) as (server, client):
        called = ask(client, tools=TOOLS)
        results = [
            {"type": "tool_result", "tool_use_id": "toolu_1", "content": "rain"},
            {"type": "tool_result", "tool_use_id": "toolu_2", "content": "no", "is_error": True},
        ]
        conversation = [
            *HELLO,
            {"role": "assistant", "content": called.content},
            {"role": "user", "content": results},
        ]
        assert ask(client, tools=TOOLS, messages=conversation).content[0].text == "Rain."
        _, said, *tool_messages = read(server).messages
        assert isinstance(said, AssistantMessage)
        thought, *rest = said.content
        assert isinstance(thought, Thinking)
        assert (thought.text, thought.signature) == ("Hm, two cities.", "c2ln")
        assert rest == [
            Text("Let me see."),
            ToolCall("toolu_1", "weather", {"city": "Oslo"}),
            ToolCall("toolu_2", "weather", {"city": "Bergen"}),
        ]
        one, two = tool_messages
        assert isinstance(one, ToolMessage)
        assert isinstance(two, ToolMessage)
        assert (one.tool_call_id, one.content, one.is_error) == ("toolu_1", [Text("rain")], False)
        assert (two.tool_call_id, two.content, two.is_error) == ("toolu_2", [Text("no")], True)


def test_the_list_of_models():
    with serving(models=["claude-test", "b"]) as (_, client):
        assert [model.id for model in client.models.list()] == ["claude-test", "b"]


def test_counting_tokens():
    with serving() as (server, client):
        counted = client.messages.count_tokens(model="m", messages=HELLO, system="Be brief.")
        assert counted.input_tokens == 3
        assert read(server).system == [Text("Be brief.")]


ERRORS = [
    ("bad_request", anthropic.BadRequestError),
    ("context_window_exceeded", anthropic.BadRequestError),
    ("authentication", anthropic.AuthenticationError),
    ("permission_denied", anthropic.PermissionDeniedError),
    ("not_found", anthropic.NotFoundError),
    ("rate_limit", anthropic.RateLimitError),
    ("overloaded", anthropic.APIStatusError),
    ("server", anthropic.InternalServerError),
]


@pytest.mark.parametrize("streamed", [True, False])
@pytest.mark.parametrize(("kind", "expected"), ERRORS)
def test_errors_are_those_of_the_sdk(
    kind: str, expected: type[anthropic.APIStatusError], streamed: bool
):
    error = {"kind": kind, "text": "this went wrong", "retry_after": 3}
    with serving([{"error": error}]) as (_, client):
        with pytest.raises(expected, match="this went wrong") as caught:
            ask(client, stream=streamed)
        assert caught.value.response.headers["retry-after"] == "3"
        assert caught.value.request_id == "req_mock_1"
        body: Any = caught.value.body
        assert body["type"] == "error"


def test_overload_has_its_status_and_type():
    with serving([{"error": {"kind": "overloaded", "text": "full"}}]) as (_, client):
        with pytest.raises(anthropic.APIStatusError) as caught:
            ask(client)
        assert caught.value.status_code == 529
        body: Any = caught.value.body
        assert body["error"]["type"] == "overloaded_error"


async def test_errors_are_those_of_the_sdk_asynchronously():
    async with serving_async([{"error": {"kind": "rate_limit", "text": "slow"}}]) as (_, client):
        with pytest.raises(anthropic.RateLimitError, match="slow"):
            await client.messages.create(model="m", max_tokens=9, messages=HELLO)


def test_the_key_is_found_in_whatever_header_the_sdk_uses():
    with serving(expect_key="sk-ant") as (_, client):
        assert ask(client).content[0].text == "Hello?"


def test_a_wrong_key_is_an_authentication_error():
    with (
        serving(expect_key="sk-other") as (_, client),
        pytest.raises(anthropic.AuthenticationError),
    ):
        ask(client)


def test_the_sdk_tries_again_and_gets_the_next_turn():
    script = [{"error": {"kind": "server", "text": "no"}, "knobs": {"retry_after": 0.001}}, "yes"]
    with serving(script) as (server, client):
        assert ask(client.with_options(max_retries=1)).content[0].text == "yes"
        assert [each.status for each in server.answers] == [500, 200]


def test_an_error_in_the_middle_of_a_stream_is_raised_there():
    with serving(["to be or not"], knobs=Knobs(error_after_chunks=3)) as (_, client):
        events = ask(client, stream=True)
        assert [next(events).type for _ in range(3)][-1] == "content_block_delta"
        with pytest.raises(anthropic.APIStatusError, match="told to fail"):
            next(events)


def test_a_cut_stream_is_a_connection_error():
    with serving(["to be or not"], knobs=Knobs(cut_after=200)) as (server, client):
        with pytest.raises(Exception, match=r"(?i)incomplete|peer closed|connection"):
            list(ask(client, stream=True))
        assert server.answers[0].hung_up == "server"


def test_leaving_a_stream_closes_the_connection():
    with serving(["to be"], knobs=Knobs(delay_chunks=3600)) as (server, client):
        with stream(client) as events:
            next(iter(events))
        left = server.wait_for_hangup()
        assert left.hung_up == "client"
        assert json.loads(left.body.partition(b"data: ")[2])["type"] == "message_start"
