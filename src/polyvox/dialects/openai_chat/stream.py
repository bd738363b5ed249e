"""Streamed answers: a strict reader of chunks, and a writer of them.

What a stream has to bring is a finish reason. With one it is complete, also when "[DONE]" is
missing; without one, and without "[DONE]" after an answer, it was cut. What no chunk should be
(HTML, an error object, other JSON) ends the stream as failed, with all that had arrived.
"""

import time
import uuid
from typing import Any

import msgspec

from polyvox import jsontext
from polyvox.dialects.base import Target
from polyvox.dialects.decoding import AssemblyDecoder
from polyvox.dialects.errors import snippet
from polyvox.dialects.openai_chat.errors import chunk_error
from polyvox.dialects.openai_chat.finish import FINISH_REASONS
from polyvox.dialects.openai_chat.reading import TEXT, AnswerReader
from polyvox.dialects.openai_chat.usage import write_usage
from polyvox.dialects.openai_chat.wire import ABSENT, CHUNK, Chunk
from polyvox.dialects.openai_errors import decode_error, encode_error
from polyvox.dialects.sse import Run, ServerSentEvent, encode_event
from polyvox.errors import AbortedError, PolyvoxError
from polyvox.events import (
    Done,
    Event,
    Failed,
    Start,
    TextDelta,
    ThinkingDelta,
    ThinkingEnd,
    ToolCallDelta,
    ToolCallEnd,
    ToolCallStart,
)
from polyvox.messages import AssistantMessage
from polyvox.request import Request

_DONE = b"[DONE]"


class ChatStreamDecoder(AssemblyDecoder):
    """Reads one streamed answer; see ``polyvox.dialects.StreamDecoder``."""

    def __init__(self, target: Target) -> None:
        self._reader = AnswerReader(target)
        super().__init__(self._reader.assembly)
        self._done_marker = target.quirks.done_marker

    def feed(self, frame: ServerSentEvent) -> list[Event]:
        """The events that this frame completes."""
        assembly = self._assembly
        if assembly.ended:
            return []
        if type(frame) is Run:
            return self._read_run(frame)
        if frame.event == "error":
            self._fail(decode_error(200, {}, frame.data))
            return assembly.take()
        if frame.data == _DONE:
            self._read_done()
            return assembly.take()
        try:
            chunk = jsontext.decode_with(CHUNK, frame.data)
        except (msgspec.DecodeError, RecursionError) as error:
            self._read_other(frame.data, error)
            return assembly.take()
        text = _only_text(chunk)
        if text and assembly.is_open(TEXT):
            assembly.append(TEXT, text)  # nearly all chunks are of this kind
        elif error := chunk_error(chunk):
            self._fail(error)
        else:
            self._reader.read(chunk)
        return assembly.take()

    def _read_run(self, run: Run) -> list[Event]:
        """Frames for each of which ``_only_text`` would give its text."""
        events = self._assembly.grow(TEXT, run.texts)
        if events is None:
            return [event for frame in run.frames() for event in self.feed(frame)]
        return events

    def close(self) -> list[Event]:
        """The body is over."""
        if self.ended:
            return []
        if self._reader.finish_reason:
            if self._done_marker:
                self._warn("the stream ended without [DONE]; its usage may be missing", "")
            self._reader.end()
        elif self._reader.empty:
            self._break("the provider's answer is empty")
        else:
            self._break("the provider's answer stopped before its end")
        return self._assembly.take()

    def fail(self, error: PolyvoxError) -> list[Event]:
        """The body can't be read further. After the finish reason nothing of the answer is lost."""
        said_all = self._reader.finish_reason and not isinstance(error, AbortedError)
        if self.ended or not said_all:
            return super().fail(error)
        self._warn(f"broke off after its end: {error.text}; its usage may be missing", "")
        self._reader.end()
        return self._assembly.take()

    def _fail(self, error: PolyvoxError) -> None:
        self._reader.fail(error)

    def _read_other(self, data: bytes, error: Exception) -> None:
        """A frame that is no chunk: the end, an empty line, or something that breaks the format."""
        data = data.strip()
        if data == _DONE:
            self._read_done()
        elif data:
            what = "a chunk of an unknown shape" if data[:1] == b"{" else "a frame that is no JSON"
            self._break(f"the provider sent {what} ({error}): {snippet(data)}")

    def _read_done(self) -> None:
        if not self._reader.finish_reason:
            if self._reader.empty:
                self._break("the provider's answer is empty: only [DONE]")
                return
            self._warn("the answer ended without a finish_reason", "finish_reason")
        self._reader.end()


