"""What a file puts around models is around embeddings too, by their name or by an alias."""

import json
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path
from typing import Any

import pytest

from polyvox import Client
from polyvox.errors import BudgetExceededError, ConfigurationError, RateLimitError
from polyvox.http import HttpRequest
from polyvox.ledger import CallRecord, History
from polyvox.testing import MockProvider, ThreadedMock

from .conftest import Write

SMALL = "openai/text-embedding-3-small"


@pytest.fixture(autouse=True)
def _this_machine_only(forbid_network: None, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def openai() -> Iterator[ThreadedMock]:
    with MockProvider("openai-chat") as mock:
        yield mock


def configured(mock: ThreadedMock, text: str) -> str:
    return f"[providers.openai]\nbase_url = '{mock.url}'\nkey = 'sk-one-0000'\n{text}"


def records(path: Path) -> list[CallRecord]:
    with History(path) as history:
        return list(history.find())


class Refusal:
    """The answer of a provider that is overloaded."""

    status = 503

    def __init__(self) -> None:
        self.headers: dict[str, str] = {}
        self.body = self._body()

    async def _body(self) -> AsyncGenerator[bytes]:
        yield b'{"error": {"message": "overloaded"}}'

    async def aclose(self) -> None:
        await self.body.aclose()


class Vectors(Refusal):
    """The answer of one that is not: a vector of one dimension, for ten tokens."""

    status = 200

    async def _body(self) -> AsyncGenerator[bytes]:
        entries = [{"index": 0, "embedding": [1.0]}]
        usage = {"prompt_tokens": 10, "total_tokens": 10}
        yield json.dumps({"data": entries, "model": "m", "usage": usage}).encode()


class Overloaded:
    """A transport to a provider that is overloaded for so many requests."""

    def __init__(self, times: int) -> None:
        self.times = times
        self.sent = 0

    async def send(self, request: HttpRequest) -> Any:
        self.sent += 1
        return Refusal() if self.sent <= self.times else Vectors()


def test_a_budget_and_the_costs_of_the_client_count_embeddings_and_answers_together(
    write: Write, openai: ThreadedMock
):
    # The most that these ten tokens may cost is 360 nano-dollars, and then they cost 200.
    text = configured(openai, "[budgets.all]\nlimit = '0.000000559'\nscope = 'tenant'\n")
    with Client.from_config(write(text)) as client:
        words = " ".join(["word"] * 10)
        for tenant in ("one", "two"):
            assert client.embed(SMALL, words, tenant=tenant).usage.cost.nanos == 200
        with pytest.raises(BudgetExceededError, match="'all' allows"):
            client.embed(SMALL, words, tenant="one")
        with pytest.raises(BudgetExceededError, match="'all' allows"):
            client.complete("openai/gpt-5-mini", "hello", tenant="two")
        assert client.setup is not None
        assert client.setup.tracker.running_cost.nanos == 400
        assert client.setup.tracker.by_model()[SMALL].calls == 2
    assert len(openai.requests) == 2


def test_a_limit_that_covers_another_model_lets_embeddings_through(
    write: Write, openai: ThreadedMock
):
    text = "[limits.few]\nrequests = 1\nper = 'day'\nmodels = ['{}']"
    with Client.from_config(write(configured(openai, text.format("openai/gpt-*")))) as client:
        for _ in range(2):
            client.embed(SMALL, "cats")
    vectors = "\n[aliases]\nvectors = 'openai/text-embedding-3-small'"
    covered = configured(openai, text.format("vectors") + vectors)
    with Client.from_config(write(covered)) as client:
        client.embed("vectors", "cats")
        with pytest.raises(RateLimitError):
            client.embed(SMALL, "cats")


def test_a_budget_that_asks_a_cheaper_model_blocks_embeddings(write: Write, openai: ThreadedMock):
    text = "[budgets.all]\nlimit = 0\npolicy = 'downgrade'\ndowngrade = 'simulated/echo'"
    with Client.from_config(write(configured(openai, text))) as client:
        assert client.complete("openai/gpt-5-mini", "hello").provider == "simulated"
        with pytest.raises(BudgetExceededError):
            client.embed(SMALL, "cats")
    assert openai.requests == []


def test_embeddings_are_in_the_log(write: Write, folder: Path, openai: ThreadedMock):
    text = configured(openai, "[log]\npath = 'calls.db'\nredact = ['cats']")
    with Client.from_config(write(text)) as client:
        result = client.embed(SMALL, ["cats", "dogs"], session="s1", tags={"by": "test"})
    (record,) = records(folder / "calls.db")
    assert (record.kind, record.model, record.question) == ("embedding", SMALL, "***\ndogs")
    assert (record.session, record.tags) == ("s1", {"by": "test"})
    assert record.usage == result.usage
    assert b"cats" not in (folder / "calls.db").read_bytes()


def test_a_log_without_content_has_the_numbers_of_embeddings(
    write: Write, folder: Path, openai: ThreadedMock
):
    text = configured(openai, "[log]\npath = 'calls.db'\ncontent = 'off'")
    with Client.from_config(write(text)) as client:
        client.embed(SMALL, "cats")
    (record,) = records(folder / "calls.db")
    assert (record.kind, record.request, record.text) == ("embedding", None, "")
    assert record.usage.input_tokens == 1


@pytest.mark.parametrize("retry", ["", "[retry]\nattempts = 3\nbase = 0\n"])
def test_embeddings_are_retried_only_if_the_file_says_so(
    write: Write, folder: Path, openai: ThreadedMock, retry: str
):
    text = configured(openai, retry + "[log]\npath = 'calls.db'")
    transport = Overloaded(2)
    with Client.from_config(write(text), transport=transport) as client:
        if retry:
            assert client.embed(SMALL, "cats").vectors == [[1.0]]
        else:
            with pytest.raises(Exception, match="overloaded"):
                client.embed(SMALL, "cats")
    (record,) = records(folder / "calls.db")
    statuses = [attempt.status for attempt in record.attempts]
    assert statuses == ([503, 503, None] if retry else [503])
    assert transport.sent == len(statuses)


def test_embeddings_go_by_an_alias(write: Write):
    text = "[aliases]\nvectors = 'simulated/embedding'\n[deployments.east]\nmodel = 'vectors'"
    with Client.from_config(write(text)) as client:
        assert len(client.embed("vectors", ["a", "b"]).vectors) == 2
        with pytest.raises(ConfigurationError, match="embeddings come from one model"):
            client.embed("east", "a")
