import asyncio
import stat
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, insert, select, text
from sqlalchemy.exc import IntegrityError

from polyvox.errors import ConfigurationError, NotFoundError, OverloadedError
from polyvox.gateway.database.bounds import Bounds
from polyvox.gateway.database.engine import Database
from polyvox.gateway.database.tables import balances, calls, versions
from polyvox.gateway.database.versions import bump, numbers
from polyvox.secret import Secret

ENDLESS = {
    "sqlite": "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n",
    "postgresql": "SELECT pg_sleep(3600)",
}


async def opened(url: str, **bounds: Any) -> Database:
    database = Database(url, bounds=Bounds(**bounds))
    await database.open()
    assert database.state.status == "up"
    return database


class Holder:
    """A transaction that stays open until it is let go."""

    def __init__(self, database: Database, work: Any = numbers, **options: Any) -> None:
        self._begun, self._go_on = threading.Event(), threading.Event()
        self._job = asyncio.ensure_future(
            asyncio.to_thread(database.run_now, lambda c: self._hold(work, c), **options)
        )

    def _hold(self, work: Any, connection: Connection) -> None:
        work(connection)
        self._begun.set()
        assert self._go_on.wait(60)

    async def __aenter__(self) -> None:
        assert await asyncio.to_thread(self._begun.wait, 60)

    async def __aexit__(self, *_: object) -> None:
        self._go_on.set()
        await self._job


def put(name: str) -> Any:
    return lambda connection: connection.execute(insert(versions).values(name=name, number=1))


async def test_work_is_one_transaction(database: Database):
    def fails(connection: Connection) -> None:
        put("a")(connection)
        raise NotFoundError("no such thing")

    with pytest.raises(NotFoundError, match="no such thing"):
        await database.run(fails)
    assert await database.run(numbers) == {}
    await database.run(put("b"))
    assert database.run_now(numbers, read_only=True) == {"b": 1}


async def test_an_error_of_the_statement_is_the_callers(database: Database):
    await database.run(put("a"))
    with pytest.raises(IntegrityError) as failed:
        await database.run(put("a"))
    assert "parameters" in str(failed.value)  # they are hidden
    assert database.state.status == "up"


async def test_many_at_once_all_get_their_turn(database: Database):
    await asyncio.gather(*(database.run(lambda c: bump(c, "n")) for _ in range(100)))
    assert await database.run(numbers) == {"n": 100}


async def test_who_only_reads_can_not_write(database: Database):
    with pytest.raises(OverloadedError):
        await database.run(put("a"), read_only=True)
    await database.run(put("b"))
    assert await database.run(numbers, read_only=True) == {"b": 1}


async def test_who_only_reads_waits_for_no_writer(database: Database):
    async with Holder(database, put("a")):
        assert await database.run(numbers, read_only=True) == {}
    assert await database.run(numbers, read_only=True) == {"a": 1}


async def test_text_and_json_from_anywhere_can_be_stored(database: Database):
    odd = "a\x00b\ud800c😀"
    row = {"id": "c", "at": 1.0, "model": odd, "status": "ok", "cost_status": "free"}
    await database.run(lambda c: c.execute(insert(calls), row | {"tags": {odd: odd}}))
    columns = select(calls.c.model, calls.c.tags)
    model, tags = await database.run(lambda c: c.execute(columns).one())
    assert model == "a\ufffdb\ufffdc😀"
    assert tags == {model: model}


async def test_money_is_exact_to_the_last_nano(database: Database):
    row = {"account": "a", "mark": 1, "nanos": -(2**63), "at": 0.0}
    await database.run(lambda c: c.execute(insert(balances), row))
    assert await database.run(lambda c: c.execute(select(balances.c.nanos)).scalar()) == -(2**63)


async def test_a_statement_that_takes_too_long_is_ended(database_url: str):
    database = await opened(database_url, statement=0.1)
    endless = text(ENDLESS[database_url.partition(":")[0]])
    with pytest.raises(OverloadedError) as ended:
        await database.run(lambda connection: connection.execute(endless).all())
    assert ended.value.status == 503
    assert ended.value.retry_after
    assert database.state.status == "up"
    assert await database.run(numbers) == {}
    await database.aclose()


