import asyncio
import logging
from typing import Any

import pytest

from polyvox.errors import OverloadedError
from polyvox.gateway.database.engine import Database
from polyvox.gateway.database.versions import Lookout, bump, numbers


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
    lookout = Lookout(database, 60)
    lookout.watch("tenants", tenants)
    lookout.watch("prompts", prompts)
    for _ in range(3):
        await lookout.look()
    assert (tenants.times, prompts.times) == (1, 1)
    await database.run(changes("tenants"))
    await database.run(changes("tenants"))
    for _ in range(3):
        await lookout.look()
    assert (tenants.times, prompts.times) == (2, 1)


async def test_every_replica_sees_a_change_and_none_consumes_it(
    database: Database, database_url: str
):
    other = Database(database_url)
    await other.open()
    told = [Told() for _ in range(3)]
    lookouts = [Lookout(each, 60) for each in (database, other, other)]
    for lookout, each in zip(lookouts, told, strict=True):
        lookout.watch("tenants", each)
        await lookout.look()
    await other.run(changes("tenants"))
    for lookout in lookouts:
        await lookout.look()
    assert [each.times for each in told] == [2, 2, 2]
    await other.aclose()


async def test_a_callback_that_fails_is_called_again_and_holds_nobody_up(
    database: Database, caplog: pytest.LogCaptureFixture
):
    ill, well = Told(), Told()
    ill.ill = True
    lookout = Lookout(database, 60)
    lookout.watch("tenants", ill)
    lookout.watch("tenants", well)
    for _ in range(3):
        await lookout.look()
    assert (ill.times, well.times) == (3, 1)
    warnings = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert [record.getMessage() for record in warnings] == [
        "tenants could not be read anew: ValueError: no time"
    ]
    ill.ill = False
    await lookout.look()
    await lookout.look()
    assert ill.times == 4


async def test_while_the_database_is_down_all_know_it_and_nothing_is_missed(
    database: Database, monkeypatch: pytest.MonkeyPatch
):
    told = Told()
    lookout = Lookout(database, 60)
    lookout.watch("tenants", told)
    await lookout.look()

    async def down(*_: Any, **__: Any) -> Any:
        raise OverloadedError("down")

    with monkeypatch.context() as patch:
        patch.setattr(database, "run", down)
        await lookout.look()
    assert told.times == 2
    for _ in range(3):
        await lookout.look()
    assert told.times == 3, "once more when it is back, also where no number has changed"


async def test_it_looks_by_itself_until_it_is_closed(database: Database):
    told = Told()
    lookout = Lookout(database, 0.01)
    lookout.watch("tenants", told)
    lookout.start()
    await told.event.wait()
    told.event.clear()
    await database.run(changes("tenants"))
    await told.event.wait()
    await lookout.aclose()
    await lookout.aclose()
    times = told.times
    await database.run(changes("tenants"))
    await asyncio.sleep(0)
    assert told.times == times


async def test_it_looks_at_once_when_the_database_comes_up(database_url: str):
    database = Database(database_url)
    told = Told()
    lookout = Lookout(database, 3600)
    lookout.watch("tenants", told)
    lookout.start()
    await told.event.wait()
    told.event.clear()
    await database.open()
    await told.event.wait()
    await lookout.aclose()
    await database.aclose()
