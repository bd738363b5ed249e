"""A sink that is a database: calls can be searched, added up and asked again."""

import os
import sqlite3
import threading
import weakref
from collections.abc import Sequence
from pathlib import Path

from polyvox import jsontext
from polyvox.ledger.record import CallRecord, Entry
from polyvox.ledger.schema import connect, has_search
from polyvox.transport.sqlite_file import transaction

__all__ = ["SqliteSink"]

_QUESTION_CHARACTERS = 200
_FORK_SECONDS = 2.0
_CALL = """
    INSERT INTO calls
        (id, time, model, answered_by, tenant, session, tags, error, seconds, question, text, record)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_ATTEMPT = "INSERT INTO attempts VALUES (?, ?, ?, ?, ?, ?, ?)"
_SEARCHED = "INSERT INTO search (rowid, text) VALUES (?, ?)"


class SqliteSink:
    """Keeps calls in an SQLite database that only its owner may read; ``History`` reads it.

    Several processes may write to one file. It is opened with the first record.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._connection: sqlite3.Connection | None = None
        self._file: tuple[int, int] | None = None
        self._searchable = False
        self._lock = threading.Lock()
        self._mind_forks()

    def write(self, entries: Sequence[Entry]) -> None:
        """Add these in one transaction. Raises what ``sqlite3`` raises, or ``ConfigurationError``."""
        with self._lock:
            connection = self._open()
            with transaction(connection):
                for entry in entries:
                    self._insert(connection, entry)

    def close(self) -> None:
        """Close the database; another record opens it again."""
        with self._lock:
            self._close()

    def _mind_forks(self) -> None:
        """SQLite bears no fork while a database is open: the child's locks would not be its own.

        Source: "How To Corrupt An SQLite Database File", on carrying a connection across a fork.
        """
        if not hasattr(os, "register_at_fork"):  # not a Unix
            return
        known = weakref.ref(self)
        held: list[SqliteSink] = []

        def before() -> None:
            sink = known()
            if sink is not None and sink._before_fork():
                held.append(sink)

        def after() -> None:
            while held:
                held.pop()._after_fork()

        os.register_at_fork(before=before, after_in_parent=after, after_in_child=after)

    def _before_fork(self) -> bool:
        """Close the database and hold everybody else off; False if that takes too long."""
        held = self._lock.acquire(timeout=_FORK_SECONDS)
        if held:
            self._close()
        return held

    def _after_fork(self) -> None:
        """Let the others go on, in both processes; the next record opens the database again."""
        self._lock.release()

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _open(self) -> sqlite3.Connection:
        if self._file != _identity(self.path):  # not yet open; or it was deleted, or moved away
            self._close()
        if self._connection is None:
            self._connection = connect(self.path, create=True)
            self._file = _identity(self.path)
            self._searchable = has_search(self._connection)
        return self._connection

    def _insert(self, connection: sqlite3.Connection, entry: Entry) -> None:
        record, text = entry.record, entry.record.text
        cursor = connection.execute(_CALL, _row(record, text, entry.json))
        seq = cursor.lastrowid
        connection.executemany(
            _ATTEMPT,
            [
                (
                    seq,
                    attempt.name,
                    attempt.error,
                    attempt.usage.input_tokens,
                    attempt.usage.output_tokens,
                    attempt.usage.cost.status,
                    attempt.usage.cost.nanos,
                )
                for attempt in record.attempts
            ],
        )
        if self._searchable:
            connection.execute(_SEARCHED, (seq, text))


def _identity(path: Path) -> tuple[int, int] | None:
    """Which file it is; None if there is none."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


def _row(record: CallRecord, text: str, json: bytes) -> tuple[object, ...]:
    return (
        record.id,
        record.time,
        record.model,
        record.answered_by,
        record.tenant,
        record.session,
        jsontext.encode(record.tags).decode(),
        record.error_kind,
        record.seconds,
        " ".join(record.question.split())[:_QUESTION_CHARACTERS],
        text,
        json.decode(),
    )
