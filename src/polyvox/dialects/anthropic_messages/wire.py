"""The format's own words and shapes, as they stand in an answer.

From the pages "Create a Message" and "Streaming Messages" of Anthropic's API documentation.
Structs hold what we read of a whole answer and of the events of a streamed one; unknown fields are
skipped. What a content block says beyond our vocabulary is kept under ``NAME`` in its ``meta``.
"""

from typing import Any, ClassVar, TypeAlias, cast

import msgspec

from polyvox.messages import CacheHint, StopReason
from polyvox.usage import NO_USAGE, Usage

NAME = "anthropic-messages"

Json: TypeAlias = dict[str, Any]

STOP_REASONS: dict[str, StopReason] = {
    "end_turn": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "stop_sequence": "stop_sequence",
    "tool_use": "tool_calls",
    "pause_turn": "pause",
    "refusal": "refusal",
}
"""What the format's stop reasons mean."""

STOP_WORDS: dict[StopReason, str] = {
    "stop": "end_turn",
    "length": "max_tokens",
    "stop_sequence": "stop_sequence",
    "tool_calls": "tool_use",
    "pause": "pause_turn",
    "refusal": "refusal",
    "content_filter": "refusal",
}
"""The format's words for our stop reasons; "error" and "aborted" are told by an error."""


def cache_control(hint: CacheHint) -> Json:
    """A cache breakpoint. The short term, 5 minutes, is the format's default."""
    return {"type": "ephemeral", "ttl": "1h"} if hint == "long" else {"type": "ephemeral"}


def blank(text: str) -> bool:
    """Whether the API would refuse a text block with this text."""
    return not text or text.isspace()


# ------------------------------------------------------------------------------------------ usage


class CacheCreation(msgspec.Struct):
    """Tokens written to the caches, by how long these keep them."""

    ephemeral_5m_input_tokens: int | None = None
    ephemeral_1h_input_tokens: int | None = None


class OutputDetails(msgspec.Struct):
    """Parts of the output."""

    thinking_tokens: int | None = None


_NO_PARTS = CacheCreation()


class UsageFields(msgspec.Struct):
    """The ``usage`` object. Its input counts are additive: none is part of another."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_creation: CacheCreation | None = None
    output_tokens_details: OutputDetails | None = None

    def updated(self, later: "UsageFields") -> "UsageFields":
        """These counts, with those that are said again later (they are cumulative) replaced."""
        told = msgspec.structs.asdict(later).items()
        news = {name: count for name, count in told if count is not None}
        return msgspec.structs.replace(self, **news)

    def inclusive(self) -> Usage:
        """The same as our usage, in which the cache's tokens are a part of the input."""
        if self.input_tokens is None and self.output_tokens is None:
            return NO_USAGE
        parts = self.cache_creation or _NO_PARTS
        short, long = parts.ephemeral_5m_input_tokens or 0, parts.ephemeral_1h_input_tokens or 0
        written = self.cache_creation_input_tokens
        written = short + long if written is None else written
        read = self.cache_read_input_tokens or 0
        details = self.output_tokens_details
        return Usage(
            input_tokens=(self.input_tokens or 0) + written + read,
            output_tokens=self.output_tokens or 0,
            cache_read_tokens=read,
            cache_write_tokens=written,
            cache_write_1h_tokens=min(long, written),
            reasoning_tokens=(details and details.thinking_tokens) or 0,
        )


def usage_object(usage: Usage) -> Json:
    """Our usage as the format's object."""
    written, long = usage.cache_write_tokens, usage.cache_write_1h_tokens
    fields: Json = {
        "input_tokens": max(0, usage.input_tokens - usage.cache_read_tokens - written),
        "cache_creation_input_tokens": written,
        "cache_read_input_tokens": usage.cache_read_tokens,
        "output_tokens": usage.output_tokens,
    }
    if long:
        fields["cache_creation"] = {
            "ephemeral_5m_input_tokens": written - long,
            "ephemeral_1h_input_tokens": long,
        }
    if usage.reasoning_tokens:
        fields["output_tokens_details"] = {"thinking_tokens": usage.reasoning_tokens}
    return fields


