"""The server half, outwards: an answer, whole or streamed, as the API writes it.

From "Generating content" in the Gemini API reference.
"""

import uuid
from typing import TypeAlias

from polyvox import jsontext
from polyvox.dialects import sse
from polyvox.dialects.gemini.errors import error_body
from polyvox.dialects.gemini.parts_out import answer_part
from polyvox.dialects.gemini.wire import FINISH_WORDS, NAME, Json, usage_object
from polyvox.dialects.in_turn import BLOCK_ENDS, BlockEvent, InTurn
from polyvox.events import Done, Event, Failed, Start, TextDelta, ThinkingDelta
from polyvox.messages import AssistantMessage, Image, Text, Thinking, ToolCall
from polyvox.request import Request
from polyvox.usage import Usage

__all__ = ["GeminiEncoder", "write_response"]

_Block: TypeAlias = Text | Thinking | ToolCall


def write_response(message: AssistantMessage, request: Request | None = None) -> bytes:
    """A whole answer; its form is the same for all requests.

    A call whose arguments are broken has no place in it, because here they must be an object, and
    some client might run it: it is left out, and the answer then says that it was cut at a limit.
    """
    shown = [part for block in message.content if (part := _part(block)) is not None]
    body = _frame_of(shown, _finish_word(message), message.usage)
    body["modelVersion"] = message.response_model or message.model
    body["responseId"] = message.id or _new_id()
    return jsontext.encode(body)


def _part(block: _Block | Image) -> Json | None:
    return None if isinstance(block, ToolCall) and not block.executable else answer_part(block)


def _finish_word(message: AssistantMessage) -> str:
    broken = any(not call.executable for call in message.tool_calls)
    well = FINISH_WORDS[message.stop_reason] == "STOP"
    return FINISH_WORDS["length" if broken and well else message.stop_reason]


def _frame_of(parts: list[Json], finish: str = "", usage: Usage | None = None) -> Json:
    candidate: Json = {"content": {"parts": parts, "role": "model"}, "index": 0}
    if finish:
        candidate["finishReason"] = finish
    frame: Json = {"candidates": [candidate]}
    if usage is not None and usage.basis != "missing":
        frame["usageMetadata"] = usage_object(usage)
    return frame


def _new_id() -> str:
    return uuid.uuid4().hex[:22]


class GeminiEncoder:
    """Writes one streamed answer, as server-sent events or, where the request wants it, one array.

    The format does not tell blocks apart, so they go out one after the other: while one is open,
    those that grow beside it are held back. A tool call goes out whole.
    """

    def __init__(self, request: Request) -> None:
        self._array = request.options.get(NAME, {}).get("alt") == "json"
        self._model = request.model
        self._shared: Json = {}
        self._first = True
        self._turns = InTurn()
        self._grown = False  # a piece of the block that is going out was written

    @property
    def media_type(self) -> str:
        """The media type of the body."""
        return "application/json" if self._array else "text/event-stream"

    def encode(self, event: Event) -> bytes:
        """The bytes of the body for this event; may be empty."""
        match event:
            case Start(id=id, model=model):
                self._begin(id, model)
                return b""
            case Done(message=message):
                return self._last(message)
            case Failed(error=error):
                return self._frame(error_body(error)[1], last=True)
            case _ if isinstance(event, BlockEvent):
                return b"".join(map(self._block_event, self._turns.put(event)))
            case _:
                return b""

    def _begin(self, id: str, model: str) -> None:
        self._shared = {"modelVersion": self._model or model, "responseId": id or _new_id()}

    def _block_event(self, event: BlockEvent) -> bytes:
        if isinstance(event, BLOCK_ENDS):
            grown, self._grown = self._grown, False
            return self._ending(event.block, grown)
        match event:
            case TextDelta(text=text) if text:
                self._grown = True
                return self._part({"text": text})
            case ThinkingDelta(text=text) if text:
                self._grown = True
                return self._part({"text": text, "thought": True})
            case _:
                return b""

    def _ending(self, block: _Block, grown: bool) -> bytes:
        """What of a block has not gone out before its end: a call, a signature, what no delta told."""
        part = _part(block)
        if part is None:
            return b""
        if grown:
            part["text"] = ""
            if part.keys() <= {"text", "thought"}:
                return b""
        return self._part(part)

    def _part(self, part: Json) -> bytes:
        return self._frame({**_frame_of([part]), **self._shared})

    def _last(self, message: AssistantMessage) -> bytes:
        shown = [block for block in message.content if isinstance(block, Image)]
        parts = [part for block in shown if (part := answer_part(block)) is not None]
        frame = _frame_of(parts or [{"text": ""}], _finish_word(message), message.usage)
        return self._frame({**frame, **self._shared}, last=True)

    def _frame(self, frame: Json, *, last: bool = False) -> bytes:
        data = jsontext.encode(frame)
        if not self._array:
            return sse.encode_event(data)
        head = b"[" if self._first else b","
        self._first = False
        return head + data + (b"]" if last else b"\n")
