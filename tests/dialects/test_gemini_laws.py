"""Laws of the gemini dialect: what one half writes, the other reads back.

The official SDK's types are the witness that what lies between is Google's format.
"""

from contextlib import suppress
from urllib.parse import urlsplit

import msgspec
import pytest
from google.genai.types import GenerateContentResponse
from hypothesis import given
from hypothesis import strategies as st

from dialects.gemini_strategies import (
    ANSWERS,
    MODELS,
    as_told,
    own_answers,
    own_requests,
    target_of,
)
from polyvox.assembly import fold
from polyvox.dialects import find_route
from polyvox.dialects.gemini import DIALECT
from polyvox.dialects.gemini.frames import GeminiFrames
from polyvox.errors import PolyvoxError
from polyvox.events import Done, Event, Failed
from polyvox.http import HttpRequest
from polyvox.request import Request
from strategies import Carries, answers, cuts, event_streams


def sent_back(http: HttpRequest) -> Request:
    """The request that a server reads at the address it was sent to."""
    parts = urlsplit(http.url)
    found = find_route(DIALECT, http.method, f"{parts.path}?{parts.query}")
    assert found is not None
    return DIALECT.decode_request(http.body, found[1])


@pytest.mark.parametrize("carries", MODELS, ids=lambda each: each.model)
@given(data=st.data())
def test_a_request_is_read_as_it_was_written_always_in_the_same_bytes(
    carries: Carries, data: st.DataObject
):
    request = data.draw(own_requests(carries))
    target = target_of(carries)
    http = DIALECT.encode_request(request, target)
    assert http.dropped == ()
    assert sent_back(http) == request
    assert DIALECT.encode_request(sent_back(http), target).body == http.body


def read_stream(pieces: list[bytes]) -> list[Event]:
    reader, decoder = GeminiFrames(), DIALECT.stream_decoder(target_of(ANSWERS))
    frames = [frame for piece in pieces for frame in reader.feed(piece)] + reader.close()
    return [event for frame in frames for event in decoder.feed(frame)] + decoder.close()


def write_stream(events: list[Event], alt: str = "sse") -> bytes:
    request = Request(messages=[], options={"gemini": {"alt": alt}})
    encoder = DIALECT.stream_encoder(request)
    return b"".join(encoder.encode(event) for event in events)


@given(data=st.data())
def test_a_whole_answer_is_read_as_it_was_written(data: st.DataObject):
    message = data.draw(own_answers())
    body = DIALECT.encode_response(message)
    GenerateContentResponse.model_validate_json(body)
    assert DIALECT.decode_response(body, target_of(ANSWERS)) == as_told(message, whole=True)


@given(data=st.data(), alt=st.sampled_from(["sse", "json"]))
def test_a_streamed_answer_is_read_as_it_was_written_wherever_it_is_cut(
    data: st.DataObject, alt: str
):
    message = data.draw(own_answers())
    body = write_stream(data.draw(event_streams(message)), alt)
    for frame in GeminiFrames().feed(body):
        GenerateContentResponse.model_validate_json(frame.data)
    events = read_stream(data.draw(cuts(body)))
    told = as_told(message, whole=False)
    assert events[-1] == Done(told)
    assert fold(events[:-1]).content == told.content


@given(data=st.data(), alt=st.sampled_from(["sse", "json"]))
def test_a_stream_that_breaks_off_anywhere_is_never_a_success(data: st.DataObject, alt: str):
    message = data.draw(answers(ANSWERS))
    body = write_stream(data.draw(event_streams(message)), alt)
    end = body.rindex(b'"finishReason":')
    events = read_stream([body[: data.draw(st.integers(0, end))]])
    assert [type(event) for event in events if isinstance(event, (Done, Failed))] == [Failed]
    assert isinstance(events[-1], Failed)


WORDS = [
    *("candidates", "content", "parts", "text", "thought", "functionCall", "name", "args", "error"),
    *("finishReason", "usageMetadata", "promptTokenCount", "promptFeedback", "blockReason", "code"),
    *(
        "inlineData",
        "mimeType",
        "data",
        "thoughtSignature",
        "index",
        "status",
        "details",
        "contents",
    ),
    *("role", "functionResponse", "response", "tools", "functionDeclarations", "generationConfig"),
]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(["STOP", "user", ""]),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=4)
    ),
    max_leaves=12,
).map(msgspec.json.encode)
BODIES = st.binary(max_size=60) | JSON


@given(frames=st.lists(BODIES, max_size=5))
def test_no_bytes_make_the_decoder_raise_or_end_twice(frames: list[bytes]):
    decoder = DIALECT.stream_decoder(target_of(ANSWERS))
    reader = GeminiFrames()
    body = b"".join(b"data: " + each.replace(b"\n", b" ") + b"\n\n" for each in frames)
    events = [event for frame in reader.feed(body) for event in decoder.feed(frame)]
    events += decoder.close()
    endings = [event for event in events if isinstance(event, (Done, Failed))]
    assert endings == events[-1:]
    assert decoder.ended


@given(BODIES)
def test_no_bodies_make_the_readers_raise_anything_else(body: bytes):
    for read in (
        lambda: DIALECT.decode_response(body, target_of(ANSWERS)),
        lambda: DIALECT.decode_request(body),
        lambda: DIALECT.decode_models(body),
        lambda: DIALECT.decode_count(body),
    ):
        with suppress(PolyvoxError):
            read()
    assert DIALECT.decode_error(500, {}, body).status == 500
