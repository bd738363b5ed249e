"""The rows of providers: every one is read, and what is asked of a row is answered."""

import re
import tomllib
from pathlib import Path

import msgspec
import pytest

from clients import test_verified_rows
from clients.verified import VERIFIED
from polyvox.catalog import Catalog
from polyvox.dialects import DIALECTS, Quirks
from polyvox.errors import ConfigurationError, MissingKeyError
from polyvox.providers import rows as module
from polyvox.providers.rows import (
    Provider,
    key_of,
    load_providers,
    missing_key,
    provider_named,
    quirks_for,
    read_row,
)

FILE = Path(module.__file__).with_name("providers.toml")
ROWS = load_providers()
LOCAL = {"llama-cpp", "lmstudio", "ollama", "vllm"}
MAKERS = {
    *("anthropic", "deepseek", "google", "minimax", "minimax-cn", "mistral", "moonshot"),
    *("openai", "openai-responses", "perplexity", "xai", "zai"),
}
HOSTS = {
    *("azure-openai", "bedrock", "cerebras", "chutes", "fireworks", "groq"),
    *("huggingface", "nvidia", "openrouter", "together"),
}

every_row = pytest.mark.parametrize("row", ROWS.values(), ids=ROWS.keys())


def row_of(name: str = "acme", **fields: object) -> Provider:
    return read_row(name, {"base_url": "https://api.acme.example/v1", **fields})


# Every row


def test_the_providers_that_were_promised_are_there():
    assert ROWS.keys() == MAKERS | HOSTS | LOCAL
    assert {name for name, row in ROWS.items() if row.local} == LOCAL


def test_rows_stand_in_three_groups_each_in_alphabetical_order():
    assert list(ROWS) == [*sorted(MAKERS), *sorted(HOSTS), *sorted(LOCAL)]


def test_every_row_names_the_page_its_facts_are_from():
    text = FILE.read_text(encoding="utf-8")
    for name in ROWS:
        above = text[: text.index(f"[providers.{name}]\n")].rstrip().rsplit("\n\n", 1)[-1]
        assert above.startswith("# Source: "), name


@every_row
def test_a_row_keeps_its_key_as_its_name_and_says_the_rest(row: Provider):
    assert ROWS[row.name] is row
    assert row.title
    assert row.example
    assert row.dialect in DIALECTS


@every_row
def test_addresses_are_encrypted_unless_they_are_local(row: Provider):
    if row.local:
        assert row.base_url.startswith("http://127.0.0.1:")
        assert row.base_url_port
    else:
        assert row.base_url.startswith(("https://", "{"))
        assert row.base_url_port is None


@every_row
def test_who_wants_a_key_says_in_which_variable_and_from_which_page(row: Provider):
    assert row.key_env
    assert all(re.fullmatch(r"[A-Z][A-Z0-9_]+", name) for name in row.key_env)
    if not row.local:
        assert row.key_page
        assert "://" not in row.key_page


@every_row
def test_every_rule_fits_a_name_and_changes_something(row: Provider):
    for rule in row.models:
        assert rule.quirks
        name = rule.match[0].replace("*", "x").replace("?", "1")
        assert rule.fits(re.sub(r"\[(.)[^]]*\]", r"\1", name))


@every_row
def test_a_suffix_ends_the_address_it_belongs_to(row: Provider):
    if not row.base_url.startswith("{"):
        assert row.base_url.endswith(row.base_url_suffix)


@every_row
def test_a_row_survives_a_round_trip_through_plain_values(row: Provider):
    assert read_row(row.name, msgspec.to_builtins(row)) == row


def test_no_variable_holds_the_key_of_two_strangers():
    owners: dict[str, set[str]] = {}
    for row in ROWS.values():
        for variable in row.key_env:
            owners.setdefault(variable, set()).add(re.sub("-(cn|responses)$", "", row.name))
    assert {name: who for name, who in owners.items() if len(who) > 1} == {}


def test_the_price_data_knows_the_ids_that_rows_name():
    named = {row.catalog for row in ROWS.values() if row.catalog}
    assert named - set(Catalog.load().providers()) == set()


def test_where_prices_are_known_they_are_known_for_the_example():
    catalog = Catalog.load()
    priced = set(catalog.providers())
    for row in ROWS.values():
        provider = row.catalog or row.name
        if provider in priced and not row.local:
            assert catalog.find(provider, row.example), row.name


