"""Redis as a store of limits: its keys, and what happens when it is away."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import pytest
from redis.asyncio import Redis

from polyvox.errors import AuthenticationError, ConfigurationError, NetworkError
from polyvox.limits import Budget, Budgeted, Hold, RateLimit, RateLimited, RedisLimits
from polyvox.limits.meters import Calendar, Window
from polyvox.model import Call
from polyvox.transport.redis_link import RedisLink, RedisNotAskedError
from redis_server import RedisServer, start_redis

from .rig import DOLLAR, HI, Clock, Priced, ask, dollars, soon

NOWHERE = "redis://127.0.0.1:1/0"
TOTAL = Calendar("total")


async def used(store: RedisLimits, key: str = "budget:in total:total") -> float:
    (standing,) = await store.reserve("look", [Hold(key, TOTAL, -1, 1)])
    return standing.used


@asynccontextmanager
async def black_hole() -> AsyncIterator[tuple[str, list[int]]]:
    """A server that takes connections and never says a word, and a list of those it took."""
    taken: list[int] = []

    async def swallow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        taken.append(1)
        try:
            await reader.read()
        finally:
            writer.close()

    server = await asyncio.start_server(swallow, "127.0.0.1", 0)
    async with server:
        yield f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}/0", taken


async def test_keys_stand_on_one_node_of_a_cluster_and_expire(redis_url: str):
    store = RedisLimits(redis_url, prefix="{shop}", timeout=30)
    budgets = [Budget(9, per=per, name=per) for per in ("hour", "day", "week", "month")]
    await ask(Budgeted(Priced(dollars(1)), *budgets, Budget(9), store=store))
    await ask(RateLimited(Priced(dollars(1)), RateLimit(5, 500, per="hour"), store=store))
    await store.aclose()
    async with Redis.from_url(redis_url) as redis:
        keys = [key.decode() for key in await redis.keys()]
        assert len(keys) == 9
        assert all(key.startswith("{shop}:limits:v1:") for key in keys)
        lives = {key.rpartition(":limits:v1:")[2]: await redis.ttl(key) for key in keys}
    assert lives.pop("account:budget:in total:total") == -1
    assert all(0 < life < 70 * 86_400 for life in lives.values())


async def test_a_debt_lives_as_long_as_it_takes_to_pay_it(redis_url: str):
    store = RedisLimits(redis_url, timeout=30)
    await ask(Budgeted(Priced(dollars(1), dollars(10)), Budget(1, per="hour"), store=store))
    await store.aclose()
    async with Redis.from_url(redis_url) as redis:
        assert await redis.ttl("{polyvox}:limits:v1:account:budget:per hour:hour") > 10 * 3600


async def test_a_debt_that_takes_for_ever_to_pay_is_no_error(redis_url: str):
    store, month = RedisLimits(redis_url, timeout=30), Calendar("month")
    for name in "12":
        await store.reserve(name, [Hold("a", month, 1, 0)])
        await store.settle(name, [Hold("a", month, 1, 0)], [2**52])
    assert store.state == "up"
    await store.aclose()


class Skewed(Calendar):
    """The windows of a caller whose clock is wrong by some of them."""

    __slots__ = ("ahead",)

    def __init__(self, ahead: int) -> None:
        super().__init__("hour")
        self.ahead = ahead

    def window(self, now: float) -> Window:
        number = int(now // 3600) + self.ahead
        return Window(number, number * 3600, (number + 1) * 3600)


@pytest.mark.parametrize("ahead", [-1, 0, 1])
async def test_the_clock_of_redis_says_which_window_it_is(redis_url: str, ahead: int):
    store = RedisLimits(redis_url, timeout=30)
    before = time.time() // 3600
    await store.reserve("1", [Hold("a", Skewed(ahead), 10, 10)])
    await store.aclose()
    async with Redis.from_url(redis_url) as redis:
        mark = await redis.hget("{polyvox}:limits:v1:account:a", "mark")
    assert before <= float(mark) <= time.time() // 3600


@pytest.mark.parametrize("url", [NOWHERE, "unix:///nowhere/redis.sock", "redis://name.invalid/0"])
async def test_without_redis_calls_are_denied_with_an_error_that_blames_nobody_else(url: str):
    inner = Priced(dollars(1))
    store = RedisLimits(url)
    with pytest.raises(NetworkError, match="the Redis of the limits at") as caught:
        await ask(Budgeted(inner, Budget(10), store=store))
    assert caught.value.kind == "network"
    assert "no fault of the provider or its key" in str(caught.value)
    assert (inner.asked, store.state) == (0, "down")
    await store.aclose()


async def test_without_redis_calls_may_be_allowed_and_are_charged_when_it_is_back():
    with start_redis() as server:
        server.stop()
        store = RedisLimits(server.url, on_store_failure="allow", timeout=5)
        model = Budgeted(Priced(dollars(1)), Budget(3), store=store)
        for _ in range(5):
            await ask(model)
        assert (store.state, store.owed) == ("down", 5)
        server.start()
        await soon(back(store))
        await soon(paid(store))
        assert await used(store) == 5 * DOLLAR
        await store.aclose()


async def back(store: RedisLimits) -> None:
    """Ask until Redis is asked again."""
    while store.state != "up":
        with suppress(NetworkError):
            await store.reserve("look", [Hold("other", TOTAL, -1, 1)])
        await asyncio.sleep(0)


async def paid(store: RedisLimits) -> None:
    while store.owed:
        await store.reserve("look", [Hold("other", TOTAL, -1, 1)])


async def test_what_a_call_used_while_redis_was_away_is_debited_when_it_is_back():
    gate = asyncio.Event()
    with start_redis() as server:
        store = RedisLimits(server.url, timeout=5)
        inner = Priced(dollars(1), dollars(2), gate=gate)
        model = Budgeted(inner, Budget(3), store=store)
        call = asyncio.create_task(ask(model))
        await soon(inner.waiting.wait())
        server.stop()
        gate.set()
        await call
        assert store.owed == 1
        server.start()
        await soon(back(store))
        await soon(paid(store))
        assert await used(store) == 2 * DOLLAR
        await store.aclose()


async def test_a_redis_that_never_answers_holds_nobody_up_for_long_and_is_not_asked_by_every_call():
    async with black_hole() as (url, taken):
        store = RedisLimits(url, timeout=0.05)
        model = Budgeted(Priced(dollars(1)), Budget(10), store=store)
        with pytest.raises(NetworkError, match=r"can't be used: .*"):
            await ask(model)
        before = len(taken)
        for _ in range(50):
            with pytest.raises(RedisNotAskedError):
                await ask(model)
        assert len(taken) == before
        assert store.owed == 1  # the one that may have been reserved
        await store.aclose()


async def test_many_calls_at_once_ask_a_silent_redis_only_a_few_times():
    async with black_hole() as (url, taken):
        store = RedisLimits(url, timeout=0.05)
        model = Budgeted(Priced(dollars(1)), Budget(10), store=store)
        calls = [ask(model) for _ in range(200)]
        outcomes = await soon(asyncio.gather(*calls, return_exceptions=True))
        assert all(isinstance(each, NetworkError) for each in outcomes)
        assert len(taken) <= 2 * 16  # each connection may be tried once more
        assert store.owed <= 16
        await store.aclose()


async def test_a_loop_has_no_more_than_16_commands_under_way(redis_url: str):
    link = RedisLink(redis_url, purpose="the test", timeout=60)
    under_way = most = 0

    async def command(client: Redis) -> None:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await client.ping()
        under_way -= 1

    await asyncio.gather(*(link.run(command) for _ in range(100)))
    assert most == 16
    await link.aclose()


async def test_after_a_failure_one_command_tries_and_the_pauses_grow():
    clock, tried = Clock(0), 0

    async def command(client: Redis) -> None:
        nonlocal tried
        tried += 1
        raise ConnectionResetError("gone")

    link = RedisLink(NOWHERE, purpose="the test", clock=clock)
    pauses = []
    for _ in range(9):
        failed = clock.now
        with pytest.raises(NetworkError, match="gone"):
            await link.run(command)
        while True:
            clock.now += 0.25
            several = [link.run(command) for _ in range(3)]
            results = await asyncio.gather(*several, return_exceptions=True)
            if not isinstance(results[0], RedisNotAskedError):
                break
        assert [type(each) for each in results[1:]] == [RedisNotAskedError] * 2
        pauses.append(clock.now - failed)
        clock.now += 100
    assert pauses == sorted(pauses)
    assert max(pauses) == 15
    await link.aclose()


async def test_an_outage_is_logged_once_with_its_reason_and_once_when_it_is_over(
    redis_url: str, caplog: pytest.LogCaptureFixture
):
    caplog.set_level("INFO", "polyvox.transport.redis_link")
    clock = Clock(0)
    link = RedisLink(redis_url, purpose="the test", timeout=30, clock=clock)

    async def fail(client: Redis) -> None:
        raise ConnectionResetError("gone")

    for _ in range(2):
        for _ in range(50):
            with pytest.raises(NetworkError):
                await link.run(fail)
            clock.now += 3
        clock.now += 100
        for _ in range(50):
            await link.run(lambda client: client.ping())
    await link.aclose()
    levels = [record.levelname for record in caplog.records]
    assert levels == ["WARNING", "INFO"] * 2
    assert caplog.records[0].getMessage().endswith("can't be used: gone")


async def test_a_link_that_works_again_begins_with_short_pauses(redis_url: str):
    clock = Clock(0)
    link = RedisLink(redis_url, purpose="the test", timeout=30, clock=clock)

    async def fail(client: Redis) -> None:
        raise ConnectionResetError("gone")

    for _ in range(5):
        with pytest.raises(NetworkError):
            await link.run(fail)
        clock.now += 100
    assert await link.run(lambda client: client.ping())
    with pytest.raises(NetworkError):
        await link.run(fail)
    clock.now += 0.3
    assert await link.run(lambda client: client.ping())
    assert link.state == "up"
    await link.aclose()


async def test_no_error_tells_the_password(redis_url: str):
    url = redis_url.replace("redis://", "redis://nobody:canary-4711@")
    store = RedisLimits(url, timeout=30)
    with pytest.raises(NetworkError) as caught:
        await ask(Budgeted(Priced(dollars(1)), Budget(10), store=store))
    assert not isinstance(caught.value, AuthenticationError)
    assert "canary" not in f"{caught.value!s} {caught.value!r} {store!r} {store._link!r}"
    await store.aclose()


async def test_a_call_cancelled_while_it_reserves_leaves_nothing_reserved(redis_url: str):
    store = RedisLimits(redis_url, timeout=30)
    holds = [Hold("a", TOTAL, 1000, 1)]
    await store.reserve("first", holds)
    cancelled = 0
    for turns in range(1, 15):
        reserving = asyncio.create_task(store.reserve(str(turns), holds))
        for _ in range(turns):
            await asyncio.sleep(0)
        if reserving.cancel():
            with pytest.raises(asyncio.CancelledError):
                await reserving
            cancelled += 1
        else:
            await store.settle(str(turns), holds, [0])
    assert cancelled > 3
    await store.settle("first", holds, [0])
    await store.aclose()
    store = RedisLimits(redis_url, timeout=30)
    assert await used(store, "a") == 0
    await store.aclose()


async def test_a_call_cancelled_while_it_settles_is_settled_all_the_same(redis_url: str):
    store = RedisLimits(redis_url, timeout=30)
    model = Budgeted(Priced(dollars(1), dollars(0.5)), Budget(10), store=store)
    events = model.stream(HI, Call())
    for _ in range(3):
        await anext(events)
    closing = asyncio.create_task(events.aclose())
    await asyncio.sleep(0)
    closing.cancel()
    await asyncio.wait([closing])
    await store.aclose()
    store = RedisLimits(redis_url, timeout=30)
    assert await used(store) == 0.5 * DOLLAR
    await store.aclose()


def test_one_store_serves_several_event_loops_one_after_the_other(redis_url: str):
    store = RedisLimits(redis_url, timeout=30)
    model = Budgeted(Priced(dollars(1)), Budget(3), store=store)
    for _ in range(3):
        assert asyncio.run(ask(model)).text == "Hello."
    assert asyncio.run(used(store)) == 3 * DOLLAR


async def test_a_server_that_knows_no_script_is_taught_it(redis_url: str):
    store = RedisLimits(redis_url, timeout=30)
    model = Budgeted(Priced(dollars(1)), Budget(3), store=store)
    await ask(model)
    async with Redis.from_url(redis_url) as redis:
        await redis.script_flush()
    await ask(model)
    assert await used(store) == 2 * DOLLAR
    await store.aclose()


async def test_settlements_that_pile_up_are_bounded_and_what_is_lost_is_counted(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr("polyvox.limits.redis._MOST_OWED", 3)
    store = RedisLimits(NOWHERE, on_store_failure="allow")
    model = Budgeted(Priced(dollars(1)), Budget(3), store=store)
    for _ in range(5):
        await ask(model)
    assert (store.owed, store.lost) == (3, 2)
    await store.aclose()


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch):
    for name in [name for name in sys.modules if name.partition(".")[0] == "redis"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "redis", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'polyvox\[redis\]'"):
        RedisLimits()


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (lambda: RedisLimits("http://localhost"), "a URL of Redis is malformed"),
        (lambda: RedisLimits(on_store_failure="shrug"), "on_store_failure is 'shrug'"),
    ],
)
def test_a_wrong_setting_is_refused(make: Callable[[], RedisLimits], complaint: str):
    with pytest.raises(ConfigurationError, match=complaint):
        make()


def test_the_server_of_the_tests_keeps_nothing(redis_server: RedisServer, redis_url: str):
    async def count() -> int:
        async with Redis.from_url(redis_url) as redis:
            return int(await redis.dbsize())

    assert asyncio.run(count()) == 0
