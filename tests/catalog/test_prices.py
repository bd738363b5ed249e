"""From a usage to a cost, on prices made up for the purpose."""

from datetime import UTC, date, datetime, time, timedelta, timezone

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyvox.catalog import ModelFacts, PriceSet, Tiered
from polyvox.catalog.prices import cost_of
from polyvox.usage import Cost, Usage

DOLLAR = 1_000_000_000  # per million tokens
NOON = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)

FULL = PriceSet(
    input=4 * DOLLAR,
    cache_read=DOLLAR // 2,
    cache_write=5 * DOLLAR,
    cache_write_1h=8 * DOLLAR,
    output=20 * DOLLAR,
)


def price(
    usage: Usage, *prices: PriceSet, when: datetime = NOON, variants=(), **terms: str
) -> Cost:
    facts = ModelFacts(id="m", prices=prices, variants=variants)
    return cost_of(facts, usage, when, terms)


def test_each_part_is_billed_once_at_its_own_price():
    usage = Usage(
        input_tokens=100,
        cache_read_tokens=40,
        cache_write_tokens=30,
        cache_write_1h_tokens=10,
        output_tokens=7,
        reasoning_tokens=5,
    )
    cost = price(usage, FULL)
    assert cost.status == "known"
    assert cost.source == "catalog"
    assert cost.input_nanos == 30 * 4_000
    assert cost.cache_read_nanos == 40 * 500
    assert cost.cache_write_nanos == 20 * 5_000 + 10 * 8_000
    assert cost.output_nanos == 7 * 20_000
    assert cost.nanos == 30 * 4_000 + 40 * 500 + 180_000 + 140_000


def test_cached_tokens_without_a_price_of_their_own_cost_what_input_costs():
    plain = PriceSet(input=DOLLAR, output=DOLLAR)
    cost = price(Usage(input_tokens=100, cache_read_tokens=40, cache_write_tokens=30), plain)
    assert cost == Cost("known", 100_000, 30_000, 40_000, 30_000, 0, source="catalog")


def test_one_hour_writes_without_a_price_are_a_lower_bound():
    usage = Usage(input_tokens=100, cache_write_tokens=100, cache_write_1h_tokens=1)
    cost = price(usage, msgspec.structs.replace(FULL, cache_write_1h=None))
    assert (cost.status, cost.nanos) == ("unknown", 500_000)


def test_reasoning_and_audio_have_their_own_prices_where_there_are_any():
    prices = PriceSet(
        input=DOLLAR, input_audio=10 * DOLLAR, output=DOLLAR, reasoning=3 * DOLLAR,
        output_audio=20 * DOLLAR,
    )  # fmt: skip
    usage = Usage(
        input_tokens=10, input_audio_tokens=4, output_tokens=10, reasoning_tokens=2,
        output_audio_tokens=5,
    )  # fmt: skip
    cost = price(usage, prices)
    assert cost.input_nanos == 6_000 + 40_000
    assert cost.output_nanos == 3_000 + 6_000 + 100_000


def test_audio_counts_as_cached_only_where_text_cannot_be():
    prices = PriceSet(
        input=DOLLAR, input_audio=10 * DOLLAR, cache_read=DOLLAR // 10, output=DOLLAR,
        cache_read_audio=DOLLAR // 2,
    )  # fmt: skip
    apart = price(Usage(input_tokens=10, cache_read_tokens=4, input_audio_tokens=6), prices)
    assert (apart.input_nanos, apart.cache_read_nanos) == (60_000, 400)
    shared = price(Usage(input_tokens=10, cache_read_tokens=5, input_audio_tokens=6), prices)
    assert (shared.input_nanos, shared.cache_read_nanos) == (50_000, 400 + 500)


@pytest.mark.parametrize(("tokens", "rate"), [(0, 1), (100, 1), (101, 2), (1000, 2), (1001, 4)])
def test_a_tier_holds_for_the_whole_request_once_its_input_is_longer(tokens: int, rate: int):
    tiered = Tiered(1_000, ((100, 2_000), (1000, 4_000)))
    prices = PriceSet(input=DOLLAR, output=tiered)
    cost = price(Usage(input_tokens=tokens, output_tokens=1_000_000), prices)
    assert cost.output_nanos == rate * 1_000


def test_cached_tokens_count_for_the_tier():
    prices = PriceSet(input=Tiered(DOLLAR, ((100, 2 * DOLLAR),)), output=0, cache_read=0)
    cost = price(Usage(input_tokens=101, cache_read_tokens=100), prices)
    assert cost.nanos == 2_000