def test_rows_are_verified_if_and_only_if_their_sdk_is_set_against_a_mock_of_them():
    verified = {name for name, row in ROWS.items() if row.tier == "verified"}
    assert verified == {name for names in VERIFIED.values() for name in names}
    test = test_verified_rows.test_the_sdk_and_our_client_say_the_same_and_read_the_same
    run = {
        case for mark in test.pytestmark if mark.args[0] == ("sdk", "name") for case in mark.args[1]
    }
    assert run == {(sdk, name) for sdk, names in VERIFIED.items() for name in names}


def test_a_row_is_of_the_community_unless_it_says_otherwise():
    assert row_of().tier == "community"
    assert {row.tier for row in ROWS.values()} == {"community", "verified"}


def test_rows_are_read_anew_and_belong_to_the_caller():
    mine = load_providers()
    mine.clear()
    assert load_providers() == ROWS


# Rows that are wrong


def test_an_unknown_field_is_named_with_the_row_and_the_nearest_field():
    with pytest.raises(ConfigurationError) as caught:
        row_of(key_evn=["ACME_API_KEY"])
    assert "'acme'" in caught.value.text
    assert "`key_evn`" in caught.value.text
    assert caught.value.hint == "Did you mean 'key_env'?"


@pytest.mark.parametrize(
    "fields",
    [
        {"quirks": {"developer_rule": True}},
        {"models": [{"match": ["x*"], "quirks": {"developer_rule": True}}]},
    ],
)
def test_an_unknown_quirk_names_the_nearest_quirk(fields: dict[str, object]):
    with pytest.raises(ConfigurationError) as caught:
        row_of(**fields)
    assert "`developer_rule`" in caught.value.text
    assert caught.value.hint == "Did you mean 'developer_role'?"


def test_an_unknown_field_of_a_rule_names_the_nearest_field_of_rules():
    with pytest.raises(ConfigurationError) as caught:
        row_of(models=[{"matches": ["x*"]}])
    assert caught.value.hint == "Did you mean 'match'?"


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"dialect": "openai"}, "dialect 'openai' is none of openai-chat, anthropic-messages"),
        ({"base_url": "api.acme.example"}, "base_url must begin with https:// or http://"),
        ({"base_url": "https://api.acme.example/"}, "base_url must not end with a slash"),
        ({"base_url_suffix": "v1"}, "base_url_suffix must begin with a slash"),
        ({"key_env": ["acme_key"]}, "environment variables must be upper-case"),
        ({"base_url": "{endpoint}"}, "environment variables must be upper-case"),
        ({"key_env": "ACME_API_KEY"}, "$.key_env"),
        ({"auth": "digest"}, "$.auth"),
        ({"models": [{"match": [], "quirks": {}}]}, "match needs at least one glob"),
        ({"quirks": {"reasoning_style": "loud"}}, "$.quirks.reasoning_style"),
    ],
)
def test_a_wrong_value_is_an_error_that_names_row_and_field(fields: dict[str, object], words: str):
    with pytest.raises(ConfigurationError) as caught:
        row_of(**fields)
    assert caught.value.text.startswith("provider 'acme': ")
    assert words in caught.value.text


@pytest.mark.parametrize("name", ["Acme", "acme/x", "", "-acme"])
def test_a_name_is_of_lower_case_letters_digits_and_hyphens(name: str):
    with pytest.raises(ConfigurationError, match="name must be of lower-case letters"):
        row_of(name)


def test_a_row_that_is_no_table_is_an_error():
    with pytest.raises(ConfigurationError, match="provider 'acme'"):
        read_row("acme", "https://api.acme.example")


def test_the_short_form_of_a_row_is_enough():
    row = row_of()
    assert (row.title, row.dialect, row.auth, row.quirks) == (
        *("acme", "openai-chat", "bearer"),
        Quirks(),
    )


# Finding a row


def test_an_unknown_provider_is_an_error_with_the_nearest_name():
    with pytest.raises(ConfigurationError) as caught:
        provider_named(ROWS, "opnai")
    assert str(caught.value) == "there is no provider 'opnai'\nDid you mean 'openai'?"


def test_without_a_near_name_the_error_lists_all():
    with pytest.raises(ConfigurationError) as caught:
        provider_named(ROWS, "zzzzzz")
    assert caught.value.hint
    assert all(name in caught.value.hint for name in ROWS)


