"""A database that isn't there, or goes away in the middle, costs no call and no record."""

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from polyvox.gateway.database.bounds import Bounds
from polyvox.gateway.database.engine import Database
from polyvox.gateway.journal.file import Journal
from postgres_server import Postgres, start_postgres

from .rig import PATIENCE, Ledger, lines_in, record, settle_all, shipping, until

HASTY = Bounds(wait=1, connect=1, statement=2, lock=0.05, first_pause=0.02, longest_pause=0.1)
Outage = tuple[str, Callable[[], None], Callable[[], None]]


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    """One of these tests' own, which they may stop."""
    with start_postgres() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def outage(request: pytest.FixtureRequest, tmp_path: Path) -> Outage:
    """A database, and how it becomes unusable and usable again."""
    if request.param == "postgresql":
        server: Postgres = request.getfixturevalue("server")
        return server.new_database(), server.stop, server.start
    path = tmp_path / "gateway.db"
    other = sqlite3.connect(path, isolation_level=None)

    def lock() -> None:
        other.execute("BEGIN IMMEDIATE")

    def unlock() -> None:
        other.rollback()
        other.close()

    return f"sqlite:///{path}", lock, unlock


@pytest.fixture(params=["sqlite", "postgresql"])
def absent(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, Callable[[], None]]:
    """A database that isn't there, and how it comes."""
    if request.param == "postgresql":
        server: Postgres = request.getfixturevalue("server")
        url = server.new_database()
        server.stop()
        return url, server.start
    folder = tmp_path / "folder"
    folder.write_text("no folder yet")
    return f"sqlite:///{folder / 'gateway.db'}", folder.unlink


async def test_calls_go_on_while_the_database_is_away_and_are_shipped_when_it_is_back(
    outage: Outage, tmp_path: Path
):
    url, stop, start = outage
    database = Database(url, bounds=HASTY)
    await database.open()
    async with shipping(tmp_path / "j", database) as (journal, shipper):
        for number in range(50):
            record(journal, f"before{number}")
        assert await shipper.drained(PATIENCE)
        stop()
        for number in range(200):
            record(journal, f"during{number}")
        await until(lambda: shipper.failing is not None, what="a shipper that says it fails")
        assert journal.failing is None
        assert shipper.lag.bytes > 0
        assert shipper.lag.seconds > 0
        assert not await shipper.drained(0.05)
        start()
        for number in range(50):
            record(journal, f"after{number}")
        assert await shipper.drained(PATIENCE), shipper.failing
        assert shipper.failing is None
        assert shipper.lag.bytes == 0
        assert journal.dropped == 0
        ledger = Ledger(database)
        assert len(ledger.calls()) == 300
        assert ledger.balance() == 30_000
    await database.aclose()


async def test_a_database_that_comes_after_the_start_gets_everything(
    absent: tuple[str, Callable[[], None]], tmp_path: Path
):
    url, start = absent
    database = Database(url, bounds=HASTY)
    await database.open()
    assert database.state.status == "down"
    async with shipping(tmp_path / "j", database) as (journal, shipper):
        for number in range(100):
            record(journal, f"c{number}")
        await until(lambda: shipper.failing is not None, what="a shipper that says it fails")
        assert len(lines_in(tmp_path / "j")) == 300
        start()
        assert await shipper.drained(PATIENCE), shipper.failing
        assert Ledger(database).balance() == 10_000
    await database.aclose()


async def test_connections_that_are_cut_while_calls_are_shipped_lose_and_double_nothing(
    server: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("polyvox.gateway.journal.shipping._GATHER_SECONDS", 0.001)
    database = Database(server.new_database(), bounds=HASTY)
    await database.open()
    async with shipping(tmp_path / "j", database, segment_bytes=20_000) as (journal, shipper):
        for number in range(2_000):
            record(journal, f"c{number}")
            if number % 200 == 100:
                server.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE application_name = 'polyvox'"
                )
        assert await shipper.drained(PATIENCE), shipper.failing
    ledger = Ledger(database)
    assert len(ledger.calls()) == len(ledger.attempts()) == 2_000
    assert ledger.balance() == 200_000
    await database.aclose()


async def test_what_could_not_be_shipped_waits_for_the_next_process(outage: Outage, tmp_path: Path):
    url, stop, start = outage
    database = Database(url, bounds=HASTY)
    await database.open()
    stop()
    async with shipping(tmp_path / "j", database) as (journal, shipper):
        for number in range(20):
            record(journal, f"c{number}")
        journal.close()
        assert not await shipper.drained(0.05)
    assert len(lines_in(tmp_path / "j")) == 60
    start()
    await until(lambda: database.state.status == "up", what="a database")
    await settle_all(tmp_path / "j", database)
    assert Ledger(database).balance() == 2_000
    await database.aclose()


async def test_a_long_outage_is_caught_up_batch_by_batch(tmp_path: Path, database: Database):
    """However much waits, a transaction takes about so much of it."""
    sizes: list[int] = []
    real = database.run_now

    def counted(work, *, read_only=False):
        closure = work.__closure__ or ()
        found = [cell.cell_contents for cell in closure if hasattr(cell.cell_contents, "calls")]
        sizes.extend(batch.size for batch in found if hasattr(batch, "size"))
        return real(work, read_only=read_only)

    dead = Journal(tmp_path / "j")
    for number in range(8_000):
        record(dead, f"c{number}")
    dead.close()
    database.run_now = counted  # type: ignore[method-assign]
    await settle_all(tmp_path / "j", database)
    assert Ledger(database).balance() == 800_000
    assert len(sizes) > 3
    assert max(sizes) <= 1 << 20


async def test_a_dead_one_s_folder_that_somebody_deletes_holds_nothing_up(
    absent: tuple[str, Callable[[], None]], tmp_path: Path
):
    url, start = absent
    root = tmp_path / "j"
    dead = Journal(root)
    record(dead, "gone")
    dead.close()
    database = Database(url, bounds=HASTY)
    await database.open()
    async with shipping(root, database) as (journal, shipper):
        await until(lambda: journal.elsewhere > 0, what="a folder that is taken over")
        shutil.rmtree(dead.folder.path)
        record(journal, "c1")
        start()
        assert await shipper.drained(PATIENCE), shipper.failing
        assert Ledger(database).calls() == {"c1": ("ok", 100)}
        await until(lambda: journal.waiting_bytes == 0, what="nothing that waits")
    await database.aclose()
