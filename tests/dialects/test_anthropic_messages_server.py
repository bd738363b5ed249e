"""The server half of the anthropic-messages dialect: what it reads and writes for clients."""

import json
from typing import Any

import pytest
from anthropic.types import Message, RawMessageStreamEvent
from pydantic import TypeAdapter

from polyvox.assembly import unfold
from polyvox.dialects import SSEReader, Target
from polyvox.dialects.anthropic_messages import DIALECT
from polyvox.errors import (
    AbortedError,
    AuthenticationError,
    BadRequestError,
    BudgetExceededError,
    ContextWindowExceededError,
    NotFoundError,
    OverloadedError,
    PermissionDeniedError,
    PolyvoxError,
    RateLimitError,
    RequestTimeoutError,
    ServerError,
)
from polyvox.events import (
    Event,
    Failed,
    Nested,
    TextEnd,
    TextStart,
    ToolCallDelta,
    ToolCallEnd,
    ToolCallStart,
    Warned,
)
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
from polyvox.request import NamedTool, Reasoning, Request, ResponseFormat, ToolDefinition
from polyvox.usage import Usage

TARGET = Target(provider="anthropic", model="claude-opus-5", base_url="https://api.example")
USAGE = Usage(
    100,
    20,
    cache_read_tokens=30,
    cache_write_tokens=40,
    cache_write_1h_tokens=10,
    reasoning_tokens=5,
)
ANSWER = AssistantMessage(
    [
        Thinking("Hm", "sig"),
        Thinking("", "secret", redacted=True),
        Text("Hello"),
        ToolCall("toolu_1", "weather", {"city": "Oslo"}),
        ToolCall("toolu_2", "time"),
    ],
    "tool_calls",
    USAGE,
    model="claude-opus-5",
    id="msg_1",
)


def read(**fields: Any) -> Request:
    body = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]}
    return DIALECT.decode_request(json.dumps({**body, **fields}).encode())


def resent(request: Request) -> dict[str, Any]:
    return json.loads(DIALECT.encode_request(request, TARGET).body)


def frames(*events: Event, model: str = "") -> list[tuple[str, dict[str, Any]]]:
    encoder = DIALECT.stream_encoder(Request(messages=[], model=model))
    body = b"".join(encoder.encode(event) for event in events)
    return [(frame.event, json.loads(frame.data)) for frame in SSEReader().feed(body)]


# ---------------------------------------------------------------------------------------- requests


def test_the_shortest_request_is_read():
    request = read()
    assert request == Request(
        messages=[UserMessage([Text("Hi")])], model="m", max_tokens=9, stream=False
    )


def test_system_may_be_a_string_or_blocks():
    assert read(system="Be brief.").system == [Text("Be brief.")]
    blocks = [
        {"type": "text", "text": "Rules", "cache_control": {"type": "ephemeral", "ttl": "1h"}}
    ]
    assert read(system=blocks).system == [Text("Rules", cache="long")]


def test_tool_results_become_messages_of_their_own_and_know_their_tools_name():
    call = {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {}}
    result = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "rain", "is_error": True}
    request = read(
        messages=[
            {"role": "user", "content": "?"},
            {"role": "assistant", "content": [call]},
            {"role": "user", "content": [result, {"type": "text", "text": "So?"}]},
        ]
    )
    assert request.messages[1:] == [
        AssistantMessage([ToolCall("toolu_1", "weather")]),
        ToolMessage("toolu_1", [Text("rain")], "weather", is_error=True),
        UserMessage([Text("So?")]),
    ]


def test_pictures_and_documents_are_read_from_every_source():
    def source(type: str, **fields: str) -> dict[str, Any]:
        return {"type": type, **fields}

    png = source("base64", media_type="image/png", data="AAAA")
    pdf = source("base64", media_type="application/pdf", data="AAAA")
    content = [
        {"type": "image", "source": png},
        {"type": "image", "source": source("url", url="https://a.example")},
        {"type": "image", "source": source("file", file_id="file_1")},
        {"type": "document", "source": pdf, "title": "report", "citations": {"enabled": True}},
        {"type": "document", "source": source("text", media_type="text/plain", data="ä")},
    ]
    request = read(messages=[{"role": "user", "content": content}])
    assert request.messages == [
        UserMessage(
            [
                Image(b"\0\0\0", media_type="image/png"),
                Image(url="https://a.example"),
                File(id="file_1", media_type="image/*"),
                File(
                    b"\0\0\0",
                    media_type="application/pdf",
                    name="report",
                    meta={"anthropic-messages": {"citations": {"enabled": True}}},
                ),
                File("ä".encode(), media_type="text/plain"),
            ]
        )
    ]
    assert resent(request)["messages"][0]["content"] == content


