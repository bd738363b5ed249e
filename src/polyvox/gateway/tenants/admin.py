"""The endpoints for administrators: ``/admin/organisations``, ``/admin/keys``, ``/admin/provider_keys``."""

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from operator import attrgetter
from typing import Annotated, Any

import msgspec
from msgspec import Meta
from msgspec.structs import replace

from polyvox.errors import BadRequestError, ConfigurationError, OverloadedError
from polyvox.gateway.tenants.changing import Change, patched, replaced
from polyvox.gateway.tenants.directory import Directory
from polyvox.gateway.tenants.keys import check_strength, digest_of, may_be_a_key
from polyvox.gateway.tenants.objects import Key, NewKey, ProviderKey, WantedKey
from polyvox.gateway.tenants.provider_keys import ProviderKeys
from polyvox.gateway.tenants.shelf import Shelf
from polyvox.gateway.tenants.store import END_USERS, KEYS, ORGANISATIONS, TEAMS, Tenants
from polyvox.gateway.web.endpoints import Arrived, Endpoint, Page, PageQuery, page_of

__all__ = ["KeyQuery", "Rotation", "admin_endpoints"]


class KeyQuery(PageQuery, kw_only=True, forbid_unknown_fields=True):
    """Which keys: those of an ``organisation``, of a ``team`` in it; else all."""

    organisation: str | None = None
    team: str | None = None


