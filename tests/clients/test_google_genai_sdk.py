"""The official google-genai SDK talks to our mock over real sockets: its parsing judges our server half."""

import base64
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any
from urllib.request import urlopen

import pytest
from google import genai
from google.genai import errors, types

from polyvox.messages import (
    AssistantMessage,
    File,
    Image,
    Text,
    Thinking,
    ToolCall,
    ToolMessage,
    UserMessage,
)
from polyvox.request import NamedTool, Reasoning, Request, ResponseFormat
from polyvox.testing import Knobs, MockProvider, ThreadedMock

PNG = b"\x89PNG\r\n\x1a\n" + bytes(8)
MODEL = "gemini-2.5-flash"
SIGNATURE = base64.b64encode(b"signed").decode()
WEATHER = types.FunctionDeclaration(
    name="weather",
    description="d",
    parameters=types.Schema(
        type=types.Type.OBJECT,
        properties={"city": types.Schema(type=types.Type.STRING, nullable=True)},
        required=["city"],
    ),
)
TOOLS: Any = [types.Tool(function_declarations=[WEATHER])]
THOUGHT = {"type": "thinking", "text": "Hm, two cities.", "signature": SIGNATURE}
TWO_CALLS = [
    {"type": "text", "text": "Let me see."},
    {"type": "tool_call", "id": "c1", "name": "weather", "arguments": {"city": "Oslo"}},
    {"type": "tool_call", "id": "c2", "name": "weather", "arguments": {"city": "Bergen"}},
]
# The SDK's own session class is of a kind that aiohttp would rather not see.
IGNORE_AIOHTTP = pytest.mark.filterwarnings("ignore:Inheritance class:DeprecationWarning")
USAGE = {
    "input_tokens": 100,
    "output_tokens": 20,
    "cache_read_tokens": 64,
    "reasoning_tokens": 5,
    "basis": "reported",
}


def client_of(url: str) -> genai.Client:
    return genai.Client(api_key="goog-key", http_options=types.HttpOptions(base_url=url))


@contextmanager
def serving(script: Any = None, **settings: Any) -> Iterator[tuple[ThreadedMock, genai.Client]]:
    with MockProvider("gemini", script, **settings) as server, client_of(server.url) as client:
        yield server, client


@asynccontextmanager
async def serving_async(
    script: Any = None, **settings: Any
) -> AsyncIterator[tuple[MockProvider, Any]]:
    async with (
        MockProvider("gemini", script, **settings) as server,
        client_of(server.url).aio as client,
    ):
        yield server, client


def ask(client: genai.Client, contents: Any = "Hello?", **config: Any) -> Any:
    return client.models.generate_content(model=MODEL, contents=contents, config=config or None)  # pyright: ignore[reportArgumentType]


def stream(client: genai.Client, contents: Any = "Hello?", **config: Any) -> list[Any]:
    given: Any = config or None
    models = client.models
    return list(models.generate_content_stream(model=MODEL, contents=contents, config=given))


def read(server: Any, place: int = -1) -> Request:
    request = server.requests[place].request
    assert request is not None
    return request


def parts_of(frames: list[Any]) -> list[Any]:
    return [part for frame in frames for part in frame.candidates[0].content.parts]


def test_a_whole_answer():
    with serving([{"message": {"content": "Good day.", "usage": USAGE}}]) as (server, client):
        answer = ask(client)
        assert answer.text == "Good day."
        assert answer.candidates[0].finish_reason == types.FinishReason.STOP
        assert answer.model_version == MODEL
        usage = answer.usage_metadata
        assert (usage.prompt_token_count, usage.cached_content_token_count) == (100, 64)
        # Ours counts thoughts as a part of the output, theirs beside it.
        assert (usage.candidates_token_count, usage.thoughts_token_count) == (15, 5)
        assert usage.total_token_count == 120
        request = read(server)
        assert (request.model, request.stream) == (MODEL, False)
        assert request.messages == [UserMessage([Text("Hello?")])]


@IGNORE_AIOHTTP
async def test_a_whole_answer_asynchronously():
    async with serving_async(["Good day."]) as (_, client):
        answer = await client.models.generate_content(model=MODEL, contents="Hello?")
        assert answer.text == "Good day."


def test_a_streamed_answer():
    script = [{"message": {"content": "to be or not", "usage": USAGE}}]
    with serving(script, knobs=Knobs(write_size=17)) as (server, client):
        frames = stream(client)
        assert [frame.text for frame in frames if frame.text] == ["to", " be", " or", " not"]
        assert frames[-1].candidates[0].finish_reason == types.FinishReason.STOP
        assert frames[-1].usage_metadata.total_token_count == 120
        assert {frame.model_version for frame in frames} == {MODEL}
        assert read(server).stream is True


