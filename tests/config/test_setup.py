"""What a file describes is what is built: names, keys, and what is around every call, in its order."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from polyvox import AsyncClient, Client
from polyvox.config import load_config
from polyvox.errors import (
    BudgetExceededError,
    ConfigurationError,
    MissingKeyError,
    RateLimitError,
)
from polyvox.limits import MemoryLimits
from polyvox.testing import Knobs, MockProvider, ThreadedMock

from .conftest import Write


@pytest.fixture(autouse=True)
def _this_machine_only(forbid_network: None, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "ANTHROPIC_API_KEY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def openai() -> Iterator[ThreadedMock]:
    """A provider that repeats what was said."""
    with MockProvider("openai-chat") as mock:
        yield mock


def provider(mock: ThreadedMock, name: str = "openai", keys: str = "key = 'sk-one-0000'") -> str:
    return f"[providers.{name}]\nbase_url = '{mock.url}'\n{keys}\n"


def bodies(mock: ThreadedMock) -> list[dict[str, object]]:
    return [msgspec.json.decode(request.body) for request in mock.requests]


def keys_seen(mock: ThreadedMock) -> list[str]:
    return [request.headers["authorization"].removeprefix("Bearer ") for request in mock.requests]


def test_a_key_and_an_address_of_the_file_come_before_the_environments(
    write: Write, openai: ThreadedMock, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-other")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:1/v1")
    with Client.from_config(write(provider(openai))) as client:
        assert client.complete("openai/gpt-5-mini", "hello").text == "hello"
    assert keys_seen(openai) == ["sk-one-0000"]


def test_a_provider_of_ones_own(write: Write, openai: ThreadedMock):
    with Client.from_config(write(provider(openai, "lab"))) as client:
        assert client.complete("lab/llama", "hello").text == "hello"
    assert bodies(openai)[0]["model"] == "llama"


def test_several_keys_take_turns_when_one_is_refused(write: Write):
    with MockProvider("openai-chat", expect_key="sk-two-0000") as mock:
        text = provider(mock, keys="keys = ['sk-one-0000', 'sk-two-0000']")
        with Client.from_config(write(text)) as client:
            for _ in range(2):
                assert client.complete("openai/gpt-5-mini", "hello").text == "hello"
        assert keys_seen(mock) == ["sk-one-0000", "sk-two-0000", "sk-two-0000"]


def test_an_alias_brings_its_template_and_that_of_the_alias_it_stands_for(
    write: Write, openai: ThreadedMock
):
    text = f"""{provider(openai)}
[aliases]
precise = {{ model = "plain", template = "precise" }}
plain = {{ model = "openai/gpt-4o", template = "plain" }}
[templates.precise]
temperature = 0.25
[templates.plain]
temperature = 0.75
system = "Be exact."
"""
    with Client.from_config(write(text)) as client:
        client.complete("precise", "hello")
        client.complete("precise", "hello", temperature=1.0)
        assert client.model("precise").name == "precise"
        assert client.facts("precise") == client.facts("openai/gpt-4o")
    sent = bodies(openai)
    assert [body["temperature"] for body in sent] == [0.25, 1.0]
    assert [body["messages"][0]["content"] for body in sent] == ["Be exact."] * 2  # type: ignore[index]


def test_a_router_asks_the_next_deployment_when_one_fails(write: Write, openai: ThreadedMock):
    with MockProvider("openai-chat", knobs=Knobs(status=503)) as broken:
        text = f"""{provider(openai)}{provider(broken, "lab")}
[deployments.west]
model = "openai/gpt-4o"
key = "sk-west-0000"
template = "short"
[templates.short]
max_tokens = 9
[routers.chat]
deployments = ["lab/llama", "west"]
"""
        with Client.from_config(write(text)) as client:
            assert client.complete("chat", "hello").text == "hello"
        assert len(broken.requests) == 1
    assert keys_seen(openai) == ["sk-west-0000"]
    assert "9" in str(bodies(openai)[0])


def test_a_deployment_is_retried_before_the_next_is_asked(write: Write):
    script = [
        {"message": {"content": "x"}, "knobs": {"status": 503}},
        {"message": {"content": "again"}, "repeat": True},
    ]
    with MockProvider("openai-chat", script) as mock:
        text = f"""{provider(mock, "lab")}
