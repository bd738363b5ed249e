"""The server half: what clients send, and what they get back."""

import json
from typing import Any

import pytest
from openai.types.chat import ChatCompletionChunk

from polyvox.assembly import unfold
from polyvox.dialects import SSEReader, get_dialect
from polyvox.errors import BadRequestError, ServerError
from polyvox.events import Event, Failed, Start, TextDelta, TextStart, Warned
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
from polyvox.request import NamedTool, Reasoning, Request, ResponseFormat, ToolDefinition
from polyvox.usage import Cost, Usage

DIALECT = get_dialect("openai-chat")


def read(*messages: dict[str, Any], **fields: Any) -> Request:
    body = {"model": "sage-1", "messages": list(messages) or [{"role": "user", "content": "hi"}]}
    return DIALECT.decode_request(json.dumps(body | fields).encode())


def test_a_conversation_with_all_kinds_of_messages():
    request = read(
        {"role": "developer", "content": [{"type": "text", "text": "Be brief."}]},
        {
            "role": "user",
            "name": "ada",
            "content": [
                {"type": "text", "text": "Look:"},
                {"type": "image_url", "image_url": {"url": "https://a.example/b.png"}},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}},
                {"type": "file", "file": {"file_id": "file-1"}},
                {"type": "file", "file": {"filename": "a", "file_data": "data:;base64,JVBERi0x"}},
            ],
        },
        {
            "role": "assistant",
            "content": None,
            "reasoning_content": "Hm.",
            "tool_calls": [
                {"id": "a", "type": "function", "function": {"name": "f", "arguments": '{"x": 1}'}}
            ],
        },
        {"role": "tool", "tool_call_id": "a", "content": "ok"},
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]},
        {"role": "system", "content": "Now in French."},
        {"role": "user", "content": "Why?"},
    )
    assert request.model == "sage-1"
    assert request.system == [Text("Be brief.")]
    assert request.messages == [
        UserMessage(
            [
                Text("Look:"),
                Image(url="https://a.example/b.png"),
                Image(b"\x89PNG\r\n\x1a\n"),
                File(id="file-1"),
                File(b"%PDF-1", name="a", media_type="application/pdf"),
            ]
        ),
        AssistantMessage([Thinking("Hm."), ToolCall("a", "f", {"x": 1})], "tool_calls"),
        ToolMessage("a", [Text("ok")]),
        AssistantMessage([Text("No.")]),
        SystemMessage([Text("Now in French.")]),
        user("Why?"),
    ]


def test_history_with_arguments_that_are_no_json_is_read_as_not_executable():
    function = {"name": "f", "arguments": '{"x'}
    request = read({"role": "assistant", "tool_calls": [{"id": "a", "function": function}]})
    assert request.messages == [
        AssistantMessage([ToolCall("a", "f", unparsed='{"x')], "tool_calls")
    ]


def test_all_parameters():
    request = read(
        max_tokens=1,
        max_completion_tokens=2,
        temperature=1,
        top_p=0.5,
        stop=".",
        seed=7,
        stream=True,
        stream_options={"include_usage": True},
        reasoning_effort="low",
        parallel_tool_calls=False,
        metadata={"a": "b"},
        tools=[{"type": "function", "function": {"name": "f", "strict": True}}],
        tool_choice={"type": "function", "function": {"name": "f"}},
        response_format={"type": "json_schema", "json_schema": {"name": "n", "schema": {"a": 1}}},
        service_tier="flex",
        logprobs=None,
    )
    assert request == Request(
        messages=[user("hi")],
        model="sage-1",
        max_tokens=2,
        temperature=1.0,
        top_p=0.5,
        stop=["."],
        seed=7,
        stream=True,
        reasoning=Reasoning("low"),
        parallel_tool_calls=False,
        metadata={"a": "b"},
        tools=[ToolDefinition("f", strict=True)],
        tool_choice=NamedTool("f"),
        response_format=ResponseFormat({"a": 1}, "n", strict=False),
        options={
            "openai-chat": {
                "stream_options": {"include_usage": True},
                "service_tier": "flex",
                "logprobs": None,
            }
        },
    )


