"""A PostgreSQL that is stopped, falls silent or comes late: calls go on, and their records arrive."""

import asyncio
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import psycopg
import pytest

from polyvox.gateway.tenants.keys import make_key
from postgres_server import Postgres, start_postgres

from .rig import (
    Books,
    Callers,
    Outcome,
    ask,
    check_ledger,
    get,
    metric,
    new_key,
    providers,
    shipped,
    toml,
    until,
    used,
)

OUTAGE_SECONDS = float(os.environ.get("POLYVOX_OUTAGE_SECONDS", "3"))
NOTICED_SECONDS = 50.0
"""By then everybody who waits for a silent server has given up: see ``Bounds``."""

MODELS = ["lab/slow", "den/slow"]
CALLERS = 8
DOWN = "the database can't be reached"
KEY = "pv-config00-7hT2mN9kQ4rW8xZ3vB6cL1dF5gJ0pS2aU7yE4iO9tR1"
CONFIGURED_KEY = f"""
[gateway.keys.build]
key = "{KEY}"
budget = {{ limit = "$1000" }}
"""


@contextmanager
def stopped(server: Postgres) -> Iterator[None]:
    """It has ended, and is started again."""
    server.stop()
    yield
    server.start()


@contextmanager
def frozen(server: Postgres) -> Iterator[None]:
    """None of its processes does anything."""
    with psycopg.connect(server.url("postgres")) as connection:
        first = _parents()[connection.info.backend_pid]
    os.kill(first, signal.SIGSTOP)
    processes = [first, *(child for child, parent in _parents().items() if parent == first)]
    try:
        for each in processes:
            os.kill(each, signal.SIGSTOP)
        yield
    finally:
        for each in reversed(processes):
            os.kill(each, signal.SIGCONT)


def _parents() -> dict[int, int]:
    """Of each process its parent; see proc(5)."""
    found: dict[int, int] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            found[int(path.parent.name)] = int(path.read_text().rpartition(")")[2].split()[1])
        except OSError:  # it has ended
            continue
    return found


async def down(gateway: Any) -> bool:
    report = await get(gateway, "/health")
    return report["status"] == "degraded" and any(DOWN in words for words in report["degraded"])


async def well(gateway: Any) -> bool:
    return (await get(gateway, "/health"))["status"] == "ok"


@pytest.mark.parametrize("outage", [stopped, frozen])
async def test_an_outage_fails_no_call_and_loses_no_record(outage, running) -> None:
    async with providers() as mocks:
        with start_postgres() as server:
            url = server.new_database()
            gateway, books = running(toml(mocks, f'database = "{url}"')), Books(url)
            key = await new_key(gateway, "$100000")
            callers = Callers(gateway, key["secret"], MODELS, 1)
            load = asyncio.create_task(callers.run(CALLERS))
            await callers.finished(20)
            with outage(server):
                await asyncio.sleep(OUTAGE_SECONDS)
                if outage is stopped or OUTAGE_SECONDS > NOTICED_SECONDS:
                    await until(lambda: down(gateway))
                    assert await metric(gateway, "store_up", store="database") == 0
                await callers.finished(20)
            await callers.finished(20)
            callers.over.set()
            await load
            assert all(each.good for each in callers.outcomes)
            await until(lambda: shipped(gateway))
            await until(lambda: well(gateway))
            ended = check_ledger(callers.outcomes, books.rows(), mocks)
            print(f"{ended.total()} calls")
            assert ended == {"ok": len(callers.outcomes)}
            assert await metric(gateway, "store_up", store="database") == 1
            assert await metric(gateway, "journal_dropped") == 0
            spent = sum(row.nanos for row in books.rows().values())
            assert await used(gateway, key["secret"]) == spent == books.spent("purse")


async def test_a_gateway_started_without_its_database_recovers_alone(running) -> None:
    async with providers() as mocks, aiohttp.ClientSession() as http:
        with start_postgres() as server:
            url = server.new_database()
            gateway = running(toml(mocks, f'database = "{url}"', CONFIGURED_KEY))
            outcomes = [Outcome(f"mark-{number}") for number in range(6)]
            for each in outcomes[:3]:
                await ask(http, gateway.url, KEY, each)
            assert await asyncio.to_thread(gateway.stop) == 0
            before = Books(url).spent("build")
            with stopped(server):
                await asyncio.to_thread(gateway.start)
                for each in outcomes[3:]:
                    await ask(http, gateway.url, KEY, each)
                await until(lambda: down(gateway))
                unknown = Outcome("mark-9")
                await ask(http, gateway.url, make_key("key_0123456789abcdef01234567"), unknown)
                headers = {"authorization": f"Bearer {KEY}"}
                async with http.get(f"{gateway.url}/v1/usage", headers=headers) as answer:
                    told = answer.status, "retry-after" in answer.headers
            assert all(each.good for each in outcomes)
            assert unknown.status == 503, "a key may be good that can't be looked up"
            assert told == (503, True)
            await until(lambda: well(gateway))
            await until(lambda: shipped(gateway))
            assert check_ledger(outcomes, Books(url).rows(), mocks) == {"ok": 6}
            assert await used(gateway, KEY) == Books(url).spent("build") > before
