"""Files: rotation, rights, several processes, schemas of other times, disks that are full."""

import errno
import json
import os
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any, ClassVar

import pytest

from polyvox.errors import ConfigurationError
from polyvox.ledger import CallLog, CallRecord, Entry, History, JsonlSink, Redactor, SqliteSink
from polyvox.ledger import schema as schema_module
from polyvox.ledger.schema import MIGRATIONS, connect

from .rig import record


def entries(*ids: str, text: str = "Hi.") -> list[Entry]:
    return [Entry(record(id, text), Redactor()) for id in ids]


def ids_in(path: Path) -> list[str]:
    return [json.loads(line)["id"] for line in path.read_bytes().splitlines()]


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


# ----------------------------------------------------------------------------------- lines of JSON


def test_a_line_per_call_readable_by_the_owner_alone(tmp_path: Path):
    path = tmp_path / "new" / "calls.jsonl"
    sink = JsonlSink(path)
    sink.write(entries("a", "b"))
    sink.write(entries("c"))
    assert ids_in(path) == ["a", "b", "c"]
    assert (mode(path), mode(path.parent)) == (0o600, 0o700)


def test_files_rotate_and_the_oldest_go(tmp_path: Path):
    path = tmp_path / "calls.jsonl"
    size = len(entries("x0")[0].json) + 1
    sink = JsonlSink(path, max_bytes=2 * size, keep=2)
    sink.write(entries(*(f"x{number}" for number in range(9))))
    sink.write(entries("y0"))
    assert ids_in(path) == ["x8", "y0"]
    assert ids_in(tmp_path / "calls.jsonl.1") == ["x6", "x7"]
    assert ids_in(tmp_path / "calls.jsonl.2") == ["x4", "x5"]
    assert len(list(tmp_path.iterdir())) == 3
    assert max(each.stat().st_size for each in tmp_path.iterdir()) <= 2 * size


def test_a_call_longer_than_a_file_gets_one_of_its_own(tmp_path: Path):
    sink = JsonlSink(tmp_path / "c", max_bytes=10, keep=5)
    sink.write(entries("a", "b", "c"))
    assert [ids_in(tmp_path / name) for name in ("c", "c.1", "c.2")] == [["c"], ["b"], ["a"]]


def test_without_old_files_the_file_begins_anew(tmp_path: Path):
    sink = JsonlSink(tmp_path / "c", max_bytes=10, keep=0)
    sink.write(entries("a", "b"))
    assert [path.name for path in tmp_path.iterdir()] == ["c"]
    assert ids_in(tmp_path / "c") == ["b"]


def test_a_full_disk_leaves_no_half_line_and_nothing_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    path = tmp_path / "c"
    whole = os.write
    batch = entries("a", "b", "c")
    sink = JsonlSink(path, max_bytes=len(batch[0].json) + 1, keep=5)
    full = iter([False, True])

    def write(file: int, data: bytes) -> int:
        return whole(file, data[:5] if next(full, False) else data)

    monkeypatch.setattr(os, "write", write)
    with pytest.raises(OSError, match="no space") as caught:
        sink.write(batch)
    assert caught.value.errno == errno.ENOSPC
    assert (ids_in(tmp_path / "c.1"), path.read_bytes()) == (["a"], b"")
    sink.write(batch)
    assert [ids_in(tmp_path / name) for name in ("c", "c.1", "c.2")] == [["c"], ["b"], ["a"]]


def test_numbers_that_make_no_sense_are_refused(tmp_path: Path):
    for wrong in ({"max_bytes": 0}, {"keep": -1}):
        with pytest.raises(ConfigurationError, match="max_bytes="):
            JsonlSink(tmp_path / "c", **wrong)


# -------------------------------------------------------------------------------------- a database


def test_a_database_is_readable_by_the_owner_alone(tmp_path: Path):
    path = tmp_path / "new" / "calls.db"
    sink = SqliteSink(path)
    sink.write(entries("a"))
    assert {mode(each) for each in path.parent.iterdir()} == {0o600}
    assert len(list(path.parent.iterdir())) == 3, "the write-ahead log has the same rights"
    sink.close()
    assert mode(path) == 0o600


def test_a_closed_sink_opens_again(tmp_path: Path):
    sink = SqliteSink(tmp_path / "calls.db")
    sink.close()
    for id in "ab":
        sink.write(entries(id))
        sink.close()
    with History(tmp_path / "calls.db") as history:
        assert [each.id for each in history.find()] == ["b", "a"]


