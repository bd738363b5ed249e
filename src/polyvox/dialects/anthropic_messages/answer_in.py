"""The client half, inwards: an answer, whole or streamed, as events and a message.

From the pages "Create a Message" and "Streaming Messages" of Anthropic's API documentation. A whole
answer is read by the same steps as a streamed one. Only ``message_stop`` ends a stream well; a
provider without the quirk ``done_marker`` may also end after the stop reason.
"""

from typing import Any, cast, get_args

import msgspec

from polyvox import jsontext
from polyvox.assembly import Assembly, parse_arguments
from polyvox.dialects.anthropic_messages import wire
from polyvox.dialects.anthropic_messages.errors import frame_error
from polyvox.dialects.anthropic_messages.plain import plain_message
from polyvox.dialects.anthropic_messages.wire import NAME, STOP_REASONS, Json
from polyvox.dialects.base import Target
from polyvox.dialects.decoding import AssemblyDecoder
from polyvox.dialects.errors import snippet
from polyvox.dialects.sse import Run, ServerSentEvent
from polyvox.errors import PolyvoxError, ProtocolError
from polyvox.events import Done, Event
from polyvox.messages import AssistantMessage

__all__ = ["MessagesDecoder", "read_response"]

_EVENTS: msgspec.json.Decoder[wire.Event] = msgspec.json.Decoder(wire.Event)
_WHOLE: msgspec.json.Decoder[wire.Message | wire.ErrorFrame] = msgspec.json.Decoder(
    wire.Message | wire.ErrorFrame
)
_EVENT_TYPES = {each.__struct_config__.tag for each in get_args(wire.Event)}


class _Open:
    """What the assembly does not need to know of a block that is still growing."""

    __slots__ = ("extras", "given", "kind", "parts")

    def __init__(self, kind: str, block: Json) -> None:
        self.kind = kind
        self.extras = wire.extras(block)
        self.given = ""  # arguments that came with the start of a call
        self.parts: list[str] = []  # pieces of the input of a block that is not ours to read


