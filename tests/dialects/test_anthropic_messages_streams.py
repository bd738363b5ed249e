"""How the anthropic-messages dialect judges answers, streamed and whole."""

import json
from typing import Any

import pytest

from polyvox.dialects import Quirks, Target
from polyvox.dialects.anthropic_messages import DIALECT
from polyvox.dialects.anthropic_messages.answer_in import MessagesDecoder
from polyvox.dialects.sse import ServerSentEvent
from polyvox.errors import (
    AuthenticationError,
    NetworkError,
    OverloadedError,
    PolyvoxError,
    ProtocolError,
    RateLimitError,
)
from polyvox.events import Done, Event, Failed, Start, TextDelta, ToolCallDelta, Warned
from polyvox.messages import AssistantMessage, StopReason, Text, Thinking, ToolCall
from polyvox.usage import Usage

TARGET = Target(provider="anthropic", model="claude-x", base_url="https://api.example")
OWN = "anthropic/claude-x"
Frame = dict[str, Any]


def start(**usage: Any) -> Frame:
    usage = {"input_tokens": 10, "output_tokens": 1, **usage}
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-x-1"}
    nothing = {"content": [], "stop_reason": None, "stop_sequence": None}
    return {"type": "message_start", "message": {**message, **nothing, "usage": usage}}


def opened(index: int, type: str = "text", **fields: Any) -> Frame:
    if type == "text":
        fields = {"text": "", **fields}
    block = {"type": type, **fields}
    return {"type": "content_block_start", "index": index, "content_block": block}


def call(index: int, **fields: Any) -> Frame:
    return opened(
        index, "tool_use", **{"id": f"toolu_{index}", "name": "go", "input": {}, **fields}
    )


def delta(index: int, type: str, **fields: Any) -> Frame:
    return {"type": "content_block_delta", "index": index, "delta": {"type": type, **fields}}


def text(index: int, piece: str) -> Frame:
    return delta(index, "text_delta", text=piece)


def arguments(index: int, piece: str) -> Frame:
    return delta(index, "input_json_delta", partial_json=piece)


def closed(index: int) -> Frame:
    return {"type": "content_block_stop", "index": index}


def ending(reason: str | None = "end_turn", usage: Any = ..., **fields: Any) -> Frame:
    usage = {"output_tokens": 7} if usage is ... else usage
    told = {"stop_reason": reason, "stop_sequence": None, **fields}
    return {"type": "message_delta", "delta": told, "usage": usage}


STOP: Frame = {"type": "message_stop"}
HELLO = [opened(0), text(0, "Hel"), text(0, "lo"), closed(0)]


def feed(decoder: MessagesDecoder, *frames: Frame | bytes) -> list[Event]:
    events: list[Event] = []
    for each in frames:
        data = each if isinstance(each, bytes) else json.dumps(each).encode()
        events += decoder.feed(ServerSentEvent(data))
    return events


def stream(*frames: Frame | bytes, target: Target = TARGET) -> list[Event]:
    decoder = DIALECT.stream_decoder(target)
    return feed(decoder, *frames) + decoder.close()


def done(*frames: Frame | bytes) -> AssistantMessage:
    last = stream(*frames)[-1]
    assert isinstance(last, Done), last
    return last.message


def failed(*frames: Frame | bytes) -> Failed:
    events = stream(*frames)
    assert isinstance(events[-1], Failed), events[-1]
    assert not any(isinstance(event, Done) for event in events)
    return events[-1]


def warnings(events: list[Event]) -> list[str]:
    return [event.text for event in events if isinstance(event, Warned)]


# ------------------------------------------------------------------------------- answers that hold


