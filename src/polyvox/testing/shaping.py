"""From events to the chunks of a streamed answer, bent as the knobs say. No I/O, no waiting."""

from collections.abc import Callable, Iterator
from functools import partial
from io import StringIO
from typing import Any

import msgspec

from polyvox import jsontext
from polyvox.dialects import Dialect
from polyvox.dialects.event_stream import EventStreamReader, rewritten, split_messages
from polyvox.dialects.sse import encode_comment
from polyvox.errors import ConfigurationError, ServerError
from polyvox.events import (
    Done,
    Event,
    Failed,
    TextDelta,
    TextEnd,
    ThinkingDelta,
    ThinkingEnd,
    ToolCallDelta,
    ToolCallEnd,
)
from polyvox.messages import AssistantMessage
from polyvox.providers.simulated.tokens import request_tokens
from polyvox.request import Request
from polyvox.testing.knobs import Knobs, UsagePlace
from polyvox.testing.mistral import MistralStream

USAGE_DIALECT = "openai-chat"
"""The dialect that puts usage in several places, and is spoken in several manners."""

_DELTA_OF = {TextEnd: TextDelta, ThinkingEnd: ThinkingDelta, ToolCallEnd: ToolCallDelta}


class Shaper:
    """Makes the chunks of one streamed answer."""

    def __init__(self, dialect: Dialect, request: Request, knobs: Knobs) -> None:
        self.ended = False
        self._knobs = knobs
        self._cutter = Cutter(knobs)
        self._end = b"\n\n" if has_comments(dialect) else b"\n"
        self._encoder = dialect.stream_encoder(request)
        # Gemini's answers come in one of two forms, as the request's address says.
        usual = dialect.frame_reader().media_type
        self.media_type: str = getattr(self._encoder, "media_type", usual)
        self._binary = usual == EventStreamReader.media_type
        self._count = 0
        self._manner = MistralStream() if knobs.manner == "mistral" else None
        self._place_usage: Callable[[Event, list[bytes]], list[bytes]] = lambda _, chunks: chunks
        if knobs.usage is not None:
            self._place_usage = UsagePlacer(dialect, request, knobs.usage).place

    def chunks(self, event: Event) -> Iterator[bytes]:
        """The chunks to send for this event, comments among them; none once ``ended``."""
        for piece in self._cutter.cut(event):
            made = self._place_usage(piece, self._split(self._encoder.encode(piece)))
            if self._manner is not None:
                made = self._manner.put(piece, made)
            for chunk in made:
                if self._count == self._knobs.error_after_chunks:
                    yield from self._error()
                    return
                yield self._bent(chunk)
                self._count += 1
                if self._knobs.ping_every and self._count % self._knobs.ping_every == 0:
                    yield encode_comment("ping")
        self.ended = isinstance(event, (Done, Failed))

    def _error(self) -> Iterator[bytes]:
        self.ended = True
        error = ServerError("the mock provider was told to fail in the middle of its answer")
        message = AssistantMessage([], "error", error=error.text)
        yield from self._split(self._encoder.encode(Failed(error, message)))

    def _split(self, body: bytes) -> list[bytes]:
        """The frames in these bytes, each with what ends it: a blank line, or the end of its line."""
        if self._binary:
            return split_messages(body)
        return [chunk + self._end for chunk in body.split(self._end) if chunk]

    def _bent(self, chunk: bytes) -> bytes:
        change: Callable[[bytes], bytes] | None = None
        if self._count == self._knobs.malformed_chunk:
            change = break_json
        elif self._count == 0 and self._knobs.huge_line:
            change = partial(pad_line, size=self._knobs.huge_line)
        if change is None:
            return chunk
        return rewritten(chunk, change) if self._binary else change(chunk)


