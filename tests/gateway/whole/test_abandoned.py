"""Thousands who leave in the middle of an answer leave nothing behind but their records."""

import asyncio
import random
from typing import Any

import aiohttp
import pytest

from gateway.running import Running
from polyvox.testing import Knobs, MockProvider

from .process import memory, sockets, threads
from .rig import Books, get, metric, new_key, shipped, toml, until

STREAMS, AT_ONCE, WARM = 2_000, 100, 400
MOST_GROWTH = 16 << 20
LONG = " ".join(f"word{number}" for number in range(400))
PIECES = 40


async def leave(http: aiohttp.ClientSession, gateway: Running, key: str, body: Any, after: int):
    """Ask for a stream, and go after so many bytes of it."""
    headers = {"authorization": f"Bearer {key}"}
    async with http.post(
        f"{gateway.url}/v1/chat/completions", json=body, headers=headers
    ) as answer:
        assert answer.status == 200
        seen = 0
        while seen < after:
            data = await answer.content.readany()
            assert data, "it ended by itself"
            seen += len(data)


async def leave_all(gateway: Running, key: str, many: int, chance: random.Random) -> None:
    """So many who leave at random points, some at once."""
    left = iter(range(many))

    async def one_after_another(http: aiohttp.ClientSession) -> None:
        for number in left:
            body = {
                "model": ("lab/long", "den/long")[number % 2],
                "messages": [{"role": "user", "content": "Go on."}],
                "stream": True,
            }
            await leave(http, gateway, key, body, chance.choice((0, 1, chance.randrange(5_000))))

    # A connection that is left in the middle of an answer is closed by the client.
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
        await asyncio.gather(*(one_after_another(http) for _ in range(AT_ONCE)))


@pytest.mark.parametrize("server", ["uvicorn", "granian"])
async def test_thousands_of_abandoned_streams_leave_nothing_behind(
    server: str, running, tmp_path
) -> None:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    url = f"sqlite:///{tmp_path / 'gateway.db'}"
    script = {"long": [{"message": {"content": LONG}, "repeat": True}]}
    knobs = Knobs(cut_after=8_000, cut_mode="stall", text_piece=len(LONG) // PIECES)
    async with (
        MockProvider("openai-chat", script=script, knobs=knobs) as lab,
        MockProvider("anthropic-messages", script=script, knobs=knobs) as den,
    ):
        mocks = {"lab": lab, "den": den}
        config = toml(mocks, f'database = "{url}"\nserver = "{server}"')
        gateway = running(config, watched=False)
        key = (await new_key(gateway))["secret"]
        pid = gateway.process.pid

        async def nobody_is_there() -> bool:
            return await metric(gateway, "in_flight") == 0 and not any(
                mock.ledger().in_flight for mock in mocks.values()
            )

        await leave_all(gateway, key, WARM, chance)
        await until(nobody_is_there)
        await until(lambda: shipped(gateway))
        before = sockets(pid), memory(pid), threads(pid)
        await leave_all(gateway, key, STREAMS, chance)
        await until(nobody_is_there)
        await until(lambda: shipped(gateway))

        async def sockets_are_closed() -> bool:
            return sockets(pid) <= before[0]

        await until(sockets_are_closed)
        print("sockets, memory, threads:", before, (sockets(pid), memory(pid), threads(pid)))
        assert memory(pid) - before[1] < MOST_GROWTH
        assert threads(pid) <= before[2]
        report = await get(gateway, "/health")
        assert (report["status"], report["in_flight"]) == ("ok", 0)
        served = [each for mock in mocks.values() for each in mock.ledger().served]
        assert len(served) == STREAMS + WARM
        assert {each.hung_up for each in served} == {"client"}
        rows = Books(url).rows().values()
        assert len(rows) == STREAMS + WARM
        assert {row.status for row in rows} == {"aborted"}
        assert {row.attempts for row in rows} == {1}
        assert all(row.partial for row in rows)
        assert all(row.nanos > 0 for row in rows)
