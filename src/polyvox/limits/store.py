"""What a store of limits does: reserve before a call, settle after it."""

from collections.abc import Sequence
from typing import Protocol

import msgspec

from polyvox.limits.meters import Meter

__all__ = ["Hold", "LimitStore", "Standing"]


class Hold(msgspec.Struct, frozen=True, gc=False):
    """What is to be reserved on one account.

    ``key`` names the account. A ``soft`` hold is debited even where it does not fit.
    """

    key: str
    meter: Meter
    limit: float
    amount: float
    soft: bool = False


class Standing(msgspec.Struct, frozen=True, gc=False):
    """An account on which a hold does not fit.

    ``place`` is the hold's place among those asked for, ``used`` what was used and reserved before
    it, ``held`` the reserved part of that, ``wait`` the seconds until it may fit; None: never.
    """

    place: int
    used: float
    held: float
    wait: float | None


class LimitStore(Protocol):
    """Keeps the accounts of budgets and rate limits.

    Both operations are atomic, and may be repeated with the same ``reservation``: the second time
    changes nothing. They are coroutines that a store in memory never suspends in.
    """

    async def reserve(self, reservation: str, holds: Sequence[Hold]) -> list[Standing]:
        """Debit all holds, or none when one of them does not fit.

        Gives the standing of each that does not; when all of those are soft, all were debited.
        Raises ``PolyvoxError`` when the accounts can't be reached. When it raises, or is cancelled,
        nothing stays reserved.
        """
        ...

    async def settle(
        self, reservation: str, holds: Sequence[Hold], actual: Sequence[float]
    ) -> None:
        """Put what was used in the place of what was reserved, also where that makes a debt.

        A reservation that was lost meanwhile is debited all the same. Never raises for a store that
        can't be reached.
        """
        ...
