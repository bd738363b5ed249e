"""Calls as rows of the ledger's tables, written so that writing them again changes nothing."""

from collections.abc import Callable, Sequence
from itertools import count
from operator import attrgetter, itemgetter
from typing import Any

import msgspec
from sqlalchemy import (
    JSON,
    ColumnElement,
    Connection,
    Select,
    Table,
    Text,
    bindparam,
    cast,
    delete,
    func,
    literal,
    literal_column,
    select,
    true,
)

from polyvox import jsontext
from polyvox.gateway.database.engine import insert_into
from polyvox.gateway.database.tables import attempts, balances, calls, journals
from polyvox.gateway.journal.balances import debits_of
from polyvox.gateway.journal.joining import UNSETTLED, Call
from polyvox.gateway.journal.lines import Attempted
from polyvox.usage import Usage

__all__ = ["Batch", "write", "write_calls"]

_MOST = 2**63 - 1
_MANY = 32
_TOKENS = tuple(name for name in attempts.c.keys() if name.endswith("_tokens"))  # noqa: SIM118
_TOTALS = tuple(name for name in _TOKENS if name in calls.c)
_all_tokens, _totals = attrgetter(*_TOKENS), attrgetter(*_TOTALS)


class Batch(msgspec.Struct):
    """Calls that are over in the lines of a journal up to a position; ``last``: nothing comes after.

    ``size`` is how many bytes of lines these are; ``until`` a time of which all lines are shipped with
    them, None if there are more.
    """

    journal: str
    segment: int
    offset: int
    calls: list[Call]
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


def write_calls(connection: Connection, batch: Sequence[Call]) -> None:
    """Write the calls that aren't there yet, and the balances with what they were debited."""
    if not batch:
        return
    statement = _insert_all(connection, calls, [_call(call) for call in batch])
    statement = statement.on_conflict_do_nothing(index_elements=["id"])
    ids = set(connection.scalars(statement.returning(calls.c.id)))
    new: list[Call] = []
    for call in batch:
        if call.begun.id in ids:
            ids.discard(call.begun.id)
            new.append(call)
    if rows := [_attempt(each) for call in new for each in call.attempts]:
        connection.execute(_insert_all(connection, attempts, rows))
    _write_balances(connection, new)


def _write_balances(connection: Connection, batch: Sequence[Call]) -> None:
    debits = debits_of(batch)
    if not debits:
        return
    statement = insert_into(connection, balances)
    statement = statement.on_conflict_do_update(
        index_elements=["account", "mark"],
        set_={
            "nanos": balances.c.nanos + statement.excluded.nanos,
            "at": statement.excluded.at,
        },
    )
    # In order: two replicas that debit the same accounts don't wait for each other crosswise.
    rows = [
        {"account": account, "mark": mark, "nanos": nanos, "at": at}
        for (account, mark), (nanos, at) in sorted(debits.items())
    ]
    connection.execute(statement, rows)


def _insert_all(connection: Connection, table: Table, rows: list[dict[str, Any]]) -> Any:
    """An insert of rows that go to the database as one text of JSON, which it takes apart itself.

    Calls are answered while that happens; values handed over one by one would keep Python busy for
    several times as long, and with it those calls.
    """
    names = table.c.keys()
    if connection.dialect.name == "postgresql":
        kind: ColumnElement[Any] = literal_column(f"NULL::{table.name}")
        given = func.json_populate_recordset(kind, cast(_as_text(rows), JSON)).table_valued(*names)
        return insert_into(connection, table).from_select(names, select(*given.c))
    found = _looked_up(table, [*zip(*map(itemgetter(*names), rows), strict=True)])
    return insert_into(connection, table).from_select(names, found)


def _looked_up(table: Table, columns: Sequence[Sequence[Any]]) -> Select[Any]:
    """The rows in SQLite, which looks each value up in its row: faster in a list than in an object.

    What is the same in all rows need not be looked up: of most calls that is half of the columns.
    """
    same = [_are_same(values) for values in columns]
    varying = [values for values, one in zip(columns, same, strict=True) if not one]
    lists = [*zip(*varying, strict=True)] if varying else [()] * len(columns[0])
    each = func.json_each(_as_text(lists)).table_valued("value")
    places = count()
    found = [
        literal(values[0], column.type)
        if one
        else func.json_extract(each.c.value, literal_column(f"'$[{next(places)}]'"))
        for column, values, one in zip(table.c, columns, same, strict=True)
    ]
    # Without a condition it takes ON for a join's.
    return select(*found).select_from(each).where(true())


def _are_same(values: Sequence[Any]) -> bool:
    """Of few rows nothing is said to be the same, so that there are not many kinds of statements."""
    first = values[0]
    return len(values) >= _MANY and type(first) is not dict and values.count(first) == len(values)


def _as_text(rows: Sequence[Any]) -> ColumnElement[str]:
    return bindparam("rows", jsontext.encode(rows).decode(), type_=Text())


def _call(call: Call) -> dict[str, Any]:
    begun, ended, usage = call.begun, call.ended, call.usage
    assert ended is not None
    status = "unknown" if ended.error == UNSETTLED and not call.attempts else usage.cost.status
    return {
        "id": begun.id,
        "at": begun.at,
        "model": _clean(begun.model),
        "key": begun.key,
        "organisation": begun.organisation,
        "team": begun.team,
        "end_user": _clean(begun.end_user),
        "kind": begun.kind,
        "dialect": begun.dialect,
        "session": _clean(begun.session),
        "context": _clean(begun.context),
        "prompt": _clean(begun.prompt),
        "tags": {_clean(name): _clean(value) for name, value in begun.tags.items()},
        "status": ended.error or "ok",
        "partial": ended.partial,
        "cached": ended.cached,
        "seconds": ended.seconds,
        "first_token": ended.first_token,
        "overhead": ended.overhead,
        "nanos": min(usage.cost.nanos, _MOST),
        "cost_status": status,
        **_tokens(usage, _TOTALS, _totals),
    }


def _attempt(line: Attempted) -> dict[str, Any]:
    attempt, usage = line.attempt, line.attempt.usage
    return {
        "call": line.id,
        "number": line.number,
        "provider": _clean(attempt.provider),
        "model": _clean(attempt.model),
        "at": attempt.started,
        "seconds": attempt.seconds,
        "first_byte": attempt.first_byte,
        "basis": usage.basis,
        "nanos": min(usage.cost.nanos, _MOST),
        "cost_status": usage.cost.status,
        "cost_source": usage.cost.source,
        "error": attempt.error,
        "status_code": attempt.status,
        "request_id": _clean(attempt.request_id),
        "response_model": _clean(attempt.response_model),
        **_tokens(usage, _TOKENS, _all_tokens),
    }


def _tokens(usage: Usage, names: Sequence[str], values: Callable[[Usage], Any]) -> dict[str, int]:
    counts = values(usage)
    if max(counts) > _MOST:
        counts = [min(count, _MOST) for count in counts]
    return dict(zip(names, counts, strict=True))


def _clean(text: str | None) -> str | None:
    """As ``PlainText`` cleans it."""
    return text if text is None or "\0" not in text else text.replace("\0", "\ufffd")
