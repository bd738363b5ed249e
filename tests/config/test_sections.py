"""Prices, cooldowns, similar questions, telemetry and timeouts: what the file says is what holds."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from polyvox import Client
from polyvox.caching import SemanticCache
from polyvox.catalog import Catalog
from polyvox.config import examine
from polyvox.errors import BudgetExceededError, ConfigurationError, MissingKeyError, RateLimitError
from polyvox.http import Timeouts
from polyvox.ledger import Logged, Tracked
from polyvox.model import Model
from polyvox.routing import COOLDOWNS, Cooldown, Router
from polyvox.testing import Knobs, MockProvider, ThreadedMock

from .conftest import Examine, Write


@pytest.fixture(autouse=True)
def _this_machine_only(forbid_network: None, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def openai() -> Iterator[ThreadedMock]:
    """A provider that repeats what was said."""
    with MockProvider("openai-chat") as mock:
        yield mock


def layers(model: Model) -> Iterator[Model]:
    """A model and those within it."""
    while True:
        yield model
        if not hasattr(model, "model"):
            return
        model = model.model  # pyright: ignore[reportAttributeAccessIssue]


def told(look: Examine, text: str) -> list[str]:
    return [str(problem).removeprefix("polyvox.toml, ") for problem in look(text).errors]


# ------------------------------------------------------------------------------------- prices


def test_prices_of_the_file_are_those_of_the_answers(write: Write, openai: ThreadedMock):
    text = f"""
[providers.openai]
base_url = '{openai.url}'
key = 'sk-1'
[prices."openai/gpt-5-mini"]
request = 2_000_000
[prices."openai/gpt-5-nano"]
free = true
"""
    with Client.from_config(write(text)) as client:
        assert client.complete("openai/gpt-5-mini", "hello").usage.cost.dollars == 2
        assert client.complete("openai/gpt-5-nano", "hello").usage.cost.status == "free"


def test_prices_of_the_file_count_in_its_budgets(write: Write, openai: ThreadedMock):
    text = f"""
[providers.lab]
base_url = '{openai.url}'
auth = 'none'
[budgets.b]
limit = 1
[prices."lab/llama"]
input = 0
output = 0
"""
    with Client.from_config(write(text)) as client:
        assert client.complete("lab/llama", "hello").text == "hello"
        with pytest.raises(BudgetExceededError, match="price"):
            client.complete("lab/other", "hello")


def test_a_provider_is_named_as_everywhere_not_as_in_the_catalog(write: Write):
    text = '[prices."xai/grok-4"]\ncontext_window = 77\nname = "Mine"'
    with Client.from_config(write(text)) as client:
        facts = client.facts("xai/grok-4")
        assert facts is not None
        assert (facts.context_window, facts.name) == (77, "Mine")


def test_a_simulated_model_costs_what_the_file_says_so_that_a_budget_can_be_tried(write: Write):
    text = """
    [prices."simulated/echo"]
    input = 0
    output = 10
    [aliases]
    parrot = "simulated/echo"
    [budgets.all]
    limit = "$0.00003"
    """
    with Client.from_config(write(text)) as client:
        reply = client.complete("parrot", "one two", max_tokens=2)
        assert str(reply.usage.cost) == "$0.00002"
        with pytest.raises(BudgetExceededError):
            client.complete("parrot", "one two", max_tokens=2)
        assert str(client.complete("simulated/lorem", "hi").usage.cost) == "free"


def test_a_catalog_of_the_program_comes_in_place_of_the_prices(write: Write):
    path = write('[prices."openai/gpt-5-mini"]\ncontext_window = 77')
    catalog = Catalog.load({"openai/gpt-5-mini": {"context_window": 99}})
    with Client.from_config(path, catalog=catalog) as client:
        facts = client.facts("openai/gpt-5-mini")
        assert facts is not None
        assert facts.context_window == 99


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            "[prices.'opneai/x']\nfree = true",
            "line 1: prices: there is no provider 'opneai'; did you",
        ),
        ("[prices.gpt-5]\nfree = true", "line 1: prices: there is no provider 'gpt-5'"),
        (
            "[prices.'simulated/ecko']\ninput = 1",
            "line 1: prices.simulated/ecko: there is no model 'simulated/ecko'",
        ),
        (
            "[prices.'simulated/embedding']\ninput = 1",
            "line 1: prices.simulated/embedding: simulated/embedding only turns texts",
        ),
        ("[prices.'ollama/x']\ninput = 1", "line 1: ollama is local: all of it is free of charge"),
        (
            "[prices.'openai/x']\nfree = true\ninput = 1",
            "line 1: Price override 'openai/x' has prices",
        ),
        (
            "[prices.'openai/x']\ninput = -1",
            "line 1: Price override 'openai/x': 'input' can't be -1",
        ),
        (
            "[prices.'openai/x']\ninput = inf",
            "line 1: Price override 'openai/x': 'input' can't be inf",
        ),
        (
            "[prices.'openai/x']\ninptu = 1",
            "line 2: unknown key 'inptu' in prices.\"openai/x\"; did you",
        ),
        (
            "[prices.'openai/x']\ninput = 'free'",
            'line 2: prices."openai/x".input: expected a number',
        ),
        (
            "[prices]\n'openai/x' = 1",
            'line 2: prices."openai/x": expected a table, got a whole number',
        ),
    ],
)
def test_prices_that_would_not_hold_are_told(look: Examine, text: str, problem: str):
    assert told(look, text)[0][: len(problem)] == problem


# ------------------------------------------------------------------------------------- cooldowns

COOLING = """
[cooldowns.rate_limit]
seconds = 77
[cooldowns.server]
after = 1
[deployments.east]
model = "simulated/echo"
cooldowns.server = { after = 5 }
[routers.chat]
deployments = ["east", "simulated/lorem"]
"""


def test_cooldowns_are_those_of_the_file_then_of_the_deployment(write: Write):
    with Client.from_config(write(COOLING)) as client:
        (router,) = (each for each in layers(client.model("chat")) if isinstance(each, Router))
        east, lorem = router.pool.lanes
    assert lorem.cooldowns["rate_limit"] == Cooldown(1, 77, 120)
    assert lorem.cooldowns["server"] == Cooldown(1, 10, 300)
    assert east.cooldowns["rate_limit"] == Cooldown(1, 77, 120)
    assert east.cooldowns["server"] == Cooldown(5, 10, 300)
    assert east.cooldowns["timeout"] == COOLDOWNS["timeout"]


def test_cooldowns_hold_for_the_keys_of_a_provider_too(write: Write):
    with MockProvider("openai-chat", knobs=Knobs(status=429)) as mock:
        text = f"""
