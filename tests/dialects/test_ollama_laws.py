"""Laws of the ollama dialect: what one half writes, the other reads back, however it was cut.

The official client's types are the witness that what lies between is Ollama's format.
"""

from collections.abc import Iterator
from itertools import chain, pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ollama import ChatResponse, GenerateResponse

from polyvox.assembly import fold, unfold
from polyvox.dialects import Place, ServerSentEvent, Target, get_dialect
from polyvox.errors import PolyvoxError
from polyvox.events import Done, Event, Failed
from polyvox.messages import (
    AssistantMessage,
    Image,
    Message,
    Text,
    Thinking,
    ToolCall,
    ToolMessage,
    UserMessage,
    user,
)
from polyvox.request import Reasoning, Request, ResponseFormat, ToolDefinition
from polyvox.usage import NO_USAGE, Usage
from strategies import fractions, json_objects, names, schemas, texts, visible_texts

DIALECT = get_dialect("ollama")
TARGET = Target(provider="ollama", model="sage:1b", base_url="http://127.0.0.1:11434", auth="none")
CHAT = Request(messages=[user("hi")])
GENERATE = Request(messages=[user("hi")], options={"ollama": {"endpoint": "generate"}})
AT_GENERATE = Place(path="/api/generate")

tool_calls = st.builds(ToolCall, st.uuids().map(str), names, json_objects)
counts = st.integers(0, 10**9)
usages = st.just(NO_USAGE) | st.builds(Usage, counts, counts)
said = st.builds(Text, texts) | st.builds(Thinking, texts) | tool_calls
answers = st.builds(
    AssistantMessage,
    content=st.lists(said, max_size=6),
    stop_reason=st.sampled_from(["stop", "stop_sequence", "length", "tool_calls", "refusal"]),
    usage=usages,
    response_model=names,
)


def as_carried(message: AssistantMessage, *, whole: bool) -> AssistantMessage:
    """The message as it comes out of the wire: the whole list of what the format can't say.

    Blocks have no borders: neighbours of a kind flow into one, and empty ones vanish; a whole
    answer sorts them into reasoning, text and calls. There are two ways to end, and no answer ids.
    """
    order = [Thinking, Text, ToolCall]
    blocks = list(message.content)
    if whole:
        blocks.sort(key=lambda block: order.index(type(block)))
    length = message.stop_reason == "length"
    reason = "length" if length else "tool_calls" if message.tool_calls else "stop"
    return AssistantMessage(
        _flowed(blocks),
        reason,
        message.usage,
        TARGET.provider,
        TARGET.model,
        message.response_model,
    )


def _flowed(blocks: list[Any]) -> list[Any]:
    flowed: list[Any] = []
    for block in blocks:
        if isinstance(block, ToolCall):
            flowed.append(block)
        elif block.text:
            owner = TARGET.producer if isinstance(block, Thinking) else None
            if flowed and type(flowed[-1]) is type(block):
                block = type(block)(flowed.pop().text + block.text)
            flowed.append(type(block)(block.text, producer=owner))
    return flowed


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

pictures = st.binary(max_size=20).map(lambda more: Image(b"\x89PNG\r\n\x1a\n" + more))
user_messages = st.one_of(
    visible_texts.map(lambda text: [Text(text)]),
    st.lists(pictures, min_size=1, max_size=2),
    st.tuples(visible_texts.map(Text), pictures).map(list),
).map(UserMessage)


@st.composite
def turns(draw: st.DrawFn) -> list[Message]:
    """A user's turn, and perhaps an answer with the results of its calls."""
    asked: list[Message] = [draw(user_messages)]
    if draw(st.booleans()):
        return asked
    thinking = draw(st.lists(st.builds(Thinking, visible_texts), max_size=1))
    text = draw(st.lists(st.builds(Text, visible_texts), max_size=1))
    calls = draw(st.lists(tool_calls, min_size=0 if thinking or text else 1, max_size=3))
    answer = AssistantMessage([*thinking, *text, *calls], "tool_calls" if calls else "stop")
    results = [ToolMessage(call.id, [Text(draw(visible_texts))], call.name) for call in calls]
    return [*asked, answer, *results]


tools = st.builds(ToolDefinition, names, texts, schemas)
efforts = st.sampled_from(["none", "low", "medium", "high", "max"])
common: dict[str, Any] = {
    "model": st.just(TARGET.model),
    "system": st.lists(st.builds(Text, visible_texts), max_size=1),
    "response_format": st.none() | st.just(ResponseFormat()) | schemas.map(ResponseFormat),
    "max_tokens": st.none() | st.integers(1, 10**6),
    "temperature": st.none() | fractions,
    "top_p": st.none() | fractions,
    "stop": st.lists(visible_texts, max_size=3),
    "seed": st.none() | st.integers(-(2**40), 2**40),
    "reasoning": st.none() | st.builds(Reasoning, efforts),
    "stream": st.booleans(),
}
vendor = st.fixed_dictionaries({}, optional={
    "keep_alive": st.sampled_from(["1h", 0, -1]),
    "options": st.fixed_dictionaries({"num_ctx": st.integers(1, 2**20)}),
})  # fmt: skip
chats = st.builds(
    Request,
    messages=st.lists(turns(), min_size=1, max_size=3).map(lambda some: list(chain(*some))),
    tools=st.lists(tools, max_size=3),
    options=vendor.map(lambda fields: {"ollama": fields} if fields else {}),
    **common,
)
prompts = st.builds(
    Request,
    messages=user_messages.map(lambda message: [message]),
    options=st.builds(
        lambda fields, suffix: {"ollama": {"endpoint": "generate", "suffix": suffix, **fields}},
        vendor,
        texts,
    ),
    **common,
)


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
    assert b"endpoint" not in sent.body or b"endpoint" in msgspec.json.encode(request.messages)
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
