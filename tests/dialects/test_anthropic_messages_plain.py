"""Answers of texts and calls, which are read at once, are read as piece by piece."""

from typing import Any

import msgspec
import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from polyvox.dialects import Target
from polyvox.dialects.anthropic_messages import DIALECT
from polyvox.dialects.anthropic_messages.answer_in import MessagesDecoder
from polyvox.dialects.anthropic_messages.plain import plain_message
from polyvox.dialects.anthropic_messages.wire import STOP_REASONS, Message
from polyvox.messages import AssistantMessage, Text, ToolCall

TARGET = Target(provider="anthropic", model="claude-opus-5", base_url="https://api.example")

_COUNTS = st.sampled_from([None, 0, 7, 300])
_USAGES = st.none() | st.fixed_dictionaries(
    {},
    optional={
        "input_tokens": _COUNTS,
        "output_tokens": _COUNTS,
        "cache_creation_input_tokens": _COUNTS,
        "cache_read_input_tokens": _COUNTS,
        "cache_creation": st.sampled_from([None, {"ephemeral_1h_input_tokens": 5}]),
        "output_tokens_details": st.sampled_from([None, {"thinking_tokens": 3}]),
    },
)
_BLOCKS = st.sampled_from(
    [
        {"type": "text", "text": "Hello."},
        {"type": "text", "text": "Hello.", "citations": None},
        {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Oslo"}},
        {"type": "tool_use", "id": "toolu_2", "name": "time", "input": {}},
    ]
)
_UNUSUAL = st.sampled_from(
    [
        {"type": "text", "text": ""},
        {"type": "text", "text": 7},
        {"type": "text", "text": "Hello.", "citations": [{"type": "page_location"}]},
        {"type": "thinking", "thinking": "Hm.", "signature": "x"},
        {"type": "redacted_thinking", "data": "x"},
        {"type": "tool_use", "id": "toolu_3", "name": "weather", "input": "Oslo"},
        {"type": "tool_use", "id": "toolu_4", "name": None, "input": {"city": "Oslo"}},
        {"type": "tool_use", "id": "toolu_5", "name": "x", "input": {}, "caller": {"type": "y"}},
        {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {}},
        {"text": "no type"},
    ]
)
_ANSWERS = st.fixed_dictionaries(
    {
        "type": st.just("message"),
        "content": st.lists(_BLOCKS | _BLOCKS | _UNUSUAL, max_size=3) | st.lists(_BLOCKS),
        "stop_reason": st.sampled_from(["end_turn", "tool_use"])
        | st.sampled_from([None, "", "nobody knows", *STOP_REASONS]),
    },
    optional={
        "id": st.just("msg_1"),
        "model": st.just("claude-opus-5-20260101"),
        "stop_sequence": st.sampled_from([None, "END"]),
        "stop_details": st.sampled_from([None, {"explanation": "No."}]),
        "usage": _USAGES,
    },
)


def answer_of(body: bytes) -> Message:
    return msgspec.json.decode(body, type=Message)


@given(_ANSWERS)
def test_an_answer_read_at_once_is_the_one_read_piece_by_piece(answer: dict[str, Any]):
    body = msgspec.json.encode(answer)
    event("at once" if plain_message(answer_of(body), TARGET) else "piece by piece")
    piece_by_piece = MessagesDecoder(TARGET).read(answer_of(body))
    assert DIALECT.decode_response(body, TARGET) == piece_by_piece


@pytest.mark.parametrize("reason", ["end_turn", "max_tokens", "stop_sequence"])
def test_an_answer_of_one_text_is_read_at_once(reason: str):
    message = plain_message(
        Message(content=[{"type": "text", "text": "Hi"}], stop_reason=reason), TARGET
    )
    assert message is not None
    assert message.content == [Text("Hi")]


def test_a_call_is_read_at_once():
    call = {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Oslo"}}
    assert plain_message(
        Message(content=[call], stop_reason="tool_use"), TARGET
    ) == AssistantMessage(
        [ToolCall("toolu_1", "weather", {"city": "Oslo"})],
        "tool_calls",
        provider="anthropic",
        model="claude-opus-5",
    )
