"""One SQLite file that several processes may use: answers of the cache, calls of the log, sessions."""

import os
import sqlite3
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["open_file", "transaction", "version_of", "write_ahead"]

_PAUSE = 0.01
# One statement, so that it is one look, while another process may be making the tables.
_WHOSE = """SELECT (SELECT count(*) FROM sqlite_master), application_id, user_version
  FROM pragma_application_id, pragma_user_version"""


def open_file(path: Path, timeout: float, *, create: bool = True) -> sqlite3.Connection:
    """Open the file, which only its owner may read if it is made here; without transactions of Python's.

    It may be closed in another thread; its owner sees to it that one at a time uses it. Raises
    ``OSError`` and ``sqlite3.Error``.
    """
    if create:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    return sqlite3.connect(path, timeout=timeout, isolation_level=None, check_same_thread=False)


def version_of(connection: sqlite3.Connection, application: int) -> int | None:
    """Which version its tables have; 0: there are none. None: it is another program's file, or no database.

    ``application`` is the number that marks ours. Raises ``sqlite3.OperationalError``.
    """
    try:
        tables, whose, version = connection.execute(_WHOSE).fetchone()
    except sqlite3.OperationalError:
        raise
    except sqlite3.DatabaseError:
        return None
    return None if tables and whose != application else int(version)


@contextmanager
def transaction(connection: sqlite3.Connection) -> Generator[None]:
    """All that is done in it is done, or nothing. Raises ``sqlite3.Error``."""
    connection.execute("BEGIN IMMEDIATE")
    with connection:
        yield


def write_ahead(connection: sqlite3.Connection, timeout: float) -> None:
    """Let readers and a writer work at the same time. Raises ``sqlite3.Error``.

    SQLite itself does not wait for others that open the file for the first time at this moment.
    """
    due = time.monotonic() + timeout
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            break
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() >= due:
                raise
        time.sleep(_PAUSE)
    connection.execute("PRAGMA synchronous = NORMAL")
