"""Answers in a file, which outlive the process and are shared by those on one machine."""

import asyncio
import os
import sqlite3
import time
import weakref
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from functools import partial
from pathlib import Path
from threading import get_ident
from typing import Any, TypeVar

from polyvox.transport.sqlite_file import open_file, transaction, write_ahead

__all__ = ["DiskCache"]

_T = TypeVar("_T")

_BATCH = 64
_SCHEMA = """
CREATE TABLE IF NOT EXISTS polyvox_answers (
  id INTEGER PRIMARY KEY AUTOINCREMENT, key BLOB NOT NULL UNIQUE, value BLOB NOT NULL,
  size INTEGER NOT NULL, expires REAL NOT NULL);
CREATE INDEX IF NOT EXISTS polyvox_answers_expires ON polyvox_answers (expires);
CREATE TABLE IF NOT EXISTS polyvox_answers_total (id INTEGER PRIMARY KEY, bytes INTEGER NOT NULL);
INSERT OR IGNORE INTO polyvox_answers_total VALUES (1, 0);
CREATE TRIGGER IF NOT EXISTS polyvox_answers_in AFTER INSERT ON polyvox_answers BEGIN
  UPDATE polyvox_answers_total SET bytes = bytes + NEW.size; END;
CREATE TRIGGER IF NOT EXISTS polyvox_answers_out AFTER DELETE ON polyvox_answers BEGIN
  UPDATE polyvox_answers_total SET bytes = bytes - OLD.size; END;
"""
_EXPIRED = """DELETE FROM polyvox_answers WHERE id IN
  (SELECT id FROM polyvox_answers WHERE expires <= ? ORDER BY expires LIMIT ?)"""
_OLDEST = """DELETE FROM polyvox_answers WHERE id IN
  (SELECT id FROM polyvox_answers ORDER BY id LIMIT ?)"""


class DiskCache:
    """Keep answers in one SQLite file, up to so many bytes; the oldest go first.

    A thread of its own does the work, so that the event loop never waits for the disk. Several
    processes may use one file. The file is made on first use, for its owner's eyes only; answers
    stand in it as they are, not encrypted. A file that is damaged or no SQLite is never replaced:
    every operation fails, which is a miss, until somebody removes it.

    Args:
        path: where the file is; two more with its name stand beside it while it is open.
        max_bytes: how much the answers may take; the file is a little larger.
        timeout: how long an operation may take, in seconds. While one that took longer is still not
            done, the next ones fail at once.
        clock: the time in seconds since the epoch.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        max_bytes: int = 1024 * 1024 * 1024,
        *,
        timeout: float = 1.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._timeout = timeout
        self._table = _Table(Path(path).expanduser(), max_bytes, timeout, clock)
        self._worker = ThreadPoolExecutor(1, "polyvox-disk-cache")
        self._stuck: Future[Any] | None = None
        self._close = weakref.finalize(self, _close, self._worker, self._table)

    async def get(self, key: bytes) -> bytes | None:
        """What is stored under the key. Raises ``OSError`` or ``sqlite3.Error``."""
        return await self._run(partial(self._table.get, key))

    async def put(self, key: bytes, value: bytes, ttl: float) -> None:
        """Store it for so many seconds. Raises ``OSError`` or ``sqlite3.Error``."""
        await self._run(partial(self._table.put, key, value, ttl))

    async def delete(self, key: bytes) -> None:
        """Forget what is stored under the key. Raises ``OSError`` or ``sqlite3.Error``."""
        await self._run(partial(self._table.delete, key))

    async def clear(self) -> None:
        """Forget everything, in batches. Raises ``OSError`` or ``sqlite3.Error``."""
        while await self._run(self._table.delete_some):
            pass

    async def aclose(self) -> None:
        """Close the file; it can't be used any more."""
        await asyncio.to_thread(self._close)

    async def _run(self, work: Callable[[], _T]) -> _T:
        if self._table.foreign:
            raise OSError("the cache was used before this process was forked: make another one")
        if self._stuck is not None and not self._stuck.done():
            raise TimeoutError("the disk has still not done what it was asked before")
        try:
            job = self._worker.submit(work)
        except RuntimeError as error:
            raise OSError("the cache's file was closed") from error
        try:
            async with asyncio.timeout(self._timeout):
                return await asyncio.wrap_future(job)
        except TimeoutError:
            if not job.cancel():  # it runs
                self._stuck = job
            raise


class _Table:
    """The file, as one thread sees it."""

    def __init__(
        self, path: Path, max_bytes: int, timeout: float, clock: Callable[[], float]
    ) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self._timeout = timeout
        self._clock = clock
        self._connection: sqlite3.Connection | None = None
        self._opener = 0
        self.thread = 0

    @property
    def foreign(self) -> bool:
        """Whether another process has opened it, of which this one is a fork."""
        return self._connection is not None and self._opener != os.getpid()

    def get(self, key: bytes) -> bytes | None:
        found = self._open().execute(
            "SELECT value FROM polyvox_answers WHERE key = ? AND expires > ?", (key, self._clock())
        )
        with closing(found):
            row = found.fetchone()
        return None if row is None else bytes(row[0])

    def put(self, key: bytes, value: bytes, ttl: float) -> None:
        """All in one transaction, so that a process that dies in it has done nothing."""
        now, size = self._clock(), len(key) + len(value)
        connection = self._open()
        with transaction(connection):
            connection.execute("DELETE FROM polyvox_answers WHERE key = ?", (key,))
            connection.execute(_EXPIRED, (now, _BATCH))
            if size > self._max_bytes:
                return
            connection.execute(
                "INSERT INTO polyvox_answers (key, value, size, expires) VALUES (?, ?, ?, ?)",
                (key, value, size, now + ttl),
            )
            while self._size() > self._max_bytes and connection.execute(_OLDEST, (1,)).rowcount:
                pass

    def delete(self, key: bytes) -> None:
        self._open().execute("DELETE FROM polyvox_answers WHERE key = ?", (key,))

    def delete_some(self) -> bool:
        """Whether there were some."""
        return self._open().execute(_OLDEST, (_BATCH,)).rowcount > 0

    def _size(self) -> int:
        found = self._open().execute("SELECT bytes FROM polyvox_answers_total")
        with closing(found):
            return int(found.fetchone()[0])

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            # Closed in whichever thread is the last; used in the worker's only.
            connection = open_file(self._path, self._timeout)
            try:
                write_ahead(connection, self._timeout)
                connection.execute("PRAGMA journal_size_limit = 4194304")
                connection.executescript(_SCHEMA)
            except BaseException:
                connection.close()
                raise
            self._connection = connection
            self._opener, self.thread = os.getpid(), get_ident()
        return self._connection


def _close(worker: ThreadPoolExecutor, table: _Table) -> None:
    if not table.foreign:
        # The garbage collector may call this in the worker itself, which can't wait for its own end.
        worker.shutdown(wait=table.thread != get_ident(), cancel_futures=True)
        table.close()