def test_the_knobs_are_read():
    schema = {"type": "object"}
    request = read(
        stream=True,
        temperature=1,
        top_p=0.5,
        stop_sequences=["x"],
        metadata={"user_id": "u"},
        tools=[{"name": "a", "input_schema": schema, "strict": True}],
        tool_choice={"type": "tool", "name": "a", "disable_parallel_tool_use": True},
        thinking={"type": "adaptive"},
        output_config={"effort": "low", "format": {"type": "json_schema", "schema": schema}},
        cache_control={"type": "ephemeral"},
    )
    assert request == Request(
        messages=[UserMessage([Text("Hi")])],
        model="m",
        max_tokens=9,
        temperature=1.0,
        top_p=0.5,
        stop=["x"],
        metadata={"user_id": "u"},
        tools=[ToolDefinition("a", "", schema, strict=True)],
        tool_choice=NamedTool("a"),
        parallel_tool_calls=False,
        reasoning=Reasoning("low"),
        response_format=ResponseFormat(schema),
        cache="short",
        stream=True,
    )


@pytest.mark.parametrize(
    ("thinking", "reasoning"),
    [
        ({"type": "enabled", "budget_tokens": 2000}, Reasoning(budget_tokens=2000)),
        ({"type": "adaptive"}, Reasoning("high")),
        ({"type": "disabled"}, Reasoning("none")),
        ({"type": "between_tools"}, None),
    ],
)
def test_every_kind_of_thinking_is_read(thinking: Any, reasoning: Reasoning | None):
    assert read(thinking=thinking).reasoning == reasoning


def test_what_we_have_no_word_for_goes_on_unchanged():
    odd: dict[str, Any] = {
        "service_tier": "auto",
        "top_k": 5,
        "metadata": {"user_id": "u", "note": "n"},
        "thinking": {"type": "between_tools"},
        "output_config": {"task_budget": {"type": "tokens", "total": 5}},
        "tools": [
            {"name": "a", "input_schema": {"type": "object"}, "input_examples": [{}]},
            {"type": "web_search_20260318", "name": "web_search", "max_uses": 2},
        ],
        "tool_choice": {"type": "any"},
    }
    again = resent(read(**odd))
    assert {name: again[name] for name in odd} == odd


def test_blocks_we_have_no_word_for_go_on_unchanged_and_mean_nothing_elsewhere():
    said = [
        {"type": "server_tool_use", "id": "srv_1", "name": "web_search", "input": {"query": "x"}},
        {"type": "web_search_tool_result", "tool_use_id": "srv_1", "content": []},
        {"type": "text", "text": "Found", "citations": [{"type": "page_location"}]},
    ]
    messages = [{"role": "user", "content": "?"}, {"role": "assistant", "content": said}]
    request = read(messages=messages)
    assert resent(request)["messages"] == messages
    assert isinstance(request.messages[1], AssistantMessage)
    assert request.messages[1].text == "Found"


