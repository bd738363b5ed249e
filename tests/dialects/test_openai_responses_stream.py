"""Streams of the Responses API, in all the ways they go right and wrong; and whole answers."""

import json
from typing import Any

import pytest

from polyvox.dialects import ServerSentEvent, Target, get_dialect
from polyvox.errors import (
    AbortedError,
    ContentFilterError,
    ContextWindowExceededError,
    NetworkError,
    ProtocolError,
    RateLimitError,
    ServerError,
)
from polyvox.events import Done, Event, Failed, Start, TextDelta, ThinkingDelta, Warned
from polyvox.messages import AssistantMessage, Text, Thinking, ToolCall
from polyvox.usage import Cost, Usage

TARGET = Target(provider="acme", model="sage-1", base_url="https://acme.example/v1")
DIALECT = get_dialect("openai-responses")
PRODUCER = "acme/sage-1"
NAME = "openai-responses"

CREATED = {
    "type": "response.created",
    "response": {"id": "resp_1", "model": "sage-1-0825", "status": "in_progress", "output": []},
}
MESSAGE = {"type": "message", "id": "msg_1", "role": "assistant", "content": []}
CALL = {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "weather"}
SEARCH = {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"query": "x"}}


def added(index: int, item: dict[str, Any]) -> dict[str, Any]:
    return {"type": "response.output_item.added", "output_index": index, "item": item}


def done(index: int, item: dict[str, Any]) -> dict[str, Any]:
    return {"type": "response.output_item.done", "output_index": index, "item": item}


def piece(kind: str, index: int, delta: str, **more: Any) -> dict[str, Any]:
    return {"type": f"response.{kind}.delta", "output_index": index, "delta": delta, **more}


def text(index: int, delta: str, place: int = 0) -> dict[str, Any]:
    return piece("output_text", index, delta, content_index=place, item_id="msg_1", logprobs=[])


def said(*texts: str, **more: Any) -> dict[str, Any]:
    content = [{"type": "output_text", "text": each, "annotations": []} for each in texts]
    return {**MESSAGE, "content": content, "status": "completed", **more}


def ended(how: str = "completed", *output: dict[str, Any], **more: Any) -> dict[str, Any]:
    response = {"id": "resp_1", "model": "sage-1-0825", "status": how, "output": [*output], **more}
    return {"type": f"response.{how}", "response": response}


def play(*frames: Any) -> list[Event]:
    """All events of a stream: dicts are sent as JSON, strings and frames as they are."""
    decoder = DIALECT.stream_decoder(TARGET)
    events: list[Event] = []
    for frame in frames:
        if not isinstance(frame, ServerSentEvent):
            data = frame if isinstance(frame, str) else json.dumps(frame)
            frame = ServerSentEvent(data.encode())
        events += decoder.feed(frame)
    return events + decoder.close()


def answer(*frames: Any) -> AssistantMessage:
    last = play(*frames)[-1]
    assert isinstance(last, Done), last
    return last.message


def failure(*frames: Any) -> Failed:
    last = play(*frames)[-1]
    assert isinstance(last, Failed), last
    assert last.error.message is last.message
    return last


def warnings(*frames: Any) -> list[str]:
    return [event.text for event in play(*frames) if isinstance(event, Warned)]


# Answers


def test_a_plain_answer():
    events = play(
        CREATED,
        added(0, MESSAGE),
        {"type": "response.content_part.added", "output_index": 0, "content_index": 0}
        | {"part": {"type": "output_text", "text": "", "annotations": []}},
        text(0, "Hel"),
        text(0, "lo"),
        {"type": "response.output_text.done", "output_index": 0, "text": "Hello"},
        done(0, said("Hello", phase="final_answer")),
        ended("completed", said("Hello")),
    )
    assert events[0] == Start("acme", "sage-1", "resp_1")
    assert [event.text for event in events if isinstance(event, TextDelta)] == ["Hel", "lo"]
    assert isinstance(events[-1], Done)
    kept = {NAME: {"id": "msg_1", "phase": "final_answer"}}
    assert events[-1].message == AssistantMessage(
        [Text("Hello", meta=kept, producer=PRODUCER)],
        provider="acme",
        model="sage-1",
        response_model="sage-1-0825",
        id="resp_1",
    )
    assert not [event for event in events if isinstance(event, Warned)]


