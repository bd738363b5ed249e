"""However a call comes and ends, each of its attempts is charged once, to budgets and rates alike."""

import asyncio
from contextlib import aclosing

import pytest

from polyvox.errors import BudgetExceededError, ServerError
from polyvox.events import Done, TextDelta
from polyvox.limits import Budget, Budgeted, Hold, LimitStore, MemoryLimits, RateLimit, RateLimited
from polyvox.limits.meters import Calendar
from polyvox.messages import user
from polyvox.model import Call, Interrupt
from polyvox.quote import quote_of
from polyvox.request import Request
from polyvox.testing import Knobs, MockProvider
from waiting import until

from .rig import HI, Priced, ask, dollars, listen, soon
from .shop import MODEL, PROVIDER, REQUEST, Shop, client_of, sent

BUDGET = Budget(100, name="till")
SCOPES = ["global", "tenant", "session", "tag:team"]
CALL = {"tenant": "t", "session": "s", "tags": {"team": "x"}}


def account(scope: str) -> str:
    ends = {"global": "", "tenant": ":tenant:t", "session": ":session:s", "tag:team": ":team:x"}
    return f"budget:till:total{ends[scope]}"


async def used(store: LimitStore, key: str = "budget:till:total") -> tuple[float, float]:
    (standing,) = await store.reserve("look", [Hold(key, Calendar("total"), -1, 1)])
    return standing.used, standing.held


def charged(call: Call) -> int:
    return sum(attempt.usage.cost.nanos for attempt in call.attempts)


async def close_after(model: Budgeted, call: Call, events: int, request: Request = HI) -> None:
    async with aclosing(model.stream(request, call)) as stream:
        for _ in range(events):
            await anext(stream)


@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize(
    "way", ["streamed", "whole", "left early", "unavailable", "broken", "cut", "interrupted"]
)
async def test_a_call_over_http_is_charged_what_its_attempts_cost(
    store: LimitStore, scope: str, way: str
):
    shop, call = Shop(), Call(**CALL)
    shop.open.set()
    knobs = {
        "unavailable": Knobs(status=503),
        "broken": Knobs(error_after_chunks=6),
        "cut": Knobs(cut_after=900),
    }
    mock = MockProvider("openai-chat", model=shop, knobs=knobs.get(way))
    async with mock, client_of(mock.url) as client:
        inner = client.model(f"{PROVIDER}/{MODEL}")
        budget = Budget(100, name="till", scope=scope)
        model = Budgeted(inner, budget, store=store)
        request = Request(messages=[user("Hi.")], max_tokens=100, stream=way != "whole")
        match way:
            case "left early":
                await soon(close_after(model, call, 5, request))
            case "interrupted":
                call.interrupt = Interrupt()
                async for event in model.stream(request, call):
                    if isinstance(event, TextDelta):
                        call.interrupt.set()
            case _:
                await soon(listen(model, call, request))
    assert len(call.attempts) == 1
    assert await used(store, account(scope)) == (charged(call), 0)
    if way in ("streamed", "whole"):
        assert charged(call) == sent(mock) > 0
    elif way in ("left early", "broken", "cut", "interrupted"):
        assert 0 < charged(call) <= quote_of(inner, request).cost.nanos
    else:
        assert charged(call) == 0


@pytest.mark.parametrize("chunk", [1, 2, 3, 5, 12, 20])
async def test_a_reader_who_leaves_at_any_chunk_is_charged_within_bounds(chunk: int):
    shop, call, store = Shop(), Call(), MemoryLimits()
    shop.open.set()
    async with MockProvider("openai-chat", model=shop) as mock, client_of(mock.url) as client:
        model = Budgeted(client.model(f"{PROVIDER}/{MODEL}"), BUDGET, store=store)
        await soon(close_after(model, call, chunk, REQUEST))
        reserved = quote_of(model, REQUEST).cost.nanos
    (attempt,) = call.attempts
    assert attempt.usage.basis == "partial"
    assert 0 < attempt.usage.cost.nanos <= reserved
    assert await used(store) == (attempt.usage.cost.nanos, 0)


