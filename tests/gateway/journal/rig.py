"""What the tests here share: calls of known cost, and a look at the ledger."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from sqlalchemy import func, select

from polyvox.attempt import Attempt
from polyvox.config.serving import JournalSection
from polyvox.gateway.database.engine import Database
from polyvox.gateway.database.tables import attempts, balances, calls, journals
from polyvox.gateway.journal.file import Journal
from polyvox.gateway.journal.lines import Begun, Debit, Ended, Line, decode_line
from polyvox.gateway.journal.shipping import Shipper
from polyvox.limits import MemoryLimits
from polyvox.usage import NO_USAGE, Cost, Usage

AT = 1_800_000_000.0
PATIENCE = 60.0
ACCOUNT = "budget:till:total"


def begun(name: str, reserved: int | list[Debit] = 1000, **fields) -> Begun:
    debits = [(ACCOUNT, 0, reserved)] if isinstance(reserved, int) else reserved
    return Begun(id=name, **{"at": AT, "model": "test/model", "reserved": debits, **fields})


def attempt(nanos: int | None = 100, **fields) -> Attempt:
    usage = NO_USAGE if nanos is None else Usage(10, 20, cost=Cost("known", nanos))
    fields = {"provider": "test", "model": "model", "started": AT, "seconds": 0.5, **fields}
    return Attempt(usage=usage, **fields)


def ended(name: str, nanos: int = 100, **fields) -> Ended:
    return Ended(id=name, at=AT + 1, debits=[(ACCOUNT, 0, nanos)], seconds=1.0, **fields)


def record(journal: Journal, name: str, nanos: int = 100) -> None:
    """A whole call of one attempt."""
    journal.begin(begun(name))
    journal.attempt(name, attempt(nanos))
    journal.end(ended(name, nanos))


def lines_in(root: Path) -> list[Line]:
    """All whole lines that stand in the journals of this root."""
    return [
        decode_line(line)
        for path in sorted(root.glob("*/*.jsonl"))
        for line in path.read_bytes().splitlines(keepends=True)
        if line.endswith(b"\n")
    ]


def small(**fields) -> JournalSection:
    """Segments of a few lines."""
    return JournalSection(**{"segment_bytes": 1000, "fsync_seconds": 0.01, **fields})


class Ledger:
    """What stands in the database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def calls(self) -> dict[str, tuple[str, int]]:
        """Status and nano-dollars by id."""
        order = select(calls.c.id, calls.c.status, calls.c.nanos)
        rows = self._database.run_now(lambda c: c.execute(order).all(), read_only=True)
        found = {row.id: (row.status, row.nanos) for row in rows}
        assert len(found) == len(rows)
        return found

    def attempts(self) -> dict[tuple[str, int], int]:
        order = select(attempts.c.call, attempts.c.number, attempts.c.nanos)
        rows = self._database.run_now(lambda c: c.execute(order).all(), read_only=True)
        return {(row.call, row.number): row.nanos for row in rows}

    def balance(self, account: str = ACCOUNT) -> int:
        order = select(func.coalesce(func.sum(balances.c.nanos), 0)).where(
            balances.c.account == account
        )
        return int(self._database.run_now(lambda c: c.scalar(order), read_only=True))

    def journals(self) -> int:
        order = select(func.count()).select_from(journals)
        return self._database.run_now(lambda c: c.scalar(order), read_only=True)


@asynccontextmanager
async def shipping(
    root: Path,
    database: Database,
    limits: MemoryLimits | None = None,
    *,
    clock: Callable[[], float] = time.time,
    **section,
) -> AsyncIterator[tuple[Journal, Shipper]]:
    """A journal and its shipper; at the end both are closed, like those of a process that stops."""
    journal = Journal(root, small(**section))
    shipper = Shipper(journal, database, limits=limits, clock=clock)
    shipper.start()
    try:
        yield journal, shipper
    finally:
        journal.close()
        await shipper.aclose()


async def settle_all(root: Path, database: Database) -> Shipper:
    """Ship everything that anybody left, as the next process does."""
    async with shipping(root, database) as (journal, shipper):
        journal.close()
        assert await shipper.drained(PATIENCE), shipper.failing
    return shipper


async def until(condition, *, what: str) -> None:
    """Wait for something that other threads bring about."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"it did not come to: {what}"
        await asyncio.sleep(0.01)
