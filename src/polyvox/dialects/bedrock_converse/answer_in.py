"""The client half, inwards: an answer, whole or streamed, as events and a message.

From the pages "Converse" and "ConverseStream" of the Amazon Bedrock API reference. A whole answer is
read by the same steps as a streamed one. A stream ends with ``metadata``; when that is lost, the
answer is whole, but nobody knows what it used.
"""

from collections.abc import Callable
from typing import Any, ClassVar, TypeAlias, cast

import msgspec

from polyvox import jsontext
from polyvox.assembly import Assembly, parse_arguments
from polyvox.dialects.base import Target
from polyvox.dialects.bedrock_converse import wire
from polyvox.dialects.bedrock_converse.errors import frame_error
from polyvox.dialects.bedrock_converse.wire import FILTERED, MALFORMED, NAME, STOP_REASONS, Json
from polyvox.dialects.decoding import AssemblyDecoder
from polyvox.dialects.errors import snippet
from polyvox.dialects.sse import ServerSentEvent
from polyvox.errors import ContentFilterError, PolyvoxError, ProtocolError, ServerError
from polyvox.events import Done, Event, Failed
from polyvox.messages import AssistantMessage

__all__ = ["ConverseDecoder", "read_response"]

_WHOLE = msgspec.json.Decoder(wire.Answer)

_Step: TypeAlias = "Callable[[ConverseDecoder, Any], None]"


class _Open:
    """What the assembly does not need to know of a block that is still growing."""

    __slots__ = ("citations", "kind", "opaque", "parts")

    def __init__(self, kind: str, opaque: Json | None = None) -> None:
        self.kind = kind
        self.citations: list[Json] = []
        self.opaque = opaque  # the fields of a block that is not ours to read
        self.parts: list[str] = []  # pieces of its input

    @property
    def calls(self) -> bool:
        """Whether it is a call of a tool of ours."""
        return self.kind == "toolUse" and self.opaque is None


