"""Usage as OpenAI and its likes count it, to ours and back.

OpenAI's ``prompt_tokens`` and ``completion_tokens`` are inclusive, as ours are. xAI's
``completion_tokens`` leave reasoning out ("Consumption and Rate Limits" in its documentation);
its ``total_tokens`` gives that away.
"""

from typing import Any

from polyvox.dialects.bills import read_cost
from polyvox.dialects.openai_chat.wire import (
    USAGE,
    CompletionDetails,
    PromptDetails,
    WireUsage,
)
from polyvox.usage import Usage

_NO_PROMPT, _NO_COMPLETION = PromptDetails(), CompletionDetails()


def read_usage(raw: bytes) -> Usage | None:
    """The usage, or None where the field is absent, null or says nothing.

    Raises ``msgspec.ValidationError`` when it has another shape.
    """
    if raw in (b"", b"null"):
        return None
    wire = USAGE.decode(raw)
    if wire.prompt_tokens is None and wire.completion_tokens is None:
        return None
    prompt = wire.prompt_tokens_details or _NO_PROMPT
    completion = wire.completion_tokens_details or _NO_COMPLETION
    cached, reasoning = prompt.cached_tokens, completion.reasoning_tokens
    if cached is None:
        hit = wire.prompt_cache_hit_tokens
        cached = wire.cached_tokens if hit is None else hit
    if reasoning is None:
        reasoning = wire.reasoning_tokens
    whole = wire.prompt_tokens is not None and wire.completion_tokens is not None
    return Usage(
        int(wire.prompt_tokens or 0),
        _with_reasoning(wire, int(reasoning)) if reasoning else int(wire.completion_tokens or 0),
        int(cached or 0),
        int(prompt.cache_write_tokens or 0),
        reasoning_tokens=int(reasoning or 0),
        input_audio_tokens=int(prompt.audio_tokens or 0),
        output_audio_tokens=int(completion.audio_tokens or 0),
        basis="reported" if whole else "partial",
        cost=read_cost(wire),
    )


def _with_reasoning(wire: WireUsage, reasoning: int) -> int:
    said = int(wire.completion_tokens or 0)
    apart = int(wire.total_tokens or 0) == int(wire.prompt_tokens or 0) + said + reasoning
    return said + reasoning if apart else said


def write_usage(usage: Usage) -> dict[str, Any] | None:
    """The ``usage`` object, or None when nobody knows what was used.

    The cost goes along as OpenRouter writes it, ``cost`` in US dollars, when it is known.
    """
    if usage.basis == "missing":
        return None
    body: dict[str, Any] = {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.total_tokens,
        "prompt_tokens_details": {
            "cached_tokens": usage.cache_read_tokens,
            "cache_write_tokens": usage.cache_write_tokens,
            "audio_tokens": usage.input_audio_tokens,
        },
        "completion_tokens_details": {
            "reasoning_tokens": usage.reasoning_tokens,
            "audio_tokens": usage.output_audio_tokens,
        },
    }
    if usage.cost.status != "unknown":
        body["cost"] = usage.cost.dollars  # exact below a million: a float has 15 digits
    return body
