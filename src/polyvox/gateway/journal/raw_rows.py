"""The usual calls as rows: the database takes the lines of the journal apart itself.

Python hands over the lines as they stand in the journal, as one text, and everything else happens in a
few statements. While those run, the thread that answers calls goes on; to decode the lines and to put
values in order in Python would take it away from that for several times as long.

A usual call has three lines: it began, one provider was asked, it is over; or nobody was asked, and it has
two. What else is unusual, a number that has no room in 64 bits for one, the database finds out: then it
has written nothing, and ``rows`` does it exactly.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from operator import attrgetter
from typing import Any

import msgspec
from msgspec.structs import fields
from sqlalchemy import Column, Connection, Table, TextClause, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import DBAPIError

from polyvox import jsontext
from polyvox.gateway.database.faults import is_broken, is_busy
from polyvox.gateway.database.metadata import storable
from polyvox.gateway.database.tables import attempts, calls
from polyvox.gateway.journal.columns import ASKED, BEGUN, ENDED, TOKENS, TOTALS
from polyvox.gateway.journal.joining import UNSETTLED, Lines
from polyvox.gateway.journal.lines import Attempted, Begun, Ended

__all__ = ["NOTHING", "Rows", "as_rows", "debit", "insert_new"]


class Rows(msgspec.Struct, frozen=True):
    """So many calls and attempts as a text for a database: a list of [begun, attempted, ended]."""

    text: str
    calls: int
    attempts: int


NOTHING = Rows("[]", 0, 0)

_BEGUN, _ATTEMPTED, _ENDED = range(3)
"""Where the lines stand in a row."""

_LINES = (Begun, Attempted, Ended)
_USED = {
    **{name: (_ATTEMPTED, f"attempt.usage.{name}") for name in TOKENS},
    "nanos": (_ATTEMPTED, "attempt.usage.cost.nanos"),
}
_CALL = {
    **{name: (_BEGUN, name) for name in BEGUN},
    **{name: (_ENDED, name) for name in ENDED},
    "status": (_ENDED, "error"),
    "cost_status": (_ATTEMPTED, "attempt.usage.cost.status"),
    **{name: _USED[name] for name in (*TOTALS, "nanos")},
}
_ATTEMPT = {
    "call": (_ATTEMPTED, "id"),
    "number": (_ATTEMPTED, "number"),
    **{name: (_ATTEMPTED, f"attempt.{path}") for name, path in ASKED.items()},
    **_USED,
}
"""In which line, and where in it, the value of a column stands."""

_ODD = {
    "status": "coalesce(nullif({found}, ''), 'ok')",
    "basis": "coalesce({found}, CASE WHEN {usage} IS NULL THEN 'missing' ELSE 'reported' END)",
    "cost_status": f"""coalesce({{found}}, CASE WHEN {{asked}} IS NULL
        AND coalesce({{error}}, '') <> '{UNSETTLED}' THEN 'free' ELSE 'unknown' END)""",
}
"""Columns whose value is not simply the field's default where the line leaves the field out."""

_USUAL = 3
_NUL = b"\\u0000"

# A table of a connection's own: SQLite would take the text apart anew for each statement.
_SQLITE_GIVE = (
    text("CREATE TEMP TABLE IF NOT EXISTS given (value TEXT)"),
    text("DELETE FROM temp.given"),
    text("INSERT INTO temp.given SELECT value FROM json_each(:rows)"),
)
_POSTGRES_GIVEN = "given AS (SELECT value FROM jsonb_array_elements(CAST(:rows AS jsonb)))"

_DEBIT = """
    INSERT INTO balances (account, mark, nanos, at)
    WITH {given} debits (account, mark, nanos, at) AS ({found})
    SELECT account, mark, {total}, max(at) FROM debits WHERE nanos <> 0
    GROUP BY account, mark ORDER BY account, mark
    ON CONFLICT (account, mark)
    DO UPDATE SET nanos = balances.nanos + excluded.nanos, at = excluded.at"""

# In order: two replicas that debit the same accounts don't wait for each other crosswise.
_SQLITE_DEBITS = """
    SELECT json_extract(debit.value, '$[0]'), json_extract(debit.value, '$[1]'),
        json_extract(debit.value, '$[2]'), json_extract(given.value, '$[2].at')
    FROM given JOIN json_each(json_extract(given.value, '$[2].debits')) AS debit
    UNION ALL
    SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]'), json_extract(value, '$[2]'),
        json_extract(value, '$[3]')
    FROM json_each(:more)"""
_POSTGRES_DEBITS = """
    SELECT debit.value ->> 0, CAST(debit.value ->> 1 AS bigint), CAST(debit.value ->> 2 AS bigint),
        CAST(given.value #>> '{2,at}' AS double precision)
    FROM given CROSS JOIN LATERAL jsonb_array_elements(given.value #> '{2,debits}') AS debit
    UNION ALL
    SELECT value ->> 0, CAST(value ->> 1 AS bigint), CAST(value ->> 2 AS bigint),
        CAST(value ->> 3 AS double precision)
    FROM jsonb_array_elements(CAST(:more AS jsonb))"""

# An integer that has no room in 64 bits is a float to SQLite.
_SQLITE_TOTAL = "CASE typeof(sum(nanos)) WHEN 'integer' THEN sum(nanos) END"


