"""Where a machine should be that has the stores, every packet is dropped: nobody waits for it to answer."""

import asyncio
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import aiohttp
import pytest

from polyvox.gateway.tenants.keys import make_key

from .rig import Outcome, ask, get, metric, new_key, providers, toml

BOUNDED_SECONDS = 60.0
"""Nobody waits so long: a connection may take five seconds, and few at once try to have one."""

MANY = 30
LIMITED, FREE = make_key("key_00000001"), make_key("key_00000002")
CONFIG = f"""
[gateway.keys.limited]
key = "{LIMITED}"
budget.limit = "$1000"
[gateway.keys.free]
key = "{FREE}"
[accounts]
kind = "redis"
url = "redis://127.0.0.1:{{port}}/0"
on_failure = "{{on_failure}}"
"""


@contextmanager
def black_hole() -> Iterator[int]:
    """A port where nobody learns anything: the queue is full, and Linux drops what more knocks."""
    with ExitStack() as stack:
        hole = stack.enter_context(socket.socket())
        hole.bind(("127.0.0.1", 0))
        hole.listen(0)
        port = hole.getsockname()[1]
        with pytest.raises(TimeoutError):
            fill(stack, port)
        yield port


def fill(stack: ExitStack, port: int) -> None:
    while True:
        stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=1))


@pytest.mark.skipif(
    sys.platform != "linux", reason="others refuse what does not fit into the queue"
)
@pytest.mark.parametrize("on_failure", ["deny", "allow"])
async def test_a_gateway_whose_stores_are_a_black_hole_starts_answers_and_stops(
    on_failure: str, running
) -> None:
    async with providers() as mocks, aiohttp.ClientSession() as http:
        with black_hole() as port:
            database = f'database = "postgresql://u:p@127.0.0.1:{port}/d"'
            config = toml(mocks, database, CONFIG.format(port=port, on_failure=on_failure))
            async with asyncio.timeout(BOUNDED_SECONDS):
                gateway = await asyncio.to_thread(running, config)
                limited = await ask_all(http, gateway, LIMITED)
                free = await ask_all(http, gateway, FREE)
                unknown = await ask_all(http, gateway, make_key("key_00000000"))
                assert (await get(gateway, "/ready"))["ready"], (
                    "there are keys in the configuration"
                )
                report = await get(gateway, "/health")
            assert limited == {503 if on_failure == "deny" else 200}
            assert free == {200}
            assert unknown == {503}
            assert report["status"] == "degraded"
            assert len(report["degraded"]) == 2, report["degraded"]
            for store in ("database", "limits"):
                assert await metric(gateway, "store_up", store=store) == 0
            with pytest.raises(AssertionError, match="503"):
                await new_key(gateway)
            owed = int(await metric(gateway, "limits_owed"))
            assert owed == MANY or on_failure == "deny"
            async with asyncio.timeout(BOUNDED_SECONDS):
                assert await asyncio.to_thread(gateway.stop) == 0
            assert (f"{owed} settlements are lost" in gateway.log) == (owed > 0)


async def ask_all(http: aiohttp.ClientSession, gateway: Any, key: str) -> set[int]:
    """The statuses of many calls at once."""
    outcomes = [Outcome(f"mark-{number}") for number in range(MANY)]
    await asyncio.gather(*(ask(http, gateway.url, key, each) for each in outcomes))
    return {each.status for each in outcomes}
