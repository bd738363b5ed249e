"""Profiles of the file: composites by name, what is wrong with one, and what is around it."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from polyvox import Client
from polyvox.composite import MixtureOfAgents
from polyvox.config.values import values_of
from polyvox.errors import (
    BudgetExceededError,
    ConfigurationError,
    MissingKeyError,
    PolyvoxError,
    RateLimitError,
)
from polyvox.ledger import CallRecord
from polyvox.testing import Knobs, MockProvider, ThreadedMock

from .conftest import Examine, Write

SECRET = "sk-canary-0123456789abcdef"


@pytest.fixture(autouse=True)
def _this_machine_only(forbid_network: None, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def lab() -> Iterator[ThreadedMock]:
    """A provider that repeats what was said."""
    with MockProvider("openai-chat") as mock:
        yield mock


def provider(mock: ThreadedMock) -> str:
    return f"[providers.lab]\nbase_url = '{mock.url}'\nauth = 'none'\nlocal = true\n"


def models(mock: ThreadedMock) -> list[str]:
    return sorted(msgspec.json.decode(request.body)["model"] for request in mock.requests)


MOA = "[profiles.board]\nstrategy = 'moa'\nproposers = ['lab/a', 'lab/b']\naggregator = 'lab/c'\n"
BOARD = "composite/profile/board"


# ------------------------------------------------------------------------------------ asked by name


def test_a_profile_is_asked_by_its_name_and_by_an_alias_of_it(write: Write, lab: ThreadedMock):
    text = f"{provider(lab)}{MOA}[aliases]\npanel = '{BOARD}'"
    with Client.from_config(write(text)) as client:
        assert client.complete(BOARD, "hello").model == "profile/board"
        assert models(lab) == ["a", "b", "c"]
        assert client.complete("panel", "hello").trace is not None


def test_presets_and_packaged_profiles_are_there_with_a_configuration_too(
    write: Write, lab: ThreadedMock
):
    with Client.from_config(write(provider(lab) + "[aliases]\nfast = 'lab/a'")) as client:
        client.complete("composite/moa/fast", "hello")
        assert models(lab) == ["a"] * 4
        assert client.complete("composite/profile/demo-moa", "What is 2 + 2?").text


def test_members_may_be_aliases_with_templates_routers_deployments_and_composites(
    write: Write, lab: ThreadedMock
):
    text = f"""{provider(lab)}
[aliases]
calm = {{ model = "lab/alias", template = "calm" }}
[templates.calm]
temperature = 0.25
[deployments.east]
model = "lab/east"
[deployments.many]
model = "composite/moa/lab/many"
[routers.both]
deployments = ["composite/profile/inner", "lab/never"]
[profiles.inner]
strategy = "moa"
proposers = ["lab/inner"]
aggregator = "lab/inner"
[profiles.board]
strategy = "moa"
proposers = ["calm", "east", "many", "both", "{BOARD[:18]}inner"]
aggregator = "lab/last"
"""
    with Client.from_config(write(text)) as client:
        reply = client.complete(BOARD, "hello")
        assert client.complete("many", "hello").trace is not None
        assert client.complete("both", "hello").trace is not None
    bodies = [msgspec.json.decode(request.body) for request in lab.requests]
    first = [body["model"] for body in bodies][:11]
    assert sorted(first) == ["alias", "east", *["inner"] * 4, "last", *["many"] * 4]
    assert [body.get("temperature") for body in bodies if body["model"] == "alias"] == [0.25]
    assert reply.trace is not None
    assert [node.label for node in reply.trace.children[0].children] == [
        *("calm", "east", "many", "both", "composite/profile/inner")
    ]


def test_an_environment_variable_changes_a_profile(
    write: Write, lab: ThreadedMock, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("POLYVOX_PROFILES__BOARD__AGGREGATOR", "lab/other")
    monkeypatch.setenv("POLYVOX_PROFILES__BOARD__PROPOSERS", "[{model = 'lab/p', samples = 2}]")
    with Client.from_config(write(provider(lab) + MOA)) as client:
        client.complete(BOARD, "hello")
    assert models(lab) == ["other", "p", "p"]


def test_the_window_of_an_aggregator_is_that_of_whoever_its_name_leads_to(write: Write):
    text = """
