"""Looking back: the calls of a database, found, searched, added up and pruned."""

import os
import re
import sqlite3
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, TypeAlias

import msgspec

from polyvox import jsontext
from polyvox.closing import Closing
from polyvox.errors import ConfigurationError, NotFoundError
from polyvox.ledger.record import CallRecord
from polyvox.ledger.schema import connect, has_search
from polyvox.transport.sqlite_file import transaction
from polyvox.usage import Cost

__all__ = ["CallFilter", "GroupBy", "History", "StatsRow"]

GroupBy: TypeAlias = Literal["model", "day", "tenant", "session", "tag", "kind"]

_PRUNE_BATCH = 500
_MOST = 2**63 - 1
_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"
)
"""Scripts without spaces between words, where the index has whole sentences for words."""


class CallFilter(msgspec.Struct, kw_only=True, frozen=True):
    """Which calls are meant: those that all of this holds for.

    ``model`` is a part of the name asked or of the one that answered; ``tags`` are the tags a call
    must have, None for any value; ``since`` and ``before`` are seconds since the epoch; ``traced``
    calls are those whose answer tells what it was made of.
    """

    model: str | None = None
    tenant: str | None = None
    session: str | None = None
    tags: dict[str, str | None] = {}
    since: float | None = None
    before: float | None = None
    errors: bool = False
    traced: bool = False

    def where(self) -> tuple[str, list[object]]:
        """The condition on ``calls`` in SQL, with its parameters."""
        conditions = ["1"]
        values: list[object] = []
        if self.model is not None:
            conditions.append("(instr(calls.model, ?) OR instr(calls.answered_by, ?))")
            values += [self.model, self.model]
        for column, value in (("tenant", self.tenant), ("session", self.session)):
            if value is not None:
                conditions.append(f"calls.{column} = ?")
                values.append(value)
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
        if self.traced:
            conditions.append("json_extract(calls.record, '$.message.trace') IS NOT NULL")
        return " AND ".join(conditions), values


