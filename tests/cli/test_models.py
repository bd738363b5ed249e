"""`polyvox models`: search, prices, keys."""

import json
import re
from collections.abc import Callable

from polyvox.providers import load_providers

from .conftest import Run
from .terminal import Terminal


def test_models_are_found_by_all_words(run: Run):
    done = run("models", "anthropic", "sonnet-4-5")
    head, *rows = done.stdout.splitlines()
    assert head.split()[0] == "MODEL"
    row = next(row for row in rows if row.startswith("anthropic/claude-sonnet-4-5 "))
    assert row.split() == ["anthropic/claude-sonnet-4-5", "200k", "3.00", "15.00", "0.30", "no"]
    assert all("sonnet" in row for row in rows)


def test_the_key_that_is_there_is_told(run: Run):
    done = run("models", "openai/gpt-5-mini", env={"OPENAI_API_KEY": "mock"})
    row = next(row for row in done.stdout.splitlines() if row.startswith("openai/gpt-5-mini "))
    assert row.split()[-1] == "yes"


def test_usable_models_need_a_key(run: Run):
    models = json.loads(run("models", "--usable", "--json").stdout)
    assert {model["model"].partition("/")[0] for model in models} == {"composite", "simulated"}
    env = {"OPENAI_API_KEY": "mock"}
    models = json.loads(run("models", "--usable", "--json", env=env).stdout)
    providers = {model["model"].partition("/")[0] for model in models}
    assert {"simulated", "openai"} <= providers
    assert "anthropic" not in providers


def test_json_has_prices_per_million_tokens(run: Run):
    models = json.loads(run("models", "openai/gpt-5-mini", "--json").stdout)
    model = next(model for model in models if model["model"] == "openai/gpt-5-mini")
    assert (model["input"], model["output"], model["cache_read"]) == (0.25, 2.0, 0.025)
    assert model["context_window"] == 400_000


def test_columns_stand_below_each_other(run: Run):
    head, *rows = run("models", "gpt-5").stdout.splitlines()
    place = head.index("KEY")
    assert rows
    assert {row[place - 1 : place + 2].strip() for row in rows} == {"no"}


def test_a_search_for_nothing_says_so(run: Run):
    done = run("models", "no-such-model-anywhere")
    assert (done.returncode, done.stdout) == (1, "")
    assert "--live" in done.stderr
    done = run("models", "no-such-model-anywhere", "--json")
    assert (done.returncode, done.stdout) == (1, "[]\n")


def test_models_without_a_key_are_not_said_to_be_none(run: Run):
    done = run("models", "openai/gpt-5-mini", "--usable")
    assert (done.returncode, done.stdout) == (1, "")
    assert "match, but no key is set: OPENAI_API_KEY" in done.stderr
    assert done.stderr.count("OPENAI_API_KEY") == 1


def test_a_provider_can_be_asked(run: Run, polyvox_mock):
    server = polyvox_mock("openai-chat", models=["gpt-5-mini", "my-tune"])
    env = {"OPENAI_BASE_URL": server.url, "OPENAI_API_KEY": "mock"}
    models = json.loads(run("models", "--live", "openai", "--json", env=env).stdout)
    assert [(m["model"], m["input"]) for m in models] == [
        ("openai/gpt-5-mini", 0.25),
        ("openai/my-tune", None),
    ]
    assert [r.method for r in server.requests] == ["GET"]


def test_a_provider_that_is_none(run: Run):
    done = run("models", "--live", "opnai")
    assert done.returncode == 3
    assert "openai" in done.stderr
    done = run("models", "--live", "nope")
    assert "Did you mean" not in done.stderr
    assert "Known are: " in done.stderr


def test_simulated_models_are_listed_like_others(run: Run):
    models = json.loads(run("models", "--live", "simulated", "--json").stdout)
    assert {"simulated/echo", "simulated/lorem"} <= {model["model"] for model in models}


def test_a_search_for_no_provider_names_the_nearest(run: Run):
    done = run("models", "--providers", "olama")
    assert (done.returncode, done.stdout) == (1, "")
    assert "Did you mean 'ollama'?" in done.stderr


def test_providers_with_their_keys(run: Run):
    env = {"GROQ_API_KEY": "mock-0123456789"}
    providers = json.loads(run("models", "--providers", "--json", env=env).stdout)
    keys = {p["provider"]: p["key"] for p in providers}
    assert (keys["groq"], keys["openai"], keys["ollama"]) == ("set", "missing", "optional")
    table = run("models", "--providers", "groq", env=env).stdout
    assert "GROQ_API_KEY" in table
    assert "mock-0123456789" not in table


def test_aws_credentials_stand_in_for_a_key(run: Run):
    env = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "very-secret"}
    (bedrock,) = json.loads(run("models", "--providers", "bedrock", "--json", env=env).stdout)
    assert bedrock["key"] == "credentials"
    (bedrock,) = json.loads(run("models", "--providers", "bedrock", "--json").stdout)
    assert bedrock["key"] == "missing"
    listed = json.loads(run("models", "nova-pro", "--usable", "--json", env=env).stdout)
    assert any(model["model"].startswith("bedrock/") for model in listed)


def test_every_provider_is_listed_with_its_tier(run: Run):
    rows = load_providers()
    providers = json.loads(run("models", "--providers", "--json").stdout)
    told = [(p["provider"], p["title"], p["dialect"], p["tier"], p["key_env"]) for p in providers]
    assert told == [
        (row.name, row.title, row.dialect, row.tier, list(row.key_env)) for row in rows.values()
    ]
    done = run("models", "--providers")
    head, *lines = done.stdout.splitlines()
    assert [line.split()[0] for line in lines] == list(rows)
    place = head.index("TIER")
    assert [line[place:].split()[0] for line in lines] == [row.tier for row in rows.values()]
    assert "simulated/ models, which need no key" in done.stderr
    assert "\x1b" not in done.stdout + done.stderr


def test_a_terminal_shows_tiers_and_keys_in_colours(terminal: Callable[..., Terminal]):
    screen = terminal(
        "models", "--providers", "groq", env={"GROQ_API_KEY": "mock", "COLUMNS": "200"}
    )
    assert screen.wait() == 0
    assert "\x1b[2mcommunity" in screen.raw
    assert "\x1b[32mset" in screen.raw


def test_a_terminal_without_colours_has_none(terminal: Callable[..., Terminal]):
    screen = terminal("models", "--providers", "groq", env={"NO_COLOR": "1", "COLUMNS": "200"})
    assert screen.wait() == 0
    assert "community" in screen.raw
    assert not re.search(r"\x1b\[[0-9;]*3[0-9]m", screen.raw)
