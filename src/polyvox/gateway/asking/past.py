"""Calls that are over, as they stand in the ledger: one by its id, or many, the newest first."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, false, or_, select, text, tuple_

from polyvox.errors import NotFoundError
from polyvox.gateway.asking.calls import AttemptView, CallView
from polyvox.gateway.database.metadata import storable
from polyvox.gateway.database.tables import attempts, calls
from polyvox.gateway.tenants.access import Access
from polyvox.gateway.tenants.own import names_of_keys
from polyvox.gateway.web.endpoints import Page, PageQuery, page_of
from polyvox.usage import Cost, exact_dollars

__all__ = ["PastQuery", "find", "find_one"]

_FILTERS = ("key", "organisation", "team", "model", "end_user", "status", "request_id")
_FAILED = text("calls.status != 'ok'")  # as a parameter the index of those that failed is not seen
_NAME_ADDRESSES = ("network", "timeout")
_CALL = [name for name in CallView.__struct_fields__ if name in calls.c]
_ATTEMPT = [name for name in AttemptView.__struct_fields__ if name in attempts.c]


class PastQuery(PageQuery, kw_only=True, forbid_unknown_fields=True):
    """Which of the calls that are over, and which part of the list.

    ``failed``  only those that gave no whole answer
    ``since``   seconds since the epoch: calls that began from then on; ``until``: before then
    ``key``, ``organisation``, ``team``, ``model``, ``end_user``, ``status``, ``request_id``: only calls
    of these
    """

    failed: bool = False
    since: float | None = None
    until: float | None = None
    key: str | None = None
    organisation: str | None = None
    team: str | None = None
    model: str | None = None
    end_user: str | None = None
    status: str | None = None
    request_id: str | None = None


def find(connection: Connection, access: Access, query: PastQuery) -> Page[CallView]:
    """Those of the calls that its holder may know of."""
    conditions = [_seen_by(access), *_conditions(connection, query)]
    order = select(calls).where(*conditions).order_by(calls.c.at.desc(), calls.c.id.desc())
    rows = connection.execute(order.limit(query.limit + 1)).all()
    views = [_for(access, view) for view in _views(connection, rows)]
    return page_of(views, query.limit, lambda view: view.id)


def find_one(connection: Connection, access: Access, name: str) -> CallView:
    """The call of this id, or the newest that came with the request of this id, with its attempts.

    Raises ``NotFoundError``.
    """
    name = storable(name)
    meant = or_(calls.c.id == name, calls.c.request_id == name)
    newest = select(calls).where(meant, _seen_by(access)).order_by(calls.c.at.desc())
    row = connection.execute(newest.limit(1)).first()
    if row is None:
        raise NotFoundError(
            f"there is no call {name!r}",
            hint="Of one that was refused before it began there is only a line in the log.",
        )
    (view,) = _views(connection, [row])
    order = select(attempts).where(attempts.c.call == row.id).order_by(attempts.c.number)
    view.attempts = [_attempt_view(each) for each in connection.execute(order)]
    return _for(access, view)


def _for(access: Access, view: CallView) -> CallView:
    """The call as its holder may see it: at which address a provider is asked, the administrator alone."""
    if not access.admin:
        if view.status in _NAME_ADDRESSES:
            view.reason = None
        for attempt in view.attempts or ():
            if attempt.error in _NAME_ADDRESSES:
                attempt.reason = None
    return view


def _seen_by(access: Access) -> ColumnElement[bool]:
    """The condition that says what ``Access.sees`` does."""
    if access.admin:
        return calls.c.id.is_not(None)
    own = calls.c.key == access.key if access.key else false()
    return or_(own, calls.c.organisation == access.organisation) if access.organisation else own


def _conditions(connection: Connection, query: PastQuery) -> list[Any]:
    conditions: list[Any] = [_FAILED] if query.failed else []
    if query.since is not None:
        conditions.append(calls.c.at >= query.since)
    if query.until is not None:
        conditions.append(calls.c.at < query.until)
    said = {name: getattr(query, name) for name in _FILTERS}
    conditions += [calls.c[name] == storable(said[name]) for name in said if said[name] is not None]
    if query.after is not None:
        last = connection.scalar(select(calls.c.at).where(calls.c.id == storable(query.after)))
        if last is None:
            raise NotFoundError(f"there is no call {query.after!r} any more")
        conditions.append(tuple_(calls.c.at, calls.c.id) < tuple_(last, storable(query.after)))
    return conditions


def _views(connection: Connection, rows: Sequence[Any]) -> list[CallView]:
    names = names_of_keys(connection, {row.key for row in rows})
    return [
        CallView(
            **{name: row._mapping[name] for name in _CALL},
            started=row.at,
            key_name=names.get(row.key, ""),
            dollars=exact_dollars(Cost(row.cost_status, int(row.nanos))),
        )
        for row in rows
    ]


def _attempt_view(row: Any) -> AttemptView:
    return AttemptView(
        **{name: row._mapping[name] for name in _ATTEMPT},
        started=row.at,
        status=row.status_code,
        dollars=exact_dollars(Cost(row.cost_status, int(row.nanos))),
    )