def test_a_batch_that_fails_leaves_nothing_behind(tmp_path: Path):
    class Unwritable(Entry):
        @property
        def record(self) -> CallRecord:
            raise RuntimeError("no")

    sink = SqliteSink(tmp_path / "calls.db")
    with pytest.raises(RuntimeError, match="no"):
        sink.write([*entries("a"), Unwritable(record("b"), Redactor())])
    sink.write(entries("c"))
    sink.close()
    with History(tmp_path / "calls.db") as history:
        assert [each.id for each in history.find()] == ["c"]


def test_several_processes_write_to_one_database_from_its_first_moment(tmp_path: Path):
    code = (
        "import sys; from polyvox.ledger import *; from polyvox.ledger.record import CallRecord\n"
        "log = CallLog(SqliteSink(sys.argv[1]))\n"
        "for n in range(100):\n"
        "    log.add(CallRecord(id=f'{sys.argv[2]}-{n}', time=0.0, model='m', seconds=0.0))\n"
        "    n % 10 or log.flush()\n"
        "assert log.close(50) and not log.dropped, log.failure\n"
    )
    path = tmp_path / "calls.db"
    processes = [
        subprocess.Popen([sys.executable, "-c", code, str(path), str(number)])
        for number in range(4)
    ]
    assert [process.wait(timeout=100) for process in processes] == [0, 0, 0, 0]
    with History(path) as history:
        found = {each.id for each in history.find()}
    assert found == {f"{number}-{n}" for number in range(4) for n in range(100)}


