"""A Redis that loses its data is told again what was used: once, whoever tells it, and however often."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from redis.asyncio import Redis

from polyvox.errors import NetworkError
from polyvox.limits import Hold, RedisLimits
from polyvox.limits.meters import Calendar
from polyvox.limits.redis import Used
from redis_server import RedisServer, start_redis

from .rig import Turning, soon

NOW = 7
"""The number of the window that always is."""

AGE, TOTAL = Turning(), Calendar("total")
AGE.number = NOW
LIMIT = 10


def hold(amount: float, meter: Calendar = AGE, limit: float = LIMIT) -> list[Hold]:
    return [Hold("till", meter, limit, amount)]


async def used(store: RedisLimits, meter: Calendar = AGE) -> float:
    (standing,) = await store.reserve("look", hold(1000, meter))
    return standing.used


async def spend(store: RedisLimits, name: str, amount: float) -> None:
    await store.reserve(name, hold(amount, limit=1000))
    await store.settle(name, hold(amount, limit=1000), [amount])


def records(*windows: tuple[int, int]) -> Callable[[], Awaitable[Used]]:
    async def read() -> Used:
        return {"till": windows} if windows else {}

    return read


async def unread() -> Used:
    raise AssertionError("nobody needs the records")


@pytest.fixture
async def stores(redis_url: str) -> AsyncIterator[tuple[RedisLimits, RedisLimits]]:
    """Two processes that know of each other's Redis, which is empty."""
    made = RedisLimits(redis_url, timeout=30), RedisLimits(redis_url, timeout=30)
    for store in made:
        await store.restore(records())
    yield made
    for store in made:
        await store.aclose()


async def lose(server: RedisServer, *stores: RedisLimits) -> None:
    """Empty it, and let them find out."""
    server.flush()
    for store in stores:
        with pytest.raises(NetworkError, match="has lost its data"):
            await store.reserve("look", hold(1))
        assert store.restoring


@pytest.mark.parametrize(
    ("windows", "left"),
    [
        ([(NOW, 4)], 4),
        ([(NOW - 1, 4)], 0),
        ([(NOW - 1, 14)], 4),  # a debt
        ([(NOW - 2, 34), (NOW - 1, 1), (NOW, 2)], 17),
        ([(NOW, 2), (NOW - 5, 14)], 2),
        ([], 0),
    ],
)
async def test_an_account_stands_where_it_stood(stores, redis_server, windows, left: float):
    store, _ = stores
    await lose(redis_server, store)
    await store.restore(records(*windows))
    assert not store.restoring
    assert await used(store) == left
    await store.reserve("1", [Hold("till", AGE, LIMIT, 1, soft=True)])
    assert await used(store) == left + 1


async def test_what_was_used_in_total_never_drains_and_never_expires(stores, redis_server):
    store, _ = stores
    await lose(redis_server, store)
    await store.restore(records((0, 7)))
    async with Redis.from_url(redis_server.url) as redis:
        account = "{polyvox}:limits:v1:account:till"
        assert await redis.ttl(account) == -1
        assert await used(store, TOTAL) == 7
        await store.reserve("1", hold(1, TOTAL))
        assert await used(store, TOTAL) == 8
        assert set(await redis.hkeys(account)) == {b"used", b"held", b"mark"}


async def test_what_nobody_asks_for_again_expires(stores, redis_server):
    store, _ = stores
    await lose(redis_server, store)
    await store.restore(records((NOW, 7)))
    async with Redis.from_url(redis_server.url) as redis:
        assert 0 < await redis.ttl("{polyvox}:limits:v1:account:till") <= 93 * 86_400
        assert not await redis.keys("*restoring*")


async def test_an_empty_redis_that_is_found_at_the_start_is_told(redis_url: str):
    store = RedisLimits(redis_url, timeout=30)
    await store.restore(records((NOW, 4)))
    assert await used(store) == 4
    other = RedisLimits(redis_url, timeout=30)
    await other.restore(unread)
    assert await used(other) == 4
    for each in (store, other):
        await each.aclose()


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
async def test_two_that_restore_at_once_count_once_and_the_more_of_the_two(
    stores, redis_server, order: tuple[int, int]
):
    await lose(redis_server, *stores)
    read = [records((NOW - 1, 12), (NOW, 4)), records((NOW - 1, 13), (NOW, 3))]
    both_read = asyncio.Barrier(2)

    def at_once(number: int) -> Callable[[], Awaitable[Used]]:
        async def wait() -> Used:
            found = await read[number]()
            await both_read.wait()
            return found

        return wait

    await soon(
        asyncio.gather(
            *(stores[place].restore(at_once(number)) for place, number in enumerate(order))
        )
    )
    for store in stores:
        assert not store.restoring
        assert await used(store) == 3 + 4


async def test_what_another_used_meanwhile_stays_counted_and_is_not_counted_twice(
    stores, redis_server
):
    first, second = stores
    await lose(redis_server, first)
    await first.restore(records((NOW, 4)))
    await spend(first, "1", 2)
    await first.reserve("2", hold(1))
    with pytest.raises(NetworkError):  # it has to tell what only it can know
        await second.reserve("look", hold(1))
    await second.restore(records((NOW, 4 + 2)))
    assert await used(second) == 4 + 2 + 1
    await lose(redis_server, first, second)
    await first.restore(records((NOW, 6)))
    await first.reserve("3", hold(1))
    await second.restore(records((NOW, 6 + 2)))  # 2 were not recorded when the first one asked
    assert await used(first) == 6 + 2 + 1


