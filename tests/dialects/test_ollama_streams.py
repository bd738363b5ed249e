"""Answers of Ollama, read and written line by line."""

import json
from typing import Any

import pytest

from polyvox.assembly import unfold
from polyvox.dialects import Target, get_dialect
from polyvox.errors import (
    AuthenticationError,
    BadRequestError,
    ContextWindowExceededError,
    NotFoundError,
    OverloadedError,
    PolyvoxError,
    ProtocolError,
    RateLimitError,
    ServerError,
)
from polyvox.events import Done, Event, Failed, Nested, TextDelta, ThinkingDelta, Warned
from polyvox.messages import AssistantMessage, Text, Thinking, ToolCall, user
from polyvox.request import Request
from polyvox.usage import NO_USAGE, Usage

DIALECT = get_dialect("ollama")
TARGET = Target(provider="ollama", model="llama3.2", base_url="http://127.0.0.1:11434")
CHAT = Request(messages=[user("hi")], model="llama3.2")
GENERATE = Request(
    messages=[user("hi")], model="llama3.2", options={"ollama": {"endpoint": "generate"}}
)
COUNTS = {"prompt_eval_count": 26, "eval_count": 259}


def line(message: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    shared = {"model": "llama3.2:latest", "created_at": "2026-08-04T08:52:19.385406Z"}
    said = {} if message is None else {"message": {"role": "assistant", "content": "", **message}}
    return {**shared, **said, "done": False, **fields}


def end(**fields: Any) -> dict[str, Any]:
    return line({}, done=True, **{"done_reason": "stop", **COUNTS, **fields})


def read(*lines: dict[str, Any] | bytes) -> list[Event]:
    reader, decoder = DIALECT.frame_reader(), DIALECT.stream_decoder(TARGET)
    bodies = [each if isinstance(each, bytes) else json.dumps(each).encode() for each in lines]
    frames = reader.feed(b"\n".join(bodies)) + reader.close()
    return [event for frame in frames for event in decoder.feed(frame)] + decoder.close()


def done(*lines: dict[str, Any] | bytes) -> AssistantMessage:
    ending = read(*lines)[-1]
    assert isinstance(ending, Done), ending
    return ending.message


def failed(*lines: dict[str, Any] | bytes) -> PolyvoxError:
    ending = read(*lines)[-1]
    assert isinstance(ending, Failed), ending
    assert ending.error.message is ending.message
    return ending.error


def test_text_comes_in_pieces():
    events = read(line({"content": "The"}), line({"content": " sky"}), end())
    assert [event.text for event in events if isinstance(event, TextDelta)] == ["The", " sky"]
    message = events[-1].message
    assert message.text == "The sky"
    assert (message.stop_reason, message.response_model) == ("stop", "llama3.2:latest")
    assert message.usage == Usage(26, 259)


def test_thinking_comes_before_the_text_it_led_to():
    events = read(
        line({"thinking": "Hm"}), line({"thinking": "m."}), line({"content": "Blue."}), end()
    )
    assert [each.text for each in events if isinstance(each, ThinkingDelta)] == ["Hm", "m."]
    thought = Thinking("Hmm.", producer="ollama/llama3.2")
    assert events[-1].message.content == [thought, Text("Blue.")]


def test_generate_says_the_same_beside_the_other_fields():
    lines = [line(thinking="Hm.", response=""), line(response="Bl"), line(response="ue.")]
    message = done(*lines, line(response="", done=True, context=[1, 2], **COUNTS))
    assert (message.thinking, message.text) == ("Hm.", "Blue.")
    assert message.usage == Usage(26, 259)


def test_a_last_line_may_bring_text_too():
    assert done(line({"content": "a"}), line({"content": "b"}, done=True)).text == "ab"


def call(name: str = "weather", arguments: Any = None, **fields: Any) -> dict[str, Any]:
    arguments = {"city": "Oslo"} if arguments is None else arguments
    return {"function": {"name": name, "arguments": arguments}, **fields}


def test_tool_calls_come_whole_and_get_ids_where_they_have_none():
    message = done(
        line({"content": "So:"}),
        line({"tool_calls": [call(id="call_a"), call(arguments={"city": "Bergen"})]}),
        line({"tool_calls": [call("time", {})]}),
        end(),
    )
    text, one, two, three = message.content
    assert (text, one) == (Text("So:"), ToolCall("call_a", "weather", {"city": "Oslo"}))
    assert (two.name, two.arguments) == ("weather", {"city": "Bergen"})
    assert (three.name, three.arguments, three.executable) == ("time", {}, True)
    assert len({one.id, two.id, three.id}) == 3
    assert message.stop_reason == "tool_calls"


def test_numbers_in_arguments_stay_exact():
    data = json.dumps(line({"tool_calls": [call(arguments={"n": 2**70})]})).encode()
    assert done(data, end()).tool_calls[0].arguments == {"n": 2**70}


@pytest.mark.parametrize(
    ("arguments", "read_as", "unparsed"),
    [
        ('{"city": "Oslo"}', {"city": "Oslo"}, None),
        ("", {}, None),
        ('{"city', {}, '{"city'),
        ([1], {}, "[1]"),
    ],
)
def test_arguments_that_are_no_object_are_read_if_they_hold_one(
    arguments: Any, read_as: dict[str, Any], unparsed: str | None
):
    (made,) = done(line({"tool_calls": [call(arguments=arguments)]}), end()).tool_calls
    assert (made.arguments, made.unparsed) == (read_as, unparsed)


@pytest.mark.parametrize("function", [{}, {"name": ""}, {"name": None, "arguments": {}}, None])
def test_a_call_without_a_name_is_never_run(function: Any):
    events = read(line({"tool_calls": [{"function": function}]}), end())
    assert any(isinstance(event, Warned) for event in events)
    assert not events[-1].message.tool_calls[0].executable


@pytest.mark.parametrize(
    ("said", "reason", "warned"),
    [
        ("stop", "stop", False),
        ("length", "length", False),
        ("load", "stop", False),
        ("unload", "stop", False),
        (None, "stop", False),
        ("bored", "stop", True),
    ],
)
def test_why_it_ended(said: str | None, reason: str, warned: bool):
    events = read(line({"content": "a"}), end(done_reason=said))
    assert events[-1].message.stop_reason == reason
    assert any(isinstance(event, Warned) for event in events) is warned


@pytest.mark.parametrize(
    ("counts", "usage"),
    [
        ({"prompt_eval_count": 3, "eval_count": 4}, Usage(3, 4)),
        ({"prompt_eval_count": 0, "eval_count": 0}, Usage(0, 0)),
        ({"eval_count": 4}, Usage(0, 4, basis="partial")),  # the prompt was in the cache
        ({"prompt_eval_count": 3}, Usage(3, 0, basis="partial")),
        ({}, NO_USAGE),
        ({"prompt_eval_count": "many", "eval_count": 4}, Usage(0, 4, basis="partial")),
    ],
)
def test_a_missing_count_is_not_zero(counts: dict[str, Any], usage: Usage):
    assert done(line({"content": "a"}), line({}, done=True, **counts)).usage == usage


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("an error was encountered while running the model", ServerError),
        ("the input length exceeds the context length", ContextWindowExceededError),
    ],
)
def test_an_error_in_the_middle_keeps_what_came(text: str, kind: type[PolyvoxError]):
    error = failed(line({"content": "The"}), {"error": text}, end())
    assert type(error) is kind
    assert error.text == text
    assert error.message is not None
    assert error.message.text == "The"


