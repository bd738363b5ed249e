"""The laws of the dialect: what is written is read back the same, however it was cut."""

from collections.abc import Iterator
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from dialects.openai_chat_strategies import (
    TARGET,
    answers,
    as_carried,
    as_read,
    broken_calls,
    requests,
    tool_calls,
)
from polyvox.assembly import fold, unfold
from polyvox.dialects import ServerSentEvent, SSEReader, get_dialect
from polyvox.errors import PolyvoxError
from polyvox.events import (
    Done,
    Event,
    Failed,
    Start,
    TextDelta,
    TextEnd,
    TextStart,
    ToolCallDelta,
    ToolCallEnd,
    ToolCallStart,
)
from polyvox.messages import AssistantMessage, Text, user
from polyvox.request import Request

DIALECT = get_dialect("openai-chat")
ASKED = Request(
    messages=[user("hi")],
    options={"openai-chat": {"stream_options": {"include_usage": True}}},
)


def streamed(events: Iterator[Event] | list[Event], request: Request = ASKED) -> bytes:
    encoder = DIALECT.stream_encoder(request)
    return b"".join(encoder.encode(event) for event in events)


def frames(body: bytes, places: list[int]) -> list[ServerSentEvent]:
    reader = DIALECT.frame_reader()
    edges = [0, *sorted(place % (len(body) + 1) for place in places), len(body)]
    pieces = [body[start:end] for start, end in pairwise(edges)]
    return [frame for piece in pieces for frame in reader.feed(piece)] + reader.close()


def read(body: bytes, places: list[int] | None = None) -> list[Event]:
    decoder = DIALECT.stream_decoder(TARGET)
    events = [event for frame in frames(body, places or []) for event in decoder.feed(frame)]
    return events + decoder.close()


def pieces_of(sizes: list[int]):
    def cut(text: str) -> Iterator[str]:
        start = 0
        for size in sizes:
            yield text[start : start + size]
            start += size
        yield text[start:]

    return cut


@given(answers)
def test_a_whole_answer_comes_back_as_it_was_written(message: AssistantMessage):
    body = DIALECT.encode_response(message)
    assert DIALECT.decode_response(body, TARGET) == as_carried(message, whole=True)


@given(answers, st.lists(st.integers(0, 9), max_size=5), st.lists(st.integers(0), max_size=12))
def test_a_streamed_answer_comes_back_wherever_it_was_cut(
    message: AssistantMessage, sizes: list[int], places: list[int]
):
    # A stream names one model throughout: the one that was asked for.
    request = msgspec.structs.replace(ASKED, model=message.response_model)
    body = streamed(unfold(message, pieces_of(sizes)), request)
    events = read(body, places)
    assert isinstance(events[-1], Done)
    assert events[-1].message == as_carried(message, whole=False)


@st.composite
def interleaved(draw: st.DrawFn) -> tuple[AssistantMessage, list[Event]]:
    """A message of parallel calls after some text, and a stream that mixes the calls' fragments."""
    calls = draw(st.lists(tool_calls | broken_calls, min_size=2, max_size=4))
    message = AssistantMessage([Text("So:"), *calls], "tool_calls")
    events = list(unfold(message, pieces_of(draw(st.lists(st.integers(1, 4), max_size=4)))))
    head = [event for event in events if isinstance(event, Start | TextStart | TextDelta | TextEnd)]
    starts = [event for event in events if isinstance(event, ToolCallStart)]
    rest = {
        start.index: [
            event
            for event in events
            if isinstance(event, ToolCallDelta | ToolCallEnd) and event.index == start.index
        ]
        for start in starts
    }
    turns = draw(st.permutations([index for index, own in rest.items() for _ in own]))
    return message, [*head, *starts, *(rest[index].pop(0) for index in turns), events[-1]]


@given(interleaved(), st.lists(st.integers(0), max_size=12))
def test_parallel_calls_whose_fragments_interleave_come_back_as_they_were(
    case: tuple[AssistantMessage, list[Event]], places: list[int]
):
    message, events = case
    last = read(streamed(events), places)[-1]
    assert isinstance(last, Done)
    assert last.message.content == message.content


@given(answers)
def test_the_events_of_a_stream_tell_its_message(message: AssistantMessage):
    events = read(streamed(unfold(message)))
    told = fold(events[:-1])
    assert isinstance(events[-1], Done)
    assert told.content == events[-1].message.content


