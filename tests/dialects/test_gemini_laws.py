"""Laws of the gemini dialect: what one half writes, the other reads back.

The official SDK's types are the witness that what lies between is Google's format.
"""

from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

import msgspec
import pytest
from google.genai.types import GenerateContentResponse
from hypothesis import given
from hypothesis import strategies as st

from polyvox.assembly import fold
from polyvox.dialects import Target, find_route
from polyvox.dialects.gemini import DIALECT
from polyvox.dialects.gemini.frames import GeminiFrames
from polyvox.errors import PolyvoxError
from polyvox.events import Done, Event, Failed
from polyvox.http import HttpRequest
from polyvox.messages import AssistantMessage, File, Message, Text, Thinking, UserMessage
from polyvox.request import Reasoning, Request, ResponseFormat
from strategies import Carries, answers, cuts, event_streams, fractions, names, requests, usages

LEVELS = st.sampled_from(["low", "high"]).map(Reasoning)
BUDGETS = st.integers(1, 24576).map(lambda tokens: Reasoning(budget_tokens=tokens))
OFF = st.just(Reasoning("none"))
SIGNATURES = st.binary(min_size=1, max_size=9).map(lambda data: msgspec.json.encode(data)[1:-1])
SCHEMAS: st.SearchStrategy[dict[str, Any]] = st.recursive(
    st.fixed_dictionaries({"type": st.sampled_from(["string", "integer", "boolean"])})
    | st.just({"enum": ["a", "b"]}),
    lambda inner: (
        st.builds(lambda each: {"type": "array", "items": each, "minItems": 1}, inner)
        | st.builds(lambda one, other: {"anyOf": [one, other]}, inner, inner)
        | st.dictionaries(names, inner, max_size=2).map(
            lambda each: {"type": "object", "properties": each, "required": list(each)}
        )
    ),
    max_leaves=5,
)
COMMON: dict[str, Any] = {
    "provider": "google",
    "tool_errors": True,
    "strict_tools": False,
    "parallel_tool_calls": False,
    "broken_calls": False,
    "max_tokens": st.none() | st.integers(1, 10**5),
    "temperature": st.none() | fractions,
    "top_p": st.none() | fractions,
    "seed": st.none() | st.integers(0, 2**31 - 1),
    "response_format": st.none() | st.just(ResponseFormat()) | SCHEMAS.map(ResponseFormat),
    "usage": usages(cache_writes=False),
}
MODELS = [
    Carries(model="gemini-3-pro-preview", reasoning=st.none() | LEVELS, **COMMON),
    Carries(model="gemini-2.5-flash", reasoning=st.none() | BUDGETS | OFF, **COMMON),
    Carries(model="gemini-2.0-flash", **COMMON),
]
ANSWERS = MODELS[0]


def target_of(carries: Carries) -> Target:
    return Target(provider="google", model=carries.model, base_url="https://g.example")


def sent_back(http: HttpRequest) -> Request:
    """The request that a server reads at the address it was sent to."""
    parts = urlsplit(http.url)
    found = find_route(DIALECT, http.method, f"{parts.path}?{parts.query}")
    assert found is not None
    return DIALECT.decode_request(http.body, found[1])


def as_carried(request: Request, carries: Carries, data: st.DataObject) -> Request:
    """The request with what the format has no place for taken out, and schemas that it takes."""
    tools = [
        msgspec.structs.replace(tool, parameters={"type": "object", **data.draw(SCHEMAS)})
        for tool in request.tools
    ]
    messages: list[Message] = []
    for message in request.messages:
        if isinstance(message, AssistantMessage):
            message.content = [_open(block) for block in message.content]
        else:
            message.content = [_unnamed(block) for block in message.content]  # pyright: ignore[reportAttributeAccessIssue]
        if messages and isinstance(message, UserMessage) and isinstance(messages[-1], UserMessage):
            messages[-1].content += message.content  # neighbours are one turn
        else:
            messages.append(message)
    for message in messages:
        _in_order(message, carries)
    return msgspec.structs.replace(request, messages=messages, tools=tools)


def _open(block: Any) -> Any:
    return msgspec.structs.replace(block, redacted=False) if isinstance(block, Thinking) else block


def _unnamed(block: Any) -> Any:
    return msgspec.structs.replace(block, name="") if isinstance(block, File) else block


def _in_order(message: Message, carries: Carries) -> None:
    """Results hold texts, then (from Gemini 3 on) what has bytes; the rest would follow in a turn."""
    if message.__struct_config__.tag != "tool":
        return
    texts = [block for block in message.content if isinstance(block, Text)]
    blobs = [block for block in message.content if getattr(block, "data", None) is not None]
    message.content = texts + (blobs if carries.model.startswith("gemini-3") else [])  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.parametrize("carries", MODELS, ids=lambda each: each.model)
@given(data=st.data())
def test_a_request_is_read_as_it_was_written_always_in_the_same_bytes(
    carries: Carries, data: st.DataObject
):
    request = as_carried(data.draw(requests(carries)), carries, data)
    target = target_of(carries)
    http = DIALECT.encode_request(request, target)
    assert http.dropped == ()
    assert sent_back(http) == request
    assert DIALECT.encode_request(sent_back(http), target).body == http.body


def as_told(message: AssistantMessage, *, whole: bool) -> AssistantMessage:
    """What comes back of an answer: no empty blocks, and in a stream neighbours of a kind as one."""
    told: list[Any] = []
    for block in map(_open, message.content):
        last = told[-1] if told else None
        if isinstance(block, Text) and not block.text:
            continue
        if not whole and isinstance(block, Text) and isinstance(last, Text):
            told[-1] = msgspec.structs.replace(last, text=last.text + block.text)
        else:
            told.append(block)
    return msgspec.structs.replace(message, content=told)


def signed(message: AssistantMessage, data: st.DataObject) -> AssistantMessage:
    """The answer with signatures in base64, and under the calls."""
    blocks: list[Any] = []
    for block in message.content:
        signature = data.draw(SIGNATURES).decode()
        if isinstance(block, Thinking):
            block = msgspec.structs.replace(block, signature=signature)
        elif not isinstance(block, Text) and data.draw(st.booleans()):
            meta = {"gemini": {"thoughtSignature": signature}}
            block = msgspec.structs.replace(block, meta=meta, producer=ANSWERS.producer)
        blocks.append(block)
    return msgspec.structs.replace(message, content=blocks)


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
    message = signed(data.draw(answers(ANSWERS)), data)
    body = DIALECT.encode_response(message)
    GenerateContentResponse.model_validate_json(body)
    assert DIALECT.decode_response(body, target_of(ANSWERS)) == as_told(message, whole=True)


@given(data=st.data(), alt=st.sampled_from(["sse", "json"]))
def test_a_streamed_answer_is_read_as_it_was_written_wherever_it_is_cut(
    data: st.DataObject, alt: str
):
    message = signed(data.draw(answers(ANSWERS)), data)
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


@given(data=st.data())
def test_an_array_of_frames_is_read_as_a_whole_answer_too(data: st.DataObject):
    message = data.draw(answers(ANSWERS).filter(lambda each: len(each.content) > 0))
    body = write_stream(data.draw(event_streams(message)), "json")
    assert DIALECT.decode_response(body, target_of(ANSWERS)) == read_stream([body])[-1].message  # pyright: ignore[reportAttributeAccessIssue]


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