[deployments.lab]
model = "lab/llama"
retry = {{ attempts = 2, base = 0 }}
[routers.chat]
deployments = ["lab", "simulated/echo"]
"""
        with Client.from_config(write(text)) as client:
            assert client.complete("chat", "hello").text == "again"


@pytest.mark.parametrize("retry", ["", "[retry]\nattempts = 3\nbase = 0\n"])
def test_what_is_asked_by_name_is_retried_only_if_the_file_says_so(write: Write, retry: str):
    with MockProvider("openai-chat", knobs=Knobs(status=500)) as mock:
        with (
            Client.from_config(write(provider(mock) + retry)) as client,
            pytest.raises(Exception, match="500"),
        ):
            client.complete("openai/gpt-5-mini", "hello")
        assert len(mock.requests) == (3 if retry else 1)


def test_a_member_without_a_key_is_passed_over(write: Write):
    text = "[routers.chat]\ndeployments = ['openai/gpt-5-mini', 'simulated/echo']"
    text += "\n[budgets.b]\nlimit = 1"
    with Client.from_config(write(text)) as client:
        assert client.complete("chat", "hello").text == "hello"
        with pytest.raises(MissingKeyError):
            client.model("openai/gpt-5-mini")


def test_a_router_may_ask_a_router(write: Write):
    text = """
[routers.outer]
deployments = ["inner"]
[routers.inner]
deployments = ["home"]
[aliases]
home = "simulated/echo"
"""
    with Client.from_config(write(text)) as client:
        assert client.complete("outer", "hello").text == "hello"


def test_a_limit_counts_under_all_names_together(write: Write):
    text = "[limits.few]\nrequests = 2\n[aliases]\nfast = 'simulated/echo'"
    text += "\n[routers.chat]\ndeployments = ['fast']"
    with Client.from_config(write(text)) as client:
        client.complete("fast", "a")
        client.complete("chat", "b")
        with pytest.raises(RateLimitError, match="'few requests per minute'"):
            client.complete("simulated/echo", "c")


@pytest.mark.parametrize("pattern", ["simulated/*", "fast", "east", "*", "simulated/echo"])
def test_a_limit_holds_wherever_what_it_covers_is_asked(write: Write, pattern: str):
    text = f"""
[limits.one]
requests = 1
models = ["{pattern}"]
[aliases]
fast = "simulated/echo"
[deployments.east]
model = "fast"
[routers.chat]
deployments = ["east"]
"""
    with Client.from_config(write(text)) as client:
        client.complete("chat", "a")
        with pytest.raises(RateLimitError):
            client.complete("chat", "b")


def test_what_is_covered_twice_on_the_way_is_counted_once(write: Write):
    text = """
[limits.two]
requests = 2
models = ["chat", "east", "simulated/*"]
[deployments.east]
model = "simulated/echo"
[routers.chat]
deployments = ["east"]
"""
    with Client.from_config(write(text)) as client:
        for _ in range(2):
            client.complete("chat", "a")
        with pytest.raises(RateLimitError):
            client.complete("chat", "a")


def test_what_is_not_covered_is_not_limited(write: Write):
    text = "[limits.one]\nrequests = 1\nmodels = ['simulated/lorem']"
    with Client.from_config(write(text)) as client:
        for _ in range(3):
            client.complete("simulated/echo", "a")


def test_the_minute_limits_of_a_deployment_hold_when_it_is_asked_by_its_name(write: Write):
    with Client.from_config(
        write("[deployments.east]\nmodel = 'simulated/echo'\nrpm = 1")
    ) as client:
        client.complete("east", "a")
        with pytest.raises(RateLimitError):
            client.complete("east", "b")


def test_a_budget_stops_and_one_with_a_cheaper_model_asks_that(write: Write, openai: ThreadedMock):
    text = f"""{provider(openai)}
