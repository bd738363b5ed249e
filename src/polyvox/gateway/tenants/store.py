"""Tenants in the database: every change in one transaction, told to all processes by a version number."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from msgspec.structs import replace
from sqlalchemy import Connection, delete, exists, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from polyvox.errors import BadRequestError, NotFoundError
from polyvox.gateway.database.engine import Database
from polyvox.gateway.database.versions import bump, numbers
from polyvox.gateway.tenants import tables
from polyvox.gateway.tenants.access import check_routes
from polyvox.gateway.tenants.changing import Change
from polyvox.gateway.tenants.counting import check_counted
from polyvox.gateway.tenants.keys import digest_of, make_key, mark_of
from polyvox.gateway.tenants.objects import EndUser, Key, Limited, NewKey, Organisation, Team
from polyvox.gateway.tenants.shelf import Shelf, conflict
from polyvox.gateway.web.ids import new_id

__all__ = [
    "END_USERS",
    "KEYS",
    "ORGANISATIONS",
    "TEAMS",
    "VERSION",
    "WHOLE_VERSION",
    "Tenants",
]

_T = TypeVar("_T", Organisation, Team, EndUser)

VERSION = "tenants"
"""Grows with every change."""

WHOLE_VERSION = "tenants.whole"
"""Grows with every change but a new key: whoever keeps all in memory then reads all again."""

ORGANISATIONS = Shelf("organisation", Organisation, tables.organisations, "name")
TEAMS = Shelf("team", Team, tables.teams, "organisation", "name")
KEYS = Shelf("key", Key, tables.keys, "id")
END_USERS = Shelf("end user", EndUser, tables.end_users, "organisation", "name")

_OF_THE_KEY = ("id", "organisation", "revoked", "mark", "created")


class Tenants:
    """Creates, changes and deletes organisations, teams, keys and end users.

    Args:
        database: where they are.
        clock: the time in seconds since the epoch.
        together: whether all workers count budgets and limits together; else nobody is given new ones.
    """

    def __init__(
        self,
        database: Database,
        *,
        clock: Callable[[], float] = time.time,
        together: bool = True,
    ) -> None:
        self._database = database
        self._clock = clock
        self._together = together

    async def get(self, shelf: Shelf[Any], *key: str) -> Any:
        """One object. Raises ``NotFoundError``."""
        return await self._database.run(lambda c: shelf.get(c, *key), read_only=True)

    async def page(
        self, shelf: Shelf[Any], limit: int, after: str | None, where: Mapping[str, str]
    ) -> list[Any]:
        """Some of a kind, in the order of their names."""
        return await self._database.run(
            lambda c: shelf.page(c, limit, after, where), read_only=True
        )

    async def add(self, shelf: Shelf[_T], one: _T) -> _T:
        """A new organisation, team or end user. Raises ``BadRequestError``, as 409 if it is there."""
        _refuse_said(one, {"created": 0.0})
        self._check_counted(one)
        one = replace(one, created=self._clock())

        def work(connection: Connection) -> _T:
            _changed(connection)
            if not isinstance(one, Organisation):
                _organisation(connection, one.organisation)
            shelf.add(connection, one)
            return one

        return await self._database.run(work)

    async def change(self, shelf: Shelf[_T], key: Sequence[str], change: Change[_T]) -> _T:
        """Its new state; one that is as it was changes nothing. Raises ``NotFoundError``."""

        def work(connection: Connection) -> _T:
            before = shelf.get(connection, *key, lock=True)
            after = change(before, (*shelf.key, "created"))
            self._check_counted(after, before)
            return _put(connection, shelf, before, after)

        return await self._database.run(work)

    async def remove(self, shelf: Shelf[_T], *key: str) -> None:
        """Away with it. Raises ``BadRequestError``, as 409 for an organisation or team that has keys."""

        def work(connection: Connection) -> None:
            shelf.get(connection, *key, lock=True)
            _changed(connection)
            if shelf.kind is not EndUser:
                _check_empty(connection, *key)
            shelf.remove(connection, *key)

        await self._database.run(work)

    async def create_key(self, key: Key, brought: bytes | None = None) -> NewKey:
        """A new key, with the secret, which can't be seen again; or the one of this digest.

        Raises ``BadRequestError``, as 409 if there is a key with this digest.
        """
        _refuse_said(
            key, {name: getattr(Key(), name) for name in _OF_THE_KEY if name != "organisation"}
        )
        check_routes(key.routes)
        self._check_counted(key)
        id = new_id("key", self._clock)
        mark, secret = ("", "") if brought else (mark_of(id), make_key(id))
        key = replace(key, id=id, mark=mark, created=self._clock())

        def work(connection: Connection) -> NewKey:
            bump(connection, VERSION)
            _check_home(connection, key)
            KEYS.add(connection, key, version=numbers(connection)[VERSION])
            _add_secret(connection, id, brought or digest_of(secret))
            return NewKey(secret=secret, key=key)

        return await self._database.run(work)

    async def change_key(self, id: str, change: Change[Key]) -> Key:
        """A key's new rights. Its organisation stays, and revoking is ``revoke``.

        Raises as ``create_key`` does; for routes only where they are new, since those that there are change.
        """

        def work(connection: Connection) -> Key:
            before = KEYS.get(connection, id, lock=True)
            after = change(before, _OF_THE_KEY)
            self._check_counted(after, before)
            if after.routes != before.routes:
                check_routes(after.routes)
            if after.team != before.team:
                _check_home(connection, after)
            return _put(connection, KEYS, before, after)

        return await self._database.run(work)

    async def revoke(self, id: str) -> Key:
        """A key that is refused from now on; its records stay. A second time changes nothing."""
        now = self._clock()

        def work(connection: Connection) -> Key:
            before = KEYS.get(connection, id, lock=True)
            return _put(connection, KEYS, before, replace(before, revoked=before.revoked or now))

        return await self._database.run(work)

    async def rotate(self, id: str, overlap_seconds: float) -> NewKey:
        """A new secret for a key. The one of before works for so many seconds more.

        Raises ``BadRequestError`` for a key that is revoked, as 409.
        """
        now = self._clock()
        secret = make_key(id)

        def work(connection: Connection) -> NewKey:
            key = KEYS.get(connection, id, lock=True)
            if key.revoked is not None:
                raise conflict(f"the key {id} is revoked", "Create another one.")
            _changed(connection)
            ours = tables.key_secrets.c.key == id
            until = tables.key_secrets.c.until
            over = now + overlap_seconds
            connection.execute(delete(tables.key_secrets).where(ours, until <= now))
            connection.execute(
                update(tables.key_secrets)
                .where(ours, or_(until.is_(None), until > over))
                .values(until=over)
            )
            _add_secret(connection, id, digest_of(secret))
            key = replace(key, mark=mark_of(id))
            KEYS.put(connection, key)
            return NewKey(secret=secret, key=key)

        return await self._database.run(work)

    async def remove_key(self, id: str) -> None:
        """Away with a key, as if it had never been. Raises ``NotFoundError``."""

        def work(connection: Connection) -> None:
            KEYS.get(connection, id, lock=True)
            _changed(connection)
            KEYS.remove(connection, id)
            connection.execute(delete(tables.key_secrets).where(tables.key_secrets.c.key == id))

        await self._database.run(work)

    def _check_counted(self, one: Limited, before: Limited | None = None) -> None:
        """Raises for limits that would be new; those of before may stay, and go."""
        for field in ("budgets", "limits"):
            said = getattr(one, field)
            if said and (before is None or said != getattr(before, field)):
                check_counted(field, together=self._together)


def _changed(connection: Connection) -> None:
    """From here on the transaction holds the numbers, so that changes go one by one.

    The row of the object itself is locked before that, everywhere, lest two wait for each other.
    """
    bump(connection, VERSION)
    bump(connection, WHOLE_VERSION)


_Any = TypeVar("_Any", Organisation, Team, EndUser, Key)


def _put(connection: Connection, shelf: Shelf[_Any], before: _Any, after: _Any) -> _Any:
    if after != before:
        _changed(connection)
        shelf.put(connection, after)
    return after


def _refuse_said(one: Any, as_it_is: Mapping[str, object]) -> None:
    for name, value in as_it_is.items():
        if getattr(one, name) != value:
            raise BadRequestError(f"{name} is the gateway's to say", hint="Leave it out.")


def _check_home(connection: Connection, key: Key) -> None:
    """The organisation and the team that a key names are there. Raises ``NotFoundError``."""
    if key.organisation:
        _organisation(connection, key.organisation)
    if key.team:
        try:
            TEAMS.get(connection, key.organisation, key.team)
        except NotFoundError as error:
            error.hint = f"'polyvox teams create {key.organisation}/{key.team}' makes it."
            raise


def _organisation(connection: Connection, name: str) -> None:
    """Raises ``NotFoundError`` where it is not there."""
    try:
        ORGANISATIONS.get(connection, name)
    except NotFoundError as error:
        error.hint = f"'polyvox organisations create {name}' makes it."
        raise


def _check_empty(connection: Connection, organisation: str, team: str = "") -> None:
    """No key, team or end user is left in what is to be deleted."""
    shelves = [KEYS.table] if team else [KEYS.table, TEAMS.table, END_USERS.table]
    for table in shelves:
        within = table.c.organisation == organisation
        if team:
            within &= table.c.team == team
        if connection.execute(select(exists().where(within))).scalar():
            raise conflict(
                f"{team or organisation!r} still has {table.name.replace('_', ' ')}",
                "Delete these first.",
            )


def _add_secret(connection: Connection, id: str, digest: bytes) -> None:
    try:
        with connection.begin_nested():
            connection.execute(insert(tables.key_secrets).values(digest=digest, key=id))
    except IntegrityError:
        raise conflict("this key is there already", "'polyvox keys list' lists all.") from None
