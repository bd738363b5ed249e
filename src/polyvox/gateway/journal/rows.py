"""Calls as rows of the ledger's tables, written so that writing them again changes nothing."""

from collections.abc import Iterable, Sequence
from operator import attrgetter
from typing import Any

import msgspec
from sqlalchemy import Connection, CursorResult, Table, delete, text

from polyvox import jsontext
from polyvox.gateway.database.engine import insert_into
from polyvox.gateway.database.metadata import storable, storable_json
from polyvox.gateway.database.tables import attempts, calls, journals
from polyvox.gateway.journal.balances import debits_of
from polyvox.gateway.journal.columns import ASKED, ATTEMPT, BEGUN, CALL, ENDED, TOKENS, TOTALS
from polyvox.gateway.journal.joining import UNSETTLED, Call, Lines
from polyvox.gateway.journal.lines import Attempted
from polyvox.gateway.journal.raw_rows import NOTHING, as_rows, debit, insert_new

__all__ = ["Batch", "write", "write_calls"]

_MOST = 2**63 - 1

_begun, _ended, _asked = attrgetter(*BEGUN), attrgetter(*ENDED), attrgetter(*ASKED.values())
_tokens, _totals = attrgetter(*TOKENS, "cost.nanos"), attrgetter(*TOTALS, "cost.nanos")

_NEW = "ON CONFLICT (id) DO NOTHING"
_POSTGRES = (
    "SELECT {columns} FROM json_populate_recordset(CAST(NULL AS {table}), CAST(:rows AS json))"
)
# Materialised: SQLite would make the text of a row anew for each value. And without a condition it takes
# the ON of what follows for a join's.
_SQLITE = """WITH given AS MATERIALIZED (SELECT value FROM json_each(:rows))
    SELECT {found} FROM given WHERE true"""


class Batch(msgspec.Struct):
    """Calls that are over in the lines of a journal up to a position; ``last``: nothing comes after.

    ``size`` is how many bytes of lines these are; ``until`` a time of which all lines are shipped with
    them, None if there are more.
    """

    journal: str
    segment: int
    offset: int
    calls: list[Lines]
    size: int
    until: float | None
    last: bool = False


def write(connection: Connection, batch: Batch, now: float) -> None:
    """Write the calls, the balances and how far the journal was read: together, or nothing of it.

    A call that is there already changes no balance either. That holds even where it is forgotten how far
    the journal was read: a folder that was copied, a database from yesterday's backup.
    """
    write_calls(connection, batch.calls)
    if batch.last:
        connection.execute(delete(journals).where(journals.c.journal == batch.journal))
        return
    position = {"segment": batch.segment, "offset": batch.offset, "at": now}
    connection.execute(
        insert_into(connection, journals)
        .values(journal=batch.journal, **position)
        .on_conflict_do_update(index_elements=["journal"], set_=position)
    )


def write_calls(connection: Connection, batch: Sequence[Lines]) -> None:
    """Write the calls that aren't there yet, and the balances with what they were debited."""
    if not batch:
        return
    rows, others = as_rows(batch)
    if rows is not NOTHING and not insert_new(connection, rows):
        rows, others = NOTHING, batch
    new = _insert_calls(connection, [each.call() for each in others])
    attempted = [each for call in new for each in call.attempts]
    if attempted:
        _insert_all(
            connection, attempts, ATTEMPT, _as_text(connection, ATTEMPT, map(_attempt, attempted))
        )
    debit(connection, rows, debits_of(new))


def _insert_calls(connection: Connection, batch: Sequence[Call]) -> Sequence[Call]:
    """Write those that aren't there yet: which ones that are."""
    if not batch:
        return []
    rows = _as_text(connection, CALL, map(_call, batch))
    ids = set(_insert_all(connection, calls, CALL, rows, f"{_NEW} RETURNING id").scalars())
    new: list[Call] = []
    for call in batch:
        if (name := storable(call.begun.id)) in ids:
            ids.discard(name)
            new.append(call)
    return new


def _insert_all(
    connection: Connection, table: Table, names: Sequence[str], rows: str, rest: str = ""
) -> CursorResult[Any]:
    """An insert of rows that go to the database as one text of JSON, which it takes apart itself.

    Calls are answered while that happens; values handed over one by one would keep Python busy for
    several times as long, and with it those calls.
    """
    columns = ", ".join(f'"{name}"' for name in names)
    if connection.dialect.name == "postgresql":
        source = _POSTGRES.format(columns=columns, table=table.name)
    else:
        found = ", ".join(f"json_extract(value, '$[{place}]')" for place in range(len(names)))
        source = _SQLITE.format(found=found)
    statement = text(f"INSERT INTO {table.name} ({columns}) {source} {rest}")
    return connection.execute(
        statement, {"rows": rows}, execution_options={"preserve_rowcount": True}
    )


def _as_text(connection: Connection, names: Sequence[str], rows: Iterable[tuple[Any, ...]]) -> str:
    """As JSON: by name for PostgreSQL, and as lists for SQLite, which finds a value sooner in those.

    Row by row: one that is written down need not be held, nor looked at by the garbage collector.
    """
    if connection.dialect.name == "postgresql":
        texts = [jsontext.encode(dict(zip(names, row, strict=True))) for row in rows]
    else:
        texts = [jsontext.encode(row) for row in rows]
    data = b"[%b]" % b",".join(texts)
    if b"\\u0000" in data:  # hardly ever
        data = jsontext.encode(storable_json(jsontext.decode(data)))
    return data.decode()


def _call(call: Call) -> tuple[Any, ...]:
    ended, usage = call.ended, call.usage
    assert ended is not None
    status = "unknown" if ended.error == UNSETTLED and not call.attempts else usage.cost.status
    return (
        *_begun(call.begun),
        *_ended(ended),
        ended.error or "ok",
        status,
        *_within_bounds(_totals(usage)),
    )


def _attempt(line: Attempted) -> tuple[Any, ...]:
    attempt = line.attempt
    return (line.id, line.number, *_asked(attempt), *_within_bounds(_tokens(attempt.usage)))


def _within_bounds(numbers: tuple[int, ...]) -> Sequence[int]:
    return numbers if max(numbers) <= _MOST else [min(number, _MOST) for number in numbers]
