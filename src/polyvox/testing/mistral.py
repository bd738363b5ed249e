"""OpenAI's chunks and answers, put as Mistral puts them.

Mistral streams every tool call whole, in one chunk, and its reasoning stands among the content as a
piece of type "thinking" (Mistral docs, "Function calling" and "Reasoning"). Its own SDK reads
nothing else.
"""

from typing import Any

import msgspec

from polyvox import jsontext
from polyvox.assembly import arguments_text
from polyvox.dialects.sse import encode_event
from polyvox.events import Event, ThinkingDelta, ToolCallDelta, ToolCallEnd, ToolCallStart

__all__ = ["MistralStream", "mistral_body"]

_PREFIX = b"data: "


class MistralStream:
    """Puts the chunks of one streamed answer differently."""

    def __init__(self) -> None:
        self._begun: dict[int, dict[str, Any]] = {}  # the first chunks of tool calls, by block

    def put(self, event: Event, chunks: list[bytes]) -> list[bytes]:
        """The chunks for this event, in place of these."""
        match event:
            case ToolCallStart(index=index):
                self._begun[index] = _decoded(chunks[0])
                return []
            case ToolCallDelta():
                return []
            case ToolCallEnd(index=index, block=block):
                whole = self._begun.pop(index)
                (call,) = whole["choices"][0]["delta"]["tool_calls"]
                call["function"]["arguments"] = arguments_text(block)
                return [encode_event(jsontext.encode(whole))]
            case ThinkingDelta():
                return [_with_thinking(chunk) for chunk in chunks]
            case _:
                return chunks


def mistral_body(body: bytes) -> bytes:
    """A whole answer, its reasoning among the content."""
    answer: dict[str, Any] = msgspec.json.decode(body)
    for choice in answer["choices"]:
        _move_thinking(choice["message"])
    return jsontext.encode(answer)


def _decoded(chunk: bytes) -> dict[str, Any]:
    return msgspec.json.decode(chunk.removeprefix(_PREFIX))


def _with_thinking(chunk: bytes) -> bytes:
    body = _decoded(chunk)
    _move_thinking(body["choices"][0]["delta"])
    return encode_event(jsontext.encode(body))


def _move_thinking(message: dict[str, Any]) -> None:
    """Make ``reasoning_content`` of a message, or a part of one, the first piece of its content."""
    thinking, text = message.pop("reasoning_content", None), message.get("content")
    if thinking is None:
        return
    pieces: list[Any] = [{"type": "thinking", "thinking": [{"type": "text", "text": thinking}]}]
    message["content"] = pieces + ([{"type": "text", "text": text}] if text else [])
