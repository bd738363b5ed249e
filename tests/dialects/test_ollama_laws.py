"""Laws of the ollama dialect: what one half writes, the other reads back, however it was cut.

The official client's types are the witness that what lies between is Ollama's format.
"""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ollama import ChatResponse, GenerateResponse

from dialects.ollama_strategies import TARGET, answers, as_carried, chats, prompts
from polyvox.assembly import fold, unfold
from polyvox.dialects import Place, ServerSentEvent, get_dialect
from polyvox.errors import PolyvoxError
from polyvox.events import Done, Event, Failed
from polyvox.messages import AssistantMessage, user
from polyvox.request import Request

DIALECT = get_dialect("ollama")
CHAT = Request(messages=[user("hi")])
GENERATE = Request(messages=[user("hi")], options={"ollama": {"endpoint": "generate"}})
AT_GENERATE = Place(path="/api/generate")


def pieces_of(sizes: list[int]):
    def cut(text: str) -> Iterator[str]:
        start = 0
        for size in sizes:
            yield text[start : start + size]
            start += size
        yield text[start:]

    return cut


def streamed(events: Iterator[Event], request: Request) -> bytes:
    encoder = DIALECT.stream_encoder(request)
    return b"".join(encoder.encode(event) for event in events)


def read(body: bytes, places: list[int] | None = None) -> list[Event]:
    reader, decoder = DIALECT.frame_reader(), DIALECT.stream_decoder(TARGET)
    edges = [0, *sorted(place % (len(body) + 1) for place in places or []), len(body)]
    pieces = [body[start:end] for start, end in pairwise(edges)]
    frames = [frame for piece in pieces for frame in reader.feed(piece)] + reader.close()
    return [event for frame in frames for event in decoder.feed(frame)] + decoder.close()


@pytest.mark.parametrize(
    ("request_", "witness"), [(CHAT, ChatResponse), (GENERATE, GenerateResponse)]
)
@given(message=answers)
def test_a_whole_answer_comes_back_as_it_was_written(
    request_: Request, witness: Any, message: AssistantMessage
):
    body = DIALECT.encode_response(message, request_)
    parsed = witness.model_validate_json(body)
    text = parsed.message.content if witness is ChatResponse else parsed.response
    assert (text, parsed.done) == (message.text, True)
    assert DIALECT.decode_response(body, TARGET) == as_carried(message, whole=True)


@pytest.mark.parametrize(
    ("request_", "witness"), [(CHAT, ChatResponse), (GENERATE, GenerateResponse)]
)
@given(
    message=answers,
    sizes=st.lists(st.integers(0, 9), max_size=5),
    places=st.lists(st.integers(0), max_size=12),
)
def test_a_streamed_answer_comes_back_wherever_it_was_cut(
    request_: Request,
    witness: Any,
    message: AssistantMessage,
    sizes: list[int],
    places: list[int],
):
    asked = msgspec.structs.replace(request_, model=message.response_model)
    body = streamed(unfold(message, pieces_of(sizes)), asked)
    for line in body.splitlines():
        witness.model_validate_json(line)
    events = read(body, places)
    assert events[-1] == Done(as_carried(message, whole=False))
    assert fold(events[:-1]).content == events[-1].message.content


@given(answers, st.integers(0))
def test_a_stream_that_ends_too_early_is_never_a_silent_success(
    message: AssistantMessage, place: int
):
    body = streamed(unfold(message), CHAT)
    events = read(body[: place % (len(body) - 1)])
    assert isinstance(events[-1], Failed)
    whole = {call.id: call.arguments for call in message.tool_calls}
    assert all(whole[call.id] == call.arguments for call in events[-1].message.tool_calls)


# Requests


@given(chats)
def test_a_request_is_read_as_it_was_written(request: Request):
    sent = DIALECT.encode_request(request, TARGET)
    assert sent.url.endswith("/api/chat")
    assert sent.dropped == ()
    assert DIALECT.decode_request(sent.body) == request
    copy = msgspec.json.decode(msgspec.json.encode(request), type=Request)
    assert DIALECT.encode_request(copy, TARGET).body == sent.body


@given(prompts)
def test_a_prompt_is_read_as_it_was_written(request: Request):
    sent = DIALECT.encode_request(request, TARGET)
    assert sent.url.endswith("/api/generate")
    assert "endpoint" not in msgspec.json.decode(sent.body)
    assert DIALECT.decode_request(sent.body, AT_GENERATE) == request


# Whatever comes

WORDS = [
    *("model", "message", "content", "thinking", "tool_calls", "function", "name", "arguments"),
    *("done", "done_reason", "error", "response", "images", "image", "eval_count", "id"),
    *("prompt_eval_count", "messages", "prompt", "role", "options", "format", "tools", "think"),
]
frame_data = (
    st.binary(max_size=40)
    | st.sampled_from([b"{}", b"null", b"[]", b'{"message":null}', b"<html>", b'{"error":{}}'])
    | st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=4)
        ),
        max_leaves=12,
    ).map(msgspec.json.encode)
)


@given(st.lists(frame_data, max_size=6))
def test_no_stream_makes_the_decoder_raise_or_end_twice(sent: list[bytes]):
    decoder = DIALECT.stream_decoder(TARGET)
    events = [event for data in sent for event in decoder.feed(ServerSentEvent(data))]
    events += decoder.close()
    endings = [type(event) for event in events if isinstance(event, Done | Failed)]
    assert endings == [type(events[-1])]
    assert decoder.ended
    assert decoder.feed(ServerSentEvent(b"{}")) == decoder.close() == []


@given(frame_data.filter(lambda body: b'"done":true' not in body))
def test_no_whole_answer_makes_the_decoder_raise_anything_else(body: bytes):
    with pytest.raises(PolyvoxError) as caught:
        DIALECT.decode_response(body, TARGET)
    assert caught.value.provider == TARGET.provider


@given(frame_data)
def test_no_error_body_makes_the_reader_raise(body: bytes):
    assert DIALECT.decode_error(500, {}, body).status == 500


@pytest.mark.parametrize("place", [Place(), AT_GENERATE])
@given(body=frame_data)
def test_no_request_body_makes_the_reader_raise_anything_else(place: Place, body: bytes):
    with pytest.raises(PolyvoxError):
        DIALECT.decode_request(body, place)
