"""Looking back: the calls of a database, found, searched, added up and pruned."""

import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Literal, TypeAlias

import msgspec

from polyvox import jsontext
from polyvox.errors import ConfigurationError, NotFoundError
from polyvox.ledger.record import CallRecord
from polyvox.ledger.schema import connect, has_search
from polyvox.usage import Cost

__all__ = ["CallFilter", "GroupBy", "History", "StatsRow"]

GroupBy: TypeAlias = Literal["model", "day", "session", "tag"]

_PRUNE_BATCH = 500


class CallFilter(msgspec.Struct, kw_only=True, frozen=True):
    """Which calls are meant: those that all of this holds for.

    ``model`` is a part of the name asked or of the one that answered; ``tags`` are the tags a call
    must have, None for any value; ``since`` and ``before`` are seconds since the epoch.
    """

    model: str | None = None
    session: str | None = None
    tags: dict[str, str | None] = {}
    since: float | None = None
    before: float | None = None
    errors: bool = False

    def where(self) -> tuple[str, list[object]]:
        """The condition on ``calls`` in SQL, with its parameters."""
        conditions = ["1"]
        values: list[object] = []
        if self.model is not None:
            conditions.append("(instr(calls.model, ?) OR instr(calls.answered_by, ?))")
            values += [self.model, self.model]
        if self.session is not None:
            conditions.append("calls.session = ?")
            values.append(self.session)
        for key, value in self.tags.items():
            match = "" if value is None else " AND value = ?"
            conditions.append(f"EXISTS (SELECT 1 FROM json_each(calls.tags) WHERE key = ?{match})")
            values += [key] if value is None else [key, value]
        if self.since is not None:
            conditions.append("calls.time >= ?")
            values.append(self.since)
        if self.before is not None:
            conditions.append("calls.time < ?")
            values.append(self.before)
        if self.errors:
            conditions.append("calls.error IS NOT NULL")
        return " AND ".join(conditions), values


class StatsRow(msgspec.Struct, kw_only=True):
    """The sums of one group: a model, a day, a session, a tag's value; "" for all, or for none of these.

    ``errors`` counts the calls that failed; by model, the attempts. ``cost_nanos`` is a lower bound
    when there are ``unpriced`` attempts; ``priced`` ones have a price, and others are free.
    """

    name: str
    calls: int
    attempts: int
    errors: int
    input_tokens: int
    output_tokens: int
    cost_nanos: int
    priced: int
    unpriced: int

    @property
    def cost(self) -> Cost:
        """What the group cost."""
        status = "unknown" if self.unpriced else "known" if self.priced else "free"
        return Cost(status, self.cost_nanos)


_GROUPS = {
    "model": "attempts.name",
    "day": "date(calls.time, 'unixepoch', 'localtime')",
    "session": "calls.session",
    "tag": "(SELECT value FROM json_each(calls.tags) WHERE key = ?)",
}
_FAILED_CALLS = "count(DISTINCT CASE WHEN calls.error IS NOT NULL THEN calls.seq END)"
_FAILED_ATTEMPTS = """
    coalesce(sum(CASE WHEN attempts.call IS NULL THEN calls.error IS NOT NULL
                      ELSE attempts.error IS NOT NULL END), 0)
"""
_STATS = """
    SELECT
        coalesce({group}, '') AS name,
        count(DISTINCT calls.seq) AS calls,
        count(attempts.call) AS attempts,
        {errors} AS errors,
        coalesce(sum(attempts.input_tokens), 0) AS input_tokens,
        coalesce(sum(attempts.output_tokens), 0) AS output_tokens,
        coalesce(sum(attempts.cost_nanos), 0) AS cost_nanos,
        coalesce(sum(attempts.cost_status = 'known'), 0) AS priced,
        coalesce(sum(attempts.cost_status = 'unknown'), 0) AS unpriced
    FROM calls LEFT JOIN attempts ON attempts.call = calls.seq
    WHERE {where}
    GROUP BY 1 ORDER BY {order}
"""