async def test_a_call_that_asked_several_times_is_charged_each_time(store: LimitStore):
    attempts = [dollars(0.5), dollars(0.25), dollars(1)]
    call = Call()
    await ask(Budgeted(Priced(dollars(3), *attempts), BUDGET, store=store), call)
    assert len(call.attempts) == 3
    assert await used(store) == (charged(call), 0)


async def test_a_failed_call_is_charged_what_it_cost(store: LimitStore):
    model = Budgeted(
        Priced(dollars(3), dollars(2), error=ServerError("broke")), BUDGET, store=store
    )
    call = Call()
    with pytest.raises(ServerError):
        await ask(model, call)
    assert await used(store) == (charged(call), 0)
    assert charged(call) == dollars(2).cost.nanos


async def test_a_cancelled_task_is_charged_what_it_cost(store: LimitStore):
    inner = Priced(dollars(3), dollars(1), gate=asyncio.Event())
    call = Call()
    model = Budgeted(inner, BUDGET, store=store)
    task = asyncio.create_task(ask(model, call))
    await soon(inner.waiting.wait())
    task.cancel()
    await asyncio.wait([task])
    assert await used(store) == (charged(call), 0)
    assert charged(call) == dollars(1).cost.nanos


async def test_a_call_that_asked_nobody_is_charged_nothing(store: LimitStore):
    class Cached(Priced):
        def _record(self, *_: object) -> None:
            pass

    rate = RateLimit(requests=1, tokens=5, per=1e9)
    model = RateLimited(Budgeted(Cached(dollars(100)), BUDGET, store=store), rate, store=store)
    for _ in range(3):
        await ask(model)
    assert await used(store) == (0, 0)


async def test_the_budget_is_settled_before_the_last_event_is_given():
    store = MemoryLimits()
    events = Budgeted(Priced(dollars(3), dollars(1)), BUDGET, store=store).stream(HI, Call())
    while not isinstance(await anext(events), Done):
        assert (await used(store))[1] > 0
    assert await used(store) == (dollars(1).cost.nanos, 0)
    await events.aclose()
    assert await used(store) == (dollars(1).cost.nanos, 0)


async def test_a_stream_that_nobody_reads_reserves_nothing():
    store = MemoryLimits()
    await Budgeted(Priced(dollars(3)), BUDGET, store=store).stream(HI, Call()).aclose()
    assert store.accounts == 0


async def test_a_budget_is_passed_by_no_more_than_the_error_of_one_reservation():
    error = dollars(0.5).cost.nanos
    store = MemoryLimits()
    model = Budgeted(Priced(dollars(1), dollars(1.5)), Budget(10, name="till"), store=store)
    for _ in range(7):
        await ask(model)
    with pytest.raises(BudgetExceededError):
        await ask(model)
    spent, _ = await used(store)
    assert spent == dollars(10).cost.nanos + error


async def test_calls_at_once_pass_it_by_no_more_than_the_errors_of_those_that_were_let_in():
    store, gate = MemoryLimits(), asyncio.Event()
    inner = Priced(dollars(1), dollars(1.5), gate=gate)
    model = Budgeted(inner, Budget(10, name="till"), store=store)
    asking = [asyncio.create_task(ask(model)) for _ in range(12)]
    await until(lambda: sum(each.done() for each in asking) == 2)
    gate.set()
    ended = await asyncio.gather(*asking, return_exceptions=True)
    assert sum(isinstance(each, BudgetExceededError) for each in ended) == 2
    assert inner.asked == 10
    assert await used(store) == (dollars(10 * 1.5).cost.nanos, 0)
    with pytest.raises(BudgetExceededError):
        await ask(model)


async def test_the_books_of_the_caller_hold_what_was_charged_below_it():
    call = Call()
    tenant, house = Budget(100, name="tenant"), Budget(100, name="house")
    store = MemoryLimits()
    model = Budgeted(Budgeted(Priced(dollars(1)), tenant, store=store), house, store=store)
    await ask(model, call)
    assert len(call.attempts) == 1
    for name in ("tenant", "house"):
        assert await used(store, f"budget:{name}:total") == (charged(call), 0)
