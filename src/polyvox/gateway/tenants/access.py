"""What the holder of a key may do."""

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from functools import lru_cache
from urllib.parse import quote

import msgspec

from polyvox.errors import BadRequestError, PermissionDeniedError
from polyvox.limits import Budget, RateLimit
from polyvox.suggestions import hint_for

__all__ = ["ADMIN", "ROUTES", "Access", "Level", "check_routes", "matches"]

ROUTES = (
    "approvals",
    "batches",
    "chat",
    "contexts",
    "embeddings",
    "metrics",
    "models",
    "prompts",
)
"""What a key may be good for."""

_LONGEST_END_USER = 256


class Level(msgspec.Struct, frozen=True, gc=False):
    """What is limited together: an organisation, a team, a key. ``name`` is unique: "key:<id>".

    The budgets and rates count on accounts of this name. In ``shadow`` they are counted and told of,
    and block nothing. ``title`` is what people call it. An end user may be ``blocked``.
    """

    name: str
    budgets: tuple[Budget, ...] = ()
    rates: tuple[RateLimit, ...] = ()
    shadow: bool = False
    title: str = ""
    blocked: bool = False

    def told(self, account: str) -> str:
        """What people call one of its accounts: "day of key ci"."""
        own = account.removeprefix(f"{self.name}:")
        return f"{own} of {self.title}" if self.title and own != account else account


class Access(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The rights of one key, as they stand; after a change there is a new one.

    ``key`` is the key's id, never the key. ``tenant`` is whose cached answers it shares: those of the
    organisation, or of the key alone. ``models`` and ``routes`` are names or globs, ``within`` those of
    what is around it, of which each must allow a model too, ``addresses`` networks (empty: from
    anywhere), ``expires`` seconds since the epoch. ``levels`` are all whose limits hold, the widest
    first; ``end_users`` is the pattern of a level for each end user, if their use is limited,
    ``named_end_users`` the levels of those who have one of their own; ``end_user`` finds the right one.
    ``admin`` may change everything, a ``manager`` see what all of its organisation use.
    """

    key: str
    name: str = ""
    organisation: str = ""
    team: str = ""
    tenant: str = ""
    admin: bool = False
    models: tuple[str, ...] = ("*",)
    routes: tuple[str, ...] = ("*",)
    addresses: tuple[str, ...] = ()
    expires: float | None = None
    levels: tuple[Level, ...] = ()
    end_users: Level | None = None
    named_end_users: Mapping[str, Level] = {}
    within: tuple[tuple[str, ...], ...] = ()
    manager: bool = False

    @property
    def home(self) -> str:
        """Whose conversations these are: the organisation's; a key without one has its own."""
        return self.organisation or ("" if self.admin else f"key:{self.key}")

    def sees(self, organisation: str, key: str) -> bool:
        """Whether it may see what this key has made: an organisation's keys see all that is its."""
        return (
            self.admin
            or bool(key and key == self.key)
            or bool(organisation and organisation == self.organisation)
        )

    def may_ask(self, model: str) -> bool:
        """Whether this model is one of those that it may ask."""
        return matches(model, self.models) and all(matches(model, each) for each in self.within)

    def end_user(self, name: str) -> Level | None:
        """The level of this end user; None if their use is not limited.

        Raises ``BadRequestError`` for a name that is too long, ``PermissionDeniedError`` for who is blocked.
        """
        level = self.named_end_users.get(name, self.end_users) if name else None
        if level is None:
            return None
        if level.blocked:
            raise PermissionDeniedError(f"the end user {name[:100]!r} is blocked", status=403)
        if name in self.named_end_users:
            return level
        if len(name) > _LONGEST_END_USER:
            raise BadRequestError(
                f"the end user's name is longer than {_LONGEST_END_USER} characters",
                hint="Send a short id that means them.",
            )
        return _level_for(level, name)


ADMIN = Access(key="admin", name="admin", admin=True)
"""Who has the administrator's key."""


@lru_cache(maxsize=4096)
def matches(name: str, globs: tuple[str, ...]) -> bool:
    """Whether the name is one of these, or fits one of these globs."""
    return "*" in globs or any(glob == name or fnmatchcase(name, glob) for glob in globs)


def check_routes(routes: Iterable[str]) -> None:
    """Raises ``BadRequestError`` for one that is good for nothing: no route, and no glob that fits one."""
    for route in routes:
        if not any(matches(known, (route,)) for known in ROUTES):
            raise BadRequestError(
                f"a key can't be used for {route!r}: there is no such route",
                hint=f"{hint_for(route, ROUTES, '')} There are {', '.join(ROUTES)}.".lstrip(),
            )


@lru_cache(maxsize=10_000)
def _level_for(pattern: Level, name: str) -> Level:
    """The pattern's level for one end user, with accounts of their own. Its name ends with "*"."""
    before = len(pattern.name)
    own = pattern.name[:-1] + quote(name, safe="")
    return Level(
        own,
        tuple(
            msgspec.structs.replace(each, name=own + each.name[before:]) for each in pattern.budgets
        ),
        tuple(
            msgspec.structs.replace(each, name=own + each.name[before:]) for each in pattern.rates
        ),
        pattern.shadow,
        f"end user {name}",
    )