@IGNORE_AIOHTTP
async def test_a_streamed_answer_asynchronously():
    async with serving_async(["to be"]) as (_, client):
        frames = await client.models.generate_content_stream(model=MODEL, contents="Hello?")
        assert "".join([frame.text or "" async for frame in frames]) == "to be"


def test_a_stream_without_alt_sse_is_one_array():
    with serving(["to be"]) as (server, _):
        url = f"{server.url}/v1beta/models/{MODEL}:streamGenerateContent"
        body = json.dumps({"contents": [{"parts": [{"text": "Hello?"}]}]}).encode()
        with urlopen(url, data=body) as answer:
            assert answer.headers["content-type"].startswith("application/json")
            frames = [types.GenerateContentResponse.model_validate(f) for f in json.load(answer)]
        assert "".join(frame.text or "" for frame in frames) == "to be"


@pytest.mark.parametrize("streamed", [True, False])
def test_a_token_limit_is_told(streamed: bool):
    with serving([{"message": {"content": "a", "stop_reason": "length"}}]) as (_, client):
        last = stream(client)[-1] if streamed else ask(client)
        assert last.candidates[0].finish_reason == types.FinishReason.MAX_TOKENS


@pytest.mark.parametrize("streamed", [True, False])
def test_tool_calls_and_thinking_then_the_final_text(streamed: bool):
    script = [{"message": {"content": [THOUGHT, *TWO_CALLS]}}, "Rain in both."]
    with serving(script, knobs=Knobs(arguments_piece=4)) as (server, client):
        frames = stream(client, tools=TOOLS) if streamed else [ask(client, tools=TOOLS)]
        parts = parts_of(frames)
        thoughts = [part for part in parts if part.thought]
        assert "".join(part.text for part in thoughts) == "Hm, two cities."
        assert thoughts[-1].thought_signature == b"signed"
        said = "".join(part.text or "" for part in parts if not part.thought)
        assert said == "Let me see."
        calls = [part.function_call for part in parts if part.function_call]
        assert [(call.id, call.name, call.args) for call in calls] == [
            ("c1", "weather", {"city": "Oslo"}),
            ("c2", "weather", {"city": "Bergen"}),
        ]
        results = [
            types.Part.from_function_response(name="weather", response={"output": "rain"}),
            types.Part.from_function_response(name="weather", response={"error": "no data"}),
        ]
        conversation = [
            types.Content(role="user", parts=[types.Part(text="Hello?")]),
            types.Content(role="model", parts=parts),
            types.Content(role="user", parts=results),
        ]
        frames = (
            stream(client, conversation, tools=TOOLS)
            if streamed
            else [ask(client, conversation, tools=TOOLS)]
        )
        assert "".join(frame.text or "" for frame in frames) == "Rain in both."
        _, answer, one, two = read(server).messages
        assert isinstance(answer, AssistantMessage)
        assert answer.thinking == "Hm, two cities."
        assert [b.signature for b in answer.content if isinstance(b, Thinking)][-1] == SIGNATURE
        assert answer.tool_calls == [
            ToolCall("c1", "weather", {"city": "Oslo"}),
            ToolCall("c2", "weather", {"city": "Bergen"}),
        ]
        # The SDK sends no ids with results: they go by name and order.
        assert one == ToolMessage("c1", [Text("rain")], "weather")
        assert two == ToolMessage("c2", [Text("no data")], "weather", is_error=True)


def test_the_sdks_own_loop_calls_a_python_function_and_gets_the_final_text():
    asked: list[str] = []

    def weather(city: str) -> str:
        """The weather in a city."""
        asked.append(city)
        return "rain"

    with serving([{"message": {"content": TWO_CALLS[1:2]}}, "It rains."]) as (server, client):
        assert ask(client, tools=[weather]).text == "It rains."
        assert asked == ["Oslo"]
        (tool,) = read(server).tools
        assert (tool.name, tool.description) == ("weather", "The weather in a city.")
        assert tool.parameters["properties"]["city"]["type"] == "string"
        (result,) = [each for each in read(server).messages if isinstance(each, ToolMessage)]
        assert (result.tool_call_id, result.tool_name) == ("c1", "weather")
        assert result.content == [Text('{"result":"rain"}')]