class StatsRow(msgspec.Struct, kw_only=True):
    """The sums of one model, day, tenant, session, tag's value or kind; "" for all, or for none.

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
    "tenant": "nullif(calls.tenant, '')",
    "session": "calls.session",
    "tag": "(SELECT value FROM json_each(calls.tags) WHERE key = ?)",
    "kind": "coalesce(json_extract(calls.record, '$.kind'), 'answer')",
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


class History(Closing):
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
        self,
        wanted: CallFilter | None = None,
        limit: int | None = None,
        *,
        oldest_first: bool = False,
    ) -> Iterator[CallRecord]:
        """The calls that are meant, or the newest of them, newest first; read one after the other."""
        where, values = (wanted or CallFilter()).where()
        return self._records(where, values, limit, oldest_first=oldest_first)

    def get(self, id: str) -> list[CallRecord]:
        """The records of one call, oldest first: by its id, the beginning of it, or "last".

        Raises ``NotFoundError`` if there is none, or the beginning is that of several.
        """
        if id == "last":
            return list(self.find(limit=1))
        rows = self._rows(
            "SELECT DISTINCT id FROM calls WHERE id = ? OR substr(id, 1, ?) = ? LIMIT 10",
            [id, len(id), id],
        )
        ids = [row["id"] for row in rows]
        if id not in ids and len(ids) != 1:
            about = f"begins several: {', '.join(ids[:3])}, ..." if ids else "begins no id"
            raise NotFoundError(
                f"no call is meant by {id!r}: it {about}" if id else "no call is meant by ''",
                hint="'polyvox log' lists the calls with their ids.",
            )
        exact = id if id in ids else ids[0]
        return list(self._records("id = ?", [exact], oldest_first=True))

    def search(
        self, words: str, wanted: CallFilter | None = None, limit: int = 20
    ) -> Iterator[CallRecord]:
        """The calls that are meant in whose texts all words stand, newest first."""
        where, values = (wanted or CallFilter()).where()
        scanned = words.replace("\0", " ").split()
        with self._told():
            searchable = has_search(self._connection)
        if searchable:
            indexed = [word for word in scanned if not _UNSPACED.search(word)]
            scanned = [word for word in scanned if _UNSPACED.search(word)]
            if indexed:
                where += " AND calls.seq IN (SELECT rowid FROM search WHERE search MATCH ?)"
                values.append(" ".join('"' + word.replace('"', '""') + '"' for word in indexed))
        where += " AND instr(lower(calls.text), lower(?))" * len(scanned)
        return self._records(where, [*values, *scanned], limit)

    def stats(
        self, by: GroupBy | None = None, wanted: CallFilter | None = None, *, tag: str = ""
    ) -> list[StatsRow]:
        """The sums by model asked, day (of the local time), tenant, session, value of a tag, kind; of all.

        By model every attempt counts for who was asked; "" holds calls for which nobody was. Raises
        ``ConfigurationError`` for other words.
        """
        if by is not None and (by not in _GROUPS or (by == "tag") != bool(tag)):
            raise ConfigurationError(
                f"calls are not added up by {by!r}",
                hint=f'It may be {", ".join(_GROUPS)}; with by="tag" goes tag="team".',
            )
        where, values = (wanted or CallFilter()).where()
        group = _GROUPS[by] if by else "''"
        if by == "tag":
            values.insert(0, tag)
        errors = _FAILED_ATTEMPTS if by == "model" else _FAILED_CALLS
        order = "1 DESC" if by == "day" else "cost_nanos DESC, calls DESC, 1"
        rows = self._rows(
            _STATS.format(group=group, errors=errors, where=where, order=order), values
        )
        return [StatsRow(**dict(row)) for row in rows]

    def count(self) -> int:
        """How many calls there are."""
        return sum(int(row[0]) for row in self._rows("SELECT count(*) FROM calls"))

    def prune(self, before: float) -> int:
        """Delete the calls that began before this point in time; gives how many there were."""
        deleted = 0
        with self._told():
            searchable = has_search(self._connection)
            while count := self._delete_some(before, searchable):
                deleted += count
            # Each step of it frees one page, and only a script takes all of them.
            self._connection.executescript("PRAGMA incremental_vacuum")
        return deleted

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def _records(
        self,
        where: str,
        values: list[object],
        limit: int | None = None,
        *,
        oldest_first: bool = False,
    ) -> Iterator[CallRecord]:
        query = f"SELECT id, record FROM calls WHERE {where} ORDER BY seq DESC LIMIT ?"
        if oldest_first:  # of the newest; only their numbers are put into order, not their texts
            newest = query.replace("id, record", "seq")
            query = f"SELECT id, record FROM calls WHERE seq IN ({newest}) ORDER BY seq"
        for row in self._rows(query, [*values, -1 if limit is None else min(limit, _MOST)]):
            try:
                yield jsontext.decode(row["record"], CallRecord)
            except msgspec.DecodeError as error:
                raise self._unreadable(f"call {row['id']}: {error}") from error

    def _rows(self, query: str, values: Sequence[object] = ()) -> Iterator[sqlite3.Row]:
        with self._told():
            # "yield from" would close the cursor of a reader who left, after the log was closed.
            for row in self._connection.execute(query, [*map(_stored, values)]):  # noqa: UP028
                yield row

    @contextmanager
    def _told(self) -> Generator[None]:
        """What SQLite can't do becomes an error of ours."""
        try:
            yield
        except sqlite3.Error as error:
            raise self._unreadable(str(error)) from error

    def _unreadable(self, reason: str) -> ConfigurationError:
        return ConfigurationError(f"can't read the call log {self.path}: {reason}")

    def _delete_some(self, before: float, searchable: bool) -> int:
        """Few at a time, so that those who write wait only for so long."""
        connection = self._connection
        with transaction(connection):
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


def _stored(value: object) -> object:
    """As SQLite takes it, which takes no half characters."""
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value
