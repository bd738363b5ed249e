"""One SQLite file, first opened by several at the same moment."""

import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest

from polyvox.transport.sqlite_file import open_file, write_ahead


def locked(code: int) -> sqlite3.OperationalError:
    error = sqlite3.OperationalError("database is locked")
    error.sqlite_errorcode = code
    return error


class Contended:
    """A connection that is told "locked" a few times, as while another process opens the file."""

    def __init__(self, connection: sqlite3.Connection, *errors: sqlite3.Error) -> None:
        self.connection = connection
        self.errors = list(errors)

    def execute(self, statement: str) -> sqlite3.Cursor:
        if self.errors:
            raise self.errors.pop(0)
        return self.connection.execute(statement)


def test_who_opens_the_file_at_the_same_moment_is_waited_for(tmp_path: Path):
    with closing(open_file(tmp_path / "a.db", 30)) as connection:
        busy = [locked(sqlite3.SQLITE_BUSY), locked(sqlite3.SQLITE_BUSY_RECOVERY)]
        write_ahead(Contended(connection, *busy), 30)  # pyright: ignore[reportArgumentType]
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert connection.execute("PRAGMA synchronous").fetchone() == (1,)
    assert stat.S_IMODE((tmp_path / "a.db").stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("error", "timeout"),
    [(locked(sqlite3.SQLITE_BUSY), 0.0), (locked(sqlite3.SQLITE_FULL), 30.0)],
    ids=["too long", "another fault"],
)
def test_but_not_for_ever_and_for_nothing_else(
    tmp_path: Path, error: sqlite3.Error, timeout: float
):
    with closing(open_file(tmp_path / "a.db", 30)) as connection, pytest.raises(sqlite3.Error):
        write_ahead(Contended(connection, error), timeout)  # pyright: ignore[reportArgumentType]