class MessagesDecoder(AssemblyDecoder):
    """Reads one streamed answer. It never raises: what the provider does wrong becomes an event."""

    def __init__(self, target: Target) -> None:
        super().__init__(Assembly(target.provider, target.model))
        self._done_marker = target.quirks.done_marker
        self._blocks: dict[int, _Open] = {}
        self._usage: wire.UsageFields | None = None
        self._stopped: wire.Stop | None = None
        self._fed = False
        self._begun = False
        self._counted = False  # the usage of the whole answer was told
        self._held: int | None = None  # a call without arguments: none, or cut off before them?

    def feed(self, frame: ServerSentEvent) -> list[Event]:
        """The events that this frame completes. After the stream's end: none."""
        assembly = self._assembly
        if assembly.ended:
            return []
        if type(frame) is Run:
            return self._read_run(frame)
        self._fed = True
        try:
            event = _EVENTS.decode(frame.data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            event = self._unusual(frame.data)
        if type(event) is wire.BlockDelta:
            delta = event.delta
            block = self._blocks.get(event.index)
            if isinstance(delta, wire.Piece) and block is not None and block.kind == delta.kind:
                if delta.text:
                    assembly.append(event.index, delta.text)
            else:
                self._rarer_delta(event.index, block, delta)
        elif event is not None:
            self._handle(event)
        return assembly.take()

    def _read_run(self, run: Run) -> list[Event]:
        """Pieces of one block, which are of the kind that may belong to it."""
        block = self._blocks.get(run.index)
        fitting = block is not None and block.kind == run.kind
        events = self._assembly.grow(run.index, run.texts) if fitting else None
        if events is None:
            return [event for frame in run.frames() for event in self.feed(frame)]
        return events

    def close(self) -> list[Event]:
        """The body is over: the ending that is still owed."""
        if self._assembly.ended:
            return []
        if not self._fed:
            self._break("the answer is empty")
        elif self._stopped is not None and not self._done_marker:
            self._finish()
        else:
            self._break("the stream stopped before message_stop")
        return self._assembly.take()

    def read(self, answer: wire.Message) -> AssistantMessage:
        """A whole answer, by the same steps as a streamed one."""
        self._begin(answer, None)
        for index, block in enumerate(answer.content):
            self._release(cut=False)
            self._open(index, block)
            self._end_in_turn(index)
        self._stop(answer, answer.usage)
        self._finish()
        return next(each.message for each in self._assembly.take() if isinstance(each, Done))

    # The steps of an answer, streamed or whole

    def _begin(self, message: wire.Message, usage: wire.UsageFields | None) -> None:
        """The answer has an id and a model, and has used so much by now."""
        if self._begun:
            self._break("a second message_start")
            return
        self._begun = True
        self._assembly.id, self._assembly.response_model = message.id, message.model
        if usage is not None:
            self._count(usage)
        self._assembly.start()

    def _open(self, index: int, block: Json) -> None:
        """A block begins, with whatever of it is already there."""
        assembly = self._assembly
        if index in self._blocks:
            self._break(f"block {index} starts twice")
            return
        if not self._begun:
            self._warn("content before message_start")
        kind = _text(block.get("type"))
        opened = self._blocks[index] = _Open(kind, block)
        if kind == "text":
            assembly.open_text(index)
            self._append(index, block.get("text"))
        elif kind == "thinking":
            assembly.open_thinking(index, signature=_text(block.get("signature")) or None)
            self._append(index, block.get("thinking"))
        elif kind == "redacted_thinking":
            assembly.open_thinking(index, redacted=True, signature=_text(block.get("data")))
        elif kind == "tool_use":
            assembly.open_tool_call(index, _text(block.get("id")), _text(block.get("name")))
            if block.get("input"):
                opened.kind, opened.given = "tool_use with input", _json(block["input"])
        else:
            self._warn(f"a block of type {kind!r} is kept, but only its maker can read it")
            assembly.open_text(index)
            opened.kind, opened.extras = "opaque", block

    def _end(self, index: int, *, cut: bool = False) -> None:
        """A block is complete; ``cut`` if nobody said so."""
        block = self._blocks.pop(index, None)
        if block is None:
            self._warn("the end of a block that never started")
            return
        if block.given:
            self._assembly.append(index, block.given)
        if block.parts:
            block.extras["input"] = parse_arguments("".join(block.parts))[0]
        if block.extras:
            self._assembly.annotate(index, {NAME: block.extras})
        self._assembly.close(index, cut=cut)

    def _end_in_turn(self, index: int) -> None:
        """The provider says that a block is complete.

        It says so too of a call that the token limit cut before its first argument; so the end of
        a call without any waits for what comes next.
        """
        block = self._blocks.get(index)
        calls = block is not None and block.kind == "tool_use"
        if calls and self._assembly.is_empty(index):
            self._held = index
        else:
            self._end(index)

    def _release(self, *, cut: bool) -> None:
        """End the call that was waiting, if there is one."""
        if self._held is not None:
            held, self._held = self._held, None
            self._end(held, cut=cut)

    def _stop(self, stop: wire.Stop, usage: wire.UsageFields | None) -> None:
        """Why the answer ends, and what all of it used."""
        if usage is not None:
            self._counted = True
            self._count(usage)
        if stop.stop_reason is not None:
            self._stopped = stop
            self._release(cut=STOP_REASONS.get(stop.stop_reason) == "length")

    def _finish(self) -> None:
        """The answer is complete."""
        self._release(cut=False)
        stop = self._stopped or wire.Stop()
        if self._blocks:
            self._warn(f"{len(self._blocks)} blocks were never ended")
        for index in list(self._blocks):
            self._end(index, cut=True)
        if stop.stop_reason is None:
            self._warn("the answer does not say why it ended", "stop_reason")
        elif stop.stop_reason not in STOP_REASONS:
            self._warn(f"unknown stop reason {stop.stop_reason!r}", "stop_reason")
        reason = STOP_REASONS.get(stop.stop_reason or "", "stop")
        self._assembly.stop_sequence = stop.stop_sequence
        if reason == "refusal":
            self._explain(stop.stop_details)
        self._assembly.finish(reason)

    # Details

    def _handle(self, event: wire.Event) -> None:
        match event:
            case wire.MessageStart(message=message):
                self._begin(message, message.usage)
            case wire.BlockStart(index=index, content_block=block):
                self._release(cut=False)
                self._open(index, block)
            case wire.BlockStop(index=index):
                self._end_in_turn(index)
            case wire.MessageDelta(delta=stop, usage=usage):
                self._stop(stop, usage)
            case wire.MessageStop():
                self._finish()
            case wire.ErrorFrame():
                self._assembly.fail(frame_error(event))
            case _:
                pass

    def _rarer_delta(self, index: int, block: _Open | None, delta: wire.Delta) -> None:
        if block is None:
            self._break(f"a piece of block {index}, which is not open")
            return
        match delta:
            case wire.InputDelta(text=text) if block.kind == "opaque":
                block.parts.append(text)
            case wire.InputDelta(text=text) if block.kind == "tool_use with input":
                if text:  # the pieces are the arguments, not what came at the start
                    block.kind, block.given = "tool_use", ""
                    self._assembly.append(index, text)
            case wire.SignatureDelta(signature=signature) if block.kind == "thinking":
                self._assembly.sign(index, signature)
            case wire.CitationDelta(citation=citation) if block.kind == "text":
                block.extras.setdefault("citations", []).append(citation)
            case _ if block.kind == "opaque":
                pass  # what grows here is not ours to know
            case _:
                tag = delta.__struct_config__.tag
                self._break(f"a {tag} in block {index}, which is {block.kind}")

    def _unusual(self, data: bytes) -> wire.Event | None:
        """An event that the fast decoder does not take: mended, unknown to us, or no event at all."""
        try:
            values = cast(Any, jsontext.decode(data))
        except (msgspec.DecodeError, RecursionError):
            # Some gateways in between add OpenAI's end mark, or empty events.
            if data.strip() not in (b"", b"[DONE]"):
                self._break(f"not JSON: {snippet(data)}")
            return None
        try:
            return msgspec.convert(wire.spoken(values), wire.Event)
        except msgspec.ValidationError as error:
            self._judge(values, str(error), data)
            return None

    def _judge(self, values: Any, problem: str, data: bytes) -> None:
        fields = cast(Json, values if isinstance(values, dict) else {})
        kind, delta = fields.get("type"), fields.get("delta")
        if said := fields.get("error"):
            named = cast(Json, said if isinstance(said, dict) else {"message": said})
            what = _text(named.get("message")) or snippet(data)
            error = wire.ErrorObject(_text(named.get("type")), what)
            self._assembly.fail(frame_error(wire.ErrorFrame(error)))
        elif isinstance(kind, str) and kind not in _EVENT_TYPES:
            self._warn(f"events of type {kind!r} are not known here")
        elif (
            kind == "content_block_delta" and isinstance(delta, dict) and "$.delta.type" in problem
        ):
            self._warn(f"pieces of type {delta.get('type')!r} are not known here")  # pyright: ignore[reportUnknownMemberType]
        else:
            self._break(f"{problem}: {snippet(data)}")

    def _count(self, usage: wire.UsageFields) -> None:
        self._usage = usage if self._usage is None else self._usage.updated(usage)
        counted = self._usage.inclusive()
        if counted.basis == "reported" and not self._counted:
            # What is told at the start knows next to nothing of the output.
            counted = msgspec.structs.replace(counted, basis="partial")
        self._assembly.usage = counted

    def _explain(self, details: wire.StopDetails | None) -> None:
        """The reason of a refusal is the answer's text, when the model has written none."""
        text = details.explanation if details else None
        if text and not self._assembly.message().text:
            self._assembly.open_text("refusal")
            self._assembly.append("refusal", text)

    def _append(self, index: int, text: Any) -> None:
        if text and isinstance(text, str):
            self._assembly.append(index, text)


def read_response(body: bytes, target: Target) -> AssistantMessage:
    """A whole answer. Raises the error that the body tells, or ``ProtocolError``."""
    try:
        answer = jsontext.decode_with(_WHOLE, body)
    except (msgspec.DecodeError, RecursionError) as error:
        what = f"no message ({error}): {snippet(body)}" if body.strip() else "the answer is empty"
        raise _named(ProtocolError(what), target) from None
    if isinstance(answer, wire.ErrorFrame):
        raise _named(frame_error(answer), target)
    return plain_message(answer, target) or MessagesDecoder(target).read(answer)


def _named(error: PolyvoxError, target: Target) -> PolyvoxError:
    error.provider, error.model = target.provider, target.model
    return error


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _json(value: Any) -> str:
    return jsontext.encode(value).decode()
