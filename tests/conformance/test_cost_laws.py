"""Laws of cost, for every dialect: what a call cost is the same however it came, and counted once.

The prices are a row's own, the servers are mocks on real sockets, and what the tracker, the log and
the mock each counted by themselves must agree.
"""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import NamedTuple

import pytest

from polyvox import AsyncClient, Catalog
from polyvox.dialects import DIALECTS
from polyvox.events import Done, Event, Failed
from polyvox.ledger import CallLog, CallRecord, CostTracker, Logged, MemorySink, Tracked
from polyvox.messages import AssistantMessage, Text, user
from polyvox.model import Call, Interrupt, Model
from polyvox.request import Request
from polyvox.routing import Retrying, RetryPolicy, Router
from polyvox.testing import Knobs, MockProvider
from polyvox.usage import Cost, Usage

PRICES = {"lab/model": {"input": 3, "output": 15, "cache_read": 0.3, "cache_write": 3.75}}
USAGE = Usage(1_000, 200)
CACHED = Usage(1_000, 200, cache_read_tokens=400)
WORDS = "Air scatters blue light more than red, and so the whole sky is blue."
SAID = AssistantMessage([Text(WORDS)], usage=USAGE)
QUESTION = "Why is the sky blue? " * 10
BUSY = {"error": {"kind": "overloaded", "text": "no room", "status": 503}}
AT_ONCE = RetryPolicy(attempts=5, base=0.0)


class Books(NamedTuple):
    """A model whose calls are added up and written down, and those who do."""

    tracked: Model
    tracker: CostTracker
    log: CallLog
    sink: MemorySink

    def records(self) -> list[CallRecord]:
        assert self.log.flush()
        return self.sink.records


def books(model: Model) -> Books:
    tracker, sink = CostTracker(), MemorySink()
    log = CallLog(sink)
    return Books(Logged(Tracked(model, tracker), log), tracker, log, sink)


@asynccontextmanager
async def serving(
    dialect: str, script: Sequence[object], *, knobs: Knobs | None = None
) -> AsyncGenerator[tuple[MockProvider, Model]]:
    """A mock of this dialect, and the model behind it, whose prices are known."""
    async with MockProvider(dialect, script, knobs=knobs) as mock:  # pyright: ignore[reportArgumentType]
        row = {"dialect": dialect, "base_url": mock.url, "auth": "none"}
        async with AsyncClient(providers={"lab": row}, catalog=Catalog.load(PRICES)) as client:
            yield mock, client.model("lab/model")


async def listen(
    model: Model, *, leave_after: int | None = None, stream: bool = True, call: Call | None = None
) -> list[Event]:
    request = Request(messages=[user(QUESTION)], stream=stream)
    heard: list[Event] = []
    async with aclosing(model.stream(request, call or Call())) as events:
        async for event in events:
            heard.append(event)
            if len(heard) == leave_after:
                break
    return heard


def price(usage: Usage) -> Cost:
    return Catalog.load(PRICES).cost("lab", "model", usage)


@pytest.fixture(params=DIALECTS)
def dialect(request: pytest.FixtureRequest) -> str:
    return request.param


async def test_streamed_and_whole_answers_of_equal_usage_cost_the_same(dialect: str):
    said = AssistantMessage([Text(WORDS)], usage=CACHED)
    async with serving(dialect, [said, said]) as (_, model):
        kept = books(model)
        (*_, streamed), (*_, whole) = (
            await listen(kept.tracked, stream=True),
            await listen(kept.tracked, stream=False),
        )
    assert isinstance(streamed, Done)
    assert isinstance(whole, Done)
    assert streamed.message.usage == whole.message.usage
    cost = streamed.message.usage.cost
    assert cost == price(streamed.message.usage)
    assert (cost.status, cost.nanos > 0) == ("known", True)
    assert kept.tracker.running_cost.nanos == 2 * cost.nanos
    assert [record.cost for record in kept.records()] == [cost, cost]


async def test_a_stream_left_anywhere_is_one_attempt_within_bounds(dialect: str):
    """The reader leaves after event 1, 2, ... up to the last: each time one attempt, no more, no less."""
    async with serving(dialect, [SAID] * 60) as (mock, model):
        kept = books(model)
        whole = await listen(kept.tracked)
        whole_cost = kept.tracker.running_cost.nanos
        for leave_after in range(1, len(whole)):
            kept.tracker.reset()
            await listen(kept.tracked, leave_after=leave_after)
            (tally,) = kept.tracker.by_model().values()
            assert (tally.calls, tally.attempts, tally.failures) == (1, 1, 1)
            assert tally.usage.basis == "partial"
            assert tally.cost.status == "known"
            assert 0 < tally.cost.nanos <= whole_cost
            assert tally.usage.input_tokens > 0
            assert tally.usage.output_tokens <= USAGE.output_tokens
        records = kept.records()
    assert len(records) == len(whole) == len(mock.requests)
    first, *left = records
    assert (first.error, first.cost.nanos) == (None, whole_cost)
    for record in left:
        assert record.error_kind == "aborted"
        assert record.message is not None
        assert (record.message.stop_reason, len(record.attempts)) == ("aborted", 1)
        assert record.usage.basis == "partial"
        assert WORDS.startswith(record.message.text)