@pytest.mark.parametrize(
    ("fields", "place"),
    [
        ({"messages": None}, "messages: is missing"),
        ({"messages": {}}, "messages: Expected `array`"),
        ({"messages": [7]}, r"messages\[0\]: must be an object"),
        ({"messages": [{"role": "tool", "content": ""}]}, r"messages\[0\].role: 'tool'"),
        ({"messages": [{"role": "user", "content": 7}]}, r"messages\[0\].content: must be"),
        (
            {"messages": [{"role": "user", "content": [{"type": "text"}]}]},
            r"messages\[0\].content\[0\].text: is missing",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "thinking", "thinking": ""}]}]},
            r"messages\[0\].content\[0\].type: 'thinking' can't stand here",
        ),
        *(
            ({"messages": [{"role": "user", "content": [block]}]}, rf"content\[0\].source{wrong}")
            for block, wrong in [
                ({"type": "image"}, ": is missing"),
                ({"type": "image", "source": {"type": "fax"}}, ".type: 'fax'"),
                ({"type": "document"}, ": is missing"),
                ({"type": "document", "source": {"type": "fax"}}, ".type: 'fax'"),
                ({"type": "document", "source": {"type": "content"}}, ".type: 'content'"),
                (
                    {"type": "image", "source": {"type": "base64", "media_type": "", "data": "%"}},
                    ".data: Invalid base64",
                ),
            ]
        ),
        ({"output_config": {"format": {"type": "xml"}}}, "output_config.format.type: only"),
        ({"model": 7}, "model: Expected `str`"),
        ({"max_tokens": "many"}, "max_tokens: Expected `int"),
        ({"tools": [{"name": "a"}]}, r"tools\[0\].input_schema: is missing"),
        ({"tool_choice": {"type": "some"}}, "tool_choice.type: 'some'"),
        ({"thinking": {"type": "enabled"}}, "thinking.budget_tokens: is missing"),
        ({"output_config": {"effort": "huge"}}, "output_config.effort: Invalid"),
    ],
)
def test_an_error_in_a_request_names_its_place(fields: dict[str, Any], place: str):
    with pytest.raises(BadRequestError, match=place):
        read(**fields)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"7", b"\xff", b"[" * 100_000])
def test_a_body_that_is_no_request_is_a_bad_request(body: bytes):
    with pytest.raises(BadRequestError):
        DIALECT.decode_request(body)


# ----------------------------------------------------------------------------------------- answers


def test_a_whole_answer_has_the_shape_the_official_sdk_knows():
    message = Message.model_validate_json(DIALECT.encode_response(ANSWER))
    assert [block.type for block in message.content] == [
        "thinking",
        "redacted_thinking",
        "text",
        "tool_use",
        "tool_use",
    ]
    assert message.stop_reason == "tool_use"
    usage = message.usage
    assert (usage.input_tokens, usage.output_tokens) == (30, 20)
    assert (usage.cache_read_input_tokens, usage.cache_creation_input_tokens) == (30, 40)
    assert usage.cache_creation is not None
    assert usage.cache_creation.ephemeral_1h_input_tokens == 10
    assert usage.output_tokens_details is not None
    assert usage.output_tokens_details.thinking_tokens == 5


def test_every_frame_of_a_stream_has_the_shape_the_official_sdk_knows():
    adapter: TypeAdapter[Any] = TypeAdapter(RawMessageStreamEvent)
    written = frames(*unfold(ANSWER))
    for name, data in written:
        event = adapter.validate_python(data)
        assert event.type == name
    kinds = [name for name, _ in written]
    assert kinds[0] == "message_start"
    assert kinds[-2:] == ["message_delta", "message_stop"]
    starts = [data for name, data in written if name == "content_block_start"]
    stops = [data for name, data in written if name == "content_block_stop"]
    assert (
        [each["index"] for each in starts] == [each["index"] for each in stops] == [0, 1, 2, 3, 4]
    )


def test_blocks_go_out_one_after_the_other_though_they_grow_side_by_side():
    written = frames(
        ToolCallStart(0, "a", "go"),
        ToolCallStart(1, "b", "go"),
        ToolCallDelta(1, '{"n":1'),
        ToolCallDelta(0, "{}"),
        ToolCallDelta(1, "}"),
        ToolCallEnd(1, ToolCall("b", "go", {"n": 1})),
        ToolCallEnd(0, ToolCall("a", "go")),
    )
    assert [(name.removeprefix("content_block_"), data["index"]) for name, data in written] == [
        ("start", 0),
        ("delta", 0),
        ("stop", 0),
        ("start", 1),
        ("delta", 1),
        ("delta", 1),
        ("stop", 1),
    ]


def test_a_block_told_only_by_its_end_is_written_whole():
    written = frames(TextStart(0), TextEnd(0, Text("Hello")))
    assert [data.get("delta") for _, data in written] == [
        None,
        {"type": "text_delta", "text": "Hello"},
        None,
    ]


def test_a_failure_ends_the_stream_with_an_error_event_and_nothing_after():
    error = OverloadedError("busy")
    events = list(unfold(AssistantMessage([Text("Hel")])))[:-1]
    written = frames(*events, Failed(error, AssistantMessage([Text("Hel")], "error")))
    assert written[-1][0] == "error"
    assert written[-1][1]["error"] == {"type": "overloaded_error", "message": "busy"}
    assert "message_stop" not in [name for name, _ in written]


