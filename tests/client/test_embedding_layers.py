"""Embedders within the layers of models: stopped, counted, written down and asked again like these."""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable
from decimal import Decimal
from typing import Any

import pytest

from polyvox import AsyncClient, jsontext
from polyvox.catalog import Catalog
from polyvox.embedding import Embedder, EmbeddingRequest, Embeddings
from polyvox.errors import (
    BadRequestError,
    BudgetExceededError,
    ConfigurationError,
    OverloadedError,
    PolyvoxError,
    ProtocolError,
    RateLimitError,
)
from polyvox.events import Event
from polyvox.layers import layered
from polyvox.ledger import CallLog, CallRecord, CostTracker, Logged, MemorySink, Tracked
from polyvox.limits import Budget, Budgeted, RateLimit, RateLimited
from polyvox.model import Call, Model
from polyvox.providers.simulated import simulated_model
from polyvox.request import Request
from polyvox.routing import Retrying, RetryPolicy
from polyvox.testing import Knobs, MockProvider
from polyvox.usage import Cost, Usage

NAME = "openai/text-embedding-3-small"
PATIENCE = 60.0
AT_ONCE = RetryPolicy(base=0)


def client_of(mock: MockProvider) -> AsyncClient:
    return AsyncClient(base_urls={"openai": mock.url}, keys={"openai": "sk-any-0000"})


def billed(mock: MockProvider) -> int:
    """What the provider has to bill, by its own count, in nano-dollars."""
    answers = [json.loads(answer.body) for answer in mock.answers if answer.status == 200]
    usages = [Usage(input_tokens=answer["usage"]["prompt_tokens"]) for answer in answers]
    return sum(Catalog.load().cost(*NAME.split("/"), usage).nanos for usage in usages)


def most(embedder: Embedder, text: str) -> int:
    """What embedding this may cost at most, in nano-dollars."""
    quote: Callable[[EmbeddingRequest], Usage] = embedder.quote
    return quote(EmbeddingRequest(inputs=[text])).cost.nanos


def dollars(nanos: int) -> Decimal:
    return Decimal(nanos) / 1_000_000_000