def test_an_end_without_done_is_an_error():
    error = failed(line({"content": "The"}))
    assert isinstance(error, ProtocolError)
    assert "stopped before its end" in error.text


@pytest.mark.parametrize("lines", [[], [b""], [b" \r\n\n"]])
def test_an_empty_body_is_an_error(lines: list[bytes]):
    assert "empty" in failed(*lines).text


@pytest.mark.parametrize(
    ("broken", "problem"),
    [
        (b"<html>", "no JSON object"),
        (b"data: {}", "no JSON object"),
        (b"[1]", "no JSON object"),
        (b'{"message": "text"}', "unknown shape"),
        (b'{"message": {"content": "cut', "unknown shape"),
    ],
)
def test_what_is_no_line_ends_the_stream(broken: bytes, problem: str):
    error = failed(line({"content": "The"}), broken, end())
    assert isinstance(error, ProtocolError)
    assert problem in error.text


def test_unknown_fields_are_ignored():
    extra = line({"content": "a", "mood": {}}, logprobs=[{"token": "a", "logprob": -1}])
    assert done(extra, {"status": "warming up"}, end(total_duration=1)).text == "a"


def test_a_picture_in_the_answer_is_dropped_visibly():
    events = read(line({"content": "a", "images": ["aGk="]}), end())
    assert [event.field for event in events if isinstance(event, Warned)] == ["images"]


def test_a_lone_surrogate_spoils_nothing():
    assert done(line({"content": "a\ud83d"}), end()).text == "a\ufffd"


def test_a_whole_answer_is_one_line():
    body = json.dumps(line({"content": "Blue."}, done=True, **COUNTS)).encode()
    assert DIALECT.decode_response(body, TARGET) == done(body)
    with pytest.raises(ProtocolError, match="empty"):
        DIALECT.decode_response(b" ", TARGET)
    with pytest.raises(ServerError, match="no room"):
        DIALECT.decode_response(b'{"error": "no room"}', TARGET)


# Written


def written(request: Request, *events: Event) -> list[dict[str, Any]]:
    encoder = DIALECT.stream_encoder(request)
    return [json.loads(each) for each in b"".join(map(encoder.encode, events)).splitlines()]


ANSWER = AssistantMessage(
    [Thinking("Hm."), Text("So:"), ToolCall("c1", "go", {"n": 1}), ToolCall("c2", "go")],
    "tool_calls",
    Usage(3, 5),
    model="llama3.2",
)


