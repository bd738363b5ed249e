"""The official ollama client talks to our mock over real sockets: its parsing judges our server half."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import ollama
import pytest

from polyvox.messages import (
    AssistantMessage,
    Image,
    Text,
    Thinking,
    ToolMessage,
    UserMessage,
    user,
)
from polyvox.request import Reasoning, Request, ResponseFormat
from polyvox.testing import Knobs, MockProvider, ThreadedMock

PNG = b"\x89PNG\r\n\x1a\n" + bytes(8)
HELLO: Any = [{"role": "user", "content": "Hello?"}]
THOUGHT = {"type": "thinking", "text": "Hm, two cities."}
TWO_CALLS = [
    {"type": "text", "text": "Let me see."},
    {"type": "tool_call", "id": "c1", "name": "weather", "arguments": {"city": "Oslo"}},
    {"type": "tool_call", "id": "c2", "name": "weather", "arguments": {"city": "Bergen"}},
]
USAGE = {"input_tokens": 26, "output_tokens": 20, "basis": "reported"}
SCHEMA = {"type": "object", "properties": {"age": {"type": "integer"}}}


def weather(city: str) -> str:
    """The weather in a city.

    Args:
        city: Its name.
    """
    return city


@contextmanager
def serving(script: Any = None, **settings: Any) -> Iterator[tuple[ThreadedMock, ollama.Client]]:
    with (
        MockProvider("ollama", script, **settings) as server,
        ollama.Client(host=server.url) as client,
    ):
        yield server, client


@asynccontextmanager
async def serving_async(
    script: Any = None, **settings: Any
) -> AsyncIterator[tuple[MockProvider, ollama.AsyncClient]]:
    async with (
        MockProvider("ollama", script, **settings) as server,
        ollama.AsyncClient(host=server.url) as client,
    ):
        yield server, client


def read(server: Any, place: int = -1) -> Request:
    request = server.requests[place].request
    assert request is not None
    return request


def test_a_whole_answer():
    with serving([{"message": {"content": "Good day.", "usage": USAGE}}]) as (server, client):
        answer = client.chat("llama3.2", HELLO)
        assert (answer.message.role, answer.message.content) == ("assistant", "Good day.")
        assert (answer.model, answer.done, answer.done_reason) == ("llama3.2", True, "stop")
        assert (answer.prompt_eval_count, answer.eval_count) == (26, 20)
        assert answer.created_at
        assert read(server).stream is False


async def test_a_whole_answer_asynchronously():
    async with serving_async(["Good day."]) as (_, client):
        answer = await client.chat("llama3.2", HELLO)
        assert answer.message.content == "Good day."


def test_a_streamed_answer():
    with serving([{"message": {"content": "to be or not", "usage": USAGE}}]) as (server, client):
        *parts, last = client.chat("llama3.2", HELLO, stream=True)
        assert [part.message.content for part in parts] == ["to", " be", " or", " not"]
        assert {part.done for part in parts} == {False}
        assert {part.model for part in parts} == {"llama3.2"}
        assert (last.done, last.done_reason, last.eval_count) == (True, "stop", 20)
        assert read(server).stream is True
        kind = server.answers[0].status, server.requests[0].headers["content-type"]
        assert kind == (200, "application/json")


async def test_a_streamed_answer_asynchronously():
    async with serving_async(["to be"], knobs=Knobs(write_size=7)) as (_, client):
        parts = [part async for part in await client.chat("m", HELLO, stream=True)]
        assert [part.message.content for part in parts] == ["to", " be", ""]


def test_a_limit_is_said():
    with serving([{"message": {"content": "a", "stop_reason": "length"}}] * 2) as (_, client):
        assert client.chat("m", HELLO).done_reason == "length"
        assert list(client.chat("m", HELLO, stream=True))[-1].done_reason == "length"


@pytest.mark.parametrize("streamed", [True, False])
def test_thinking_and_tool_calls(streamed: bool):
    with serving([{"message": {"content": [THOUGHT, *TWO_CALLS]}}]) as (server, client):
        asked: Any = {"tools": [weather], "think": "high", "stream": streamed}
        answer: Any = client.chat("m", HELLO, **asked)
        parts = list(answer) if streamed else [answer]
        assert "".join(part.message.thinking or "" for part in parts) == "Hm, two cities."
        assert "".join(part.message.content for part in parts) == "Let me see."
        calls = [call for part in parts for call in part.message.tool_calls or []]
        assert [(call.function.name, dict(call.function.arguments)) for call in calls] == [
            ("weather", {"city": "Oslo"}),
            ("weather", {"city": "Bergen"}),
        ]
        request = read(server)
        assert request.reasoning == Reasoning("high")
        (tool,) = request.tools
        assert (tool.name, tool.description) == ("weather", "The weather in a city.")
        assert tool.parameters["required"] == ["city"]
        assert tool.parameters["properties"]["city"]["type"] == "string"


async def test_tool_calls_asynchronously():
    async with serving_async([{"message": {"content": TWO_CALLS}}]) as (_, client):
        stream = await client.chat("m", HELLO, tools=[weather], stream=True)
        calls = [call async for part in stream for call in part.message.tool_calls or []]
        assert [call.function.arguments["city"] for call in calls] == ["Oslo", "Bergen"]


def test_a_conversation_with_tool_results_is_read():
    script = [{"message": {"content": [THOUGHT, *TWO_CALLS]}}, "Rain."]
    with serving(script) as (server, client):
        called = client.chat("m", HELLO, tools=[weather])
        results = [
            {"role": "tool", "tool_name": "weather", "content": "rain"},
            {"role": "tool", "tool_name": "weather", "content": "sun"},
        ]
        said = client.chat("m", [*HELLO, called.message, *results], tools=[weather])
        assert said.message.content == "Rain."
        asked, answer, *told = read(server).messages
        assert asked == user("Hello?")
        assert isinstance(answer, AssistantMessage)
        assert answer.content[:2] == [Thinking("Hm, two cities."), Text("Let me see.")]
        assert [call.arguments["city"] for call in answer.tool_calls] == ["Oslo", "Bergen"]
        # The client forgets ids; results belong to the calls in their order.
        assert told == [
            ToolMessage(call.id, [Text(text)], "weather")
            for call, text in zip(answer.tool_calls, ["rain", "sun"], strict=True)
        ]


def test_the_requests_fields_are_read():
    with serving() as (server, client):
        client.chat(
            "llama3.2",
            [{"role": "system", "content": "Be brief."}, *HELLO],
            format=SCHEMA,
            options=ollama.Options(
                num_predict=9, temperature=0.5, top_p=0.9, stop=["END"], seed=7, num_ctx=4096
            ),
            keep_alive="5m",
            think=False,
        )
        request = read(server)
        assert (request.model, request.system) == ("llama3.2", [Text("Be brief.")])
        assert request.messages == [user("Hello?")]
        assert request.response_format == ResponseFormat(SCHEMA)
        assert (request.max_tokens, request.temperature, request.top_p) == (9, 0.5, 0.9)
        assert (request.stop, request.seed) == (["END"], 7)
        assert request.reasoning == Reasoning("none")
        assert request.options == {"ollama": {"keep_alive": "5m", "options": {"num_ctx": 4096}}}


def test_pictures_are_read():
    with serving(["A cat."]) as (server, client):
        client.chat("m", [{"role": "user", "content": "What is this?", "images": [PNG]}])
        assert read(server).messages == [UserMessage([Text("What is this?"), Image(PNG)])]


def test_a_whole_completion():
    script = [{"message": {"content": [THOUGHT, {"type": "text", "text": "Blue."}]}}]
    with serving(script) as (server, client):
        answer = client.generate(
            "codellama", "Why?", suffix="!", system="Be brief.", images=[PNG], format="json"
        )
        assert (answer.response, answer.thinking) == ("Blue.", "Hm, two cities.")
        assert (answer.done, answer.done_reason) == (True, "stop")
        assert server.requests[0].path == "/api/generate"
        request = read(server)
        assert request.messages == [UserMessage([Text("Why?"), Image(PNG)])]
        assert request.system == [Text("Be brief.")]
        assert request.response_format == ResponseFormat()
        assert request.options == {"ollama": {"endpoint": "generate", "suffix": "!"}}


def test_a_streamed_completion():
    with serving([{"message": {"content": "to be", "usage": USAGE}}]) as (_, client):
        parts = list(client.generate("m", "Hamlet:", stream=True))
        assert [part.response for part in parts] == ["to", " be", ""]
        assert (parts[-1].done, parts[-1].prompt_eval_count) == (True, 26)


async def test_completions_asynchronously():
    async with serving_async(["to be", "or not"]) as (_, client):
        assert (await client.generate("m", "Hamlet:")).response == "to be"
        parts = [part async for part in await client.generate("m", "Hamlet:", stream=True)]
        assert "".join(part.response or "" for part in parts) == "or not"


def test_the_list_of_models():
    with serving(models=["llama3.2:latest", "b"]) as (_, client):
        assert [each.model for each in client.list().models] == ["llama3.2:latest", "b"]


ERRORS = [
    ("bad_request", 400),
    ("authentication", 401),
    ("permission_denied", 403),
    ("not_found", 404),
    ("rate_limit", 429),
    ("server", 500),
    ("overloaded", 503),
]


@pytest.mark.parametrize("streamed", [True, False])
@pytest.mark.parametrize(("kind", "status"), ERRORS)
def test_errors_are_those_of_the_client(kind: str, status: int, streamed: bool):
    with serving([{"error": {"kind": kind, "text": "this went wrong"}}]) as (_, client):
        with pytest.raises(ollama.ResponseError) as caught:
            list(client.chat("m", HELLO, stream=streamed))  # pyright: ignore[reportCallIssue, reportArgumentType]
        assert (caught.value.error, caught.value.status_code) == ("this went wrong", status)


def test_an_error_in_the_middle_of_a_stream_is_raised_there():
    with serving(["to be or not"], knobs=Knobs(error_after_chunks=2)) as (_, client):
        parts = client.chat("m", HELLO, stream=True)
        assert [next(parts).message.content for _ in range(2)] == ["to", " be"]
        with pytest.raises(ollama.ResponseError, match="told to fail"):
            next(parts)


def test_a_key_is_a_bearer():
    with serving(expect_key="sk") as (server, client):
        with pytest.raises(ollama.ResponseError) as caught:
            client.chat("m", HELLO)
        assert caught.value.status_code == 401
        with ollama.Client(host=server.url, headers={"authorization": "Bearer sk"}) as keyed:
            assert keyed.chat("m", HELLO).message.content == "Hello?"


def test_leaving_a_stream_closes_the_connection():
    with serving(["to be or not"], knobs=Knobs(delay_chunks=3600)) as (server, client):
        parts = client.chat("m", HELLO, stream=True)
        next(parts)
        parts.close()  # pyright: ignore[reportAttributeAccessIssue]
        assert server.wait_for_hangup().hung_up == "client"
