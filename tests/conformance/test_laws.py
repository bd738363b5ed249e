"""Laws of every dialect: what one half writes the other reads, and nothing breaks silently.

Each law is a few lines over `CASES`; a dialect that is registered is held to all of them.
"""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from conformance.cases import CASES, Case
from polyvox import estimate, jsontext
from polyvox.assembly import fold, unfold
from polyvox.dialects import ServerSentEvent
from polyvox.errors import (
    AbortedError,
    AuthenticationError,
    BadRequestError,
    ContextWindowExceededError,
    NotFoundError,
    OverloadedError,
    PermissionDeniedError,
    PolyvoxError,
    ProtocolError,
    RateLimitError,
    ServerError,
)
from polyvox.events import Done, Event, Failed
from polyvox.messages import AssistantMessage, Text, ToolCall, assistant, tool_result, user
from polyvox.request import Request
from polyvox.testing import check_grammar
from polyvox.usage import Usage
from strategies import cuts

LONE = "\ud83d"  # half an emoji
UNKNOWN = {"x_unknown": {"of": ["no", {"concern": 1}]}}


@pytest.fixture(params=CASES.values(), ids=CASES.keys(), scope="module")
def case(request: pytest.FixtureRequest) -> Case:
    return request.param


def written(case: Case, events: list[Event]) -> bytes:
    encoder = case.dialect.stream_encoder(case.asking)
    return b"".join(encoder.encode(event) for event in events)


def frames_of(case: Case, pieces: list[bytes]) -> list[ServerSentEvent]:
    reader = case.dialect.frame_reader()
    return [frame for piece in pieces for frame in reader.feed(piece)] + reader.close()


def read(case: Case, frames: list[ServerSentEvent]) -> list[Event]:
    decoder = case.dialect.stream_decoder(case.target)
    return [event for frame in frames for event in decoder.feed(frame)] + decoder.close()


def sent(case: Case, *messages: Any, **fields: Any) -> bytes:
    request = Request(messages=list(messages), model=case.target.model, **fields)
    return case.dialect.encode_request(request, case.target).body


# -------------------------------------------------------------------------------------- round trip


@given(data=st.data())
def test_a_request_is_read_as_it_was_written_always_in_the_same_bytes(
    case: Case, data: st.DataObject
):
    request = data.draw(case.requests)
    http = case.dialect.encode_request(request, case.target)
    case.same_request(case.dialect.decode_request(http.body, case.place_of(http)), request)
    copy = msgspec.json.decode(msgspec.json.encode(request), type=Request)
    assert case.dialect.encode_request(copy, case.target).body == http.body


@given(data=st.data())
def test_a_whole_answer_is_read_as_it_was_written(case: Case, data: st.DataObject):
    message = data.draw(case.answers)
    body = case.dialect.encode_response(message)
    case.same_answer(case.dialect.decode_response(body, case.target), message, True)


@given(data=st.data())
def test_a_streamed_answer_is_read_as_it_was_written_wherever_it_is_cut(
    case: Case, data: st.DataObject
):
    message = data.draw(case.streamed)
    body = written(case, data.draw(case.events(message)))
    events = read(case, frames_of(case, data.draw(cuts(body))))
    check_grammar(events)
    assert isinstance(events[-1], Done)
    case.same_answer(events[-1].message, message, False)
    assert fold(events[:-1]).content == events[-1].message.content


@given(data=st.data())
def test_the_first_bytes_tell_a_whole_answer_from_a_streamed_one(case: Case, data: st.DataObject):
    whole = case.dialect.encode_response(data.draw(case.answers))
    streamed = written(case, list(unfold(data.draw(case.streamed))))
    assert not streamed.startswith(case.dialect.whole)
    if not whole.startswith(case.dialect.whole):  # it is a stream of one frame
        assert isinstance(read(case, frames_of(case, [whole]))[-1], Done)


# ----------------------------------------------------------------------------------------- endings