def test_a_plain_answer_becomes_events_as_it_arrives():
    decoder = DIALECT.stream_decoder(TARGET)
    assert feed(decoder, start()) == [Start("anthropic", "claude-x", "msg_1")]
    feed(decoder, opened(0))
    assert feed(decoder, text(0, "Hel")) == [TextDelta(0, "Hel")]
    assert decoder.message().text == "Hel"
    feed(decoder, text(0, "lo"), closed(0), ending())
    assert feed(decoder, STOP) == [
        Done(
            AssistantMessage(
                [Text("Hello")],
                usage=Usage(10, 7),
                provider="anthropic",
                model="claude-x",
                response_model="claude-x-1",
                id="msg_1",
            )
        )
    ]
    assert decoder.ended
    assert feed(decoder, text(0, "more")) == decoder.close() == []


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("end_turn", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("stop_sequence", "stop_sequence"),
        ("pause_turn", "pause"),
        ("refusal", "refusal"),
    ],
)
def test_stop_reasons_have_our_names(word: str, reason: StopReason):
    message = done(start(), *HELLO, ending(word, stop_sequence="END"), STOP)
    assert (message.stop_reason, message.stop_sequence) == (reason, "END")


def test_an_unknown_stop_reason_is_a_stop_with_a_warning():
    events = stream(start(), *HELLO, ending("bored"), STOP)
    assert "bored" in warnings(events)[0]
    assert events[-1] == Done(done(start(), *HELLO, ending(), STOP))


def test_a_stop_without_a_reason_is_a_stop_with_a_warning():
    events = stream(start(), *HELLO, STOP)
    assert isinstance(events[-1], Done)
    assert warnings(events) == ["the answer does not say why it ended"]
    assert events[-1].message.usage.basis == "partial"


def test_interleaved_calls_are_told_apart_by_index():
    message = done(
        start(),
        call(1),
        call(0),
        arguments(0, ""),
        arguments(1, '{"n":'),
        arguments(0, '{"n": 12345678901234567890123}'),
        arguments(1, " 2}"),
        closed(1),
        closed(0),
        ending("tool_use"),
        STOP,
    )
    assert message.stop_reason == "tool_calls"
    assert message.tool_calls == [
        ToolCall("toolu_1", "go", {"n": 2}),
        ToolCall("toolu_0", "go", {"n": 12345678901234567890123}),
    ]


def test_empty_pieces_make_no_events():
    events = stream(start(), call(0), arguments(0, ""), arguments(0, "{}"), closed(0), STOP)
    assert [event.text for event in events if isinstance(event, ToolCallDelta)] == ["{}"]


def test_arguments_may_come_whole_with_the_start_of_a_call():
    given = call(0, input={"a": 2**70})
    assert done(start(), given, closed(0), STOP).tool_calls[0].arguments == {"a": 2**70}
    pieces = done(start(), given, arguments(0, '{"a":1}'), closed(0), STOP)
    assert pieces.tool_calls[0].arguments == {"a": 1}


def test_text_and_reasoning_may_come_with_the_start_of_a_block():
    message = done(
        start(),
        opened(0, "thinking", thinking="Hm", signature="s"),
        closed(0),
        opened(1, text="Hel"),
        text(1, "lo"),
        closed(1),
        STOP,
    )
    assert message.content == [Thinking("Hm", "s", producer=OWN), Text("Hello")]


def test_reasoning_keeps_its_signature_and_redacted_reasoning_its_payload():
    message = done(
        start(),
        opened(0, "thinking", thinking="", signature=""),
        delta(0, "thinking_delta", thinking="Hm"),
        delta(0, "signature_delta", signature="si"),
        delta(0, "signature_delta", signature="g"),
        closed(0),
        opened(1, "redacted_thinking", data="x"),
        closed(1),
        STOP,
    )
    assert message.content == [
        Thinking("Hm", "sig", producer=OWN),
        Thinking("", "x", redacted=True, producer=OWN),
    ]


def test_citations_stay_with_their_text_as_opaque_data():
    source = {"type": "char_location", "cited_text": "x"}
    message = done(
        start(),
        opened(0, citations=[]),
        delta(0, "citations_delta", citation=source),
        text(0, "so"),
        closed(0),
        STOP,
    )
    kept = {"anthropic-messages": {"citations": [source]}}
    assert message.content == [Text("so", meta=kept, producer=OWN)]