async def test_nobody_waits_for_ever_for_what_another_one_writes(database_url: str):
    database = await opened(database_url, lock=0.05)
    await database.run(put("a"))
    async with Holder(database, lambda connection: bump(connection, "a")):
        with pytest.raises(OverloadedError, match="busy"):
            await database.run(lambda connection: bump(connection, "a"))
    assert database.state.status == "up"
    assert await database.run(numbers) == {"a": 2}
    await database.aclose()


async def test_two_programs_that_write_to_one_file_wait_for_one_another(tmp_path: Path):
    url = f"sqlite:///{tmp_path / 'gateway.db'}"
    one, other = await opened(url, lock=0.05), await opened(url, lock=0.05)
    async with Holder(one, put("a")):
        with pytest.raises(OverloadedError, match="busy"):
            await other.run(put("b"))
    await other.run(put("b"))
    assert await one.run(numbers) == {"a": 1, "b": 1}
    await one.aclose()
    await other.aclose()


async def test_who_finds_no_thread_free_is_told_to_come_back(database_url: str):
    database = await opened(database_url, threads=1, waiting=1, wait=0.05)
    begun, go_on = threading.Event(), threading.Event()

    def holds(_: Connection) -> None:
        begun.set()
        assert go_on.wait(60)

    holder = asyncio.create_task(database.run(holds, read_only=True))
    assert await asyncio.to_thread(begun.wait, 60)
    waiting = asyncio.create_task(database.run(put("never")))
    await asyncio.sleep(0)
    with pytest.raises(OverloadedError, match="too many") as refused:
        await database.run(numbers)
    assert refused.value.status == 503
    with pytest.raises(OverloadedError, match="nothing was free"):
        await waiting
    go_on.set()
    await holder
    assert await database.run(numbers) == {}
    assert database.state.status == "up"
    await database.aclose()


async def test_plain_threads_that_find_no_connection_free_are_told_too(database_url: str):
    database = await opened(database_url, threads=1, wait=0.05)
    holders = [Holder(database, read_only=True) for _ in range(5)]
    for holder in holders:
        await holder.__aenter__()
    with pytest.raises(OverloadedError) as refused:
        database.run_now(numbers, read_only=True)
    assert refused.value.status == 503
    assert database.state.status == "up"
    for holder in holders:
        await holder.__aexit__()
    assert database.run_now(numbers) == {}
    await database.aclose()


async def test_who_is_cancelled_while_waiting_has_done_nothing(database_url: str):
    database = await opened(database_url, threads=1)
    begun, go_on = threading.Event(), threading.Event()

    def writes(connection: Connection) -> None:
        put("running")(connection)
        begun.set()
        assert go_on.wait(60)

    running = asyncio.create_task(database.run(writes))
    assert await asyncio.to_thread(begun.wait, 60)
    waiting = asyncio.create_task(database.run(put("waiting")))
    await asyncio.sleep(0)
    for task in (waiting, running):
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    go_on.set()
    # What had begun went on to its end.
    assert await database.run(numbers) == {"running": 1}
    await database.aclose()


async def test_a_closed_database_is_not_there(database_url: str):
    database = await opened(database_url)
    await database.aclose()
    await database.aclose()
    assert database.state.status == "down"
    with pytest.raises(OverloadedError):
        await database.run(numbers)


async def test_a_database_that_is_not_open_yet_is_not_there(database_url: str):
    database = Database(Secret(database_url), clock=lambda: 5.0)
    assert (database.state.status, database.state.since) == ("down", 5.0)
    with pytest.raises(OverloadedError) as refused:
        await database.run(numbers)
    assert refused.value.status == 503
    await database.aclose()


def test_plain_threads_can_open_and_close_it(database_url: str):
    database = Database(database_url)
    database.open_now()
    assert database.run_now(numbers) == {}
    database.close()