def test_a_database_of_a_newer_version_is_left_alone(tmp_path: Path):
    path = tmp_path / "calls.db"
    sink = SqliteSink(path)
    sink.write(entries("a"))
    sink.close()
    newer = len(MIGRATIONS) + 1
    with sqlite3.connect(path) as connection:
        connection.execute(f"PRAGMA user_version = {newer}")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(ConfigurationError, match=f"has schema {newer}; this version") as caught:
        sink.write(entries("b"))
    assert "newer Polyvox" in (caught.value.hint or "")
    with pytest.raises(ConfigurationError, match="has schema"):
        History(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("kind", ["another database", "no database"])
def test_what_is_no_call_log_is_left_alone(tmp_path: Path, kind: str):
    path = tmp_path / "calls.db"
    if kind == "no database":
        path.write_bytes(b"Dear diary, " * 1000)
    else:
        connection = sqlite3.connect(path)
        connection.execute("CREATE TABLE recipes (name)")
        connection.close()
    before = path.read_bytes()
    log = CallLog(SqliteSink(path))
    log.add(record())
    assert log.close()
    assert log.dropped == 1
    assert "is not a call log" in (log.failure or "")
    with pytest.raises(ConfigurationError, match="is not a call log"):
        History(path)
    assert path.read_bytes() == before


def test_migrations_are_only_appended():
    """What was released must stay: a database in the field has it already."""
    assert [migration.name for migration in MIGRATIONS[:1]] == ["calls and their attempts"]
    assert len({migration.name for migration in MIGRATIONS}) == len(MIGRATIONS)


def test_an_older_database_with_calls_is_brought_up_to_date(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    path = tmp_path / "calls.db"
    sink = SqliteSink(path)
    sink.write(entries("old"))
    sink.close()
    step = type(MIGRATIONS[0])("a column", ("ALTER TABLE calls ADD COLUMN extra TEXT",))
    monkeypatch.setattr("polyvox.ledger.schema.MIGRATIONS", (*MIGRATIONS, step))
    for _ in range(2):
        sink.write(entries("new"))
        sink.close()
    with History(path) as history:
        assert [each.id for each in history.find()] == ["new", "new", "old"]


def test_a_migration_that_fails_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "calls.db"
    sink = SqliteSink(path)
    sink.write(entries("old"))
    sink.close()
    kind = type(MIGRATIONS[0])
    bad = kind("half", ("ALTER TABLE calls ADD COLUMN extra TEXT", "CREATE NONSENSE"))
    with monkeypatch.context() as patch:
        patch.setattr("polyvox.ledger.schema.MIGRATIONS", (*MIGRATIONS, bad))
        with pytest.raises(sqlite3.OperationalError):
            sink.write(entries("new"))
    sink.write(entries("new"))
    sink.close()
    with History(path) as history:
        assert [each.id for each in history.find()] == ["new", "old"]


def test_a_line_that_broke_off_spoils_only_itself(tmp_path: Path):
    path = tmp_path / "calls.jsonl"
    path.write_bytes(entries("a")[0].json + b'\n{"id":"b')
    sink = JsonlSink(path)
    sink.write(entries("c"))
    sink.write(entries("d"))
    whole, torn, *rest = path.read_bytes().splitlines()
    assert (json.loads(whole)["id"], torn) == ("a", b'{"id":"b')
    assert [json.loads(line)["id"] for line in rest] == ["c", "d"]


def test_a_full_disk_takes_nothing_from_another_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    path = tmp_path / "c"
    others = entries("other")[0].json + b"\n"
    whole = os.write

    def write(file: int, data: bytes) -> int:
        with path.open("ab") as other:  # between our look at the file and our write
            other.write(others)
        return whole(file, data[:5])

    monkeypatch.setattr(os, "write", write)
    with pytest.raises(OSError, match="no space"):
        JsonlSink(path).write(entries("a"))
    assert path.read_bytes() == others


def test_a_full_database_is_told_as_that(tmp_path: Path):
    sink = SqliteSink(tmp_path / "calls.db")
    sink.write(entries("a"))
    connection = sink._connection
    assert connection is not None
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    connection.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(sqlite3.OperationalError, match="full"):
        sink.write(entries("b", text="long " * 20_000))
    sink.close()
    sink.write(entries("c"))
    sink.close()
    with History(tmp_path / "calls.db") as history:
        assert [each.id for each in history.find()] == ["c", "a"]


@pytest.mark.skipif(os.name == "nt", reason="an open file can't be deleted there")
def test_a_database_that_was_deleted_is_made_anew(tmp_path: Path):
    path = tmp_path / "calls.db"
    sink = SqliteSink(path)
    sink.write(entries("a"))
    path.unlink()
    sink.write(entries("b"))
    path.rename(tmp_path / "old.db")
    sink.write(entries("c"))
    sink.close()
    with History(path) as history:
        assert [each.id for each in history.find()] == ["c"]


def test_tables_that_another_process_makes_meanwhile_are_no_strangers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    path = tmp_path / "calls.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")

    class Raced(sqlite3.Connection):
        others: ClassVar = [path]

        def execute(self, statement: str, *values: Any) -> sqlite3.Cursor:
            if "sqlite_master" in statement and self.others:
                connect(self.others.pop(), create=True).close()
            return super().execute(statement, *values)

    def open_raced(path: Path, timeout: float, *, create: bool) -> sqlite3.Connection:
        kind = Raced if Raced.others else sqlite3.Connection
        return sqlite3.connect(path, timeout, factory=kind, isolation_level=None)

    monkeypatch.setattr(schema_module, "open_file", open_raced)
    connect(path, create=True).close()
    assert not Raced.others


@pytest.mark.skipif(os.name == "nt", reason="there nobody holds anybody off")
def test_a_folder_that_may_be_written_to_and_not_read_will_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    whole = os.open

    def unreadable(path: Path, *arguments: int) -> int:
        if path == tmp_path:
            raise PermissionError(errno.EACCES, "no", str(path))
        return whole(path, *arguments)

    monkeypatch.setattr(os, "open", unreadable)
    JsonlSink(tmp_path / "c").write(entries("a"))
    assert ids_in(tmp_path / "c") == ["a"]


WRITING = """
import sys
from polyvox.ledger import CallRecord, Entry, JsonlSink, Redactor
sink = JsonlSink(sys.argv[1], max_bytes=1_000_000, keep=100)
for number in range(100):
    record = CallRecord(id=f"{sys.argv[2]}{number}", time=1.0, model="m", seconds=1.0, tenant="x" * 50_000)
    sink.write([Entry(record, Redactor())])
"""


@pytest.mark.skipif(os.name == "nt", reason="there only one process may rotate")
def test_several_processes_write_and_rotate_one_file_and_lose_nothing(tmp_path: Path):
    command = [sys.executable, "-c", WRITING, str(tmp_path / "calls.jsonl")]
    writers = [subprocess.Popen([*command, name]) for name in "abc"]
    assert [writer.wait() for writer in writers] == [0, 0, 0]
    found = sorted(id for path in tmp_path.iterdir() for id in ids_in(path))
    assert found == sorted(f"{name}{number}" for name in "abc" for number in range(100))
    assert max(path.stat().st_size for path in tmp_path.iterdir()) <= 1_000_000
