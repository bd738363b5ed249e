"""Streamed answers, written: the full set of events, as clients that put the answer together need it.

From "Streaming events" in OpenAI's API reference.
"""

from typing import Any, TypeAlias

from polyvox import jsontext
from polyvox.assembly import arguments_text
from polyvox.dialects.openai_responses import items
from polyvox.dialects.openai_responses.answer import ended_response, error_object, response_head
from polyvox.dialects.openai_responses.wire import Json
from polyvox.dialects.sse import encode_event
from polyvox.errors import PolyvoxError
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
from polyvox.messages import AssistantMessage, Text, Thinking, ToolCall
from polyvox.request import Request

_Start: TypeAlias = TextStart | ThinkingStart | ToolCallStart
_Block: TypeAlias = Text | Thinking | ToolCall


class _Out:
    """A block on its way out: its item's place and id, once it was announced."""

    __slots__ = ("grown", "id", "index", "start")

    def __init__(self, index: int, start: _Start) -> None:
        self.index = index
        self.start = start
        self.id = ""
        self.grown = False


class ResponsesEncoder:
    """Writes one streamed answer, each block as an item of its own.

    A text or reasoning is announced with its first piece or, without any, at its end, because only
    that tells its id, and whether it stands for an item of another type. Blocks that began earlier
    are announced first. Warnings and nested events have no place in this format.
    """

    def __init__(self, request: Request) -> None:
        self._model = request.model
        self._number = 0
        self._head: Json = {}
        self._waiting: list[_Out] = []  # blocks that were not announced yet
        self._blocks: dict[int, _Out] = {}
        self._count = 0
        self._items: dict[int, Json] = {}  # what is complete

    def encode(self, event: Event) -> bytes:
        """The bytes of the body for this event; may be empty."""
        match event:
            case TextDelta() | ThinkingDelta() | ToolCallDelta():
                return self._grow(self._blocks[event.index], event.text)
            case Start(model=model, id=id):
                return self._start(id, self._model or model)
            case TextStart() | ThinkingStart() | ToolCallStart():
                return self._begin(event)
            case TextEnd(block=block) | ThinkingEnd(block=block) | ToolCallEnd(block=block):
                return self._end(self._blocks.pop(event.index), block)
            case Done(message=message):
                return self._complete(message)
            case Failed(error=error, message=message):
                return self._failed(error, message)
            case _:
                return b""

    def _start(self, id: str, model: str) -> bytes:
        self._head = response_head(id, model)
        created = self._frame("response.created", response=self._head)
        return created + self._frame("response.in_progress", response=self._head)

    # Blocks

    def _begin(self, start: _Start) -> bytes:
        out = _Out(self._count, start)
        self._count += 1
        self._blocks[start.index] = out
        self._waiting.append(out)
        return self._announce(out) if isinstance(start, ToolCallStart) else b""

    def _announce(self, out: _Out, id: str = "") -> bytes:
        """Say that the block begins, if that was not said yet, and before it all that wait."""
        written: list[bytes] = []
        while out in self._waiting:
            first = self._waiting.pop(0)
            first.id = id if id and first is out else items.new_id(_PREFIXES[type(first.start)])
            item = _begun(first)
            written.append(self._added(first, item))
            if item["type"] == "message":
                part = items.text_part("")
                written.append(self._in_part(first, "response.content_part.added", part=part))
        return b"".join(written)

    def _grow(self, out: _Out, text: str) -> bytes:
        if not text:
            return b""
        announced = self._announce(out) if self._waiting else b""
        first, out.grown = not out.grown, True
        match out.start:
            case TextStart():
                grown = self._in_part(out, "response.output_text.delta", delta=text, logprobs=[])
            case ThinkingStart():
                part = {"type": "summary_text", "text": ""}
                kind = "response.reasoning_summary_part.added"
                announced += self._in_summary(out, kind, part=part) if first else b""
                grown = self._in_summary(out, "response.reasoning_summary_text.delta", delta=text)
            case ToolCallStart():
                grown = self._in(out, "response.function_call_arguments.delta", delta=text)
        return announced + grown

    def _end(self, out: _Out, block: _Block) -> bytes:
        opaque = items.opaque_item(block)
        if opaque and out in self._waiting:
            return self._pass_on(out, opaque)
        written = self._announce(out, str(items.extras(block).get("id", "")))
        if not out.grown:
            written += self._grow(out, _text_of(block))
        match block:
            case Text():
                item = self._text_item(out, block)
                written += self._text_done(out, item["content"][0])
            case Thinking():
                item = items.reasoning_item(block, id=out.id)
                written += self._summary_done(out, block.text)
            case ToolCall():
                item = {**items.call_item(block), "id": out.id}
                if block.executable:  # else some client might run what broke off
                    text = item["arguments"]
                    kind = "response.function_call_arguments.done"
                    written += self._in(out, kind, name=block.name, arguments=text)
        return written + self._item_done(out, item)

    def _pass_on(self, out: _Out, item: Json) -> bytes:
        """An item of another type, whole."""
        place = self._waiting.index(out)
        before = self._announce(self._waiting[place - 1]) if place else b""
        self._waiting.remove(out)
        return before + self._added(out, item) + self._item_done(out, item)

    def _text_item(self, out: _Out, text: Text) -> Json:
        kept = items.extras(text)
        part = items.text_part(text.text, kept.get("annotations"))
        return items.message_item(out.id, [part], kept.get("phase"))

    def _text_done(self, out: _Out, part: Json) -> bytes:
        said = self._in_part(out, "response.output_text.done", text=part["text"], logprobs=[])
        return said + self._in_part(out, "response.content_part.done", part=part)

    def _summary_done(self, out: _Out, text: str) -> bytes:
        if not out.grown:
            return b""
        said = self._in_summary(out, "response.reasoning_summary_text.done", text=text)
        part = {"type": "summary_text", "text": text}
        return said + self._in_summary(out, "response.reasoning_summary_part.done", part=part)

    # The end

    def _complete(self, message: AssistantMessage) -> bytes:
        written = b""
        if message.stop_reason == "refusal" and message.text:
            written = self._mark_refusal(message.text)
        response = ended_response(self._head, message, self._output())
        return written + self._frame(f"response.{response['status']}", response=response)

    def _mark_refusal(self, text: str) -> bytes:
        """It went out as text; said again as what it is, a client knows it for a refusal."""
        out = _Out(self._count, TextStart(-1))
        out.id = items.new_id("msg")
        empty, part = ({"type": "refusal", "refusal": said} for said in ("", text))
        written = [
            self._added(out, items.message_item(out.id, [], None, "in_progress")),
            self._in_part(out, "response.content_part.added", part=empty),
            self._in_part(out, "response.refusal.delta", delta=text),
            self._in_part(out, "response.refusal.done", refusal=text),
            self._in_part(out, "response.content_part.done", part=part),
            self._item_done(out, items.message_item(out.id, [part], None)),
        ]
        return b"".join(written)

    def _failed(self, error: PolyvoxError, message: AssistantMessage) -> bytes:
        if not self._head:
            return self._frame("error", **error_object(error), param=None)
        response = ended_response(self._head, message, self._output(), error)
        return self._frame("response.failed", response=response)

    def _output(self) -> list[Json]:
        return [self._items[index] for index in sorted(self._items)]

    # Events

    def _added(self, out: _Out, item: Json) -> bytes:
        return self._frame("response.output_item.added", output_index=out.index, item=item)

    def _item_done(self, out: _Out, item: Json) -> bytes:
        self._items[out.index] = item
        return self._frame("response.output_item.done", output_index=out.index, item=item)

    def _in(self, out: _Out, kind: str, **fields: Any) -> bytes:
        return self._frame(kind, item_id=out.id, output_index=out.index, **fields)

    def _in_part(self, out: _Out, kind: str, **fields: Any) -> bytes:
        return self._in(out, kind, content_index=0, **fields)

    def _in_summary(self, out: _Out, kind: str, **fields: Any) -> bytes:
        return self._in(out, kind, summary_index=0, **fields)

    def _frame(self, kind: str, **fields: Any) -> bytes:
        body = {"type": kind, "sequence_number": self._number, **fields}
        self._number += 1
        return encode_event(jsontext.encode(body), kind)


_PREFIXES = {TextStart: "msg", ThinkingStart: "rs", ToolCallStart: "fc"}


def _begun(out: _Out) -> Json:
    """The item of a block of which nothing is known but that it begins."""
    match out.start:
        case TextStart():
            return items.message_item(out.id, [], None, "in_progress")
        case ThinkingStart():
            return {"type": "reasoning", "id": out.id, "summary": []}
        case ToolCallStart(id=id, name=name):
            call = items.call_item(ToolCall(id, name, unparsed=""))
            return {**call, "id": out.id, "status": "in_progress"}


def _text_of(block: _Block) -> str:
    return arguments_text(block) if isinstance(block, ToolCall) else block.text
