"""What was used, added up in the database: by time, and by whom, for what or of what.

Sums are exact. A call whose price nobody knows makes the cost of its row a lower bound, with the status
"unknown"; it never counts as free.
"""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from datetime import tzinfo
from typing import Any, TypeAlias

import msgspec
from msgspec.structs import replace
from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Connection,
    Double,
    FromClause,
    case,
    cast,
    func,
    literal,
    select,
)
from sqlalchemy.dialects.postgresql import JSONB

from polyvox.errors import BadRequestError, ConfigurationError
from polyvox.gateway.database.metadata import storable
from polyvox.gateway.database.tables import attempts, calls
from polyvox.limits.meters import Calendar, Per, Window, zone_named
from polyvox.suggestions import hint_for
from polyvox.usage import Cost, PriceStatus

__all__ = ["EVERYTHING", "Scope", "UsageQuery", "UsageReport", "UsageRow", "usage"]

MOST_ROWS = 10_000
MOST_WINDOWS = 10_000

_TAG = "tag:"
_COLUMNS: dict[str, ColumnElement[str]] = {
    **{
        name: func.coalesce(calls.c[name], "")
        for name in ("key", "organisation", "team", "model", "end_user", "session", "context")
    },
    **{name: func.coalesce(calls.c[name], "") for name in ("prompt", "kind", "dialect", "status")},
    "provider": attempts.c.provider,
}
_SUMS = (
    "input_tokens",
    "output_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
    "nanos",
)
_Condition: TypeAlias = ColumnElement[bool]


class Scope(msgspec.Struct, frozen=True):
    """Whose calls one may see: those of a key, of an organisation, or, ``EVERYTHING``, all."""

    key: str | None = None
    organisation: str | None = None

    @classmethod
    def of_key(cls, key: str) -> "Scope":
        """The calls made with the key of this id."""
        return cls(key=key)

    @classmethod
    def of_organisation(cls, organisation: str) -> "Scope":
        """The calls of an organisation. Keys without one have nothing in common."""
        if not organisation:
            raise ValueError('"" is no organisation; take Scope.of_key')
        return cls(organisation=organisation)


EVERYTHING = Scope()


class UsageQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which usage is asked for.

    ``per``      the span of time of a row: "hour", "day", "week", "month" or "total"
    ``by``       what else makes a row: "key", "organisation", "team", "model", "provider", "end_user",
                 "session", "context", "prompt", "kind", "dialect", "status", "tag:<name>"; "" for nothing
    ``zone``     the time zone of days, weeks and months, such as "Europe/Berlin"
    ``since``    seconds since the epoch: calls from then on
    ``until``    ... and before then
    ``filters``  values that calls must have, by any name that ``by`` may be
    """

    per: Per = "total"
    by: str = ""
    zone: str = "UTC"
    since: float | None = None
    until: float | None = None
    filters: dict[str, str] = {}


class UsageRow(msgspec.Struct, frozen=True, kw_only=True):
    """What some calls used and cost.

    ``start`` and ``end`` are the row's span of time in seconds since the epoch (None: the whole), ``name``
    the key, model, ... ("": none). ``failures`` are calls that gave no whole answer, ``unsettled`` those
    of them that were cut off with the gateway; by provider, the attempts that failed.

    ``nanos`` are nano-dollars. With ``cost_status`` "unknown" they are a lower bound: what ``unpriced``
    calls cost is not known.
    """

    name: str = ""
    start: float | None = None
    end: float | None = None
    calls: int = 0
    failures: int = 0
    unsettled: int = 0
    cached: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    nanos: int = 0
    unpriced: int = 0
    cost_status: PriceStatus = "free"

    @property
    def cost(self) -> Cost:
        """What it came to, for showing."""
        return Cost(self.cost_status, self.nanos)


class UsageReport(msgspec.Struct, frozen=True):
    """Rows in the order of time, the dearest first; ``total`` is all of them together."""

    rows: list[UsageRow]
    total: UsageRow


def usage(connection: Connection, scope: Scope, query: UsageQuery) -> UsageReport:
    """What was used within the scope.

    Raises ``BadRequestError`` for what can't be asked, and when there would be too many rows.
    """
    windows = _windows(connection, scope, query)
    rows = _rows(connection, scope, query, windows)
    if len(rows) > MOST_ROWS:
        raise BadRequestError(
            f"these are more than {MOST_ROWS:,} rows",
            hint="Ask for a shorter time, a longer span per row, or filter.",
        )
    if query.by == "provider":  # a call may have asked several
        whole = replace(query, per="total", by="")
        return UsageReport(rows, (_rows(connection, scope, whole, []) or [UsageRow()])[0])
    return UsageReport(rows, _total(rows))


def _rows(
    connection: Connection, scope: Scope, query: UsageQuery, windows: Sequence[Window]
) -> list[UsageRow]:
    place = _place(connection, windows) if windows else literal(-1)
    name = _named(connection, query.by) if query.by else literal("")
    by_attempt = _by_attempt(query)
    lines = _lines(place, name, by_attempt=by_attempt)
    lines = lines.where(*_conditions(connection, scope, query))
    found = connection.execute(
        _summed(lines.subquery(), by_attempt=by_attempt).limit(MOST_ROWS + 1)
    )
    return [_row(dict(each), windows) for each in found.mappings()]


def _lines(place: ColumnElement[Any], name: ColumnElement[Any], *, by_attempt: bool) -> Any:
    """A line per call, or per attempt where a part of a call is meant."""
    source: FromClause = calls.join(attempts) if by_attempt else calls
    counted = attempts if by_attempt else calls
    failed = attempts.c.error.isnot(None) if by_attempt else calls.c.status != "ok"
    return select(
        place.label("place"),
        name.label("name"),
        calls.c.id,
        calls.c.status,
        calls.c.cached,
        failed.label("failed"),
        counted.c.cost_status,
        *(counted.c[column] for column in _SUMS),
    ).select_from(source)


def _summed(lines: Any, *, by_attempt: bool) -> Any:
    def count(condition: _Condition) -> ColumnElement[int]:
        return func.sum(case((condition, 1), else_=0))

    column = lines.c
    nanos = func.sum(column.nanos)
    return (
        select(
            column.place,
            column.name,
            func.count(column.id.distinct() if by_attempt else column.id).label("calls"),
            count(column.failed).label("failures"),
            count(column.status == "unsettled").label("unsettled"),
            count(column.cached).label("cached"),
            *(func.sum(column[each]).label(each) for each in _SUMS),
            count(column.cost_status == "unknown").label("unpriced"),
            count(column.cost_status == "known").label("priced"),
        )
        .group_by(column.place, column.name)
        .order_by(column.place, nanos.desc(), column.name)
    )


def _row(found: dict[str, Any], windows: Sequence[Window]) -> UsageRow:
    name, place, priced = (found.pop(each) for each in ("name", "place", "priced"))
    row: dict[str, Any] = {
        each: int(number) for each, number in found.items()
    }  # PostgreSQL's: decimals
    if windows:
        window: Window = windows[int(place)]
        row |= {"start": window.start, "end": window.end}
    return UsageRow(name=name, cost_status=_status(row["unpriced"], priced), **row)


def _status(unpriced: int, priced: int) -> PriceStatus:
    return "unknown" if unpriced else "known" if priced else "free"


def _total(rows: Sequence[UsageRow]) -> UsageRow:
    numbers: dict[str, Any] = {
        name: sum(getattr(row, name) for row in rows)
        for name in ("calls", "failures", "unsettled", "cached", "unpriced", *_SUMS)
    }
    priced = sum(row.cost_status == "known" for row in rows)
    return UsageRow(cost_status=_status(numbers["unpriced"], priced), **numbers)


def _conditions(connection: Connection, scope: Scope, query: UsageQuery) -> list[_Condition]:
    conditions: list[_Condition] = []
    if scope.key is not None:
        conditions.append(calls.c.key == scope.key)
    if scope.organisation is not None:
        conditions.append(calls.c.organisation == scope.organisation)
    if query.since is not None:
        conditions.append(calls.c.at >= query.since)
    if query.until is not None:
        conditions.append(calls.c.at < query.until)
    for name, value in query.filters.items():
        conditions.append(_equals(connection, name, storable(value)))
    return conditions


def _equals(connection: Connection, name: str, value: str) -> _Condition:
    if name.startswith(_TAG) and connection.dialect.name == "postgresql":  # as its index has them
        wanted = cast(literal({storable(name.removeprefix(_TAG)): value}, JSONB), JSONB)
        return calls.c.tags.op("@>", is_comparison=True)(wanted)
    if name != "provider" and name in _COLUMNS and value:
        return calls.c[name] == value  # as the indexes have them
    return _named(connection, name) == value


def _named(connection: Connection, by: str) -> ColumnElement[str]:
    """What ``by`` means."""
    if by.startswith(_TAG):
        return func.coalesce(_tag(connection, storable(by.removeprefix(_TAG))), "")
    if by not in _COLUMNS:
        raise BadRequestError(
            f"usage is not known by {by!r}", hint=hint_for(by, [*_COLUMNS, f"{_TAG}<name>"])
        )
    return _COLUMNS[by]


def _tag(connection: Connection, name: str) -> ColumnElement[str]:
    if connection.dialect.name == "postgresql":
        return func.jsonb_extract_path_text(calls.c.tags, name)
    each = func.json_each(calls.c.tags).table_valued("key", "value")
    return select(each.c.value).where(each.c.key == name).correlate(calls).scalar_subquery()


def _by_attempt(query: UsageQuery) -> bool:
    return query.by == "provider" or "provider" in query.filters


def _windows(connection: Connection, scope: Scope, query: UsageQuery) -> list[Window]:
    """The calendar's windows that hold the calls, or none for a total."""
    if query.per == "total":
        return []
    calendar = Calendar(query.per, _zone(query.zone))
    source: FromClause = calls.join(attempts) if _by_attempt(query) else calls
    span = select(func.min(calls.c.at), func.max(calls.c.at)).select_from(source)
    first, last = connection.execute(span.where(*_conditions(connection, scope, query))).one()
    windows: list[Window] = []
    if first is None:
        return windows
    window = calendar.window(first)
    while window.start <= last:
        windows.append(window)
        window = calendar.window(window.end)
        if len(windows) > MOST_WINDOWS:
            raise BadRequestError(
                f"these are more than {MOST_WINDOWS:,} times a {query.per}",
                hint="Ask for a shorter time, or a longer span per row.",
            )
    return windows


def _zone(name: str) -> tzinfo:
    try:
        return zone_named(name)
    except ConfigurationError as error:
        raise BadRequestError(error.text, hint=error.hint) from None


def _place(connection: Connection, windows: Sequence[Window]) -> ColumnElement[int]:
    """The number of a call's window in the list."""
    starts = [window.start for window in windows]
    if connection.dialect.name == "postgresql":
        thresholds = cast(literal(starts, ARRAY(Double)), ARRAY(Double))
        return func.width_bucket(calls.c.at, thresholds) - 1
    _offer(connection, lambda at: bisect_right(starts, at) - 1)
    return func.polyvox_place(calls.c.at)


def _offer(connection: Connection, place: Callable[[float], int]) -> None:
    """SQLite asks the function that was given last."""
    raw: Any = connection.connection.dbapi_connection
    raw.create_function("polyvox_place", 1, place, deterministic=True)
