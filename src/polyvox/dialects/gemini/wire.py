"""The format's own words and shapes, as they stand in an answer.

From "Generating content" in the Gemini API reference (``GenerateContentResponse``, ``Candidate``,
``Part``, ``UsageMetadata``). Unknown fields are skipped. What a part says beyond our vocabulary is
kept under ``NAME`` in its block's ``meta``.
"""

from typing import Any, TypeAlias

import msgspec

from polyvox.errors import (
    BadRequestError,
    ContentFilterError,
    PermissionDeniedError,
    PolyvoxError,
    ServerError,
)
from polyvox.messages import Block, StopReason
from polyvox.usage import NO_USAGE, Usage

NAME = "gemini"
SIGNATURE = "thoughtSignature"

FOREIGN_SIGNATURES = ("skip_thought_signature_validator", "context_engineering_is_the_way_to_go")
"""The documented stand-ins for the signature of a call that the model did not make itself."""

Json: TypeAlias = dict[str, Any]

ABSENT = msgspec.Raw(b"")

FINISH_REASONS: dict[str, StopReason] = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    "CONTINUATION": "length",
}
"""Finish reasons that end an answer well enough."""

FAILED: dict[str, type[PolyvoxError]] = {
    "SAFETY": ContentFilterError,
    "RECITATION": ContentFilterError,
    "LANGUAGE": ContentFilterError,
    "BLOCKLIST": ContentFilterError,
    "PROHIBITED_CONTENT": ContentFilterError,
    "SPII": ContentFilterError,
    "MODEL_ARMOR": ContentFilterError,
    "ESCALATION": ContentFilterError,
    "IMAGE_SAFETY": ContentFilterError,
    "IMAGE_PROHIBITED_CONTENT": ContentFilterError,
    "IMAGE_RECITATION": ContentFilterError,
    "IMAGE_OTHER": ServerError,
    "NO_IMAGE": ServerError,
    "OTHER": ServerError,
    "MALFORMED_FUNCTION_CALL": ServerError,
    "MALFORMED_RESPONSE": ServerError,
    "UNEXPECTED_TOOL_CALL": ServerError,
    "TOO_MANY_TOOL_CALLS": ServerError,
    "MISSING_THOUGHT_SIGNATURE": BadRequestError,
    "PUP_LIMITED_DISABLED": PermissionDeniedError,
}
"""Finish reasons that mean the answer failed."""

FINISH_WORDS: dict[StopReason, str] = {
    "stop": "STOP",
    "stop_sequence": "STOP",
    "tool_calls": "STOP",
    "length": "MAX_TOKENS",
    "refusal": "STOP",
    "pause": "STOP",
    "content_filter": "SAFETY",
    "error": "OTHER",
    "aborted": "OTHER",
}
"""The format's words for our stop reasons. It has none for a refusal in the model's own words."""


def extras(block: Block) -> Json:
    """The fields of a part that came with the block and that our vocabulary has no word for."""
    kept: Any = (block.meta or {}).get(NAME)
    return dict(kept) if isinstance(kept, dict) else {}  # pyright: ignore[reportUnknownArgumentType]


# ------------------------------------------------------------------------------------------ usage


class ModalityCount(msgspec.Struct, rename="camel"):
    """Tokens of one kind, such as "AUDIO"."""

    modality: str = ""
    token_count: int | None = None


class UsageFields(msgspec.Struct, rename="camel"):
    """``usageMetadata``. Thoughts and the results of the server's tools are counted apart."""

    prompt_token_count: int | None = None
    cached_content_token_count: int | None = None
    candidates_token_count: int | None = None
    thoughts_token_count: int | None = None
    tool_use_prompt_token_count: int | None = None
    prompt_tokens_details: list[ModalityCount] | None = None
    candidates_tokens_details: list[ModalityCount] | None = None

    def updated(self, later: "UsageFields") -> "UsageFields":
        """These counts, with those that are said again later (they are cumulative) replaced."""
        names = self.__struct_fields__
        news = {name: getattr(later, name) for name in names if getattr(later, name) is not None}
        return msgspec.structs.replace(self, **news)

    def inclusive(self) -> Usage:
        """The same as our usage."""
        if self.prompt_token_count is None and self.candidates_token_count is None:
            return NO_USAGE
        thoughts = self.thoughts_token_count or 0
        return Usage(
            input_tokens=(self.prompt_token_count or 0) + (self.tool_use_prompt_token_count or 0),
            output_tokens=(self.candidates_token_count or 0) + thoughts,
            cache_read_tokens=self.cached_content_token_count or 0,
            reasoning_tokens=thoughts,
            input_audio_tokens=_audio(self.prompt_tokens_details),
            output_audio_tokens=_audio(self.candidates_tokens_details),
        )


def _audio(details: list[ModalityCount] | None) -> int:
    return sum(each.token_count or 0 for each in details or () if each.modality == "AUDIO")


def usage_object(usage: Usage) -> Json:
    """Our usage as ``usageMetadata``; what went into a cache is not told apart here."""
    fields: Json = {
        "promptTokenCount": usage.input_tokens,
        "candidatesTokenCount": usage.output_tokens - usage.reasoning_tokens,
        "totalTokenCount": usage.total_tokens,
    }
    if usage.cache_read_tokens:
        fields["cachedContentTokenCount"] = usage.cache_read_tokens
    if usage.reasoning_tokens:
        fields["thoughtsTokenCount"] = usage.reasoning_tokens
    audio = (usage.input_audio_tokens, usage.output_audio_tokens)
    for name, count in zip(("promptTokensDetails", "candidatesTokensDetails"), audio, strict=True):
        if count:
            fields[name] = [{"modality": "AUDIO", "tokenCount": count}]
    return fields


# ---------------------------------------------------------------------------------------- answers


class FunctionCall(msgspec.Struct):
    """A call, always whole."""

    name: str = ""
    id: str | None = None
    args: Json | None = None


class Blob(msgspec.Struct, rename="camel"):
    """Bytes, in base64."""

    mime_type: str = ""
    data: bytes = b""


class Part(msgspec.Struct, rename="camel"):
    """A piece of the answer. The last fields are for the API's own tools, whose data is not ours."""

    text: str | None = None
    thought: bool | None = None
    thought_signature: str | None = None
    function_call: FunctionCall | None = None
    inline_data: Blob | None = None
    file_data: Json | None = None
    executable_code: Json | None = None
    code_execution_result: Json | None = None
    tool_call: Json | None = None
    tool_response: Json | None = None


OPAQUE = ("fileData", "executableCode", "codeExecutionResult", "toolCall", "toolResponse")
"""The kinds of parts that only the API understands."""


class Content(msgspec.Struct):
    """What was said."""

    parts: list[Part] | None = None


class Candidate(msgspec.Struct, rename="camel"):
    """One of the answers to choose from."""

    content: Content | None = None
    finish_reason: str | None = None
    finish_message: str | None = None
    index: int | None = None


class PromptFeedback(msgspec.Struct, rename="camel"):
    """Why there is no answer at all."""

    block_reason: str | None = None
    block_reason_message: str | None = None


class Response(msgspec.Struct, rename="camel"):
    """A whole answer, or a frame of a streamed one. ``error`` is a ``google.rpc.Status``."""

    candidates: list[Candidate] | None = None
    prompt_feedback: PromptFeedback | None = None
    usage_metadata: msgspec.Raw = ABSENT
    model_version: str | None = None
    response_id: str | None = None
    error: Any = None
