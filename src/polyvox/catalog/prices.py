"""From a usage to a cost: which prices hold, what each part comes to, one rounding at the end.

Tokens belong to the most special part that has a price: cache reads and writes, reasoning and audio
without a price of their own are billed as the input or output they are part of (that is the rule of
genai-prices, whose results these are, to the nano-dollar). Our additions concern only what may
be called known:

- One-hour cache writes without a price of their own count as ordinary cache writes, but the cost is
  "unknown", a lower bound: they are dearer everywhere.
- So it is when a model charges more for something a ``Usage`` does not count, such as images.
- A ``Usage`` does not say how much of the audio was read from a cache: as little as possible.
- Counts that contradict each other (more cache reads than input) never lead to a negative amount.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Literal, TypeAlias

import msgspec

from polyvox.catalog.model_facts import PARTS, ModelFacts, Price, PriceSet
from polyvox.usage import Cost, PriceSource, PriceStatus, Usage

_PER = 1_000_000  # prices are for a million

_Bucket: TypeAlias = Literal["input", "cache_read", "cache_write", "output"]


_Line: TypeAlias = tuple[_Bucket, int, Price | None]
"""Where it belongs, how many tokens, and what a million of them costs."""


def cost_of(facts: ModelFacts, usage: Usage, when: datetime, terms: Mapping[str, str]) -> Cost:
    """What ``usage`` of the model cost at the time ``when`` (naive means UTC) on those terms.

    The total is exact, rounded half up to a nano-dollar; the parts add up to it. A fee per request
    is part of ``input_nanos``.
    """
    prices = prices_at(facts, when, terms)
    lines = [line for line in _lines(prices, usage) if line[1]]
    return _sum(lines, usage.input_tokens, _status(prices, lines, usage), facts.source)


def prices_at(facts: ModelFacts, when: datetime, terms: Mapping[str, str]) -> PriceSet:
    """The prices that hold at the time ``when`` (naive means UTC) for a request on those terms."""
    if len(facts.prices) == 1 and not facts.variants:
        return facts.prices[0]
    when = when.replace(tzinfo=UTC) if when.tzinfo is None else when.astimezone(UTC)
    standing = [prices for prices in facts.prices if _holds(prices, when)] or facts.prices[:1]
    prices = standing[-1] if standing else PriceSet()
    special = [v for v in facts.variants if _holds(v, when) and v.terms.items() <= terms.items()]
    for variant in reversed(special):  # so that the first has the last word
        prices = _overlay(prices, variant)
    return prices


def _holds(prices: PriceSet, when: datetime) -> bool:
    if prices.since is not None and when.date() < prices.since:
        return False
    if prices.hours is None:
        return True
    start, end = prices.hours
    now = when.time()
    return start <= now < end if start <= end else now >= start or now < end


def _overlay(prices: PriceSet, variant: PriceSet) -> PriceSet:
    given = {part: price for part in PARTS if (price := getattr(variant, part)) is not None}
    return msgspec.structs.replace(prices, **given, other=prices.other | variant.other)


def _lines(prices: PriceSet, usage: Usage) -> Iterator[_Line]:
    """The usage cut into parts that don't overlap, each with its price."""
    yield from _input_lines(prices, usage)
    audio = usage.output_audio_tokens if prices.output_audio is not None else 0
    reasoning = usage.reasoning_tokens if prices.reasoning is not None else 0
    yield ("output", max(0, usage.output_tokens - audio - reasoning), prices.output)
    yield ("output", audio, prices.output_audio)
    yield ("output", reasoning, prices.reasoning)
    if prices.request is not None:
        yield ("input", 1, prices.request)


def _input_lines(prices: PriceSet, usage: Usage) -> Iterator[_Line]:
    reads, writes = usage.cache_read_tokens, usage.cache_write_tokens
    audio = usage.input_audio_tokens if prices.input_audio is not None else 0
    rest = usage.input_tokens - reads - writes - audio
    cached_audio = min(max(0, -rest), reads, audio)
    yield ("input", max(0, rest), prices.input)
    if prices.cache_read_audio is not None:
        yield ("cache_read", cached_audio, prices.cache_read_audio)
        audio -= cached_audio
    yield ("input", audio, prices.input_audio)
    yield ("cache_read", reads - cached_audio, _first(prices.cache_read, prices.input))
    long = min(usage.cache_write_1h_tokens, writes)
    write_price = _first(prices.cache_write, prices.input)
    yield ("cache_write", writes - long, write_price)
    yield ("cache_write", long, _first(prices.cache_write_1h, write_price))


def _first(*prices: Price | None) -> Price | None:
    return next((price for price in prices if price is not None), None)


def _rate(price: Price, input_tokens: int) -> int:
    if isinstance(price, int):
        return price
    reached = [rate for over, rate in price.tiers if input_tokens > over]
    return reached[-1] if reached else price.base


def _sum(lines: list[_Line], input_tokens: int, status: PriceStatus, source: PriceSource) -> Cost:
    exact: dict[_Bucket, int] = {"input": 0, "cache_read": 0, "cache_write": 0, "output": 0}
    for bucket, tokens, price in lines:
        if price is not None:
            exact[bucket] += tokens * _rate(price, input_tokens)
    nanos: dict[_Bucket, int] = {}
    so_far = 0
    for bucket, amount in exact.items():
        # Rounding the running total, not the part, makes the parts add up to the rounded whole.
        nanos[bucket] = _round(so_far + amount) - _round(so_far)
        so_far += amount
    return Cost(
        status,
        nanos=_round(so_far),
        input_nanos=nanos["input"],
        cache_read_nanos=nanos["cache_read"],
        cache_write_nanos=nanos["cache_write"],
        output_nanos=nanos["output"],
        source=source,
    )


def _round(exact: int) -> int:
    return (exact + _PER // 2) // _PER


def _status(prices: PriceSet, lines: list[_Line], usage: Usage) -> PriceStatus:
    if any(price is None for _, _, price in lines):
        return "unknown"
    if not any(price for _, _, price in lines):  # what was used is free; is it all?
        stated = [price for part in PARTS if (price := getattr(prices, part)) is not None]
        stated += prices.other.values()
        if not any(map(_highest, stated)):
            return "free" if stated else "unknown"
    if usage.basis == "missing" or _has_unpriced_1h(prices, usage) or _may_hide(prices, usage):
        return "unknown"
    return "known"


def _highest(price: Price) -> int:
    if isinstance(price, int):
        return price
    return max([price.base, *(rate for _, rate in price.tiers)])


def _has_unpriced_1h(prices: PriceSet, usage: Usage) -> bool:
    return usage.cache_write_1h_tokens > 0 and prices.cache_write_1h is None


def _may_hide(prices: PriceSet, usage: Usage) -> bool:
    """Whether some of the tokens may have been of a dearer kind that the usage does not tell apart."""
    if not prices.other:
        return False
    parts = {
        "input_": (usage.input_tokens, prices.input),
        "output_": (usage.output_tokens, prices.output),
        "cache_": (usage.cache_read_tokens, prices.cache_read),
    }
    return any(
        tokens and ordinary is not None and _highest(price) > _rate(ordinary, usage.input_tokens)
        for key, price in prices.other.items()
        if key.endswith("_mtok")
        for prefix, (tokens, ordinary) in parts.items()
        if key.startswith(prefix)
    )