[budgets.tiny]
limit = "$0.000001"
models = ["openai/gpt-5-mini"]
[budgets.soft]
limit = "$0.000001"
models = ["openai/gpt-5"]
policy = "downgrade"
downgrade = "cheap"
[aliases]
cheap = "simulated/echo"
"""
    with Client.from_config(write(text)) as client:
        with pytest.raises(BudgetExceededError, match="'tiny'"):
            client.complete("openai/gpt-5-mini", "hello")
        assert client.complete("openai/gpt-5", "hello").provider == "simulated"
    assert openai.requests == []


def test_a_budget_on_one_provider_makes_a_router_ask_another(write: Write, openai: ThreadedMock):
    text = f"""{provider(openai)}
[budgets.tiny]
limit = 0
models = ["openai/*"]
[routers.chat]
deployments = ["openai/gpt-5-mini", "simulated/echo"]
"""
    with Client.from_config(write(text)) as client:
        assert client.complete("chat", "hello").provider == "simulated"
    assert openai.requests == []


def test_an_answer_of_the_cache_is_logged_but_neither_limited_nor_paid(
    write: Write, folder: Path, openai: ThreadedMock
):
    text = f"""{provider(openai)}
[cache]
[limits.one]
requests = 1
[log]
path = "calls.jsonl"
"""
    with Client.from_config(write(text)) as client:
        assert client.setup is not None
        for _ in range(3):
            assert client.complete("openai/gpt-4o", "hello").text == "hello"
        assert (client.setup.tracker.calls, client.setup.tracker.total.attempts) == (3, 1)
    written = (folder / "calls.jsonl").read_bytes()
    lines = [msgspec.json.decode(line) for line in written.splitlines()]
    assert [len(line.get("attempts", [])) for line in lines] == [1, 0, 0]
    assert len(openai.requests) == 1


def test_the_log_holds_what_was_really_asked_and_no_key(
    write: Write, folder: Path, openai: ThreadedMock
):
    text = f"""{provider(openai, keys="key = 'unlikely-key-4711'")}
[aliases]
precise = {{ model = "openai/gpt-4o", template = "t" }}
[templates.t]
system = "Be exact."
[log]
path = "calls.jsonl"
redact = ["[0-9]{{3}}-[0-9]{{4}}"]
"""
    with Client.from_config(write(text)) as client:
        client.complete("precise", "call 555-1234 with unlikely-key-4711")
    written = (folder / "calls.jsonl").read_text()
    assert "Be exact." in written
    assert "unlikely-key" not in written
    assert "555-1234" not in written


def test_a_log_may_be_left_out_by_the_program(write: Write, folder: Path):
    with Client.from_config(write("[log]\npath = 'calls.jsonl'")) as client:
        assert client.setup is not None
        client.setup.log = None
        client.complete("simulated/echo", "hello")
    assert not (folder / "calls.jsonl").exists()


def test_a_disk_cache_outlives_the_client(write: Write, openai: ThreadedMock):
    text = provider(openai) + "[cache]\nkind = 'disk'\npath = 'below/answers.db'\n"
    for _ in range(2):
        with Client.from_config(write(text)) as client:
            assert client.complete("openai/gpt-4o", "hello").text == "hello"
    assert len(openai.requests) == 1


def test_nothing_is_opened_before_it_is_needed(write: Write, folder: Path):
    text = "[cache]\nkind = 'disk'\npath = 'answers.db'\n[log]\npath = 'calls.db'"
    with Client.from_config(write(text)) as client:
        client.model("simulated/echo")
    assert [path.name for path in folder.iterdir()] == ["polyvox.toml"]


def test_two_clients_never_see_each_other(write: Write):
    path = write("[limits.one]\nrequests = 1")
    with Client.from_config(path) as one, Client.from_config(path) as other:
        one.complete("simulated/echo", "a")
        other.complete("simulated/echo", "a")
        assert one.setup is not None
        assert one.setup.tracker.calls == 1


def test_a_name_is_always_the_same_model(write: Write):
    with Client.from_config(write("[routers.chat]\ndeployments = ['simulated/echo']")) as client:
        assert client.model("chat") is client.model("chat")


def test_a_name_that_means_nothing_names_the_nearest(write: Write):
    with Client.from_config(write("[routers.chat]\ndeployments = ['simulated/echo']")) as client:
        with pytest.raises(ConfigurationError, match="did you mean 'chat'"):
            client.model("chta")
        with pytest.raises(ConfigurationError, match="no provider 'opneai'"):
            client.model("opneai/gpt-5")


def test_tokens_are_counted_by_who_is_asked(write: Write):
    with MockProvider("anthropic-messages") as mock:
        text = (
            provider(mock, "anthropic")
            + """