def test_a_stream_is_written_as_ollama_writes_it():
    lines = written(CHAT, *unfold(ANSWER))
    assert [each["done"] for each in lines] == [False, False, False, False, True]
    assert {(each["model"], each["message"]["role"]) for each in lines} == {
        ("llama3.2", "assistant")
    }
    assert lines[0]["created_at"].endswith("Z")
    assert lines[0]["message"] == {"role": "assistant", "content": "", "thinking": "Hm."}
    assert lines[1]["message"] == {"role": "assistant", "content": "So:"}
    one, two = (each["message"]["tool_calls"][0] for each in lines[2:4])
    assert one == {"id": "c1", "function": {"index": 0, "name": "go", "arguments": {"n": 1}}}
    assert two == {"id": "c2", "function": {"index": 1, "name": "go", "arguments": {}}}
    assert lines[-1]["done_reason"] == "stop"
    assert (lines[-1]["prompt_eval_count"], lines[-1]["eval_count"]) == (3, 5)


def test_generates_stream_has_its_own_form():
    lines = written(GENERATE, *unfold(AssistantMessage([Thinking("Hm."), Text("So.")])))
    assert [(each["response"], each.get("thinking")) for each in lines] == [
        ("", "Hm."),
        ("So.", None),
        ("", None),
    ]
    assert not any("message" in each for each in lines)
    assert "eval_count" not in lines[-1]  # nobody said
    whole = json.loads(DIALECT.encode_response(AssistantMessage([Text("So.")]), GENERATE))
    assert (whole["response"], whole["done"]) == ("So.", True)


def test_a_failed_stream_ends_with_an_error_line():
    message = AssistantMessage([], "error")
    failure = Failed(OverloadedError("no room", hint="Wait."), message)
    assert written(CHAT, failure) == [{"error": "no room. Wait."}]


def test_warnings_and_nested_events_have_no_place():
    assert written(CHAT, Warned("x"), Nested(["a"], Warned("y"))) == []


def test_a_broken_call_at_a_limit_is_left_out():
    broken = AssistantMessage([Text("So"), ToolCall("a", "go", unparsed='{"')], "length")
    lines = written(CHAT, *unfold(broken))
    assert lines[-1]["done_reason"] == "length"
    assert "tool_calls" not in json.dumps(lines)
    assert "tool_calls" not in json.loads(DIALECT.encode_response(broken))["message"]


def test_a_broken_call_elsewhere_is_an_error_as_in_ollama():
    broken = AssistantMessage([ToolCall("a", "go", unparsed='{"')], "tool_calls")
    assert "'go'" in written(CHAT, *unfold(broken))[-1]["error"]
    with pytest.raises(ServerError, match="'go'"):
        DIALECT.encode_response(broken)


# Errors


@pytest.mark.parametrize(
    ("status", "text", "kind"),
    [
        (400, '"llama3.2" does not support thinking', BadRequestError),
        (400, "the prompt is longer than the context length", ContextWindowExceededError),
        (401, "unauthorized", AuthenticationError),
        (404, "model 'nope' not found", NotFoundError),
        (429, "too many requests", RateLimitError),
        (500, "model runner has unexpectedly stopped", ServerError),
        (503, "server busy, please try again.  maximum pending requests", OverloadedError),
    ],
)
def test_errors_by_status_and_words(status: int, text: str, kind: type[PolyvoxError]):
    error = DIALECT.decode_error(status, {}, json.dumps({"error": text}).encode())
    assert type(error) is kind
    assert (error.text, error.status) == (text, status)


@pytest.mark.parametrize("quote", ["'", '"'])
def test_a_model_that_is_not_there_can_be_got(quote: str):
    text = f"model {quote}llama3.2:1b{quote} not found, try pulling it first"
    error = DIALECT.decode_error(404, {}, json.dumps({"error": text}).encode())
    assert error.hint == "Get it with 'ollama pull llama3.2:1b'."


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b'{"error": {"message": "no", "type": "x"}}', "no"),
        (b"<title>502 Bad Gateway</title>", "502 Bad Gateway"),
        (b"[1]", "[1]"),
        (b"", "HTTP status 500"),
    ],
)
def test_an_error_of_another_shape_is_read_as_far_as_it_goes(body: bytes, text: str):
    assert text in DIALECT.decode_error(500, {}, body).text


@pytest.mark.parametrize(
    "kind",
    [
        AuthenticationError,
        BadRequestError,
        ContextWindowExceededError,
        NotFoundError,
        OverloadedError,
        RateLimitError,
        ServerError,
    ],
)
def test_an_error_comes_back_as_its_kind(kind: type[PolyvoxError]):
    assert type(DIALECT.decode_error(*_with_headers(*DIALECT.encode_error(kind("no"))))) is kind


def _with_headers(status: int, body: bytes) -> tuple[int, dict[str, str], bytes]:
    return status, {}, body


# The list of models


def test_the_list_of_models():
    assert DIALECT.decode_models(DIALECT.encode_models(["a", "b:1b"])) == ["a", "b:1b"]
    assert DIALECT.decode_models(b'{"models": null}') == []
    asked = DIALECT.models_request(TARGET)
    assert asked is not None
    assert (asked.method, asked.url) == ("GET", "http://127.0.0.1:11434/api/tags")
    with pytest.raises(ProtocolError, match="no list of models"):
        DIALECT.decode_models(b"Ollama is running")
