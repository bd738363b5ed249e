"""Answers of the gemini dialect, streamed and whole, as providers really send them."""

from typing import Any

import msgspec
import pytest

from polyvox.dialects import ServerSentEvent, Target
from polyvox.dialects.gemini import DIALECT
from polyvox.errors import (
    AbortedError,
    AuthenticationError,
    BadRequestError,
    ContentFilterError,
    ContextWindowExceededError,
    NetworkError,
    NotFoundError,
    OverloadedError,
    PermissionDeniedError,
    PolyvoxError,
    ProtocolError,
    RateLimitError,
    RequestTimeoutError,
    ServerError,
)
from polyvox.events import (
    Done,
    Event,
    Failed,
    Start,
    TextDelta,
    TextEnd,
    TextStart,
    ThinkingDelta,
    ThinkingEnd,
    ThinkingStart,
    ToolCallDelta,
    ToolCallEnd,
    ToolCallStart,
    Warned,
)
from polyvox.messages import Image, Text, Thinking, ToolCall
from polyvox.usage import NO_USAGE, Usage

TARGET = Target(provider="google", model="gemini-3-flash", base_url="https://g.example")
OWN = TARGET.producer
SIGNED = {"gemini": {"thoughtSignature": "c2ln"}}
USED = {
    "promptTokenCount": 100,
    "cachedContentTokenCount": 60,
    "candidatesTokenCount": 10,
    "thoughtsTokenCount": 5,
    "toolUsePromptTokenCount": 20,
    "totalTokenCount": 135,
    "promptTokensDetails": [
        {"modality": "TEXT", "tokenCount": 70},
        {"modality": "AUDIO", "tokenCount": 30},
    ],
    "candidatesTokensDetails": [{"modality": "AUDIO", "tokenCount": 4}],
}
COUNTED = Usage(120, 15, 60, reasoning_tokens=5, input_audio_tokens=30, output_audio_tokens=4)


def frame(*parts: Any, finish: str | None = None, **fields: Any) -> dict[str, Any]:
    candidate: dict[str, Any] = {"content": {"parts": list(parts), "role": "model"}, "index": 0}
    if finish:
        candidate["finishReason"] = finish
    return {"candidates": [candidate], "modelVersion": "g-001", "responseId": "r1", **fields}


def fed(decoder: Any, *frames: Any) -> list[Event]:
    datas = [each if isinstance(each, bytes) else msgspec.json.encode(each) for each in frames]
    return [event for data in datas for event in decoder.feed(ServerSentEvent(data))]


def read(*frames: Any) -> list[Event]:
    decoder = DIALECT.stream_decoder(TARGET)
    return fed(decoder, *frames) + decoder.close()


def done(*frames: Any) -> Any:
    event = read(*frames)[-1]
    assert isinstance(event, Done)
    return event.message


def failure(*frames: Any) -> PolyvoxError:
    event = read(*frames)[-1]
    assert isinstance(event, Failed)
    assert event.error.message is event.message
    return event.error


def warnings(events: list[Event]) -> list[str]:
    return [event.text for event in events if isinstance(event, Warned)]


def test_thoughts_text_and_calls_become_blocks_one_after_the_other():
    events = read(
        frame({"text": "Hm", "thought": True}),
        frame({"text": ".", "thought": True, "thoughtSignature": "dGg="}),
        frame({"text": "He"}, usageMetadata={"promptTokenCount": 100}),
        frame({"text": "llo"}),
        frame({"functionCall": {"name": "t", "args": {"a": 1}}, "thoughtSignature": "c2ln"}),
        frame({"functionCall": {"id": "x", "name": "u"}}, finish="STOP", usageMetadata=USED),
    )
    message = events[-1].message  # pyright: ignore[reportAttributeAccessIssue]
    thought, text, one, two = message.content
    assert thought == Thinking("Hm.", "dGg=", producer=OWN)
    assert text == Text("Hello")
    assert one == ToolCall(one.id, "t", {"a": 1}, meta=SIGNED, producer=OWN)
    assert one.id.startswith("call_")
    assert two == ToolCall("x", "u")
    assert (message.stop_reason, message.usage) == ("tool_calls", COUNTED)
    assert (message.id, message.response_model) == ("r1", "g-001")
    assert [type(event) for event in events] == [
        *(Start, ThinkingStart, ThinkingDelta, ThinkingDelta, ThinkingEnd),
        *(TextStart, TextDelta, TextDelta, TextEnd),
        *(ToolCallStart, ToolCallDelta, ToolCallEnd, ToolCallStart, ToolCallEnd, Done),
    ]