def _only_text(chunk: Chunk) -> str | None:
    """The text of a chunk that brings nothing else; None for any other."""
    choices = chunk.choices
    if choices is None or len(choices) != 1:
        return None
    choice = choices[0]
    delta = choice.delta
    if delta is None or choice.finish_reason or choice.index or choice.message or choice.error:
        return None
    if (
        delta.tool_calls
        or delta.reasoning_content
        or delta.reasoning
        or delta.reasoning_details
        or delta.refusal
        or delta.function_call
        or delta.images
        or chunk.error
        or chunk.x_groq
        or not _is_null(chunk.usage)
        or not _is_null(choice.usage)
    ):
        return None
    return delta.content if isinstance(delta.content, str) else None


def _is_null(usage: msgspec.Raw) -> bool:
    return usage is ABSENT or bytes(usage) == b"null"


class ChatStreamEncoder:
    """Writes one streamed answer, in chunks as OpenAI writes them.

    Usage goes out when the request's ``stream_options`` ask for it. A failed stream ends with an
    error frame and without "[DONE]". Warnings and nested events have no place in this format.
    """

    def __init__(self, request: Request) -> None:
        options: Any = request.options.get("openai-chat", {}).get("stream_options")
        self._include_usage = isinstance(options, dict) and options.get("include_usage") is True  # pyright: ignore[reportUnknownMemberType]
        self._model = request.model
        self._head = b""
        self._calls: dict[int, int] = {}  # the tool calls' places in the message, and their own

    def encode(self, event: Event) -> bytes:
        """The bytes of the body for this event; may be empty."""
        match event:
            case TextDelta(text=text):
                return self._chunk({"content": text})
            case Start(model=model, id=answer_id):
                return self._begin(answer_id, model)
            case Done(message=message):
                return self._end(message)
            case Failed(error=error):
                return encode_event(encode_error(error)[1])
            case _:
                delta = self._delta(event)
                return self._chunk(delta) if delta else b""

    def _delta(self, event: Event) -> dict[str, Any] | None:
        match event:
            case ThinkingDelta(text=text):
                return {"reasoning_content": text}
            case ThinkingEnd(block=block):
                return _opaque(block.meta, "reasoning_details")
            case ToolCallStart():
                return {"tool_calls": [self._first_fragment(event)]}
            case ToolCallDelta(index=index, text=text):
                fragment = {"index": self._calls[index], "function": {"arguments": text}}
                return {"tool_calls": [fragment]}
            case ToolCallEnd(index=index, block=block):
                opaque = _opaque(block.meta, "extra_content")
                return {"tool_calls": [{"index": self._calls[index], **opaque}]} if opaque else None
            case _:
                return None

    def _begin(self, answer_id: str, model: str) -> bytes:
        shared = {
            "id": answer_id or new_answer_id(),
            "object": "chat.completion.chunk",
            "created": int(time.time()),
            "model": self._model or model,
        }
        self._head = jsontext.encode(shared)[:-1]
        return self._chunk({"role": "assistant", "content": ""})

    def _first_fragment(self, event: ToolCallStart) -> dict[str, Any]:
        self._calls[event.index] = place = len(self._calls)
        function = {"name": event.name, "arguments": ""}
        return {"index": place, "id": event.id, "type": "function", "function": function}

    def _end(self, message: AssistantMessage) -> bytes:
        parts: list[bytes] = []
        if message.stop_reason == "refusal" and message.text:
            # It went out as content; said again in this field, a client knows it for a refusal.
            parts.append(self._chunk({"refusal": message.text}))
        parts.append(self._chunk({}, FINISH_REASONS[message.stop_reason]))
        usage = write_usage(message.usage) if self._include_usage else None
        if usage:
            parts.append(self._frame(b'"choices":[],"usage":' + jsontext.encode(usage)))
        parts.append(encode_event(_DONE))
        return b"".join(parts)

    def _chunk(self, delta: dict[str, Any], finish_reason: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
        return self._frame(b'"choices":[%b]' % jsontext.encode(choice))

    def _frame(self, rest: bytes) -> bytes:
        return b"data: %b,%b}\n\n" % (self._head, rest)


def _opaque(meta: dict[str, Any] | None, field: str) -> dict[str, Any] | None:
    """What a block's producer wants to see again."""
    return {field: meta[field]} if meta and field in meta else None


def new_answer_id() -> str:
    """An id for an answer that has none."""
    return f"chatcmpl-{uuid.uuid4().hex}"