class ConverseDecoder(AssemblyDecoder):
    """Reads one streamed answer. It never raises: what the provider does wrong becomes an event."""

    def __init__(self, target: Target) -> None:
        super().__init__(Assembly(target.provider, target.model))
        self._blocks: dict[int, _Open] = {}
        self._stopped: wire.Stop | None = None
        self._fed = False
        self._held: int | None = None  # a call without arguments: none, or cut off before them?

    def feed(self, frame: ServerSentEvent) -> list[Event]:
        """The events that this frame completes. After the stream's end: none."""
        if self._assembly.ended:
            return []
        self._fed = True
        reader = self._readers.get(frame.event)
        try:
            if reader is None:
                self._unusual(frame)
            else:
                decoder, read = reader
                read(self, jsontext.decode_with(decoder, frame.data))
        except (msgspec.DecodeError, RecursionError) as error:
            self._break(f"{frame.event}: {error}: {snippet(frame.data)}")
        return self._assembly.take()

    def close(self) -> list[Event]:
        """The body is over: the ending that is still owed."""
        if self._assembly.ended:
            return []
        if self._stopped is not None:
            self._finish()
        else:
            self._break("the stream stopped before messageStop" if self._fed else _EMPTY)
        return self._assembly.take()

    def read(self, answer: wire.Answer, content: list[Json]) -> AssistantMessage:
        """A whole answer, by the same steps as a streamed one. Raises the error that it tells."""
        for index, block in enumerate(content):
            self._release(cut=False)
            self._whole(index, block)
            self._end_in_turn(index)
        self._stop(answer)
        self._count(wire.Metadata(answer.usage))
        for event in self._assembly.take():
            if isinstance(event, Failed):
                raise event.error
            if isinstance(event, Done):
                return event.message
        raise AssertionError("an answer that was read has no ending")

    # The steps of an answer, streamed or whole

    def _begin(self, start: Json) -> None:
        self._assembly.start()

    def _start(self, start: wire.BlockStart) -> None:
        """A block begins; text and reasoning begin with their first piece instead."""
        index = start.content_block_index
        self._release(cut=False)
        if index in self._blocks:
            self._break(f"block {index} starts twice")
            return
        for kind, fields in start.start.items():
            if kind == "toolUse" and "type" not in fields:
                self._open(index, "toolUse")
                name, id = _text(fields.get("name")), _text(fields.get("toolUseId"))
                self._assembly.open_tool_call(index, id, name)
            elif isinstance(fields, dict):
                self._open_opaque(index, kind, cast(Json, fields))

    def _grow(self, piece: wire.BlockDelta) -> None:
        """A block grows, or begins."""
        index, delta = piece.content_block_index, piece.delta
        block = self._blocks.get(index)
        if delta.text is not None and (block is None or block.kind == "text"):
            if block is None:
                self._open(index, "text")
                self._assembly.open_text(index)
            if delta.text:
                self._assembly.append(index, delta.text)
        elif delta.reasoning_content is not None and (block is None or block.kind == "reasoning"):
            self._reason(index, delta.reasoning_content)
        elif block is None and delta.citation is None:
            self._break(f"a piece of block {index}, which is not open")
        elif delta.tool_use is not None and block is not None and block.calls:
            if delta.tool_use.input:
                self._assembly.append(index, delta.tool_use.input)
        else:
            self._rarer(index, delta)

    def _rarer(self, index: int, delta: wire.Delta) -> None:
        block = self._blocks.get(index)
        if delta.citation is not None and (block is None or block.kind == "text"):
            if block is None:
                block = self._open(index, "text")
                self._assembly.open_text(index)
            block.citations.append(delta.citation)
        elif block is not None and block.opaque is not None:
            if delta.tool_use is not None:
                block.parts.append(delta.tool_use.input)
            if delta.tool_result:
                block.opaque.setdefault("content", []).extend(delta.tool_result)
        else:
            kind = "nothing" if block is None else block.kind
            self._break(f"a piece of block {index} that does not suit it, which is {kind}")

    def _reason(self, index: int, piece: wire.ReasoningDelta) -> None:
        if index not in self._blocks:
            self._open(index, "reasoning")
            self._assembly.open_thinking(index, redacted=piece.redacted_content is not None)
        if piece.text:
            self._assembly.append(index, piece.text)
        if piece.signature or piece.redacted_content:
            self._assembly.sign(index, piece.signature or piece.redacted_content or "")

    def _whole(self, index: int, block: Json) -> None:
        """A block of a whole answer, as the pieces of a streamed one."""
        kind, fields = next(iter(block.items()), ("", None))
        piece = wire.Delta()
        if kind == "text":
            piece.text = _text(fields)
        elif not isinstance(fields, dict):
            self._break(f"block {index} is nothing known: {snippet(jsontext.encode(block))}")
            return
        else:
            self._whole_object(index, kind, cast(Json, fields), piece)
        if piece != wire.Delta():
            self._grow(wire.BlockDelta(index, piece))

    def _whole_object(self, index: int, kind: str, fields: Json, piece: wire.Delta) -> None:
        if kind == "reasoningContent":
            shown = msgspec.convert(fields.get("reasoningText") or {}, Json)
            hidden = fields.get("redactedContent")
            piece.reasoning_content = msgspec.convert(
                {**shown, "redactedContent": hidden}, wire.ReasoningDelta
            )
        elif kind == "citationsContent":
            texts = msgspec.convert(fields.get("content") or [], list[Json])
            piece.text = "".join(_text(each.get("text")) for each in texts)
            self._grow(wire.BlockDelta(index, piece))
            piece.text = ""
            cited = msgspec.convert(fields.get("citations") or [], list[Any])
            self._blocks[index].citations += cited
        else:
            self._start(wire.BlockStart(index, {kind: fields}))
            if kind == "toolUse" and self._blocks[index].opaque is None and fields.get("input"):
                piece.tool_use = wire.InputDelta(jsontext.encode(fields["input"]).decode())

    def _stop_block(self, stop: wire.BlockStop) -> None:
        if stop.content_block_index in self._blocks:  # one that has nothing has no beginning either
            self._end_in_turn(stop.content_block_index)

    def _end_in_turn(self, index: int) -> None:
        """The provider says that a block is complete.

        It says so too of a call that the token limit cut before its first argument; so the end of
        a call without any waits for what comes next.
        """
        block = self._blocks.get(index)
        if block is not None and block.calls and self._assembly.is_empty(index):
            self._held = index
        elif block is not None:
            self._end(index)

    def _end(self, index: int, *, cut: bool = False) -> None:
        block = self._blocks.pop(index)
        if block.citations:
            self._assembly.annotate(index, {NAME: {"citations": block.citations}})
        if block.opaque is not None:
            if block.parts:
                block.opaque["input"] = parse_arguments("".join(block.parts))[0]
            self._assembly.annotate(index, {NAME: {block.kind: block.opaque}})
        self._assembly.close(index, cut=cut)

    def _release(self, *, cut: bool) -> None:
        """End the call that was waiting, if there is one."""
        if self._held is not None:
            held, self._held = self._held, None
            self._end(held, cut=cut)

    def _stop(self, stop: wire.Stop) -> None:
        """Why the answer ends."""
        self._stopped = stop
        self._release(cut=STOP_REASONS.get(stop.stop_reason or "") == "length")

    def _count(self, told: wire.Metadata) -> None:
        """What the answer used: the last that is said."""
        if told.usage is not None:
            self._assembly.usage = told.usage.inclusive()
        if self._stopped is not None:
            self._finish()

    def _finish(self) -> None:
        """The answer is complete, unless it was ended by force."""
        stop = self._stopped or wire.Stop()
        for index in list(self._blocks):
            self._warn("a block was never ended")
            self._end(index, cut=True)
        if stop.stop_reason in FILTERED:
            self._assembly.fail(
                ContentFilterError(
                    f"the answer was stopped: {stop.stop_reason}", provider_code=stop.stop_reason
                )
            )
            return
        if stop.stop_reason in MALFORMED:
            self._assembly.fail(ServerError(f"the model's answer is no good: {stop.stop_reason}"))
            return
        if stop.stop_reason not in STOP_REASONS:
            self._warn(f"unknown stop reason {stop.stop_reason!r}", "stop_reason")
        self._assembly.stop_sequence = stop.stop_sequence
        self._assembly.finish(STOP_REASONS.get(stop.stop_reason or "", "stop"))

    # Details

    def _unusual(self, frame: ServerSentEvent) -> None:
        if frame.event == "error" or frame.event.endswith("Exception"):
            self._assembly.fail(frame_error(frame.event, frame.data))
        elif not frame.event:
            self._break(f"a message without a name: {snippet(frame.data)}")
        elif frame.event != "initial-response":
            self._warn(f"events of type {frame.event!r} are not known here")

    def _open(self, index: int, kind: str) -> _Open:
        self._release(cut=False)
        opened = self._blocks[index] = _Open(kind)
        return opened

    def _open_opaque(self, index: int, kind: str, fields: Json) -> None:
        self._warn(f"a block of type {kind!r} is kept, but only its maker can read it")
        self._release(cut=False)
        self._blocks[index] = _Open(kind, dict(fields))
        self._assembly.open_text(index)

    _readers: ClassVar[dict[str, tuple[msgspec.json.Decoder[Any], _Step]]] = {
        "contentBlockDelta": (msgspec.json.Decoder(wire.BlockDelta), _grow),
        "contentBlockStart": (msgspec.json.Decoder(wire.BlockStart), _start),
        "contentBlockStop": (msgspec.json.Decoder(wire.BlockStop), _stop_block),
        "messageStart": (msgspec.json.Decoder(Json), _begin),
        "messageStop": (msgspec.json.Decoder(wire.Stop), _stop),
        "metadata": (msgspec.json.Decoder(wire.Metadata), _count),
    }
    """How each event is read, and what is done with it."""


_EMPTY = "the answer is empty"


def read_response(body: bytes, target: Target) -> AssistantMessage:
    """A whole answer. Raises the error that the body tells, or ``ProtocolError``."""
    try:
        answer = jsontext.decode_with(_WHOLE, body)
    except (msgspec.DecodeError, RecursionError) as error:
        what = f"no answer ({error}): {snippet(body)}" if body.strip() else _EMPTY
        raise _named(ProtocolError(what), target) from None
    said = answer.output and answer.output.message
    if said is None:
        raise _named(ProtocolError(f"no answer: {snippet(body)}"), target)
    try:
        return ConverseDecoder(target).read(answer, said.content)
    except msgspec.ValidationError as error:
        raise _named(ProtocolError(f"no answer ({error}): {snippet(body)}"), target) from None


def _named(error: PolyvoxError, target: Target) -> PolyvoxError:
    error.provider, error.model = target.provider, target.model
    return error


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