def test_blocks_of_the_servers_own_tools_are_kept_whole_with_a_warning():
    events = stream(
        start(),
        opened(0, "server_tool_use", id="srv_1", name="web_search", input={}),
        arguments(0, '{"query":'),
        arguments(0, '"x"}'),
        closed(0),
        opened(1, "web_search_tool_result", tool_use_id="srv_1", content=[]),
        text(1, "not ours to read"),
        closed(1),
        opened(2, text="Found"),
        closed(2),
        ending(),
        STOP,
    )
    assert len(warnings(events)) == 2
    assert isinstance(events[-1], Done)
    search, result, found = events[-1].message.content
    assert search.meta == {
        "anthropic-messages": {
            "type": "server_tool_use",
            "id": "srv_1",
            "name": "web_search",
            "input": {"query": "x"},
        }
    }
    assert result.meta is not None
    assert result.meta["anthropic-messages"]["type"] == "web_search_tool_result"
    assert found == Text("Found")
    assert events[-1].message.text == "Found"


def test_unknown_events_and_pieces_are_passed_over_with_one_warning_each():
    odd = {"type": "vibe_update", "vibe": 1}
    events = stream(
        start(), odd, odd, opened(0), delta(0, "smell_delta", smell="x"), *HELLO[1:], STOP
    )
    assert isinstance(events[-1], Done)
    assert events[-1].message.text == "Hello"
    assert [
        each for each in warnings(events) if "vibe_update" in each or "smell_delta" in each
    ] == (warnings(events)[:2])


def test_the_end_of_a_block_that_never_started_is_only_worth_a_warning():
    events = stream(start(), closed(5), *HELLO, ending(), STOP)
    assert warnings(events) == ["the end of a block that never started"]
    assert isinstance(events[-1], Done)


def test_announced_calls_that_never_came_are_a_stop():
    assert done(start(), *HELLO, ending("tool_use"), STOP).stop_reason == "stop"


def test_signs_of_life_and_strange_end_marks_mean_nothing():
    assert done(start(), {"type": "ping"}, b"", *HELLO, ending(), b"[DONE]", STOP).text == "Hello"


def test_nulls_about_the_message_mean_not_said():
    nothing = dict.fromkeys(["id", "model", "content", "usage", "stop_reason"])
    begun = {"type": "message_start", "message": {"type": "message", **nothing}}
    unsaid = {"type": "message_delta", "delta": None, "usage": {"output_tokens": None}}
    message = done(begun, *HELLO, unsaid, ending(), STOP)
    assert (message.id, message.text, message.usage.output_tokens) == ("", "Hello", 7)


def test_half_a_surrogate_does_not_end_the_stream():
    piece = (
        rb'{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"\ud83d"}}'
    )
    assert done(start(), opened(0), piece, closed(0), STOP).text == "\ufffd"


def test_a_refusal_without_text_tells_the_explanation():
    details = {"type": "refusal", "category": "bio", "explanation": "Not this."}
    message = done(start(), ending("refusal", stop_details=details), STOP)
    assert (message.text, message.stop_reason) == ("Not this.", "refusal")
    spoken = done(start(), *HELLO, ending("refusal", stop_details=details), STOP)
    assert spoken.text == "Hello"


# ------------------------------------------------------------------------------------------- usage


def test_cache_counts_are_added_to_the_input():
    begun = start(
        cache_creation_input_tokens=200,
        cache_read_input_tokens=3000,
        cache_creation={"ephemeral_5m_input_tokens": 50, "ephemeral_1h_input_tokens": 150},
    )
    usage = {"output_tokens": 7, "output_tokens_details": {"thinking_tokens": 4}}
    assert done(begun, *HELLO, ending(usage=usage), STOP).usage == Usage(
        input_tokens=3210,
        output_tokens=7,
        cache_read_tokens=3000,
        cache_write_tokens=200,
        cache_write_1h_tokens=150,
        reasoning_tokens=4,
    )