def test_a_fee_per_request_is_part_of_the_input():
    cost = price(Usage(), PriceSet(input=DOLLAR, output=DOLLAR, request=5_000 * DOLLAR))
    assert (cost.nanos, cost.input_nanos) == (5_000_000, 5_000_000)


def test_the_last_price_that_has_begun_holds():
    old, new = PriceSet(input=DOLLAR), PriceSet(since=date(2026, 5, 1), input=2 * DOLLAR)
    usage = Usage(input_tokens=1_000)
    midnight = datetime(2026, 5, 1, tzinfo=UTC)
    assert price(usage, old, new, when=midnight).nanos == 2_000_000
    assert price(usage, old, new, when=midnight - timedelta(microseconds=1)).nanos == 1_000_000
    in_tokyo = datetime(2026, 5, 1, 8, 59, tzinfo=timezone(timedelta(hours=9)))
    assert price(usage, old, new, when=in_tokyo).nanos == 1_000_000
    assert price(usage, old, new, when=midnight.replace(tzinfo=None)).nanos == 2_000_000


def test_before_all_prices_the_first_holds():
    only = PriceSet(since=date(2026, 5, 1), input=DOLLAR)
    cost = price(Usage(input_tokens=1), only, when=datetime(2020, 1, 1, tzinfo=UTC))
    assert cost.nanos == 1_000


@pytest.mark.parametrize(
    ("now", "cheap"),
    [("16:29", False), ("16:30", True), ("23:59", True), ("00:00", True), ("00:30", False)],
)
def test_hours_may_span_midnight(now: str, cheap: bool):
    day = PriceSet(input=2 * DOLLAR)
    night = PriceSet(hours=(time(16, 30), time(0, 30)), input=DOLLAR)
    when = datetime.combine(date(2026, 5, 1), time.fromisoformat(now), tzinfo=UTC)
    cost = price(Usage(input_tokens=1), day, night, when=when)
    assert cost.nanos == (1_000 if cheap else 2_000)


def test_special_terms_replace_single_prices_and_the_first_variant_wins():
    variants = (
        PriceSet(terms={"processing": "batch"}, since=date(2027, 1, 1), input=0),
        PriceSet(terms={"processing": "batch"}, input=2 * DOLLAR),
        PriceSet(terms={"processing": "batch"}, input=9 * DOLLAR, output=10 * DOLLAR),
    )
    usage = Usage(input_tokens=1_000, output_tokens=1_000, cache_read_tokens=500)
    batch = price(usage, FULL, variants=variants, processing="batch", region="eu")
    assert (batch.input_nanos, batch.output_nanos) == (500 * 2_000, 1_000 * 10_000)
    assert batch.cache_read_nanos == 500 * 500
    assert price(usage, FULL, variants=variants) == price(usage, FULL)
    assert price(usage, FULL, variants=variants, processing="live") == price(usage, FULL)


def test_special_terms_may_change_what_a_usage_does_not_count():
    dear = PriceSet(terms={"speed": "fast"}, other={"output_image_mtok": 30 * DOLLAR})
    assert price(Usage(output_tokens=5), FULL, variants=(dear,)).status == "known"
    assert price(Usage(output_tokens=5), FULL, variants=(dear,), speed="fast").status == "unknown"


def test_a_part_that_is_used_and_has_no_price_makes_the_cost_unknown():
    prices = PriceSet(input=DOLLAR)
    assert price(Usage(input_tokens=5), prices).status == "known"
    cost = price(Usage(input_tokens=5, output_tokens=1), prices)
    assert (cost.status, cost.nanos) == ("unknown", 5_000)


def test_a_model_without_prices_is_unknown_not_free():
    assert price(Usage()).status == "unknown"
    assert price(Usage(input_tokens=5), PriceSet()).status == "unknown"


def test_a_model_is_free_when_all_its_prices_are_zero():
    assert price(Usage(input_tokens=5), PriceSet(input=0, output=0)).status == "free"
    assert price(Usage(basis="missing"), PriceSet(input=0, output=0)).status == "free"
    assert price(Usage(input_tokens=5), PriceSet(input=0, output=DOLLAR)).status == "known"
    late = PriceSet(input=Tiered(0, ((100, DOLLAR),)), output=0)
    assert price(Usage(input_tokens=5), late).status == "known"


def test_usage_that_nobody_reported_has_an_unknown_cost():
    assert price(Usage(basis="missing"), FULL).status == "unknown"


