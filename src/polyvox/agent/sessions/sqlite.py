"""Sessions in one SQLite database."""

import errno
import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path

import msgspec

from polyvox.agent.sessions.entries import Entry, Record, read_entries, read_header
from polyvox.agent.sessions.info import SessionInfo
from polyvox.agent.sessions.lock import SessionLock
from polyvox.agent.sessions.session import Writer
from polyvox.agent.sessions.store import Sessions, file_name
from polyvox.errors import ConfigurationError
from polyvox.transport.sqlite_file import open_file, transaction, version_of, write_ahead

__all__ = ["SqliteSessions"]

_APPLICATION_ID = 0x50765365  # "PvSe", so that no other program's database is taken for ours
_VERSION = 1
_BUSY_SECONDS = 10.0
_SCHEMA = f"""
BEGIN IMMEDIATE;
CREATE TABLE IF NOT EXISTS sessions (
  key INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, header BLOB NOT NULL, info BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS entries (
  session INTEGER NOT NULL REFERENCES sessions (key) ON DELETE CASCADE,
  number INTEGER NOT NULL, entry BLOB NOT NULL, UNIQUE (session, number));
PRAGMA application_id = {_APPLICATION_ID};
PRAGMA user_version = {_VERSION};
COMMIT;
"""
_ENTRIES = "SELECT entry FROM entries WHERE session = ? ORDER BY number"


class SqliteSessions(Sessions):
    """Sessions in one SQLite file, which is made on first use.

    A thread of its own does the work, so that the event loop never waits for the disk, nor for another
    process that writes to the same file. Each event is a transaction.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        super().__init__(_Database(Path(path).expanduser()), write_in_thread=True)


class _Database:
    """The file, as the one thread sees it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = None

    def lock_path(self, id: str) -> Path:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        return self._path.with_name(f"{self._path.name}.{file_name(id)}.lock")

    def read(self, id: str) -> Record | None:
        connection = self._open()
        row = connection.execute("SELECT key, header FROM sessions WHERE id = ?", (id,)).fetchone()
        if row is None:
            return None
        where = f"session {id!r} in {self._path}"
        header = read_header(row[1], where)
        lines = (line for (line,) in connection.execute(_ENTRIES, (row[0],)))
        return Record(header, read_entries(lines, where))

    def create(self, record: Record) -> None:
        header = record.header
        row = (header.id, msgspec.json.encode(header), msgspec.json.encode(record.info()))
        connection = self._open()
        with transaction(connection):
            key = connection.execute(
                "INSERT INTO sessions (id, header, info) VALUES (?, ?, ?)", row
            ).lastrowid
            connection.executemany(
                "INSERT INTO entries VALUES (?, ?, ?)",
                (
                    (key, number, msgspec.json.encode(entry))
                    for number, entry in enumerate(record.entries)
                ),
            )

    def writer(self, record: Record, lock: SessionLock) -> Writer:
        return _Rows(self._open(), self._path, record, lock)

    def delete(self, id: str) -> bool:
        return self._open().execute("DELETE FROM sessions WHERE id = ?", (id,)).rowcount > 0

    def infos(self) -> Sequence[SessionInfo]:
        rows = self._open().execute("SELECT id, header, info FROM sessions").fetchall()
        return [_info(*row) for row in rows]

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = _connected(self._path)
        return self._connection


class _Rows:
    """A session's rows, to be added to. The number of each is unique: nobody can write between them."""

    def __init__(
        self, connection: sqlite3.Connection, path: Path, record: Record, lock: SessionLock
    ) -> None:
        self._connection = connection
        self._path = path
        self._lock = lock
        self._number = len(record.entries)
        self._key = connection.execute(
            "SELECT key FROM sessions WHERE id = ?", (record.header.id,)
        ).fetchone()[0]

    def write(self, entry: Entry, info: SessionInfo) -> None:
        row = (self._key, self._number, msgspec.json.encode(entry))
        if not self._path.exists():  # SQLite would write on, into a file that nobody finds
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(self._path))
        known = (msgspec.json.encode(info), self._key)
        with transaction(self._connection):
            self._connection.execute("INSERT INTO entries VALUES (?, ?, ?)", row)
            self._connection.execute("UPDATE sessions SET info = ? WHERE key = ?", known)
        self._number += 1

    def close(self) -> None:
        self._lock.release()


def _info(id: str, header: bytes, info: bytes) -> SessionInfo:
    try:
        read_header(header, f"session {id!r}")
        return msgspec.json.decode(info, type=SessionInfo)
    except (ConfigurationError, msgspec.DecodeError) as error:
        return SessionInfo(id=id, error=str(error))


def _connected(path: Path) -> sqlite3.Connection:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    connection = open_file(path, _BUSY_SECONDS)
    try:
        if _version(connection, path) == 0:
            connection.executescript(_SCHEMA)
        connection.execute("PRAGMA foreign_keys = ON")
        write_ahead(connection, _BUSY_SECONDS)
    except BaseException:
        connection.close()
        raise
    return connection


def _version(connection: sqlite3.Connection, path: Path) -> int:
    """Which tables are there. Raises ``ConfigurationError`` for a database that can't be ours."""
    version = version_of(connection, _APPLICATION_ID)
    if version is None:
        raise ConfigurationError(
            f"{path} holds no sessions", hint="Name another file; a new one is made."
        )
    if version > _VERSION:
        raise ConfigurationError(
            f"{path} was written by a newer Polyvox: its schema is {version}, this version knows "
            f"{_VERSION}",
            hint="Install the newer Polyvox, or name another file.",
        )
    return version