def test_warnings_and_nested_events_have_no_place_in_the_stream():
    assert frames(Warned("x"), Nested(["a"], Warned("y"))) == []


def test_a_whole_answer_leaves_out_a_broken_call_and_says_it_was_cut():
    broken = AssistantMessage([Text("So"), ToolCall("a", "go", unparsed='{"')], "tool_calls")
    body = json.loads(DIALECT.encode_response(broken))
    assert body["content"] == [{"type": "text", "text": "So"}]
    assert body["stop_reason"] == "max_tokens"


@pytest.mark.parametrize("reason", ["error", "aborted"])
def test_a_failed_answer_is_never_written_as_a_whole_one(reason: Any):
    with pytest.raises(ValueError, match=reason):
        DIALECT.encode_response(AssistantMessage([], reason))


def test_opaque_blocks_go_back_out_as_they_came():
    raw = {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {"query": "x"}}
    message = AssistantMessage([Text("", meta={"anthropic-messages": raw})])
    assert json.loads(DIALECT.encode_response(message))["content"] == [raw]
    assert frames(*unfold(message))[1][1]["content_block"] == raw


# ------------------------------------------------------------------------------------------ errors


@pytest.mark.parametrize(
    ("error", "status", "back"),
    [
        (BadRequestError("x"), 400, BadRequestError),
        (ContextWindowExceededError("x"), 400, ContextWindowExceededError),
        (AuthenticationError("x"), 401, AuthenticationError),
        (BudgetExceededError("x"), 402, RateLimitError),
        (PermissionDeniedError("x"), 403, PermissionDeniedError),
        (NotFoundError("x"), 404, NotFoundError),
        (RateLimitError("x"), 429, RateLimitError),
        (ServerError("x"), 500, ServerError),
        (AbortedError("x"), 500, ServerError),
        (RequestTimeoutError("x"), 504, RequestTimeoutError),
        (OverloadedError("x"), 529, OverloadedError),
    ],
)
def test_errors_keep_their_kind_over_the_wire(
    error: PolyvoxError, status: int, back: type[PolyvoxError]
):
    error.request_id = "req_1"
    told, body = DIALECT.encode_error(error)
    again = DIALECT.decode_error(told, {}, body)
    assert (told, type(again), again.request_id) == (status, back, "req_1")
    assert again.text.endswith("x")


def error_body(kind: str, message: str) -> bytes:
    return json.dumps({"type": "error", "error": {"type": kind, "message": message}}).encode()


@pytest.mark.parametrize(
    ("status", "kind", "message", "expected", "retryable"),
    [
        (400, "invalid_request_error", "max_tokens: too many", BadRequestError, False),
        (
            400,
            "invalid_request_error",
            "prompt is too long: 210000 tokens > 200000 maximum",
            ContextWindowExceededError,
            False,
        ),
        (401, "authentication_error", "invalid x-api-key", AuthenticationError, False),
        (402, "billing_error", "no money", RateLimitError, False),
        (403, "permission_error", "no", PermissionDeniedError, False),
        (404, "not_found_error", "model: claude-0", NotFoundError, False),
        (413, "request_too_large", "too big", BadRequestError, False),
        (429, "rate_limit_error", "slow down", RateLimitError, True),
        (500, "api_error", "oops", ServerError, True),
        (504, "timeout_error", "too long", RequestTimeoutError, True),
        (529, "overloaded_error", "Overloaded", OverloadedError, True),
    ],
)
def test_every_documented_error_has_its_kind(
    status: int, kind: str, message: str, expected: type[PolyvoxError], retryable: bool
):
    headers = {"request-id": "req_9", "retry-after": "3"}
    error = DIALECT.decode_error(status, headers, error_body(kind, message))
    assert type(error) is expected
    assert (error.text, error.provider_code, error.status) == (message, kind, status)
    assert (error.request_id, error.retry_after, error.retryable) == ("req_9", 3.0, retryable)


@pytest.mark.parametrize("body", [b"", b"<html><h1>Bad Gateway</h1></html>", b"{}", b"[" * 100_000])
def test_an_error_page_of_somebody_in_between_is_still_an_error(body: bytes):
    assert type(DIALECT.decode_error(502, {}, body)) is ServerError
