"""The catalog against genai-prices itself: every model, at every date, on all terms."""

import random
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from genai_prices import types as genai
from genai_prices.data import providers as genai_providers

from polyvox.catalog import Catalog, ModelFacts
from polyvox.catalog.prices import cost_of, prices_at
from polyvox.usage import Usage

PROVIDERS = {provider.id: provider for provider in genai_providers}
CATALOG = Catalog.load()
NOW = datetime(2026, 7, 14, 12, 0, tzinfo=UTC)


def times(model: genai.ModelInfo) -> Iterator[datetime]:
    """Both sides of every border between two of the model's prices."""
    yield NOW
    yield datetime(2020, 1, 1)  # noqa: DTZ001 - without a zone it is UTC
    conditional = model.prices if isinstance(model.prices, list) else []
    for entry in [*conditional, *(model.price_variants or [])]:
        match entry.constraint:
            case genai.StartDateConstraint(start_date=day):
                midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
                yield from (midnight, midnight - timedelta(microseconds=1))
            case genai.TimeOfDateConstraint(start_time=start, end_time=end):
                for border in (start, end):
                    moment = datetime.combine(NOW, border, tzinfo=UTC)
                    yield from (moment, moment - timedelta(seconds=1))
            case None:
                pass


def terms(model: genai.ModelInfo) -> Iterator[Mapping[str, str]]:
    yield {}
    yield {"processing": "unheard of"}
    for variant in model.price_variants or []:
        yield variant.when
        yield variant.when | {"processing": "batch", "service_tier": "flex"}


def tier_borders(prices: genai.ModelPrice) -> list[int]:
    tiered = [price for price in vars(prices).values() if isinstance(price, genai.TieredPrices)]
    return [tier.start for price in tiered for tier in price.tiers] or [100_000]


def random_usage(rng: random.Random, prices: genai.ModelPrice) -> Usage:
    total = rng.choice(tier_borders(prices)) + rng.choice((-1, 0, 1, rng.randrange(900_000)))
    reads = rng.choice((0, rng.randrange(total + 1)))
    writes = rng.choice((0, rng.randrange(total - reads + 1)))
    # Anthropic's rule for one-hour writes is ours where the package has no price for them.
    has_1h = prices.cache_write_1h_mtok is not None
    output = rng.randrange(200_000)
    audio_out = rng.choice((0, rng.randrange(output + 1)))
    return Usage(
        input_tokens=total,
        output_tokens=output,
        cache_read_tokens=reads,
        cache_write_tokens=writes,
        cache_write_1h_tokens=rng.randrange(writes + 1) if has_1h else 0,
        reasoning_tokens=rng.choice((0, rng.randrange(output - audio_out + 1))),
        input_audio_tokens=rng.choice((0, rng.randrange(total - writes + 1))),
        output_audio_tokens=audio_out,
    )


def as_genai(usage: Usage) -> genai.Usage:
    audio, reads = usage.input_audio_tokens, usage.cache_read_tokens
    cached_audio = max(0, reads + usage.cache_write_tokens + audio - usage.input_tokens)
    return genai.Usage(
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cache_read_tokens=reads,
        cache_write_tokens=usage.cache_write_tokens,
        cache_write_1h_tokens=usage.cache_write_1h_tokens,
        output_reasoning_tokens=usage.reasoning_tokens,
        input_audio_tokens=audio,
        cache_audio_read_tokens=cached_audio,
        output_audio_tokens=usage.output_audio_tokens,
    )


@pytest.mark.parametrize("provider_id", PROVIDERS)
def test_every_model_costs_what_genai_prices_says(provider_id: str):
    provider = PROVIDERS[provider_id]
    rng = random.Random(provider_id)
    facts = CATALOG.models(provider_id)
    assert [model.id for model in provider.models] == [ours.id for ours in facts]
    for model, ours in zip(provider.models, facts, strict=True):
        for when in times(model):
            for on in terms(model):
                for _ in range(4):
                    check_price(model, ours, provider, when, on, rng)


