"""What the accounts of budgets have used: kept by the window, so that budgets begin where they stood.

A store in memory begins empty with its process. What every call was debited stands in the journal and, from
there, in the table ``balances``: a sum for each account and window. A window that is over is loaded as
well, for a debt goes on into the next one; what is no debt has drained by then. A debt is forgotten only
when nothing was added to its window for a season. ``RedisLimits`` asks for it where Redis has forgotten.
"""

from collections import defaultdict
from collections.abc import Iterable

from sqlalchemy import Connection, delete, or_, select

from polyvox.gateway.database.tables import balances
from polyvox.gateway.journal.joining import Call
from polyvox.limits import MemoryLimits

__all__ = ["debits_of", "forget", "load", "used_of_all"]

_SEASON_SECONDS = 93 * 86_400.0


def debits_of(calls: Iterable[Call]) -> dict[tuple[str, int], tuple[int, float]]:
    """What these calls were debited by account and mark, and when the last of them was over."""
    sums: defaultdict[tuple[str, int], int] = defaultdict(int)
    times: dict[tuple[str, int], float] = {}
    for call in calls:
        if call.ended is None:
            continue
        for account, mark, nanos in call.ended.debits:
            if nanos:
                window = account, mark
                sums[window] += nanos
                times[window] = max(times.get(window, 0.0), call.ended.at)
    return {window: (nanos, times[window]) for window, nanos in sums.items()}


def load(connection: Connection, limits: MemoryLimits, now: float) -> None:
    """Debit the accounts in memory with what they had used before this process."""
    for account, windows in used_of_all(connection, now).items():
        limits.restore(account, windows)


def used_of_all(connection: Connection, now: float) -> dict[str, list[tuple[int, int]]]:
    """What each account has used by the marks of its windows, the oldest first."""
    recent = or_(balances.c.mark == 0, balances.c.at >= now - _SEASON_SECONDS)
    used: defaultdict[str, list[tuple[int, int]]] = defaultdict(list)
    order = select(balances.c.account, balances.c.mark, balances.c.nanos).where(recent)
    for account, mark, nanos in connection.execute(order.order_by(balances.c.mark)):
        used[account].append((mark, nanos))
    return used


def forget(connection: Connection, now: float) -> None:
    """Delete windows that are not loaded any more."""
    connection.execute(
        delete(balances).where(balances.c.mark != 0, balances.c.at < now - _SEASON_SECONDS)
    )
