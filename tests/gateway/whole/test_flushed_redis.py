"""A Redis that loses its data is told from the database what budgets have used."""

import asyncio
from collections.abc import Callable

import aiohttp
import psycopg
import pytest

from gateway.running import Running
from polyvox.testing import Knobs, MockProvider
from redis_server import RedisServer, start_redis

from .rig import (
    DEAREST,
    WORDS,
    Books,
    Callers,
    Outcome,
    ask,
    get,
    nanos_of,
    new_key,
    providers,
    script,
    shipped,
    toml,
    until,
    used,
)

ANSWER = {"message": {"content": WORDS}, "repeat": True}
LOST = "has lost its data"
BEFORE, HELD = 4, 3
CALLERS = 4
AT_FLUSH, FLUSHES = 15, 3
KEY = "pv-build0001-7hGf3kLm9pQr2sTv5wXy8zA1bC4dE6nJ0uK3iO6eM9"


def config(mocks: dict[str, MockProvider], redis: str, database: str, more: str = "") -> str:
    gateway = f'database = "{database}"\nreload_seconds = 0.2'
    return toml(mocks, gateway, f'[accounts]\nkind = "redis"\nurl = "{redis}"\n{more}')


async def call(gateway: Running, key: str) -> Outcome:
    outcome = Outcome("mark-1")
    async with aiohttp.ClientSession() as http:
        await ask(http, gateway.url, key, outcome)
    return outcome


async def passes(gateway: Running, key: str) -> bool:
    """Whether a call gets through; if not, it is only because Redis isn't ready."""
    outcome = await call(gateway, key)
    assert outcome.status in (200, 503), outcome.text
    return outcome.good


async def is_restored(gateway: Running) -> bool:
    parts = (await get(gateway, "/health"))["parts"]
    return any(part["name"] == "redis (limits)" and part["state"] == "up" for part in parts)


def spent(mock: MockProvider) -> int:
    """By the provider's own book."""
    return sum(map(nanos_of, mock.ledger().served))


@pytest.mark.parametrize("loss", ["flushed", "started again", "started again beside the gateway"])
async def test_budgets_go_on_where_they_stood(
    loss: str, running: Callable[..., Running], postgres_url: str
) -> None:
    async with MockProvider("openai-chat", script={"fast": [ANSWER]}) as mock:
        with start_redis() as redis:
            gateway = running(config({"lab": mock}, redis.url, postgres_url))
            key = (await new_key(gateway, "$1000"))["secret"]
            for _ in range(BEFORE):
                assert (await call(gateway, key)).good
            if loss == "flushed":
                redis.flush()
            elif loss == "started again":
                redis.stop()
                redis.start()
            else:
                assert await asyncio.to_thread(gateway.stop) == 0
                redis.flush()
                await asyncio.to_thread(gateway.start)
            await until(lambda: passes(gateway, key))
            assert await used(gateway, key) == spent(mock)
            assert len(mock.ledger().served) == BEFORE + 1


async def test_what_two_gateways_used_is_put_back_once_and_calls_under_way_are_counted(
    running: Callable[..., Running], redis_server: RedisServer, redis_url: str, postgres_url: str
) -> None:
    knobs = Knobs(hold_until=10_000, hold_limit=60)
    held = MockProvider("openai-chat", script={"fast": [ANSWER]}, knobs=knobs)
    async with MockProvider("openai-chat", script=script()) as mock, held:
        keys = f'[gateway.keys.build]\nkey = "{KEY}"\nbudget = {{ limit = "$1000" }}\n'
        both = config({"lab": mock, "held": held}, redis_url, postgres_url, keys)
        gateways = running(both), running(both)
        async with aiohttp.ClientSession() as http:
            outcomes = [Outcome("mark-2") for _ in range(HELD)]
            waiting = [
                asyncio.create_task(ask(http, gateways[place % 2].url, KEY, each, "held/fast"))
                for place, each in enumerate(outcomes)
            ]
            for _ in waiting:
                await held.wait_for_request()
            for gateway in (*gateways, *gateways):
                assert (await call(gateway, KEY)).good
            for gateway in gateways:
                await until(lambda gateway=gateway: shipped(gateway))
            redis_server.flush()
            await asyncio.gather(
                *(until(lambda gateway=gateway: passes(gateway, KEY)) for gateway in gateways)
            )
            for gateway in gateways:
                assert await is_restored(gateway)
                assert await used(gateway, KEY) == spent(mock)
            held.release()
            await asyncio.gather(*waiting)
        assert all(each.good for each in outcomes)
        for gateway in gateways:
            assert await used(gateway, KEY) == spent(mock) + spent(held)


async def test_until_the_database_has_told_calls_are_refused_and_health_says_why(
    running: Callable[..., Running],
    redis_server: RedisServer,
    redis_url: str,
    postgres_url: str,
) -> None:
    async with MockProvider("openai-chat", script=script()) as mock:
        gateway = running(config({"lab": mock}, redis_url, postgres_url))
        limited, free = [(await new_key(gateway, limit))["secret"] for limit in ("$1000", None)]
        assert (await call(gateway, limited)).good
        await until(lambda: shipped(gateway))
        with psycopg.connect(postgres_url) as blocking:
            blocking.execute("LOCK TABLE balances")
            redis_server.flush()
            refused = await call(gateway, limited)
            assert refused.status == 503, refused.text
            assert (await call(gateway, free)).good
            told = (await get(gateway, "/health"))["degraded"]
            assert any(LOST in each and "are refused" in each for each in told), told
            assert await used(gateway, limited) is None, "nobody can tell"
        await until(lambda: is_restored(gateway))
        told = (await get(gateway, "/health"))["degraded"]
        assert not any(LOST in each for each in told)
        assert await used(gateway, limited) == spent(mock) // 2


async def test_a_redis_flushed_under_load_lets_pass_no_more_than_was_in_flight(
    running: Callable[..., Running], redis_server: RedisServer, redis_url: str, postgres_url: str
) -> None:
    async with providers() as mocks:
        gateway = running(config(mocks, redis_url, postgres_url))
        assert (await call(gateway, (await new_key(gateway))["secret"])).good
        price = before = spent(mocks["lab"])
        limit = (AT_FLUSH * (FLUSHES + 1)) * price
        key = (await new_key(gateway, f"{limit / 10**9:.9f}"))["secret"]
        callers = Callers(gateway, key, ["lab/fast", "lab/slow", "den/slow"], seed=7)
        asking = asyncio.create_task(callers.run(CALLERS))

        async def good(many: int) -> bool:
            return sum(each.good for each in callers.outcomes) >= many

        for flush in range(1, FLUSHES + 1):
            await until(lambda flush=flush: good(AT_FLUSH * flush))
            redis_server.flush()

        async def is_spent() -> bool:
            return any(each.status == 402 for each in callers.outcomes)

        await until(is_spent)
        callers.over.set()
        await asking
        total = sum(map(spent, mocks.values())) - before
        assert total <= limit + FLUSHES * CALLERS * DEAREST
        books = Books(postgres_url)

        async def is_recorded() -> bool:
            return books.spent("purse") == total

        await until(is_recorded)
        known = await used(gateway, key)
        assert known is not None
        assert total - FLUSHES * CALLERS * DEAREST <= known <= total
