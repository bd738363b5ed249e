"""The answers that the server gives, as bytes made before anyone measures.

What everybody reads is written here: shapes follow OpenAI's "The chat completion chunk object" and
Anthropic's "Streaming Messages". Where only our own dialects are compared, each one's server half
writes the same words.
"""

import json
from typing import Any, Literal, NamedTuple

from polyvox.assembly import unfold
from polyvox.dialects import get_dialect
from polyvox.events import TextDelta
from polyvox.messages import assistant
from polyvox.request import Request
from polyvox.usage import Usage

Dialect = Literal["openai", "anthropic"]
Kind = Literal["text", "tool"]

MODEL = {"openai": "gpt-5-mini", "anthropic": "claude-sonnet-4-5"}
_CREATED = 1_760_000_000
_INPUT_TOKENS = 12


class Answer(NamedTuple):
    """A streamed body, each of its events one HTTP chunk; ``pieces`` are what is counted."""

    head: bytes
    pieces: list[bytes]
    tail: bytes
    media_type: str = "text/event-stream"


def make_answer(dialect: Dialect, kind: Kind, count: int) -> Answer:
    """An answer in so many pieces; a tool's arguments are a JSON object of ten letters a piece."""
    texts = _argument_pieces(count) if kind == "tool" else _words(count)
    return (_openai if dialect == "openai" else _anthropic)(kind, texts)


def own_answer(dialect: str, count: int) -> Answer:
    """As many words in one of our dialects, by its full name, as our own server half writes them."""
    words = _words(count)
    message = assistant("".join(words))
    message.stop_reason, message.usage = "stop", Usage(_INPUT_TOKENS, count)
    codec = get_dialect(dialect)
    encoder = codec.stream_encoder(Request(messages=[]))
    head, pieces, tail = b"", list[bytes](), b""
    for event in unfold(message, lambda _: words):
        data = encoder.encode(event)
        if isinstance(event, TextDelta):
            pieces.append(_framed(data))
        elif data and pieces:
            tail += _framed(data)
        elif data:
            head += _framed(data)
    return Answer(head, pieces, tail, codec.frame_reader().media_type)


def _words(count: int) -> list[str]:
    # All different: some clients take a run of equal pieces for a model that is stuck.
    return [f" w{index:05d}" for index in range(count)]


def _argument_pieces(count: int) -> list[str]:
    letters = ["abcdefghij"] * count
    letters[0], letters[-1] = '{"text": "', '"}'
    return letters


def _openai(kind: Kind, texts: list[str]) -> Answer:
    shared = {
        "id": "chatcmpl-bench0123456789",
        "object": "chat.completion.chunk",
        "created": _CREATED,
        "model": MODEL["openai"],
    }

    def chunk(delta: dict[str, Any], finish_reason: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
        return _event({**shared, "choices": [choice]})

    def call(function: dict[str, str], **more: str) -> dict[str, Any]:
        return {"tool_calls": [{"index": 0, **more, "function": function}]}

    usage = {
        "prompt_tokens": _INPUT_TOKENS,
        "completion_tokens": len(texts),
        "total_tokens": _INPUT_TOKENS + len(texts),
    }
    head = chunk({"role": "assistant", "content": ""})
    end = _event({**shared, "choices": [], "usage": usage}) + _framed(b"data: [DONE]\n\n")
    if kind == "text":
        pieces = [chunk({"content": text}) for text in texts]
        return Answer(head, pieces, chunk({}, "stop") + end)
    head += chunk(call({"name": "write", "arguments": ""}, id="call_1", type="function"))
    pieces = [chunk(call({"arguments": text})) for text in texts]
    return Answer(head, pieces, chunk({}, "tool_calls") + end)


def _anthropic(kind: Kind, texts: list[str]) -> Answer:
    def event(name: str, **fields: Any) -> bytes:
        return _event({"type": name, **fields}, name)

    def piece(text: str) -> bytes:
        delta = (
            {"type": "text_delta", "text": text}
            if kind == "text"
            else {"type": "input_json_delta", "partial_json": text}
        )
        return event("content_block_delta", index=0, delta=delta)

    message = {
        "id": "msg_bench0123456789",
        "type": "message",
        "role": "assistant",
        "model": MODEL["anthropic"],
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {"input_tokens": _INPUT_TOKENS, "output_tokens": 1},
    }
    block: dict[str, Any] = (
        {"type": "text", "text": ""}
        if kind == "text"
        else {"type": "tool_use", "id": "toolu_1", "name": "write", "input": {}}
    )
    stop = {
        "stop_reason": "end_turn" if kind == "text" else "tool_use",
        "stop_sequence": None,
    }
    return Answer(
        event("message_start", message=message)
        + event("content_block_start", index=0, content_block=block),
        [piece(text) for text in texts],
        event("content_block_stop", index=0)
        + event("message_delta", delta=stop, usage={"output_tokens": len(texts)})
        + event("message_stop"),
    )


def _event(value: dict[str, Any], name: str = "") -> bytes:
    data = json.dumps(value, separators=(",", ":")).encode()
    return _framed((f"event: {name}\n".encode() if name else b"") + b"data: %b\n\n" % data)


def _framed(event: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(event), event)