def test_nulls_and_defaults_mean_not_said():
    nulls = dict.fromkeys(
        [
            *("max_tokens", "temperature", "top_p", "stop", "seed", "tools", "tool_choice"),
            *("stream", "response_format", "reasoning_effort", "metadata", "parallel_tool_calls"),
        ]
    )
    assert read(**nulls) == Request(messages=[user("hi")], model="sage-1", stream=False)
    assert read(response_format={"type": "text"}, stop=["a", "b"]).stop == ["a", "b"]
    assert read(stop="").stop == [""]  # for whoever is asked to refuse
    assert read(stop=[]).stop == read(stop=None).stop == []


def test_openrouters_way_to_ask_for_reasoning():
    assert read(reasoning={"max_tokens": 9}).reasoning == Reasoning(budget_tokens=9)
    kept = read(reasoning={"effort": "low", "exclude": True})
    assert kept.reasoning is None
    assert kept.options["openai-chat"]["reasoning"] == {"effort": "low", "exclude": True}


IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png,abc"}}
RAW = {"type": "image_url", "image_url": {"url": "data:;base64,aGk="}}
EMPTY = {"type": "file", "file": {"filename": "a.pdf"}}
VIDEO = {"type": "input_video", "input_video": {"data": "", "format": "mp4"}}


@pytest.mark.parametrize(
    ("fields", "place"),
    [
        ({"messages": "hi"}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "user", "content": "hi"}, {"role": "robot"}]}, "messages[1].role"),
        ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": None}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": [VIDEO]}]}, "messages[0].content[0].type"),
        (
            {"messages": [{"role": "user", "content": [IMAGE]}]},
            "messages[0].content[0].image_url.url",
        ),
        (
            {"messages": [{"role": "user", "content": [RAW]}]},
            "messages[0].content[0].image_url.url",
        ),
        ({"messages": [{"role": "user", "content": [EMPTY]}]}, "messages[0].content[0].file"),
        ({"messages": [{"role": "tool", "content": "ok"}]}, "messages[0]"),
        ({"model": 5}, "model"),
        ({"temperature": "hot"}, "temperature"),
        ({"tool_choice": "maybe"}, "tool_choice"),
        ({"tools": [{"type": "function"}]}, "tools[0]"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema"),
        ({"reasoning_effort": "frantic"}, "reasoning_effort"),
        ({"functions": [{"name": "f"}]}, "functions"),
        ({"n": 2}, "n"),
    ],
)
def test_what_is_wrong_is_named(fields: dict[str, Any], place: str):
    with pytest.raises(BadRequestError) as caught:
        read(**fields)
    assert caught.value.text.startswith(f"{place}:")


@pytest.mark.parametrize("body", [b"", b"hi", b"[]", b"{}", b'{"model": "a"}'])
def test_a_body_that_is_no_request_is_refused(body: bytes):
    with pytest.raises(BadRequestError):
        DIALECT.decode_request(body)


# Streams


def asked(include_usage: bool = True) -> Request:
    options = {"stream_options": {"include_usage": include_usage}}
    return Request(messages=[user("hi")], model="alias", options={"openai-chat": options})


def data(events: list[Event], request: Request) -> list[bytes]:
    encoder = DIALECT.stream_encoder(request)
    body = b"".join(encoder.encode(event) for event in events)
    return [frame.data for frame in SSEReader().feed(body)]


