"""The endpoints for administrators: ``/admin/organisations``, ``/admin/keys``, ``/admin/provider_keys``."""

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Annotated, Any

import msgspec
from msgspec import Meta
from msgspec.structs import replace

from polyvox.errors import BadRequestError, OverloadedError
from polyvox.gateway.tenants.access import check_routes
from polyvox.gateway.tenants.directory import Directory
from polyvox.gateway.tenants.objects import Key, NewKey, ProviderKey
from polyvox.gateway.tenants.provider_keys import ProviderKeys
from polyvox.gateway.tenants.shelf import Shelf
from polyvox.gateway.tenants.store import END_USERS, KEYS, ORGANISATIONS, TEAMS, Tenants
from polyvox.gateway.web.endpoints import Arrived, Endpoint, Page, PageQuery

__all__ = ["KeyQuery", "Rotation", "admin_endpoints"]


class KeyQuery(PageQuery, kw_only=True, forbid_unknown_fields=True):
    """Which keys: those of an ``organisation``, of a ``team`` in it; else all."""

    organisation: str | None = None
    team: str | None = None


class Rotation(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """How long the secret of before works beside the new one."""

    overlap_seconds: Annotated[float, Meta(ge=0, le=31_536_000)] = 0.0


def admin_endpoints(
    tenants: Tenants, provider_keys: ProviderKeys, directory: Directory
) -> tuple[Endpoint, ...]:
    """The endpoints. What was changed holds at once here, elsewhere within seconds."""
    organisations = "/admin/organisations"
    keys, providers = _Keys(tenants, directory), _ProviderKeys(provider_keys)

    def objects(shelf: Shelf[Any]) -> "_Objects":
        return _Objects(tenants, directory, shelf)

    return (
        *_five(organisations, "name", objects(ORGANISATIONS)),
        *_five(organisations + "/{organisation}/teams", "name", objects(TEAMS)),
        *_five(organisations + "/{organisation}/end_users", "name", objects(END_USERS)),
        *_five("/admin/keys", "id", keys),
        _admin(
            "POST",
            "/admin/keys/{id}/rotate",
            "Give a key a new secret.",
            keys.rotate,
            takes=Rotation,
            gives=NewKey,
        ),
        _admin(
            "POST", "/admin/keys/{id}/revoke", "Refuse a key from now on.", keys.revoke, gives=Key
        ),
        *_five("/admin/provider_keys", "name", providers),
    )


_admin = partial(Endpoint, who="admin")


def _five(path: str, name: str, kind: "_Kind") -> tuple[Endpoint, ...]:
    """What can be done with every kind: list, create, get, put, delete."""
    title, takes = kind.title, kind.takes
    one = f"{path}/{{{name}}}"
    a = "an" if title[0] in "aeiou" else "a"
    page: Any = Page[takes]
    return (
        _admin("GET", path, f"List each {title}.", kind.page, query=kind.query, gives=page),
        _admin(
            "POST", path, f"Create {a} {title}.", kind.add, takes=takes, gives=kind.made, status=201
        ),
        _admin("GET", one, f"Get {a} {title}.", kind.get, gives=takes),
        _admin("PUT", one, f"Change {a} {title}.", kind.put, takes=takes, gives=takes),
        _admin("DELETE", one, f"Delete {a} {title}.", kind.remove),
    )


class _Kind(ABC):
    """The handlers of one kind."""

    title = ""
    takes: Any = None
    made: Any = None
    query: Any = PageQuery

    @abstractmethod
    async def page(self, arrived: Arrived) -> Any: ...

    @abstractmethod
    async def add(self, arrived: Arrived) -> Any: ...

    @abstractmethod
    async def get(self, arrived: Arrived) -> Any: ...

    @abstractmethod
    async def put(self, arrived: Arrived) -> Any: ...

    @abstractmethod
    async def remove(self, arrived: Arrived) -> None: ...


class _Objects(_Kind):
    """Organisations; teams and end users, within the organisation that the path names."""

    def __init__(self, tenants: Tenants, directory: Directory, shelf: Shelf[Any]) -> None:
        self._tenants = tenants
        self._directory = directory
        self._shelf = shelf
        self.title = shelf.title
        self.takes = self.made = shelf.kind

    async def page(self, arrived: Arrived) -> Any:
        where = {name: arrived.named(name) for name in self._shelf.key[:-1]}
        if where:
            await self._tenants.get(ORGANISATIONS, *where.values())
        return await _page(
            arrived.query,
            self._shelf.key[-1],
            lambda limit, after: self._tenants.page(self._shelf, limit, after, where),
        )

    async def add(self, arrived: Arrived) -> Any:
        one = _at(arrived, *self._shelf.key[:-1])
        return await self._after(self._tenants.add(self._shelf, one))

    async def get(self, arrived: Arrived) -> Any:
        return await self._tenants.get(self._shelf, *map(arrived.named, self._shelf.key))

    async def put(self, arrived: Arrived) -> Any:
        one = _at(arrived, *self._shelf.key)
        return await self._after(self._tenants.put(self._shelf, one))

    async def remove(self, arrived: Arrived) -> None:
        key = map(arrived.named, self._shelf.key)
        await self._after(self._tenants.remove(self._shelf, *key))

    async def _after(self, change: Awaitable[Any]) -> Any:
        return await _loaded(self._directory, change)


class _Keys(_Kind):
    title = "key"
    takes = Key
    made = NewKey
    query = KeyQuery

    def __init__(self, tenants: Tenants, directory: Directory) -> None:
        self._tenants = tenants
        self._directory = directory

    async def page(self, arrived: Arrived) -> Any:
        query: KeyQuery = arrived.query
        said = {"organisation": query.organisation, "team": query.team}
        where = {name: value for name, value in said.items() if value is not None}
        return await _page(
            query, "id", lambda limit, after: self._tenants.page(KEYS, limit, after, where)
        )

    async def add(self, arrived: Arrived) -> Any:
        check_routes(arrived.body.routes)
        return await self._after(self._tenants.create_key(arrived.body))

    async def get(self, arrived: Arrived) -> Any:
        return await self._tenants.get(KEYS, arrived.named("id"))

    async def put(self, arrived: Arrived) -> Any:
        return await self._after(self._tenants.put_key(_at(arrived, "id")))

    async def remove(self, arrived: Arrived) -> None:
        await self._after(self._tenants.remove_key(arrived.named("id")))

    async def rotate(self, arrived: Arrived) -> NewKey:
        rotation: Rotation = arrived.body
        change = self._tenants.rotate(arrived.named("id"), rotation.overlap_seconds)
        return await self._after(change)

    async def revoke(self, arrived: Arrived) -> Key:
        return await self._after(self._tenants.revoke(arrived.named("id")))

    async def _after(self, change: Awaitable[Any]) -> Any:
        return await _loaded(self._directory, change)


class _ProviderKeys(_Kind):
    title = "provider's key"
    takes = made = ProviderKey

    def __init__(self, keys: ProviderKeys) -> None:
        self._keys = keys

    async def page(self, arrived: Arrived) -> Any:
        return await _page(arrived.query, "name", self._keys.page)

    async def add(self, arrived: Arrived) -> Any:
        return await self._keys.add(arrived.body)

    async def get(self, arrived: Arrived) -> Any:
        return await self._keys.get(arrived.named("name"))

    async def put(self, arrived: Arrived) -> Any:
        return await self._keys.put(_at(arrived, "name"))

    async def remove(self, arrived: Arrived) -> None:
        await self._keys.remove(arrived.named("name"))


def _at(arrived: Arrived, *fields: str) -> Any:
    """What came, as that which the path names. Raises ``BadRequestError`` where it says another name."""
    one = arrived.body
    for field in fields:
        if getattr(one, field) not in ("", arrived.named(field)):
            raise BadRequestError(
                f"{field} in the body is another one than in the path",
                hint="Names stay; create another one, and delete this.",
            )
    return replace(one, **{field: arrived.named(field) for field in fields})


async def _page(
    query: PageQuery, by: str, read: Callable[[int, str | None], Awaitable[list[Any]]]
) -> Page[Any]:
    """A part of a list; one more is read, to know whether there is another part."""
    found = await read(query.limit + 1, query.after)
    data = found[: query.limit]
    return Page(data=data, next=getattr(data[-1], by) if len(found) > len(data) else None)


async def _loaded(directory: Directory, change: Awaitable[Any]) -> Any:
    """What the change gave, when it holds here. It was made even if it can't be read back just now."""
    given = await change
    with suppress(OverloadedError):
        await directory.load()
    return given
