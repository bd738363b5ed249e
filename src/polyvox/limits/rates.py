"""A rate limit of one process, without a store: for whoever decides without waiting."""

import time
from collections.abc import Callable

from polyvox.errors import ConfigurationError
from polyvox.limits.accounts import Account

__all__ = ["Rate"]


class Rate:
    """So much per period, as a bucket that leaks evenly.

    A pause is saved up as room for a burst of the whole limit, so that within one period at most
    twice the limit passes. What is taken may be settled later by what was really used; an overrun
    is a debt, and nothing is taken until it has leaked away.

    Args:
        limit: how much per period: requests, or tokens.
        seconds: how long a period is.
        clock: the time, in seconds; a test gives its own.

    Raises ``ConfigurationError`` for a limit or a period that isn't more than nothing.

    >>> rate = Rate(2, clock=lambda: 0.0)
    >>> rate.take(), rate.take(), rate.take()
    (0.0, 0.0, 30.0)
    """

    __slots__ = ("_account", "_clock", "limit", "seconds")

    def __init__(
        self, limit: float, seconds: float = 60.0, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        if not (limit > 0 and seconds > 0):
            raise ConfigurationError(
                f"a rate of {limit} per {seconds} seconds lets nothing through",
                hint="Give a limit and a period above 0.",
            )
        self.limit = limit
        self.seconds = seconds
        self._clock = clock
        self._account = Account(clock())

    @property
    def used(self) -> float:
        """How much of the limit is taken at the moment; more than all of it is a debt."""
        self._drain()
        return self._account.used

    def wait(self, amount: float = 1) -> float:
        """In how many seconds there will be room for so much; 0.0 if there is now.

        Nothing waits for ever: more than the limit has room when nothing at all is taken.
        """
        account, amount = self._drain(), min(amount, self.limit)
        if account.has_room(self.limit, amount):
            return 0.0
        return (account.used + amount - self.limit) / self.limit * self.seconds

    def take(self, amount: float = 1) -> float:
        """Take so much, and give 0.0; or take nothing, and give the seconds until there is room."""
        wait = self.wait(amount)
        if wait <= 0:
            self._account.used += amount
            return 0.0
        return wait

    def settle(self, taken: float, actual: float, seconds_ago: float = 0.0) -> None:
        """What was taken so many seconds ago came to so much in the end."""
        self._drain().settle(self.limit, taken, actual, seconds_ago / self.seconds)

    def _drain(self) -> Account:
        account, now = self._account, self._clock()
        account.drain(self.limit, (now - account.mark) / self.seconds, now)
        return account
