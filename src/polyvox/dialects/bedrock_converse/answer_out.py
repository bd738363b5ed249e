"""The server half, outwards: an answer, whole or streamed, as Amazon Bedrock writes it.

From the pages "Converse" and "ConverseStream" of the Amazon Bedrock API reference.
"""

from polyvox import jsontext
from polyvox.assembly import arguments_text
from polyvox.dialects.bedrock_converse.blocks_out import content_block, extras, is_opaque
from polyvox.dialects.bedrock_converse.errors import exception_frame
from polyvox.dialects.bedrock_converse.wire import STOP_WORDS, Json, blob, usage_object
from polyvox.dialects.event_stream import encode_message
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
from polyvox.messages import AssistantBlock, AssistantMessage, Image, Text, Thinking, ToolCall
from polyvox.request import Request

__all__ = ["ConverseEncoder", "write_response"]

_METRICS = {"latencyMs": 0}


def write_response(message: AssistantMessage, request: Request | None = None) -> bytes:
    """A whole answer; its form is the same for all requests.

    A call whose arguments are broken has no place in this format, because here they must be an
    object, and some client might run it: it is left out, and the answer then says that it was cut
    at ``max_tokens``. So is a picture. Raises ``ValueError`` for an answer that failed: that is
    told by ``encode_error``.
    """
    if message.stop_reason not in STOP_WORDS:
        raise ValueError(f"an answer that ended with {message.stop_reason!r} is told as an error")
    shown = [block for block in message.content if not isinstance(block, Image)]
    whole = [block for block in shown if not isinstance(block, ToolCall) or block.executable]
    said: Json = {"role": "assistant", "content": [content_block(block) for block in whole]}
    body: Json = {"output": {"message": said}}
    body |= _ending(message, cut=len(whole) < len(shown))
    body["usage"] = usage_object(message.usage)
    body["metrics"] = _METRICS
    return jsontext.encode(body)


def _ending(message: AssistantMessage, *, cut: bool = False) -> Json:
    fields: Json = {"stopReason": STOP_WORDS["length" if cut else message.stop_reason]}
    if message.stop_sequence is not None:
        fields["additionalModelResponseFields"] = {"stop_sequence": message.stop_sequence}
    return fields


class ConverseEncoder:
    """Writes one streamed answer.

    Blocks go out one after the other, as clients of this format expect. One is announced with its
    first piece, because only its end tells whether it is a redacted or an opaque one.
    """

    def __init__(self, request: Request) -> None:
        self._turns = InTurn()
        self._grown = False  # a piece of the block that is going out was written

    def encode(self, event: Event) -> bytes:
        """The bytes of the body for this event; may be empty."""
        match event:
            case Start():
                return _message("messageStart", {"role": "assistant"})
            case Done(message=message):
                used = {"usage": usage_object(message.usage), "metrics": _METRICS}
                return _message("messageStop", _ending(message)) + _message("metadata", used)
            case Failed(error=error):
                name, body = exception_frame(error)
                return encode_message(jsontext.encode(body), name, "exception")
            case _ if isinstance(event, BlockEvent):
                return b"".join(map(self._block_event, self._turns.put(event)))
            case _:
                return b""

    def _block_event(self, event: BlockEvent) -> bytes:
        match event:
            case TextStart() | ThinkingStart() | ToolCallStart():
                self._grown = False
                return self._begin(event) if isinstance(event, ToolCallStart) else b""
            case TextDelta(index=index, text=text):
                return self._grow(index, {"text": text}) if text else b""
            case ThinkingDelta(index=index, text=text):
                return self._grow(index, {"reasoningContent": {"text": text}}) if text else b""
            case ToolCallDelta(index=index, text=text):
                return self._grow(index, {"toolUse": {"input": text}}) if text else b""
            case TextEnd() | ThinkingEnd() | ToolCallEnd():
                rest = self._rest(event.index, event.block)
                return rest + _message("contentBlockStop", {"contentBlockIndex": event.index})

    def _begin(self, call: ToolCallStart) -> bytes:
        return _start(call.index, {"toolUse": {"toolUseId": call.id, "name": call.name}})

    def _rest(self, index: int, block: AssistantBlock) -> bytes:
        """What of a block has not gone out before its end: at least one piece of each must."""
        grown = self._grown
        match block:
            case Text() if is_opaque(block):
                return _start(index, extras(block))
            case Text(text=text):
                cited = [{"citation": each} for each in extras(block).get("citations", [])]
                pieces = [*([] if grown else [{"text": text}]), *cited]
            case Thinking(redacted=True, signature=signature):
                pieces = [{"reasoningContent": {"redactedContent": blob(signature)}}]
            case Thinking(text=text, signature=signature):
                pieces = [] if grown else [{"reasoningContent": {"text": text}}]
                if signature:
                    pieces.append({"reasoningContent": {"signature": signature}})
            case ToolCall():
                pieces = [] if grown else [{"toolUse": {"input": arguments_text(block)}}]
            case _:
                pieces = []
        return b"".join(self._grow(index, piece) for piece in pieces)

    def _grow(self, index: int, delta: Json) -> bytes:
        self._grown = True
        return _message("contentBlockDelta", {"delta": delta, "contentBlockIndex": index})


def _start(index: int, start: Json) -> bytes:
    return _message("contentBlockStart", {"start": start, "contentBlockIndex": index})


def _message(name: str, payload: Json) -> bytes:
    return encode_message(jsontext.encode(payload), name)
