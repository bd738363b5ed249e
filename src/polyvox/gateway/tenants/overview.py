"""How it stands with everybody's budgets and limits, and with those of the file: for administrators."""

import asyncio
from collections.abc import Callable, Iterable

from msgspec.structs import replace

from polyvox.config import Config
from polyvox.config.around import budget_of, rate_of
from polyvox.errors import BadRequestError, NotFoundError
from polyvox.gateway.tenants.access import Access, Level
from polyvox.gateway.tenants.directory import Directory
from polyvox.gateway.tenants.standing import Left, what_is_left
from polyvox.gateway.web.endpoints import Arrived, Endpoint, Page, PageQuery, page_of
from polyvox.limits import LimitStore
from polyvox.usage import NANOS_PER_DOLLAR

__all__ = ["BudgetsLeft", "LimitQuery", "limit_endpoints"]

FILE = "file"
"""The level of ``[budgets]`` and ``[limits]`` of the configuration."""

_MOST_MEASURED = 100
_SECONDS = 10.0
_WIDEST_FIRST = (FILE, "organisation", "team", "user", "key")


class LimitQuery(PageQuery, kw_only=True, forbid_unknown_fields=True):
    """Whose limits; else everybody's. ``limit`` counts whose they are: each may have several.

    ``key``           all that hold for the key of this id or name, those of the file among them
    ``organisation``  those of an organisation, its teams, its keys, and end users who have their own
    ``team``          those of a team in it
    ``end_user``      those of an end user in it, also of one who has none of their own
    """

    key: str | None = None
    organisation: str | None = None
    team: str | None = None
    end_user: str | None = None


def limit_endpoints(
    directory: Directory, limits: LimitStore, config: Callable[[], Config]
) -> tuple[Endpoint, ...]:
    """The endpoint. ``config`` gives the configuration as it stands."""

    async def page(arrived: Arrived) -> Page[Left]:
        query: LimitQuery = arrived.query
        levels, tenant = _found(directory, query, _of_file(config()))
        ahead = sorted({level.name: level for level in levels}.values(), key=_place)
        if query.after is not None:
            after = _place(Level(query.after))
            ahead = [level for level in ahead if _place(level) > after]
        part = page_of(ahead, query.limit, lambda level: level.name)
        return Page(data=await what_is_left(part.data, tenant, limits), next=part.next)

    return (
        Endpoint(
            "GET",
            "/admin/limits",
            "See what is left of budgets and limits.",
            page,
            who="admin",
            query=LimitQuery,
            gives=Page[Left],
        ),
    )


class BudgetsLeft:
    """What is left of the budgets of the file, of organisations and of teams, for the metrics.

    It is looked at now and then, so that whoever reads the metrics waits for nothing. So many are
    measured, in this order. ``left`` and ``limit`` are US dollars by level and name; those of which
    nobody can tell just now are left out.
    """

    def __init__(
        self, directory: Directory, limits: LimitStore, config: Callable[[], Config]
    ) -> None:
        self._directory = directory
        self._limits = limits
        self._config = config
        self.left: dict[tuple[str, ...], float] = {}
        self.limit: dict[tuple[str, ...], float] = {}

    async def run(self) -> None:
        """Look again and again."""
        while True:
            await self.look()
            await asyncio.sleep(_SECONDS)

    async def look(self) -> None:
        """See how it stands now."""
        levels = [_of_file(self._config()), *self._directory.homes.levels()]
        ours = [each for each in levels if each.budgets and not each.name.startswith("user:")]
        measured = [replace(each, rates=()) for each in sorted(ours, key=_place)[:_MOST_MEASURED]]
        found = (await what_is_left(measured, "", self._limits))[:_MOST_MEASURED]
        told = {(each.level, each.name): each for each in found if each.left is not None}
        self.left = {name: (each.left or 0.0) / NANOS_PER_DOLLAR for name, each in told.items()}
        self.limit = {name: each.limit / NANOS_PER_DOLLAR for name, each in told.items()}


def _found(directory: Directory, query: LimitQuery, file: Level) -> tuple[Iterable[Level], str]:
    """The levels that are asked for, and as whose calls those are looked at that count by tenant."""
    keys, homes, organisation = directory.accesses(), directory.homes, query.organisation
    if query.key is not None:
        meant = [access for access in keys if query.key in (access.key, access.name)]
        if not meant:
            raise NotFoundError(f"there is no key {query.key!r}", status=404)
        levels = [file, *(level for access in meant for level in access.levels)]
        return levels, meant[0].tenant if len(meant) == 1 else ""
    if organisation is None:
        if query.team is not None or query.end_user is not None:
            raise BadRequestError("organisation is missing: whose team or end user is it?")
        return [file, *homes.levels(), *_own(keys)], ""
    if query.team is not None:
        name = f"team:{organisation}/{query.team}"
        return [each for each in homes.levels(organisation) if each.name == name], organisation
    if query.end_user is not None:
        level = homes.end_user(organisation, query.end_user)
        return [level] if level else [], organisation
    own = _own(access for access in keys if access.organisation == organisation)
    return [*homes.levels(organisation), *own], organisation


def _own(keys: Iterable[Access]) -> list[Level]:
    return [
        level for access in keys for level in access.levels if level.name == f"key:{access.key}"
    ]


def _place(level: Level) -> tuple[int, str]:
    kind = level.name.partition(":")[0]
    return _WIDEST_FIRST.index(kind) if kind in _WIDEST_FIRST else -1, level.name


def _of_file(config: Config) -> Level:
    """Their accounts have the names that they have there."""
    budgets = {
        name: replace(section, policy="block", downgrade="") if section.downgrade else section
        for name, section in config.budgets.items()
    }
    return Level(
        FILE,
        tuple(budget_of(name, section) for name, section in budgets.items()),
        tuple(rate_of(name, section) for name, section in config.limits.items()),
        title="the file",
    )
