"""However many calls come at once, those that are let in fit together, and each is charged once."""

import asyncio
import sys
from decimal import Decimal
from itertools import islice
from pathlib import Path

from polyvox.limits import Budget, Budgeted, Hold, LimitStore, RedisLimits
from polyvox.limits.meters import Calendar
from polyvox.model import Call
from polyvox.quote import quote_of
from polyvox.testing import MockProvider

from .rig import DOLLAR, soon
from .shop import MODEL, PER_PROCESS, PROVIDER, REQUEST, Shop, client_of, outcome, sent

ADMITTED = 10
ACCOUNT = "budget:till:total"


async def used(store: LimitStore) -> float:
    (standing,) = await store.reserve("look", [Hold(ACCOUNT, Calendar("total"), -1, 1)])
    assert standing.held == 0
    return standing.used


def money_for(calls: int, client) -> Decimal:
    """So much that the most which that many calls may cost fits, and no more."""
    quote = quote_of(client.model(f"{PROVIDER}/{MODEL}"), REQUEST)
    return Decimal(quote.cost.nanos * calls + quote.cost.nanos // 2) / DOLLAR


async def test_of_200_calls_at_once_a_budget_for_10_admits_10(store: LimitStore):
    shop = Shop()
    async with MockProvider("openai-chat", model=shop) as mock, client_of(mock.url) as client:
        budget = Budget(money_for(ADMITTED, client), name="till")
        model = Budgeted(client.model(f"{PROVIDER}/{MODEL}"), budget, store=store)
        calls = [asyncio.create_task(outcome(model, Call())) for _ in range(200)]
        await soon(shop.until_called(ADMITTED))
        for ended in islice(asyncio.as_completed(calls), 200 - ADMITTED):
            assert await soon(ended) == "refused"
        shop.open.set()
        outcomes = await soon(asyncio.gather(*calls))
        costs = [int(each) for each in outcomes if each != "refused"]
        assert (shop.calls, len(costs)) == (ADMITTED, ADMITTED)
        assert await used(store) == sum(costs) == sent(mock) > 0


async def test_of_200_calls_of_two_processes_a_budget_for_10_admits_10(redis_url: str):
    shop = Shop()
    async with MockProvider("openai-chat", model=shop) as mock, client_of(mock.url) as client:
        limit = str(money_for(ADMITTED, client))
        program = str(Path(__file__).with_name("shop.py"))
        processes = [
            await asyncio.create_subprocess_exec(
                *(sys.executable, program, mock.url, redis_url, limit),
                stdout=asyncio.subprocess.PIPE,
            )
            for _ in range(2)
        ]
        try:
            outcomes = await soon(watched(processes, shop))
        finally:
            for process in processes:
                if process.returncode is None:
                    process.kill()
                await process.wait()
        costs = [int(each) for each in outcomes if each != "refused"]
        assert (shop.calls, len(costs)) == (ADMITTED, ADMITTED)
        store = RedisLimits(redis_url, timeout=60)
        assert await used(store) == sum(costs) == sent(mock) > 0
        await store.aclose()


async def watched(processes: list[asyncio.subprocess.Process], shop: Shop) -> list[str]:
    """The outcomes of all calls. The shop opens when all that are refused have been."""
    outcomes: list[str] = []

    async def listen(process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        async for line in process.stdout:
            outcomes.append(line.decode().strip())
            if len(outcomes) == 2 * PER_PROCESS - ADMITTED:
                assert set(outcomes) == {"refused"}
                shop.open.set()

    await asyncio.gather(*map(listen, processes))
    assert len(outcomes) == 2 * PER_PROCESS
    return outcomes


async def test_what_was_refused_fits_again_once_others_cost_less_than_they_might(
    store: LimitStore,
):
    shop = Shop()
    shop.open.set()
    async with MockProvider("openai-chat", model=shop) as mock, client_of(mock.url) as client:
        budget = Budget(money_for(1, client), name="till")
        model = Budgeted(client.model(f"{PROVIDER}/{MODEL}"), budget, store=store)
        one_after_the_other = [await soon(outcome(model, Call())) for _ in range(3)]
        assert "refused" not in one_after_the_other[:1]
        assert await used(store) == sent(mock)


async def test_calls_that_are_cancelled_anywhere_leave_the_budget_and_the_ledger_in_step(
    store: LimitStore,
):
    shop = Shop()
    async with MockProvider("openai-chat", model=shop) as mock, client_of(mock.url) as client:
        budget = Budget(money_for(60, client), name="till")
        model = Budgeted(client.model(f"{PROVIDER}/{MODEL}"), budget, store=store)
        calls = [Call() for _ in range(40)]
        tasks = [asyncio.create_task(outcome(model, call)) for call in calls]
        await soon(shop.until_called(len(calls)))
        for task in tasks[::2]:
            task.cancel()
        shop.open.set()
        await soon(asyncio.wait(tasks))
        ledger = [attempt.usage.cost.nanos for call in calls for attempt in call.attempts]
        assert len(ledger) == len(calls)
        assert await used(store) == sum(ledger)
        finished = [int(task.result()) for task in tasks[1::2]]
        assert sum(finished) == sent(mock)
        reserved = quote_of(model, REQUEST).cost.nanos
        assert all(0 < cost <= reserved for cost in ledger)
