"""SQLite: a file, one writer at a time, any number of readers."""

import os.path
import sqlite3
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL
from sqlalchemy.pool import QueuePool

from polyvox.errors import ConfigurationError
from polyvox.gateway.database.bounds import Bounds
from polyvox.gateway.database.faults import busy, is_foreign

__all__ = ["SqliteFile"]

_SCHEME = "sqlite:///"
_WAL_PAUSE = 0.01
_INSTRUCTIONS = 100_000
"""How many of its virtual machine's instructions pass between two looks at the clock."""


class SqliteFile:
    """A database in a file: sqlite:///<path>, which only its owner may read.

    Raises ``ConfigurationError`` for one in memory, and for options.
    """

    password = None

    def __init__(self, url: str) -> None:
        name = url.removeprefix(_SCHEME)
        if not url.startswith(_SCHEME) or name in ("", ":memory:") or "?" in name:
            raise ConfigurationError(
                "the gateway's SQLite database is a file, without options",
                hint="Such as sqlite:///gateway.db or, with an absolute path, sqlite:////srv/gateway.db",
            )
        self.path = Path(name)
        self._writer = threading.Lock()

    @property
    def place(self) -> str:
        """Where it is."""
        return f"{_SCHEME}{self.path}"

    @contextmanager
    def turn(self, bounds: Bounds, read_only: bool) -> Generator[None]:
        """Whoever writes waits here for the others of this process, which is fairer than SQLite's waiting."""
        if read_only:
            yield
            return
        if not self._writer.acquire(timeout=bounds.lock):
            raise busy(f"others have been writing for {bounds.lock:g} s")
        try:
            yield
        finally:
            self._writer.release()

    def hopeless(self, error: Exception) -> ConfigurationError | None:
        """The error for whoever starts the gateway, where what stands there is no database."""
        if os.path.isdir(self.path):
            cause = "it is a folder"
        elif is_foreign(error):
            cause = "it is a file of something else, or encrypted"
        else:
            return None
        return ConfigurationError(
            f"{self.path} is no SQLite database: {cause}",
            hint="Move it away, and the next start makes a new one; or name another one with"
            " --database, or as database in [gateway].",
        )

    def engine(self, bounds: Bounds, connections: int) -> Engine:
        """An engine whose transactions take the write lock at their beginning, unless they only read.

        One that has read before it wants to write could not: the file may have changed meanwhile.

        Source: "Write-Ahead Logging" and "Transaction" of SQLite's documentation.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.touch(mode=0o600)
        engine = create_engine(
            URL.create("sqlite", database=str(self.path)),
            poolclass=QueuePool,
            pool_size=connections,
            max_overflow=0,
            pool_timeout=bounds.wait,
            hide_parameters=True,
            # Transactions are begun below, and not where the driver thinks.
            connect_args={
                "isolation_level": None,
                "timeout": bounds.lock,
                "check_same_thread": False,
            },
        )

        def begins(connection: Connection) -> None:
            _begin(connection, bounds.statement)

        def connected(connection: sqlite3.Connection, _: Any) -> None:
            _set_up(connection, bounds.lock)

        event.listen(engine, "connect", connected)
        event.listen(engine, "begin", begins)
        return engine


def _set_up(connection: sqlite3.Connection, seconds: float) -> None:
    """Every commit is forced onto the disk: what the journal has deleted must be here."""
    _write_ahead(connection, seconds)
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA foreign_keys=ON")


def _write_ahead(connection: sqlite3.Connection, seconds: float) -> None:
    """Processes that do this to a new file at once are in each other's way, and SQLite does not wait."""
    end = time.monotonic() + seconds
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > end:
                raise
            time.sleep(_WAL_PAUSE)
        else:
            return


def _begin(connection: Connection, seconds: float) -> None:
    read_only = bool(connection.get_execution_options().get("read_only"))
    _bound(connection, seconds)
    connection.exec_driver_sql(f"PRAGMA query_only={int(read_only)}")
    connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")


def _bound(connection: Connection, seconds: float) -> None:
    """End a transaction that still computes then; SQLite calls it "interrupted"."""
    raw: Any = connection.connection.dbapi_connection
    end: float | None = None

    def is_late() -> bool:
        nonlocal end
        now = time.monotonic()
        end = end or now + seconds
        return now > end

    raw.set_progress_handler(is_late, _INSTRUCTIONS)