def as_rows(calls: Sequence[Lines]) -> tuple[Rows, Sequence[Lines]]:
    """The usual ones of these calls, and the others."""
    usual: list[bytes] = []
    others: list[Lines] = []
    asked = 0
    for call in calls:
        texts = call.texts
        if len(texts) == _USUAL:
            usual.append(b",".join(texts))
            asked += 1
        elif len(texts) < _USUAL:
            usual.append(b",null,".join(texts))
        else:
            others.append(call)
    data = b"[[%b]]" % b"],[".join(usual)
    if not usual or (b"\\" in data and _NUL in data):  # a single byte is found sooner
        return NOTHING, calls
    try:
        return Rows(data.decode(), len(usual), asked), others
    except UnicodeDecodeError:
        return NOTHING, calls


def insert_new(connection: Connection, rows: Rows) -> bool:
    """Write the calls and attempts, or nothing: False where one is there already, or is unusual.

    Nearly always all are new, and then their number says so; to have each id told would keep Python busy.
    """
    attempt = connection.begin_nested()
    try:
        _give(connection, rows)
        new, asked = _inserts(connection.dialect.name)
        done = (
            _execute(connection, new, rows=rows.text) == rows.calls
            and _execute(connection, asked, rows=rows.text) == rows.attempts
        )
    except DBAPIError as error:
        # SQLite says "malformed" of a broken file, too.
        if "malformed JSON" not in str(error.orig) and (is_broken(error) or is_busy(error)):
            raise
        done = False
    if done:
        attempt.commit()
    else:
        attempt.rollback()
    return done


def debit(
    connection: Connection, rows: Rows, more: Mapping[tuple[str, int], tuple[int, float]]
) -> None:
    """Add what the calls of the rows were debited to the balances, and what ``debits_of`` says of others.

    Raises ``OverflowError`` or an error of the database for more than a balance can be.
    """
    others = [(storable(account), mark, *rest) for (account, mark), rest in more.items()]
    if rows is NOTHING and not others:
        return
    if rows is NOTHING:
        _give(connection, rows)
    try:
        _execute(
            connection,
            _debit(connection.dialect.name),
            rows=rows.text,
            more=jsontext.encode(others).decode(),
        )
    except DBAPIError as error:
        if "integer overflow" in str(error.orig):  # SQLite's
            raise OverflowError("the calls were debited more than a balance can be") from error
        raise


def _give(connection: Connection, rows: Rows) -> None:
    """Have the rows ready for the statements that read ``given``."""
    if connection.dialect.name == "sqlite":
        for statement in _SQLITE_GIVE:
            _execute(connection, statement, rows=rows.text)


def _execute(connection: Connection, statement: TextClause, **texts: str) -> int:
    """How many rows were written. Of the texts, it takes those that it names."""
    options = {"preserve_rowcount": True}
    return connection.execute(statement, texts, execution_options=options).rowcount


@cache
def _inserts(dialect: str) -> tuple[TextClause, TextClause]:
    """Those of the calls, which may be there already, and of the attempts."""
    fit, asked = "true", _found(dialect, _ATTEMPTED, "id")
    if dialect == "sqlite":
        numbers = " + ".join(_value(dialect, attempts.c[name], *_USED[name]) for name in _USED)
        fit = f"typeof({numbers}) = 'integer'"
    new = _insert(dialect, calls, _CALL, fit) + " ON CONFLICT (id) DO NOTHING"
    return text(new), text(_insert(dialect, attempts, _ATTEMPT, f"{asked} IS NOT NULL"))


def _insert(dialect: str, table: Table, places: Mapping[str, tuple[int, str]], fit: str) -> str:
    columns = ", ".join(f'"{name}"' for name in places)
    found = ", ".join(_value(dialect, table.c[name], *place) for name, place in places.items())
    given = "" if dialect == "sqlite" else f"WITH {_POSTGRES_GIVEN}"
    return f"INSERT INTO {table.name} ({columns}) {given} SELECT {found} FROM given WHERE {fit}"


@cache
def _debit(dialect: str) -> TextClause:
    if dialect == "sqlite":
        return text(_DEBIT.format(given="", found=_SQLITE_DEBITS, total=_SQLITE_TOTAL))
    given = f"{_POSTGRES_GIVEN},"
    return text(_DEBIT.format(given=given, found=_POSTGRES_DEBITS, total="sum(nanos)"))


def _value(dialect: str, column: Column[Any], line: int, path: str) -> str:
    """The value of a column as SQL; where the line leaves it out, the default that it has in the line."""
    found = _found(dialect, line, path, column)
    if column.name in _ODD:
        return _ODD[column.name].format(
            found=found,
            asked=_found(dialect, _ATTEMPTED, "id"),
            usage=_found(dialect, _ATTEMPTED, "attempt.usage"),
            error=_found(dialect, _ENDED, "error"),
        )
    default = _default(_LINES[line], path)
    return found if default is None else f"coalesce({found}, {_literal(default)})"


def _found(dialect: str, line: int, path: str, column: Column[Any] | None = None) -> str:
    if dialect == "sqlite":
        return f"json_extract(value, '$[{line}].{path}')"
    found = f"value #>> '{{{line},{path.replace('.', ',')}}}'"
    kind = "text" if column is None else column.type.compile(postgresql.dialect())
    return f"CAST({found} AS {kind})"


def _default(struct: type[msgspec.Struct], path: str) -> Any:
    """What a line means that leaves the field out; None if it must not."""
    name, _, rest = path.partition(".")
    field = next(each for each in fields(struct) if each.name == name)
    if field.default is msgspec.NODEFAULT:
        if field.default_factory is not msgspec.NODEFAULT:
            return field.default_factory()
        return _default(field.type, rest) if rest else None
    return attrgetter(rest)(field.default) if rest else field.default


def _literal(value: Any) -> str:
    """The value of a field as SQL."""
    if isinstance(value, str):
        return f"'{value}'"
    return "'{}'" if value == {} else str(value).lower()
