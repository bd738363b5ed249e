"""A strict file: what is wrong is told with the file, the line, the key and the nearest known one."""

from pathlib import Path

import pytest

from polyvox.config import load_config
from polyvox.errors import ConfigurationError
from polyvox.secret import Secret

from .conftest import Examine, Write


def told(look: Examine, text: str, **environ: str) -> list[str]:
    return [str(problem) for problem in look(text, **environ).errors]


def test_an_unknown_section_names_the_nearest_one(look: Examine):
    assert told(look, "[retry]\n\n[rotuer.chat]\ndeployments = ['simulated/echo']\n") == [
        "polyvox.toml, line 3: unknown key 'rotuer'; did you mean 'routers'?"
    ]


def test_an_unknown_key_says_in_which_table_it_is(look: Examine):
    text = "[routers.chat]\ndeployments = ['simulated/echo']\nstartegy = 'weighted'"
    assert told(look, text) == [
        "polyvox.toml, line 3: unknown key 'startegy' in routers.chat; did you mean 'strategy'?"
    ]


def test_a_key_that_is_like_no_other_lists_what_there_is(look: Examine):
    (problem,) = told(look, "[accounts]\nzzz = 1")
    assert problem.endswith(
        "unknown key 'zzz' in accounts; known are kind, on_failure, timeout, url"
    )


def test_all_that_is_wrong_is_told_at_once(look: Examine):
    text = """
[retry]
attemps = 3
[cache]
kind = "dsik"
[limits.burst]
requests = "many"
[nothing]
"""
    assert [problem.partition(":")[0] for problem in told(look, text)] == [
        f"polyvox.toml, line {line}" for line in (3, 5, 7, 8)
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            "[retry]\nattempts = 'x'",
            "line 2: retry.attempts: expected a whole number, got a string",
        ),
        ("[retry]\nattempts = 0", "line 2: retry: attempts is 0; the first one counts: 1 or more"),
        ("retry = 3", "line 1: retry: expected a table, got a whole number"),
        ("[defaults]\nmodel = 3", "line 2: defaults.model: expected a string, got a whole number"),
        (
            "[templates.t]\nseed = true",
            "line 2: templates.t.seed: expected a whole number, got true",
        ),
        (
            "[deployments.a]\nmodel = 'simulated/echo'\nrpm = 0",
            "line 3: deployments.a.rpm: expected",
        ),
        ("[deployments.a]\nrpm = 1", "line 1: deployments.a.model is missing"),
        (
            "[deployments]\na.model = 'simulated/echo'\na.retry.cap = -1",
            "line 3: deployments.a.retry",
        ),
        ("[routers.r]\ndeployments = []", "line 2: routers.r.deployments: expected a list"),
        (
            "[routers.r]\ndeployments = ['a', 3]",
            "line 2: routers.r.deployments[1]: expected a string",
        ),
        (
            "[routers.r]\ndeployments = ['simulated/echo']\nstrategy = 'wieghted'",
            "line 3: routers.r.strategy is 'wieghted'; did you mean 'weighted'?",
        ),
        ("[budgets.b]\nlimit = 'ten'", "line 2: budgets.b: limit is 'ten', which is no amount"),
        ("[budgets.b]\nlimit = 1\ntime_zone = 'Mars/Base'", "line 3: budgets.b: "),
        (
            "[budgets.b]\nlimit = 1\nscope = 'nobody'",
            "line 3: budgets.b: there is no scope 'nobody'",
        ),
        ("[budgets.b]\nlimit = 1\npolicy = 'downgrade'", "line 3: budgets.b: policy = "),
        ("[budgets.b]\nlimit = 1\nmodels = []", "line 3: budgets.b.models: expected a list"),
        ("[limits.l]\nper = 'hour'", "line 1: limits.l: it needs a number of requests, of tokens"),
        ("[limits.l]\nrequests = 1\nper = 'fortnight'", "line 3: limits.l: a rate limit can't be"),
        ("[cache]\nkind = 'disk'", "line 2: cache: kind 'disk' needs a path"),
        (
            "[cache]\nurl = 'redis://x'",
            "line 2: cache: url means nothing to a cache of kind 'memory'",
        ),
        ("[accounts]\ntimeout = 1", "line 2: accounts: timeout means nothing to accounts of kind"),
        ("[cache]\nttl = 0", "line 2: cache: ttl is 0.0; give seconds, more than 0"),
        ("[log]\nrate = 0.5", 'line 1: log: content = "sampled" and rate'),
        ("[log]\nredact = ['(']", "line 2: log: redact: '(' is no regular expression"),
        ("[log]\nkeep = 3", "line 1: log: max_bytes and keep mean nothing to a log of format"),
        (
            "[templates.t]\nreasoning = 'hihg'",
            "line 2: templates.t.reasoning is 'hihg'; did you mean",
        ),
        ("[providers.lab]\nauth = 'none'", "line 1: providers.lab.base_url is missing"),
        (
            "[providers.openai.quirks]\nnope = 1",
            "line 2: unknown key 'nope' in providers.openai.quirks",
        ),
        ("[providers.lab]\nbase_url = 'lab'", "line 2: providers.lab: base_url must begin with"),
        (
            "[timeouts]\nconect = 1",
            "line 2: unknown key 'conect' in timeouts; did you mean 'connect'?",
        ),
    ],
)
def test_what_is_wrong_is_told_with_its_line(look: Examine, text: str, problem: str):
    assert [line[len("polyvox.toml, ") :][: len(problem)] for line in told(look, text)] == [problem]