[providers.openai]
key = "sk-1"
[prices."openai/gpt-5-mini"]
context_window = 777
[aliases]
fast = "openai/gpt-5-mini"
[deployments.east]
model = "fast"
[routers.chat]
deployments = ["openai/gpt-5", "east"]
"""
    with Client.from_config(write(text)) as client:
        for name in ("openai/gpt-5-mini", "fast", "east", "chat", "composite/moa/fast"):
            moa = MixtureOfAgents(["simulated/a"], aggregator=name, client=client)
            assert moa.window_tokens == 777
        facts = client.facts("chat")
        assert facts is not None
        assert (facts.context_window, facts.prices) == (777, ())


# ------------------------------------------------------------------------------------- what is wrong

HEAD = "[profiles.board]\nstrategy = 'moa'\n"
REST = "proposers = ['simulated/a']\naggregator = 'simulated/b'\n"
COUNCIL = "[profiles.board]\nstrategy = 'council'\nchairman = 'simulated/a'\n"


def told(look: Examine, text: str) -> list[str]:
    return [str(problem).removeprefix("polyvox.toml, ") for problem in look(text).errors]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            "[profiles.board]\nstrategy = 'mao'\n" + REST,
            "line 2: profiles.board.strategy is 'mao'; did you mean 'moa'?",
        ),
        ("[profiles.board]\n" + REST, "line 1: profiles.board.strategy is missing"),
        (
            HEAD + REST + "chairman = 'simulated/a'",
            "line 5: profiles.board: chairman is no key of the strategy 'moa'",
        ),
        (
            COUNCIL + "members = ['simulated/a']\nlayers = 2",
            "line 5: profiles.board: layers is no key of the strategy 'council'",
        ),
        (
            HEAD + "aggregator = 'simulated/a'",
            "line 1: profiles.board: proposers is missing: a moa",
        ),
        (COUNCIL, "line 1: profiles.board: members is missing: a council has members, reviewers"),
        (
            HEAD + REST + "propsers = []",
            "line 5: unknown key 'propsers' in profiles.board; did you mean 'proposers'?",
        ),
        (
            HEAD + REST + "quorum = 2",
            "line 5: profiles.board: quorum is 2, and there are 1 proposers",
        ),
        (HEAD + REST + "quorum = 0", "line 5: profiles.board.quorum: expected a whole number"),
        (HEAD + REST + "layers = 1", "line 5: profiles.board.layers: expected a whole number >= 2"),
        (
            HEAD + REST + "timeout = nan",
            "line 5: profiles.board.timeout is nan, which is no number",
        ),
        (
            COUNCIL + "members = ['simulated/a']\nreviewers = []",
            "line 5: profiles.board.reviewers: expected a list of length >= 1",
        ),
        (
            HEAD + "aggregator = 'simulated/a'\nproposers = [\n'simulated/b',\n3]",
            "line 6: profiles.board.proposers[1]: expected a string or a table, got a whole number",
        ),
        (
            HEAD
            + "aggregator = 'simulated/a'\nproposers = [\n{ model = 'simulated/b', smaples = 2 }]",
            "line 5: unknown key 'smaples' in profiles.board.proposers[0]; did you mean 'samples'?",
        ),
        (
            HEAD + "aggregator = 'simulated/a'\n[[profiles.board.proposers]]\nsamples = 2",
            "line 4: profiles.board.proposers[0].model is missing",
        ),
        (
            HEAD + "aggregator = 'simulated/a'\nproposers = [\n'simulated/b',\n'simulated/z']",
            "line 6: profiles.board.proposers: there is no model 'simulated/z'",
        ),
        (
            COUNCIL + "members = [{ model = 'opneai/gpt-5' }]",
            "line 4: profiles.board.members: there is no provider 'opneai'; did you mean 'openai'?",
        ),
        (
            HEAD
            + "proposers = ['simulated/a']\naggregator = 'fats'\n[aliases]\nfast = 'simulated/a'",
            "line 4: profiles.board.aggregator: there is no alias, router or deployment 'fats'; did",
        ),
        (
            HEAD + "proposers = ['simulated/a']\naggregator = 'board'",
            (
                "line 4: profiles.board.aggregator: there is no alias, router or deployment 'board'; "
                "did you mean 'composite/profile/board'?"
            ),
        ),
        (
            HEAD + "proposers = ['simulated/a']\naggregator = 'composite/moa/simulated/z'",
            "line 4: profiles.board.aggregator: there is no model 'simulated/z'",
        ),
        (
            "[aliases]\npanel = 'composite/profile/baord'\n" + HEAD + REST,
            "line 2: aliases.panel: there is no profile 'baord'; did you mean 'board'?",
        ),
        (
            "[defaults]\nmodel = 'composite/mao/simulated/a'",
            "line 2: defaults.model: 'composite/mao/simulated/a' is no composite; did you mean 'moa'",
        ),
        (
            "[limits.l]\nrequests = 1\nmodels = ['composite/profile/baord']\n" + HEAD + REST,
            "line 3: limits.l covers 'composite/profile/baord', which nobody is asked by",
        ),
        (
            "[providers.composite]\nbase_url = 'http://lab'",
            "line 1: composite/ models have no provider's row: nothing of this would hold",
        ),
        (
            "[profiles.'a/b']\nstrategy = 'moa'\n" + REST,
            "line 1: 'a/b' is no name: take letters, digits and .:@_-, and no slash",
        ),
        (
            "[deployments.east]\nmodel = 'composite/moa/simulated/a'\nkey = 'sk-1'",
            "line 2: composite/moa/simulated/a takes no key from here",
        ),
        (
            "[cache.semantic]\nthreshold = 0.5\nmodel = 'composite/moa/simulated/a'",
            "line 3: 'composite/moa/simulated/a' is no embedding model",
        ),
    ],
)
def test_what_is_wrong_is_told_with_its_line_its_key_and_the_nearest(
    look: Examine, text: str, problem: str
):
    assert problem in [each[: len(problem)] for each in told(look, text)]


@pytest.mark.parametrize(
    ("member", "problem"),
    [
        (
            "{ modl = 'simulated/a' }",
            "line 4: unknown key 'modl' in profiles.board.members[0]; did",
        ),
        ("3", "line 4: profiles.board.members[0]: expected a string or a table"),
    ],
)
def test_a_wrong_member_is_told_once_and_not_as_a_missing_one(
    look: Examine, member: str, problem: str
):
    [only] = told(look, COUNCIL + f"members = [{member}]")
    assert only.startswith(problem)


@pytest.mark.parametrize(
    ("member", "more", "circle"),
    [
        (BOARD, "", ""),
        ("panel", f"[aliases]\npanel = '{BOARD}'", ""),
        ("r", f"[routers.r]\ndeployments = ['simulated/b', '{BOARD}']", "r -> "),
        ("east", f"[deployments.east]\nmodel = '{BOARD}'", "east -> "),
        (f"composite/moa/{BOARD}", "", f"composite/moa/{BOARD} -> "),
        (
            "panel",
            (
                "[aliases]\npanel = 'r'\n[routers.r]\ndeployments = ['east']\n"
                f"[deployments.east]\nmodel = '{BOARD}'"
            ),
            "r -> east -> ",
        ),
    ],
)
def test_a_circle_is_told_wherever_it_leads_through(
    look: Examine, member: str, more: str, circle: str
):
    text = f"{HEAD}proposers = ['simulated/a']\naggregator = '{member}'\n{more}"
    assert f"line 1: the profile asks itself: {BOARD} -> {circle}{BOARD}" in told(look, text)


def test_a_missing_key_is_a_warning_at_the_member(look: Examine):
    text = HEAD + "proposers = [\n'simulated/a',\n'openai/gpt-5-mini']\naggregator = 'simulated/a'"
    loaded = look(text)
    assert loaded.errors == []
    assert [str(each) for each in loaded.warnings] == [
        "polyvox.toml, line 5: there is no key for OpenAI: openai/ models can't be asked yet"
    ]
    assert look(text, OPENAI_API_KEY="sk-1").problems == []


def test_a_deployment_that_only_a_profile_asks_is_used(look: Examine):
    text = (
        "[routers.r]\ndeployments = ['simulated/a']\n[deployments.east]\nmodel = 'simulated/b'\n"
        + HEAD
        + "proposers = ['east']\naggregator = 'r'"
    )
    assert look(text).problems == []


def test_the_name_of_a_profile_alone_is_no_model(write: Write):
    with (
        Client.from_config(write(HEAD + REST)) as client,
        pytest.raises(ConfigurationError, match="did you mean 'composite/profile/board'"),
    ):
        client.complete("board", "hello")


def test_values_are_shown_with_the_secrets_of_members_masked(look: Examine):
    table = f"{{ model = 'simulated/a', options = {{ lab = {{ key = '{SECRET}', x = '${{S_TOKEN}}' }} }} }}"
    text = HEAD + f"proposers = ['simulated/b', {table}]\naggregator = {table}"
    loaded = look(text, S_TOKEN=SECRET)
    shown = {value.path: value.value for value in values_of(loaded)}
    assert loaded.errors == []
    assert SECRET not in str(shown)
    assert shown["profiles", "board", "proposers"] == [
        "simulated/b",
        {"model": "simulated/a", "options": {"lab": {"key": "***", "x": "***"}}},
    ]
    assert shown["profiles", "board", "aggregator", "options", "lab", "x"] == "***"


# ------------------------------------------------------------------------------------ what is around


def test_a_member_without_a_key_fails_the_profile_but_not_a_router_of_it(write: Write):
    text = f"""{HEAD}proposers = ['openai/gpt-5-mini']