async def test_a_call_that_was_under_way_is_counted_when_it_is_settled(stores, redis_server):
    store, _ = stores
    await store.reserve("1", hold(5))
    await lose(redis_server, store)
    await store.restore(records((NOW, 4)))
    assert await used(store) == 4
    await store.settle("1", hold(5), [3])
    await store.settle("1", hold(5), [3])
    assert await used(store) == 7


async def test_what_is_settled_before_the_records_are_read_counts_once(stores, redis_server):
    store, _ = stores
    await store.reserve("1", hold(5))
    redis_server.flush()
    await store.settle("1", hold(5), [3])  # which finds out as well
    assert store.restoring
    await store.restore(records((NOW, 4 + 3)))
    assert await used(store) == 7


async def test_who_allows_calls_without_redis_allows_them_until_it_is_restored(
    redis_url: str, redis_server
):
    store = RedisLimits(redis_url, timeout=30, on_store_failure="allow")
    await store.restore(records())
    redis_server.flush()
    assert await store.reserve("1", hold(1000)) == []
    assert store.restoring
    await store.settle("1", hold(1000), [3])
    await store.restore(records((NOW, 2)))
    assert await used(store) == 3, "of the two, the more"
    await store.aclose()


async def test_what_was_owed_before_stands_in_the_records_and_is_not_debited_again():
    with start_redis() as server:
        store = RedisLimits(server.url, timeout=5)
        await store.restore(records())
        await store.reserve("1", hold(5))
        server.stop()
        await store.settle("1", hold(5), [3])
        assert store.owed == 1
        server.start()
        await soon(found_out(store))
        assert store.owed == 1
        with pytest.raises(ZeroDivisionError):
            await store.restore(fail)
        assert store.owed == 1, "it is not in the records for sure"
        await store.restore(records((NOW, 4 + 3)))
        assert store.owed == 0
        assert await used(store) == 7
        await store.aclose()


async def fail() -> Used:
    raise ZeroDivisionError


async def found_out(store: RedisLimits) -> None:
    """Ask until Redis is asked again, and says that it has forgotten."""
    while not store.restoring:
        with pytest.raises(NetworkError):
            await store.reserve("look", hold(1))
        await asyncio.sleep(0)


async def test_what_was_owed_before_redis_was_first_seen_is_paid_to_one_that_remembers():
    with start_redis() as server:
        one, late = (RedisLimits(server.url, timeout=5) for _ in range(2))
        late.on_store_failure = "allow"
        await one.restore(records())
        await spend(one, "1", 2)
        async with Redis.from_url(server.url) as redis:
            kept = {key: await redis.dump(key) for key in await redis.keys()}
        server.stop()
        with pytest.raises(NetworkError):
            await late.restore(unread)
        assert await late.reserve("2", hold(5)) == []
        await late.settle("2", hold(5), [3])
        server.start()
        async with Redis.from_url(server.url) as redis:
            for key, value in kept.items():
                await redis.restore(key, 0, value)
        await soon(known(late))
        await soon(paid(late))
        assert await used(late) == 5
        for store in (one, late):
            await store.aclose()


async def known(store: RedisLimits) -> None:
    while store.restoring:
        try:
            await store.restore(unread)
        except NetworkError:
            await asyncio.sleep(0)


async def paid(store: RedisLimits) -> None:
    while store.owed:
        await store.reserve("look", hold(1000))


async def test_a_redis_that_forgets_again_while_it_is_told_is_told_again(stores, redis_server):
    store, _ = stores
    await lose(redis_server, store)

    async def forgetful() -> Used:
        redis_server.flush()
        return {"till": [(NOW, 4)]}

    with pytest.raises(NetworkError, match="again"):
        await store.restore(forgetful)
    assert store.restoring
    with pytest.raises(NetworkError):
        await store.reserve("look", hold(1))
    await store.restore(records((NOW, 4)))
    assert await used(store) == 4


async def test_many_accounts_are_told_in_several_goes(stores, redis_server, monkeypatch):
    monkeypatch.setattr("polyvox.limits.redis._WINDOWS_AT_ONCE", 3)
    store, _ = stores
    await lose(redis_server, store)

    async def many() -> Used:
        return {f"till {number}": [(NOW - 1, 0), (NOW, number)] for number in range(1, 8)}

    await store.restore(many)
    for number in range(1, 8):
        (standing,) = await store.reserve("look", [Hold(f"till {number}", AGE, LIMIT, 1000)])
        assert standing.used == number


async def test_it_is_logged_once_that_redis_has_forgotten_and_once_that_it_knows_again(
    stores, redis_server, caplog: pytest.LogCaptureFixture
):
    caplog.set_level("INFO", "polyvox.limits.redis")
    store, _ = stores
    for _ in range(2):
        await lose(redis_server, store, store, store)
        await store.restore(records((NOW, 4)))
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"] * 2


async def test_without_records_a_redis_that_forgets_begins_anew(redis_url: str, redis_server):
    store = RedisLimits(redis_url, timeout=30)
    await spend(store, "1", 4)
    assert await used(store) == 4
    redis_server.flush()
    assert await used(store) == 0
    assert not store.restoring
    await store.aclose()
