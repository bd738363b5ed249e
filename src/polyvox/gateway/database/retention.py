"""What is too old is deleted: a few rows at a time, each few in a transaction of their own.

Nothing is read into memory, nobody waits long for it, and it may stop and go on anywhere.
"""

from sqlalchemy import Connection, delete, exists, select

from polyvox.gateway.database.engine import Database
from polyvox.gateway.database.tables import balances, calls

__all__ = ["delete_calls", "forget_balances", "prune"]


async def prune(database: Database, before: float, *, batch: int = 500) -> int:
    """Delete the calls from before then (seconds since the epoch); returns how many there were.

    Raises ``OverloadedError`` when the database goes away; what was deleted by then is deleted.
    """
    deleted = 0
    while True:
        some = await database.run(lambda connection: delete_calls(connection, before, batch))
        deleted += some
        if some < batch:
            break
    await database.run(lambda connection: forget_balances(connection, before))
    return deleted


def delete_calls(connection: Connection, before: float, most: int) -> int:
    """Delete the oldest calls from before then with their attempts, at most so many; returns how many."""
    old = select(calls.c.id).where(calls.c.at < before).order_by(calls.c.at).limit(most)
    return connection.execute(delete(calls).where(calls.c.id.in_(old))).rowcount


def forget_balances(connection: Connection, before: float) -> int:
    """Delete what accounts used in windows that are over. The newest of an account stays, however old."""
    newer = balances.alias()
    followed = exists().where(newer.c.account == balances.c.account, newer.c.mark > balances.c.mark)
    return connection.execute(delete(balances).where(balances.c.at < before, followed)).rowcount
