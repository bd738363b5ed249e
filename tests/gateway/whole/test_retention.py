"""Records that are too old go by themselves, while calls go on."""

import asyncio
import time

import aiohttp
from sqlalchemy import create_engine, func, insert, select
from sqlalchemy.engine import Engine

from polyvox.gateway.database.tables import attempts, calls

from .rig import Outcome, ask, new_key, providers, shipped, toml, until

DAY = 86_400
OLD, RECENT = 3_000, 10


def add(engine: Engine, name: str, many: int, days: float) -> None:
    """So many calls from so many days ago, with an attempt each."""
    ids = [f"call_{name}_{number}" for number in range(many)]
    told = {"at": time.time() - days * DAY, "model": "m", "cost_status": "known"}
    with engine.begin() as connection:
        connection.execute(insert(calls), [{"id": id, "status": "ok", **told} for id in ids])
        rows = [{"call": id, "number": 0, "provider": "lab", **told} for id in ids]
        connection.execute(insert(attempts), rows)


async def test_records_of_calls_that_are_too_old_go_and_others_stay(running, database_url) -> None:
    engine = create_engine(database_url.replace("postgresql://", "postgresql+psycopg://"))
    tables = (calls, attempts)
    async with providers() as mocks, aiohttp.ClientSession() as http:
        config = toml(mocks, f'database = "{database_url}"\nretention_days = 1')
        gateway = running(config)
        key = (await new_key(gateway))["secret"]
        assert await asyncio.to_thread(gateway.stop) == 0
        add(engine, "old", OLD, 1.5)
        add(engine, "recent", RECENT, 0.5)
        await asyncio.to_thread(gateway.start)
        outcomes = [Outcome(f"mark-{number}") for number in range(RECENT)]
        await asyncio.gather(*(ask(http, gateway.url, key, each) for each in outcomes))
        assert all(each.good for each in outcomes)
        await until(lambda: shipped(gateway))

        async def old_ones_are_gone() -> bool:
            with engine.connect() as connection:
                counts = [connection.scalar(select(func.count()).select_from(t)) for t in tables]
            return counts == [2 * RECENT, 2 * RECENT]

        await until(old_ones_are_gone)
    engine.dispose()