@given(data=st.data())
def test_an_answer_cut_at_any_byte_says_so_or_is_whole(case: Case, data: st.DataObject):
    message = data.draw(case.streamed)
    body = written(case, list(unfold(message)))
    events = read(case, frames_of(case, [body[: data.draw(st.integers(0, len(body) - 1))]]))
    check_grammar(events)
    if isinstance(events[-1], Done):  # only an end mark was lost, or what it cost
        assert contents(events) == contents(read(case, frames_of(case, [body])))


@given(data=st.data())
def test_an_answer_that_fails_at_any_event_keeps_what_arrived(case: Case, data: st.DataObject):
    message = data.draw(case.streamed)
    frames = frames_of(case, [written(case, list(unfold(message)))])
    decoder = case.dialect.stream_decoder(case.target)
    events: list[Event] = []
    for frame in frames[: data.draw(st.integers(0, len(frames) - 1))]:
        events += decoder.feed(frame)
    ended = decoder.ended
    before = decoder.message()
    outline, texts = decoder.outline()
    tokens = estimate.content_tokens(outline.content) + sum(map(estimate.joined_tokens, texts))
    assert tokens == estimate.content_tokens(before.content)
    assert msgspec.structs.replace(outline, content=before.content) == before
    events += decoder.fail(AbortedError("stop"))
    check_grammar(events)
    assert decoder.fail(AbortedError("stop")) == decoder.close() == []
    last = events[-1]
    assert isinstance(last, Done if ended else Failed)
    assert isinstance(last, Done | Failed)
    assert last.message.text == before.text
    assert message.text.startswith(last.message.text)
    whole = {jsontext.encode(call.arguments) for call in message.tool_calls if call.executable}
    runnable = [call for call in last.message.tool_calls if call.executable and call.arguments]
    assert {jsontext.encode(call.arguments) for call in runnable} <= whole


def test_an_empty_answer_is_an_error(case: Case):
    for body in (b"", b" \n"):
        with pytest.raises(ProtocolError):
            case.dialect.decode_response(body, case.target)
    for pieces in ([], [b""], [b"\n\n"]):
        events = read(case, frames_of(case, pieces))
        check_grammar(events)
        assert isinstance(events[-1], Failed)
        assert isinstance(events[-1].error, ProtocolError)


@given(junk=st.binary(max_size=60))
def test_no_bytes_make_anything_else_than_our_errors(case: Case, junk: bytes):
    dialect = case.dialect
    with pytest.raises(PolyvoxError):
        dialect.decode_response(junk, case.target)
    with pytest.raises(PolyvoxError):
        dialect.decode_request(junk, case.place)
    assert dialect.decode_error(500, {}, junk).status == 500
    check_grammar(read(case, [ServerSentEvent(junk, "")]))


# ------------------------------------------------------------------------------------------ inputs


def test_half_an_emoji_does_no_harm_on_its_way_out(case: Case):
    call = ToolCall("a", "look", {"for": LONE})
    body = sent(case, user(f"{LONE}?"), assistant(call), tool_result(call, LONE))
    request = case.dialect.decode_request(body, case.place)
    assert request.messages[0] == user("\ufffd?")
    answer = AssistantMessage([Text(f"{LONE}!")])
    assert (
        case.dialect.decode_response(case.dialect.encode_response(answer), case.target).text
        == "\ufffd!"
    )


def test_half_an_emoji_does_no_harm_on_its_way_in(case: Case):
    answer = AssistantMessage([Text("QQ!")])
    whole = case.dialect.encode_response(answer).replace(b"QQ", rb"\ud83d")
    assert case.dialect.decode_response(whole, case.target).text == "\ufffd!"
    frames = frames_of(case, [written(case, list(unfold(answer)))])
    halved = [ServerSentEvent(f.data.replace(b"QQ", rb"\ud83d"), f.event) for f in frames]
    last = read(case, halved)[-1]
    assert isinstance(last, Done)
    assert last.message.text == "\ufffd!"


def with_unknown(data: bytes) -> bytes:
    value: Any = msgspec.json.decode(data)
    return msgspec.json.encode({**value, **UNKNOWN} if isinstance(value, dict) else value)