def test_later_counts_replace_earlier_ones_and_are_not_added():
    usage = {"input_tokens": 12, "cache_read_input_tokens": 5, "output_tokens": 9}
    message = done(start(), *HELLO, ending(None, {"output_tokens": 3}), ending(usage=usage), STOP)
    assert message.usage == Usage(17, 9, cache_read_tokens=5)


def test_a_reported_zero_is_a_zero_and_nothing_reported_is_missing():
    zero = {"input_tokens": 0, "output_tokens": 0}
    assert done(start(), *HELLO, ending(usage=zero), STOP).usage == Usage(0, 0)
    bare = start()
    bare["message"]["usage"] = None
    assert done(bare, *HELLO, ending(usage=None), STOP).usage.basis == "missing"


# -------------------------------------------------------------------------------- answers that don't


def test_an_end_without_message_stop_is_a_failure_that_keeps_what_arrived():
    ended = failed(start(), *HELLO, ending())
    assert isinstance(ended.error, ProtocolError)
    assert ended.message.text == "Hello"
    assert ended.message.usage == Usage(10, 7, basis="partial")
    assert ended.error.message is ended.message
    assert (ended.error.provider, ended.error.model) == ("anthropic", "claude-x")


def test_where_no_end_mark_is_sent_the_stop_reason_is_enough_but_nothing_less():
    lax = Target(
        provider="p", model="m", base_url="https://a.example", quirks=Quirks(done_marker=False)
    )
    assert isinstance(stream(start(), *HELLO, ending(), target=lax)[-1], Done)
    assert isinstance(stream(start(), *HELLO, target=lax)[-1], Failed)


def test_a_call_cut_off_in_its_arguments_may_not_be_run():
    ended = failed(start(), call(0), arguments(0, '{"city": "Os'))
    assert ended.message.tool_calls == [ToolCall("toolu_0", "go", unparsed='{"city": "Os')]
    cut = done(start(), call(0), arguments(0, '{"city'), closed(0), ending("max_tokens"), STOP)
    assert not cut.tool_calls[0].executable


def test_a_call_cut_off_before_its_first_argument_may_not_be_run():
    cut = done(start(), call(0), closed(0), ending("max_tokens"), STOP)
    assert [each.executable for each in cut.tool_calls] == [False]
    whole = done(start(), call(0), closed(0), call(1), closed(1), ending("tool_use"), STOP)
    assert [each.executable for each in whole.tool_calls] == [True, True]
    earlier = done(start(), call(0), closed(0), call(1), closed(1), ending("max_tokens"), STOP)
    assert [each.executable for each in earlier.tool_calls] == [True, False]


def test_a_call_that_was_never_ended_may_not_be_run_though_it_looks_whole():
    events = stream(start(), call(0), ending("tool_use"), STOP)
    assert isinstance(events[-1], Done)
    assert not events[-1].message.tool_calls[0].executable
    assert warnings(events) == ["1 blocks were never ended"]


def test_an_empty_body_is_a_failure():
    ended = failed()
    assert isinstance(ended.error, ProtocolError)
    assert "empty" in ended.error.text


@pytest.mark.parametrize(
    "frame",
    [
        b"<html>502</html>",
        b"[]",
        b"null",
        b"{}",
        b'{"type":"content_block_delta"}',
        b'{"type":"content_block_start","index":"x","content_block":{}}',
        b"\xff\xfe",
        b"[" * 100_000,
    ],
)
def test_a_frame_that_is_no_event_ends_the_stream(frame: bytes):
    ended = failed(start(), *HELLO, frame, STOP)
    assert isinstance(ended.error, ProtocolError)
    assert ended.message.text == "Hello"


@pytest.mark.parametrize(
    "frames",
    [
        [text(0, "x")],
        [*HELLO, text(0, "x")],
        [opened(0), opened(0)],
        [call(0), text(0, "x")],
        [opened(0), arguments(0, "{}")],
        [opened(0), delta(0, "signature_delta", signature="x")],
        [start()],
    ],
    ids=[
        "piece of nothing",
        "piece after the end",
        "started twice",
        "text in a call",
        "arguments in a text",
        "signature under a text",
        "a second start",
    ],
)
def test_a_stream_against_its_own_rules_is_a_failure(frames: list[Frame]):
    assert isinstance(failed(start(), *frames, ending(), STOP).error, ProtocolError)


