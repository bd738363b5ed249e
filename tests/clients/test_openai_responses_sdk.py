"""The official openai SDK's Responses API talks to our mock: its parsing judges our server half."""

import base64
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import openai
import pydantic
import pytest

from polyvox.messages import (
    AssistantMessage,
    File,
    Image,
    SystemMessage,
    Text,
    Thinking,
    ToolCall,
    ToolMessage,
    UserMessage,
    user,
)
from polyvox.request import NamedTool, Reasoning, Request, ResponseFormat
from polyvox.testing import Knobs, MockProvider, ThreadedMock

PNG = b"\x89PNG\r\n\x1a\n" + bytes(8)
NAME = "openai-responses"
WEATHER = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOLS: Any = [
    {
        "type": "function",
        "name": "weather",
        "description": "d",
        "parameters": WEATHER,
        "strict": True,
    }
]
THOUGHT_AND_CALLS = [
    {"type": "thinking", "text": "Two cities.", "signature": "c2VjcmV0"},
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
        MockProvider(NAME, script, **settings) as server,
        openai.OpenAI(base_url=server.url, api_key="sk-test", max_retries=0) as client,
    ):
        yield server, client


@asynccontextmanager
async def serving_async(
    script: Any = None, **settings: Any
) -> AsyncIterator[tuple[MockProvider, openai.AsyncOpenAI]]:
    async with (
        MockProvider(NAME, script, **settings) as server,
        openai.AsyncOpenAI(base_url=server.url, api_key="sk-test", max_retries=0) as client,
    ):
        yield server, client


def ask(client: openai.OpenAI, **fields: Any) -> Any:
    return client.responses.create(**{"model": "gpt-5-mini", "input": "Hello?", **fields})


def read(server: Any, place: int = -1) -> Request:
    request = server.requests[place].request
    assert request is not None
    return request


# Answers


def test_a_whole_answer():
    with serving([{"message": {"content": "Good day.", "usage": USAGE}}]) as (server, client):
        answer = ask(client)
        assert answer.output_text == "Good day."
        assert (answer.status, answer.model, answer.object) == (
            "completed",
            "gpt-5-mini",
            "response",
        )
        assert (answer.usage.input_tokens, answer.usage.output_tokens) == (100, 20)
        assert answer.usage.total_tokens == 120
        assert answer.usage.input_tokens_details.cached_tokens == 64
        assert answer.usage.output_tokens_details.reasoning_tokens == 5
        assert answer._request_id == "req_mock_1"
        assert read(server).stream is False
        assert read(server).messages == [user("Hello?")]


async def test_a_whole_answer_asynchronously():
    async with serving_async(["Good day."]) as (_, client):
        answer = await client.responses.create(model="m", input="Hello?")
        assert answer.output_text == "Good day."


def test_raw_events_of_a_streamed_answer():
    with serving(["to be or not"]) as (server, client):
        events = list(ask(client, stream=True))
        assert [event.sequence_number for event in events] == list(range(len(events)))
        kinds = [event.type for event in events]
        assert kinds[:4] == [
            "response.created",
            "response.in_progress",
            "response.output_item.added",
            "response.content_part.added",
        ]
        assert kinds[-4:] == [
            "response.output_text.done",
            "response.content_part.done",
            "response.output_item.done",
            "response.completed",
        ]
        deltas = [each.delta for each in events if each.type == "response.output_text.delta"]
        assert "".join(deltas) == "to be or not"
        assert read(server).stream is True


def test_a_function_call_and_then_a_final_text_whole():
    with serving([{"message": {"content": THOUGHT_AND_CALLS}}, "Rain in both."]) as (
        server,
        client,
    ):
        called = ask(client, tools=TOOLS)
        reasoning, message, *calls = called.output
        assert reasoning.encrypted_content == "c2VjcmV0"
        assert message.content[0].text == "Let me see."
        check_conversation(server, client, called, calls)


