"""Laws of the anthropic-messages dialect: what one half writes, the other reads back.

The official SDK's types are the witness that what lies between is Anthropic's format.
"""

from typing import Any

import pytest
from anthropic.types import Message, RawMessageStreamEvent
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from polyvox.assembly import fold
from polyvox.dialects import Quirks, SSEReader, Target
from polyvox.dialects.anthropic_messages import DIALECT
from polyvox.events import Done, Event, Failed
from polyvox.messages import AssistantMessage
from polyvox.request import Reasoning, Request
from strategies import (
    Carries,
    answers,
    cuts,
    event_streams,
    fractions,
    ids,
    requests,
    response_formats,
    usages,
)

COMMON: dict[str, Any] = {
    "provider": "anthropic",
    "cache_hints": 4,
    "answer_at_end": False,
    "response_format": st.none() | response_formats,
    "metadata": st.just({}) | st.fixed_dictionaries({"user_id": ids}),
    "max_tokens": st.integers(2048, 10**5),
    "temperature": st.none() | fractions,
    "top_p": st.none() | fractions,
    "reasoning_excludes_sampling": True,
    "reasoning_excludes_forced_tools": True,
    "stop_reasons": ("stop", "length", "tool_calls", "stop_sequence", "pause", "refusal"),
    "usage": usages(),
}
EVENTS: TypeAdapter[Any] = TypeAdapter(RawMessageStreamEvent)
EFFORTS = st.sampled_from(["none", "low", "medium", "high", "xhigh", "max"])
BUDGETS = st.integers(1024, 2047)
MODELS = [
    Carries(
        model="claude-opus-5",
        samplers=0,
        system_in_middle=True,
        reasoning=st.none() | EFFORTS.map(Reasoning),
        **COMMON,
    ),
    Carries(
        model="claude-sonnet-4-5",
        samplers=1,
        reasoning=st.none() | BUDGETS.map(lambda tokens: Reasoning(budget_tokens=tokens)),
        **COMMON,
    ),
    Carries(model="some-other-model", **COMMON),
]


def target_of(carries: Carries) -> Target:
    return Target(
        provider=carries.provider,
        model=carries.model,
        base_url="https://api.example",
        quirks=Quirks(strict_tools=True),
    )


def read_stream(pieces: list[bytes], target: Target) -> list[Event]:
    reader, decoder = DIALECT.frame_reader(), DIALECT.stream_decoder(target)
    frames = [frame for piece in pieces for frame in reader.feed(piece)] + reader.close()
    return [event for frame in frames for event in decoder.feed(frame)] + decoder.close()


def write_stream(events: list[Event]) -> bytes:
    encoder = DIALECT.stream_encoder(Request(messages=[]))
    return b"".join(encoder.encode(event) for event in events)


@pytest.mark.parametrize("carries", MODELS, ids=lambda each: each.model)
@given(data=st.data())
def test_a_request_is_read_as_it_was_written_always_in_the_same_bytes(
    carries: Carries, data: st.DataObject
):
    request = data.draw(requests(carries))
    target = target_of(carries)
    sent = DIALECT.encode_request(request, target).body
    assert DIALECT.decode_request(sent) == request
    assert DIALECT.encode_request(DIALECT.decode_request(sent), target).body == sent
    assert DIALECT.encode_request(request, target).dropped == ()


WHOLE = Carries(model="claude-opus-5", broken_calls=False, **COMMON)
STREAMED = Carries(model="claude-opus-5", **COMMON)


@given(message=answers(WHOLE))
def test_a_whole_answer_is_read_as_it_was_written(message: AssistantMessage):
    body = DIALECT.encode_response(message)
    Message.model_validate_json(body)
    assert DIALECT.decode_response(body, target_of(WHOLE)) == message


@given(data=st.data())
def test_a_streamed_answer_is_read_as_it_was_written_wherever_it_is_cut(data: st.DataObject):
    message = data.draw(answers(STREAMED))
    body = write_stream(data.draw(event_streams(message)))
    for frame in SSEReader().feed(body):
        assert EVENTS.validate_json(frame.data).type == frame.event
    events = read_stream(data.draw(cuts(body)), target_of(STREAMED))
    assert events[-1] == Done(message)
    assert fold(events[:-1]).content == message.content


@given(data=st.data())
def test_a_stream_that_breaks_off_anywhere_is_never_a_success(data: st.DataObject):
    message = data.draw(answers(STREAMED))
    body = write_stream(data.draw(event_streams(message)))
    end = body.index(b"event: message_stop")
    cut = data.draw(st.integers(0, end))
    events = read_stream([body[:cut]], target_of(STREAMED))
    assert [type(event) for event in events if isinstance(event, (Done, Failed))] == [Failed]
    assert isinstance(events[-1], Failed)


@given(frames=st.lists(st.binary(max_size=60), max_size=5))
def test_no_bytes_make_the_decoder_raise(frames: list[bytes]):
    decoder = DIALECT.stream_decoder(target_of(STREAMED))
    reader = DIALECT.frame_reader()
    for frame in reader.feed(b"".join(b"data: " + each + b"\n\n" for each in frames)):
        decoder.feed(frame)
    decoder.close()
    assert decoder.ended