def test_dearer_kinds_of_token_that_a_usage_does_not_tell_apart_make_a_lower_bound():
    images = PriceSet(input=DOLLAR, output=DOLLAR, other={"output_image_mtok": 30 * DOLLAR})
    assert price(Usage(input_tokens=5), images).status == "known"
    assert price(Usage(output_tokens=5), images).status == "unknown"
    searches = PriceSet(input=DOLLAR, output=DOLLAR, other={"web_searches_kcount": 9 * DOLLAR})
    assert price(Usage(output_tokens=5), searches).status == "known"


def test_contradicting_counts_never_lead_to_negative_amounts():
    usage = Usage(
        input_tokens=1, cache_read_tokens=9, cache_write_1h_tokens=9, output_tokens=1,
        reasoning_tokens=9, input_audio_tokens=3,
    )  # fmt: skip
    cost = price(usage, msgspec.structs.replace(FULL, reasoning=DOLLAR))
    assert cost.input_nanos == 0
    assert cost.cache_read_nanos == 9 * 500
    assert cost.cache_write_nanos == 0
    assert cost.output_nanos == 9 * 1_000


counts = st.integers(0, 10**7)
prices = st.one_of(
    st.integers(0, 10**12),
    st.builds(
        lambda base, steps: Tiered(
            base, tuple((over, base + more) for over, more in sorted(steps.items()))
        ),
        st.integers(0, 10**12),
        st.dictionaries(st.integers(0, 10**7), st.integers(0, 10**12), max_size=3),
    ),
)
price_sets = st.builds(
    PriceSet,
    input=prices,
    output=prices,
    cache_read=st.none() | prices,
    cache_write=st.none() | prices,
    cache_write_1h=st.none() | prices,
    reasoning=st.none() | prices,
    input_audio=st.none() | prices,
    output_audio=st.none() | prices,
)
PARTS = [field for field in Usage.__struct_fields__ if field.endswith("_tokens")]
usages = st.builds(Usage, **dict.fromkeys(PARTS, counts))


@given(price_sets, usages)
def test_the_parts_add_up_and_none_is_negative(prices: PriceSet, usage: Usage):
    cost = price(usage, prices)
    parts = (cost.input_nanos, cost.cache_read_nanos, cost.cache_write_nanos, cost.output_nanos)
    assert sum(parts) == cost.nanos
    assert min(parts) >= 0


def flat(prices: PriceSet) -> PriceSet:
    bases = {
        field: value.base
        for field in PriceSet.__struct_fields__
        if isinstance(value := getattr(prices, field), Tiered)
    }
    return msgspec.structs.replace(prices, **bases)


@given(price_sets.map(flat), usages, counts)
def test_more_output_or_more_fresh_input_never_costs_less(
    prices: PriceSet, usage: Usage, more: int
):
    longer = msgspec.structs.replace(usage, output_tokens=usage.output_tokens + more)
    assert price(longer, prices).nanos >= price(usage, prices).nanos
    text_only = msgspec.structs.replace(usage, input_audio_tokens=0)
    longer = msgspec.structs.replace(text_only, input_tokens=usage.input_tokens + more)
    assert price(longer, prices).nanos >= price(text_only, prices).nanos


@given(price_sets, st.integers(0, 10**6), st.integers(0, 10**6), counts)
def test_a_longer_text_never_costs_less_when_tiers_rise(
    prices: PriceSet, input_tokens: int, output_tokens: int, more: int
):
    short = price(Usage(input_tokens=input_tokens, output_tokens=output_tokens), rising(prices))
    long = price(
        Usage(input_tokens=input_tokens + more, output_tokens=output_tokens), rising(prices)
    )
    assert long.nanos >= short.nanos


def rising(prices: PriceSet) -> PriceSet:
    changes: dict[str, Tiered] = {}
    for field in PriceSet.__struct_fields__:
        value = getattr(prices, field)
        if isinstance(value, Tiered):
            rates = sorted(rate for _, rate in value.tiers)
            steps = zip((over for over, _ in value.tiers), rates, strict=True)
            changes[field] = Tiered(value.base, tuple(steps))
    return msgspec.structs.replace(prices, **changes)


@given(price_sets, usages)
def test_the_total_is_the_exact_sum_rounded_half_up_once(prices: PriceSet, usage: Usage):
    """A million times the usage costs a million times as much, to within the one rounding."""
    flat_prices = flat(prices)
    millionfold = Usage(**{part: getattr(usage, part) * 1_000_000 for part in PARTS})
    exact = price(millionfold, flat_prices).nanos
    assert price(usage, flat_prices).nanos == (exact + 500_000) // 1_000_000