def test_a_function_call_and_then_a_final_text_streamed():
    script = [{"message": {"content": THOUGHT_AND_CALLS}}, "Rain in both."]
    with serving(script, knobs=Knobs(arguments_piece=3, text_piece=2)) as (server, client):
        with client.responses.stream(model="gpt-5-mini", input="Hello?", tools=TOOLS) as stream:
            snapshots = [
                event.snapshot
                for event in stream
                if event.type == "response.function_call_arguments.delta"
            ]
            called = stream.get_final_response()
        calls = [item for item in called.output if item.type == "function_call"]
        assert snapshots[-1] == '{"city":"Bergen"}'
        assert calls[0].parsed_arguments == {"city": "Oslo"}
        assert called.output_text == "Let me see."
        assert called.output[0].type == "reasoning"
        assert called.output[0].summary[0].text == "Two cities."
        check_conversation(server, client, called, calls)


def check_conversation(server: Any, client: openai.OpenAI, called: Any, calls: list[Any]) -> None:
    """Send the answer back with the calls' results, as the SDK's users do; see what was read."""
    results = [
        {"type": "function_call_output", "call_id": call.call_id, "output": "rain"}
        for call in calls
    ]
    history = [
        {"role": "user", "content": "Hello?"},
        *(item.to_dict() for item in called.output),
        *results,
    ]
    with client.responses.stream(model="gpt-5-mini", input=history, tools=TOOLS) as stream:
        stream.until_done()
        assert stream.get_final_response().output_text == "Rain in both."
    asked, said, *outputs = read(server).messages
    assert asked == user("Hello?")
    assert isinstance(said, AssistantMessage)
    thought, text, *tool_calls = said.content
    assert isinstance(thought, Thinking)
    assert (thought.text, thought.signature) == ("Two cities.", "c2VjcmV0")
    assert isinstance(text, Text)
    assert text.text == "Let me see."
    assert [(call.id, call.arguments) for call in tool_calls if isinstance(call, ToolCall)] == [
        ("call_1", {"city": "Oslo"}),
        ("call_2", {"city": "Bergen"}),
    ]
    assert outputs == [
        ToolMessage("call_1", [Text("rain")], "weather"),
        ToolMessage("call_2", [Text("rain")], "weather"),
    ]


async def test_a_streamed_answer_asynchronously():
    async with serving_async(["to be or not"]) as (_, client):
        async with client.responses.stream(model="m", input="Hello?") as stream:
            answer = await stream.get_final_response()
        assert answer.output_text == "to be or not"


@pytest.mark.parametrize("stream", [True, False])
def test_an_answer_cut_at_the_token_limit(stream: bool):
    with serving([{"message": {"content": "Once upon", "stop_reason": "length"}}]) as (_, client):
        answer = list(ask(client, stream=True))[-1].response if stream else ask(client)
        assert answer.status == "incomplete"
        assert answer.incomplete_details.reason == "max_output_tokens"
        assert answer.output_text == "Once upon"


@pytest.mark.parametrize("stream", [True, False])
def test_a_refusal(stream: bool):
    with serving([{"message": {"content": "I won't.", "stop_reason": "refusal"}}]) as (_, client):
        answer = list(ask(client, stream=True))[-1].response if stream else ask(client)
        part = answer.output[-1].content[0]
        assert (part.type, part.refusal) == ("refusal", "I won't.")


class Person(pydantic.BaseModel):
    name: str
    age: int


def test_structured_answers_are_parsed():
    with serving(['{"name": "Ada", "age": 36}']) as (server, client):
        answer = client.responses.parse(model="gpt-5-mini", input="Who?", text_format=Person)
        assert answer.output_parsed == Person(name="Ada", age=36)
        wanted = read(server).response_format
        assert isinstance(wanted, ResponseFormat)
        assert (wanted.name, wanted.strict) == ("Person", True)


# Requests