def test_the_requests_fields_are_read():
    config = types.ToolConfig(
        function_calling_config=types.FunctionCallingConfig(
            mode=types.FunctionCallingConfigMode.ANY, allowed_function_names=["weather"]
        )
    )
    safety = [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}]
    with serving() as (server, client):
        ask(
            client,
            system_instruction="Be brief.",
            temperature=0.5,
            top_p=0.9,
            top_k=40,
            seed=7,
            max_output_tokens=99,
            stop_sequences=["END"],
            tools=TOOLS,
            tool_config=config,
            safety_settings=safety,
            thinking_config={"thinking_budget": 2000, "include_thoughts": True},
        )
        request = read(server)
        assert request.system == [Text("Be brief.")]
        assert (request.temperature, request.top_p, request.seed) == (0.5, 0.9, 7)
        assert (request.max_tokens, request.stop) == (99, ["END"])
        (tool,) = request.tools
        assert tool.parameters == {
            "type": "object",
            "properties": {"city": {"type": ["string", "null"]}},
            "required": ["city"],
        }
        assert request.tool_choice == NamedTool("weather")
        assert request.reasoning == Reasoning(budget_tokens=2000)
        assert request.options == {
            "gemini": {"generationConfig": {"topK": 40}, "safetySettings": safety}
        }


def test_a_thinking_level_and_a_schema_are_read():
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}}
    with serving(['{"a": 1}']) as (server, client):
        answer = ask(
            client,
            thinking_config={"thinking_level": "LOW", "include_thoughts": True},
            response_mime_type="application/json",
            response_json_schema=schema,
        )
        assert answer.parsed == {"a": 1}
        request = read(server)
        assert request.reasoning == Reasoning("low")
        assert request.response_format == ResponseFormat(schema)


def test_pictures_and_files_are_read():
    contents = [
        "What is this?",
        types.Part.from_bytes(data=PNG, mime_type="image/png"),
        types.Part.from_uri(file_uri="https://example.com/cat.png", mime_type="image/png"),
        types.Part.from_bytes(data=b"%PDF-1.7", mime_type="application/pdf"),
    ]
    with serving(["A cat."]) as (server, client):
        ask(client, contents)
        assert read(server).messages == [
            UserMessage(
                [
                    Text("What is this?"),
                    Image(PNG, media_type="image/png"),
                    Image(url="https://example.com/cat.png"),
                    File(b"%PDF-1.7", media_type="application/pdf"),
                ]
            )
        ]


def test_the_list_of_models():
    with serving(models=["gemini-2.5-flash", "b"]) as (_, client):
        names = [model.name for model in client.models.list()]
        assert names == ["models/gemini-2.5-flash", "models/b"]


def test_counting_tokens():
    with serving() as (server, client):
        assert client.models.count_tokens(model=MODEL, contents="one two").total_tokens == 2
        assert read(server).model == MODEL


ERRORS = [
    ("bad_request", errors.ClientError, 400, "INVALID_ARGUMENT"),
    ("context_window_exceeded", errors.ClientError, 400, "INVALID_ARGUMENT"),
    ("authentication", errors.ClientError, 401, "UNAUTHENTICATED"),
    ("permission_denied", errors.ClientError, 403, "PERMISSION_DENIED"),
    ("not_found", errors.ClientError, 404, "NOT_FOUND"),
    ("rate_limit", errors.ClientError, 429, "RESOURCE_EXHAUSTED"),
    ("overloaded", errors.ServerError, 503, "UNAVAILABLE"),
    ("server", errors.ServerError, 500, "INTERNAL"),
]


@pytest.mark.parametrize("streamed", [True, False])
@pytest.mark.parametrize(("kind", "expected", "code", "status"), ERRORS)
def test_errors_are_those_of_the_sdk(
    kind: str, expected: type[errors.APIError], code: int, status: str, streamed: bool
):
    error = {"kind": kind, "text": "this went wrong", "retry_after": 3}
    with serving([{"error": error}]) as (_, client):
        with pytest.raises(expected, match="this went wrong") as caught:
            (stream if streamed else ask)(client)
        assert (caught.value.code, caught.value.status) == (code, status)


def test_the_key_is_found_in_the_header_of_the_sdk():
    with serving(expect_key="goog-key") as (_, client):
        assert ask(client).text == "Hello?"
    with serving(expect_key="other") as (_, client), pytest.raises(errors.ClientError) as caught:
        ask(client)
    assert caught.value.code == 401


def test_an_error_in_the_middle_of_a_stream_is_raised_there():
    with serving(["to be or not"], knobs=Knobs(error_after_chunks=2)) as (_, client):
        frames = client.models.generate_content_stream(model=MODEL, contents="Hello?")
        assert [next(frames).text for _ in range(2)] == ["to", " be"]
        with pytest.raises(errors.ServerError, match="told to fail"):
            next(frames)


def test_a_cut_stream_is_no_success():
    with serving(["to be or not"], knobs=Knobs(cut_after=200)) as (server, client):
        with pytest.raises(Exception, match=r"(?i)incomplete|peer closed|connection|payload|json"):
            stream(client)
        assert server.answers[0].hung_up == "server"
