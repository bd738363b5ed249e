import tracemalloc
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from sqlalchemy import Connection, func, insert, select, text

from polyvox.errors import OverloadedError
from polyvox.gateway.database.engine import Database
from polyvox.gateway.database.retention import delete_calls, prune
from polyvox.gateway.database.tables import attempts, balances, calls

MANY = 100_000
SERIES = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :many) "
MANY_CALLS = """INSERT INTO calls (id, at, model, status, cost_status)
    {series} SELECT 'call_' || i, i, 'openai/gpt-5-mini', 'ok', 'known' FROM n"""
MANY_ATTEMPTS = """INSERT INTO attempts (call, number, provider, model, at, cost_status)
    {series} SELECT 'call_' || i, 0, 'openai', 'gpt-5-mini', i, 'known' FROM n"""


def fill(connection: Connection, many: int) -> None:
    """Calls at 1, 2, 3, ... seconds."""
    for statement in (MANY_CALLS, MANY_ATTEMPTS):
        connection.execute(text(statement.format(series=SERIES)), {"many": many})


def left(connection: Connection) -> tuple[int, int, float | None]:
    """How many calls and attempts there are, and when the oldest was."""
    oldest = connection.execute(select(func.min(calls.c.at))).scalar()
    counts = [
        connection.execute(select(func.count()).select_from(table)).scalar_one()
        for table in (calls, attempts)
    ]
    return counts[0], counts[1], oldest


class Watched:
    """A database that counts transactions, and goes away after some."""

    def __init__(self, database: Database, most: int = 10**9) -> None:
        self._database = database
        self._most = most
        self.times = 0

    async def run(self, work: Any) -> Any:
        if self.times >= self._most:
            raise OverloadedError("gone")
        self.times += 1
        return await self._database.run(work)


async def test_old_calls_go_with_their_attempts_and_others_stay(database: Database):
    await database.run(lambda connection: fill(connection, 100))
    watched: Any = Watched(database)
    assert await prune(watched, 61, batch=25) == 60
    assert await database.run(left) == (40, 40, 61)
    assert watched.times == 3 + 1  # and one for the balances
    assert await prune(database, 61) == 0


async def test_it_goes_on_where_it_was_stopped(database: Database):
    await database.run(lambda connection: fill(connection, 100))
    stopped: Any = Watched(database, 2)
    with pytest.raises(OverloadedError):
        await prune(stopped, 61, batch=10)
    assert await database.run(left) == (80, 80, 21)
    assert await prune(database, 61, batch=10) == 40


async def test_a_batch_is_the_oldest(database: Database):
    await database.run(lambda connection: fill(connection, 100))
    assert await database.run(lambda connection: delete_calls(connection, 90, 7)) == 7
    assert await database.run(left) == (93, 93, 8)


async def test_a_hundred_thousand_calls_are_deleted_in_bounded_memory(database: Database):
    await database.run(lambda connection: fill(connection, MANY))
    loading = select(calls.c.id)

    async def peak_of(work: Callable[[], Awaitable[Any]]) -> int:
        before, _ = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        await work()
        return tracemalloc.get_traced_memory()[1] - before

    tracemalloc.start()
    try:
        loaded = await peak_of(lambda: database.run(lambda c: len(c.execute(loading).all())))
        deleted = await peak_of(lambda: prune(database, MANY, batch=5_000))
    finally:
        tracemalloc.stop()
    assert deleted < 2_000_000 < 10_000_000 < loaded
    assert await database.run(left) == (1, 1, MANY)


async def test_what_an_account_used_in_its_newest_window_stays_however_old(database: Database):
    rows = [
        {"account": "total", "mark": 0, "nanos": 5, "at": 1.0},
        *({"account": "monthly", "mark": mark, "nanos": 1, "at": float(mark)} for mark in range(5)),
        {"account": "late", "mark": 1, "nanos": 1, "at": 99.0},
        {"account": "late", "mark": 2, "nanos": 1, "at": 99.0},
    ]
    await database.run(lambda connection: connection.execute(insert(balances), rows))
    await prune(database, 50)
    kept = select(balances.c.account, balances.c.mark).order_by(balances.c.account, balances.c.mark)
    found = await database.run(lambda connection: connection.execute(kept).all())
    assert found == [("late", 1), ("late", 2), ("monthly", 4), ("total", 0)]