def test_a_known_provider_is_found():
    assert provider_named(ROWS, "groq") is ROWS["groq"]


# Quirks by model


def test_a_model_without_a_rule_has_the_quirks_of_its_row():
    assert quirks_for(ROWS["mistral"], "codestral-latest") == ROWS["mistral"].quirks


def test_rules_apply_in_order_and_leave_the_rest_alone():
    row = row_of(
        quirks={"seed": False, "efforts": ["low", "high"]},
        models=[
            {"match": ["big-*"], "quirks": {"json_schema": False, "strict_tools": True}},
            {"match": ["small-*", "big-2*"], "quirks": {"json_schema": True, "efforts": []}},
        ],
    )
    assert quirks_for(row, "big-1") == Quirks(
        seed=False, json_schema=False, strict_tools=True, efforts=("low", "high")
    )
    assert quirks_for(row, "big-2") == Quirks(seed=False, json_schema=True, strict_tools=True)


def test_a_rule_may_set_a_quirk_back_to_its_default():
    row = row_of(
        quirks={"reasoning_style": "none"},
        models=[{"match": ["o*"], "quirks": {"reasoning_style": "effort"}}],
    )
    assert quirks_for(row, "o3").reasoning_style == "effort"


def test_globs_do_not_care_about_case():
    for name in ("GLM-5.3", "glm-5.3-flash"):
        assert quirks_for(ROWS["zai"], name).reasoning_style == "effort"


@pytest.mark.parametrize(
    ("model", "style", "developer", "sampling", "schema"),
    [
        ("gpt-4o-mini", "none", False, True, True),
        ("gpt-4-turbo", "none", False, True, False),
        ("gpt-4.1", "none", False, True, True),
        ("ft:gpt-4o-mini-2024-07-18:acme::x", "none", False, True, True),
        ("o3", "effort", True, False, True),
        ("gpt-5-mini", "effort", True, False, True),
        ("gpt-5-chat-latest", "none", False, True, True),
        ("gpt-5.1", "effort", True, "unthinking", True),
        ("gpt-5.1-codex-max", "effort", True, False, True),
        ("gpt-6-sol", "effort", True, False, True),
    ],
)
def test_models_of_openai_are_asked_as_their_generation_wants(
    model: str, style: str, developer: bool, sampling: bool | str, schema: bool
):
    quirks = quirks_for(ROWS["openai"], model)
    assert quirks.reasoning_style == style
    assert (quirks.developer_role, quirks.sampling, quirks.json_schema) == (
        *(developer, sampling),
        schema,
    )


@pytest.mark.parametrize(
    ("model", "stop", "parallel"),
    [
        ("gpt-4o", True, True),
        ("gpt-5-chat-latest", True, True),
        ("gpt-5-mini", False, True),
        ("o3-mini", True, False),
        ("o4-mini", False, False),
    ],
)
def test_what_openais_reasoning_models_refuse_is_not_sent(model: str, stop: bool, parallel: bool):
    quirks = quirks_for(ROWS["openai"], model)
    assert (quirks.stop, quirks.parallel_tool_calls) == (stop, parallel)


@pytest.mark.parametrize(
    ("name", "efforts"),
    [
        ("openai/gpt-5-mini", ("minimal", "low", "medium", "high")),
        ("openai/gpt-5.1", ("none", "low", "medium", "high")),
        ("openai/o4-mini", ("low", "medium", "high")),
        ("openai/gpt-5-codex", ("low", "medium", "high")),
        ("openai/gpt-5.2-codex", ("low", "medium", "high", "xhigh")),
        ("openai/gpt-5.2-pro-2025-12-11", ("medium", "high", "xhigh")),
        ("openai/gpt-4o", ()),
        ("deepseek/deepseek-flash", ("low", "high", "max")),
        ("mistral/mistral-small-latest", ("none", "high")),
        ("moonshot/kimi-k3", ("low", "high", "max")),
        ("moonshot/kimi-k2.6", ()),
        ("xai/grok-4.3", ("none", "low", "medium", "high")),
        ("xai/grok-4.20", ()),
        ("xai/grok-3-mini-fast", ("low", "high")),
        ("zai/glm-5.3", ("low", "high", "max")),
        ("zai/glm-4.7", ()),
        ("azure-openai/any", ("none", "minimal", "low", "medium", "high", "xhigh")),
        ("chutes/any", ("low", "medium", "high")),
        ("lmstudio/any", ("none", "low", "medium", "high")),
        ("llama-cpp/gpt-oss-20b", ("low", "medium", "high")),
        ("vllm/openai/gpt-oss-20b", ("low", "medium", "high")),
        ("vllm/deepseek-ai/DeepSeek-V4", ()),
    ],
)
def test_efforts_are_those_that_the_model_knows(name: str, efforts: tuple[str, ...]):
    provider, _, model = name.partition("/")
    assert quirks_for(ROWS[provider], model).efforts == efforts


