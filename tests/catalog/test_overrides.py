"""The user's own prices and limits."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from polyvox.catalog import Catalog
from polyvox.errors import ConfigurationError
from polyvox.usage import Usage

MINI = "openai/gpt-5-mini"


def test_prices_are_dollars_per_million_tokens():
    catalog = Catalog.load({MINI: {"input": 0.25, "output": Decimal("2.0"), "cache_read": 1}})
    usage = Usage(input_tokens=3, cache_read_tokens=1, output_tokens=1)
    cost = catalog.cost("openai", "gpt-5-mini", usage)
    assert (cost.status, cost.source) == ("known", "override")
    assert (cost.input_nanos, cost.cache_read_nanos, cost.output_nanos) == (500, 1_000, 2_000)


def test_an_override_of_an_id_holds_for_all_names_of_the_model():
    catalog = Catalog.load({MINI.upper(): {"input": 7, "output": 7}})
    cost = catalog.cost("openai", "gpt-5-mini-2025-08-07", Usage(input_tokens=1))
    assert cost.nanos == 7_000
    assert len(catalog.models("openai")) == len(Catalog.load().models("openai"))
    position = [facts.id for facts in catalog.models("openai")].index("gpt-5-mini")
    assert Catalog.load().models("openai")[position].id == "gpt-5-mini"


def test_an_override_of_another_name_holds_for_that_name_only():
    catalog = Catalog.load({f"{MINI}-2025-08-07": {"input": 7, "output": 7}})
    dated = catalog.find("openai", "gpt-5-mini-2025-08-07")
    plain = catalog.find("openai", "gpt-5-mini")
    assert dated is not None
    assert plain is not None
    assert (dated.source, plain.source) == ("override", "catalog")
    assert dated.context_window == plain.context_window


def test_limits_are_replaced_one_by_one_and_prices_stay():
    known = Catalog.load().find("openai", "gpt-5-mini")
    facts = Catalog.load({MINI: {"max_output_tokens": 9, "name": "Mini"}}).find(
        "openai", "gpt-5-mini"
    )
    assert known is not None
    assert facts is not None
    assert (facts.max_output_tokens, facts.name) == (9, "Mini")
    assert (facts.context_window, facts.prices) == (known.context_window, known.prices)
    assert facts.source == "catalog"


def test_any_price_replaces_all_of_them():
    catalog = Catalog.load({MINI: {"input": 1}})
    cost = catalog.cost("openai", "gpt-5-mini", Usage(input_tokens=1, output_tokens=1))
    assert (cost.status, cost.nanos) == ("unknown", 1_000)


def test_models_and_providers_that_nobody_knows_can_be_added():
    catalog = Catalog.load({"cellar/llama-7b": {"free": True, "context_window": 4096}})
    assert "cellar" in catalog.providers()
    assert [facts.id for facts in catalog.models("cellar")] == ["llama-7b"]
    assert catalog.cost("cellar", "Llama-7B", Usage(input_tokens=5)).status == "free"
    assert [facts.full_name for facts in catalog.search("cellar")] == ["cellar/llama-7b"]


def test_a_resold_model_can_have_a_price_of_its_own():
    catalog = Catalog.load({"azure/gpt-5-mini": {"input": 1, "output": 1}})
    facts = catalog.find("azure", "gpt-5-mini")
    assert facts is not None
    assert (facts.provider, facts.source) == ("azure", "override")
    assert facts.context_window is not None
    other = catalog.find("openai", "gpt-5-mini")
    assert other is not None
    assert other.source == "catalog"


def test_overrides_may_come_from_a_toml_file(tmp_path: Path):
    path = tmp_path / "prices.toml"
    path.write_text('["openai/gpt-5-mini"]\ninput = 0.1\noutput = 0.000000001\n', "utf-8")
    catalog = Catalog.load(path)
    usage = Usage(input_tokens=1_000_000, output_tokens=1_000_000)
    assert catalog.cost("openai", "gpt-5-mini", usage).nanos == 100_000_001
    assert Catalog.load(str(path)).find("openai", "gpt-5-mini") is not None


@pytest.mark.parametrize("content", [None, "input =", b"\xff"])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, content: str | bytes | None):
    path = tmp_path / "prices.toml"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ConfigurationError, match=r"prices\.toml"):
        Catalog.load(path)


@pytest.mark.parametrize(
    ("entry", "key", "hint"),
    [
        ({"ouput": 1}, "ouput", "output"),
        ({"cache-read": 1}, "cache-read", "cache_read"),
        ({"contextwindow": 1}, "contextwindow", "context_window"),
        ({"zzz": 1}, "zzz", "Known keys: input"),
        ({"input": "1"}, "input", "US dollars"),
        ({"input": True}, "input", "US dollars"),
        ({"input": -1}, "input", "US dollars"),
        ({"input": float("nan")}, "input", "US dollars"),
        ({"input": float("inf")}, "input", "US dollars"),
        ({"input": 1e-10}, "input", "nine decimals"),
        ({"context_window": 0}, "context_window", "tokens"),
        ({"context_window": 1.5}, "context_window", "tokens"),
        ({"max_output_tokens": True}, "max_output_tokens", "tokens"),
        ({"free": 1}, "free", "true or false"),
        ({"free": True, "input": 1}, "free", "say one"),
        ({"name": 1}, "name", "text"),
        (0.25, MINI, "table"),
    ],
)
def test_mistakes_are_named_with_what_to_write_instead(entry: Any, key: str, hint: str):
    with pytest.raises(ConfigurationError) as caught:
        Catalog.load({MINI: entry})
    assert MINI in str(caught.value)
    assert key in str(caught.value)
    assert hint in str(caught.value)


@pytest.mark.parametrize("name", ["gpt-5-mini", "/gpt-5-mini", "openai/", ""])
def test_an_entry_must_name_a_provider_and_a_model(name: str):
    with pytest.raises(ConfigurationError, match="provider/model"):
        Catalog.load({name: {"input": 1}})
