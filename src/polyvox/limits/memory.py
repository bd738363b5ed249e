"""The accounts of one process."""

import heapq
import math
import threading
import time
from collections.abc import Callable, Iterable, Sequence

from polyvox.limits.accounts import Account
from polyvox.limits.store import Hold, Standing

__all__ = ["MemoryLimits"]

_MORE_FORGOTTEN = 3
"""A reservation closes so many accounts more than it may open: the store never falls behind."""


class MemoryLimits:
    """Keep the accounts in this process, for all its threads and event loops.

    Nothing runs in the background: an account drains when it is next looked at, and one with nothing
    used is forgotten soon after its window is over. Those of a limit "in total" stay.

    Args:
        clock: the time in seconds since the epoch; a test gives its own.
    """

    def __init__(self, *, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._accounts: dict[str, Account] = {}
        self._reserved: dict[str, list[float]] = {}  # by reservation: the marks
        self._idle: dict[
            int, list[Hold]
        ] = {}  # by second: whose accounts may be forgotten from then on
        self._dues: list[int] = []  # those seconds, as a heap
        self._restored: dict[
            str, list[tuple[float, float]]
        ] = {}  # by account: marks, and what was used

    @property
    def accounts(self) -> int:
        """How many accounts there are."""
        return len(self._accounts)

    async def reserve(self, reservation: str, holds: Sequence[Hold]) -> list[Standing]:
        """Debit all holds, or none when one of them does not fit."""
        with self._lock:
            if reservation in self._reserved:
                return []
            now = self._clock()
            if self._dues and self._dues[0] <= now:
                self._forget(now, len(holds) + _MORE_FORGOTTEN)
            if self._restored:
                self._add_restored(holds, now)
            known = self._accounts
            found: list[Account] = []
            over: list[Standing] = []
            for hold in holds:
                account, amount = known.get(hold.key), hold.amount
                if account is None:
                    account = self._account(hold, now)
                else:  # the same as there, in one go
                    hold.meter.drain(account, hold.limit, now)
                excess = account.used + amount - hold.limit
                if excess > 0 and amount > 0:  # what costs nothing always fits
                    wait = hold.meter.wait(excess, hold.limit, now)
                    over.append(Standing(len(found), account.used, account.held, wait))
                found.append(account)
            # Not before all have been looked at: what is taken back from a sum of floats is not all of it.
            if not over or all(holds[standing.place].soft for standing in over):
                marks = self._reserved[reservation] = []
                for account, hold in zip(found, holds, strict=True):
                    account.used += hold.amount
                    account.held += hold.amount
                    marks.append(account.mark)
            return over

    async def settle(
        self, reservation: str, holds: Sequence[Hold], actual: Sequence[float]
    ) -> None:
        """Put what was used in the place of what was reserved.

        A reservation that is not there was settled before: here none gets lost.
        """
        with self._lock:
            marks = self._reserved.pop(reservation, None)
            if marks is None:
                return
            now, known = self._clock(), self._accounts
            if self._restored:
                self._add_restored(holds, now)
            for hold, amount, mark in zip(holds, actual, marks, strict=True):
                account = known.get(hold.key)
                # What comes back may do so before the account drains; what is debited may not.
                if account is None or amount > hold.amount:
                    account = self._account(hold, now)
                passed, _ = hold.meter.passed(mark, now)
                account.settle(hold.limit, hold.amount, amount, passed)

    def restore(self, key: str, used: Sequence[tuple[float, float]]) -> None:
        """Debit an account with what it used before this process, by the windows' marks, oldest first.

        That has drained meanwhile: of windows that are over only a debt is left. It may come late, when
        the account has been used here already.
        """
        with self._lock:
            self._restored[key] = [*self._restored.get(key, ()), *used]

    def _account(self, hold: Hold, now: float) -> Account:
        """The account as it stands now."""
        account = self._accounts.get(hold.key)
        if account is None:
            account = self._accounts[hold.key] = Account(hold.meter.mark(now))
            self._expect_idle(hold, now)
        else:
            hold.meter.drain(account, hold.limit, now)
        return account

    def _add_restored(self, holds: Iterable[Hold], now: float) -> None:
        for hold in holds:
            windows = self._restored.pop(hold.key, None)
            if windows:
                past = Account(windows[0][0])
                for mark, used in windows:
                    past.drain(hold.limit, mark - past.mark, mark)
                    past.used += used
                hold.meter.drain(past, hold.limit, now)
                self._account(hold, now).used += past.used

    def _expect_idle(self, hold: Hold, now: float) -> None:
        seconds = hold.meter.wait(hold.limit, hold.limit, now)
        if seconds is not None:
            due = math.ceil(now + seconds)
            if due not in self._idle:
                self._idle[due] = []
                heapq.heappush(self._dues, due)
            self._idle[due].append(hold)

    def _forget(self, now: float, most: int) -> None:
        """Close accounts whose time has come and of which nothing is used."""
        for _ in range(most):
            if not self._dues or (due := self._dues[0]) > now:
                return
            hold = self._idle[due].pop()
            if not self._idle[due]:
                del self._idle[heapq.heappop(self._dues)]
            if self._account(hold, now).used > 0:
                self._expect_idle(hold, now)
            else:
                del self._accounts[hold.key]
