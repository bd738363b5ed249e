"""What is reserved is never less than what a call within it may cost, at every step of a price."""

from collections.abc import Iterator

import pytest
from msgspec.structs import replace

from polyvox.catalog import Catalog, ModelFacts, Tiered
from polyvox.catalog.model_facts import PARTS
from polyvox.quote import priced
from polyvox.usage import Usage

CATALOG = Catalog.load()
OUTPUT = 5_000


def boundaries(facts: ModelFacts) -> set[int]:
    """The numbers of input tokens after which some price changes."""
    prices = [getattr(each, part) for each in (*facts.prices, *facts.variants) for part in PARTS]
    return {over for price in prices if isinstance(price, Tiered) for over, _ in price.tiers}


TIERED = [
    facts
    for provider in CATALOG.providers()
    for facts in CATALOG.models(provider)
    if boundaries(facts)
]


def usages(input_tokens: int, output_tokens: int) -> Iterator[Usage]:
    plain = Usage(input_tokens, output_tokens)
    for reads, writes in ((0, 0), (1, 0), (0, 1), (0.5, 0.5)):
        cached = replace(
            plain,
            cache_read_tokens=int(input_tokens * reads),
            cache_write_tokens=int(input_tokens * writes),
        )
        yield cached
        yield replace(cached, reasoning_tokens=output_tokens)
        yield replace(cached, cache_write_1h_tokens=cached.cache_write_tokens)


def test_there_are_tiered_models_to_look_at():
    assert len(TIERED) > 20


@pytest.mark.parametrize("facts", TIERED, ids=lambda facts: facts.full_name)
def test_a_reservation_is_no_less_than_the_settlement_of_a_call_within_it(facts: ModelFacts):
    def pricing(usage: Usage):
        return CATALOG.cost(facts.provider, facts.id, usage)

    for boundary in boundaries(facts):
        for most in (boundary - 1, boundary, boundary + 1, 2 * boundary):
            reserved = priced(Usage(most, OUTPUT, basis="estimated"), pricing).cost
            for used in {1, most // 2, boundary - 1, boundary, boundary + 1, most}:
                if used <= most:
                    for usage in usages(used, OUTPUT):
                        assert pricing(usage).nanos <= reserved.nanos, (most, usage)
