"""Laws of the openai-responses dialect: what one half writes, the other reads back.

The official SDK's types are the witness that what lies between is OpenAI's format.
"""

from contextlib import suppress
from itertools import count
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from dialects.openai_responses_strategies import (
    CARRIES,
    TARGET,
    as_read,
    own_answers,
    own_requests,
    plain,
    refusing,
)
from polyvox.assembly import fold
from polyvox.dialects import ServerSentEvent, SSEReader
from polyvox.dialects.openai_responses import DIALECT
from polyvox.errors import PolyvoxError
from polyvox.events import Done, Event, Failed
from polyvox.messages import AssistantMessage, Thinking, ToolCall
from polyvox.request import Request
from strategies import answers, cuts, event_streams

EVENTS: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)


# Requests


@given(own_requests())
def test_a_request_is_read_as_it_was_written_always_in_the_same_bytes(request: Request):
    sent = DIALECT.encode_request(request, TARGET)
    read = DIALECT.decode_request(sent.body)
    assert read == as_read(request)
    assert DIALECT.encode_request(read, TARGET).body == sent.body
    assert sent.dropped == ()


# Answers


def write_stream(events: list[Event]) -> bytes:
    encoder = DIALECT.stream_encoder(Request(messages=[]))
    return b"".join(encoder.encode(event) for event in events)


def read_stream(pieces: list[bytes]) -> list[Event]:
    reader, decoder = DIALECT.frame_reader(), DIALECT.stream_decoder(TARGET)
    frames = [frame for piece in pieces for frame in reader.feed(piece)] + reader.close()
    return [event for frame in frames for event in decoder.feed(frame)] + decoder.close()


@given(message=own_answers())
def test_a_whole_answer_is_read_as_it_was_written(message: AssistantMessage):
    body = DIALECT.encode_response(message)
    assert Response.model_validate_json(body).output_text in (message.text, "")
    assert DIALECT.decode_response(body, TARGET) == refusing(message, whole=True)


@given(message=answers(CARRIES))
def test_a_whole_answer_of_another_maker_is_read_as_it_was_written(message: AssistantMessage):
    body = DIALECT.encode_response(message)
    Response.model_validate_json(body)
    expected = plain(refusing(message, whole=True))
    assert plain(DIALECT.decode_response(body, TARGET)) == expected


@given(data=st.data())
def test_a_streamed_answer_is_read_as_it_was_written_wherever_it_is_cut(data: st.DataObject):
    message = data.draw(answers(CARRIES) | own_answers())
    body = write_stream(data.draw(event_streams(message)))
    numbers = count()
    for frame in SSEReader().feed(body):
        event = EVENTS.validate_json(frame.data)
        assert (event.type, event.sequence_number) == (frame.event, next(numbers))
    events = read_stream(data.draw(cuts(body)))
    assert isinstance(events[-1], Done)
    read = events[-1].message
    assert plain(read) == plain(refusing(message, whole=False))
    assert fold(events[:-1]).content == read.content


@given(data=st.data())
def test_reasoning_keeps_what_its_maker_needs_through_a_stream(data: st.DataObject):
    message = data.draw(own_answers())
    events = read_stream([write_stream(data.draw(event_streams(message)))])
    assert isinstance(events[-1], Done)
    thoughts = [block for block in message.content if isinstance(block, Thinking)]
    read = [block for block in events[-1].message.content if isinstance(block, Thinking)]
    assert read == thoughts


@given(data=st.data())
def test_a_stream_that_breaks_off_anywhere_is_never_a_success(data: st.DataObject):
    message = data.draw(answers(CARRIES))
    body = write_stream(data.draw(event_streams(message)))
    end = max(body.rfind(b"event: response.completed"), body.rfind(b"event: response.incomplete"))
    events = read_stream([body[: data.draw(st.integers(0, end))]])
    assert [type(event) for event in events if isinstance(event, (Done, Failed))] == [Failed]
    assert isinstance(events[-1], Failed)
    whole = {call.id: call.arguments for call in message.tool_calls}
    for call in events[-1].message.tool_calls:
        assert not call.executable or call.arguments == whole[call.id]