@given(answers, st.integers(0))
def test_a_stream_that_ends_too_early_is_never_a_silent_success(
    message: AssistantMessage, place: int
):
    body = streamed(unfold(message))
    finish = body.index(b'"finish_reason":"')
    events = read(body[: place % finish])
    assert isinstance(events[-1], Failed)
    assert not any(call.executable for call in _unfinished_calls(events[-1].message, message))


def _unfinished_calls(cut: AssistantMessage, message: AssistantMessage):
    whole = {call.id: call.arguments for call in message.tool_calls}
    return [call for call in cut.tool_calls if call.arguments != whole.get(call.id)]


@given(answers)
def test_the_official_sdk_reads_our_whole_answers(message: AssistantMessage):
    body = msgspec.json.decode(DIALECT.encode_response(message))
    parsed = ChatCompletion.model_validate(body, strict=True)
    said = parsed.choices[0].message
    assert (said.refusal or said.content or "") == message.text
    assert [call.id for call in said.tool_calls or []] == [call.id for call in message.tool_calls]
    assert parsed.usage
    assert parsed.usage.total_tokens == message.usage.total_tokens


@given(answers)
def test_the_official_sdk_reads_our_streams(message: AssistantMessage):
    body = streamed(unfold(message))
    data = [frame.data for frame in SSEReader().feed(body)]
    assert data.pop() == b"[DONE]"
    chunks = [
        ChatCompletionChunk.model_validate(msgspec.json.decode(each), strict=True) for each in data
    ]
    deltas = [choice.delta for chunk in chunks for choice in chunk.choices]
    assert "".join(delta.content or "" for delta in deltas) == message.text
    assert {chunk.id for chunk in chunks} == {message.id}
    assert deltas[0].role == "assistant"


@given(requests)
def test_a_request_is_read_as_it_was_written(request: Request):
    body = DIALECT.encode_request(request, TARGET).body
    assert DIALECT.decode_request(body) == as_read(request)


@given(requests)
def test_the_same_request_gives_the_same_bytes(request: Request):
    copy = msgspec.json.decode(msgspec.json.encode(request), type=Request)
    one, other = (DIALECT.encode_request(each, TARGET).body for each in (request, copy))
    assert one == other


@given(requests)
def test_a_target_that_understands_everything_is_told_everything(request: Request):
    both = request.reasoning and request.reasoning.effort and request.reasoning.budget_tokens
    assert DIALECT.encode_request(request, TARGET).dropped == () or both


WORDS = [
    *("id", "model", "choices", "delta", "message", "content", "tool_calls", "index", "function"),
    *("name", "arguments", "finish_reason", "usage", "error", "reasoning", "reasoning_details"),
    *("refusal", "type", "text", "cost", "prompt_tokens", "x_groq", "code", "function_call"),
]
frame_data = (
    st.binary(max_size=40)
    | st.sampled_from([b"[DONE]", b"", b"{}", b"null", b"[]", b'{"choices":null}', b"<html>"])
    | st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=2)
            | st.dictionaries(
                st.sampled_from(WORDS),
                inner,
                max_size=4,
            )
        ),
        max_leaves=12,
    ).map(msgspec.json.encode)
)


@given(st.lists(st.tuples(frame_data, st.sampled_from(["", "error", "message"])), max_size=6))
def test_no_stream_makes_the_decoder_raise_or_end_twice(sent: list[tuple[bytes, str]]):
    decoder = DIALECT.stream_decoder(TARGET)
    events = [event for data, name in sent for event in decoder.feed(ServerSentEvent(data, name))]
    events += decoder.close()
    assert [type(event) for event in events if isinstance(event, Done | Failed)] == [
        type(events[-1])
    ]
    assert decoder.ended
    assert decoder.feed(ServerSentEvent(b"{}")) == decoder.close() == []


@given(st.binary(max_size=60) | frame_data)
def test_no_whole_answer_makes_the_decoder_raise_anything_else(body: bytes):
    with pytest.raises(PolyvoxError) as caught:
        DIALECT.decode_response(body, TARGET)
    assert caught.value.provider == TARGET.provider


@given(st.binary(max_size=60) | frame_data)
def test_no_error_body_makes_the_reader_raise(body: bytes):
    assert DIALECT.decode_error(500, {}, body).status == 500


@given(st.binary(max_size=60) | frame_data)
def test_no_request_body_makes_the_reader_raise_anything_else(body: bytes):
    with pytest.raises(PolyvoxError):
        DIALECT.decode_request(body)
