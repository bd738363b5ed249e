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

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Literal, TypeAlias

import msgspec

from polyvox.catalog.model_facts import PARTS, ModelFacts, Price, PriceSet, Tiered
from polyvox.usage import Cost, PriceSource, PriceStatus, Usage

_PER = 1_000_000  # prices are for a million
_HALF = _PER // 2

_Bucket: TypeAlias = Literal["input", "cache_read", "cache_write", "output"]


_Line: TypeAlias = tuple[_Bucket, int, Price | None]
"""Where it belongs, how many tokens, and what a million of them costs."""


class Tariff:
    """What one model costs, with its facts looked up once: called with a usage, it gives the cost.

    Prices are those of the time of the call, on no special terms.
    """

    __slots__ = ("_facts", "_plain", "_source")

    def __init__(self, facts: ModelFacts) -> None:
        self._facts = facts
        self._source: PriceSource = facts.source
        self._plain = _plain(facts)

    def __call__(self, usage: Usage) -> Cost:
        prices = self._plain
        read, thought = usage.cache_read_tokens, usage.reasoning_tokens
        fresh, spoken = usage.input_tokens - read, usage.output_tokens - thought
        if prices is None or fresh < 0 or spoken < 0 or _has_seldom_parts(usage):
            return cost_of(self._facts, usage, datetime.now(UTC), {})
        # The same in one go, as after nearly every call.
        exact = fresh * prices.input + prices.request
        before = (exact + _HALF) // _PER
        exact += read * prices.cache_read
        asked = (exact + _HALF) // _PER
        exact += spoken * prices.output + thought * prices.reasoning
        total = (exact + _HALF) // _PER
        return Cost("known", total, before, asked - before, 0, total - asked, self._source)

    def most(self, usage: Usage) -> Cost | None:
        """The most that so much input and output may cost, whichever parts they have.

        None where the prices are too many for a short answer: by time or length, free, or unknown.
        """
        prices = self._plain
        if prices is None:
            return None
        exact = usage.input_tokens * prices.dearest_input + prices.request
        before = (exact + _HALF) // _PER
        total = (exact + usage.output_tokens * prices.dearest_output + _HALF) // _PER
        return Cost("known", total, before, 0, 0, total - before, self._source)


class _Plain(msgspec.Struct, frozen=True, kw_only=True):
    """Prices that are a number each and always hold: those of most models."""

    input: int
    cache_read: int
    output: int
    reasoning: int
    request: int
    dearest_input: int
    dearest_output: int


def _plain(facts: ModelFacts) -> _Plain | None:
    """The model's prices; None where they are by time or length, free, unknown, or may hide dearer ones."""
    steady = len(facts.prices) == 1 and all(variant.terms for variant in facts.variants)
    some_of_each = Usage(2, 2, cache_read_tokens=1, reasoning_tokens=1)
    if not steady or cost_of(facts, some_of_each, datetime.now(UTC), {}).status != "known":
        return None
    numbers: dict[str, int] = {}
    for part in PARTS:
        price: Price | None = getattr(facts.prices[0], part)
        if isinstance(price, Tiered):
            return None
        if price is not None:
            numbers[part] = price
    read, written = numbers["input"], numbers["output"]
    reasoning = numbers.get("reasoning", written)
    dearest = max(read, numbers.get("cache_write", 0), numbers.get("cache_write_1h", 0))
    if not dearest or not (written or reasoning):
        return None
    return _Plain(
        input=read,
        cache_read=numbers.get("cache_read", read),
        output=written,
        reasoning=reasoning,
        request=numbers.get("request", 0),
        dearest_input=dearest,
        dearest_output=max(written, reasoning),
    )


def _has_seldom_parts(usage: Usage) -> bool:
    """Whether there is more to it than what every usage has, or nothing."""
    return bool(
        usage.cache_write_tokens
        or usage.cache_write_1h_tokens
        or usage.input_audio_tokens
        or usage.output_audio_tokens
        or usage.basis == "missing"
    )