def test_unknown_fields_are_never_fatal(case: Case):
    dialect = case.dialect
    answer = AssistantMessage(
        [Text("So."), ToolCall("a", "look", {"x": 1})], "tool_calls", Usage(3, 5)
    )
    whole = dialect.encode_response(answer)
    assert dialect.decode_response(with_unknown(whole), case.target) == dialect.decode_response(
        whole, case.target
    )
    frames = frames_of(case, [written(case, list(unfold(answer)))])
    more = [
        msgspec.structs.replace(frame, data=with_unknown(frame.data))
        if frame.data.startswith(b"{")
        else frame
        for frame in frames
    ]
    assert more != frames
    assert contents(read(case, more)) == contents(read(case, frames))
    request = dialect.decode_request(with_unknown(sent(case, user("hi"))), case.place)
    assert request.messages == [user("hi")]
    kept = request.options.get(dialect.name, {})
    assert {name: kept[name] for name in UNKNOWN if name in kept} in ({}, UNKNOWN)


def contents(events: list[Event]) -> list[tuple[Any, ...]]:
    """What a stream told, but for ids that are made up when none came."""
    last = events[-1]
    assert isinstance(last, Done)
    said = last.message
    return [
        (block.text,) if isinstance(block, Text) else (block.name, block.arguments, block.unparsed)
        for block in said.content
        if isinstance(block, Text | ToolCall)
    ]


# ------------------------------------------------------------------------------------------- usage


@pytest.mark.parametrize("usage", [Usage(70, 8, 50, reasoning_tokens=3), Usage(1, 0)])
def test_usage_is_the_same_whole_and_streamed(case: Case, usage: Usage):
    answer = AssistantMessage([Text("So.")], usage=usage)
    whole = case.dialect.decode_response(case.dialect.encode_response(answer), case.target)
    last = read(case, frames_of(case, [written(case, list(unfold(answer)))]))[-1]
    assert isinstance(last, Done)
    assert whole.usage == last.message.usage
    assert whole.usage.basis == "reported"
    assert (whole.usage.input_tokens, whole.usage.output_tokens) == (
        usage.input_tokens,
        usage.output_tokens,
    )


# ------------------------------------------------------------------------------------------ errors

STATUSES: list[tuple[int, type[PolyvoxError], bool]] = [
    (400, BadRequestError, False),
    (401, AuthenticationError, False),
    (403, PermissionDeniedError, False),
    (404, NotFoundError, False),
    (422, BadRequestError, False),
    (429, RateLimitError, True),
    (500, ServerError, True),
    (502, ServerError, True),
    (503, OverloadedError, True),
    (529, OverloadedError, True),
]


@pytest.mark.parametrize("body", [b"", b"<html><h1>Bad Gateway</h1></html>", b"[]", b'{"a":1}'])
@pytest.mark.parametrize(("status", "kind", "retryable"), STATUSES)
def test_a_status_without_a_word_of_the_dialect_still_means_something(
    case: Case, status: int, kind: type[PolyvoxError], retryable: bool, body: bytes
):
    error = case.dialect.decode_error(status, {"retry-after": "7"}, body)
    assert (type(error), error.status, error.retryable) == (kind, status, retryable)
    assert error.retry_after == 7.0


@pytest.mark.parametrize(
    "kind",
    [
        *(BadRequestError, AuthenticationError, PermissionDeniedError, NotFoundError),
        *(RateLimitError, ServerError, OverloadedError, ContextWindowExceededError),
    ],
)
def test_an_error_is_read_as_it_was_written(case: Case, kind: type[PolyvoxError]):
    text = "the prompt is too long" if kind is ContextWindowExceededError else "No such luck."
    status, body = case.dialect.encode_error(kind(text))
    error = case.dialect.decode_error(status, {}, body)
    assert type(error) is kind
    assert text in error.text


# ----------------------------------------------------------------------------------------- prompts


def test_a_call_that_nobody_answered_is_answered(case: Case):
    body = sent(case, user("?"), assistant(ToolCall("a", "look")), user("Never mind."))
    messages = case.dialect.decode_request(body, case.place).messages
    assert [message.__struct_config__.tag for message in messages] == [
        *("user", "assistant", "tool", "user")
    ]
    assert b"was not run" in body