def test_what_pieces_left_out_is_taken_from_the_whole_item():
    assert answer(CREATED, added(0, MESSAGE), done(0, said("Hello")), ended()).text == "Hello"
    assert answer(CREATED, done(0, said("Hello")), ended()).text == "Hello"
    assert answer(CREATED, ended("completed", said("Hello"))).text == "Hello"
    assert answer(ended("completed", said("Hello"))).text == "Hello"
    assert answer(CREATED, text(0, "Hello"), ended("completed", said("Hello"))).text == "Hello"


def test_an_item_told_again_under_another_place_is_told_once():
    frames = [CREATED, done(0, said("A", id="msg_a")), done(2, said("B", id="msg_b"))]
    final = ended("completed", said("A", id="msg_a"), said("B", id="msg_b"))
    assert answer(*frames, final).text == "AB"


def test_the_parts_of_a_message_are_blocks_with_their_citations():
    item = said("One.", "Two.")
    item["content"][1]["annotations"] = [{"type": "url_citation", "url": "https://a.example"}]
    frames = [CREATED, added(0, MESSAGE), text(0, "One."), text(0, "Two.", 1), done(0, item)]
    one, two = answer(*frames, ended()).content
    assert one == Text("One.", meta={NAME: {"id": "msg_1"}}, producer=PRODUCER)
    assert two.meta == {NAME: {"id": "msg_1", "annotations": item["content"][1]["annotations"]}}


def test_parallel_calls_that_interleave():
    second = {**CALL, "id": "fc_2", "call_id": "call_2", "namespace": "x"}
    message = answer(
        CREATED,
        added(0, {**CALL, "arguments": ""}),
        added(1, {**second, "arguments": ""}),
        piece("function_call_arguments", 0, '{"city":'),
        piece("function_call_arguments", 1, '{"city": "Bergen"}'),
        piece("function_call_arguments", 0, ' "Oslo"}'),
        done(0, {**CALL, "arguments": '{"city": "Oslo"}', "status": "completed"}),
        done(1, {**second, "arguments": '{"city": "Bergen"}', "status": "completed"}),
        ended(),
    )
    assert message.stop_reason == "tool_calls"
    kept = [{NAME: {"id": "fc_1"}}, {NAME: {"id": "fc_2", "namespace": "x"}}]
    assert message.content == [
        ToolCall("call_1", "weather", {"city": "Oslo"}, meta=kept[0], producer=PRODUCER),
        ToolCall("call_2", "weather", {"city": "Bergen"}, meta=kept[1], producer=PRODUCER),
    ]


def test_pieces_of_a_call_that_never_began_are_read_when_it_is_complete():
    item = {**CALL, "arguments": '{"a": 1}', "status": "completed"}
    frames = [CREATED, piece("function_call_arguments", 0, '{"a"'), done(0, item), ended()]
    assert answer(*frames).tool_calls[0].arguments == {"a": 1}
    assert "had not begun" in warnings(*frames)[0]


@pytest.mark.parametrize(
    ("arguments", "fields", "how", "executable"),
    [
        ('{"city": "Os', {"status": "incomplete"}, "incomplete", False),
        ("{}", {"status": "incomplete"}, "incomplete", False),
        ("", {"status": "completed"}, "completed", True),
        ("", {}, "completed", True),
        ("", {}, "incomplete", False),
        ("{}", {}, "incomplete", True),
    ],
)
def test_a_call_that_was_cut_is_never_executable(
    arguments: str, fields: dict[str, Any], how: str, executable: bool
):
    item = {**CALL, "arguments": arguments, **fields}
    details = {"incomplete_details": {"reason": "max_output_tokens"}} if how != "completed" else {}
    final = ended(how, item, **details)
    for frames in ([CREATED, added(0, CALL), done(0, item), final], [final]):
        (call,) = answer(*frames).tool_calls
        assert call.executable is executable


def test_a_call_that_is_never_completed_is_not_executable():
    frames = [CREATED, added(0, CALL), piece("function_call_arguments", 0, "{}"), ended()]
    assert not answer(*frames).tool_calls[0].executable
    assert "never completed" in warnings(*frames)[0]


# Reasoning


