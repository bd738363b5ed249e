"""The official openai SDK talks to our mock over real sockets: its parsing judges our server half."""

import base64
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import openai
import pydantic
import pytest

from polyvox.messages import (
    AssistantMessage,
    Image,
    Text,
    ToolCall,
    ToolMessage,
    UserMessage,
)
from polyvox.request import NamedTool, Reasoning, Request, ResponseFormat
from polyvox.testing import Knobs, MockProvider, ThreadedMock

PNG = b"\x89PNG\r\n\x1a\n" + bytes(8)
HELLO: Any = [{"role": "user", "content": "Hello?"}]
WEATHER = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOLS: Any = [
    {"type": "function", "function": {"name": "weather", "description": "d", "parameters": WEATHER}}
]
TWO_CALLS = [
    {"type": "text", "text": "Let me see."},
    {"type": "tool_call", "id": "call_1", "name": "weather", "arguments": {"city": "Oslo"}},
    {"type": "tool_call", "id": "call_2", "name": "weather", "arguments": {"city": "Bergen"}},
]
USAGE = {
    "input_tokens": 100,
    "output_tokens": 20,
    "cache_read_tokens": 64,
    "reasoning_tokens": 5,
    "basis": "reported",
}


@contextmanager
def serving(script: Any = None, **settings: Any) -> Iterator[tuple[ThreadedMock, openai.OpenAI]]:
    with (
        MockProvider("openai-chat", script, **settings) as server,
        openai.OpenAI(base_url=server.url, api_key="sk-test", max_retries=0) as client,
    ):
        yield server, client


@asynccontextmanager
async def serving_async(
    script: Any = None, **settings: Any
) -> AsyncIterator[tuple[MockProvider, openai.AsyncOpenAI]]:
    async with (
        MockProvider("openai-chat", script, **settings) as server,
        openai.AsyncOpenAI(base_url=server.url, api_key="sk-test", max_retries=0) as client,
    ):
        yield server, client


def ask(client: openai.OpenAI, **fields: Any) -> Any:
    return client.chat.completions.create(**{"model": "gpt-5-mini", "messages": HELLO, **fields})


def read(server: Any, place: int = -1) -> Request:
    request = server.requests[place].request
    assert request is not None
    return request


def test_a_whole_answer():
    with serving([{"message": {"content": "Good day.", "usage": USAGE}}]) as (server, client):
        answer = ask(client)
        assert answer.choices[0].message.content == "Good day."
        assert answer.choices[0].finish_reason == "stop"
        assert answer.model == "gpt-5-mini"
        assert answer.object == "chat.completion"
        assert answer.usage.prompt_tokens == 100
        assert answer.usage.completion_tokens == 20
        assert answer.usage.total_tokens == 120
        assert answer.usage.prompt_tokens_details.cached_tokens == 64
        assert answer.usage.completion_tokens_details.reasoning_tokens == 5
        assert answer._request_id == "req_mock_1"
        assert read(server).stream is False
        assert server.requests[0].headers["authorization"] == "Bearer sk-test"


async def test_a_whole_answer_asynchronously():
    async with serving_async(["Good day."]) as (_, client):
        answer = await client.chat.completions.create(model="m", messages=HELLO)
        assert answer.choices[0].message.content == "Good day."


def test_tool_calls_of_a_whole_answer():
    with serving([{"message": {"content": TWO_CALLS}}]) as (_, client):
        (choice,) = ask(client, tools=TOOLS).choices
        assert choice.finish_reason == "tool_calls"
        assert choice.message.content == "Let me see."
        calls = [
            (c.id, c.function.name, json.loads(c.function.arguments))
            for c in choice.message.tool_calls
        ]
        assert calls == [
            ("call_1", "weather", {"city": "Oslo"}),
            ("call_2", "weather", {"city": "Bergen"}),
        ]


def test_a_streamed_answer():
    with serving(["to be or not"]) as (server, client):
        chunks = list(ask(client, stream=True))
        deltas = [chunk.choices[0].delta for chunk in chunks if chunk.choices]
        assert deltas[0].role == "assistant"
        assert [d.content for d in deltas if d.content] == ["to", " be", " or", " not"]
        assert chunks[-1].choices[0].finish_reason == "stop"
        assert len({chunk.id for chunk in chunks}) == 1
        assert all(chunk.usage is None for chunk in chunks)
        assert server.answers[0].body.endswith(b"data: [DONE]\n\n")
        assert read(server).stream is True


