"""The server half, outwards: an answer, whole or streamed, as Anthropic writes it.

From the pages "Create a Message" and "Streaming Messages" of Anthropic's API documentation.
"""

import uuid
from typing import Any

from polyvox import jsontext
from polyvox.assembly import arguments_text
from polyvox.dialects import sse
from polyvox.dialects.anthropic_messages.blocks_out import content_block, extras
from polyvox.dialects.anthropic_messages.errors import encode_error
from polyvox.dialects.anthropic_messages.wire import STOP_WORDS, Json, usage_object
from polyvox.dialects.in_turn import BlockEvent, InTurn
from polyvox.events import (
    Done,
    Event,
    Failed,
    Start,
    TextDelta,
    TextEnd,
    TextStart,
    ThinkingDelta,
    ThinkingEnd,
    ThinkingStart,
    ToolCallDelta,
    ToolCallEnd,
    ToolCallStart,
)
from polyvox.messages import AssistantMessage, Image, Text, Thinking, ToolCall
from polyvox.request import Request
from polyvox.usage import NO_USAGE

__all__ = ["MessagesEncoder", "write_response"]

_TEXT: Json = {"type": "text", "text": ""}
_THINKING: Json = {"type": "thinking", "thinking": "", "signature": ""}


def write_response(message: AssistantMessage, request: Request | None = None) -> bytes:
    """A whole answer; its form is the same for all requests.

    A picture has no place in this format. Nor has a call whose arguments are broken, because here
    they must be an object, and some client might run it: it is left out, and the answer then says
    that it was cut at ``max_tokens``. Raises ``ValueError`` for an answer that failed: that is
    told by ``encode_error``.
    """
    if message.stop_reason not in STOP_WORDS:
        raise ValueError(f"an answer that ended with {message.stop_reason!r} is told as an error")
    shown = [block for block in message.content if not isinstance(block, Image)]
    whole = [block for block in shown if not isinstance(block, ToolCall) or block.executable]
    reason = STOP_WORDS[message.stop_reason if len(whole) == len(shown) else "length"]
    body = _head(message.id, message.response_model or message.model)
    body["content"] = [content_block(block) for block in whole]
    body["stop_reason"] = reason
    body["stop_sequence"] = message.stop_sequence
    body["usage"] = usage_object(message.usage)
    return jsontext.encode(body)


def _head(id: str, model: str) -> Json:
    return {
        "id": id or f"msg_{uuid.uuid4().hex[:24]}",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": usage_object(NO_USAGE),
    }


class MessagesEncoder:
    """Writes one streamed answer.

    Blocks go out one after the other, as clients of this format expect: while one is open, those
    that grow beside it (parallel calls do) are held back. A block is announced with its first
    piece, because only its end tells whether it is a redacted or an opaque one.
    """

    def __init__(self, request: Request) -> None:
        self._model = request.model
        self._turns = InTurn()
        self._index = -1  # the index in the stream of the block that is going out
        self._announced = False  # its start was written
        self._grown = False  # a piece of it was written

    def encode(self, event: Event) -> bytes:
        """The bytes of the body for this event; may be empty."""
        match event:
            case Start(id=id, model=model):
                head = _head(id, self._model or model)
                return _frame({"type": "message_start", "message": head})
            case Done(message=message):
                return self._last(message)
            case Failed(error=error):
                return sse.encode_event(encode_error(error)[1], "error")
            case _ if isinstance(event, BlockEvent):
                return b"".join(map(self._block_event, self._turns.put(event)))
            case _:
                return b""

    def _block_event(self, event: BlockEvent) -> bytes:
        match event:
            case TextStart() | ThinkingStart():
                self._begin()
                return b""
            case ToolCallStart(id=id, name=name):
                self._begin()
                return self._announce({"type": "tool_use", "id": id, "name": name, "input": {}})
            case TextDelta(text=text):
                return self._grow(_TEXT, "text_delta", "text", text)
            case ThinkingDelta(text=text):
                return self._grow(_THINKING, "thinking_delta", "thinking", text)
            case ToolCallDelta(text=text):
                return self._grow({}, "input_json_delta", "partial_json", text)
            case TextEnd(block=block) | ThinkingEnd(block=block) | ToolCallEnd(block=block):
                stop = _frame({"type": "content_block_stop", "index": self._index})
                return self._rest(block) + stop

    def _begin(self) -> None:
        self._index += 1
        self._announced = self._grown = False

    def _rest(self, block: Text | Thinking | ToolCall) -> bytes:
        """What of a block has not gone out before its end."""
        if not self._announced and "type" in extras(block):
            return self._announce(content_block(block))
        match block:
            case Thinking(redacted=True) if not self._announced:
                return self._announce(content_block(block))
            case Thinking(text=text, signature=signature):
                written = self._finish(_THINKING, "thinking_delta", "thinking", text)
                return written + self._delta("signature_delta", "signature", signature)
            case ToolCall():
                text = arguments_text(block)
                text = "" if text == "{}" else text
                return self._finish({}, "input_json_delta", "partial_json", text)
            case Text(text=text):
                written = self._finish(_TEXT, "text_delta", "text", text)
                sources: list[Any] = extras(block).get("citations") or []
                cited = (self._delta("citations_delta", "citation", each) for each in sources)
                return written + b"".join(cited)

    def _announce(self, block: Json) -> bytes:
        if self._announced:
            return b""
        self._announced = True
        start = {"type": "content_block_start", "index": self._index, "content_block": block}
        return _frame(start)

    def _grow(self, empty: Json, kind: str, field: str, text: str) -> bytes:
        if not text:
            return b""
        self._grown = True
        return self._announce(empty) + self._delta(kind, field, text)

    def _finish(self, empty: Json, kind: str, field: str, text: str) -> bytes:
        """The whole of a block that no delta told."""
        written = b"" if self._grown else self._grow(empty, kind, field, text)
        return written + self._announce(empty)

    def _delta(self, kind: str, field: str, value: Any) -> bytes:
        if not value:
            return b""
        delta = {"type": kind, field: value}
        return _frame({"type": "content_block_delta", "index": self._index, "delta": delta})

    def _last(self, message: AssistantMessage) -> bytes:
        delta = {
            "stop_reason": STOP_WORDS.get(message.stop_reason, "end_turn"),
            "stop_sequence": message.stop_sequence,
        }
        end = {"type": "message_delta", "delta": delta, "usage": usage_object(message.usage)}
        return _frame(end) + _frame({"type": "message_stop"})


def _frame(event: Json) -> bytes:
    return sse.encode_event(jsontext.encode(event), event["type"])