def cost_of(facts: ModelFacts, usage: Usage, when: datetime, terms: Mapping[str, str]) -> Cost:
    """What ``usage`` of the model cost at the time ``when`` (naive means UTC) on those terms.

    The total is exact, rounded half up to a nano-dollar; the parts add up to it. A fee per request
    is part of ``input_nanos``.
    """
    prices = prices_at(facts, when, terms)
    lines = [
        line for line in (*_input_lines(prices, usage), *_output_lines(prices, usage)) if line[1]
    ]
    return _sum(lines, usage.input_tokens, _status(prices, lines, usage), facts.source)


def prices_at(facts: ModelFacts, when: datetime, terms: Mapping[str, str]) -> PriceSet:
    """The prices that hold at the time ``when`` (naive means UTC) for a request on those terms."""
    special = [v for v in facts.variants if not v.terms or v.terms.items() <= terms.items()]
    if len(facts.prices) == 1 and not special:
        return facts.prices[0]
    when = when.replace(tzinfo=UTC) if when.tzinfo is None else when.astimezone(UTC)
    standing = [prices for prices in facts.prices if _holds(prices, when)] or facts.prices[:1]
    prices = standing[-1] if standing else PriceSet()
    for variant in reversed(special):  # so that the first has the last word
        if _holds(variant, when):
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


# Both cut the usage into parts that don't overlap, each with its price. They are reckoned with
# before and after every call, so what nobody counts or prices is not looked at.


def _output_lines(prices: PriceSet, usage: Usage) -> list[_Line]:
    audio = usage.output_audio_tokens if prices.output_audio is not None else 0
    reasoning = usage.reasoning_tokens if prices.reasoning is not None else 0
    lines: list[_Line] = [
        ("output", max(0, usage.output_tokens - audio - reasoning), prices.output),
        ("output", audio, prices.output_audio),
        ("output", reasoning, prices.reasoning),
    ]
    if prices.request is not None:
        lines.append(("input", 1, prices.request))
    return lines


def _input_lines(prices: PriceSet, usage: Usage) -> list[_Line]:
    reads, writes = usage.cache_read_tokens, usage.cache_write_tokens
    audio = usage.input_audio_tokens if prices.input_audio is not None else 0
    if not (reads or writes or audio):
        return [("input", max(0, usage.input_tokens), prices.input)]
    rest = usage.input_tokens - reads - writes - audio
    cached_audio = min(max(0, -rest), reads, audio)
    long = min(usage.cache_write_1h_tokens, writes)
    write_price = _first(prices.cache_write, prices.input)
    lines: list[_Line] = [
        ("input", max(0, rest), prices.input),
        ("cache_read", reads - cached_audio, _first(prices.cache_read, prices.input)),
        ("cache_write", writes - long, write_price),
        ("cache_write", long, _first(prices.cache_write_1h, write_price)),
    ]
    if prices.cache_read_audio is not None:
        lines.append(("cache_read", cached_audio, prices.cache_read_audio))
        audio -= cached_audio
    lines.append(("input", audio, prices.input_audio))
    return lines


def _first(price: Price | None, other: Price | None) -> Price | None:
    return other if price is None else price


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
    parts: list[int] = []
    so_far = total = 0
    for amount in exact.values():
        # Rounding the running total, not the part, makes the parts add up to the rounded whole.
        so_far += amount
        before, total = total, (so_far + _HALF) // _PER
        parts.append(total - before)
    return Cost(status, total, parts[0], parts[1], parts[2], parts[3], source)


def _status(prices: PriceSet, lines: list[_Line], usage: Usage) -> PriceStatus:
    met = [price for _, _, price in lines]
    if None in met:
        return "unknown"
    if not any(met):  # what was used is free; is it all?
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
    dearer = [(key, price) for key, price in prices.other.items() if key.endswith("_mtok")]
    if not dearer:
        return False
    parts = {
        "input_": (usage.input_tokens, prices.input),
        "output_": (usage.output_tokens, prices.output),
        "cache_": (usage.cache_read_tokens, prices.cache_read),
    }
    return any(
        tokens and ordinary is not None and _highest(price) > _rate(ordinary, usage.input_tokens)
        for key, price in dearer
        for prefix, (tokens, ordinary) in parts.items()
        if key.startswith(prefix)
    )