def test_a_signature_that_comes_with_an_empty_text_belongs_to_the_text_before():
    message = done(
        frame({"text": "a"}),
        frame({"text": "", "thoughtSignature": "c2ln"}),
        frame({"text": "b"}, finish="STOP"),
    )
    assert message.content == [Text("a", meta=SIGNED, producer=OWN), Text("b")]


def test_parts_of_a_whole_answer_stay_apart():
    body = frame({"text": "a"}, {"text": "b", "thoughtSignature": "c2ln"}, {"text": ""})
    body["candidates"][0]["finishReason"] = "MAX_TOKENS"
    message = DIALECT.decode_response(msgspec.json.encode(body), TARGET)
    assert message.content == [Text("a"), Text("b", meta=SIGNED, producer=OWN)]
    assert message.stop_reason == "length"


def test_a_finish_reason_in_every_frame_ends_nothing():
    message = done(*(frame({"text": text}, finish="STOP") for text in "abc"))
    assert message.text == "abc"


def test_usage_is_that_of_the_last_frame_with_what_only_earlier_ones_say():
    first = {"promptTokenCount": 9, "cachedContentTokenCount": 4, "candidatesTokenCount": 1}
    message = done(
        frame({"text": "a"}, usageMetadata=first),
        frame({"text": "b"}, usageMetadata={"promptTokenCount": 9, "candidatesTokenCount": 2}),
        frame(finish="STOP", usageMetadata={"trafficType": "ON_DEMAND"}),
        {"usageMetadata": {"promptTokenCount": 9, "candidatesTokenCount": 3}},
    )
    assert message.usage == Usage(9, 3, 4)
    assert done(frame(finish="STOP")).usage == NO_USAGE
    zero = {"promptTokenCount": 0}
    assert done(frame(finish="STOP", usageMetadata=zero)).usage == Usage()


def test_usage_that_can_not_be_read_is_a_warning():
    events = read(frame({"text": "a"}, finish="STOP", usageMetadata={"promptTokenCount": "many"}))
    assert isinstance(events[-1], Done)
    assert any("usage" in text for text in warnings(events))


def test_pictures_and_what_only_the_api_knows_are_kept():
    picture = {"inlineData": {"mimeType": "image/png", "data": "aGk="}, "thoughtSignature": "c2ln"}
    code = {"executableCode": {"language": "PYTHON", "code": "1"}}
    sound = {"inlineData": {"mimeType": "audio/wav", "data": "aGk="}}
    events = read(frame({"text": "a"}, picture, code, sound, {"novelty": 1}), frame(finish="STOP"))
    message = events[-1].message  # pyright: ignore[reportAttributeAccessIssue]
    assert message.content == [
        Text("a"),
        Image(b"hi", media_type="image/png", meta=SIGNED, producer=OWN),
        Text("", meta={"gemini": code}, producer=OWN),
    ]
    assert len(warnings(events)) == 4


