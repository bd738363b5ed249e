"""The format's own words and shapes.

From the pages "Converse", "ConverseStream", "ContentBlock", "TokenUsage" and "Message" of the Amazon
Bedrock API reference. A content block is an object with one field, whose name is its kind. What an
answer says beyond our vocabulary is kept under ``NAME`` in its block's ``meta``.
"""

from base64 import b64decode, b64encode
from typing import Any, TypeAlias

import msgspec

from polyvox.messages import CacheHint, StopReason
from polyvox.usage import NO_USAGE, Usage

NAME = "bedrock-converse"

Json: TypeAlias = dict[str, Any]

CACHE_POINT = "cachePoint"

STOP_REASONS: dict[str, StopReason] = {
    "end_turn": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "stop_sequence": "stop_sequence",
    "tool_use": "tool_calls",
}
"""What the format's stop reasons mean, but for those of a failure."""

FILTERED = ("content_filtered", "guardrail_intervened")
MALFORMED = ("malformed_model_output", "malformed_tool_use")

STOP_WORDS: dict[StopReason, str] = {
    "stop": "end_turn",
    "length": "max_tokens",
    "stop_sequence": "stop_sequence",
    "tool_calls": "tool_use",
    "pause": "end_turn",
    "refusal": "end_turn",
    "content_filter": "content_filtered",
}
"""The format's words for our stop reasons; "error" and "aborted" are told by an error."""

MEDIA: dict[str, tuple[str, str]] = {
    "image/png": ("image", "png"),
    "image/jpeg": ("image", "jpeg"),
    "image/gif": ("image", "gif"),
    "image/webp": ("image", "webp"),
    "application/pdf": ("document", "pdf"),
    "text/csv": ("document", "csv"),
    "text/html": ("document", "html"),
    "text/plain": ("document", "txt"),
    "text/markdown": ("document", "md"),
    "application/msword": ("document", "doc"),
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": ("document", "docx"),
    "application/vnd.ms-excel": ("document", "xls"),
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": ("document", "xlsx"),
    "video/mp4": ("video", "mp4"),
    "video/quicktime": ("video", "mov"),
    "video/webm": ("video", "webm"),
    "video/x-matroska": ("video", "mkv"),
    "video/mpeg": ("video", "mpeg"),
}
"""The kind of block and the format of a media type; of sound see ``polyvox.dialects.media``."""

MEDIA_TYPES = {told: media_type for media_type, told in MEDIA.items()}


def cache_point(hint: CacheHint) -> Json:
    """A mark to cache the prompt up to here. The short term, 5 minutes, is the format's default."""
    return {"type": "default", "ttl": "1h"} if hint == "long" else {"type": "default"}


def blob(text: str | None) -> str:
    """Opaque text as the base64 that the format demands: as it is when it is some already."""
    text = text or ""
    try:
        b64decode(text, validate=True)
    except ValueError:
        return b64encode(text.encode("utf-8", "replace")).decode()
    return text


# ------------------------------------------------------------------------------------------ usage


class CacheDetail(msgspec.Struct, rename="camel"):
    """Tokens written to one of the caches."""

    ttl: str = ""
    input_tokens: int = 0


class UsageFields(msgspec.Struct, rename="camel"):
    """The ``usage`` object. Its input counts are additive: none is part of another."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_write_input_tokens: int | None = None
    cache_details: list[CacheDetail] | None = None

    def inclusive(self) -> Usage:
        """The same as our usage, in which the cache's tokens are a part of the input."""
        if self.input_tokens is None and self.output_tokens is None:
            return NO_USAGE
        read, written = self.cache_read_input_tokens or 0, self.cache_write_input_tokens or 0
        long = sum(each.input_tokens for each in self.cache_details or () if each.ttl == "1h")
        return Usage(
            input_tokens=(self.input_tokens or 0) + read + written,
            output_tokens=self.output_tokens or 0,
            cache_read_tokens=read,
            cache_write_tokens=written,
            cache_write_1h_tokens=min(long, written),
        )


def usage_object(usage: Usage) -> Json:
    """Our usage as the format's object."""
    read, written, long = (
        usage.cache_read_tokens,
        usage.cache_write_tokens,
        usage.cache_write_1h_tokens,
    )
    fields: Json = {
        "inputTokens": max(0, usage.input_tokens - read - written),
        "outputTokens": usage.output_tokens,
        "totalTokens": usage.total_tokens,
        "cacheReadInputTokens": read,
        "cacheWriteInputTokens": written,
    }
    if written:
        parts = {"1h": long, "5m": written - long}
        fields["cacheDetails"] = [
            {"ttl": ttl, "inputTokens": tokens} for ttl, tokens in parts.items() if tokens
        ]
    return fields


# ---------------------------------------------------------------------------------------- answers


class Message(msgspec.Struct, rename="camel"):
    """What the model said."""

    content: list[Json] = []


class Output(msgspec.Struct, rename="camel"):
    """The result of a call."""

    message: Message | None = None


class Stop(msgspec.Struct, rename="camel"):
    """How an answer ended: the event ``messageStop``, and a part of a whole answer."""

    stop_reason: str | None = None
    additional_model_response_fields: Any = None

    @property
    def stop_sequence(self) -> str | None:
        """The stop string that the model wrote, where the model tells it and was asked for it."""
        more: Any = self.additional_model_response_fields
        told: Any = more.get("stop_sequence") if isinstance(more, dict) else None  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
        return told if isinstance(told, str) else None


class Answer(Stop, rename="camel"):
    """A whole answer."""

    output: Output | None = None
    usage: UsageFields | None = None


class Metadata(msgspec.Struct, rename="camel"):
    """The event ``metadata``, the last one: what the answer used."""

    usage: UsageFields | None = None


class BlockStart(msgspec.Struct, rename="camel"):
    """The event ``contentBlockStart``; only some kinds of blocks have one."""

    content_block_index: int
    start: Json = {}


class BlockStop(msgspec.Struct, rename="camel"):
    """The event ``contentBlockStop``."""

    content_block_index: int


class InputDelta(msgspec.Struct, gc=False, rename="camel"):
    """A piece of a tool call's arguments, as JSON text."""

    input: str = ""


class ReasoningDelta(msgspec.Struct, gc=False, rename="camel"):
    """A piece of reasoning, of its signature, or of reasoning that is hidden."""

    text: str | None = None
    signature: str | None = None
    redacted_content: str | None = None


class Delta(msgspec.Struct, gc=False, rename="camel"):
    """A piece of a block: one of these fields is there."""

    text: str | None = None
    tool_use: InputDelta | None = None
    reasoning_content: ReasoningDelta | None = None
    tool_result: list[Json] | None = None
    citation: Json | None = None


class BlockDelta(msgspec.Struct, gc=False, rename="camel"):
    """The event ``contentBlockDelta``: a block grows, or begins if it is text or reasoning."""

    content_block_index: int
    delta: Delta