[providers.openai]
base_url = '{mock.url}'
keys = ["sk-one", "sk-two"]
[cooldowns.rate_limit]
seconds = 7777
"""
        with Client.from_config(write(text)) as client:
            with pytest.raises(RateLimitError):
                client.complete("openai/gpt-4o", "hello")
            (router,) = (
                each for each in layers(client.model("openai/gpt-4o")) if isinstance(each, Router)
            )
            assert min(status.seconds_left for status in router.status()) > 7000


def test_a_rest_is_never_shorter_than_its_seconds():
    assert Cooldown(1, 600).length(1, None) == 600
    assert Cooldown(1, 600).length(2, None) == 600


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            "[cooldowns.rate_limt]\nseconds = 1",
            "line 1: there is no kind of error 'rate_limt'; did you mean 'rate_limit'?",
        ),
        (
            "[deployments.a]\nmodel = 'simulated/echo'\ncooldowns.x.after = 1",
            "line 3: there is no kind of error 'x'",
        ),
        (
            "[cooldowns.server]\nafter = 1\nsecnds = 1",
            "line 3: unknown key 'secnds' in cooldowns.ser",
        ),
        (
            "[cooldowns.server]\nseconds = -1",
            "line 2: cooldowns.server: seconds is -1.0; give 0 or",
        ),
        (
            "[cooldowns.server]\nlongest = inf",
            "line 2: cooldowns.server: longest is inf; give 0 or",
        ),
        (
            "[cooldowns]\nserver = 5",
            "line 2: cooldowns.server: expected a table, got a whole number",
        ),
    ],
)
def test_cooldowns_that_would_not_hold_are_told(look: Examine, text: str, problem: str):
    assert [line[: len(problem)] for line in told(look, text)] == [problem]


# ------------------------------------------------------------------------------------- the cache

SIMILAR = """
[cache]
scope = "session"
ttl = 60
[cache.semantic]
model = "vectors"
threshold = 0.6
max_entries = 2
[aliases]
vectors = "simulated/embedding"
"""


def test_similar_questions_are_answered_from_the_cache_if_the_file_says_so(write: Write):
    first, second = "Please tell me why the sky is blue.", "Please tell me: why is the sky blue?"
    with Client.from_config(write(SIMILAR)) as client:
        client.complete("simulated/echo", first, session="s")
        again = client.complete("simulated/echo", second, session="s")
        assert (again.cached, again.text) == (True, first)
        assert not client.complete("simulated/echo", second, session="t").cached
        assert not client.complete("simulated/echo", "What is two and two?", session="s").cached
    with Client.from_config(write("[cache]")) as client:
        client.complete("simulated/echo", first)
        assert not client.complete("simulated/echo", second).cached


def test_all_names_share_so_many_questions(write: Write):
    with Client.from_config(write(SIMILAR)) as client:
        for name in ("simulated/echo", "simulated/lorem"):
            for word in ("apples", "pears", "plums"):
                client.complete(name, word, session="s")
        models = [client.model("simulated/echo"), client.model("simulated/lorem")]
        caches = [
            each for model in models for each in layers(model) if isinstance(each, SemanticCache)
        ]
        assert caches[0].texts is caches[1].texts
        assert len(caches[0].texts) == 2


def test_the_same_question_needs_no_vector(write: Write):
    with Client.from_config(write(SIMILAR)) as client:
        assert client.setup is not None
        for _ in range(3):
            client.complete("simulated/echo", "hello", session="s")
        by_model = client.setup.tracker.by_model()
        assert by_model["simulated/embedding"].calls == 1


def test_without_the_key_of_the_embedding_model_it_is_told_at_once(write: Write):
    path = write(SIMILAR.replace("simulated/embedding", "openai/text-embedding-3-small"))
    warnings = [str(problem) for problem in examine(path, {}).warnings]
    assert any("there is no key for OpenAI" in warning for warning in warnings)
    with Client.from_config(path) as client, pytest.raises(MissingKeyError):
        client.model("simulated/echo")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("model = 'simulated/embedding'", "line 1: cache.semantic.threshold is missing"),
        ("threshold = 0.5", "line 1: cache.semantic.model is missing"),
        (
            "model = 'simulated/embedding'\nthreshold = 0",
            "line 3: cache.semantic.threshold: expected",
        ),
        (
            "model = 'simulated/embedding'\nthreshold = 1.1",
            "line 3: cache.semantic.threshold: expec",
        ),
        (
            "model = 'simulated/echo'\nthreshold = 0.5",
            "line 2: 'simulated/echo' is no embedding mod",
        ),
        ("model = 'anthropic/x'\nthreshold = 0.5", "line 2: 'anthropic/x' is no embedding model"),
        ("model = 'vectors'\nthreshold = 0.5", "line 2: cache.semantic.model: there is no alias"),
        (
            "model = 'r'\nthreshold = 0.5\n[routers.r]\ndeployments = ['simulated/echo']",
            "line 2: 'r' is",
        ),
    ],
)
def test_a_search_for_similar_questions_that_can_not_work_is_told(
    look: Examine, text: str, problem: str
):
    assert [line[: len(problem)] for line in told(look, f"[cache.semantic]\n{text}")] == [problem]


# ------------------------------------------------------------------------------------- telemetry


def test_telemetry_is_told_of_calls_within_the_log(write: Write):
    from polyvox.ledger import Traced

    with Client.from_config(write("[telemetry]\n[log]\npath = 'calls.db'")) as client:
        kinds = [type(each) for each in layers(client.model("simulated/echo"))]
        assert kinds[:3] == [Logged, Traced, Tracked]
    with Client.from_config(write("")) as client:
        assert Traced not in map(type, layers(client.model("simulated/echo")))


def test_telemetry_has_the_content_if_wanted_without_the_keys_of_the_file(write: Write):
    path = write(
        """
