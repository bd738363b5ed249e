"""From rows to the rights of every key, in one go."""

from collections.abc import Mapping

import msgspec

from polyvox.config.serving import KeySection
from polyvox.errors import BadRequestError, ConfigurationError
from polyvox.gateway.tenants.access import ADMIN, Access, Level, check_routes
from polyvox.gateway.tenants.keys import check_strength, digest_of
from polyvox.gateway.tenants.levels import level_of, limits_of_section
from polyvox.gateway.tenants.objects import EVERYBODY, Key, Organisation, Team
from polyvox.gateway.tenants.rows import Rows
from polyvox.secret import Secret

__all__ = ["CONFIGURED", "Entries", "Entry", "Homes", "configured_entries"]

CONFIGURED = "config:"
"""What the ids of keys begin with that stand in the configuration; their names follow."""


class Entry(msgspec.Struct, frozen=True, gc=False):
    """What is known of a digest. ``until`` is when this secret of the key ends, whatever the key's end.

    ``blocked`` is what refuses it for a while: "this key", or what is around it.
    """

    digest: bytes
    access: Access
    revoked: bool = False
    until: float | None = None
    blocked: str = ""


Entries = dict[bytes, Entry]


class _Around(msgspec.Struct, frozen=True, gc=False):
    """What holds for all keys of a home: its limits, what may be asked, what of it is blocked."""

    levels: tuple[Level, ...] = ()
    within: tuple[tuple[str, ...], ...] = ()
    blocked: str = ""

    @classmethod
    def of(cls, kind: str, name: str, home: Organisation | Team) -> "_Around":
        level = level_of(f"{kind}:{name}", home, f"{kind} {name}")
        return cls(
            () if level is None else (level,),
            () if home.models == ("*",) else (home.models,),
            f"the {kind} {name}" if home.blocked else "",
        )

    def __add__(self, other: "_Around") -> "_Around":
        return _Around(
            self.levels + other.levels, self.within + other.within, self.blocked or other.blocked
        )


_NOTHING = _Around()


class Homes:
    """What is said of organisations, teams and end users, shared by all the keys in them."""

    def __init__(self, rows: Rows) -> None:
        self._organisations = {
            each.name: _Around.of("organisation", each.name, each) for each in rows.organisations
        }
        self._teams = {
            (each.organisation, each.name): _Around.of(
                "team", f"{each.organisation}/{each.name}", each
            )
            for each in rows.teams
        }
        self._end_users: dict[str, dict[str, Level]] = {}
        for each in rows.end_users:
            name = f"user:{each.organisation}/{each.name}"
            level = level_of(name, each, f"end user {each.name}") or Level(name)
            level = msgspec.structs.replace(level, blocked=each.blocked)
            self._end_users.setdefault(each.organisation, {})[each.name] = level
        self._known: dict[tuple[str, str], _Around] = {}

    def entries(self, rows: Rows) -> Entries:
        """What is known of each secret of these keys."""
        keys = {key.id: (self.access(key), key) for key in rows.keys}
        entries: Entries = {}
        for secret in rows.secrets:
            if secret.key in keys:
                access, key = keys[secret.key]
                revoked, blocked = key.revoked is not None, self.blocked(key)
                entries[secret.digest] = Entry(
                    secret.digest, access, revoked, secret.until, blocked
                )
        return entries

    def blocked(self, key: Key) -> str:
        """What refuses a key for a while, if anything does."""
        return "this key" if key.blocked else self._around(key).blocked

    def access(self, key: Key) -> Access:
        """The rights of a key."""
        own = level_of(f"key:{key.id}", key, f"key {key.name or key.id}")
        around = self._around(key)
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
            levels=around.levels if own is None else (*around.levels, own),
            within=around.within,
            end_users=named.get(EVERYBODY),
            named_end_users=named,
            manager=key.manager,
        )

    def levels(self, organisation: str | None = None) -> list[Level]:
        """Those of organisations, teams and named end users that have limits: of one organisation, or all."""
        around = [
            *((name, each) for name, each in self._organisations.items()),
            *((home[0], each) for home, each in self._teams.items()),
        ]
        found = [(name, level) for name, each in around for level in each.levels]
        found += [
            (name, level)
            for name, named in self._end_users.items()
            for each, level in named.items()
            if each != EVERYBODY and (level.budgets or level.rates)
        ]
        return [level for name, level in found if organisation in (None, name)]

    def end_user(self, organisation: str, name: str) -> Level | None:
        """The level of this end user. Raises as ``Access.end_user``."""
        named = self._end_users.get(organisation, {})
        access = Access(key="", end_users=named.get(EVERYBODY), named_end_users=named)
        return access.end_user(name)

    def _around(self, key: Key) -> _Around:
        home = (key.organisation, key.team)
        if home not in self._known:
            around = self._organisations.get(key.organisation, _NOTHING)
            self._known[home] = around + self._teams.get(home, _NOTHING)
        return self._known[home]


def configured_entries(
    keys: Mapping[str, KeySection], admin_key: Secret | None, homes: Homes
) -> Entries:
    """What needs no database: the administrator's key, and the keys that stand in the configuration.

    Their organisations and teams may have limits in the database.

    Raises ``ConfigurationError`` for a key that is weak, stands there twice, or is good for nothing.
    """
    entries: Entries = {}
    for name, section in keys.items():
        field = f"[gateway.keys.{name}]"
        digest = _checked(section.key, f"{field} key")
        if digest in entries:
            raise ConfigurationError(f"{field} has the key of another one")
        key = _configured(name, section, field)
        entries[digest] = Entry(digest, homes.access(key), blocked=homes.blocked(key))
    if admin_key is not None:
        digest = _checked(admin_key, "[gateway] admin_key")
        if digest in entries:
            raise ConfigurationError("[gateway] admin_key is the key of somebody else, too")
        entries[digest] = Entry(digest, ADMIN)
    return entries


def _checked(key: Secret, field: str) -> bytes:
    check_strength(key.reveal(), field)
    return digest_of(key.reveal())


def _configured(name: str, section: KeySection, field: str) -> Key:
    limits = limits_of_section(section, field)
    try:
        check_routes(section.routes)
        key = msgspec.convert(
            {
                "id": f"{CONFIGURED}{name}",
                "name": name,
                "organisation": section.organisation,
                "team": section.team,
                "models": section.models,
                "routes": section.routes,
                "addresses": section.addresses,
            },
            Key,
        )
    except BadRequestError as error:
        raise ConfigurationError(f"{field} routes: {error.text}", hint=error.hint) from None
    except msgspec.ValidationError as error:
        raise ConfigurationError(f"{field}: {error}") from None
    return msgspec.structs.replace(key, budgets=limits.budgets, limits=limits.limits)