async def test_an_interrupted_stream_is_one_attempt_within_bounds(dialect: str):
    # The end never comes, so that nobody can have it in hand when the interrupt is set.
    held = {"message": {"content": WORDS * 20}, "knobs": {"cut_after": 3000, "cut_mode": "stall"}}
    async with serving(dialect, [held]) as (_, model):
        kept = books(model)
        interrupt = Interrupt()
        request = Request(messages=[user(QUESTION)])
        heard: list[Event] = []
        async for event in kept.tracked.stream(request, Call(interrupt=interrupt)):
            heard.append(event)
            if len(heard) == 3:
                interrupt.set()
        (record,) = kept.records()
    assert isinstance(heard[-1], Failed)
    assert (record.error_kind, len(record.attempts)) == ("aborted", 1)
    assert record.usage == heard[-1].message.usage
    assert kept.tracker.running_cost.nanos == record.cost.nanos
    assert (record.usage.basis, record.cost.status) == ("partial", "known")
    assert record.cost.nanos > 0


async def test_a_stream_that_breaks_off_is_one_attempt(dialect: str):
    broken = {"message": {"content": WORDS}, "knobs": {"cut_after": 250}}
    async with serving(dialect, [broken]) as (mock, model):
        kept = books(model)
        *_, failed = await listen(kept.tracked)
        (record,) = kept.records()
    assert isinstance(failed, Failed)
    assert len(mock.requests) == len(record.attempts) == kept.tracker.total.failures == 1
    assert record.usage == failed.message.usage
    assert kept.tracker.running_cost.nanos == record.cost.nanos
    assert (record.usage.basis, record.cost.status) == ("partial", "known")


async def test_every_attempt_of_a_retried_call_is_charged_once(dialect: str):
    async with serving(dialect, [BUSY, BUSY, SAID]) as (mock, model):
        kept = books(Retrying(model, AT_ONCE))
        *_, done = await listen(kept.tracked)
        (record,) = kept.records()
    assert isinstance(done, Done)
    assert len(mock.requests) == len(record.attempts) == kept.tracker.total.attempts == 3
    assert [attempt.error for attempt in record.attempts] == ["overloaded", "overloaded", None]
    assert [attempt.usage.cost.nanos > 0 for attempt in record.attempts] == [False, False, True]
    assert kept.tracker.running_cost.nanos == record.cost.nanos == done.message.usage.cost.nanos


async def test_every_attempt_of_a_call_that_fell_back_is_charged_once(dialect: str):
    """The first model breaks off after it was asked, and may charge for it; the second one answers."""
    async with (
        MockProvider(dialect, [{"message": {"content": WORDS}, "knobs": {"cut_after": 0}}]) as bad,
        MockProvider(dialect, [SAID]) as good,
    ):
        rows: dict[str, dict[str, object]] = {
            name: {"dialect": dialect, "base_url": mock.url, "auth": "none"}
            for name, mock in (("bad", bad), ("good", good))
        }
        prices = {"bad/model": PRICES["lab/model"], "good/model": PRICES["lab/model"]}
        async with AsyncClient(providers=rows, catalog=Catalog.load(prices)) as client:
            kept = books(Router([client.model("bad/model"), client.model("good/model")]))
            *_, done = await listen(kept.tracked)
            (record,) = kept.records()
    assert isinstance(done, Done)
    assert (len(bad.requests), len(good.requests)) == (1, 1)
    tallies = kept.tracker.by_model()
    assert {name: tally.attempts for name, tally in tallies.items()} == {
        "bad/model": 1,
        "good/model": 1,
    }
    assert tallies["good/model"].cost.nanos == done.message.usage.cost.nanos
    assert kept.tracker.running_cost.nanos == sum(tally.cost.nanos for tally in tallies.values())
    assert record.cost.nanos == kept.tracker.running_cost.nanos
    assert kept.tracker.calls == 1


async def test_the_trackers_sum_is_what_the_mock_counted(dialect: str):
    """Many calls, some retried, some left: as many attempts as requests, the tokens that were sent."""
    script = [BUSY if number % 3 == 1 else SAID for number in range(30)]
    async with serving(dialect, script) as (mock, model):
        kept = books(Retrying(model, AT_ONCE))
        for _ in range(20):
            await listen(kept.tracked)
        records = kept.records()
    answered = sum(answer.completed and answer.status == 200 for answer in mock.answers)
    assert (len(mock.requests), answered, len(records)) == (30, 20, 20)
    assert kept.tracker.total.attempts == 30
    assert kept.tracker.token_usage.input_tokens == answered * USAGE.input_tokens
    assert kept.tracker.token_usage.output_tokens == answered * USAGE.output_tokens
    assert kept.tracker.running_cost.nanos == sum(record.cost.nanos for record in records)
    assert kept.tracker.running_cost.nanos == answered * records[0].cost.nanos


async def test_an_unknown_price_stays_visible(dialect: str):
    async with MockProvider(dialect, [SAID]) as mock:
        row = {"dialect": dialect, "base_url": mock.url, "auth": "none"}
        async with AsyncClient(providers={"lab": row}) as client:
            kept = books(client.model("lab/new"))
            await listen(kept.tracked)
    assert kept.tracker.running_cost.status == "unknown"
    assert kept.tracker.total.unpriced == 1
    assert kept.records()[0].cost.status == "unknown"
