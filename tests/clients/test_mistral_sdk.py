"""The official mistralai SDK talks to our mock over real sockets: its parsing judges our server half.

The mock imitates Mistral: tool calls whole, reasoning among the content, usage with the last chunk.
"""

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import pytest
from mistralai.client import Mistral, errors, models

import polyvox
from polyvox.events import Done
from polyvox.messages import AssistantMessage, Image, Text, Thinking, ToolMessage, UserMessage, user
from polyvox.request import NamedTool, Reasoning, Request, ResponseFormat
from polyvox.testing import Knobs, MockProvider, ThreadedMock

MODEL = "mistral-small-latest"
HELLO: Any = [{"role": "user", "content": "Hello?"}]
WEATHER = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOLS: Any = [
    {"type": "function", "function": {"name": "weather", "description": "d", "parameters": WEATHER}}
]
THOUGHT = {"type": "thinking", "text": "Hm, two cities."}
TWO_CALLS = [
    {"type": "text", "text": "Let me see."},
    {"type": "tool_call", "id": "aB3dE6gH9", "name": "weather", "arguments": {"city": "Oslo"}},
    {"type": "tool_call", "id": "bB3dE6gH9", "name": "weather", "arguments": {"city": "Bergen"}},
]
USAGE = {"input_tokens": 100, "output_tokens": 20, "basis": "reported"}
KNOBS = Knobs(manner="mistral", usage="with_finish")


def client_of(url: str) -> Mistral:
    return Mistral(api_key="sk-test", server_url=url.removesuffix("/v1"))


@contextmanager
def serving(
    script: Any = None, knobs: Knobs = KNOBS, **settings: Any
) -> Iterator[tuple[ThreadedMock, Mistral]]:
    with (
        MockProvider("openai-chat", script, knobs=knobs, **settings) as server,
        client_of(server.url) as client,
    ):
        yield server, client


@asynccontextmanager
async def serving_async(script: Any = None) -> AsyncIterator[Mistral]:
    async with (
        MockProvider("openai-chat", script, knobs=KNOBS) as server,
        client_of(server.url) as client,
    ):
        yield client


def ask(client: Mistral, messages: Any = HELLO, **fields: Any) -> Any:
    return client.chat.complete(model=MODEL, messages=messages, **fields)


def stream(client: Mistral, messages: Any = HELLO, **fields: Any) -> list[Any]:
    with client.chat.stream(model=MODEL, messages=messages, **fields) as events:
        return [event.data for event in events]


def read(server: ThreadedMock, place: int = -1) -> Request:
    request = server.requests[place].request
    assert request is not None
    return request


def calls_of(messages: list[Any]) -> list[tuple[str, str, Any]]:
    calls = [call for message in messages for call in message.tool_calls or []]
    return [(c.id, c.function.name, json.loads(c.function.arguments)) for c in calls]


CALLS = [
    ("aB3dE6gH9", "weather", {"city": "Oslo"}),
    ("bB3dE6gH9", "weather", {"city": "Bergen"}),
]


def test_a_whole_answer():
    with serving([{"message": {"content": "Good day.", "usage": USAGE}}]) as (server, client):
        answer = ask(client)
        (choice,) = answer.choices
        assert (choice.message.content, choice.finish_reason) == ("Good day.", "stop")
        assert (answer.model, answer.object) == (MODEL, "chat.completion")
        assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (100, 20)
        assert answer.usage.total_tokens == 120
        assert server.requests[0].headers["authorization"] == "Bearer sk-test"
        assert read(server).stream is False


async def test_answers_asynchronously():
    async with serving_async(["Good day.", "to be"]) as client:
        answer = await client.chat.complete_async(model=MODEL, messages=HELLO)
        assert answer.choices[0].message.content == "Good day."
        async with await client.chat.stream_async(model=MODEL, messages=HELLO) as events:
            pieces = [event.data.choices[0].delta.content async for event in events]
        assert "".join(piece for piece in pieces if isinstance(piece, str)) == "to be"


def test_a_streamed_answer_has_its_usage_unasked():
    with serving([{"message": {"content": "to be or not", "usage": USAGE}}]) as (server, client):
        *chunks, last = stream(client)
        texts = [chunk.choices[0].delta.content for chunk in chunks]
        assert [text for text in texts if text] == ["to", " be", " or", " not"]
        assert last.choices[0].finish_reason == "stop"
        assert (last.usage.prompt_tokens, last.usage.completion_tokens) == (100, 20)
        assert all(chunk.usage is None for chunk in chunks)
        assert len({chunk.id for chunk in (*chunks, last)}) == 1
        assert read(server).stream is True


def test_reasoning_and_tool_calls_of_a_whole_answer():
    with serving([{"message": {"content": [THOUGHT, *TWO_CALLS]}}]) as (_, client):
        (choice,) = ask(client, tools=TOOLS).choices
        assert choice.finish_reason == "tool_calls"
        assert choice.message.content == [
            models.ThinkChunk(thinking=[models.TextChunk(text="Hm, two cities.")]),
            models.TextChunk(text="Let me see."),
        ]
        assert calls_of([choice.message]) == CALLS


