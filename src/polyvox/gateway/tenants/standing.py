"""What is left of budgets and rates."""

import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from secrets import token_hex
from typing import Literal, TypeAlias

import msgspec
from msgspec.structs import replace

from polyvox.errors import NetworkError
from polyvox.gateway.tenants.access import Level
from polyvox.limits.budget import BudgetLimit
from polyvox.limits.gate import Limit
from polyvox.limits.rate_limit import RateLimit, limits_of
from polyvox.limits.store import Hold, LimitStore, Standing
from polyvox.model import Call
from polyvox.usage import Usage

__all__ = ["Left", "what_is_left"]

Unit: TypeAlias = Literal["nano-dollars", "requests", "tokens"]

_AT_ONCE = 200
_NOTHING = Usage()


class Left(msgspec.Struct, kw_only=True):
    """One limit, and how much of it is used.

    ``level`` is whose it is ("organisation:acme", "key:..."), ``title`` that in people's words, ``name``
    how it is called, ``unit`` what is counted. Of ``used`` so much as is ``reserved`` is that of calls
    under way; ``left`` is below 0 for a debt. All three are null where nobody can tell, and for a limit
    that counts by session or tag. ``resets`` is when all of it is there again, in seconds since the epoch.
    In ``shadow`` it blocks nothing.
    """

    level: str
    name: str
    unit: Unit
    per: str
    limit: float
    used: float | None = None
    reserved: float | None = None
    left: float | None = None
    resets: float | None = None
    shadow: bool = False
    title: str = ""


async def what_is_left(levels: Iterable[Level], tenant: str, store: LimitStore) -> list[Left]:
    """How it stands with all the limits of these, for calls of this tenant. Nothing is debited for it.

    What is asked for is more than each limit, which fits nowhere, so that each says how it stands.
    """
    call = Call(tenant=tenant)
    found: list[Left] = []
    asked: list[tuple[Left, Hold]] = []
    for left, limit, scope in _limits(levels):
        found.append(left)
        if scope == "global" or (scope == "tenant" and tenant):
            hold = limit.hold(_NOTHING, call)
            asked.append((left, replace(hold, amount=hold.limit + 1, soft=False)))
    with suppress(NetworkError):  # the store is away
        for start in range(0, len(asked), _AT_ONCE):
            part = asked[start : start + _AT_ONCE]
            for standing in await store.reserve(token_hex(12), [hold for _, hold in part]):
                _tell(*part[standing.place], standing)
    return found


def _limits(levels: Iterable[Level]) -> Iterator[tuple[Left, Limit, str]]:
    for level in levels:
        for budget in level.budgets:
            limit = BudgetLimit(budget)
            left = _left(level, budget.name, "nano-dollars", budget.per, limit.limit)
            yield left, limit, budget.scope
        for rate in level.rates:
            for unit, limit in zip(_units(rate), limits_of(rate), strict=True):
                left = _left(level, rate.name, unit, str(rate.per), getattr(rate, unit))
                yield left, limit, rate.scope


def _units(rate: RateLimit) -> list[Unit]:
    """What the limits of a rate limit count, in their order."""
    units: tuple[Unit, ...] = ("requests", "tokens")
    return [unit for unit in units if getattr(rate, unit) is not None]


def _left(
    level: Level,
    account: str,
    unit: Unit,
    per: str,
    limit: float,
) -> Left:
    name = account.removeprefix(f"{level.name}:")
    return Left(
        level=level.name,
        title=level.title,
        name=name,
        unit=unit,
        per=per,
        limit=limit,
        shadow=level.shadow,
    )


def _tell(left: Left, hold: Hold, standing: Standing) -> None:
    left.used, left.reserved = standing.used, standing.held
    left.left = hold.limit - standing.used
    if left.unit == "nano-dollars" and standing.wait is not None:
        left.resets = round(time.time() + standing.wait)