def test_a_stream_as_openai_writes_it():
    message = AssistantMessage(
        [Thinking("Hm."), Text("Yes."), ToolCall("a", "f", {"x": 1}), ToolCall("b", "g")],
        "tool_calls",
        Usage(7, 2),
        id="chatcmpl-1",
        model="sage-1",
    )
    *frames, done = data(list(unfold(message)), asked())
    assert done == b"[DONE]"
    chunks = [json.loads(frame) for frame in frames]
    assert {(each["id"], each["object"], each["model"]) for each in chunks} == {
        ("chatcmpl-1", "chat.completion.chunk", "alias")
    }
    *answer, usage = chunks
    assert [each["choices"][0]["delta"] for each in answer] == [
        {"role": "assistant", "content": ""},
        {"reasoning_content": "Hm."},
        {"content": "Yes."},
        {"tool_calls": [_first(0, "a", "f")]},
        {"tool_calls": [{"index": 0, "function": {"arguments": '{"x":1}'}}]},
        {"tool_calls": [_first(1, "b", "g")]},
        {"tool_calls": [{"index": 1, "function": {"arguments": "{}"}}]},
        {},
    ]
    reasons = [each["choices"][0]["finish_reason"] for each in answer]
    assert reasons == [None] * 7 + ["tool_calls"]
    assert (usage["choices"], usage["usage"]["total_tokens"]) == ([], 9)


def _first(index: int, id: str, name: str) -> dict[str, Any]:
    return {
        "index": index,
        "id": id,
        "type": "function",
        "function": {"name": name, "arguments": ""},
    }


@pytest.mark.parametrize(
    ("request_", "usage"),
    [
        (asked(include_usage=False), Usage(7, 2)),
        (Request(messages=[], options={"openai-chat": {"stream_options": None}}), Usage(7, 2)),
        (Request(messages=[]), Usage(7, 2)),
        (asked(), Usage(basis="missing")),
    ],
)
def test_usage_is_sent_only_when_asked_for_and_known(request_: Request, usage: Usage):
    message = AssistantMessage([Text("Yes.")], usage=usage)
    assert not any(b"usage" in frame for frame in data(list(unfold(message)), request_))


def test_a_refusal_is_marked_for_clients_at_its_end():
    message = AssistantMessage([Text("I won't.")], "refusal")
    frames = data(list(unfold(message)), asked())
    chunks = [ChatCompletionChunk.model_validate_json(frame) for frame in frames[:-1]]
    deltas = [chunk.choices[0].delta for chunk in chunks]
    assert "".join(delta.refusal or "" for delta in deltas) == "I won't."


def test_a_failed_stream_ends_with_an_error_and_without_done():
    error = ServerError("boom")
    events: list[Event] = [
        Start("acme", "sage-1", "x"),
        TextStart(0),
        TextDelta(0, "Hel"),
        Failed(error, AssistantMessage([])),
    ]
    *_, last = data(events, asked())
    assert json.loads(last) == {
        "error": {"message": "boom", "type": "server_error", "param": None, "code": None}
    }


def test_warnings_have_no_place_in_a_stream():
    assert DIALECT.stream_encoder(asked()).encode(Warned("dropped")) == b""


def test_answers_without_an_id_get_one():
    message = AssistantMessage([Text("Yes.")], model="sage-1")
    body = json.loads(DIALECT.encode_response(message))
    assert body["id"].startswith("chatcmpl-")
    assert body["model"] == "sage-1"
    assert "usage" not in body
    assert json.loads(data(list(unfold(message)), asked())[0])["id"].startswith("chatcmpl-")


def test_half_an_emoji_spoils_no_answer():
    message = AssistantMessage(
        [Text("a\ud83d")], usage=Usage(1, 1, cost=Cost("known", nanos=1_500_000))
    )
    body = json.loads(DIALECT.encode_response(message))
    assert body["choices"][0]["message"]["content"] == "a\ufffd"
    assert body["usage"]["cost"] == 0.0015
    assert data(list(unfold(message)), asked())[-1] == b"[DONE]"


@pytest.mark.parametrize("stop_reason", ["error", "aborted"])
def test_an_answer_that_broke_off_is_not_called_whole(stop_reason: Any):
    body = json.loads(DIALECT.encode_response(AssistantMessage([Text("Hel")], stop_reason)))
    assert body["choices"][0]["finish_reason"] == "length"
