"""Answers of text and calls, which are read at once, are read as piece by piece."""

from typing import Any

import msgspec
import pytest
from hypothesis import event, example, given
from hypothesis import strategies as st

from dialects.openai_chat_strategies import TARGET, answers
from polyvox.dialects import get_dialect
from polyvox.dialects.openai_chat.errors import chunk_error
from polyvox.dialects.openai_chat.finish import FAILED, STOPPED
from polyvox.dialects.openai_chat.plain import plain_message
from polyvox.dialects.openai_chat.reading import AnswerReader
from polyvox.dialects.openai_chat.wire import CHUNK
from polyvox.errors import PolyvoxError
from polyvox.events import Done, Failed
from polyvox.messages import AssistantMessage, Text, ToolCall

DIALECT = get_dialect("openai-chat")

_TEXTS = st.sampled_from([None, "", " ", "Hello.", "Ünïcödé"])
_COUNTS = st.sampled_from([None, 0, 7, 12.0, 300, -3])
_REASONS = st.sampled_from([None, "", "STOP", "nobody knows", *STOPPED, *FAILED])
_ARGUMENTS = st.sampled_from(["", "  ", "{}", '{"city": "Oslo"}', '{"ci'])


def fields(**each: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Objects with any of these fields."""
    return st.fixed_dictionaries({}, optional=each)


def merged(
    usual: st.SearchStrategy[dict[str, Any]], unusual: st.SearchStrategy[dict[str, Any]]
) -> st.SearchStrategy[dict[str, Any]]:
    """Mostly the usual object; at times with something that is not."""
    chance = st.sampled_from([False, False, False, False, True])
    return st.builds(
        lambda one, more, takes: {**one, **more} if takes else one, usual, unusual, chance
    )


_DETAILS = fields(
    cached_tokens=_COUNTS,
    cache_write_tokens=_COUNTS,
    audio_tokens=_COUNTS,
    reasoning_tokens=_COUNTS,
)
_USAGES = st.sampled_from([None, "lots", {}, {"prompt_tokens": "many"}]) | fields(
    prompt_tokens=_COUNTS,
    completion_tokens=_COUNTS,
    total_tokens=_COUNTS,
    prompt_tokens_details=st.none() | _DETAILS,
    completion_tokens_details=st.none() | _DETAILS,
    prompt_cache_hit_tokens=_COUNTS,
    reasoning_tokens=_COUNTS,
    cost=st.sampled_from([None, 0, 0.0125, {"total_cost": 0.5}]),
)
_FUNCTIONS = merged(
    st.fixed_dictionaries({"name": st.just("weather"), "arguments": _ARGUMENTS}),
    fields(
        name=st.sampled_from([None, ""]), arguments=st.sampled_from([None, {}, {"city": "Oslo"}])
    ),
)
_CALLS = merged(
    st.fixed_dictionaries(
        {"id": st.sampled_from(["call_1", "call_2"]), "function": _FUNCTIONS},
        optional={"index": st.sampled_from([0, 3])},
    ),
    fields(
        id=st.sampled_from([None, ""]),
        function=st.none(),
        extra_content=st.sampled_from([{}, {"google": {"thought_signature": "x"}}]),
    ),
)
_SAID = merged(
    fields(content=_TEXTS, tool_calls=st.none() | st.lists(_CALLS, max_size=3), refusal=st.none()),
    fields(
        content=st.sampled_from([[], ["Hi"], [{"type": "text", "text": "Hi"}]]),
        reasoning_content=_TEXTS,
        reasoning=_TEXTS | st.just(7),
        reasoning_details=st.sampled_from([[], [{"type": "reasoning.text", "text": "Hm."}]]),
        refusal=_TEXTS,
        function_call=_FUNCTIONS,
        images=st.sampled_from([[], [{}]]),
    ),
)
_CHOICES = merged(
    st.fixed_dictionaries(
        {"message": _SAID, "finish_reason": st.sampled_from(["stop", "tool_calls"])},
        optional={"index": st.just(0)},
    ),
    fields(
        index=st.just(1),
        message=st.none(),
        delta=_SAID,
        finish_reason=_REASONS,
        usage=_USAGES,
        error=st.sampled_from([{}, {"message": "no room", "code": 502}]),
    ),
)
_ANSWERS = merged(
    st.fixed_dictionaries(
        {"choices": st.lists(_CHOICES, min_size=1, max_size=1)},
        optional={
            "id": st.sampled_from([None, "", "chatcmpl-1"]),
            "model": st.sampled_from([None, "", "gpt-5-mini-2025-08-07"]),
            "usage": _USAGES,
        },
    ),
    fields(
        choices=st.none() | st.lists(_CHOICES, max_size=2),
        x_groq=fields(usage=_USAGES),
        error=st.sampled_from(["", {}, {"message": "no room"}]),
    ),
)


def piece_by_piece(body: bytes) -> AssistantMessage | str:
    """The message, or the error, of an answer that is read like a stream of one chunk."""
    reader, chunk = AnswerReader(TARGET), CHUNK.decode(body)
    if (error := chunk_error(chunk)) is not None:
        return f"{error.kind}: {error.text}"
    reader.read(chunk)
    if reader.empty:
        return "empty"
    reader.end()
    match reader.assembly.take()[-1]:
        case Done(message=message):
            return with_known_ids(message)
        case Failed(error=error):
            return f"{error.kind}: {error.text}"
        case other:
            pytest.fail(f"the answer ended with {other}")


def at_once(body: bytes) -> AssistantMessage | str:
    """What the dialect says."""
    try:
        return with_known_ids(DIALECT.decode_response(body, TARGET))
    except PolyvoxError as error:
        return "empty" if "is empty" in error.text else f"{error.kind}: {error.text}"


def with_known_ids(message: AssistantMessage) -> AssistantMessage:
    """The same, with one id for all calls whose provider gave none."""
    content = [
        msgspec.structs.replace(block, id="new")
        if isinstance(block, ToolCall) and block.id not in ("call_1", "call_2")
        else block
        for block in message.content
    ]
    return msgspec.structs.replace(message, content=content)


@given(_ANSWERS)
@example({"choices": [{"message": {"content": "Hi"}, "finish_reason": "tool_calls"}]})
@example({"choices": [{"message": {"tool_calls": [{}]}, "finish_reason": "length"}]})
def test_an_answer_read_at_once_is_the_one_read_piece_by_piece(answer: dict[str, Any]):
    body = msgspec.json.encode(answer)
    event("at once" if plain_message(CHUNK.decode(body), TARGET) else "piece by piece")
    assert at_once(body) == piece_by_piece(body)


@given(answers)
def test_an_answer_of_our_own_read_at_once_is_the_one_read_piece_by_piece(
    message: AssistantMessage,
):
    body = DIALECT.encode_response(message)
    assert at_once(body) == piece_by_piece(body)


@pytest.mark.parametrize("reason", ["stop", "length", "end_turn"])
def test_an_answer_of_one_text_is_read_at_once(reason: str):
    answer = {"choices": [{"index": 0, "message": {"content": "Hi"}, "finish_reason": reason}]}
    message = plain_message(CHUNK.decode(msgspec.json.encode(answer)), TARGET)
    assert message is not None
    assert message.content == [Text("Hi")]


def test_an_answer_of_text_and_calls_is_read_at_once():
    call = {"id": "call_1", "function": {"name": "weather", "arguments": '{"city":"Oslo"}'}}
    said = {"content": "I'll look.", "tool_calls": [call, {**call, "id": "call_2"}]}
    answer = {"choices": [{"message": said, "finish_reason": "tool_calls"}]}
    message = plain_message(CHUNK.decode(msgspec.json.encode(answer)), TARGET)
    assert message is not None
    assert message.content == [
        Text("I'll look."),
        ToolCall("call_1", "weather", {"city": "Oslo"}),
        ToolCall("call_2", "weather", {"city": "Oslo"}),
    ]
