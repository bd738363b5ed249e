"""The budgets of the file know, after whatever a gateway ended of, what was spent before."""

import asyncio
import json
import re
import signal
from collections.abc import Callable

import aiohttp
import pytest

from gateway.running import Running
from polyvox.limits.money import nanos_of
from polyvox.testing import Knobs, MockProvider

from .rig import WORDS, Outcome, ask, get, metric, toml, until, used
from .rig import nanos_of as cost_of

KEY = "pv-build0001-7hGf3kLm9pQr2sTv5wXy8zA1bC4dE6nJ0uK3iO6eM9"
CONFIG = f"""
[budgets.house]
limit = "$0.10"

[gateway.keys.build]
key = "{KEY}"
budget = {{ limit = "$1000" }}
"""
DEAR = 1_000_000
"""So many tokens cost more than the house has."""

ANSWER = {"message": {"content": WORDS}, "repeat": True}
_TOLD = re.compile(r"\$([\d.]+) spent, \$([\d.]+) reserved")


async def call(gateway: Running, **more: object) -> Outcome:
    outcome = Outcome("mark-1")
    async with aiohttp.ClientSession() as http:
        await ask(http, gateway.url, KEY, outcome, **more)
    return outcome


async def used_of_house(gateway: Running) -> int:
    """What the budget of the file has used, in nano-dollars, as a refusal tells it."""
    refused = await call(gateway, max_tokens=DEAR)
    assert refused.status == 402, refused.text
    message = json.loads(refused.text)["error"]["message"]
    assert "'house'" in message
    found = _TOLD.search(message)
    assert found is not None, message
    return nanos_of(found[1], "spent") + nanos_of(found[2], "reserved")


async def spend(gateway: Running, mock: MockProvider, calls: int = 2) -> int:
    """What these calls have cost."""
    for _ in range(calls):
        assert (await call(gateway)).good
    cost = sum(map(cost_of, mock.ledger().served))
    assert cost > 0
    assert await used_of_house(gateway) == cost
    return cost


def again(gateway: Running, ending: str) -> None:
    """End it so, and start it again."""
    if ending == "SIGTERM":
        assert gateway.stop() == 0
    else:
        gateway.kill()
    gateway.start()


@pytest.mark.parametrize("ending", ["SIGTERM", "SIGKILL"])
async def test_a_budget_of_the_file_goes_on_where_it_stood(
    ending: str, running: Callable[..., Running], database_url: str
) -> None:
    async with MockProvider("openai-chat", script={"fast": [ANSWER]}) as mock:
        gateway = running(toml({"lab": mock}, f'database = "{database_url}"', CONFIG))
        for _ in range(2):
            cost = await spend(gateway, mock)
            await asyncio.to_thread(again, gateway, ending)

            async def stands(cost: int = cost) -> bool:
                house, key = await used_of_house(gateway), await used(gateway, KEY)
                assert house <= cost
                return house == key == cost

            await until(stands)


async def test_of_a_call_that_is_killed_what_was_reserved_stays_debited(
    running: Callable[..., Running],
) -> None:
    knobs = Knobs(hold_until=10_000, hold_limit=60)
    async with MockProvider("openai-chat", script={"fast": [ANSWER]}, knobs=knobs) as mock:
        gateway = running(toml({"lab": mock}, more=CONFIG))
        asking = asyncio.create_task(call(gateway))
        await mock.wait_for_request()
        reserved = await used_of_house(gateway)
        assert reserved > 0
        await asyncio.to_thread(gateway.kill)
        with pytest.raises(aiohttp.ClientError):
            await asking
        await asyncio.to_thread(gateway.start)

        async def stands() -> bool:
            return await used_of_house(gateway) == await used(gateway, KEY) == reserved

        await until(stands)


async def test_a_configuration_that_is_read_anew_finds_budgets_and_limits_as_they_stood(
    running: Callable[..., Running],
) -> None:
    limits = '[limits.rare]\nrequests = 3\nper = "day"\nmodels = ["lab/fast"]\n'
    async with MockProvider("openai-chat", script={"fast": [ANSWER]}) as mock:
        config = toml({"lab": mock}, more=CONFIG + limits + '[aliases]\nold = "lab/fast"\n')
        gateway = running(config)
        cost = await spend(gateway, mock)
        file = gateway.folder / "polyvox.toml"
        file.write_text(config.replace("old =", "new ="), encoding="utf-8")
        gateway.process.send_signal(signal.SIGHUP)

        async def is_in_place() -> bool:
            return "new" in [model["id"] for model in (await get(gateway, "/v1/models"))["data"]]

        await until(is_in_place)
        assert await used_of_house(gateway) == cost
        assert [(await call(gateway)).status for _ in range(2)] == [200, 429]


async def test_budgets_that_count_in_redis_are_debited_once_whoever_ends(
    running: Callable[..., Running], redis_url: str, postgres_url: str
) -> None:
    accounts = f'[accounts]\nkind = "redis"\nurl = "{redis_url}"\n'
    async with MockProvider("openai-chat", script={"fast": [ANSWER]}) as mock:
        config = toml({"lab": mock}, f'database = "{postgres_url}"', accounts + CONFIG)
        one, other = running(config), running(config)
        assert (await call(one)).good
        cost = await spend(other, mock)
        await asyncio.to_thread(one.kill)
        assert await asyncio.to_thread(other.stop) == 0
        for gateway in (one, other):
            await asyncio.to_thread(gateway.start)
            assert await used_of_house(gateway) == cost
            assert await used(gateway, KEY) == cost


async def test_the_administrator_sees_what_is_left_of_them(
    running: Callable[..., Running],
) -> None:
    async with MockProvider("openai-chat", script={"fast": [ANSWER]}) as mock:
        config = toml({"lab": mock}, more=CONFIG)
        gateway = running(config)
        cost = await spend(gateway, mock)
        house, build = (await get(gateway, "/admin/limits"))["data"]
        assert (house["level"], house["name"], house["used"]) == ("file", "house", cost)
        assert (build["title"], build["used"]) == ("key build", cost)
        assert (await get(gateway, "/admin/limits?key=build"))["data"] == [house, build]
        labels = {"level": "file", "budget": "house"}
        assert await metric(gateway, "budget_limit_dollars", **labels) == 0.1

        async def is_measured() -> bool:
            return await metric(gateway, "budget_left_dollars", **labels) < 0.1

        await until(is_measured)