def test_content_without_a_start_is_taken_with_a_warning():
    events = stream(*HELLO, ending(), STOP)
    assert isinstance(events[-1], Done)
    assert "content before message_start" in warnings(events)


def error_frame(kind: str, message: str, **more: Any) -> Frame:
    return {"type": "error", "error": {"type": kind, "message": message}, **more}


@pytest.mark.parametrize(
    ("word", "kind", "retryable"),
    [
        ("overloaded_error", OverloadedError, True),
        ("rate_limit_error", RateLimitError, True),
        ("authentication_error", AuthenticationError, False),
    ],
)
def test_an_error_in_mid_stream_keeps_what_arrived(
    word: str, kind: type[PolyvoxError], retryable: bool
):
    ended = failed(start(), *HELLO[:3], error_frame(word, "Busy", request_id="req_1"), STOP)
    assert type(ended.error) is kind
    assert (ended.error.retryable, ended.error.request_id) == (retryable, "req_1")
    assert (ended.error.text, ended.error.provider_code) == ("Busy", word)
    assert (ended.message.text, ended.message.stop_reason) == ("Hello", "error")


def test_an_error_may_be_the_first_and_only_event():
    events = stream(error_frame("overloaded_error", "Overloaded"))
    assert len(events) == 1
    assert isinstance(events[0], Failed)
    assert isinstance(events[0].error, OverloadedError)


def test_an_error_without_a_type_is_still_an_error():
    assert failed(start(), {"error": {"message": "boom"}}).error.text == "boom"
    assert "17" in failed(start(), {"error": {"code": 17}}).error.text
    assert failed(start(), {"error": "boom"}).error.text == "boom"


def test_the_caller_may_end_the_stream_with_an_error_of_its_own():
    decoder = DIALECT.stream_decoder(TARGET)
    feed(decoder, start(), *HELLO[:2])
    ended = decoder.fail(NetworkError("reset"))[-1]
    assert isinstance(ended, Failed)
    assert ended.message.text == "Hel"
    assert decoder.fail(NetworkError("again")) == decoder.close() == []


# ----------------------------------------------------------------------------------- whole answers


def whole(**fields: Any) -> bytes:
    message = {**start()["message"], "stop_reason": "end_turn", **fields}
    return json.dumps(message).encode()


def test_a_whole_answer_is_read_like_a_streamed_one():
    content = [
        {"type": "thinking", "thinking": "Hm", "signature": "s"},
        {"type": "redacted_thinking", "data": "x"},
        {"type": "text", "text": "Hello", "citations": None},
        {"type": "tool_use", "id": "toolu_1", "name": "go", "input": {"n": 2**70}},
        {"type": "tool_use", "id": "toolu_2", "name": "go", "input": {}},
    ]
    message = DIALECT.decode_response(whole(content=content, stop_reason="tool_use"), TARGET)
    assert message.content == [
        Thinking("Hm", "s", producer=OWN),
        Thinking("", "x", redacted=True, producer=OWN),
        Text("Hello"),
        ToolCall("toolu_1", "go", {"n": 2**70}),
        ToolCall("toolu_2", "go"),
    ]
    assert (message.stop_reason, message.usage) == ("tool_calls", Usage(10, 1))
    assert (message.provider, message.response_model) == ("anthropic", "claude-x-1")


@pytest.mark.parametrize(
    "body", [b"", b" ", b"<html>ok</html>", b"{}", b"[]", b'{"type":"message"']
)
def test_a_body_that_is_no_message_is_a_protocol_error(body: bytes):
    with pytest.raises(ProtocolError):
        DIALECT.decode_response(body, TARGET)


def test_an_error_with_a_good_status_is_that_error():
    with pytest.raises(OverloadedError, match="Busy"):
        DIALECT.decode_response(
            json.dumps(error_frame("overloaded_error", "Busy")).encode(), TARGET
        )
