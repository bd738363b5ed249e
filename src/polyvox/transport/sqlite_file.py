"""One SQLite file that several processes may use: the caches' answers, the log's calls."""

import os
import sqlite3
import time
from pathlib import Path

__all__ = ["open_file", "write_ahead"]

_PAUSE = 0.01


def open_file(path: Path, timeout: float, *, create: bool = True) -> sqlite3.Connection:
    """Open the file, which only its owner may read if it is made here; without transactions of Python's.

    It may be closed in another thread; its owner sees to it that one at a time uses it. Raises
    ``OSError`` and ``sqlite3.Error``.
    """
    if create:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    return sqlite3.connect(path, timeout=timeout, isolation_level=None, check_same_thread=False)


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
