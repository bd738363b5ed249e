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
from polyvox.usage import Cost, PriceStatus, exact_dollars

__all__ = [
    "EVERYTHING",
    "NAMES",
    "Scope",
    "UsageQuery",
    "UsageReport",
    "UsageRow",
    "usage",
]

MOST_ROWS = 10_000
MOST_WINDOWS = 10_000

_TAG = "tag:"
_OF_CALL = (
    *("model", "key", "team", "organisation", "end_user", "session", "context"),
    *("prompt", "kind", "dialect", "status"),
)
_OF_ATTEMPT: dict[str, ColumnElement[str]] = {
    "provider": attempts.c.provider,
    "response_model": func.coalesce(func.nullif(attempts.c.response_model, ""), attempts.c.model),
}
_COLUMNS = {name: func.coalesce(calls.c[name], "") for name in _OF_CALL} | _OF_ATTEMPT
NAMES = tuple(_COLUMNS)
"""What usage can be asked by, beside the tags."""

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
    ``by``       what else makes a row: any of ``NAMES``, "tag:<name>"
    ``zone``     the time zone of days, weeks and months, such as "Europe/Berlin"
    ``since``    seconds since the epoch: calls from then on
    ``until``    ... and before then
    ``filters``  values that calls must have, by any name that ``by`` may have
    """

    per: Per = "total"
    by: tuple[str, ...] = ()
    zone: str = "UTC"
    since: float | None = None
    until: float | None = None
    filters: dict[str, str] = {}


class UsageRow(msgspec.Struct, frozen=True, kw_only=True):
    """What some calls used and cost.

    ``by`` has the model, team, ... of these calls ("": none), by the names that were asked for; of a key
    it also has, as "key_name", what people call it. ``start`` and ``end`` are the row's span of time in
    seconds since the epoch (None: the whole). ``failures`` are calls that gave no whole answer,
    ``unsettled`` those of them that were cut off with the gateway; by provider or response_model, the
    attempts that failed.

    ``nanos`` are nano-dollars, ``dollars`` the same as a decimal number. With ``cost_status`` "unknown"
    they are a lower bound, and ``dollars`` null: what ``unpriced`` calls cost is not known.
    """

    by: dict[str, str] = {}
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
    dollars: str | None = "0.00"
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
    if _of_attempts(query.by):  # a call may have asked several
        whole = replace(query, per="total", by=())
        return UsageReport(rows, (_rows(connection, scope, whole, []) or [UsageRow()])[0])
    return UsageReport(rows, _total(rows))


def _rows(
    connection: Connection, scope: Scope, query: UsageQuery, windows: Sequence[Window]
) -> list[UsageRow]:
    place = _place(connection, windows) if windows else literal(-1)
    by = {name: _named(connection, name) for name in query.by}
    groups = [place.label("place"), *(each.label(f"by_{n}") for n, each in enumerate(by.values()))]
    by_attempt = _by_attempt(query)
    lines = _lines(groups, by_attempt=by_attempt)
    lines = lines.where(*_conditions(connection, scope, query)).subquery()
    summed = _summed(lines, [lines.c[each.name] for each in groups], by_attempt=by_attempt)
    found = connection.execute(summed.limit(MOST_ROWS + 1))
    return [_row(dict(each), [*by], windows) for each in found.mappings()]


def _lines(groups: Sequence[ColumnElement[Any]], *, by_attempt: bool) -> Any:
    """A line per call, or per attempt where a part of a call is meant."""
    source: FromClause = calls.join(attempts) if by_attempt else calls
    counted = attempts if by_attempt else calls
    failed = attempts.c.error.isnot(None) if by_attempt else calls.c.status != "ok"
    return select(
        *groups,
        calls.c.id,
        calls.c.status,
        calls.c.cached,
        failed.label("failed"),
        counted.c.cost_status,
        *(counted.c[column] for column in _SUMS),
    ).select_from(source)


def _summed(lines: Any, groups: Sequence[ColumnElement[Any]], *, by_attempt: bool) -> Any:
    def count(condition: _Condition) -> ColumnElement[int]:
        return func.sum(case((condition, 1), else_=0))

    column = lines.c
    nanos = func.sum(column.nanos)
    return (
        select(
            *groups,
            func.count(column.id.distinct() if by_attempt else column.id).label("calls"),
            count(column.failed).label("failures"),
            count(column.status == "unsettled").label("unsettled"),
            count(column.cached).label("cached"),
            *(func.sum(column[each]).label(each) for each in _SUMS),
            count(column.cost_status == "unknown").label("unpriced"),
            count(column.cost_status == "known").label("priced"),
        )
        .group_by(*groups)
        .order_by(column.place, nanos.desc(), *groups[1:])
    )


def _row(found: dict[str, Any], names: Sequence[str], windows: Sequence[Window]) -> UsageRow:
    by = {name: found.pop(f"by_{number}") for number, name in enumerate(names)}
    place, priced = found.pop("place"), found.pop("priced")
    row: dict[str, Any] = {
        each: int(number) for each, number in found.items()
    }  # PostgreSQL's: decimals
    if windows:
        window: Window = windows[int(place)]
        row |= {"start": window.start, "end": window.end}
    return _priced(priced, by=by, **row)


def _priced(priced: int, **numbers: Any) -> UsageRow:
    """A row; of so many things in it the price is known."""
    status: PriceStatus = "unknown" if numbers["unpriced"] else "known" if priced else "free"
    dollars = exact_dollars(Cost(status, numbers["nanos"]))
    return UsageRow(cost_status=status, dollars=dollars, **numbers)


def _total(rows: Sequence[UsageRow]) -> UsageRow:
    numbers: dict[str, Any] = {
        name: sum(getattr(row, name) for row in rows)
        for name in ("calls", "failures", "unsettled", "cached", "unpriced", *_SUMS)
    }
    return _priced(sum(row.cost_status == "known" for row in rows), **numbers)


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
    if name in _OF_CALL and value:
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
    return _of_attempts([*query.by, *query.filters])


def _of_attempts(names: Sequence[str]) -> bool:
    return not _OF_ATTEMPT.keys().isdisjoint(names)


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
