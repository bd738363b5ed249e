"""Usage as OpenAI and its likes count it, to ours and back.

OpenAI's ``prompt_tokens`` and ``completion_tokens`` are inclusive, as ours are. xAI's
``completion_tokens`` leave reasoning out ("Consumption and Rate Limits" in its documentation);
its ``total_tokens`` gives that away. A bill in the usage is taken as it stands, from its decimal
text, without a float in between.
"""

from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

from polyvox.dialects.openai_chat.wire import (
    USAGE,
    CompletionDetails,
    Number,
    PromptDetails,
    WireUsage,
)
from polyvox.usage import NANOS_PER_DOLLAR, UNKNOWN_COST, Cost, Usage

_TICKS_PER_NANO = 10  # xAI: 10,000,000,000 ticks to the dollar


def read_usage(raw: bytes) -> Usage | None:
    """The usage, or None where the field is absent, null or says nothing.

    Raises ``msgspec.ValidationError`` when it has another shape.
    """
    if raw in (b"", b"null"):
        return None
    wire = USAGE.decode(raw)
    if wire.prompt_tokens is None and wire.completion_tokens is None:
        return None
    prompt = wire.prompt_tokens_details or PromptDetails()
    completion = wire.completion_tokens_details or CompletionDetails()
    reasoning = _first(completion.reasoning_tokens, wire.reasoning_tokens)
    whole = wire.prompt_tokens is not None and wire.completion_tokens is not None
    return Usage(
        _first(wire.prompt_tokens),
        _output_tokens(wire, reasoning),
        _first(prompt.cached_tokens, wire.prompt_cache_hit_tokens, wire.cached_tokens),
        _first(prompt.cache_write_tokens),
        reasoning_tokens=reasoning,
        input_audio_tokens=_first(prompt.audio_tokens),
        output_audio_tokens=_first(completion.audio_tokens),
        basis="reported" if whole else "partial",
        cost=_cost(wire),
    )


def _first(*counts: Number) -> int:
    return next((int(count) for count in counts if count is not None), 0)


def _output_tokens(wire: WireUsage, reasoning: int) -> int:
    said = _first(wire.completion_tokens)
    apart = reasoning and _first(wire.total_tokens) == _first(wire.prompt_tokens) + said + reasoning
    return said + reasoning if apart else said


def _cost(wire: WireUsage) -> Cost:
    if wire.cost_in_usd_ticks is not None:
        return _billed(wire.cost_in_usd_ticks // _TICKS_PER_NANO)
    dollars = wire.cost if isinstance(wire.cost, Decimal) else wire.cost and wire.cost.total_cost
    if dollars is None or not dollars.is_finite():
        return UNKNOWN_COST
    if wire.is_byok:
        upstream = wire.cost_details and wire.cost_details.upstream_inference_cost
        if upstream is None or not upstream.is_finite():
            return UNKNOWN_COST
        dollars += upstream
    return _billed(int((dollars * NANOS_PER_DOLLAR).to_integral_value(ROUND_HALF_EVEN)))


def _billed(nanos: int) -> Cost:
    return (
        Cost("known", nanos=nanos, source="provider") if nanos else Cost("free", source="provider")
    )


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
