"""What the accounts of budgets have used: kept by the window, so that budgets begin where they stood.

A store in memory begins empty with its process. What every call was debited stands in the journal and, from
there, in the table ``balances``: a sum for each account and window. A window that is over is loaded as
well, for a debt goes on into the next one; what is no debt has drained by then. A debt is forgotten only
when nothing was added to its window for a season. With ``RedisLimits`` nothing is loaded: Redis is the
truth.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence

from sqlalchemy import Connection, delete, or_, select

from polyvox.gateway.database.tables import balances
from polyvox.gateway.journal.joining import Call
from polyvox.limits import Hold, MemoryLimits
from polyvox.limits.meters import Calendar

__all__ = ["debits_of", "forget", "load", "reserved_of"]

_SEASON_SECONDS = 93 * 86_400.0


def reserved_of(holds: Sequence[Hold], now: float) -> tuple[dict[str, int], dict[str, int]]:
    """Of the holds of budgets, what is reserved by account, and the marks of the windows: for ``Begun``.

    Rates are left out: they drain within minutes, and are not kept.
    """
    reserved: dict[str, int] = {}
    marks: dict[str, int] = {}
    for hold in holds:
        if isinstance(hold.meter, Calendar):
            reserved[hold.key] = round(hold.amount)
            marks[hold.key] = hold.meter.window(now).number
    return reserved, marks


def debits_of(calls: Iterable[Call]) -> dict[tuple[str, int], tuple[int, float]]:
    """What these calls were debited by account and mark, and when the last of them was over."""
    sums: defaultdict[tuple[str, int], int] = defaultdict(int)
    times: dict[tuple[str, int], float] = {}
    for call in calls:
        if call.ended is None:
            continue
        for account, nanos in call.ended.debits.items():
            if nanos:
                window = account, call.begun.marks.get(account, 0)
                sums[window] += nanos
                times[window] = max(times.get(window, 0.0), call.ended.at)
    return {window: (nanos, times[window]) for window, nanos in sums.items()}


def load(connection: Connection, limits: MemoryLimits, now: float) -> None:
    """Debit the accounts in memory with what they had used before this process."""
    recent = or_(balances.c.mark == 0, balances.c.at >= now - _SEASON_SECONDS)
    used: defaultdict[str, list[tuple[float, float]]] = defaultdict(list)
    order = select(balances.c.account, balances.c.mark, balances.c.nanos).where(recent)
    for account, mark, nanos in connection.execute(order.order_by(balances.c.mark)):
        used[account].append((mark, nanos))
    for account, windows in used.items():
        limits.restore(account, windows)


def forget(connection: Connection, now: float) -> None:
    """Delete windows that are not loaded any more."""
    connection.execute(
        delete(balances).where(balances.c.mark != 0, balances.c.at < now - _SEASON_SECONDS)
    )