@pytest.mark.parametrize("size", [1, 4, 1000])
def test_streamed_tool_calls_come_whole_and_reasoning_in_pieces(size: int):
    knobs = Knobs(
        manner="mistral", text_piece=size, arguments_piece=size, ping_every=2, write_size=17
    )
    with serving([{"message": {"content": [THOUGHT, *TWO_CALLS]}}], knobs) as (_, client):
        chunks = stream(client, tools=TOOLS)
        deltas = [chunk.choices[0].delta for chunk in chunks]
        assert calls_of(deltas) == CALLS
        assert [call.index for delta in deltas for call in delta.tool_calls or []] == [0, 1]
        pieces = [piece for d in deltas if isinstance(d.content, list) for piece in d.content]
        thoughts = [text for piece in pieces for text in piece.thinking]
        assert "".join(thought.text for thought in thoughts) == "Hm, two cities."
        texts = [delta.content for delta in deltas if isinstance(delta.content, str)]
        assert "".join(texts) == "Let me see."
        assert chunks[-1].choices[0].finish_reason == "tool_calls"


def test_a_conversation_with_reasoning_and_tool_results_is_read():
    script = [{"message": {"content": [THOUGHT, *TWO_CALLS]}}, "Rain in both."]
    with serving(script) as (server, client):
        called = ask(client, tools=TOOLS).choices[0].message
        results = [
            {"role": "tool", "tool_call_id": call.id, "name": "weather", "content": "rain"}
            for call in called.tool_calls
        ]
        answer = ask(client, [*HELLO, called, *results], tools=TOOLS)
        assert answer.choices[0].message.content == "Rain in both."
        asked, said, *told = read(server).messages
        assert asked == user("Hello?")
        assert isinstance(said, AssistantMessage)
        assert said.content[:2] == [Thinking("Hm, two cities."), Text("Let me see.")]
        assert [(c.id, c.name, c.arguments) for c in said.tool_calls] == CALLS
        assert told == [ToolMessage(id, [Text("rain")], "weather") for id, _, _ in CALLS]


def test_the_requests_fields_are_read():
    with serving() as (server, client):
        ask(
            client,
            [{"role": "system", "content": "Be brief."}, *HELLO],
            max_tokens=99,
            temperature=0.5,
            top_p=0.9,
            stop=["END"],
            random_seed=7,
            reasoning_effort="high",
            response_format={"type": "json_object"},
            tools=TOOLS,
            tool_choice={"type": "function", "function": {"name": "weather"}},
            parallel_tool_calls=False,
            safe_prompt=True,
        )
        request = read(server)
        assert (request.model, request.system) == (MODEL, [Text("Be brief.")])
        assert (request.max_tokens, request.temperature, request.top_p) == (99, 0.5, 0.9)
        assert request.stop == ["END"]
        assert request.reasoning == Reasoning("high")
        assert request.response_format == ResponseFormat()
        assert [(tool.name, tool.parameters) for tool in request.tools] == [("weather", WEATHER)]
        assert request.tool_choice == NamedTool("weather")
        assert request.parallel_tool_calls is False
        assert request.options["openai-chat"] == {"random_seed": 7, "safe_prompt": True}


def test_the_word_any_requires_a_call():
    with serving() as (server, client):
        ask(client, tools=TOOLS, tool_choice="any")
        assert read(server).tool_choice == "required"


def test_a_picture_may_be_given_as_a_url_or_an_object():
    url = "https://example.com/cat.png"
    content = [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": url},
        {"type": "image_url", "image_url": {"url": url, "detail": "low"}},
    ]
    with serving(["A cat."]) as (server, client):
        ask(client, [{"role": "user", "content": content}])
        (message,) = read(server).messages
        assert message == UserMessage(
            [Text("What is this?"), Image(url=url), Image(url=url, detail="low")]
        )


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(
    ("kind", "status"), [("bad_request", 400), ("authentication", 401), ("rate_limit", 429)]
)
def test_errors_are_those_of_the_sdk(kind: str, status: int, streamed: bool):
    with serving([{"error": {"kind": kind, "text": "this went wrong"}}]) as (_, client):
        with pytest.raises(errors.MistralError, match="this went wrong") as caught:
            (stream if streamed else ask)(client)
        assert caught.value.status_code == status


def test_leaving_a_stream_closes_the_connection():
    knobs = Knobs(manner="mistral", delay_chunks=3600)
    with serving(["to be"], knobs) as (server, client):
        with client.chat.stream(model=MODEL, messages=HELLO) as events:
            next(events)
        assert server.wait_for_hangup().hung_up == "client"


def test_our_client_reads_the_same_answers_whole_and_streamed():
    with serving([{"message": {"content": [THOUGHT, *TWO_CALLS], "usage": USAGE}}] * 2) as (
        server,
        _,
    ):
        with polyvox.Client(base_urls={"mistral": server.url}, keys={"mistral": "k"}) as client:
            whole = client.complete(f"mistral/{MODEL}", "Hello?")
            with client.stream(f"mistral/{MODEL}", "Hello?") as events:
                *_, last = events
        assert isinstance(last, Done)
        for reply in (whole, last.message):
            assert (reply.thinking, reply.text) == ("Hm, two cities.", "Let me see.")
            assert [(c.id, c.name, c.arguments) for c in reply.tool_calls] == CALLS
            assert (reply.usage.input_tokens, reply.usage.output_tokens) == (100, 20)


def test_only_chat_completions_are_spoken_in_several_manners():
    with pytest.raises(polyvox.ConfigurationError, match="the knob manner is for openai-chat"):
        MockProvider("gemini", knobs=Knobs(manner="mistral"))
