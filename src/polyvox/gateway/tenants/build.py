"""From rows to the rights of every key, in one go."""

from collections.abc import Mapping

import msgspec

from polyvox.config.serving import KeySection
from polyvox.errors import ConfigurationError
from polyvox.gateway.tenants.access import ADMIN, Access, Level
from polyvox.gateway.tenants.keys import check_strength, digest_of
from polyvox.gateway.tenants.levels import level_of, limits_of_section
from polyvox.gateway.tenants.objects import EVERYBODY, Key
from polyvox.gateway.tenants.rows import Rows
from polyvox.secret import Secret

__all__ = ["Entries", "Entry", "Homes", "configured_entries"]


class Entry(msgspec.Struct, frozen=True, gc=False):
    """What is known of a digest. ``until`` is when this secret of the key ends, whatever the key's end."""

    digest: bytes
    access: Access
    revoked: bool = False
    until: float | None = None


Entries = dict[bytes, Entry]


class Homes:
    """The limits of organisations, teams and end users, shared by all the keys in them."""

    def __init__(self, rows: Rows) -> None:
        self._organisations = {
            each.name: level_of(f"organisation:{each.name}", each) for each in rows.organisations
        }
        self._teams = {
            (each.organisation, each.name): level_of(f"team:{each.organisation}/{each.name}", each)
            for each in rows.teams
        }
        self._end_users: dict[str, dict[str, Level]] = {}
        for each in rows.end_users:
            level = level_of(f"user:{each.organisation}/{each.name}", each)
            unlimited = Level(f"user:{each.organisation}/{each.name}")
            self._end_users.setdefault(each.organisation, {})[each.name] = level or unlimited
        self._levels: dict[tuple[str, str], tuple[Level, ...]] = {}

    def entries(self, rows: Rows) -> Entries:
        """What is known of each secret of these keys."""
        keys = {key.id: (self.access(key), key.revoked is not None) for key in rows.keys}
        entries: Entries = {}
        for secret in rows.secrets:
            if secret.key in keys:
                access, revoked = keys[secret.key]
                entries[secret.digest] = Entry(secret.digest, access, revoked, secret.until)
        return entries

    def access(self, key: Key) -> Access:
        """The rights of a key."""
        own = level_of(f"key:{key.id}", key)
        levels = self._around(key)
        named = self._end_users.get(key.organisation, {})
        return Access(
            key=key.id,
            name=key.name,
            organisation=key.organisation,
            team=key.team,
            tenant=key.organisation or f"key:{key.id}",
            models=key.models,
            routes=key.routes,
            addresses=key.addresses,
            expires=key.expires,
            levels=levels if own is None else (*levels, own),
            end_users=named.get(EVERYBODY),
            named_end_users=named,
            manager=key.manager,
        )

    def _around(self, key: Key) -> tuple[Level, ...]:
        home = (key.organisation, key.team)
        if home not in self._levels:
            found = (self._organisations.get(key.organisation), self._teams.get(home))
            self._levels[home] = tuple(level for level in found if level is not None)
        return self._levels[home]


def configured_entries(
    keys: Mapping[str, KeySection], admin_key: Secret | None, homes: Homes
) -> Entries:
    """What needs no database: the administrator's key, and the keys that stand in the configuration.

    Their organisations and teams may have limits in the database.

    Raises ``ConfigurationError`` for a weak key, or one that stands there twice.
    """
    entries: Entries = {}
    for name, section in keys.items():
        field = f"[gateway.keys.{name}]"
        digest = _checked(section.key, f"{field} key")
        if digest in entries:
            raise ConfigurationError(f"{field} has the key of another one")
        entries[digest] = Entry(digest, _configured(name, section, field, homes))
    if admin_key is not None:
        digest = _checked(admin_key, "[gateway] admin_key")
        if digest in entries:
            raise ConfigurationError("[gateway] admin_key is the key of somebody else, too")
        entries[digest] = Entry(digest, ADMIN)
    return entries


def _checked(key: Secret, field: str) -> bytes:
    check_strength(key.reveal(), field)
    return digest_of(key.reveal())


def _configured(name: str, section: KeySection, field: str, homes: Homes) -> Access:
    limits = limits_of_section(section, field)
    try:
        key = msgspec.convert(
            {
                "id": f"config:{name}",
                "name": name,
                "organisation": section.organisation,
                "team": section.team,
                "models": section.models,
                "routes": section.routes,
                "addresses": section.addresses,
            },
            Key,
        )
    except msgspec.ValidationError as error:
        raise ConfigurationError(f"{field}: {error}") from None
    return homes.access(msgspec.structs.replace(key, budgets=limits.budgets, limits=limits.limits))