async def test_who_waits_for_it_is_called_once_it_is_up(database_url: str):
    database = Database(database_url)
    called: list[str] = []
    database.on_up(lambda: called.append("early"))
    database.on_up(lambda: 1 / 0)
    database.on_up(lambda: called.append("also early"))
    await database.open()
    assert called == ["early", "also early"]
    database.on_up(lambda: called.append("late"))
    assert called == ["early", "also early", "late"]
    await database.aclose()


async def test_only_its_owner_may_read_the_file(tmp_path: Path):
    path = tmp_path / "new" / "folder" / "gateway.db"
    database = await opened(f"sqlite:///{path}")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    pragmas = ("journal_mode", "synchronous", "foreign_keys")
    found = await database.run(
        lambda c: [c.exec_driver_sql(f"PRAGMA {name}").scalar() for name in pragmas]
    )
    assert found == ["wal", 2, 1]
    await database.aclose()


async def test_a_file_that_can_not_be_opened_is_tried_until_it_can(tmp_path: Path):
    folder = tmp_path / "folder"
    folder.write_text("in the way", encoding="utf-8")
    database = Database(f"sqlite:///{folder}/gateway.db", bounds=Bounds(first_pause=0.01))
    up = asyncio.Event()
    loop = asyncio.get_running_loop()
    await database.open()
    assert database.state.status == "down"
    assert "folder" in str(database.state.error)
    with pytest.raises(OverloadedError):
        await database.run(numbers)
    folder.unlink()
    database.on_up(lambda: loop.call_soon_threadsafe(up.set))
    await up.wait()
    assert await database.run(numbers) == {}
    assert database.state.error is None
    await database.aclose()


@pytest.mark.parametrize("size", [5, 3_200])
async def test_a_file_that_is_no_database_is_refused_and_left_as_it_is(tmp_path: Path, size: int):
    path = tmp_path / "gateway.db"
    before = (b"something else, and long enough " * 100)[:size]
    path.write_bytes(before)
    database = Database(f"sqlite:///{path}")
    with pytest.raises(ConfigurationError, match="no SQLite database") as refused:
        await database.open()
    assert str(path) in refused.value.text
    assert "Move it away" in str(refused.value.hint)
    await database.aclose()
    assert path.read_bytes() == before


async def test_a_folder_in_the_place_of_the_database_is_refused(tmp_path: Path):
    database = Database(f"sqlite:///{tmp_path}")
    with pytest.raises(ConfigurationError, match="it is a folder"):
        await database.open()
    await database.aclose()


async def test_a_full_disk_is_no_fault_of_the_caller_and_loses_nothing(tmp_path: Path):
    database = await opened(f"sqlite:///{tmp_path / 'gateway.db'}", threads=1)
    await database.run(put("before"))

    def fills(connection: Connection) -> None:
        connection.exec_driver_sql("PRAGMA max_page_count=1")  # it is as long as it may become
        put("x" * 100_000)(connection)

    with pytest.raises(OverloadedError) as refused:
        await database.run(fills)
    assert refused.value.status == 503
    assert await database.run(numbers) == {"before": 1}
    await database.aclose()


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("mysql://u:canary-Pa55word@h/d", "neither"),
        ("canary-Pa55word", "neither"),
        ("sqlite://", "is a file"),
        ("sqlite:///:memory:", "is a file"),
        ("sqlite:///x.db?mode=canary-Pa55word", "is a file"),
        ("postgresql://u:x@canary-Pa55word@h/d", "malformed"),
        ("postgresql://u:x/canary-Pa55word@h/d", "malformed"),
        ("postgresql://u:canary-Pa55word@h/d?nonsense=1", "malformed"),
    ],
)
async def test_a_malformed_url_is_refused_without_showing_it(url: str, said: str):
    with pytest.raises(ConfigurationError, match=said) as refused:
        Database(url)
    assert "canary" not in str(refused.value)
    assert refused.value.__cause__ is None
    assert refused.value.__suppress_context__ or refused.value.__context__ is None


def test_without_the_extra_the_error_names_it(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(ConfigurationError, match=r"polyvox\[gateway,postgres\]"):
        Database("postgresql://localhost/d")
