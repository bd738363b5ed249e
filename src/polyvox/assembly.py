"""From pieces to a message: the one place where blocks open, grow and close.

A dialect's decoder tells an ``Assembly`` what it reads; the assembly answers with events that keep
the grammar of ``polyvox.events`` and holds the message as it stands. ``fold`` makes the message
back out of events. Both are linear in what was said: pieces are joined once, when a block closes.
"""

import uuid
from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import Any, Literal, TypeAlias

import msgspec

from polyvox import jsontext
from polyvox.errors import AbortedError, PolyvoxError
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
    Warned,
)
from polyvox.messages import (
    AssistantBlock,
    AssistantMessage,
    Image,
    StopReason,
    Text,
    Thinking,
    ToolCall,
)
from polyvox.usage import NO_USAGE, Usage

_Kind: TypeAlias = Literal["text", "thinking", "tool_call"]

_DELTAS = {"text": TextDelta, "thinking": ThinkingDelta, "tool_call": ToolCallDelta}
_ENDS: dict[_Kind, Callable[[int, Any], Event]] = {
    "text": TextEnd,
    "thinking": ThinkingEnd,
    "tool_call": ToolCallEnd,
}
_PICTURE = "a picture in the answer appears only in the finished message"
_ARGUMENTS: msgspec.json.Decoder[dict[str, Any]] = msgspec.json.Decoder(dict[str, Any])


class _OpenBlock(msgspec.Struct):
    """A block that is still growing."""

    kind: _Kind
    index: int
    make_delta: Callable[[int, str], Event]
    parts: list[str] = []
    id: str = ""
    name: str = ""
    signature: str | None = None
    redacted: bool = False
    meta: dict[str, Any] | None = None

    def block(self, producer: str | None, *, cut: bool, outline: bool = False) -> AssistantBlock:
        text = "" if outline else "".join(self.parts)
        if self.kind == "text":
            return Text(text, meta=self.meta, producer=producer) if self.meta else Text(text)
        if self.kind == "tool_call":
            arguments, unparsed = ({}, text) if cut else parse_arguments(text)
            owner = producer if self.meta else None
            return ToolCall(self.id, self.name, arguments, unparsed, meta=self.meta, producer=owner)
        return Thinking(text, self.signature, self.redacted, meta=self.meta, producer=producer)


def parse_arguments(text: str) -> tuple[dict[str, Any], str | None]:
    """A tool call's arguments and None, or {} and the text itself when that is no JSON object.

    An empty text means no arguments: so most providers write a call of a tool that takes none.
    """
    if not text or text.isspace():
        return {}, None
    try:
        return jsontext.decode_with(_ARGUMENTS, text), None
    except msgspec.DecodeError:
        return {}, text


def new_call_id() -> str:
    """An id for a tool call whose provider gave none."""
    return f"call_{uuid.uuid4().hex[:24]}"


