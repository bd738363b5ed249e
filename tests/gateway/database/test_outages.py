"""A PostgreSQL that is absent, goes away, or falls silent."""

import asyncio
import logging
import socket
import traceback
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError

from polyvox.errors import OverloadedError
from polyvox.gateway.database.bounds import Bounds
from polyvox.gateway.database.engine import Database
from polyvox.gateway.database.migrating import head, revision_of
from polyvox.gateway.database.versions import bump, numbers
from postgres_server import PASSWORD, Postgres, start_postgres

from .proxy import Proxy

SOON = Bounds(first_pause=0.01, longest_pause=0.05, statement=1.0, connect=0.3)


@asynccontextmanager
async def using(url: str, bounds: Bounds = SOON) -> AsyncIterator[Database]:
    database = Database(url, bounds=bounds)
    await database.open()
    yield database
    await database.aclose()


def next_time_up(database: Database) -> asyncio.Event:
    """Set when the database comes up; it must be down."""
    assert database.state.status == "down"
    loop, up = asyncio.get_running_loop(), asyncio.Event()
    database.on_up(lambda: loop.call_soon_threadsafe(up.set))
    return up


async def test_a_server_that_is_absent_at_the_start_is_used_when_it_comes(
    monkeypatch: pytest.MonkeyPatch,
):
    with start_postgres() as server:
        url = server.new_database()
        server.stop()
        async with using(url) as database:
            assert "refused" in str(database.state.error)
            up = next_time_up(database)
            for _ in range(20):
                with pytest.raises(OverloadedError) as refused:
                    await database.run(numbers)
                assert refused.value.status == 503
                assert refused.value.retry_after
                assert refused.value.kind != "authentication"
            server.start()
            await up.wait()
            assert await database.run(revision_of) == head()


async def test_a_server_that_goes_away_is_used_again_when_it_is_back():
    with start_postgres() as server:
        async with using(server.new_database()) as database:
            await asyncio.gather(*(database.run(lambda c: bump(c, "n")) for _ in range(20)))
            since = database.state.since
            server.stop()
            with pytest.raises(OverloadedError):
                await database.run(numbers)
            up = next_time_up(database)
            assert database.state.since > since
            server.start()
            await up.wait()
            assert await database.run(numbers) == {"n": 20}
            assert database.state.status == "up"


async def test_idle_connections_that_died_with_the_server_are_not_noticed(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr("polyvox.gateway.database.postgres._FRESH", 0.0)
    with start_postgres() as server:
        async with using(server.new_database()) as database:
            await asyncio.gather(*(database.run(lambda c: bump(c, "n")) for _ in range(20)))
            server.stop()
            server.start()
            assert await database.run(numbers) == {"n": 20}
            assert database.state.status == "up"


async def test_nobody_waits_for_a_server_that_drops_all_packets():
    with socket.create_server(("127.0.0.1", 0)) as hole:
        url = f"postgresql://u:{PASSWORD}@127.0.0.1:{hole.getsockname()[1]}/d"
        async with using(url, Bounds(first_pause=3600.0, connect=0.1)) as database:
            assert database.state.status == "down"
            assert "timeout" in str(database.state.error)
            for _ in range(100):
                with pytest.raises(OverloadedError):
                    await database.run(numbers)
            hole.settimeout(60)
            hole.accept()[0].close()
            hole.setblocking(False)
            with pytest.raises(BlockingIOError):  # only one had tried
                hole.accept()


async def test_a_server_that_falls_silent_costs_a_bounded_wait(postgres: Postgres):
    url = postgres.new_database()
    async with Proxy(postgres.port) as proxy:
        through = url.replace(f":{postgres.port}/", f":{proxy.port}/")
        async with using(through) as database:
            await database.run(lambda connection: bump(connection, "n"))
            proxy.silent = True
            tried = [database.run(numbers) for _ in range(30)]
            failed = await asyncio.gather(*tried, return_exceptions=True)
            assert {type(error) for error in failed} == {OverloadedError}
            up = next_time_up(database)
            before = proxy.connections
            for _ in range(100):
                with pytest.raises(OverloadedError):
                    await database.run(numbers)
            assert proxy.connections - before < 10  # it is left alone
            proxy.silent = False
            await up.wait()
            assert await database.run(numbers) == {"n": 1}
    postgres.drop(url)


async def test_a_server_with_no_connection_left_looks_busy_and_not_like_a_wrong_key(
    postgres: Postgres,
):
    url = postgres.new_database()
    name = url.rpartition("/")[2]
    postgres.execute(f"CREATE ROLE {name} LOGIN PASSWORD '{PASSWORD}' CONNECTION LIMIT 1")
    postgres.execute(f"ALTER DATABASE {name} OWNER TO {name}")
    async with using(url.replace("//polyvox:", f"//{name}:")) as database:
        assert database.state.status == "up"
        tried = [database.run(lambda c: bump(c, "n")) for _ in range(20)]
        done = await asyncio.gather(*tried, return_exceptions=True)
        failed = [error for error in done if error is not None]
        assert {type(error) for error in failed} <= {OverloadedError}
        if database.state.status == "down":
            await next_time_up(database).wait()
        assert (await database.run(numbers)) == {"n": len(done) - len(failed)}
    postgres.drop(url)
    postgres.execute(f"DROP ROLE {name}")


@pytest.mark.parametrize("wrong", ["password", "database", "user"])
async def test_a_server_that_lets_us_not_in_is_down_and_never_shows_the_password(
    postgres: Postgres, wrong: str, said: Callable[[], str]
):
    secret = "canary-s3cret"
    url = postgres.url("nowhere" if wrong == "database" else "postgres")
    if wrong != "database":
        url = url.replace(PASSWORD, secret)
    if wrong == "user":
        url = url.replace("//polyvox:", "//nobody:")
    async with using(url, Bounds(first_pause=3600.0)) as database:
        assert database.state.status == "down"
        assert database.state.error
        with pytest.raises(OverloadedError) as refused:
            await database.run(numbers)
        assert refused.value.status == 503
        shown = [
            repr(database),
            repr(database.state),
            database.place,
            str(refused.value.to_dict()),
            "".join(traceback.format_exception(refused.value)),
            said(),
        ]
        assert [text for text in shown if "canary" in text] == []
        assert "can't be used" in said()


async def test_the_password_is_in_no_log_and_no_error_of_ordinary_use(
    postgres_url: str, said: Callable[[], str]
):
    assert PASSWORD in postgres_url
    async with using(postgres_url) as database:
        await database.run(lambda connection: bump(connection, "n"))
        with pytest.raises(ProgrammingError) as failed:
            await database.run(lambda connection: connection.execute(text("SELECT nonsense")))
        told = "".join(traceback.format_exception(failed.value))
        assert PASSWORD not in told + said() + repr(database) + repr(database.state)


async def test_an_outage_is_logged_once_and_not_by_every_call(
    postgres: Postgres, said: Callable[[], str], caplog: pytest.LogCaptureFixture
):
    with start_postgres() as server:
        async with using(server.new_database()) as database:
            server.stop()
            for _ in range(200):
                with pytest.raises(OverloadedError):
                    await database.run(numbers)
            warnings = [r for r in caplog.records if r.levelno >= logging.WARNING]
            assert len(warnings) == 1
            assert "can't be used" in warnings[0].getMessage()


async def test_a_url_may_say_how_libpq_connects(postgres_url: str):
    async with using(f"{postgres_url}?application_name=ours&connect_timeout=7") as database:
        shown = await database.run(lambda c: c.execute(text("SHOW application_name")).scalar())
        assert shown == "ours"
