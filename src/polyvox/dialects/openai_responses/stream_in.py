"""Streamed answers, read strictly.

From "Streaming events" in OpenAI's API reference. A stream ends with ``response.completed``,
``response.incomplete``, ``response.failed`` or ``error``; without one of them it was cut.
"""

from typing import Any

import msgspec

from polyvox import jsontext
from polyvox.dialects.base import Target
from polyvox.dialects.decoding import AssemblyDecoder
from polyvox.dialects.errors import snippet
from polyvox.dialects.openai_errors import decode_error
from polyvox.dialects.openai_responses import wire
from polyvox.dialects.openai_responses.reading import AnswerReader
from polyvox.dialects.openai_responses.wire import EVENTS, REPEATED, Json
from polyvox.dialects.sse import ServerSentEvent
from polyvox.errors import ProtocolError
from polyvox.events import Event


class ResponsesDecoder(AssemblyDecoder):
    """Reads one streamed answer; see ``polyvox.dialects.StreamDecoder``."""

    def __init__(self, target: Target) -> None:
        self._reader = AnswerReader(target)
        super().__init__(self._reader.assembly)
        self._fed = False

    def feed(self, frame: ServerSentEvent) -> list[Event]:
        """The events that this frame completes."""
        assembly = self._assembly
        if assembly.ended:
            return []
        try:
            event = EVENTS.decode(frame.data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            event = self._unusual(frame)
        if type(event) is wire.TextPiece:
            self._fed = True
            self._reader.say(event.output_index, event.content_index, event.delta)
        elif event is not None:
            self._fed = True
            self._handle(event)
        return assembly.take()

    def close(self) -> list[Event]:
        """The body is over."""
        if self.ended:
            return []
        what = "stopped before its end" if self._fed else "is empty"
        return self.fail(ProtocolError(f"the provider's answer {what}"))

    def _piece(self, event: wire.Piece) -> None:
        reader = self._reader
        match event:
            case wire.ArgumentsPiece(output_index=index, delta=text):
                reader.argue(index, text)
            case wire.SummaryPiece(output_index=index, summary_index=part, delta=text):
                reader.think(index, ("summary", part), text)
            case wire.ReasoningPiece(output_index=index, content_index=part, delta=text):
                reader.think(index, ("content", part), text)
            case wire.RefusalPiece(output_index=index, content_index=place, delta=text):
                reader.refuse(index, place, text)
            case wire.TextPiece(output_index=index, content_index=place, delta=text):
                reader.say(index, place, text)

    def _handle(self, event: wire.Event) -> None:
        reader = self._reader
        match event:
            case wire.ItemAdded(output_index=index, item=item):
                if item:
                    reader.open_item(index, item)
            case wire.PartAdded(output_index=index, content_index=place, part=part):
                reader.open_part(index, place, part)
            case wire.ItemDone(output_index=index, item=item):
                reader.read_item(index, item)
            case wire.Created(response=response):
                reader.begin(response)
            case wire.Completed(response=response):
                self._end(response, "completed")
            case wire.Incomplete(response=response):
                self._end(response, "incomplete")
            case wire.Failure(response=response):
                self._end(response, "failed")
            case _:
                self._piece(event)

    def _end(self, response: wire.Response, status: str) -> None:
        """The event's name counts, not what the response in it says of itself."""
        response.status = status
        self._reader.end(response)

    def _unusual(self, frame: ServerSentEvent) -> wire.Event | None:
        """A frame that the fast decoder does not take: mended, of no meaning here, or an error."""
        data = frame.data.strip()
        if data in (b"", b"[DONE]"):  # some gateways in between add OpenAI's older end mark
            return None
        try:
            values: Any = jsontext.decode(data)  # pyright: ignore[reportUnknownVariableType]
        except (msgspec.DecodeError, RecursionError):
            return self._break(f"the provider sent a frame that is no JSON: {snippet(data)}")
        fields: Json = values if isinstance(values, dict) else {}  # pyright: ignore[reportUnknownVariableType]
        kind = fields.get("type")
        if kind == "error" or frame.event == "error" or (kind is None and fields.get("error")):
            self._fail(decode_error(200, {}, data))
            return None
        if isinstance(kind, str) and kind in REPEATED:
            return None
        try:
            return EVENTS.decode(jsontext.encode(values))
        except msgspec.ValidationError as error:
            if isinstance(kind, str) and "Invalid value" in str(error):
                return self._skip(kind, fields)
            return self._break(f"an event of an unknown shape ({error}): {snippet(data)}")

    def _skip(self, kind: str, fields: Json) -> None:
        """An event of a type that is not read here."""
        index = fields.get("output_index")
        if not (isinstance(index, int) and self._reader.is_opaque(index)):
            self._reader.warn(f"events of type {kind!r} are not known here")