def check_price(
    model: genai.ModelInfo,
    ours: ModelFacts,
    provider: genai.Provider,
    when: datetime,
    on: Mapping[str, str],
    rng: random.Random,
) -> None:
    usage = random_usage(rng, model.get_prices(when, on))
    theirs = model.calc_price(
        as_genai(usage), provider, genai_request_timestamp=when, price_context=on
    )
    cost = cost_of(ours, usage, when, on)
    where = f"{provider.id}/{model.id} {when} {on} {usage}"
    # Half a nano-dollar from rounding, the rest from prices that are residues of float divisions.
    assert abs(theirs.total_price * 10**9 - cost.nanos) < 1, where
    assert abs(theirs.output_price * 10**9 - cost.output_nanos) <= Decimal("1.5"), where
    parts = (cost.input_nanos, cost.cache_read_nanos, cost.cache_write_nanos, cost.output_nanos)
    assert sum(parts) == cost.nanos, where
    assert min(parts) >= 0, where


@pytest.mark.parametrize("provider_id", PROVIDERS)
def test_context_windows_and_deprecations_are_those_of_genai_prices(provider_id: str):
    for model, ours in zip(PROVIDERS[provider_id].models, CATALOG.models(provider_id), strict=True):
        assert ours.context_window == model.context_window
        assert ours.deprecated == bool(model.deprecated)
        assert ours.name == (model.name or "")


def names_of(provider: genai.Provider) -> Iterator[str]:
    """Ids, aliases, the fixed parts of families, each also in the shapes that names come in."""
    for model in provider.models:
        for name in (model.id, *fragments(model.match)):
            yield from (name, name.upper(), f"{name}-20250807", f"{name}-2025-08-07", f"x-{name}")


def fragments(clause: object) -> Iterator[str]:
    for value in vars(clause).values():
        if isinstance(value, str):
            yield value
        else:
            for part in value:
                yield from fragments(part)


def expected(provider: genai.Provider, name: str) -> tuple[str, str] | None:
    """Owner and id. An id is always found, though a few of genai-prices' rules leave out their own."""
    for candidate in (provider, *(PROVIDERS[f] for f in provider.fallback_model_providers or ())):
        by_id = (model for model in candidate.models if model.id.lower() == name.lower())
        if model := (next(by_id, None) or candidate._match_model(name.lower())):
            return candidate.id, model.id
    return None


@pytest.mark.parametrize("provider_id", PROVIDERS)
def test_names_find_the_models_that_genai_prices_finds(provider_id: str):
    provider = PROVIDERS[provider_id]
    rng = random.Random(provider_id)
    elsewhere = [name for other in PROVIDERS.values() for name in names_of(other)]
    own = list(names_of(provider))
    for name in [*rng.sample(own, min(len(own), 1500)), *rng.sample(elsewhere, 200)]:
        ours = CATALOG.find(provider_id, name)
        found = ours and (ours.provider, ours.id)
        direct = expected(provider, name)
        if direct is not None:
            assert found == direct, name
        else:
            theirs = provider.find_model(name, all_providers=genai_providers)
            assert (ours and ours.id) == (theirs and theirs.id), name


def test_only_the_rules_of_ours_add_prices():
    """What the snapshot has beyond genai-prices: 1 h writes at twice the input, and free models."""
    added: set[str] = set()
    for provider in PROVIDERS.values():
        for model, ours in zip(provider.models, CATALOG.models(provider.id), strict=True):
            theirs = model.get_prices(NOW)
            keys = {key for key, price in vars(theirs).items() if price is not None}
            prices = prices_at(ours, NOW, {})
            if prices.cache_write_1h is not None and "cache_write_1h_mtok" not in keys:
                assert "claude" in model.id
                added.add("1h")
            if not keys and prices.input is not None:
                assert model.id.endswith(":free")
                added.add("free")
    assert added == {"1h", "free"}