class Assembly:
    """Collects one answer. ``key`` is whatever the dialect knows a block by while it is open.

    Set ``usage``, ``response_model``, ``id``, ``request_id`` and ``stop_sequence`` as they become
    known. ``take`` hands out the events made since the last time.
    """

    def __init__(self, provider: str = "", model: str = "") -> None:
        self.provider = provider
        self.model = model
        self.response_model = ""
        self.id = ""
        self.request_id: str | None = None
        self.stop_sequence: str | None = None
        self.usage: Usage = NO_USAGE
        self.started = False
        self.ended = False
        self._blocks: list[AssistantBlock | None] = []
        self._open: dict[Hashable, _OpenBlock] = {}
        self._events: list[Event] = []
        self._warned: set[str] = set()

    @property
    def producer(self) -> str | None:
        """The name that opaque data of this answer belongs to: "provider/model"."""
        return f"{self.provider}/{self.model}" if self.model else None

    @property
    def empty(self) -> bool:
        """Whether no block has begun yet."""
        return not self._blocks

    def take(self) -> list[Event]:
        """The events since the last call, in order."""
        events = self._events
        self._events = []
        return events

    def start(self) -> None:
        """The provider has begun to answer. Calling it again does nothing."""
        if not self.started:
            self.started = True
            self._events.append(Start(self.provider, self.model, self.id))

    def warn(self, text: str, field: str = "") -> None:
        """Say, once, that something was dropped or changed."""
        if text not in self._warned:
            self._warned.add(text)
            self.start()
            self._events.append(Warned(text, field))

    def is_open(self, key: Hashable) -> bool:
        """Whether the block known by ``key`` is open."""
        return key in self._open

    def is_empty(self, key: Hashable) -> bool:
        """Whether the open block known by ``key`` has no text yet."""
        return not self._open[key].parts

    def open_text(self, key: Hashable) -> None:
        """Begin a text block."""
        block = self._begin(key, "text")
        self._events.append(TextStart(block.index))

    def open_thinking(
        self, key: Hashable, *, redacted: bool = False, signature: str | None = None
    ) -> None:
        """Begin a block of reasoning."""
        block = self._begin(key, "thinking")
        block.redacted, block.signature = redacted, signature
        self._events.append(ThinkingStart(block.index))

    def open_tool_call(self, key: Hashable, id: str, name: str) -> None:
        """Begin a tool call. An empty ``id`` is replaced by a new one."""
        block = self._begin(key, "tool_call")
        block.id, block.name = id or new_call_id(), name
        self._events.append(ToolCallStart(block.index, block.id, name))

    def append(self, key: Hashable, text: str) -> None:
        """Let the open block grow by a piece of text, reasoning or arguments."""
        block = self._open[key]
        block.parts.append(text)
        self._events.append(block.make_delta(block.index, text))

    def grow(self, key: Hashable, texts: list[str]) -> list[Event] | None:
        """Append each of the pieces and take the events; None, and nothing, if no such block is open."""
        block = self._open.get(key)
        if block is None:
            return None
        block.parts += texts
        make, index = block.make_delta, block.index
        self._events += [make(index, text) for text in texts]
        return self.take()

    def sign(self, key: Hashable, signature: str) -> None:
        """Add to the signature of an open block of reasoning."""
        block = self._open[key]
        block.signature = (block.signature or "") + signature

    def redact(self, key: Hashable) -> None:
        """Say of an open block of reasoning that its text is hidden."""
        self._open[key].redacted = True

    def annotate(self, key: Hashable, meta: dict[str, Any]) -> None:
        """Add opaque data of the provider to an open block."""
        block = self._open[key]
        block.meta = {**(block.meta or {}), **meta}

    def close(self, key: Hashable, *, cut: bool = False) -> None:
        """End a block; ``cut`` says that it broke off, so that a tool call won't be executable."""
        opened = self._open.pop(key)
        block = self._blocks[opened.index] = opened.block(self.producer, cut=cut)
        self._events.append(_ENDS[opened.kind](opened.index, block))

    def show(self, image: Image) -> None:
        """Add a picture, which always comes whole and which no event but the last carries."""
        self.start()
        self._blocks.append(image)
        self._events.append(Warned(_PICTURE, "content"))

    def put(self, key: Hashable, block: AssistantBlock) -> None:
        """End a block with its final value, known from elsewhere."""
        self._blocks[self._open.pop(key).index] = block

    def close_all(self, *, cut: bool = False) -> None:
        """End every open block, in the order they were opened."""
        for key in list(self._open):
            self.close(key, cut=cut)

    def finish(self, stop_reason: StopReason) -> None:
        """The answer is complete: ends the blocks and the stream.

        A "stop" with tool calls is "tool_calls", and the other way round: providers mix them up.
        """
        self.start()
        self.close_all()
        calls = ToolCall in map(type, self._blocks)
        if calls and stop_reason == "stop":
            stop_reason = "tool_calls"
        elif not calls and stop_reason == "tool_calls":
            self.warn("the provider announced tool calls but sent none", "stop_reason")
            stop_reason = "stop"
        self.ended = True
        self._events.append(Done(self.message(stop_reason)))

    def fail(self, error: PolyvoxError) -> None:
        """The answer broke off: ends the blocks as cut, and the stream with ``error``."""
        self.close_all(cut=True)
        self.ended = True
        if self.usage.basis == "reported":
            self.usage = msgspec.structs.replace(self.usage, basis="partial")
        error.provider, error.model = error.provider or self.provider, error.model or self.model
        error.request_id = error.request_id or self.request_id
        message = self.message("aborted" if isinstance(error, AbortedError) else "error")
        message.error = error.text
        error.message = message
        self._events.append(Failed(error, message))

    @property
    def open_texts(self) -> list[list[str]]:
        """The pieces of each block that is still open."""
        return [opened.parts for opened in self._open.values()]

    def message(
        self, stop_reason: StopReason = "aborted", *, outline: bool = False
    ) -> AssistantMessage:
        """The message as it stands; blocks still open appear with what they have so far.

        In an ``outline`` they have nothing: joining what was said takes a while, if it is long.
        """
        blocks = self._blocks
        if self._open:
            blocks = list(blocks)
            for opened in self._open.values():
                blocks[opened.index] = opened.block(self.producer, cut=True, outline=outline)
        return AssistantMessage(
            [block for block in blocks if block is not None],
            stop_reason,
            self.usage,
            self.provider,
            self.model,
            self.response_model,
            self.id,
            self.request_id,
            self.stop_sequence,
        )

    def _begin(self, key: Hashable, kind: _Kind) -> _OpenBlock:
        self.start()
        block = _OpenBlock(kind, len(self._blocks), _DELTAS[kind])
        self._blocks.append(None)
        self._open[key] = block
        return block


