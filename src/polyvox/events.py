"""How an answer arrives: the events of a stream, and their grammar.

    stream  = [ start { block | warning | passed | nested } ] ( done | error )
    block   = text_start { text_delta } text_end
            | thinking_start { thinking_delta } thinking_end
            | tool_call_start { tool_call_delta } tool_call_end

Blocks may interleave (parallel tool calls do); ``index`` is the block's place in the message. A
stream ends exactly once, with ``done`` or ``error``, and both carry the whole message: after an
error, all that arrived before it. Only a call that failed before the answer began has no ``start``.
``nested`` wraps what happens inside a tool, an agent or a council member. ``warning`` says what was
dropped or bent on the way, so that nothing is changed silently. ``passed`` is for gateways alone.
"""

from typing import Any, TypeAlias

import msgspec

from polyvox.errors import PolyvoxError, error_from_dict
from polyvox.messages import AssistantMessage, Text, Thinking, ToolCall


class _Event(
    msgspec.Struct, tag_field="type", omit_defaults=True, repr_omit_defaults=True, gc=False
):
    """What all small events share. They hold no cycles, so the garbage collector need not look."""


class Start(_Event, tag="start"):
    """The provider has begun to answer; ``id`` is its name for the answer."""

    provider: str = ""
    model: str = ""
    id: str = ""


class TextStart(_Event, tag="text_start"):
    """A text block begins."""

    index: int


class TextDelta(_Event, tag="text_delta"):
    """A piece of text."""

    index: int
    text: str


class TextEnd(_Event, tag="text_end"):
    """A text block is complete."""

    index: int
    block: Text


class ThinkingStart(_Event, tag="thinking_start"):
    """A block of reasoning begins."""

    index: int


class ThinkingDelta(_Event, tag="thinking_delta"):
    """A piece of reasoning."""

    index: int
    text: str


class ThinkingEnd(_Event, tag="thinking_end"):
    """A block of reasoning is complete."""

    index: int
    block: Thinking


class ToolCallStart(_Event, tag="tool_call_start"):
    """The model begins to call a tool."""

    index: int
    id: str
    name: str


class ToolCallDelta(_Event, tag="tool_call_delta"):
    """A piece of a tool call's arguments, as JSON text."""

    index: int
    text: str


class ToolCallEnd(_Event, tag="tool_call_end"):
    """A tool call has ended; ``block.executable`` says whether its arguments came whole."""

    index: int
    block: ToolCall


class Warned(_Event, tag="warning"):
    """Something was dropped or changed on the way; ``field`` says of what, ``text`` how."""

    text: str
    field: str = ""


class Passed(_Event, tag="passed"):
    """A piece of the answer's body as the provider wrote it, after the events that were read from it.

    Comes only where the caller speaks the provider's dialect (see ``verbatim``). The last one stands
    before the end of the stream; ``ends`` says whether the provider's own ending is in it.
    """

    data: bytes
    ends: bool = False


class Nested(msgspec.Struct, tag_field="type", tag="nested"):
    """An event of a stream inside this one; ``path`` names the way to it, outermost first."""

    path: list[str]
    event: "Event"


class Done(msgspec.Struct, tag_field="type", tag="done"):
    """The answer is complete."""

    message: AssistantMessage


class Failed(msgspec.Struct, tag_field="type", tag="error"):
    """The call failed or was interrupted; ``message`` (also ``error.message``) holds what had arrived."""

    error: PolyvoxError
    message: AssistantMessage


Event: TypeAlias = (
    Start
    | TextStart
    | TextDelta
    | TextEnd
    | ThinkingStart
    | ThinkingDelta
    | ThinkingEnd
    | ToolCallStart
    | ToolCallDelta
    | ToolCallEnd
    | Warned
    | Passed
    | Nested
    | Done
    | Failed
)

CONTENT_EVENTS = (
    TextStart,
    TextDelta,
    TextEnd,
    ThinkingStart,
    ThinkingDelta,
    ThinkingEnd,
    ToolCallStart,
    ToolCallDelta,
    ToolCallEnd,
)
"""The events that deliver content: after the first of them an answer can no longer be started over."""


def encode_event(event: Event) -> bytes:
    """The event as one JSON object; ``decode_event`` reads it."""
    return msgspec.json.encode(event, enc_hook=_encode_error)


def decode_event(data: bytes | str) -> Event:
    """The event that ``encode_event`` wrote. Raises ``msgspec.DecodeError`` on anything else."""
    event = msgspec.json.decode(data, type=Event, dec_hook=_decode_error)
    if isinstance(event, Failed):
        event.error.message = event.message
    return event


def _encode_error(value: Any) -> Any:
    if isinstance(value, PolyvoxError):
        return value.to_dict()
    raise NotImplementedError(f"an event can't hold a {type(value).__name__}")


def _decode_error(expected: type, value: Any) -> Any:
    if issubclass(expected, PolyvoxError) and isinstance(value, dict) and "text" in value:
        return error_from_dict(value)  # pyright: ignore[reportUnknownArgumentType]
    raise ValueError("an error is an object with at least a text")