[providers.openai]
key = "unlikely-key-4711"
[telemetry]
content = true
redact = ["[0-9]{3}-[0-9]{4}"]
"""
    )
    program = f"""
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
import polyvox
exporter = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(exporter))
trace.set_tracer_provider(provider)
with polyvox.Client.from_config({str(path)!r}) as client:
    client.complete("simulated/echo", "call 555-1234 with unlikely-key-4711, please")
(span,) = exporter.get_finished_spans()
print(span.to_json())
"""
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True, timeout=60
    )
    assert "please" in done.stdout
    assert "555-1234" not in done.stdout
    assert "unlikely-key-4711" not in done.stdout


def test_without_the_extra_it_is_named(look: Examine, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    (problem,) = look("\n[telemetry]").errors
    assert str(problem).startswith("polyvox.toml, line 2: telemetry: ")
    assert problem.hint == "pip install 'polyvox[otel]'"


def test_a_mask_for_content_that_is_not_told_is_an_error(look: Examine):
    assert told(look, "[telemetry]\nredact = ['x']") == [
        "line 2: telemetry: redact means nothing without content = true"
    ]


# ------------------------------------------------------------------------------------- timeouts


def test_a_timeout_may_never_come(write: Write, look: Examine):
    with Client.from_config(write("[timeouts]\nconnect = 3\nidle = 'never'")) as client:
        assert client.registry.timeouts == Timeouts(connect=3, idle=None)
    config = look("[timeouts]\nidle = 5", POLYVOX_TIMEOUTS__IDLE="never").config
    assert config is not None
    assert config.timeouts == Timeouts(idle=None)


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), float("inf")])
def test_a_timeout_is_a_time_to_wait(seconds: float):
    with pytest.raises(ConfigurationError, match="give seconds, more than 0") as caught:
        Timeouts(idle=seconds)
    assert "None" in str(caught.value)


def test_a_timeout_that_is_none_is_told_with_its_line(look: Examine):
    assert told(look, "[timeouts]\nconnect = 1\nidle = 0") == [
        "line 3: timeouts: idle is 0.0; give seconds, more than 0"
    ]
    assert told(look, "[timeouts]\nidle = false")[0].startswith("line 2: timeouts.idle: expected")


def test_never_is_shown_as_it_was_said(write: Write, capsys: pytest.CaptureFixture[str]):
    from polyvox.cli.config_views import show_values

    show_values(Path(write("[timeouts]\ntotal = 'never'")), as_json=False)
    assert 'timeouts.total = "never"' in capsys.readouterr().out