[limits.one]
requests = 1
[aliases]
claude = "anthropic/claude-sonnet-4-5"
[routers.chat]
deployments = ["claude"]
"""
        )
        with Client.from_config(write(text)) as client:
            assert not client.count_tokens("claude", "hello").estimated
            assert client.count_tokens("chat", "hello").estimated


async def test_timeouts_are_those_of_the_file(write: Write):
    async with AsyncClient.from_config(write("[timeouts]\nfirst_byte = 7")) as client:
        assert client.registry.timeouts.first_byte == 7
        assert client.registry.timeouts.connect == 10


async def test_many_tasks_share_one_account(write: Write):
    async with AsyncClient.from_config(write("[limits.ten]\nrequests = 10")) as client:
        asked = [client.complete("simulated/echo", str(number)) for number in range(40)]
        results = await asyncio.gather(*asked, return_exceptions=True)
    refused = [result for result in results if isinstance(result, RateLimitError)]
    assert len(results) - len(refused) == 10


def test_accounts_in_redis_are_those_of_all_processes(write: Write, redis_url: str):
    text = (
        f"[limits.two]\nrequests = 2\n[accounts]\nkind = 'redis'\nurl = '{redis_url}'\ntimeout = 30"
    )
    for _ in range(2):
        with Client.from_config(write(text)) as client:
            client.complete("simulated/echo", "a")
    with Client.from_config(write(text)) as client, pytest.raises(RateLimitError):
        client.complete("simulated/echo", "a")


class Lasting(MemoryLimits):
    closed = False

    async def aclose(self) -> None:
        self.closed = True


async def test_accounts_that_are_given_outlive_the_clients_of_a_configuration(write: Write):
    config, accounts = load_config(write("[limits.two]\nrequests = 2")), Lasting()
    for _ in range(2):
        async with AsyncClient.of_config(config, accounts=accounts) as client:
            await client.complete("simulated/echo", "a")
    assert not accounts.closed
    async with AsyncClient.of_config(config, accounts=accounts) as client:
        with pytest.raises(RateLimitError):
            await client.complete("simulated/echo", "a")


async def test_closing_twice_does_nothing(write: Write):
    client = AsyncClient.from_config(
        write("[log]\npath = 'c.db'\n[cache]\nkind = 'disk'\npath = 'a.db'")
    )
    await client.complete("simulated/echo", "hello")
    await client.aclose()
    await client.aclose()


def test_a_log_can_be_closed_when_the_interpreter_ends(write: Write, folder: Path):
    program = """
import asyncio, atexit, polyvox
client = polyvox.AsyncClient.from_config()
atexit.register(lambda: asyncio.run(client.aclose()))
asyncio.run(client.complete("simulated/echo", "hello"))
"""
    write("[log]\npath = 'c.jsonl'")
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=folder, capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    assert "hello" in (folder / "c.jsonl").read_text("utf-8")


def test_the_file_is_found_where_the_program_runs(write: Write):
    write("[aliases]\nfast = 'simulated/echo'")
    with Client.from_config() as client:
        assert client.complete("fast", "hello").text == "hello"


def test_a_plain_client_reads_no_file(write: Write):
    write("[rotuer]")
    with Client() as client:
        assert client.setup is None
        assert client.complete("simulated/echo", "hello").text == "hello"


def test_a_program_that_serves_nothing_needs_no_key_of_the_gateway(write: Write):
    path = write("[gateway]\nadmin_key = '${NOT_SET}'\n[aliases]\nfast = 'simulated/echo'")
    with Client.from_config(path) as client:
        assert client.complete("fast", "hello").text == "hello"
    with pytest.raises(ConfigurationError, match="NOT_SET is not set"):
        load_config(path)
