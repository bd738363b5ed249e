"""The most that a request may use and cost, told before it is sent.

Budgets and rate limits reserve this much first and give back what was not used. Tokens of the input
are an estimate with a margin, of the output the request's limit or the model's; prices are the
dearest that such a usage can meet.
"""

from collections.abc import Callable, Iterable
from typing import cast

from msgspec.structs import replace

from polyvox import estimate
from polyvox.model import Model
from polyvox.request import Request
from polyvox.usage import Cost, Usage

__all__ = [
    "OUTPUT_TOKENS",
    "priced",
    "quote_of",
    "unpriced_in",
    "worst_embedding",
    "worst_usage",
]

OUTPUT_TOKENS = 16_384
"""What is reserved for an answer when neither the request nor the catalog names a limit."""

_INPUT_MARGIN = 1.5
"""Dense texts (code, JSON, scripts other than Latin) have more tokens than the rule of thumb tells."""

_TEXT_MARKS = 2
"""Many embedding models set a mark before each text and one behind it."""


def quote_of(model: Model, request: Request) -> Usage:
    """The most that asking this model may use and cost; at an unknown price if it can't tell."""
    # A model may have the method ``quote``; to ask a Protocol for it takes longer than most quotes.
    quote: Callable[[Request], Usage] | None = getattr(model, "quote", None)
    return worst_usage(request, None) if quote is None else quote(request)


def unpriced_in(model: Model, request: Request) -> list[str]:
    """The names of those whom this model may ask and of whom nobody knows the price; else its own.

    A model around another one has it as ``model``, one that chooses has a list of ``models``.
    """
    several: object = getattr(model, "models", None)
    if not isinstance(several, list):
        several = [getattr(model, "model", None)]
    found = [
        name
        for each in cast("list[Model]", several)
        if hasattr(each, "stream") and quote_of(each, request).cost.status == "unknown"
        for name in unpriced_in(each, request)
    ]
    return list(dict.fromkeys(found)) or [model.name]


def worst_usage(request: Request, max_output_tokens: int | None) -> Usage:
    """The most tokens that a request may use, without a price.

    ``max_output_tokens`` is the model's limit where it is known.

    >>> from polyvox.messages import user
    >>> worst_usage(Request(messages=[user("Hi")], max_tokens=100), None).total_tokens
    108
    """
    output = request.max_tokens or max_output_tokens or OUTPUT_TOKENS
    if max_output_tokens and max_output_tokens < output:
        output = max_output_tokens
    tokens = int(estimate.request_tokens(request) * _INPUT_MARGIN) + 1
    return Usage(tokens, output, basis="estimated")


def worst_embedding(inputs: Iterable[str]) -> Usage:
    """The most tokens that the vectors of these texts may use, without a price.

    >>> worst_embedding(["cats", "dogs"]).total_tokens
    10
    """
    tokens = sum(estimate.text_tokens(text) + _TEXT_MARKS for text in inputs)
    return Usage(input_tokens=int(tokens * _INPUT_MARGIN) + 1, basis="estimated")


def priced(worst: Usage, pricing: Callable[[Usage], Cost]) -> Usage:
    """The usage with the dearest price it can meet: read plainly, written into a cache, thought over.

    An unknown price stays unknown; a part that only some models have a price for counts where it has.
    """
    most: Callable[[Usage], Cost | None] | None = getattr(pricing, "most", None)
    cost = None if most is None else most(worst)
    if cost is not None:
        return replace(worst, cost=cost)
    plain = pricing(worst)
    if plain.status != "known":
        return replace(worst, cost=plain)
    whole = worst.input_tokens
    dearest = pricing(
        replace(
            worst,
            cache_write_tokens=whole,
            cache_write_1h_tokens=whole,
            reasoning_tokens=worst.output_tokens,
        )
    )
    return replace(worst, cost=plain if plain.nanos > dearest.nanos else _known(dearest))


def _known(cost: Cost) -> Cost:
    """Writes into the long-lived cache count as ordinary ones where they have no price of their own."""
    return cost if cost.status == "known" else replace(cost, status="known")