def test_only_the_first_candidate_counts():
    both = frame({"text": "a"}, finish="STOP")
    both["candidates"].append({"index": 1, "content": {"parts": [{"text": "b"}]}})
    events = read(both, both)
    assert events[-1].message.text == "aa"  # pyright: ignore[reportAttributeAccessIssue]
    assert len(warnings(events)) == 1


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("SAFETY", ContentFilterError),
        ("RECITATION", ContentFilterError),
        ("PROHIBITED_CONTENT", ContentFilterError),
        ("IMAGE_SAFETY", ContentFilterError),
        ("MALFORMED_FUNCTION_CALL", ServerError),
        ("OTHER", ServerError),
        ("MISSING_THOUGHT_SIGNATURE", BadRequestError),
    ],
)
def test_bad_endings_are_errors_that_keep_what_came(word: str, expected: type[PolyvoxError]):
    bad = frame({"text": "a"}, usageMetadata={"promptTokenCount": 7})
    bad["candidates"][0] |= {"finishReason": word, "finishMessage": "because"}
    error = failure(bad)
    assert type(error) is expected
    assert error.provider_code == word
    assert "because" in error.text
    assert error.message is not None
    assert error.message.text == "a"
    assert error.message.usage == Usage(7, basis="partial")


def test_an_unknown_ending_is_a_stop_and_a_warning():
    events = read(frame({"text": "a"}, finish="NOVELTY"))
    assert events[-1].message.stop_reason == "stop"  # pyright: ignore[reportAttributeAccessIssue]
    assert "NOVELTY" in warnings(events)[0]


def test_a_blocked_prompt_is_a_content_filter_error():
    error = failure({"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": USED})
    assert isinstance(error, ContentFilterError)
    assert error.provider_code == "SAFETY"
    assert error.message is not None
    assert error.message.usage.input_tokens == 120


@pytest.mark.parametrize(
    ("frames", "said"),
    [
        ((), "empty"),
        ((frame({"text": "a"}),), "stopped before"),
        (({},), "stopped before"),
        ((b"<html>",), "no JSON"),
        ((b'{"candidates": 7}',), "unknown shape"),
        ((b'{"candidates": [{"content": {"parts": [{"te',), "unknown shape"),
    ],
)
def test_what_is_no_whole_answer_is_a_protocol_error(frames: tuple[Any, ...], said: str):
    error = failure(*frames)
    assert isinstance(error, ProtocolError)
    assert said in error.text


def test_empty_frames_and_end_marks_of_others_are_skipped():
    assert done(b"", frame({"text": "a"}, finish="STOP"), b"[DONE]").text == "a"


def test_an_error_in_the_middle_of_a_stream_keeps_what_came():
    told = {"error": {"code": 503, "message": "overloaded", "status": "UNAVAILABLE"}}
    error = failure(frame({"text": "a"}), told)
    assert isinstance(error, OverloadedError)
    assert error.message is not None
    assert error.message.content == [Text("a")]


def test_a_break_after_the_finish_reason_loses_nothing_but_an_abort_stays_one():
    for error, expected in ((NetworkError("gone"), Done), (AbortedError("no"), Failed)):
        decoder = DIALECT.stream_decoder(TARGET)
        fed(decoder, frame({"text": "a"}, finish="STOP"))
        assert type(decoder.fail(error)[-1]) is expected
        assert decoder.fail(error) == decoder.close() == fed(decoder, frame({"text": "b"})) == []
    decoder = DIALECT.stream_decoder(TARGET)
    fed(decoder, frame({"text": "a"}, usageMetadata=USED))
    assert decoder.message().usage == COUNTED
    assert type(decoder.fail(NetworkError("gone"))[-1]) is Failed


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"", ProtocolError),
        (b"[]", ProtocolError),
        (b"{}", ProtocolError),
        (b'{"candidates": []}', ProtocolError),
        (b'{"promptFeedback": {"blockReason": "OTHER"}}', ContentFilterError),
        (b'{"error": {"code": 404, "message": "no", "status": "NOT_FOUND"}}', NotFoundError),
    ],
)
def test_whole_answers_that_are_none(body: bytes, expected: type[PolyvoxError]):
    with pytest.raises(expected) as caught:
        DIALECT.decode_response(body, TARGET)
    assert (caught.value.provider, caught.value.model) == ("google", "gemini-3-flash")


# ----------------------------------------------------------------------------------------- errors

