"""What one part of a file says about another: names that lead nowhere, limits that nothing enforces."""

import pytest

from .conftest import Examine


def errors(look: Examine, text: str, **environ: str) -> list[str]:
    return [str(problem).partition(", ")[2] for problem in look(text, **environ).errors]


def warnings(look: Examine, text: str, **environ: str) -> list[str]:
    loaded = look(text, **environ)
    assert loaded.errors == []
    return [str(problem).partition(", ")[2] for problem in loaded.warnings]


ROUTER = "[routers.chat]\ndeployments = ['simulated/echo']\n"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            "[deployments.east]\nmodel = 'simulated/echo'\n[routers.r]\ndeployments = [\n'eats']",
            (
                "line 5: routers.r.deployments: there is no alias, router or deployment 'eats';"
                " did you mean 'east'?"
            ),
        ),
        (
            ROUTER + "fallbacks = ['opneai/gpt-5-mini']",
            "line 3: routers.chat.fallbacks: there is no provider 'opneai'; did you mean 'openai'?",
        ),
        (
            "[aliases]\nfast = 'simulated/ecko'",
            "line 2: aliases.fast: there is no model 'simulated/ecko'",
        ),
        (
            ROUTER + "[defaults]\nmodel = 'chta'",
            (
                "line 4: defaults.model: there is no alias, router or deployment 'chta';"
                " did you mean 'chat'?"
            ),
        ),
        (
            "[aliases]\na = 'b'\nb = 'c'\nc = 'b'",
            "line 2: the alias 'a' leads back to itself: a -> b -> c -> b",
        ),
        (
            (
                "[routers.a]\ndeployments = ['b']\n[routers.b]\ndeployments = ['again']\n"
                "[aliases]\nagain = 'a'"
            ),
            "line 1: the router asks itself: a -> b -> a",
        ),
        (
            "[aliases.precise]\nmodel = 'simulated/echo'\ntemplate = 'exact'\n[templates.exakt]",
            "line 1: there is no template 'exact'; did you mean 'exakt'?",
        ),
        (
            ROUTER + "[deployments.east]\nmodel = 'chat'",
            "line 4: a deployment is of one model: give provider/model, not 'chat'",
        ),
        (
            "[deployments.east]\nmodel = 'simulated/echo'\nkey = 'sk-1'",
            "line 2: simulated/echo takes no key from here",
        ),
        (
            ROUTER + "[aliases]\nchat = 'simulated/echo'",
            "line 1: 'chat' is a name in aliases already: a call could mean either",
        ),
        (
            "[aliases]\n'my/model' = 'simulated/echo'",
            "line 2: 'my/model' is no name: take letters, digits and .:@_-, and no slash",
        ),
        (
            "[budgets.b]\nlimit = 1\npolicy = 'downgrade'\ndowngrade = 'cheap'",
            "line 4: budgets.b.downgrade: there is no alias, router or deployment 'cheap'",
        ),
        (
            "[accounts]\nkind = 'redis'\nurl = 'http://lab'\n[limits.l]\nrequests = 1",
            "line 1: accounts: ",
        ),
        (
            "[providers.litellm]\nbase_url = 'http://lab'",
            "line 1: litellm/ models have no provider's row: nothing of this would hold",
        ),
        ("[cache]\nkind = 'redis'\nurl = 'http://lab'", "line 1: cache: "),
    ],
)
def test_what_does_not_fit_together_is_told(look: Examine, text: str, problem: str):
    assert problem in [error[: len(problem)] for error in errors(look, text)]


@pytest.mark.parametrize("section", ["limits", "budgets"])
@pytest.mark.parametrize(
    ("pattern", "guess"),
    [
        ("chta", "; did you mean 'chat'?"),
        ("chat-*", "; did you mean 'chat'?"),
        ("opneai/*", "; did you mean 'openai/*'?"),
        ("opneai/gpt-5", "; did you mean 'openai/*'?"),
        ("openai", "; did you mean 'openai/*'?"),
        ("openai/", "; did you mean 'openai/*'?"),
    ],
)
def test_a_limit_that_nothing_enforces_is_refused(
    look: Examine, section: str, pattern: str, guess: str
):
    amount = {"limits": "requests = 1", "budgets": "limit = 1"}[section]
    text = f"{ROUTER}[{section}.x]\n{amount}\nmodels = ['simulated/*', '{pattern}']"
    assert errors(look, text) == [
        f"line 5: {section}.x covers {pattern!r}, which nobody is asked by{guess}"
    ]


@pytest.mark.parametrize(
    "pattern",
    ["*", "*mini", "chat", "ch*", "open*", "openai/*", "openai/gpt-5", "lab/*", "litellm/*"],
)
def test_a_limit_on_what_can_be_asked_is_taken(look: Examine, pattern: str):
    lab = "[providers.lab]\nbase_url = 'http://127.0.0.1:1'\n"
    text = f"{lab}{ROUTER}[limits.x]\nrequests = 1\nmodels = ['{pattern}']"
    assert errors(look, text) == []


@pytest.mark.parametrize(
    ("text", "warning"),
    [
        ("[templates.t]\nseed = 1", "line 1: nothing uses the template 't'"),
        (
            ROUTER + "[deployments.east]\nmodel = 'simulated/echo'",
            "line 3: no router asks the deployment 'east'",
        ),
        ("[accounts]", "line 1: there are accounts, but no budgets or limits to keep in them"),
        (
            "[aliases]\nfast = 'openai/gpt-5-mini'\nother = 'openai/gpt-5'",
            "line 2: there is no key for OpenAI: openai/ models can't be asked yet",
        ),
    ],
)
def test_what_may_not_be_meant_is_a_warning(look: Examine, text: str, warning: str):
    assert warnings(look, text) == [warning]


@pytest.mark.parametrize(
    ("text", "environ"),
    [
        ("[aliases]\nfast = 'openai/gpt-5-mini'", {"OPENAI_API_KEY": "sk-1"}),
        ("[providers.openai]\nkey = 'sk-1'\n[aliases]\nfast = 'openai/gpt-5-mini'", {}),
        ("[deployments.east]\nmodel = 'openai/gpt-5-mini'\nkey = 'sk-1'", {}),
        ("[aliases]\nfast = 'ollama/llama3.2'", {}),
    ],
)
def test_with_a_key_there_is_no_warning(look: Examine, text: str, environ: dict[str, str]):
    assert warnings(look, text, **environ) == []


def test_a_deployment_that_only_an_alias_of_a_router_asks_is_used(look: Examine):
    text = (
        "[deployments.east]\nmodel = 'simulated/echo'\n[aliases]\nhome = 'east'\n"
        "[routers.r]\ndeployments = ['simulated/lorem']\nfallbacks = ['home']"
    )
    assert warnings(look, text) == []