class Rotation(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """How long the secret of before works beside the new one: time to hand that out."""

    overlap_seconds: Annotated[float, Meta(ge=0, le=31_536_000)] = 60.0


def admin_endpoints(
    tenants: Tenants, provider_keys: ProviderKeys, directory: Directory
) -> tuple[Endpoint, ...]:
    """The endpoints. What was changed holds at once here, elsewhere within seconds."""
    organisations = "/admin/organisations"
    keys, providers = _Keys(tenants, directory), _ProviderKeys(provider_keys)

    def objects(shelf: Shelf[Any]) -> "_Objects":
        return _Objects(tenants, directory, shelf)

    return (
        *_operations(organisations, "name", objects(ORGANISATIONS)),
        *_operations(organisations + "/{organisation}/teams", "name", objects(TEAMS)),
        *_operations(organisations + "/{organisation}/end_users", "name", objects(END_USERS)),
        *_operations("/admin/keys", "id", keys),
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
        *_operations("/admin/provider_keys", "name", providers),
    )


_admin = partial(Endpoint, who="admin")


def _operations(path: str, name: str, kind: "_Kind") -> tuple[Endpoint, ...]:
    """What can be done with every kind: list, create, get, change in part or as a whole, delete."""
    title, takes = kind.title, kind.takes
    one = f"{path}/{{{name}}}"
    a = "an" if title[0] in "aeiou" else "a"
    page: Any = Page[takes]
    return (
        _admin("GET", path, f"List each {title}.", kind.page, query=kind.query, gives=page),
        _admin(
            "POST",
            path,
            f"Create {a} {title}.",
            kind.add,
            takes=kind.wanted or takes,
            gives=kind.made,
            status=201,
        ),
        _admin("GET", one, f"Get {a} {title}.", kind.get, gives=takes),
        _admin(
            "PATCH",
            one,
            f"Change some of {a} {title}: a JSON Merge Patch (RFC 7396).",
            kind.patch,
            takes=dict,
            gives=takes,
        ),
        _admin("PUT", one, f"Say all of {a} {title} anew.", kind.put, takes=takes, gives=takes),
        _admin("DELETE", one, f"Delete {a} {title}.", kind.remove),
    )


class _Kind(ABC):
    """The handlers of one kind."""

    title = ""
    takes: Any = None
    wanted: Any = None
    made: Any = None
    query: Any = PageQuery

    @abstractmethod
    async def page(self, arrived: Arrived) -> Any: ...

    @abstractmethod
    async def add(self, arrived: Arrived) -> Any: ...

    @abstractmethod
    async def get(self, arrived: Arrived) -> Any: ...

    @abstractmethod
    async def change(self, arrived: Arrived, change: Change[Any]) -> Any: ...

    @abstractmethod
    async def remove(self, arrived: Arrived) -> None: ...

    async def put(self, arrived: Arrived) -> Any:
        said = msgspec.json.decode(arrived.sent or b"{}")
        return await self.change(arrived, partial(replaced, said))

    async def patch(self, arrived: Arrived) -> Any:
        return await self.change(arrived, partial(patched, arrived.body))


class _Held(_Kind):
    """What the directory holds in memory, where a change is to be seen at once."""

    def __init__(self, tenants: Tenants, directory: Directory) -> None:
        self._tenants = tenants
        self._directory = directory

    async def _after(self, change: Awaitable[Any]) -> Any:
        """What the change gave. It was made even if it can't be read back just now."""
        given = await change
        with suppress(OverloadedError):
            await self._directory.load()
        return given


class _Objects(_Held):
    """Organisations; teams and end users, within the organisation that the path names."""

    def __init__(self, tenants: Tenants, directory: Directory, shelf: Shelf[Any]) -> None:
        super().__init__(tenants, directory)
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
        one = arrived.body
        for field in self._shelf.key[:-1]:
            if getattr(one, field) not in ("", arrived.named(field)):
                raise BadRequestError(f"{field} in the body is another one than in the path")
            one = replace(one, **{field: arrived.named(field)})
        return await self._after(self._tenants.add(self._shelf, one))

    async def get(self, arrived: Arrived) -> Any:
        return await self._tenants.get(self._shelf, *map(arrived.named, self._shelf.key))

    async def change(self, arrived: Arrived, change: Change[Any]) -> Any:
        key = [arrived.named(field) for field in self._shelf.key]
        return await self._after(self._tenants.change(self._shelf, key, change))

    async def remove(self, arrived: Arrived) -> None:
        key = map(arrived.named, self._shelf.key)
        await self._after(self._tenants.remove(self._shelf, *key))


class _Keys(_Held):
    title = "key"
    takes = Key
    wanted = WantedKey
    made = NewKey
    query = KeyQuery

    async def page(self, arrived: Arrived) -> Any:
        query: KeyQuery = arrived.query
        said = {"organisation": query.organisation, "team": query.team}
        where = {name: value for name, value in said.items() if value is not None}
        return await _page(
            query, "id", lambda limit, after: self._tenants.page(KEYS, limit, after, where)
        )

    async def add(self, arrived: Arrived) -> Any:
        wanted: WantedKey = arrived.body
        key = Key(**{name: getattr(wanted, name) for name in Key.__struct_fields__})
        return await self._after(self._tenants.create_key(key, _brought(wanted)))

    async def get(self, arrived: Arrived) -> Any:
        return await self._tenants.get(KEYS, arrived.named("id"))

    async def change(self, arrived: Arrived, change: Change[Key]) -> Any:
        return await self._after(self._tenants.change_key(arrived.named("id"), change))

    async def remove(self, arrived: Arrived) -> None:
        await self._after(self._tenants.remove_key(arrived.named("id")))

    async def rotate(self, arrived: Arrived) -> NewKey:
        rotation: Rotation = arrived.body
        change = self._tenants.rotate(arrived.named("id"), rotation.overlap_seconds)
        return await self._after(change)

    async def revoke(self, arrived: Arrived) -> Key:
        return await self._after(self._tenants.revoke(arrived.named("id")))


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

    async def change(self, arrived: Arrived, change: Change[ProviderKey]) -> Any:
        return await self._keys.change(arrived.named("name"), change)

    async def remove(self, arrived: Arrived) -> None:
        await self._keys.remove(arrived.named("name"))


def _brought(wanted: WantedKey) -> bytes | None:
    """The digest of a key that is brought along. Raises ``BadRequestError`` for one that is none."""
    if wanted.key and wanted.sha256:
        raise BadRequestError("key and sha256 are given", hint="One of them is enough.")
    if not wanted.key:
        return bytes.fromhex(wanted.sha256) or None
    if not may_be_a_key(wanted.key):
        raise BadRequestError("key is none", hint="It has 20 to 512 visible characters of ASCII.")
    try:
        check_strength(wanted.key, "key")
    except ConfigurationError as error:
        raise BadRequestError(error.text, hint=error.hint) from None
    return digest_of(wanted.key)


async def _page(
    query: PageQuery, by: str, read: Callable[[int, str | None], Awaitable[list[Any]]]
) -> Page[Any]:
    """A part of a list; one more is read, to know whether there is another part."""
    return page_of(await read(query.limit + 1, query.after), query.limit, attrgetter(by))