TYPES = "type.googleapis.com/google.rpc."
RETRY = {"@type": f"{TYPES}RetryInfo", "retryDelay": "34.5s"}
BAD_KEY = {"@type": f"{TYPES}ErrorInfo", "reason": "API_KEY_INVALID"}
QUOTA = "You exceeded your current quota, please check your plan and billing details."
TOO_LONG = "The input token count (12) exceeds the maximum number of tokens allowed (9)."


def quota_of(id: str) -> dict[str, Any]:
    return {"@type": f"{TYPES}QuotaFailure", "violations": [{"quotaId": id}]}


def error_of(status: int, word: str, text: str = "no", details: Any = ()) -> PolyvoxError:
    said = {"code": status, "message": text, "status": word, "details": list(details)}
    return DIALECT.decode_error(status, {}, msgspec.json.encode({"error": said}))


@pytest.mark.parametrize(
    ("status", "word", "text", "expected"),
    [
        (400, "INVALID_ARGUMENT", "no", BadRequestError),
        (400, "INVALID_ARGUMENT", TOO_LONG, ContextWindowExceededError),
        (401, "UNAUTHENTICATED", "no", AuthenticationError),
        (403, "PERMISSION_DENIED", "no", PermissionDeniedError),
        (404, "NOT_FOUND", "no", NotFoundError),
        (429, "RESOURCE_EXHAUSTED", "no", RateLimitError),
        (500, "INTERNAL", "no", ServerError),
        (503, "UNAVAILABLE", "no", OverloadedError),
        (504, "DEADLINE_EXCEEDED", "no", RequestTimeoutError),
    ],
)
def test_errors_by_their_status(status: int, word: str, text: str, expected: type[PolyvoxError]):
    error = error_of(status, word, text)
    assert type(error) is expected
    assert (error.status, error.provider_code, error.text) == (status, word, text)
    body = b'[{"error": {"status": "%s", "message": "%s"}}]' % (word.encode(), text.encode())
    assert type(DIALECT.decode_error(status, {}, body)) is expected


def test_a_wrong_key_is_told_by_a_detail():
    error = error_of(400, "INVALID_ARGUMENT", "API key not valid.", [BAD_KEY])
    assert isinstance(error, AuthenticationError)
    assert error.provider_code == "API_KEY_INVALID"
    assert error.hint


@pytest.mark.parametrize(
    ("details", "retryable", "wait"),
    [
        ([], False, None),
        ([RETRY], True, 34.5),
        ([RETRY, quota_of("RequestsPerMinutePerProject")], True, 34.5),
        ([RETRY, quota_of("RequestsPerDayPerProject")], False, 34.5),
    ],
)
def test_an_exhausted_quota_comes_back_unless_it_is_the_days(
    details: Any, retryable: bool, wait: float | None
):
    error = error_of(429, "RESOURCE_EXHAUSTED", QUOTA, details)
    assert isinstance(error, RateLimitError)
    assert (error.retryable, error.retry_after) == (retryable, wait)
    assert (error.hint is None) is retryable


def test_a_page_in_the_place_of_an_error_is_told_in_its_words():
    error = DIALECT.decode_error(502, {}, b"<html><title>Bad Gateway</title></html>")
    assert type(error) is ServerError
    assert "Bad Gateway" in error.text


@pytest.mark.parametrize(
    "error",
    [
        BadRequestError("a"),
        ContextWindowExceededError("a"),
        AuthenticationError("a"),
        PermissionDeniedError("a"),
        NotFoundError("a"),
        RateLimitError("a", retry_after=2.5),
        OverloadedError("a"),
        ServerError("a"),
        RequestTimeoutError("a"),
    ],
    ids=lambda error: error.kind,
)
def test_an_error_is_read_as_what_it_was_written_as(error: PolyvoxError):
    status, body = DIALECT.encode_error(error)
    read_back = DIALECT.decode_error(status, {}, body)
    assert type(read_back) is type(error)
    assert read_back.retry_after == error.retry_after
    assert "a" in read_back.text