class History:
    """The calls that ``SqliteSink`` keeps in a file. Close it, or use it in ``with``.

    Raises ``ConfigurationError`` when there is no such file, or it is no call log.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        try:
            self._connection = connect(self.path, create=False)
        except (sqlite3.Error, OSError) as error:
            raise ConfigurationError(f"can't open the call log {self.path}: {error}") from error

    def find(
        self, wanted: CallFilter | None = None, limit: int | None = None
    ) -> Iterator[CallRecord]:
        """The calls that are meant, newest first."""
        where, values = (wanted or CallFilter()).where()
        return self._records(
            f"SELECT record FROM calls WHERE {where} ORDER BY seq DESC LIMIT ?",
            [*values, -1 if limit is None else limit],
        )

    def get(self, id: str) -> list[CallRecord]:
        """The records of one call, oldest first: by its id, the beginning of it, or "last".

        Raises ``NotFoundError`` if there is none, or the beginning is that of several.
        """
        if id == "last":
            return list(self.find(limit=1))
        rows = self._connection.execute(
            "SELECT DISTINCT id FROM calls WHERE id = ? OR substr(id, 1, ?) = ? LIMIT 10",
            (id, len(id), id),
        ).fetchall()
        ids = [row["id"] for row in rows]
        if id not in ids and len(ids) != 1:
            about = f"begins several: {', '.join(ids[:3])}, ..." if ids else "is none of them"
            raise NotFoundError(
                f"no call is meant by {id!r}: it {about}" if id else "no call is meant by ''",
                hint="'polyvox log' lists the calls with their ids.",
            )
        exact = id if id in ids else ids[0]
        return list(self._records("SELECT record FROM calls WHERE id = ? ORDER BY seq", [exact]))

    def search(
        self, words: str, wanted: CallFilter | None = None, limit: int = 20
    ) -> Iterator[CallRecord]:
        """The calls that are meant in whose texts all words stand, newest first."""
        where, values = (wanted or CallFilter()).where()
        each = words.split()
        if has_search(self._connection):
            quoted = " ".join('"' + word.replace('"', '""') + '"' for word in each)
            found = "calls.seq IN (SELECT rowid FROM search WHERE search MATCH ?)"
            values.insert(0, quoted)
        else:
            found = " AND ".join("instr(lower(calls.text), ?)" for _ in each) or "1"
            values[:0] = [word.lower() for word in each]
        return self._records(
            f"SELECT record FROM calls WHERE {found} AND {where} ORDER BY seq DESC LIMIT ?",
            [*values, limit],
        )

    def stats(
        self, by: GroupBy | None = None, wanted: CallFilter | None = None, *, tag: str = ""
    ) -> list[StatsRow]:
        """The sums by model asked, day (of the local time), session, or value of a tag; or of all.

        By model every attempt counts for who was asked; "" holds calls for which nobody was.
        """
        where, values = (wanted or CallFilter()).where()
        group = _GROUPS[by] if by else "''"
        if by == "tag":
            values.insert(0, tag)
        errors = _FAILED_ATTEMPTS if by == "model" else _FAILED_CALLS
        order = "1 DESC" if by == "day" else "cost_nanos DESC, calls DESC, 1"
        rows = self._connection.execute(
            _STATS.format(group=group, errors=errors, where=where, order=order), values
        )
        return [StatsRow(**dict(row)) for row in rows]

    def count(self) -> int:
        """How many calls there are."""
        return int(self._connection.execute("SELECT count(*) FROM calls").fetchone()[0])

    def prune(self, before: float) -> int:
        """Delete the calls that began before this point in time; gives how many there were."""
        deleted = 0
        searchable = has_search(self._connection)
        while count := self._delete_some(before, searchable):
            deleted += count
        # Each step of it frees one page, and only a script takes all of them.
        self._connection.executescript("PRAGMA incremental_vacuum")
        return deleted

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def __enter__(self) -> "History":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _records(self, query: str, values: list[object]) -> Iterator[CallRecord]:
        for row in self._connection.execute(query, values):
            yield jsontext.decode(row["record"], CallRecord)

    def _delete_some(self, before: float, searchable: bool) -> int:
        """Few at a time, so that those who write wait only for so long."""
        connection = self._connection
        with connection:
            connection.execute("BEGIN IMMEDIATE")
            rows = connection.execute(
                "SELECT seq, text FROM calls WHERE time < ? LIMIT ?", (before, _PRUNE_BATCH)
            ).fetchall()
            if searchable:
                connection.executemany(
                    "INSERT INTO search (search, rowid, text) VALUES ('delete', ?, ?)",
                    map(tuple, rows),
                )
            connection.executemany(
                "DELETE FROM calls WHERE seq = ?", [(row["seq"],) for row in rows]
            )
        return len(rows)
