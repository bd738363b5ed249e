import asyncio
import logging
from typing import Any

import pytest

from polyvox.errors import OverloadedError
from polyvox.gateway.database.engine import Database
from polyvox.gateway.database.versions import Reloader, bump, numbers


def changes(name: str) -> Any:
    return lambda connection: bump(connection, name)


class Told:
    """Counts how often it was called; while it is ill, it fails."""

    def __init__(self) -> None:
        self.times = 0
        self.ill = False
        self.event = asyncio.Event()

    async def __call__(self) -> None:
        self.times += 1
        if self.ill:
            raise ValueError("no time")
        self.event.set()


async def test_a_number_grows_with_every_change(database: Database):
    assert await database.run(numbers, read_only=True) == {}
    for _ in range(3):
        await database.run(changes("tenants"))
    await database.run(changes("prompts"))
    assert await database.run(numbers, read_only=True) == {"tenants": 3, "prompts": 1}


async def test_a_change_that_is_undone_was_none(database: Database):
    def fails(connection: Any) -> None:
        bump(connection, "tenants")
        raise ValueError("in the end not")

    with pytest.raises(ValueError, match="in the end not"):
        await database.run(fails)
    assert await database.run(numbers) == {}


async def test_who_is_concerned_is_called_at_first_and_after_each_change(database: Database):
    tenants, prompts = Told(), Told()
    reloader = Reloader(database, 60)
    reloader.watch("tenants", tenants)
    reloader.watch("prompts", prompts)
    for _ in range(3):
        await reloader.look()
    assert (tenants.times, prompts.times) == (1, 1)
    await database.run(changes("tenants"))
    await database.run(changes("tenants"))
    for _ in range(3):
        await reloader.look()
    assert (tenants.times, prompts.times) == (2, 1)


async def test_every_replica_sees_a_change_and_none_consumes_it(
    database: Database, database_url: str
):
    other = Database(database_url)
    await other.open()
    told = [Told() for _ in range(3)]
    reloaders = [Reloader(each, 60) for each in (database, other, other)]
    for reloader, each in zip(reloaders, told, strict=True):
        reloader.watch("tenants", each)
        await reloader.look()
    await other.run(changes("tenants"))
    for reloader in reloaders:
        await reloader.look()
    assert [each.times for each in told] == [2, 2, 2]
    await other.aclose()


async def test_a_callback_that_fails_is_called_again_and_holds_nobody_up(
    database: Database, caplog: pytest.LogCaptureFixture
):
    ill, well = Told(), Told()
    ill.ill = True
    reloader = Reloader(database, 60)
    reloader.watch("tenants", ill)
    reloader.watch("tenants", well)
    for _ in range(3):
        await reloader.look()
    assert (ill.times, well.times) == (3, 1)
    warnings = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert [record.getMessage() for record in warnings] == [
        "tenants could not be read anew: ValueError: no time"
    ]
    ill.ill = False
    await reloader.look()
    await reloader.look()
    assert ill.times == 4


async def test_while_the_database_is_down_nothing_is_called_and_nothing_is_missed(
    database: Database, monkeypatch: pytest.MonkeyPatch
):
    told = Told()
    reloader = Reloader(database, 60)
    reloader.watch("tenants", told)
    await reloader.look()
    await database.run(changes("tenants"))

    async def down(*_: Any, **__: Any) -> Any:
        raise OverloadedError("down")

    with monkeypatch.context() as patch:
        patch.setattr(database, "run", down)
        await reloader.look()
    assert told.times == 1
    await reloader.look()
    assert told.times == 2


async def test_it_looks_by_itself_until_it_is_closed(database: Database):
    told = Told()
    reloader = Reloader(database, 0.01)
    reloader.watch("tenants", told)
    reloader.start()
    await told.event.wait()
    told.event.clear()
    await database.run(changes("tenants"))
    await told.event.wait()
    await reloader.aclose()
    await reloader.aclose()
    times = told.times
    await database.run(changes("tenants"))
    await asyncio.sleep(0)
    assert told.times == times


async def test_it_looks_at_once_when_the_database_comes_up(database_url: str):
    database = Database(database_url)
    told = Told()
    reloader = Reloader(database, 3600)
    reloader.watch("tenants", told)
    reloader.start()
    await asyncio.sleep(0)
    assert told.times == 0
    await database.open()
    await told.event.wait()
    await reloader.aclose()
    await database.aclose()
