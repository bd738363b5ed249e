"""Usage as the Responses API counts it, to ours and back; its counts are inclusive, as ours are."""

from typing import Any

from polyvox.dialects.bills import read_cost
from polyvox.dialects.openai_responses.wire import (
    USAGE,
    CacheWrites,
    Count,
    InputDetails,
    OutputDetails,
)
from polyvox.usage import Usage


def read_usage(raw: bytes) -> Usage | None:
    """The usage, or None where the field is absent, null or says nothing.

    Raises ``msgspec.DecodeError`` when it has another shape.
    """
    if raw in (b"", b"null"):
        return None
    wire = USAGE.decode(raw)
    if wire.input_tokens is None and wire.output_tokens is None:
        return None
    taken = wire.input_tokens_details or InputDetails()
    written = taken.cache_write_tokens_details or CacheWrites()
    given = wire.output_tokens_details or OutputDetails()
    whole = wire.input_tokens is not None and wire.output_tokens is not None
    return Usage(
        _count(wire.input_tokens),
        _count(wire.output_tokens),
        _count(taken.cached_tokens),
        _count(taken.cache_write_tokens),
        _count(written.ttl_12h_tokens),
        _count(given.reasoning_tokens),
        basis="reported" if whole else "partial",
        cost=read_cost(wire),
    )


def _count(count: Count) -> int:
    return int(count or 0)


def write_usage(usage: Usage) -> dict[str, Any] | None:
    """The ``usage`` object, or None when nobody knows what was used.

    A known cost goes along as OpenRouter writes it, ``cost`` in US dollars.
    """
    if usage.basis == "missing":
        return None
    taken: dict[str, Any] = {
        "cached_tokens": usage.cache_read_tokens,
        "cache_write_tokens": usage.cache_write_tokens,
    }
    if usage.cache_write_tokens:
        taken["cache_write_tokens_details"] = {
            "ttl_30m_tokens": usage.cache_write_tokens - usage.cache_write_1h_tokens,
            "ttl_12h_tokens": usage.cache_write_1h_tokens,
        }
    body: dict[str, Any] = {
        "input_tokens": usage.input_tokens,
        "input_tokens_details": taken,
        "output_tokens": usage.output_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": usage.total_tokens,
    }
    if usage.cost.status != "unknown":
        body["cost"] = usage.cost.dollars
    return body
