import json
import os
import re
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect, select, text

from gateway.running import Running
from polyvox.errors import ConfigurationError
from polyvox.gateway.database import migrating
from polyvox.gateway.database.bounds import Bounds
from polyvox.gateway.database.engine import Database, _backend
from polyvox.gateway.database.metadata import METADATA, all_tables
from polyvox.gateway.database.migrating import head, migrate, revision_of
from polyvox.gateway.database.tables import attempts, balances, calls, journals, versions

FAILS = """
revision = "9999"
down_revision = {head!r}

from alembic import op

def upgrade():
    op.execute("CREATE TABLE half (a INTEGER)")
    op.execute("UPDATE calls SET model = 'lost'")
    {fails}
"""

OPENS = """
import sys
from polyvox.gateway.database.engine import Database
from polyvox.gateway.database.migrating import revision_of

database = Database(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
database.open_now()
print(database.state.status, database.run_now(revision_of), database.state.error)
database.close()
"""


@contextmanager
def connected(url: str) -> Iterator[Connection]:
    engine = _backend(url).engine(Bounds(), 1)
    try:
        with engine.begin() as connection:
            yield connection
    finally:
        engine.dispose()


def fill(connection: Connection) -> None:
    """A row in every table of the ledger."""
    connection.execute(
        calls.insert(),
        {
            "id": "call_1",
            "at": 1.5,
            "model": "m",
            "tags": {"a": "b"},
            "status": "ok",
            "nanos": 2**53 + 1,
            "cost_status": "known",
        },
    )
    attempt = {"call": "call_1", "number": 0, "provider": "p", "model": "m", "at": 1.5}
    connection.execute(attempts.insert(), attempt | {"cost_status": "known"})
    connection.execute(balances.insert(), {"account": "key:a", "mark": 7, "nanos": -1, "at": 2.0})
    connection.execute(journals.insert(), {"journal": "j", "segment": 1, "offset": 2, "at": 3.0})
    connection.execute(versions.insert(), {"name": "tenants", "number": 4})


Rows = dict[str, list[dict[str, Any]]]


def rows(connection: Connection) -> Rows:
    """What stands in every table of the ledger, in the columns that it has as yet."""
    found: Rows = {}
    for table in (calls, attempts, balances, journals, versions):
        there = {column["name"] for column in inspect(connection).get_columns(table.name)}
        columns = [column for column in table.c if column.name in there]
        found[table.name] = [row._asdict() for row in connection.execute(select(*columns))]
    return found


def as_before(now: Rows, before: Rows) -> Rows:
    """Without the columns that have come since."""
    return {
        name: [{key: row[key] for key in old[0]} for row in now[name]] if old else now[name]
        for name, old in before.items()
    }


def with_a_migration_that_fails(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    fails: str = 'op.execute("SELECT a FROM nowhere")',
) -> None:
    newest = head()
    shutil.copytree(migrating._FOLDER, folder)
    (folder / "versions" / "9999_fails.py").write_text(
        FAILS.format(head=newest, fails=fails), encoding="utf-8"
    )
    monkeypatch.setattr(migrating, "_FOLDER", folder)


def test_the_tables_of_all_rooms_are_what_the_migrations_make(database_url: str):
    with connected(database_url) as connection:
        migrate(connection)
        here = connection.dialect.name

        def is_meant(item: Any, *_: object) -> bool:
            return item.info.get("only_on", here) == here

        options = {"compare_server_default": True, "include_object": is_meant}
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, all_tables()) == []
        assert METADATA.tables.keys() < set(inspect(connection).get_table_names())


def test_the_comparison_notices_what_is_missing(database_url: str):
    with connected(database_url) as connection:
        migrate(connection)
        connection.execute(text("DROP INDEX ix_calls_at"))
        connection.execute(text("ALTER TABLE journals ADD COLUMN more TEXT"))
        found = {
            step[0] for step in compare_metadata(MigrationContext.configure(connection), METADATA)
        }
        assert found >= {"add_index", "remove_column"}


async def test_a_copy_with_rows_keeps_them_through_all_migrations(
    database_url: str, tmp_path: Path, request: pytest.FixtureRequest
):
    with connected(database_url) as connection:
        migrate(connection, "0001")
        fill(connection)
        before = rows(connection)
    if database_url.startswith("sqlite"):
        copy = f"sqlite:///{tmp_path / 'copy.db'}"
        shutil.copy(tmp_path / "gateway.db", tmp_path / "copy.db")
    else:
        copy = request.getfixturevalue("postgres").copy_of(database_url)
    database = Database(copy)
    await database.open()
    assert as_before(await database.run(rows, read_only=True), before) == before
    assert await database.run(revision_of) == head()
    await database.aclose()
    with connected(database_url) as connection:
        assert revision_of(connection) == "0001"


async def test_opening_twice_changes_nothing(database_url: str):
    for _ in range(2):
        database = Database(database_url)
        await database.open()
        assert await database.run(revision_of) == head()
        await database.aclose()