@pytest.mark.parametrize(
    ("model", "rule"),
    [
        ("gpt-4o", True),
        ("o4-mini", True),
        ("gpt-5-mini", True),
        ("gpt-5.2", True),
        ("gpt-5.4-mini", False),
        ("gpt-5.5-2026-04-23", False),
        ("gpt-5.6", "none"),
        ("gpt-5.6-sol", "none"),
        ("gpt-6-astra", "none"),
        ("gpt-5.6-chat-latest", True),
    ],
)
def test_openais_newer_models_are_not_asked_to_think_beside_tools(model: str, rule: object):
    assert quirks_for(ROWS["openai"], model).effort_with_tools == rule


def test_deployments_called_like_their_model_follow_its_rule_about_tools():
    rules = {
        model: quirks_for(ROWS["azure-openai"], model).effort_with_tools
        for model in ("gpt-6-astra", "gpt-5.5", "gpt-5-mini", "our-deployment")
    }
    assert list(rules.values()) == ["none", False, True, True]


def test_who_counts_stop_strings_says_how_many_there_may_be():
    assert quirks_for(ROWS["openai"], "gpt-4o").most_stops == 4
    assert quirks_for(ROWS["vllm"], "any").most_stops is None


def test_reasoning_goes_back_to_those_who_need_it_between_tool_calls():
    replay = {name: row.quirks.reasoning_replay for name, row in ROWS.items()}
    assert {name for name, field in replay.items() if field == "reasoning_content"} == {
        *("deepseek", "fireworks", "llama-cpp", "moonshot", "zai"),
    }


def test_cache_marks_travel_through_openrouter_to_claude_only_where_understood():
    row = ROWS["openrouter"]
    assert quirks_for(row, "anthropic/claude-sonnet-4.5").cache_control
    assert not quirks_for(row, "openai/gpt-5-mini").cache_control


def test_mistral_has_its_own_words_and_its_own_ids():
    quirks = ROWS["mistral"].quirks
    assert (quirks.seed_field, quirks.tool_choice_required) == ("random_seed", "any")
    assert quirks.call_ids == "nine"
    assert quirks.prefix
    assert quirks.answer_after_results


# Keys


def test_the_first_key_found_is_the_key():
    row = ROWS["huggingface"]
    assert key_of(row, {}) is None
    assert key_of(row, {"HF_TOKEN": "  "}) is None
    both = {"HF_TOKEN": "hf_1", "HUGGINGFACE_API_KEY": "hf_2"}
    for environ, key in ((both, "hf_1"), ({"HUGGINGFACE_API_KEY": " hf_2\n"}, "hf_2")):
        found = key_of(row, environ)
        assert found is not None
        assert found.reveal() == key
        assert key not in repr(found)


@every_row
def test_a_missing_key_is_an_error_that_helps(row: Provider):
    error = missing_key(row)
    assert isinstance(error, MissingKeyError)
    assert error.provider == row.name
    text = str(error)
    assert row.title in text
    assert all(variable in text for variable in row.key_env)
    assert row.key_page in text
    assert "simulated/echo" in text


def test_the_text_of_a_missing_key():
    assert str(missing_key(ROWS["openai"])) == (
        "openai: there is no API key for OpenAI\n"
        "Set OPENAI_API_KEY or pass keys={'openai': ...}."
        " Keys are made on the page 'OpenAI Platform, API keys'."
        " Without a key: simulated/echo, simulated/lorem and simulated/tools."
    )


def test_a_row_without_variables_still_says_how_to_pass_a_key():
    assert "pass keys={'acme': ...}." in str(missing_key(row_of()))


# The file


def test_the_file_holds_nothing_but_rows():
    assert tomllib.loads(FILE.read_text(encoding="utf-8")).keys() == {"providers"}