class Cutter:
    """Cuts the texts of a stream's blocks anew, into deltas of so many characters."""

    def __init__(self, knobs: Knobs) -> None:
        self._text_size = knobs.text_piece
        self._arguments_size = knobs.arguments_piece
        self._held: dict[int, StringIO] = {}  # what is too short yet, by block

    def cut(self, event: Event) -> Iterator[Event]:
        """The events to send now for this one."""
        if isinstance(event, (TextDelta, ThinkingDelta, ToolCallDelta)):
            size = self._arguments_size if isinstance(event, ToolCallDelta) else self._text_size
            if size is not None:
                yield from self._regrouped(event, size)
                return
        elif isinstance(event, (TextEnd, ThinkingEnd, ToolCallEnd)):
            held = self._held.pop(event.index, None)
            if held is not None and held.tell():
                yield _DELTA_OF[type(event)](event.index, held.getvalue())
        yield event

    def _regrouped(
        self, delta: TextDelta | ThinkingDelta | ToolCallDelta, size: int
    ) -> Iterator[Event]:
        held = self._held.setdefault(delta.index, StringIO())
        held.write(delta.text)
        if held.tell() < size:
            return
        text = held.getvalue()
        whole = len(text) - len(text) % size
        self._held[delta.index] = StringIO()
        self._held[delta.index].write(text[whole:])
        for at in range(0, whole, size):
            yield type(delta)(delta.index, text[at : at + size])


def has_comments(dialect: Dialect) -> bool:
    """Whether the dialect streams server-sent events, which may have comments in between."""
    return dialect.frame_reader().media_type == "text/event-stream"


def break_json(chunk: bytes) -> bytes:
    """The chunk with the second half of its JSON missing."""
    head, data, end = _parts(chunk)
    return head + data[: max(1, len(data) // 2)] + end


def pad_line(chunk: bytes, size: int) -> bytes:
    """The chunk with the line of its JSON made that many bytes long, by spaces after it."""
    head, data, end = _parts(chunk)
    return head + data.ljust(size - len(head.rpartition(b"\n")[2])) + end


def _parts(chunk: bytes) -> tuple[bytes, bytes, bytes]:
    """What stands before a frame's JSON, the JSON, and what stands behind it."""
    start = 0 if chunk.startswith(b"{") else chunk.index(b"data: ") + len(b"data: ")
    end = len(chunk.rstrip(b"\n"))
    return chunk[:start], chunk[start:end], chunk[end:]


class UsagePlacer:
    """Moves the usage of a streamed OpenAI chat completion to where some other provider puts it."""

    def __init__(self, dialect: Dialect, request: Request, place: UsagePlace) -> None:
        if dialect.name != USAGE_DIALECT:
            raise ConfigurationError(
                f"the knob usage is for {USAGE_DIALECT}, not for {dialect.name}"
            )
        self._dialect = dialect
        self._place = place
        self._input = request_tokens(request)
        self._output = 0

    def place(self, event: Event, chunks: list[bytes]) -> list[bytes]:
        """These chunks of this event with usage where it is wanted, and nowhere else."""
        self._output += isinstance(event, (TextDelta, ThinkingDelta, ToolCallDelta))
        usage = self._usage(event)
        placed: list[bytes] = []
        last: dict[str, Any] = {}
        for chunk in chunks:
            head, data, end = _parts(chunk)
            if data == b"[DONE]":
                if self._place == "last" and isinstance(event, Done):
                    added = jsontext.encode({**last, "choices": [], "usage": usage})
                    placed.append(head + added + end)
                placed.append(chunk)
                continue
            body: dict[str, Any] = jsontext.decode(data)
            if body.pop("usage", None) is not None and body.get("choices") == []:
                continue
            last = dict(body)
            if self._belongs_in(body):
                body["usage"] = usage
            placed.append(head + jsontext.encode(body) + end)
        return placed

    def _belongs_in(self, body: dict[str, Any]) -> bool:
        if self._place == "every":
            return "choices" in body
        finishes = any(choice.get("finish_reason") for choice in body.get("choices", []))
        return self._place == "with_finish" and finishes

    def _usage(self, event: Event) -> dict[str, Any]:
        """Usage in the dialect's own words: the answer's at its end, before that what was sent so far."""
        if isinstance(event, Done):
            whole: dict[str, Any] = jsontext.decode(self._dialect.encode_response(event.message))
            return whole.get("usage", {})
        total = self._input + self._output
        return {
            "prompt_tokens": self._input,
            "completion_tokens": self._output,
            "total_tokens": total,
        }


def without_usage(body: bytes) -> bytes:
    """A whole answer in JSON without its usage."""
    fields: dict[str, Any] = msgspec.json.decode(body)
    fields.pop("usage", None)
    return jsontext.encode(fields)