def test_what_is_no_toml_is_told_with_its_line(write: Write):
    with pytest.raises(ConfigurationError) as caught:
        load_config(write("[retry]\nattempts =\n"))
    assert caught.value.text.startswith("polyvox.toml, line 2: this is no TOML: ")


def test_a_file_that_is_not_there_is_told(folder: Path):
    with pytest.raises(ConfigurationError, match=r"no\.toml can't be read: No such file"):
        load_config("no.toml")


def test_a_file_that_is_not_utf8_is_told(folder: Path):
    (folder / "latin.toml").write_bytes(b"a = '\xe9'")
    with pytest.raises(ConfigurationError, match=r"latin\.toml is not UTF-8, at byte 5"):
        load_config("latin.toml")


def test_the_error_of_a_program_says_how_many_more_there_are(write: Write):
    with pytest.raises(ConfigurationError) as caught:
        load_config(write("[a]\n[b]\n[c]"))
    assert caught.value.text.startswith("polyvox.toml, line 1: unknown key 'a'")
    assert caught.value.hint == "There are 2 more problems: 'polyvox config check' lists them."


def test_pyproject_holds_it_under_its_tool(look: Examine):
    text = "[project]\nname = 'x'\n[tool.polyvox.retry]\nattempts = 4\n[tool.polyvox.retyr]\n"
    assert str(look(text, "pyproject.toml").errors[0]) == (
        "pyproject.toml, line 5: unknown key 'retyr'; did you mean 'retry'?"
    )


def test_keys_become_secrets(look: Examine):
    config = look("[providers.openai]\nkeys = ['sk-one', '${TWO}']", TWO="sk-two").config
    assert config is not None
    assert config.providers["openai"].all_keys == (Secret("sk-one"), Secret("sk-two"))
    assert "sk-one" not in repr(config)


def test_a_known_provider_keeps_what_is_not_said(look: Examine):
    text = "[providers.openai]\nheaders = {x-team = 'a'}\n[providers.openai.quirks]\ndeveloper_role = false"
    loaded = look(text)
    assert loaded.config is not None
    row = loaded.config.providers["openai"].row
    assert (row.base_url, row.headers) == ("https://api.openai.com/v1", {"x-team": "a"})
    assert row.quirks.developer_role is False
    assert row.models


def test_paths_begin_at_the_folder_of_the_file(look: Examine, folder: Path):
    text = "[log]\npath = 'calls.jsonl'\n[cache]\nkind = 'disk'\npath = '~/answers.db'"
    config = look(text, "below/polyvox.toml").config
    assert config is not None
    assert config.log is not None
    assert config.log.path == folder / "below" / "calls.jsonl"
    assert config.cache is not None
    assert config.cache.path == Path.home() / "answers.db"


def test_an_empty_file_is_a_configuration(look: Examine):
    loaded = look("")
    assert loaded.problems == []
    assert loaded.config is not None
    assert loaded.config.names == ()


def test_a_byte_order_mark_is_none_of_its_keys(look: Examine):
    assert look("\ufeff[retry]\nattempts = 2").errors == []
