"""What is kept of calls: the journal, the database behind it, the accounts of budgets and limits."""

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from polyvox.config import Config
from polyvox.config.stores import accounts_of
from polyvox.errors import OverloadedError, PolyvoxError
from polyvox.gateway.database.engine import Database
from polyvox.gateway.database.retention import prune
from polyvox.gateway.journal.balances import used_of_all
from polyvox.gateway.journal.file import Journal
from polyvox.gateway.journal.reasons import Reasons
from polyvox.gateway.journal.shipping import Shipper
from polyvox.gateway.serving.data_folder import database_in
from polyvox.ledger import Redactor
from polyvox.limits import MemoryLimits, RedisLimits
from polyvox.limits.redis import Used

__all__ = ["Records"]

_RESTORE_SECONDS = 1.0
_DRAIN_SECONDS = 5.0
_SHIP_SECONDS = 1.0
_DAY = 86_400.0
_RETENTION_SECONDS = 3_600.0

_log = logging.getLogger(__name__)


class Records:
    """Where calls are written down, and where it is counted what they used.

    Args:
        config: which database, and where accounts are kept.
        data: the folder of the gateway's data.
        redactor: masks keys.
    """

    def __init__(self, config: Config, data: Path, redactor: Redactor) -> None:
        section = config.gateway
        self.database = Database(section.database or database_in(data))
        reasons = Reasons(redactor, quoting=section.journal.provider_errors)
        self.journal = Journal(data / "journal", section.journal, reasons=reasons)
        self.limits = accounts_of(config.accounts)
        memory = self.limits if isinstance(self.limits, MemoryLimits) else None
        self.shipper = Shipper(self.journal, self.database, limits=memory)
        self._keeping: asyncio.Task[None] | None = None

    @property
    def redis(self) -> RedisLimits | None:
        """The accounts, where all workers and replicas share them."""
        return self.limits if isinstance(self.limits, RedisLimits) else None

    async def open(self) -> None:
        """Reach the database, and let budgets begin where they stood; without it, go on all the same."""
        await self.database.open()
        self.shipper.start()
        if (redis := self.redis) is not None:
            with suppress(PolyvoxError, TimeoutError):
                async with asyncio.timeout(_RESTORE_SECONDS):
                    await redis.restore(self._used)
            self._keeping = asyncio.create_task(self._keep(redis))
        elif self.database.state.status == "up":
            await self.shipper.restored(_RESTORE_SECONDS)

    async def aclose(self) -> None:
        """Close the journal, and ship it as far as that can be done soon. What is written down stays."""
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.wait([self._keeping])
        if (redis := self.redis) is not None:
            await redis.aclose()
            if redis.owed:
                _log.warning("%s settlements are lost: Redis was away to the end", redis.owed)
        await asyncio.to_thread(self.journal.close)
        await self.shipper.drained(_DRAIN_SECONDS)
        await self.shipper.aclose()
        await self.database.aclose()

    async def shipped(self) -> None:
        """Wait for a moment until the database has all that was written down before."""
        if self.shipper.failing is None:
            await self.shipper.drained(_SHIP_SECONDS)

    async def _keep(self, redis: RedisLimits) -> None:
        """Put back what Redis has forgotten, whenever it has, until the task is cancelled."""
        while True:
            await redis.forgotten()
            try:
                await redis.restore(self._used)
            except PolyvoxError:
                await asyncio.sleep(_RESTORE_SECONDS)

    async def _used(self) -> Used:
        """What accounts have used, with all that is written down here. Raises ``OverloadedError``."""
        if not await self.shipper.drained(_DRAIN_SECONDS):
            raise OverloadedError("the database does not have all that was used")
        now = time.time()
        return await self.database.run(
            lambda connection: used_of_all(connection, now), read_only=True
        )

    async def retain(self, days: Callable[[], float | None]) -> None:
        """Delete every hour what is older than so many days, until the task is cancelled."""
        while True:
            if (kept := days()) is not None:
                with suppress(PolyvoxError):
                    await prune(self.database, time.time() - kept * _DAY)
            await asyncio.sleep(_RETENTION_SECONDS)
