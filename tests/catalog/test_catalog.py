"""Finding models and pricing them through the catalog, on the snapshot that is shipped."""

import subprocess
import sys
from datetime import UTC, datetime

import msgspec
import pytest

from polyvox.catalog import Catalog
from polyvox.catalog.snapshot import ProviderEntry, Snapshot
from polyvox.usage import UNKNOWN_COST, Usage

CATALOG = Catalog.load()
WHEN = datetime(2026, 1, 15, tzinfo=UTC)


@pytest.mark.parametrize(
    ("provider", "name", "full_name"),
    [
        ("openai", "gpt-5-mini", "openai/gpt-5-mini"),
        ("openai", "GPT-5-Mini", "openai/gpt-5-mini"),
        ("OpenAI", "gpt-5-mini-2025-08-07", "openai/gpt-5-mini"),
        ("openai", "gpt-5-mini-20250807", "openai/gpt-5-mini"),
        ("anthropic", "claude-sonnet-4-5-20250929", "anthropic/claude-sonnet-4-5"),
        ("openrouter", "anthropic/claude-opus-4", "openrouter/anthropic/claude-opus-4"),
        ("azure", "gpt-5-mini", "openai/gpt-5-mini"),  # resold
    ],
)
def test_a_model_is_found_by_the_names_it_goes_by(provider: str, name: str, full_name: str):
    facts = CATALOG.find(provider, name)
    assert facts is not None
    assert facts.full_name == full_name


@pytest.mark.parametrize(
    ("provider", "name"),
    [("openai", "claude-sonnet-4-5"), ("nobody", "gpt-5-mini"), ("openai", ""), ("", "gpt-5")],
)
def test_what_is_not_known_is_not_guessed(provider: str, name: str):
    assert CATALOG.find(provider, name) is None
    assert CATALOG.cost(provider, name, Usage(input_tokens=1)) is UNKNOWN_COST


def test_every_model_is_found_by_its_own_id():
    for provider in CATALOG.providers():
        for facts in CATALOG.models(provider):
            assert CATALOG.find(provider, facts.id) is facts


def test_an_id_comes_first_then_the_first_model_that_answers_to_the_name():
    models = b"""[
        {"id": "one", "match": ["both", {"starts": "early"}]},
        {"id": "two", "match": ["both", "early-two", "late-two", {"ends": "-x"}]},
        {"id": "three", "match": [{"starts": "late"}, {"starts": "two", "contains": "-"}]},
        {"id": "early-four"}
    ]"""
    entry = ProviderEntry(name="P", models=msgspec.Raw(models))
    catalog = Catalog(Snapshot(source=CATALOG.source, providers={"p": entry}))
    names = ("both", "early-two", "late-two", "late-x", "two-2", "early-four", "two2")
    found = [(facts := catalog.find("p", name)) and facts.id for name in names]
    assert found == ["one", "one", "two", "two", "three", "early-four", None]


def test_a_provider_may_have_other_names():
    catalog = Catalog.load({"xai/grok-4": {"context_window": 7}}, aliases={"xai": "x-ai"})
    facts = catalog.find("xai", "grok-4")
    assert facts is not None
    assert facts.provider == "x-ai"
    assert facts.context_window == 7
    assert facts is catalog.find("x-ai", "grok-4")
    assert "xai" not in catalog.providers()


def test_search_wants_every_word_in_any_case():
    found = {facts.full_name for facts in CATALOG.search("SONNET anthropic 4-5")}
    assert "anthropic/claude-sonnet-4-5" in found
    assert all("sonnet" in name.lower() for name in found)
    assert CATALOG.search("claude no-such-word") == []
    assert len(CATALOG.search("")) == sum(len(CATALOG.models(p)) for p in CATALOG.providers())


def test_cache_writes_of_both_kinds_are_priced():
    usage = Usage(
        input_tokens=1_000_000, cache_write_tokens=1_000_000, cache_write_1h_tokens=400_000
    )
    cost = CATALOG.cost("anthropic", "claude-3-5-haiku-latest", usage, when=WHEN)
    assert (cost.status, cost.source) == ("known", "catalog")
    assert cost.cache_write_nanos == 600_000 * 1_000 + 400_000 * 1_600


def test_prices_of_the_day_are_used_when_no_time_is_given():
    usage = Usage(input_tokens=1_000, output_tokens=1_000)
    now = datetime.now(UTC)
    assert CATALOG.cost("openai", "gpt-4o", usage) == CATALOG.cost(
        "openai", "gpt-4o", usage, when=now
    )


def test_terms_are_those_of_the_provider_itself():
    usage = Usage(input_tokens=1_000_000, output_tokens=1_000)
    batch = {"processing": "batch"}
    standard = CATALOG.cost("openai", "gpt-5-mini", usage)
    assert CATALOG.cost("openai", "gpt-5-mini", usage, terms=batch).nanos * 2 == standard.nanos
    assert CATALOG.cost("azure", "gpt-5-mini", usage, terms=batch) == standard


def test_free_variants_are_free_and_models_without_a_price_are_unknown():
    free = [f for f in CATALOG.models("openrouter") if f.id.endswith(":free")]
    assert free
    for facts in free:
        assert CATALOG.cost("openrouter", facts.id, Usage(input_tokens=1)).status == "free"
    assert CATALOG.cost("github-copilot", "gpt-4o", Usage(input_tokens=1)).status == "unknown"


def test_two_catalogs_do_not_see_each_other():
    mine = Catalog.load({"openai/gpt-5-mini": {"context_window": 1}})
    assert mine.find("openai", "gpt-5-mini") != CATALOG.find("openai", "gpt-5-mini")


def test_importing_the_catalog_reads_no_file_of_its_own():
    code = """
import sys
opened = []
sys.addaudithook(lambda event, args: event == "open" and opened.append(str(args[0])))
from polyvox.catalog import Catalog
assert not [path for path in opened if path.endswith((".json", ".toml"))], opened
Catalog.load()
assert [path for path in opened if path.endswith("snapshot.json")], opened
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