# What nobody should send

WORDS = [
    *("type", "response", "item", "part", "output", "content", "summary", "text", "delta", "id"),
    *("output_index", "content_index", "call_id", "name", "arguments", "status", "usage", "error"),
    *("encrypted_content", "incomplete_details", "reason", "input", "model", "role", "tools"),
]
KINDS = [
    *("message", "function_call", "reasoning", "output_text", "refusal", "web_search_call"),
    *("response.output_item.added", "response.output_item.done", "response.content_part.added"),
    *("response.output_text.delta", "response.refusal.delta", "response.completed", "error"),
    *("response.function_call_arguments.delta", "response.reasoning_summary_text.delta"),
    *("response.incomplete", "response.failed", "user", "assistant", "x"),
]
values = st.recursive(
    st.none() | st.booleans() | st.integers(0, 2) | st.floats() | st.sampled_from(KINDS),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=5)
    ),
    max_leaves=12,
)
items = st.fixed_dictionaries(
    {"type": st.sampled_from(KINDS)}, optional=dict.fromkeys(WORDS[5:18], values)
)
frames = st.one_of(
    st.binary(max_size=40),
    st.sampled_from([b"[DONE]", b"", b"{}", b"null", b"[]", b"<html>"]),
    values.map(msgspec.json.encode),
    st.fixed_dictionaries(
        {"type": st.sampled_from(KINDS), "output_index": st.integers(0, 2)},
        optional={
            "item": items,
            "part": items,
            "delta": st.sampled_from(["", "a", "{"]),
            "content_index": st.integers(0, 1),
            "response": st.fixed_dictionaries({}, optional={"output": st.lists(items)}),
        },
    ).map(msgspec.json.encode),
)


@given(st.lists(st.tuples(frames, st.sampled_from(["", "error", "message"])), max_size=8))
def test_no_stream_makes_the_decoder_raise_or_end_twice(sent: list[tuple[bytes, str]]):
    decoder = DIALECT.stream_decoder(TARGET)
    events = [event for data, name in sent for event in decoder.feed(ServerSentEvent(data, name))]
    events += decoder.close()
    endings = [event for event in events if isinstance(event, Done | Failed)]
    assert endings == [events[-1]]
    assert decoder.ended
    assert decoder.feed(ServerSentEvent(b"{}")) == decoder.close() == []


@given(st.binary(max_size=60) | values.map(msgspec.json.encode))
def test_no_whole_answer_makes_the_decoder_raise_anything_else(body: bytes):
    with suppress(PolyvoxError):
        assert isinstance(DIALECT.decode_response(body, TARGET), AssistantMessage)


@given(st.lists(items, max_size=3))
def test_whole_items_of_any_shape_are_read(output: list[dict[str, Any]]):
    body = msgspec.json.encode({"output": output, "status": "completed"})
    assert isinstance(DIALECT.decode_response(body, TARGET), AssistantMessage)


@given(st.binary(max_size=60) | st.lists(items | values, max_size=3).map(msgspec.json.encode))
def test_no_request_makes_the_reader_raise_anything_else(body: bytes):
    with pytest.raises(PolyvoxError):
        DIALECT.decode_request(body)
    wrapped = b'{"model": "m", "input": ' + (body if body[:1] == b"[" else b"[]") + b"}"
    with suppress(PolyvoxError):
        DIALECT.decode_request(wrapped)


def test_calls_keep_their_order_and_ids():
    calls = [ToolCall(f"call_{n}", "f", {"n": n}) for n in range(3)]
    body = DIALECT.encode_response(AssistantMessage([*calls], "tool_calls", model="m"))
    assert plain(DIALECT.decode_response(body, TARGET)).content == calls
