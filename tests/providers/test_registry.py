import pytest

from polyvox.catalog import Catalog
from polyvox.errors import ConfigurationError, MissingKeyError
from polyvox.http import HttpRequest, HttpResponse
from polyvox.providers import ProviderModel, Registry
from polyvox.secret import Secret
from polyvox.usage import FREE, Usage


class NoTransport:
    async def send(self, request: HttpRequest) -> HttpResponse:
        raise AssertionError("nothing may be sent")


def a_registry(**settings) -> Registry:
    settings.setdefault("environ", {})
    return Registry(NoTransport(), **settings)


def test_a_name_becomes_the_providers_model():
    model = a_registry(environ={"ANTHROPIC_API_KEY": "sk-1"}).model("anthropic/claude-sonnet-4-5")
    assert isinstance(model, ProviderModel)
    assert model.name == "anthropic/claude-sonnet-4-5"
    assert model.dialect.name == "anthropic-messages"
    assert model.target.key == Secret("sk-1")
    assert model.target.model == "claude-sonnet-4-5"


def test_a_models_own_name_may_hold_slashes():
    model = a_registry(keys={"openrouter": "k"}).model("openrouter/meta-llama/llama-3.3-70b")
    assert model.target.model == "meta-llama/llama-3.3-70b"


def test_a_key_passed_in_comes_before_the_environments():
    registry = a_registry(keys={"openai": "mine"}, environ={"OPENAI_API_KEY": "theirs"})
    assert registry.model("openai/gpt-5-mini").target.key == Secret("mine")


def test_an_address_passed_in_comes_before_the_environments():
    registry = a_registry(
        base_urls={"ollama": "http://here:1/v1"}, environ={"OLLAMA_HOST": "there:2"}
    )
    assert registry.model("ollama/llama3.2").target.base_url == "http://here:1/v1"


def test_a_key_an_address_and_headers_for_one_model_only():
    registry = a_registry(keys={"openai": "mine"}, base_urls={"openai": "http://here:1/v1"})
    own = {"base_url": "http://there:2/v1", "headers": {"x-team": "blue"}}
    target = registry.provider_model("openai", "gpt-5-mini", key=Secret("its"), **own).target
    assert (target.key, target.base_url) == (Secret("its"), "http://there:2/v1")
    assert target.headers["x-team"] == "blue"
    usual = registry.provider_model("openai", "gpt-5-mini").target
    assert (usual.key, usual.base_url) == (Secret("mine"), "http://here:1/v1")
    assert "x-team" not in usual.headers
    with pytest.raises(ConfigurationError, match="base_url holds no address"):
        registry.provider_model("openai", "gpt-5-mini", base_url="here and there")


def test_a_missing_key_is_an_error_that_says_what_to_do():
    with pytest.raises(MissingKeyError) as caught:
        a_registry().model("openai/gpt-5-mini")
    for part in ("OPENAI_API_KEY", "OpenAI Platform", "simulated/"):
        assert part in str(caught.value)


def test_servers_of_ones_own_need_no_key_and_cost_nothing():
    model = a_registry().model("ollama/llama3.2")
    assert model.target.key is None
    assert model.pricing(Usage(1000, 1000)) == FREE


def test_prices_come_from_the_catalog():
    model = a_registry(keys={"anthropic": "k"}).model("anthropic/claude-sonnet-4-5")
    cost = model.pricing(Usage(1_000_000, 0))
    assert cost.status == "known"
    assert cost.nanos > 0


def test_prices_of_unknown_models_are_unknown_and_not_zero():
    assert (
        a_registry(keys={"openai": "k"}).model("openai/no-such").pricing(Usage(1, 1)).status
        == "unknown"
    )


def test_the_users_own_prices_are_heard():
    catalog = Catalog.load({"openai/gpt-5-mini": {"input": 1.0, "output": 2.0}})
    model = a_registry(keys={"openai": "k"}, catalog=catalog).model("openai/gpt-5-mini")
    assert model.pricing(Usage(1_000_000, 0)).nanos == 10**9


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("opneai/gpt-5-mini", "openai"),
        ("gpt-5-mini", "openai/gpt-5-mini"),
        ("openai", "openai/"),
        ("openai/", "openai/"),
        ("", "provider/model"),
        ("simulated/eco", "simulated/echo"),
    ],
)
def test_a_name_that_means_nothing_gets_a_suggestion(name, said):
    with pytest.raises(ConfigurationError, match=said):
        a_registry().model(name)


def test_a_key_for_an_unknown_provider_is_an_error_at_once():
    with pytest.raises(ConfigurationError, match="openai"):
        a_registry(keys={"opneai": "k"})


def test_a_provider_of_ones_own_is_a_few_fields():
    registry = a_registry(providers={"lab": {"base_url": "http://lab.test/v1", "local": True}})
    model = registry.model("lab/m")
    assert (model.target.base_url, model.dialect.name) == ("http://lab.test/v1", "openai-chat")


def test_a_wrong_field_of_a_provider_is_named():
    with pytest.raises(ConfigurationError, match=r"bas_url.*\n.*base_url"):
        a_registry(providers={"lab": {"bas_url": "http://lab.test/v1"}})


def test_nothing_secret_shows():
    registry = a_registry(keys={"openai": "sk-canary"})
    model = registry.model("openai/gpt-5-mini")
    assert "canary" not in repr(vars(registry)) + repr(vars(model))


def test_an_address_that_is_none_is_an_error_at_once_and_names_the_field():
    with pytest.raises(ConfigurationError, match=r"base_urls\['openai'\] holds no address"):
        a_registry(base_urls={"openai": "localhost:9"})


def test_timeouts_are_a_value_of_their_own():
    with pytest.raises(ConfigurationError, match=r"Timeouts\(connect="):
        a_registry(timeouts=5)
