"""Two gateways on one Redis and one PostgreSQL: budgets are shared, keys are seen, Redis may be away."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime
from typing import Any

import aiohttp
import pytest

from gateway.database.proxy import Proxy
from gateway.running import Running
from polyvox.testing import Knobs, MockProvider
from redis_server import RedisServer, start_redis

from .rig import WORDS, Outcome, ask, asked_of, get, metric, nanos_of, new_key, toml, until, used

ALLOWED, ASKED = 7, 24
ANSWER = {"message": {"content": WORDS}, "repeat": True}
REDIS_DOWN = "the Redis of the limits can't be used"
LINES_A_MINUTE = 10
BOUNDED_SECONDS = 20.0
"""Nobody waits so long for a Redis that may take half a second."""


@pytest.fixture
def replicas(
    running: Callable[..., Running], postgres_url: str
) -> Callable[..., tuple[Running, Running]]:
    """Two gateways with these providers, which share what they can."""

    def start(
        mocks: dict[str, MockProvider], redis: str, on_failure: str = "deny"
    ) -> tuple[Running, Running]:
        gateway = f'database = "{postgres_url}"\nreload_seconds = 0.2'
        accounts = f'[accounts]\nkind = "redis"\nurl = "{redis}"\non_failure = "{on_failure}"'
        config = toml(mocks, gateway, accounts)
        return running(config), running(config)

    return start


@asynccontextmanager
async def holding() -> AsyncIterator[MockProvider]:
    """A provider that answers when it is let, or so many wait as nobody asks for."""
    knobs = Knobs(hold_until=10_000, hold_limit=60)
    async with MockProvider("openai-chat", script={"fast": [ANSWER]}, knobs=knobs) as mock:
        yield mock


async def ask_all(
    gateways: tuple[Running, ...], key: str, mock: MockProvider, many: int = ASKED, **more: Any
) -> list[Outcome]:
    """Ask so many at once, in turns at each gateway; who gets through waits until the others are told."""
    outcomes = [Outcome("mark-7") for _ in range(many)]
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
        tasks = [
            asyncio.create_task(ask(http, gateways[number % len(gateways)].url, key, each, **more))
            for number, each in enumerate(outcomes)
        ]

        async def all_are_in_or_out() -> bool:
            return mock.ledger().in_flight + sum(each.finished for each in outcomes) == many

        await until(all_are_in_or_out)
        mock.release()
        await asyncio.gather(*tasks)
    return outcomes


async def price_of_one(gateway: Running, mock: MockProvider) -> int:
    """What is reserved for a call, in nano-dollars, seen while it is under way."""
    key = (await new_key(gateway, "$1000"))["secret"]
    async with aiohttp.ClientSession() as http:
        outcome = Outcome("mark-7")
        asking = asyncio.create_task(ask(http, gateway.url, key, outcome))
        await mock.wait_for_request()
        (left,) = (await get(gateway, "/v1/key", key))["limits"]
        mock.release()
        await asking
    assert outcome.good
    return int(left["reserved"])


def dollars(nanos: int) -> str:
    return f"{nanos // 10**9}.{nanos % 10**9:09d}"


async def known(gateway: Running, key: str) -> bool:
    """Whether it lets this key in."""
    headers = {"authorization": f"Bearer {key}"}
    async with (
        aiohttp.ClientSession() as http,
        http.get(f"{gateway.url}/v1/key", headers=headers) as answer,
    ):
        return answer.status == 200


async def test_exactly_so_many_pass_as_a_budget_allows_over_both(replicas, redis_url) -> None:
    async with holding() as mock:
        gateways = replicas({"lab": mock}, redis_url)
        price = await price_of_one(gateways[0], mock)
        key = (await new_key(gateways[0], dollars(ALLOWED * price)))["secret"]
        await until(lambda: known(gateways[1], key))
        outcomes = await ask_all(gateways, key, mock)
        assert sorted(each.status for each in outcomes) == [200] * ALLOWED + [402] * (
            ASKED - ALLOWED
        ), {each.text for each in outcomes}
        spent = {await used(each, key) for each in gateways}
        assert len(spent) == 1
        assert 0 < spent.pop() < ALLOWED * price


async def test_each_end_user_has_a_budget_over_both(replicas, redis_url) -> None:
    async with holding() as mock:
        gateways = replicas({"lab": mock}, redis_url)
        price = await price_of_one(gateways[0], mock)
        await asked_of(gateways[0], "POST", "/admin/organisations", {"name": "acme"})
        budgets = {"purse": {"limit": dollars(ALLOWED * price)}}
        users = "/admin/organisations/acme/end_users"
        await asked_of(gateways[0], "POST", users, {"name": "*", "budgets": budgets})
        key = (await new_key(gateways[0], organisation="acme"))["secret"]
        await until(lambda: known(gateways[1], key))
        for user in ("somebody", "somebody else"):
            outcomes = await ask_all(gateways, key, mock, polyvox={"end_user": user})
            assert sum(each.good for each in outcomes) == ALLOWED
            assert {each.status for each in outcomes} == {200, 402}


async def test_what_changes_on_one_holds_on_the_other_soon(replicas, redis_url) -> None:
    async with (
        MockProvider("openai-chat", script={"fast": [ANSWER]}) as mock,
        aiohttp.ClientSession() as http,
    ):
        one, other = replicas({"lab": mock}, redis_url)
        made = await new_key(one)
        key, path = made["secret"], f"/admin/keys/{made['key']['id']}"

        async def answers(status: int) -> bool:
            outcome = Outcome("mark-1")
            await ask(http, other.url, key, outcome)
            return outcome.status == status

        await until(lambda: answers(200))
        await asked_of(one, "PUT", path, made["key"] | {"models": ["lab/slow"]})
        await until(lambda: answers(403))
        await asked_of(one, "PUT", path, made["key"] | {"models": ["*"]})
        await until(lambda: answers(200))
        await asked_of(one, "POST", f"{path}/revoke")
        await until(lambda: answers(401))


async def is_said(gateway: Running, words: str) -> bool:
    return any(words in each for each in (await get(gateway, "/health"))["degraded"])


async def passes(http: aiohttp.ClientSession, gateway: Running, key: str) -> bool:
    outcome = Outcome("mark-7")
    await ask(http, gateway.url, key, outcome)
    return outcome.good


@contextmanager
def silent(proxy: Proxy, server: RedisServer) -> Iterator[None]:
    """Its packets are dropped."""
    proxy.silent = True
    yield
    proxy.silent = False


@contextmanager
def scriptless(proxy: Proxy, server: RedisServer) -> Iterator[None]:
    """It answers, but carries out no scripts, as some that stand in front of a Redis do."""
    server.do("ACL SETUSER default -@scripting")
    yield
    server.do("ACL SETUSER default +@all")


def told_of(gateway: Running, wanted: Callable[[dict[str, Any]], bool]) -> list[dict[str, Any]]:
    """The lines of its log that are wanted."""
    return [line for line in map(json.loads, gateway.log.splitlines()) if wanted(line)]


@pytest.mark.parametrize("trouble", [silent, scriptless])
@pytest.mark.parametrize("on_failure", ["deny", "allow"])
async def test_a_redis_in_trouble_degrades_as_it_is_said_and_nobody_waits(
    on_failure: str, trouble, replicas, redis_server, redis_url
) -> None:
    fate = "are refused" if on_failure == "deny" else "are not counted"
    async with (
        MockProvider("openai-chat", script={"fast": [ANSWER]}) as mock,
        Proxy(redis_server.port) as proxy,
        aiohttp.ClientSession() as http,
    ):
        url = redis_url.replace(f":{redis_server.port}/", f":{proxy.port}/")
        gateways = await asyncio.to_thread(replicas, {"lab": mock}, url, on_failure)
        key, free = [(await new_key(gateways[0], limit))["secret"] for limit in ("$1000", None)]
        for each in gateways:
            await until(lambda each=each: known(each, free))
            assert await passes(http, each, key)
        with trouble(proxy, redis_server):
            async with asyncio.timeout(BOUNDED_SECONDS):
                limited = await asked_by(http, gateways, key)
                unlimited = await asked_by(http, gateways, free)
            limited += [each for _ in range(4) for each in await asked_by(http, gateways, key)]
            wanted = {503} if on_failure == "deny" else {200}
            assert {each.status for each in limited} == wanted, {each.text for each in limited}
            assert {each.status for each in unlimited} == {200}
            assert not any(str(proxy.port) in each.text for each in limited)
            for each in gateways:
                assert await is_said(each, REDIS_DOWN)
                assert await is_said(each, fate)
                (left,) = (await get(each, "/v1/key", key))["limits"]
                assert left["used"] is None, "nobody can tell"
                assert await metric(each, "store_up", store="limits") == 0

        async def is_well(gateway: Running) -> bool:
            return await passes(http, gateway, key) and not await is_said(gateway, REDIS_DOWN)

        for each in gateways:
            await until(lambda each=each: is_well(each))
            assert await metric(each, "store_up", store="limits") == 1
            assert await asyncio.to_thread(each.stop) == 0
            why = told_of(each, lambda line: "Redis" in line.get("text", ""))
            outages = len(why) // 2  # one, unless the machine is so slow that Redis seems to be
            assert [line["about"] for line in why] == ["warning", "info"] * outages, why
            assert trouble is silent or any("permissions" in line["text"] for line in why)
            refused = told_of(each, lambda line: line.get("status") == 503)
            times = [datetime.fromisoformat(line["at"]).timestamp() for line in refused]
            minutes = (times[-1] - times[0]) // 60 + 1 if refused else 0
            assert len(refused) <= LINES_A_MINUTE * minutes, "not a line for each call"
            assert bool(refused) is (on_failure == "deny")
            assert "Traceback" not in each.log


async def asked_by(
    http: aiohttp.ClientSession, gateways: tuple[Running, ...], key: str
) -> list[Outcome]:
    """Many at once."""
    outcomes = [Outcome("mark-7") for _ in range(ASKED)]
    await asyncio.gather(
        *(
            ask(http, gateways[number % len(gateways)].url, key, each)
            for number, each in enumerate(outcomes)
        )
    )
    return outcomes


async def test_what_was_used_while_redis_was_gone_is_counted_when_it_is_back(replicas) -> None:
    async with holding() as mock, aiohttp.ClientSession() as http:
        with start_redis() as redis:
            one, _ = replicas({"lab": mock}, redis.url)
            key = (await new_key(one, "$1000"))["secret"]
            outcome = Outcome("mark-7")
            asking = asyncio.create_task(ask(http, one.url, key, outcome))
            await mock.wait_for_request()
            redis.stop()
            mock.release()
            await asking
            assert outcome.good, "its caller has the answer all the same"
            await until(lambda: is_said(one, REDIS_DOWN))
            redis.start()
            await until(lambda: known(one, key))
            price = nanos_of(mock.ledger().served[0])

            async def is_counted() -> bool:
                return await used(one, key) == price

            await until(is_counted)
            assert not await is_said(one, REDIS_DOWN)


async def test_a_budget_of_the_file_that_cannot_be_counted_is_told_as_that_of_a_key(
    running, postgres_url
) -> None:
    """It stands behind the gate of keys, where the call may come just before Redis is found to be gone."""
    async with (
        MockProvider("openai-chat", script={"fast": [ANSWER]}) as mock,
        aiohttp.ClientSession() as http,
    ):
        with start_redis() as redis:
            gateway = running(
                toml(
                    {"lab": mock},
                    f'database = "{postgres_url}"',
                    f'[accounts]\nkind = "redis"\nurl = "{redis.url}"\n[budgets.house]\nlimit = "$10"',
                )
            )
            key = (await new_key(gateway))["secret"]
            assert await passes(http, gateway, key)
            redis.stop()
            for stream in (False, True):
                outcome = Outcome("mark-7")
                await ask(http, gateway.url, key, outcome, stream=stream)
                assert outcome.status == 503, outcome.text
                assert "can't count just now" in outcome.text
                assert str(redis.port) not in outcome.text