def test_reasoning_keeps_its_summary_its_id_and_its_encrypted_content():
    parts = [{"type": "summary_text", "text": each} for each in ("Hm.", "Oslo.")]
    item = {"type": "reasoning", "id": "rs_1", "summary": parts, "encrypted_content": "gAAA"}
    frames = [
        CREATED,
        added(0, {"type": "reasoning", "id": "rs_1", "summary": []}),
        piece("reasoning_summary_text", 0, "H", summary_index=0),
        piece("reasoning_summary_text", 0, "m.", summary_index=0),
        piece("reasoning_summary_text", 0, "Oslo.", summary_index=1),
        done(0, item),
        ended(),
    ]
    kept = {NAME: {"id": "rs_1", "summary": parts}}
    thought = Thinking("Hm.\n\nOslo.", "gAAA", meta=kept, producer=PRODUCER)
    assert answer(*frames).content == [thought]
    assert answer(ended("completed", item)).content == [thought]
    deltas = [event.text for event in play(*frames) if isinstance(event, ThinkingDelta)]
    assert deltas == ["H", "m.", "\n\n", "Oslo."]


def test_reasoning_without_a_summary_is_hidden():
    item = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAA"}
    kept = {NAME: {"id": "rs_1"}}
    assert answer(CREATED, done(0, item), ended()).content == [
        Thinking("", "gAAA", redacted=True, meta=kept, producer=PRODUCER)
    ]


def test_the_reasoning_itself_as_open_models_show_it():
    content = [{"type": "reasoning_text", "text": "Let me see."}]
    item = {"type": "reasoning", "id": "rs_1", "summary": [], "content": content}
    frames = [CREATED, added(0, {**item, "content": []}), piece("reasoning_text", 0, "Let me see.")]
    (thought,) = answer(*frames, done(0, item), ended()).content
    assert thought == Thinking(
        "Let me see.", meta={NAME: {"id": "rs_1", "content": content}}, producer=PRODUCER
    )


# What is not ours to read


def test_an_item_of_another_type_is_kept_whole_with_one_warning():
    frames = [
        CREATED,
        added(0, {**SEARCH, "status": "in_progress"}),
        {"type": "response.web_search_call.searching", "output_index": 0, "item_id": "ws_1"},
        done(0, SEARCH),
        done(1, said("Found.")),
        ended(),
    ]
    opaque, found = answer(*frames).content
    assert opaque == Text("", meta={NAME: {"item": SEARCH}}, producer=PRODUCER)
    assert found.meta == {NAME: {"id": "msg_1"}}
    assert len(warnings(*frames)) == 1


def test_unknown_events_are_passed_over_with_one_warning_for_each_type():
    odd = {"type": "response.brand_new", "output_index": 9}
    frames = [CREATED, odd, odd, "", "[DONE]", done(0, said("Hello")), ended()]
    assert answer(*frames).text == "Hello"
    assert warnings(*frames) == ["events of type 'response.brand_new' are not known here"]


def test_a_refusal():
    part = {"type": "refusal", "refusal": "I won't."}
    frames = [
        CREATED,
        added(0, MESSAGE),
        piece("refusal", 0, "I ", content_index=0),
        piece("refusal", 0, "won't.", content_index=0),
        done(0, {**MESSAGE, "content": [part]}),
        ended(),
    ]
    for message in (answer(*frames), answer(ended("completed", {**MESSAGE, "content": [part]}))):
        assert message.stop_reason == "refusal"
        assert message.text == "I won't."
        assert message.content[0].meta == {NAME: {"id": "msg_1", "refusal": True}}


# Ends


def test_incomplete_answers():
    cut = {"incomplete_details": {"reason": "max_output_tokens"}}
    assert answer(CREATED, text(0, "Once"), ended("incomplete", **cut)).stop_reason == "length"
    filtered = {"incomplete_details": {"reason": "content_filter"}}
    failed = failure(CREATED, text(0, "Once"), ended("incomplete", **filtered))
    assert isinstance(failed.error, ContentFilterError)
    assert failed.message.text == "Once"
    odd = ended("incomplete", incomplete_details={"reason": "steered"})
    assert answer(CREATED, odd).stop_reason == "length"
    assert "'steered'" in warnings(CREATED, odd)[0]


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("server_error", ServerError),
        ("rate_limit_exceeded", RateLimitError),
        ("context_length_exceeded", ContextWindowExceededError),
    ],
)
def test_a_failed_answer_keeps_what_came(code: str, error: type[Exception]):
    said_why = {"code": code, "message": "boom"}
    for last in (
        ended("failed", error=said_why),
        {"type": "error", **said_why, "param": None, "sequence_number": 3},
        {"type": "error", "error": said_why},
        {"error": said_why},
        ServerSentEvent(json.dumps(said_why).encode(), "error"),
    ):
        failed = failure(CREATED, text(0, "Hel"), last)
        assert type(failed.error) is error
        assert failed.error.text == "boom"
        assert failed.message.text == "Hel"