async def test_a_streamed_answer_asynchronously():
    async with serving_async(["to be"]) as (_, client):
        stream = await client.chat.completions.create(model="m", messages=HELLO, stream=True)
        pieces = [c.choices[0].delta.content async for c in stream if c.choices]
        assert [piece for piece in pieces if piece] == ["to", " be"]


def test_streamed_usage_comes_if_it_is_asked_for():
    with serving([{"message": {"content": "a", "usage": USAGE}}]) as (_, client):
        *_, last = ask(client, stream=True, stream_options={"include_usage": True})
        assert last.choices == []
        assert last.usage.prompt_tokens == 100
        assert last.usage.prompt_tokens_details.cached_tokens == 64


@pytest.mark.parametrize("size", [1, 4, 1000])
def test_streamed_tool_calls_are_put_together_by_the_sdks_own_helper(size: int):
    script = [{"message": {"content": TWO_CALLS, "usage": USAGE}}]
    knobs = Knobs(arguments_piece=size, ping_every=2, write_size=17)
    with serving(script, knobs=knobs) as (_, client):
        with client.chat.completions.stream(model="m", messages=HELLO, tools=TOOLS) as stream:
            kinds = {event.type for event in stream}
            message = stream.get_final_completion().choices[0].message
        assert {"chunk", "content.delta", "tool_calls.function.arguments.delta"} <= kinds
        assert message.content == "Let me see."
        assert [json.loads(c.function.arguments) for c in message.tool_calls or []] == [
            {"city": "Oslo"},
            {"city": "Bergen"},
        ]


def test_a_compressed_stream():
    with serving(["to be"], knobs=Knobs(content_encoding="gzip")) as (_, client):
        pieces = [c.choices[0].delta.content for c in ask(client, stream=True) if c.choices]
        assert "".join(piece for piece in pieces if piece) == "to be"


class Answer(pydantic.BaseModel):
    city: str
    degrees: int


def test_structured_output_through_the_sdks_parser():
    with serving(['{"city": "Oslo", "degrees": 4}']) as (server, client):
        parsed = client.chat.completions.parse(model="m", messages=HELLO, response_format=Answer)
        assert parsed.choices[0].message.parsed == Answer(city="Oslo", degrees=4)
        wanted = read(server).response_format
        assert isinstance(wanted, ResponseFormat)
        assert wanted.name == "Answer"
        assert wanted.strict
        assert wanted.schema is not None
        assert set(wanted.schema["properties"]) == {"city", "degrees"}


def test_the_requests_fields_are_read():
    with serving() as (server, client):
        ask(
            client,
            messages=[{"role": "developer", "content": "Be brief."}, *HELLO],
            max_completion_tokens=99,
            temperature=0.5,
            top_p=0.9,
            stop=["END"],
            seed=7,
            reasoning_effort="low",
            tools=TOOLS,
            tool_choice={"type": "function", "function": {"name": "weather"}},
            parallel_tool_calls=False,
            service_tier="flex",
        )
        request = read(server)
        assert request.model == "gpt-5-mini"
        assert request.system == [Text("Be brief.")]
        assert request.messages == [UserMessage([Text("Hello?")])]
        assert request.max_tokens == 99
        assert (request.temperature, request.top_p) == (0.5, 0.9)
        assert (request.stop, request.seed) == (["END"], 7)
        assert request.reasoning == Reasoning(effort="low")
        (tool,) = request.tools
        assert (tool.name, tool.description, tool.parameters) == ("weather", "d", WEATHER)
        assert request.tool_choice == NamedTool("weather")
        assert request.parallel_tool_calls is False
        assert request.options["openai-chat"]["service_tier"] == "flex"


def test_pictures_are_read():
    inline = f"data:image/png;base64,{base64.b64encode(PNG).decode()}"
    content = [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": inline, "detail": "low"}},
        {"type": "image_url", "image_url": {"url": "https://example.com/cat.png"}},
    ]
    with serving(["A cat."]) as (server, client):
        ask(client, messages=[{"role": "user", "content": content}])
        (message,) = read(server).messages
        assert message == UserMessage(
            [
                Text("What is this?"),
                Image(PNG, media_type="image/png", detail="low"),
                Image(url="https://example.com/cat.png"),
            ]
        )


