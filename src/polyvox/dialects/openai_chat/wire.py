"""What is read of an answer: only the fields that mean something here; all others are ignored.

A whole answer and a chunk of a streamed one share these types, for a message is read as one big
delta. Fields follow OpenAI's API reference ("The chat completion object", "The chat completion
chunk object") and, where a comment names somebody else, that provider's own.
"""

from typing import Any, TypeAlias

import msgspec

from polyvox.dialects.bills import Bill

Number: TypeAlias = int | float | None
"""A count of tokens; some write 12.0."""


ABSENT = msgspec.Raw()
"""Stands for usage that is not there. Usage is read apart, so that a bad one spoils no answer."""


class Wire(msgspec.Struct, gc=False):
    """What all of them share. They live for one frame and hold no cycles."""


class PromptDetails(Wire):
    """``usage.prompt_tokens_details``."""

    cached_tokens: Number = None
    cache_write_tokens: Number = None
    audio_tokens: Number = None


class CompletionDetails(Wire):
    """``usage.completion_tokens_details``."""

    reasoning_tokens: Number = None
    audio_tokens: Number = None


class WireUsage(Bill, gc=False):
    """``usage``, with the words of those who put it differently."""

    prompt_tokens: Number = None
    completion_tokens: Number = None
    total_tokens: Number = None
    prompt_tokens_details: PromptDetails | None = None
    completion_tokens_details: CompletionDetails | None = None
    prompt_cache_hit_tokens: Number = None  # DeepSeek
    cached_tokens: Number = None  # Moonshot
    reasoning_tokens: Number = None  # Perplexity


class Function(Wire):
    """A tool call's name and arguments; the latter are an object where a provider is careless."""

    name: str | None = None
    arguments: str | dict[str, Any] | None = None


class ToolCallPiece(Wire):
    """A tool call, or a fragment of one."""

    index: int | None = None
    id: str | None = None
    function: Function | None = None
    extra_content: dict[str, Any] | None = None  # Gemini: the signature of its thoughts


class Delta(Wire):
    """``delta`` of a chunk, ``message`` of a whole answer."""

    content: str | list[Any] | None = None
    tool_calls: list[ToolCallPiece] | None = None
    reasoning_content: Any = None  # DeepSeek, and many after it
    reasoning: Any = None  # OpenRouter, Groq, Together
    reasoning_details: list[Any] | None = None  # OpenRouter
    refusal: str | None = None
    function_call: Function | None = None  # OpenAI, before tools
    images: list[Any] | None = None  # OpenRouter


class Choice(Wire):
    """One of the answers to the same question."""

    index: int | None = None
    delta: Delta | None = None
    message: Delta | None = None
    finish_reason: str | None = None
    usage: msgspec.Raw = ABSENT  # Moonshot
    error: Any = None  # OpenRouter


class Groq(Wire):
    """``x_groq``."""

    usage: msgspec.Raw = ABSENT


class Chunk(Wire):
    """One frame of a stream, or a whole answer."""

    id: str | None = None
    model: str | None = None
    choices: list[Choice] | None = None
    usage: msgspec.Raw = ABSENT
    x_groq: Groq | None = None
    error: Any = None
    # An error without its envelope, as vLLM and LM Studio send it:
    object: str | None = None
    message: Any = None
    code: Any = None
    type: Any = None
    detail: Any = None


CHUNK = msgspec.json.Decoder(Chunk)
USAGE = msgspec.json.Decoder(WireUsage)