class Held:
    """A layer that passes a call on when it is let go."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.came = asyncio.Semaphore(0)

    def around(self, model: Model) -> Model:
        held = self

        class Holding:
            name = model.name

            def quote(self, request: Request) -> Usage:
                return model.quote(request)

            async def stream(self, request: Request, call: Call) -> AsyncGenerator[Event]:
                held.came.release()
                await held.go.wait()
                async for event in model.stream(request, call):
                    yield event

        return Holding()

    async def until_came(self, times: int) -> None:
        async with asyncio.timeout(PATIENCE):
            for _ in range(times):
                await self.came.acquire()


class Ailing:
    """A layer that makes the provider fail so often, and then be well."""

    def __init__(self, mock: MockProvider, *statuses: int) -> None:
        self.mock = mock
        self.statuses = iter(statuses)

    def around(self, model: Model) -> Model:
        ailing = self

        class Turning:
            name = model.name

            async def stream(self, request: Request, call: Call) -> AsyncGenerator[Event]:
                ailing.mock.knobs = Knobs(status=next(ailing.statuses, None))
                async for event in model.stream(request, call):
                    yield event

        return Turning()


class Own:
    """An embedder of a program's own, which can't tell what it may cost."""

    name = "own/vectors"

    async def embed(self, request: EmbeddingRequest, call: Call) -> Embeddings:
        return Embeddings(vectors=[[1.0]] * len(request.inputs), provider="own", model="vectors")


async def test_the_11th_of_embeddings_at_once_is_stopped_by_a_budget_for_10():
    held, tracker, text = Held(), CostTracker(), "Are cats liquid?"
    async with MockProvider("openai-chat") as mock, client_of(mock) as client:
        plain = client.embedder(NAME)
        budget = Budget(dollars(10 * most(plain, text) + most(plain, text) // 2), name="till")
        embedder = layered(
            plain, lambda model: Tracked(Budgeted(held.around(model), budget), tracker)
        )
        tasks = [asyncio.create_task(client.embed(embedder, text)) for _ in range(10)]
        await held.until_came(10)
        with pytest.raises(BudgetExceededError, match="'till' allows"):
            await client.embed(embedder, text)
        assert mock.requests == []
        held.go.set()
        results = await asyncio.gather(*tasks)
        assert len(mock.requests) == 10
        costs = [result.usage.cost.nanos for result in results]
        assert sum(costs) == tracker.running_cost.nanos == billed(mock) > 0
        assert (tracker.calls, tracker.total.attempts) == (11, 10)


async def test_what_was_reserved_too_much_comes_back():
    text = "Are cats liquid?"
    async with MockProvider("openai-chat") as mock, client_of(mock) as client:
        plain = client.embedder(NAME)
        budget = Budget(dollars(most(plain, text) * 3 // 2))
        embedder = layered(plain, lambda model: Budgeted(model, budget))
        for _ in range(2):
            await client.embed(embedder, text)
        with pytest.raises(BudgetExceededError):
            await client.embed(embedder, text)
        assert len(mock.requests) == 2


async def test_a_quote_is_no_less_than_what_is_billed():
    texts = ["a", "Katzen", "猫は液体ですか", "x = [1, 2, 3]" * 50, "word " * 300]
    async with MockProvider("openai-chat") as mock, client_of(mock) as client:
        quote = client.embedder(NAME).quote(EmbeddingRequest(inputs=texts))
        result = await client.embed(NAME, texts)
    assert (quote.basis, quote.output_tokens, quote.cost.status) == ("estimated", 0, "known")
    assert quote.input_tokens > result.usage.input_tokens > 0
    assert quote.cost.nanos > result.usage.cost.nanos > 0


async def test_an_embedder_that_can_t_tell_its_price_is_denied_unless_the_budget_says_otherwise():
    async with AsyncClient() as client:
        denied = layered(Own(), lambda model: Budgeted(model, Budget(1)))
        with pytest.raises(BudgetExceededError, match="nobody knows what own/vectors costs"):
            await client.embed(denied, "cats")
        allowed = layered(Own(), lambda model: Budgeted(model, Budget(1, unknown_price="allow")))
        assert (await client.embed(allowed, "cats")).vectors == [[1.0]]


async def test_what_a_layer_warns_of_is_told():
    async with MockProvider("openai-chat") as mock, client_of(mock) as client:
        budget = Budget("0.000000001", policy="warn", name="tiny")
        embedder = layered(client.embedder(NAME), lambda model: Budgeted(model, budget))
        result = await client.embed(embedder, "cats", task="query")
    (task, _), (field, text) = result.dropped
    assert (task, field) == ("task", "budget")
    assert "the budget 'tiny' allows" in text


async def test_a_rate_limit_counts_embeddings_by_tenant():
    async with MockProvider("openai-chat") as mock, client_of(mock) as client:
        limit = RateLimit(requests=1, per="day", scope="tenant")
        embedder = layered(client.embedder(NAME), lambda model: RateLimited(model, limit))
        await client.embed(embedder, "cats", tenant="one")
        await client.embed(embedder, "cats", tenant="two")
        with pytest.raises(RateLimitError, match="no room"):
            await client.embed(embedder, "cats", tenant="one")
        assert len(mock.requests) == 2


async def test_a_503_is_asked_again_and_each_attempt_is_booked():
    call, tracker = Call(), CostTracker()
    async with MockProvider("openai-chat") as mock, client_of(mock) as client:
        ailing = Ailing(mock, 503, 503)
        embedder = layered(
            client.embedder(NAME),
            lambda model: Tracked(Retrying(ailing.around(model), AT_ONCE), tracker),
        )
        found = await embedder.embed(EmbeddingRequest(inputs=["cats"]), call)
        assert [attempt.status for attempt in call.attempts] == [503, 503, None]
        assert tracker.running_cost.nanos == found.usage.cost.nanos == billed(mock) > 0
        assert (tracker.total.attempts, tracker.total.failures) == (3, 2)


async def test_the_last_failure_says_what_was_tried():
    async with (
        MockProvider("openai-chat", knobs=Knobs(status=503)) as mock,
        client_of(mock) as client,
    ):
        embedder = layered(client.embedder(NAME), lambda model: Retrying(model, AT_ONCE))
        with pytest.raises(OverloadedError) as caught:
            await client.embed(embedder, "cats")
    error = caught.value
    assert (error.provider, error.model, error.status) == ("openai", "text-embedding-3-small", 503)
    assert len(error.attempts) == len(mock.requests) == 3
    assert error.hint is not None
    assert "Asked 3 times" in error.hint
    assert error.message is not None
    assert error.message.usage.cost == Cost("known")


async def test_a_bad_request_is_not_asked_again():
    async with (
        MockProvider("openai-chat", knobs=Knobs(status=400)) as mock,
        client_of(mock) as client,
    ):
        embedder = layered(client.embedder(NAME), lambda model: Retrying(model, AT_ONCE))
        with pytest.raises(BadRequestError):
            await client.embed(embedder, "cats")
    assert len(mock.requests) == 1


async def logged(*texts: str, fails: int | None = None, **settings: Any) -> CallRecord:
    """The record of one embedding."""
    sink = MemorySink()
    with CallLog(sink, redact=[r"\d{3}-\d{4}"]) as log:
        knobs = Knobs(status=fails)
        async with MockProvider("openai-chat", knobs=knobs) as mock, client_of(mock) as client:
            embedder = layered(client.embedder(NAME), lambda model: Logged(model, log))
            try:
                await client.embed(embedder, list(texts), **settings)
            except PolyvoxError:
                assert fails
    (record,) = sink.records
    return record


async def test_an_embedding_is_written_down_without_its_vectors():
    record = await logged(
        "cats", "dogs and cats", session="s1", tenant="t1", tags={"feature": "search"}
    )
    assert (record.kind, record.model, record.answered_by) == ("embedding", NAME, NAME)
    assert (record.session, record.tenant, record.tags) == ("s1", "t1", {"feature": "search"})
    assert (record.usage.input_tokens, record.usage.output_tokens) == (4, 0)
    assert record.cost.nanos > 0
    assert record.question == "cats\ndogs and cats"
    assert record.message is not None
    assert record.message.text == "2 vectors of 256 dimensions"
    assert len(jsontext.encode(record)) < 2_000  # one vector alone is longer


async def test_texts_are_redacted_like_questions():
    record = await logged("My phone is 555-1234.", "Bearer abc1234567")
    assert record.question == "My phone is ***.\nBearer ***"


async def test_a_failed_embedding_is_written_down_with_its_error():
    record = await logged("cats", fails=503)
    assert (record.kind, record.error_kind) == ("embedding", "overloaded")
    assert [attempt.status for attempt in record.attempts] == [503]


async def test_a_cancelled_embedding_is_settled_and_written_down():
    sink, tracker = MemorySink(), CostTracker()
    async with (
        MockProvider("openai-chat", knobs=Knobs(delay_headers=3600)) as mock,
        client_of(mock) as client,
    ):
        with CallLog(sink) as log:
            embedder = layered(
                client.embedder(NAME), lambda model: Logged(Tracked(model, tracker), log)
            )
            task = asyncio.create_task(client.embed(embedder, "cats"))
            await mock.wait_for_request()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
    (record,) = sink.records
    assert (record.kind, record.error_kind) == ("embedding", "aborted")
    assert [attempt.error for attempt in record.attempts] == ["aborted"]
    assert tracker.running_cost.nanos == record.cost.nanos > 0


async def test_a_layer_that_answers_from_elsewhere_has_no_vectors():
    async with AsyncClient() as client:
        embedder = layered(Own(), lambda model: simulated_model("simulated/echo"))
        with pytest.raises(ProtocolError, match="no vectors came through the layers"):
            await client.embed(embedder, "cats")


async def test_an_embedder_that_is_given_for_a_model_is_told_how_to():
    with pytest.raises(ConfigurationError, match="Own is an embedder") as caught:
        Budgeted(Own(), Budget(1))
    assert caught.value.hint is not None
    assert "polyvox.layered(embedder, lambda model: Budgeted(model, ...))" in caught.value.hint


async def test_wishes_pass_through_the_layers():
    async with MockProvider("openai-chat") as mock, client_of(mock) as client:
        tracker = CostTracker()
        embedder = layered(client.embedder(NAME), lambda model: Tracked(model, tracker))
        result = await client.embed(
            embedder, "cats", dimensions=8, options={"openai": {"user": "u1"}}
        )
    assert len(result.vectors[0]) == 8
    body = json.loads(mock.requests[0].body)
    assert (body["dimensions"], body["user"]) == (8, "u1")