def test_all_parameters_are_read():
    with serving(["ok"]) as (server, client):
        ask(
            client,
            instructions="Be brief.",
            max_output_tokens=99,
            temperature=0.5,
            top_p=0.9,
            reasoning={"effort": "low", "summary": "auto"},
            text={"verbosity": "low", "format": {"type": "json_object"}},
            tools=[*TOOLS, {"type": "web_search"}],
            tool_choice={"type": "function", "name": "weather"},
            parallel_tool_calls=False,
            metadata={"a": "b"},
            previous_response_id="resp_1",
            prompt_cache_key="k",
            store=True,
        )
        request = read(server)
        assert request.system == [Text("Be brief.")]
        assert request.max_tokens == 99
        assert (request.temperature, request.top_p) == (0.5, 0.9)
        assert request.reasoning == Reasoning("low")
        assert request.response_format == ResponseFormat()
        (tool,) = request.tools
        assert (tool.name, tool.description, tool.parameters, tool.strict) == (
            *("weather", "d", WEATHER),
            True,
        )
        assert request.tool_choice == NamedTool("weather")
        assert request.parallel_tool_calls is False
        assert request.metadata == {"a": "b"}
        assert request.options[NAME] == {
            "reasoning": {"summary": "auto"},
            "text": {"verbosity": "low"},
            "tools": [*TOOLS, {"type": "web_search"}],
            "previous_response_id": "resp_1",
            "prompt_cache_key": "k",
            "store": True,
        }


def test_pictures_and_files_are_read():
    inline = f"data:image/png;base64,{base64.b64encode(PNG).decode()}"
    content = [
        {"type": "input_text", "text": "What is this?"},
        {"type": "input_image", "image_url": inline, "detail": "low"},
        {"type": "input_image", "image_url": "https://example.com/cat.png", "detail": "auto"},
        {
            "type": "input_file",
            "filename": "a.pdf",
            "file_data": "data:application/pdf;base64,JVBE",
        },
        {"type": "input_file", "file_id": "file_1"},
        {"type": "input_file", "file_url": "https://example.com/b.pdf"},
    ]
    given = [{"role": "user", "content": content}, {"role": "developer", "content": "In French."}]
    with serving(["A cat."]) as (server, client):
        ask(client, input=given)
        assert read(server).messages == [
            UserMessage(
                [
                    Text("What is this?"),
                    Image(PNG, media_type="image/png", detail="low"),
                    Image(url="https://example.com/cat.png"),
                    File(b"%PD", media_type="application/pdf", name="a.pdf"),
                    File(id="file_1"),
                    File(url="https://example.com/b.pdf"),
                ]
            ),
            SystemMessage([Text("In French.")]),
        ]


def test_the_list_of_models_and_the_count_of_tokens():
    with serving(models=["gpt-5-mini", "gpt-5"]) as (_, client):
        assert [model.id for model in client.models.list()] == ["gpt-5-mini", "gpt-5"]
        counted = client.responses.input_tokens.count(model="gpt-5", input="Hello?")
        assert counted.object == "response.input_tokens"
        assert counted.input_tokens > 0


# Errors

ERRORS = [
    ("bad_request", openai.BadRequestError),
    ("context_window_exceeded", openai.BadRequestError),
    ("authentication", openai.AuthenticationError),
    ("not_found", openai.NotFoundError),
    ("rate_limit", openai.RateLimitError),
    ("overloaded", openai.InternalServerError),
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


def test_an_error_in_the_middle_of_a_stream_is_told_as_a_failed_response():
    with serving(["to be or not"], knobs=Knobs(error_after_chunks=5)) as (_, client):
        last = list(ask(client, stream=True))[-1]
        assert last.type == "response.failed"
        assert last.response.status == "failed"
        assert "told to fail" in last.response.error.message


def test_leaving_a_stream_closes_the_connection():
    with serving(["to be"], knobs=Knobs(delay_chunks=3600)) as (server, client):
        with ask(client, stream=True) as stream:
            next(stream)
        assert server.wait_for_hangup().hung_up == "client"
