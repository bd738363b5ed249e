"""A model's prices, looked up once: the same costs, and the most that a call may come to."""

from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyvox.catalog import Catalog, ModelFacts, PriceSet, Tiered
from polyvox.catalog.prices import Tariff, cost_of
from polyvox.quote import priced
from polyvox.usage import Cost, Usage

WORST = Usage(input_tokens=1_501, output_tokens=333, basis="estimated")
DOLLAR = 1_000_000_000


def facts_of(*prices: PriceSet) -> ModelFacts:
    return ModelFacts(id="m", provider="p", prices=prices)


def one_by_one(facts: ModelFacts, usage: Usage) -> Cost:
    """The quote of somebody who has nothing but a function from usage to cost."""
    return priced(usage, lambda usage: cost_of(facts, usage, datetime.now(UTC), {})).cost


def test_no_quote_of_the_catalog_is_lower_than_what_its_parts_may_cost():
    catalog = Catalog.load()
    short = 0
    for provider in catalog.providers():
        for facts in catalog.models(provider):
            quote, careful = priced(WORST, Tariff(facts)).cost, one_by_one(facts, WORST)
            assert quote.status == careful.status, facts.full_name
            assert quote.nanos >= careful.nanos, facts.full_name
            assert quote.nanos == quote.input_nanos + quote.output_nanos + quote.cache_write_nanos
            short += Tariff(facts).most(WORST) is not None
    assert short > 500, "hardly a model has the short answer"


def test_the_most_takes_the_dearest_price_of_each_side():
    prices = PriceSet(
        input=DOLLAR,
        cache_write=2 * DOLLAR,
        output=5 * DOLLAR,
        reasoning=4 * DOLLAR,
        request=DOLLAR,
    )
    most = Tariff(facts_of(prices)).most(Usage(input_tokens=1_000_000, output_tokens=1_000_000))
    assert most is not None
    assert (most.status, most.nanos, most.source) == ("known", 7 * DOLLAR + 1_000, "catalog")


@pytest.mark.parametrize(
    "prices",
    [
        [],
        [PriceSet(input=DOLLAR)],
        [PriceSet(input=0, output=0)],
        [PriceSet(input=DOLLAR, output=Tiered(1, ((1_000, 2),)))],
        [PriceSet(input=DOLLAR, output=1), PriceSet(since=date(2026, 1, 1), input=2, output=2)],
        [PriceSet(input=DOLLAR, output=1, other={"input_image_mtok": 2 * DOLLAR})],
    ],
    ids=["none", "half", "free", "by length", "by date", "dearer kinds"],
)
def test_there_is_no_short_answer_where_two_numbers_do_not_tell(prices: list[PriceSet]):
    facts = facts_of(*prices)
    assert Tariff(facts).most(WORST) is None
    assert priced(WORST, Tariff(facts)).cost == one_by_one(facts, WORST)


@pytest.mark.parametrize(
    "usage",
    [
        Usage(input_tokens=1_003, output_tokens=77),
        Usage(input_tokens=250_001, cache_read_tokens=7, output_tokens=9, reasoning_tokens=4),
        Usage(input_tokens=5, cache_read_tokens=9, output_tokens=2, reasoning_tokens=3),
        Usage(input_tokens=9, cache_write_tokens=4, cache_write_1h_tokens=2, output_tokens=1),
        Usage(input_tokens=9, input_audio_tokens=4, output_tokens=3, output_audio_tokens=2),
        Usage(input_tokens=9, cache_write_1h_tokens=1, basis="partial"),
        Usage(input_tokens=9, output_tokens=3, basis="missing"),
        Usage(),
    ],
    ids=[
        "plain",
        "cached and thought over",
        "contradictory",
        "written",
        "audio",
        "only long-lived",
        "missing",
        "nothing",
    ],
)
def test_every_tariff_of_the_catalog_says_what_its_prices_come_to(usage: Usage):
    catalog = Catalog.load()
    for provider in catalog.providers():
        for facts in catalog.models(provider):
            now = datetime.now(UTC)
            assert Tariff(facts)(usage) == cost_of(facts, usage, now, {}), facts.full_name


_PRICES = st.one_of(st.none(), st.integers(0, 10**10), st.just(Tiered(3, ((1_000, 5),))))
_COUNTS = st.one_of(st.just(0), st.integers(0, 10**6))


@given(
    prices=st.builds(
        PriceSet,
        input=_PRICES,
        cache_read=_PRICES,
        cache_write=_PRICES,
        output=_PRICES,
        reasoning=_PRICES,
        input_audio=_PRICES,
        request=_PRICES,
        other=st.sampled_from([{}, {"input_image_mtok": DOLLAR}, {"cache_image_mtok": DOLLAR}]),
    ),
    usage=st.builds(
        Usage,
        input_tokens=_COUNTS,
        output_tokens=_COUNTS,
        cache_read_tokens=_COUNTS,
        reasoning_tokens=_COUNTS,
        cache_write_tokens=st.integers(0, 1),
        input_audio_tokens=st.integers(0, 1),
    ),
)
def test_a_tariff_says_to_the_nano_dollar_what_its_prices_come_to(prices: PriceSet, usage: Usage):
    facts = facts_of(prices)
    assert Tariff(facts)(usage) == cost_of(facts, usage, datetime.now(UTC), {})


def test_a_tariff_prices_a_usage_as_the_catalog_does():
    catalog = Catalog.load()
    facts = catalog.find("openai", "gpt-5-mini")
    assert facts is not None
    usage = Usage(input_tokens=1_000, cache_read_tokens=400, output_tokens=70)
    assert Tariff(facts)(usage) == catalog.cost("openai", "gpt-5-mini", usage)
