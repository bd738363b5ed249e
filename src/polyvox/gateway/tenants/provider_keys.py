"""Our keys at providers, in the database: sealed, or by reference to the environment."""

import logging
import time
from collections.abc import Callable

from msgspec.structs import replace
from sqlalchemy import Connection

from polyvox.errors import BadRequestError, ConfigurationError
from polyvox.gateway.database.engine import Database
from polyvox.gateway.database.versions import bump
from polyvox.gateway.tenants import tables
from polyvox.gateway.tenants.changing import Change
from polyvox.gateway.tenants.objects import MASK, ProviderKey
from polyvox.gateway.tenants.sealing import Sealing, is_reference
from polyvox.gateway.tenants.shelf import Shelf
from polyvox.gateway.tenants.store import VERSION
from polyvox.secret import Secret

__all__ = ["ProviderKeys"]

_MASKS = (MASK, "\N{HORIZONTAL ELLIPSIS}", "\N{BULLET}")
_SHELF = Shelf("provider's key", ProviderKey, tables.provider_keys, "name")

_log = logging.getLogger(__name__)


class ProviderKeys:
    """Creates, changes and deletes them. In what is stored ``value`` is sealed; what is shown has none.

    Args:
        database: where they are.
        sealing: what seals them.
        clock: the time in seconds since the epoch.
    """

    def __init__(
        self, database: Database, sealing: Sealing, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._database = database
        self._sealing = sealing
        self._clock = clock

    async def revealed(self) -> dict[str, list[Secret]]:
        """The keys of each provider, to be used, in the order of their names; without those that can't be."""
        stored = await self._database.run(_SHELF.all, read_only=True)
        found: dict[str, list[Secret]] = {}
        for each in sorted(stored, key=lambda each: each.name):
            try:
                secret = self._sealing.reveal(each.provider, each.value)
            except ConfigurationError as error:
                _log.warning("the provider's key %s can't be used: %s", each.name, error.text)
            else:
                if secret is not None:
                    found.setdefault(each.provider, []).append(secret)
        return found

    async def get(self, name: str) -> ProviderKey:
        """One of them. Raises ``NotFoundError``."""
        return self._shown(await self._database.run(lambda c: _SHELF.get(c, name), read_only=True))

    async def page(self, limit: int, after: str | None) -> list[ProviderKey]:
        """Some of them, in the order of their names."""
        found = await self._database.run(lambda c: _SHELF.page(c, limit, after, {}), read_only=True)
        return [self._shown(each) for each in found]

    async def add(self, key: ProviderKey) -> ProviderKey:
        """A new one. Raises ``BadRequestError``, as 409 if the name is taken."""
        sealed = replace(self._sealed(key), created=self._clock())

        def work(connection: Connection) -> None:
            bump(connection, VERSION)
            _SHELF.add(connection, sealed)

        await self._database.run(work)
        return self._shown(sealed)

    async def change(self, name: str, change: Change[ProviderKey]) -> ProviderKey:
        """A new value, or none: then the old one stays. Raises ``NotFoundError``."""

        def work(connection: Connection) -> ProviderKey:
            before = _SHELF.get(connection, name, lock=True)
            wanted = change(self._shown(before), ("name", "provider", "created"))
            if wanted.value in ("", MASK) or self._same(before, wanted.value):
                return before
            after = self._sealed(wanted)
            bump(connection, VERSION)
            _SHELF.put(connection, after)
            return after

        return self._shown(await self._database.run(work))

    async def remove(self, name: str) -> None:
        """Away with it. Raises ``NotFoundError``."""

        def work(connection: Connection) -> None:
            _SHELF.get(connection, name, lock=True)
            bump(connection, VERSION)
            _SHELF.remove(connection, name)

        await self._database.run(work)

    def _sealed(self, key: ProviderKey) -> ProviderKey:
        value = key.value.strip()
        if not value:
            raise BadRequestError("value is missing", hint='The key, or "env:" and a variable.')
        if any(mask in value for mask in _MASKS):
            raise BadRequestError(
                "value is masked, and no key", hint=f'Say "{MASK}" to keep the one that is there.'
            )
        return replace(key, value=self._sealing.seal(key.provider, value), state="")

    def _same(self, stored: ProviderKey, value: str) -> bool:
        return is_reference(value) and stored.value == value.strip()

    def _shown(self, stored: ProviderKey) -> ProviderKey:
        try:
            secret = self._sealing.reveal(stored.provider, stored.value)
        except ConfigurationError:
            state = "unreadable"
        else:
            state = "usable" if secret is not None else "missing"
        value = stored.value if is_reference(stored.value) else MASK
        return replace(stored, value=value, state=state)