# ----------------------------------------------------------------------------------------- errors


class ErrorObject(msgspec.Struct):
    """What went wrong."""

    type: str = ""
    message: str = ""


class ErrorFrame(msgspec.Struct, tag="error"):
    """The body of an error answer, and an event in a stream."""

    error: ErrorObject
    request_id: str | None = None


# ---------------------------------------------------------------------------------------- answers


class StopDetails(msgspec.Struct):
    """Why the model refused."""

    explanation: str | None = None


class Stop(msgspec.Struct):
    """How an answer ended."""

    stop_reason: str | None = None
    stop_sequence: str | None = None
    stop_details: StopDetails | None = None


class Message(Stop, tag="message"):
    """A whole answer, or the beginning of a streamed one, which has no content yet."""

    id: str = ""
    model: str = ""
    content: list[Json] = []
    usage: UsageFields | None = None


_OWN = frozenset({"type", "text", "thinking", "signature", "data", "id", "name", "input"})


def extras(block: Json) -> Json:
    """What a block of an answer says beyond our vocabulary, which is kept in its ``meta``."""
    return {
        name: value for name, value in block.items() if name not in _OWN and value not in (None, [])
    }


class MessageStart(msgspec.Struct, tag="message_start"):
    """The answer begins."""

    message: Message


class BlockStart(msgspec.Struct, tag="content_block_start"):
    """A block begins; some servers send it whole at once."""

    index: int
    content_block: Json


class Piece(msgspec.Struct, gc=False):
    """A piece of a block; ``kind`` is the type of the blocks it may belong to."""

    kind: ClassVar[str]
    text: str


class TextDelta(Piece, tag="text_delta"):
    """A piece of text."""

    kind = "text"


class ThinkingDelta(Piece, tag="thinking_delta", rename={"text": "thinking"}):
    """A piece of reasoning."""

    kind = "thinking"
    text: str  # again, because only a class's own fields are renamed


class InputDelta(Piece, tag="input_json_delta", rename={"text": "partial_json"}):
    """A piece of a tool call's arguments, as JSON text."""

    kind = "tool_use"
    text: str


class SignatureDelta(msgspec.Struct, tag="signature_delta"):
    """The signature under a block of reasoning."""

    signature: str


class CitationDelta(msgspec.Struct, tag="citations_delta"):
    """A source that the text relies on."""

    citation: Json


Delta: TypeAlias = TextDelta | ThinkingDelta | InputDelta | SignatureDelta | CitationDelta


class BlockDelta(msgspec.Struct, tag="content_block_delta", gc=False):
    """A block grows."""

    index: int
    delta: Delta


class BlockStop(msgspec.Struct, tag="content_block_stop"):
    """A block is complete."""

    index: int


class MessageDelta(msgspec.Struct, tag="message_delta"):
    """How the answer ends, and what it used so far."""

    delta: Stop = msgspec.field(default_factory=Stop)
    usage: UsageFields | None = None


class MessageStop(msgspec.Struct, tag="message_stop"):
    """The answer is complete."""


class Ping(msgspec.Struct, tag="ping"):
    """A sign of life."""


Event: TypeAlias = (
    BlockDelta
    | BlockStart
    | BlockStop
    | MessageStart
    | MessageDelta
    | MessageStop
    | Ping
    | ErrorFrame
)


_ABOUT_ALL = ("message_start", "message_delta")


def spoken(event: Any) -> Any:
    """The event; one about the whole message without its nulls, of which some servers send many."""
    fields = cast(Json, event if isinstance(event, dict) else {})
    return _without_nulls(fields) if fields.get("type") in _ABOUT_ALL else cast(Any, event)


def _without_nulls(fields: Json) -> Json:
    return {
        name: _without_nulls(cast(Json, value)) if isinstance(value, dict) else value
        for name, value in fields.items()
        if value is not None
    }