def test_a_conversation_with_tool_results_is_read():
    with serving([{"message": {"content": TWO_CALLS}}, "Rain in both."]) as (server, client):
        called = ask(client, tools=TOOLS).choices[0].message
        results = [
            {"role": "tool", "tool_call_id": call.id, "content": "rain"}
            for call in called.tool_calls
        ]
        answer = ask(client, tools=TOOLS, messages=[*HELLO, called, *results])
        assert answer.choices[0].message.content == "Rain in both."
        _, said, *tool_messages = read(server).messages
        assert isinstance(said, AssistantMessage)
        assert said.content == [
            Text("Let me see."),
            ToolCall("call_1", "weather", {"city": "Oslo"}),
            ToolCall("call_2", "weather", {"city": "Bergen"}),
        ]
        assert [m.tool_call_id for m in tool_messages if isinstance(m, ToolMessage)] == [
            "call_1",
            "call_2",
        ]
        assert all(m.content == [Text("rain")] for m in tool_messages)


def test_the_list_of_models():
    with serving(models=["gpt-5-mini", "gpt-5"]) as (_, client):
        assert [model.id for model in client.models.list()] == ["gpt-5-mini", "gpt-5"]


ERRORS = [
    ("bad_request", openai.BadRequestError),
    ("context_window_exceeded", openai.BadRequestError),
    ("authentication", openai.AuthenticationError),
    ("permission_denied", openai.PermissionDeniedError),
    ("not_found", openai.NotFoundError),
    ("rate_limit", openai.RateLimitError),
    ("overloaded", openai.InternalServerError),
    ("server", openai.InternalServerError),
]


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(("kind", "expected"), ERRORS)
def test_errors_are_those_of_the_sdk(
    kind: str, expected: type[openai.APIStatusError], stream: bool
):
    error = {"kind": kind, "text": "this went wrong", "retry_after": 3}
    with serving([{"error": error}]) as (_, client):
        with pytest.raises(expected, match="this went wrong") as caught:
            ask(client, stream=stream)
        assert caught.value.response.headers["retry-after"] == "3"
        assert caught.value.request_id == "req_mock_1"


async def test_errors_are_those_of_the_sdk_asynchronously():
    async with serving_async([{"error": {"kind": "rate_limit", "text": "slow"}}]) as (_, client):
        with pytest.raises(openai.RateLimitError, match="slow"):
            await client.chat.completions.create(model="m", messages=HELLO)


def test_the_context_window_has_its_code():
    error = {"kind": "context_window_exceeded", "text": "too long"}
    with serving([{"error": error}]) as (_, client):
        with pytest.raises(openai.BadRequestError) as caught:
            ask(client)
        assert caught.value.code == "context_length_exceeded"


def test_a_wrong_key_is_an_authentication_error():
    with serving(expect_key="sk-other") as (_, client), pytest.raises(openai.AuthenticationError):
        ask(client)


def test_the_sdk_tries_again_and_gets_the_next_turn():
    script = [{"error": {"kind": "server", "text": "no"}, "knobs": {"retry_after": 0.001}}, "yes"]
    with serving(script) as (server, client):
        answer = ask(client.with_options(max_retries=1))
        assert answer.choices[0].message.content == "yes"
        assert [each.status for each in server.answers] == [500, 200]


def test_an_error_in_the_middle_of_a_stream_is_raised_there():
    with serving(["to be or not"], knobs=Knobs(error_after_chunks=2)) as (_, client):
        stream = ask(client, stream=True)
        assert next(stream).choices
        assert next(stream).choices
        with pytest.raises(openai.APIError, match="told to fail"):
            next(stream)


def test_a_cut_stream_is_a_connection_error():
    with serving(["to be or not"], knobs=Knobs(cut_after=200)) as (server, client):
        with pytest.raises(Exception, match=r"(?i)incomplete|peer closed|connection"):
            list(ask(client, stream=True))
        assert server.answers[0].hung_up == "server"


def test_leaving_a_stream_closes_the_connection():
    knobs = Knobs(delay_chunks=3600)
    with serving(["to be"], knobs=knobs) as (server, client):
        with ask(client, stream=True) as stream:
            next(stream)
        left = server.wait_for_hangup()
        assert left.hung_up == "client"
        assert len(left.chunks) == 1