@pytest.mark.parametrize("begins", ["empty", "with the rows of an older version"])
def test_five_processes_that_start_together_migrate_once(database_url: str, begins: str):
    before: Rows = {}
    if begins != "empty":
        with connected(database_url) as connection:
            migrate(connection, "0001")
            fill(connection)
            before = rows(connection)
    environment = {**os.environ, "PYTHONPATH": "src"}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", OPENS, database_url],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
            cwd=Path(__file__).parents[3],
        )
        for _ in range(5)
    ]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    said = [process.communicate() for process in processes]
    assert said == [(f"up {head()} None\n", "")] * 5
    with connected(database_url) as connection:
        assert connection.execute(text("SELECT * FROM alembic_version")).all() == [(head(),)]
        assert as_before(rows(connection), before) == before


def test_five_gateways_that_start_together_serve_all_and_keep_the_rows_of_before(
    postgres_url: str, tmp_path: Path
):
    with connected(postgres_url) as connection:
        migrate(connection, "0001")
        fill(connection)
        connection.execute(balances.delete())  # what was used in windows of long ago is forgotten
        before = rows(connection)
    gateways: list[Running] = []
    for number in range(5):
        folder = tmp_path / str(number)
        folder.mkdir()
        gateways.append(Running(folder, f'[gateway]\ndatabase = "{postgres_url}"'))
    try:
        with ThreadPoolExecutor(5) as threads:
            list(threads.map(Running.start, gateways))
        for gateway in gateways:
            headers = {"authorization": f"Bearer {gateway.key}"}
            request = urllib.request.Request(f"{gateway.url}/v1/usage?by=model", headers=headers)
            with urllib.request.urlopen(request) as answer:
                assert [row["by"] for row in json.load(answer)["rows"]] == [{"model": "m"}]
        assert [gateway.stop() for gateway in gateways] == [0] * 5
    finally:
        for gateway in gateways:
            gateway.close()
    with connected(postgres_url) as connection:
        assert revision_of(connection) == head()
        assert as_before(rows(connection), before) == before


async def test_a_schema_of_a_newer_version_is_refused_and_left_alone(database_url: str):
    with connected(database_url) as connection:
        migrate(connection)
        fill(connection)
        before = rows(connection)
        connection.execute(text("UPDATE alembic_version SET version_num = '0999'"))
    database = Database(database_url)
    with pytest.raises(ConfigurationError, match=r"'0999'(?s:.*)newer version") as refused:
        await database.open()
    assert "backup" in str(refused.value)
    await database.aclose()
    with connected(database_url) as connection:
        assert revision_of(connection) == "0999"
        assert rows(connection) == before


@pytest.mark.parametrize("fails", ['op.execute("SELECT a FROM nowhere")', "1 / 0"])
async def test_a_migration_that_fails_refuses_the_start_and_leaves_the_data(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: str
):
    with connected(database_url) as connection:
        migrate(connection)
        fill(connection)
        before = rows(connection)
    with_a_migration_that_fails(tmp_path / "migrations", monkeypatch, fails)
    database = Database(database_url)
    with pytest.raises(ConfigurationError, match="Nothing was changed"):
        await database.open()
    await database.aclose()
    with connected(database_url) as connection:
        assert revision_of(connection) != "9999"
        assert "half" not in inspect(connection).get_table_names()
        assert rows(connection) == before


async def test_a_first_migration_that_fails_leaves_an_empty_database(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    with_a_migration_that_fails(tmp_path / "migrations", monkeypatch)
    database = Database(database_url)
    with pytest.raises(ConfigurationError, match="nowhere"):
        await database.open()
    await database.aclose()
    with connected(database_url) as connection:
        assert inspect(connection).get_table_names() == []


def test_the_migrations_are_one_chain_in_the_order_of_their_names():
    script = ScriptDirectory(str(migrating._FOLDER))
    chain = [each.revision for each in script.walk_revisions()][::-1]
    assert chain == migrating._known()
    assert len(script.get_heads()) == len(script.get_bases()) == 1


def test_what_is_up_to_date_is_opened_without_alembic(database_url: str):
    command = [sys.executable, "-c", OPENS + "print('alembic' in sys.modules)", database_url]
    for imported in ("True", "False"):
        said = subprocess.run(
            command, capture_output=True, text=True, timeout=60, check=True, input="\n"
        )
        assert said.stdout.splitlines()[-2:] == [f"up {head()} None", imported]


async def test_a_replica_of_the_version_before_goes_on_while_others_are_upgraded(database_url: str):
    database = Database(database_url)
    await database.open()
    with connected(database_url) as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '0999'"))
        connection.execute(text("ALTER TABLE calls ADD COLUMN of_the_next_version TEXT"))

    def work(connection: Connection) -> int:
        fill(connection)
        return len(rows(connection)["calls"])

    assert await database.run(work) > 0
    assert database.state.status == "up"
    await database.aclose()


def test_steps_only_add_so_that_such_a_replica_can_go_on():
    folder = Path(migrating.__file__).parent / "migrations" / "versions"
    for step in folder.glob("[0-9]*.py"):
        assert not re.findall(r"op\.(?:drop|rename|alter)_\w+", step.read_text("utf-8")), step
