"""The endpoints for whoever has a key: who am I, what may I, what have I used and what is left."""

from collections.abc import Iterable
from typing import Annotated, Literal

import msgspec
from msgspec import Meta
from sqlalchemy import Connection

from polyvox.errors import PermissionDeniedError
from polyvox.gateway.database.engine import Database
from polyvox.gateway.database.reports import (
    EVERYTHING,
    NAMES,
    Scope,
    UsageQuery,
    UsageReport,
    usage,
)
from polyvox.gateway.tenants.access import Access
from polyvox.gateway.tenants.entries import CONFIGURED
from polyvox.gateway.tenants.standing import Left, what_is_left
from polyvox.gateway.tenants.store import KEYS
from polyvox.gateway.web.endpoints import Arrived, Endpoint
from polyvox.limits import LimitStore
from polyvox.limits.meters import Per

__all__ = ["OwnKey", "OwnUsageQuery", "names_of_keys", "own_endpoints"]


class OwnKey(msgspec.Struct, kw_only=True):
    """A key as its holder sees it; ``limits`` is what is left of each that holds for it."""

    id: str
    name: str = ""
    organisation: str = ""
    team: str = ""
    admin: bool = False
    manager: bool = False
    models: tuple[str, ...] = ()
    routes: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
    expires: float | None = None
    limits: list[Left] = []


class OwnUsageQuery(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Which usage: of the key, or ``of=organisation`` for one that is its manager; an administrator's is all.

    ``per``    the span of time of a row: "hour", "day", "week", "month" or "total"
    ``by``     what else makes a row, and may be said several times: "model", "response_model" (the one
               that answered, as its provider calls it), "provider", "key", "team", "organisation",
               "end_user", "session", "context", "prompt", "kind", "dialect", "status", "tag:<name>"
    ``zone``   the time zone of days, weeks and months
    ``since``  seconds since the epoch: calls from then on; ``until``: before then
    ``model``, ``response_model``, ...: only calls of these
    """

    of: Literal["", "key", "organisation"] = ""
    per: Per = "total"
    by: Annotated[tuple[str, ...], Meta(max_length=8)] = ()
    zone: str = "UTC"
    since: float | None = None
    until: float | None = None
    model: str | None = None
    key: str | None = None
    team: str | None = None
    organisation: str | None = None
    end_user: str | None = None
    session: str | None = None
    context: str | None = None
    prompt: str | None = None
    kind: str | None = None
    dialect: str | None = None
    status: str | None = None
    provider: str | None = None
    response_model: str | None = None


def own_endpoints(database: Database, limits: LimitStore) -> tuple[Endpoint, ...]:
    """The endpoints, which are open to every key, whatever it is good for."""

    async def own_key(arrived: Arrived) -> OwnKey:
        access = arrived.access
        left = await what_is_left(access.levels, access.tenant, limits)
        return OwnKey(
            id=access.key,
            name=access.name,
            organisation=access.organisation,
            team=access.team,
            admin=access.admin,
            manager=access.manager,
            models=access.models,
            routes=access.routes,
            addresses=access.addresses,
            expires=access.expires,
            limits=left,
        )

    async def own_usage(arrived: Arrived) -> UsageReport:
        asked: OwnUsageQuery = arrived.query
        scope, query = _scope(arrived.access, asked), _query(asked)
        return await database.run(lambda c: _told(c, scope, query), read_only=True)

    return (
        Endpoint("GET", "/v1/key", "Get your own key and its limits.", own_key, gives=OwnKey),
        Endpoint(
            "GET",
            "/v1/usage",
            "Get what you have used.",
            own_usage,
            query=OwnUsageQuery,
            gives=UsageReport,
        ),
    )


def _told(connection: Connection, scope: Scope, query: UsageQuery) -> UsageReport:
    """The usage, in which keys have the names that people know."""
    report = usage(connection, scope, query)
    if "key" not in query.by:
        return report
    names = names_of_keys(connection, {row.by["key"] for row in report.rows})
    for row in report.rows:
        row.by["key_name"] = names.get(row.by["key"], "")
    return report


def names_of_keys(connection: Connection, ids: Iterable[str]) -> dict[str, str]:
    """What people call these keys."""
    names = {id: id.removeprefix(CONFIGURED) for id in ids if id.startswith(CONFIGURED)}
    found = KEYS.all(connection, KEYS.table.c.id.in_(ids))
    return names | {key.id: key.name for key in found}


def _scope(access: Access, asked: OwnUsageQuery) -> Scope:
    """Whose calls may be seen. Raises ``PermissionDeniedError``."""
    if asked.of == "organisation":
        if not access.manager or not access.organisation:
            raise PermissionDeniedError(
                "this key may only see what it used itself",
                hint="A manager of the organisation, or the administrator, sees more.",
                status=403,
            )
        return Scope.of_organisation(access.organisation)
    return EVERYTHING if access.admin and not asked.of else Scope.of_key(access.key)


def _query(asked: OwnUsageQuery) -> UsageQuery:
    said = {name: getattr(asked, name) for name in NAMES}
    return UsageQuery(
        per=asked.per,
        by=asked.by,
        zone=asked.zone,
        since=asked.since,
        until=asked.until,
        filters={name: value for name, value in said.items() if value is not None},
    )
