"""Limits: what may still be asked. Budgets of money, rates of requests and tokens.

    model = Budgeted(model, Budget("$10", per="day", scope="tenant"))
    model = RateLimited(model, RateLimit(requests=60, tokens=100_000), wait_seconds=5)

Both are one idea: before a call the most that it may use is reserved, after it what it did use is
settled. ``accounts`` has the arithmetic, ``meters`` the windows of time, ``gate`` what happens
around a call; a store (``MemoryLimits``, ``RedisLimits``) keeps the accounts.

Belongs here: deciding, before a provider is asked, whether there is money and room for it.
Does not belong here: what was spent by whom (the ledger), asking again, prices.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from polyvox.limits.budget import Budget as Budget
    from polyvox.limits.budgeted import Budgeted as Budgeted
    from polyvox.limits.memory import MemoryLimits as MemoryLimits
    from polyvox.limits.rate_limit import RateLimit as RateLimit
    from polyvox.limits.rate_limited import RateLimited as RateLimited
    from polyvox.limits.redis import RedisLimits as RedisLimits
    from polyvox.limits.store import Hold as Hold
    from polyvox.limits.store import LimitStore as LimitStore
    from polyvox.limits.store import Standing as Standing

_HOMES = {
    "Budget": "budget",
    "Budgeted": "budgeted",
    "Hold": "store",
    "LimitStore": "store",
    "MemoryLimits": "memory",
    "RateLimit": "rate_limit",
    "RateLimited": "rate_limited",
    "RedisLimits": "redis",
    "Standing": "store",
}

__all__ = [
    "Budget",
    "Budgeted",
    "Hold",
    "LimitStore",
    "MemoryLimits",
    "RateLimit",
    "RateLimited",
    "RedisLimits",
    "Standing",
]


def __getattr__(name: str) -> object:
    if name in _HOMES:
        value: object = getattr(import_module(f"polyvox.limits.{_HOMES[name]}"), name)
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
