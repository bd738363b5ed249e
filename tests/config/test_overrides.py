"""``POLYVOX_<SECTION>__<KEY>``: environment variables before what the file says."""

import pytest

from polyvox.config import Config, examine, load_config
from polyvox.errors import ConfigurationError
from polyvox.secret import Secret

from .conftest import Examine


def right(look: Examine, text: str, **environ: str) -> Config:
    loaded = look(text, **environ)
    assert loaded.errors == []
    assert loaded.config is not None
    return loaded.config


def test_a_variable_comes_before_the_file(look: Examine):
    config = right(look, "[retry]\nattempts = 2", POLYVOX_RETRY__ATTEMPTS="5")
    assert config.retry is not None
    assert config.retry.attempts == 5


def test_its_value_is_of_the_type_of_the_key(look: Examine):
    config = right(
        look,
        "",
        POLYVOX_LIMITS__BURST__REQUESTS="60",
        POLYVOX_LOG__KEEP_BYTES="true",
        POLYVOX_CACHE__TTL="1.5",
        POLYVOX_BUDGETS__DAILY__LIMIT="$5",
        POLYVOX_PROVIDERS__OPENAI__KEY="sk-123",
        POLYVOX_ALIASES__FAST="simulated/echo",
        POLYVOX_ROUTERS__CHAT__DEPLOYMENTS='["fast", "simulated/lorem"]',
        POLYVOX_TEMPLATES__T__REASONING="2048",
    )
    assert config.limits["burst"].requests == 60
    assert config.log is not None
    assert config.log.keep_bytes is True
    assert config.cache is not None
    assert config.cache.ttl == 1.5
    assert config.budgets["daily"].limit == "$5"
    assert config.providers["openai"].key == Secret("sk-123")
    assert config.routers["chat"].deployments == ("fast", "simulated/lorem")
    assert config.templates["t"].reasoning == 2048


def test_names_with_hyphens_and_capitals_are_meant_too(look: Examine):
    text = "[budgets.Per-Team]\nlimit = 1"
    config = right(
        look,
        text,
        POLYVOX_BUDGETS__PER_TEAM__LIMIT="2",
        POLYVOX_PROVIDERS__LLAMA_CPP__KEY="sk-local",
    )
    assert config.budgets.keys() == {"Per-Team"}
    assert config.budgets["Per-Team"].limit == "2"
    assert config.providers.keys() == {"llama-cpp"}


def test_an_unknown_key_names_the_variable(look: Examine):
    (problem,) = look("", POLYVOX_RETRY__ATEMPTS="5").errors
    assert str(problem) == (
        "the environment variable POLYVOX_RETRY__ATEMPTS: unknown key 'atempts' in retry;"
        " did you mean 'attempts'?"
    )


def test_a_wrong_value_names_the_variable(look: Examine):
    (problem,) = look("", POLYVOX_RETRY__ATTEMPTS="many").errors
    assert str(problem).startswith(
        "the environment variable POLYVOX_RETRY__ATTEMPTS: retry.attempts: "
    )


def test_a_key_below_what_is_no_table_is_told(look: Examine):
    with pytest.raises(ConfigurationError, match=r"POLYVOX_ALIASES__FAST__MODEL means no key"):
        look("[aliases]\nfast = 'simulated/echo'", POLYVOX_ALIASES__FAST__MODEL="simulated/lorem")


def test_a_value_holds_no_references(look: Examine):
    config = right(look, "", POLYVOX_PROVIDERS__OPENAI__KEY="a${b}c")
    assert config.providers["openai"].key == Secret("a${b}c")


def test_without_a_file_the_variables_are_the_configuration():
    config = load_config(environ={"POLYVOX_BUDGETS__DAILY__LIMIT": "5"})
    assert config.budgets["daily"].limit == "5"


def test_without_a_file_and_variables_there_is_none():
    with pytest.raises(ConfigurationError, match=r"there is no polyvox\.toml here") as caught:
        examine(environ={"POLYVOX_MODEL": "simulated/echo", "POLYVOX_LOG": "off"})
    assert "polyvox config init" in str(caught.value)