def test_an_end_without_an_ending_is_a_failure_that_keeps_what_came():
    failed = failure(CREATED, text(0, "Hel"))
    assert isinstance(failed.error, ProtocolError)
    assert "stopped before its end" in failed.error.text
    assert failed.message.text == "Hel"
    for frames in ((), ("",), ("[DONE]",)):
        assert "empty" in failure(*frames).error.text


@pytest.mark.parametrize(
    "frame",
    [
        "<html>502 Bad Gateway</html>",
        "[1]",
        {"type": "response.output_text.delta", "delta": 5},
        {"type": "response.completed"},
        {"choices": []},
    ],
)
def test_what_is_no_event_ends_the_stream(frame: Any):
    assert isinstance(failure(CREATED, text(0, "Hel"), frame).error, ProtocolError)


@pytest.mark.parametrize(
    "frames",
    [
        [done(0, said("A")), text(0, "B")],
        [added(0, MESSAGE), added(0, MESSAGE)],
        [added(0, CALL), text(0, "B")],
        [added(0, MESSAGE), piece("function_call_arguments", 0, "{")],
        [added(0, MESSAGE), done(0, {**CALL, "arguments": ""})],
    ],
)
def test_items_that_contradict_themselves_break_the_format(frames: list[Any]):
    assert isinstance(failure(CREATED, *frames, ended()).error, ProtocolError)


def test_a_connection_that_breaks_keeps_what_came():
    decoder = DIALECT.stream_decoder(TARGET)
    decoder.feed(ServerSentEvent(json.dumps(text(0, "Hel")).encode()))
    assert decoder.message().text == "Hel"
    last = decoder.fail(NetworkError("connection reset"))[-1]
    assert isinstance(last, Failed)
    assert last.message.text == "Hel"
    assert decoder.fail(NetworkError("again")) == []


def test_half_an_emoji_spoils_no_answer():
    frame = ServerSentEvent(
        b'{"type":"response.output_text.delta","output_index":0,"delta":"\\ud83d"}'
    )
    assert answer(CREATED, frame, ended()).text == "�"


# Usage and whole answers


def test_usage_is_inclusive_and_a_bill_is_taken():
    usage = {
        "input_tokens": 100,
        "input_tokens_details": {"cached_tokens": 64, "cache_write_tokens": 8},
        "output_tokens": 20,
        "output_tokens_details": {"reasoning_tokens": 5},
        "total_tokens": 120,
    }
    message = answer(CREATED, ended("completed", usage=usage))
    assert message.usage == Usage(100, 20, 64, 8, reasoning_tokens=5)
    billed = answer(CREATED, ended("completed", usage={**usage, "cost": 0.25}))
    assert billed.usage.cost == Cost("known", nanos=250_000_000, source="provider")
    cut = ended("failed", usage=usage, error={"code": "server_error", "message": "boom"})
    assert failure(CREATED, cut).message.usage.basis == "partial"
    assert "usage" in warnings(CREATED, ended("completed", usage="much"))[0]


FILTERED = {"status": "incomplete", "incomplete_details": {"reason": "content_filter"}}


def whole(**fields: Any) -> AssistantMessage:
    return DIALECT.decode_response(json.dumps(fields).encode(), TARGET)


def test_whole_answers_end_as_streams_do():
    assert whole(status="completed", output=[said("Hello")]).text == "Hello"
    assert whole(output=[said("Hello")]).stop_reason == "stop"
    cut = {"reason": "max_output_tokens"}
    assert whole(status="incomplete", output=[], incomplete_details=cut).stop_reason == "length"


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"status": "failed", "error": {"code": "server_error", "message": "boom"}}, ServerError),
        ({"error": {"code": "rate_limit_exceeded", "message": "slow"}}, RateLimitError),
        ({"status": "cancelled", "output": []}, AbortedError),
        ({"status": "queued", "output": []}, ProtocolError),
        (FILTERED, ContentFilterError),
        ({}, ProtocolError),
        ({"output": "x"}, ProtocolError),
    ],
)
def test_whole_answers_that_failed(fields: dict[str, Any], error: type[Exception]):
    with pytest.raises(error):
        whole(**fields)


@pytest.mark.parametrize("body", [b"", b"  ", b"<html>", b"[]"])
def test_bodies_that_are_no_answer(body: bytes):
    with pytest.raises(ProtocolError):
        DIALECT.decode_response(body, TARGET)