def fold(events: Iterable[Event]) -> AssistantMessage:
    """The message that a stream's events tell, also when the stream has not ended yet.

    An unfinished one has stop reason "aborted". Nested events belong to other messages.
    """
    assembly = Assembly()
    for event in events:
        match event:
            case Done(message=message) | Failed(message=message):
                return message
            case Start(provider=provider, model=model, id=answer_id):
                assembly.provider, assembly.model, assembly.id = provider, model, answer_id
            case TextStart(index=index):
                assembly.open_text(index)
            case ThinkingStart(index=index):
                assembly.open_thinking(index)
            case ToolCallStart(index=index, id=call_id, name=name):
                assembly.open_tool_call(index, call_id, name)
            case TextDelta(index=index, text=text) | ThinkingDelta(index=index, text=text):
                assembly.append(index, text)
            case ToolCallDelta(index=index, text=text):
                assembly.append(index, text)
            case TextEnd(index=index, block=block) | ThinkingEnd(index=index, block=block):
                assembly.put(index, block)
            case ToolCallEnd(index=index, block=block):
                assembly.put(index, block)
            case _:
                pass
    return assembly.message()


def whole(text: str) -> Iterable[str]:
    """A text in one piece; none if it is empty."""
    return (text,) if text else ()


def unfold(
    message: AssistantMessage, pieces: Callable[[str], Iterable[str]] = whole
) -> Iterator[Event]:
    """The events of a stream that tells this message; the other way round from ``fold``.

    ``pieces`` cuts each block's text into the deltas to send. The stream of a message whose stop
    reason is "error" or "aborted" ends accordingly.
    """
    yield Start(message.provider, message.model, message.id)
    for index, block in enumerate(message.content):
        match block:
            case Text():
                yield TextStart(index)
                yield from (TextDelta(index, piece) for piece in pieces(block.text))
                yield TextEnd(index, block)
            case Thinking():
                yield ThinkingStart(index)
                yield from (ThinkingDelta(index, piece) for piece in pieces(block.text))
                yield ThinkingEnd(index, block)
            case ToolCall():
                yield ToolCallStart(index, block.id, block.name)
                yield from (ToolCallDelta(index, piece) for piece in pieces(arguments_text(block)))
                yield ToolCallEnd(index, block)
            case Image():
                yield Warned(_PICTURE, "content")
    yield _ending(message)


def arguments_text(call: ToolCall) -> str:
    """A tool call's arguments as JSON text: always the same for the same arguments."""
    return jsontext.encode(call.arguments).decode() if call.unparsed is None else call.unparsed


def failed(error: PolyvoxError) -> Failed:
    """The event of a call that failed, or was interrupted, before its answer began."""
    stop_reason = "aborted" if isinstance(error, AbortedError) else "error"
    error.message = AssistantMessage([], stop_reason, error=error.text)
    return Failed(error, error.message)


def _ending(message: AssistantMessage) -> Event:
    if message.stop_reason not in ("error", "aborted"):
        return Done(message)
    kind = AbortedError if message.stop_reason == "aborted" else PolyvoxError
    error = kind(message.error or f"the answer ended with {message.stop_reason}")
    error.provider, error.model, error.message = message.provider, message.model, message
    return Failed(error, message)