aggregator = 'simulated/a'
[routers.r]
deployments = ['{BOARD}', 'simulated/echo']
"""
    with Client.from_config(write(text)) as client:
        assert client.complete("r", "hello").text == "hello"
        with pytest.raises(MissingKeyError):
            client.complete(BOARD, "hello")


def test_members_are_asked_again_one_by_one_and_never_the_whole(write: Write):
    failing = {"message": {"content": "x"}, "knobs": {"status": 503}}
    once = [failing, {"message": {"content": "good"}, "repeat": True}]
    scripts = {
        "a": once,
        "b": [{"message": {"content": "fine"}}],
        "c": [failing | {"repeat": True}],
    }
    with MockProvider("openai-chat", scripts) as mock:
        text = provider(mock) + MOA + "[retry]\nattempts = 3\nbase = 0\n"
        with Client.from_config(write(text)) as client:
            reply = client.complete(BOARD, "hello")
    assert models(mock) == ["a", "a", "b", "c", "c", "c"]
    assert reply.text == "good"  # the aggregator can't: the first of the longest stands in
    assert reply.trace is not None
    assert reply.trace.status == "fallback"


def test_a_profile_that_has_failed_is_not_asked_as_a_whole_again(write: Write):
    with MockProvider("openai-chat", knobs=Knobs(status=503)) as mock:
        text = provider(mock) + MOA + "[retry]\nattempts = 2\nbase = 0\n"
        with Client.from_config(write(text)) as client, pytest.raises(PolyvoxError):
            client.complete(BOARD, "hello")
    assert models(mock) == ["a", "a", "b", "b"]


@pytest.mark.parametrize(("patterns", "held"), [("composite/*", 3), ("*", 3), ("lab/a", 1)])
def test_a_limit_counts_what_it_covers_once(
    write: Write, lab: ThreadedMock, patterns: str, held: int
):
    """As many requests as are sent to providers, whether it is around the whole or around members."""
    limit = f"[limits.l]\nrequests = {2 * held}\nper = 'day'\nmodels = ['{patterns}']\n"
    with Client.from_config(write(provider(lab) + MOA + limit)) as client:
        client.complete(BOARD, "hello")
        client.complete(BOARD, "hello")
        if patterns != "lab/a":
            with pytest.raises(RateLimitError):
                client.complete(BOARD, "hello")
            assert len(lab.requests) == 6
        else:  # without it the others go on
            assert client.complete(BOARD, "hello").text
            assert models(lab) == ["a", "a", *["b"] * 3, *["c"] * 3]


PRICED = "".join(
    f"[prices.'paid/{name}']\ninput = 0\noutput = 0\nrequest = 1_000_000\n" for name in "abc"
)


@pytest.mark.parametrize(
    ("patterns", "limit", "fits"),
    [
        ("composite/*", "3", True),
        ("composite/*", "2.9", False),
        ("*", "3", True),
        ("*", "2.9", False),
        (BOARD, "2.9", False),
        ("panel", "2.9", False),
    ],
)
def test_a_budget_reserves_the_whole_once(
    write: Write, lab: ThreadedMock, patterns: str, limit: str, fits: bool
):
    text = (
        f"[providers.paid]\nbase_url = '{lab.url}'\nauth = 'none'\n{PRICED}"
        + MOA.replace("lab/", "paid/")
        + f"[aliases]\npanel = '{BOARD}'\n"
        + f"[budgets.b]\nlimit = '{limit}'\nmodels = ['{patterns}']\n"
    )
    with Client.from_config(write(text)) as client:
        if fits:
            assert client.complete(BOARD, "hello").usage.cost.dollars == 3
        with pytest.raises(BudgetExceededError):
            client.complete(BOARD, "hello")
    assert len(lab.requests) == (3 if fits else 0)


def test_the_cache_the_costs_and_the_log_see_one_call_with_its_trace(
    write: Write, lab: ThreadedMock, folder: Path
):
    text = f"{provider(lab)}{MOA}[cache]\n[log]\npath = 'calls.jsonl'\n"
    with Client.from_config(write(text)) as client:
        first = client.complete(BOARD, "hello")
        again = client.complete(BOARD, "hello")
        assert client.setup is not None
        assert client.setup.tracker.total.calls == 2
    assert (first.cached, again.cached) == (False, True)
    assert models(lab) == ["a", "b", "c"]
    lines = (folder / "calls.jsonl").read_text("utf-8").splitlines()
    records = [msgspec.json.decode(line, type=CallRecord) for line in lines]
    assert [record.model for record in records] == [BOARD, BOARD]
    assert [len(record.attempts) for record in records] == [3, 0]
    for record in records:
        assert record.message is not None
        assert record.message.trace is not None
        assert [node.kind for node in record.message.trace.children] == ["layer", "aggregation"]


@pytest.mark.parametrize(
    "edit",
    [
        ("'lab/b'", "'lab/d'"),
        ("'lab/b'", "{ model = 'lab/b', temperature = 1.0 }"),
        ("better = 'lab/c'", "better = 'lab/d'"),
    ],
)
def test_a_profile_that_was_edited_has_no_answers_of_before(
    write: Write, lab: ThreadedMock, edit: tuple[str, str]
):
    cache = "[cache]\nkind = 'disk'\npath = 'answers.db'\n"
    board = MOA.replace("'lab/c'", "'better'")
    text = f"{provider(lab)}{cache}{board}[aliases]\nbetter = 'lab/c'\n"
    assert edit[0] in text

    def cached(said: str, name: str) -> bool:
        with Client.from_config(write(said)) as client:
            return client.complete(name, "hello").cached

    assert [cached(text, BOARD), cached(text, BOARD)] == [False, True]
    assert not cached(text, "lab/a")
    assert not cached(text.replace(*edit), BOARD)
    assert cached(text, BOARD)
    assert cached(text.replace(*edit), "lab/a")
