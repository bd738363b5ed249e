"""Key pools, over HTTP: the next key when one is refused or used up."""

import pytest

from polyvox import AsyncClient
from polyvox.errors import AuthenticationError, ConfigurationError, RateLimitError
from polyvox.routing import Router, key_pool
from polyvox.secret import Secret
from polyvox.testing import MockProvider

MODEL = "openai/gpt-5-mini"
KEYS = ["sk-first-0000", "sk-second-0000", "sk-third-0000"]


def keys_seen(mock: MockProvider) -> list[str]:
    return [request.headers["authorization"].removeprefix("Bearer ") for request in mock.requests]


@pytest.mark.parametrize("status", [401, 403, 429])
async def test_a_key_that_is_refused_or_used_up_makes_way_for_the_next(status: int):
    script = [
        {"message": {"content": "x"}, "knobs": {"status": status}},
        {"message": {"content": "Hello."}, "repeat": True},
    ]
    async with (
        MockProvider("openai-chat", script) as mock,
        AsyncClient(base_urls={"openai": mock.url}) as client,
    ):
        router = Router(key_pool(client.registry, MODEL, KEYS))
        for _ in range(2):
            assert (await client.complete(router, "Hi.")).text == "Hello."
        assert keys_seen(mock) == [KEYS[0], KEYS[1], KEYS[1]]
        first, *others = router.status()
        assert (first.name, first.state) == (f"{MODEL}#1", "cooling")
        assert [status.state for status in others] == ["ready", "ready"]


async def test_the_one_key_that_is_good_is_found():
    async with (
        MockProvider("openai-chat", expect_key=KEYS[2]) as mock,
        AsyncClient(base_urls={"openai": mock.url}) as client,
    ):
        router = Router(key_pool(client.registry, MODEL, [KEYS[0], KEYS[1], Secret(KEYS[2])]))
        assert (await client.complete(router, "Hi.")).text == "Hi."
        assert keys_seen(mock) == KEYS


async def test_when_every_key_is_refused_no_error_tells_one():
    async with (
        MockProvider("openai-chat", expect_key="sk-none-of-them") as mock,
        AsyncClient(base_urls={"openai": mock.url}) as client,
    ):
        router = Router(key_pool(client.registry, MODEL, KEYS))
        with pytest.raises(AuthenticationError) as refused:
            await client.complete(router, "Hi.")
        with pytest.raises(RateLimitError) as cooling:
            await client.complete(router, "Hi.")
        assert len(refused.value.attempts) == len(mock.requests) == 3
        told = repr(
            (
                str(refused.value),
                str(cooling.value),
                router.status(),
                router.pool.lanes[0].deployment,
            )
        )
        assert not [key for key in KEYS if key in told]


async def test_the_settings_hold_for_each_key():
    async with AsyncClient() as client:
        pool = key_pool(client.registry, MODEL, KEYS, rpm=7, name="mini")
    assert [(each.name, each.rpm) for each in pool] == [("mini#1", 7), ("mini#2", 7), ("mini#3", 7)]


@pytest.mark.parametrize("keys", [[], "sk-just-one"])
async def test_what_is_no_list_of_keys_is_an_error(keys):
    async with AsyncClient() as client:
        with pytest.raises(ConfigurationError, match="list of keys"):
            key_pool(client.registry, MODEL, keys)
