"""One writer at a time per conversation: in this process in the order of arrival, over replicas by a lease.

Whoever writes has its name in the context's row for ``SECONDS``, and renews it as long as it writes. The
lease of a process that died runs out by itself. What is asked here of the database is asked to the end
even if nobody waits for it any more, so that no lease is taken and forgotten.
"""

import asyncio
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeVar
from weakref import WeakValueDictionary

from sqlalchemy import Connection, update

from polyvox.errors import PolyvoxError, RateLimitError
from polyvox.gateway.contexts.tables import contexts
from polyvox.gateway.database.engine import Database

__all__ = ["SECONDS", "Lease", "Leases", "Taking"]

_T = TypeVar("_T")

SECONDS = 30.0
"""How long a lease holds if it is not renewed."""

_FIRST_PAUSE = 0.02
_LONGEST_PAUSE = 0.5


class Lease:
    """The right to write to a context. ``holder`` is its name in the row, ``value`` what was read with it."""

    def __init__(self, holder: str, id: str, value: Any) -> None:
        self.holder = holder
        self.id = id
        self.value = value
        self.given_back = False


Taking = Callable[[Connection, str, float, float], "tuple[str, Any] | None"]
"""Takes the lease for a holder until a time, it being now: the context's id and what was read, or None."""


class Leases:
    """The leases of one process."""

    def __init__(
        self,
        database: Database,
        *,
        wait_seconds: float,
        clock: Callable[[], float],
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._database = database
        self._wait_seconds = wait_seconds
        self._clock = clock
        self._pause = pause
        self._me = uuid.uuid4().hex
        self._count = 0
        self._queues: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()
        self._held: dict[str, Lease] = {}
        self._renewing: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[Any]] = set()

    @asynccontextmanager
    async def held(self, organisation: str, key: str, take: Taking) -> AsyncGenerator[Lease]:
        """Hold the lease that ``take`` takes. Raises ``RateLimitError`` if others write for too long."""
        deadline = asyncio.get_running_loop().time() + self._wait_seconds
        queue = self._queues.setdefault((organisation, key), asyncio.Lock())
        await self._queued(queue, key, deadline)
        try:
            lease = await self._taken(take, key, deadline)
            self._hold(lease)
            try:
                yield lease
            finally:
                self._held.pop(lease.holder, None)
                if not lease.given_back:
                    await self.finished(self._give_back(lease))
        finally:
            queue.release()

    async def aclose(self) -> None:
        """Wait for what is still being given back, and renew nothing more."""
        if self._renewing is not None:
            self._renewing.cancel()
        waiting = [*self._tasks, *([self._renewing] if self._renewing else [])]
        await asyncio.gather(*waiting, return_exceptions=True)

    async def _queued(self, queue: asyncio.Lock, key: str, deadline: float) -> None:
        if not queue.locked():
            await queue.acquire()  # at once
            return
        try:
            async with asyncio.timeout_at(deadline):
                await queue.acquire()
        except TimeoutError:
            raise self._busy(key) from None

    async def _taken(self, take: Taking, key: str, deadline: float) -> Lease:
        pause = _FIRST_PAUSE
        while True:
            self._count += 1
            holder = f"{self._me}.{self._count}"
            lease = await self._try(take, holder)
            if lease is not None:
                return lease
            left = deadline - asyncio.get_running_loop().time()
            if left <= 0:
                raise self._busy(key)
            await self._pause(min(pause, left))
            pause = min(pause * 1.5, _LONGEST_PAUSE)

    async def _try(self, take: Taking, holder: str) -> Lease | None:
        now = self._clock()

        def work(connection: Connection) -> Lease | None:
            taken = take(connection, holder, now + SECONDS, now)
            return Lease(holder, *taken) if taken else None

        trying = self._spawn(self._database.run(work))
        try:
            return await asyncio.shield(trying)
        except asyncio.CancelledError:
            self._spawn(self._undone(trying))
            raise

    async def _undone(self, trying: "asyncio.Task[Lease | None]") -> None:
        """Whoever wanted the lease has gone while it was taken."""
        with suppress(PolyvoxError):
            if lease := await trying:
                await self._give_back(lease)

    async def _give_back(self, lease: Lease) -> None:
        mine = (contexts.c.id == lease.id, contexts.c.lease_holder == lease.holder)
        statement = update(contexts).where(*mine).values(lease_holder="", lease_until=0.0)
        with suppress(PolyvoxError):  # it runs out by itself
            await self._database.run(lambda connection: connection.execute(statement).close())

    def _hold(self, lease: Lease) -> None:
        self._held[lease.holder] = lease
        if self._renewing is None or self._renewing.done():
            self._renewing = asyncio.create_task(self._renew())

    async def _renew(self) -> None:
        await self._pause(SECONDS / 3)
        while self._held:
            until, holders = self._clock() + SECONDS, list(self._held)
            statement = (
                update(contexts)
                .where(contexts.c.lease_holder.in_(holders))
                .values(lease_until=until)
            )
            with suppress(PolyvoxError):
                await self._database.run(
                    lambda connection, what=statement: connection.execute(what).close()
                )
            await self._pause(SECONDS / 3)

    async def finished(self, work: Coroutine[Any, Any, _T]) -> _T:
        """Its result; it goes on if whoever waits is cancelled."""
        return await asyncio.shield(self._spawn(work))

    def _spawn(self, work: Coroutine[Any, Any, _T]) -> "asyncio.Task[_T]":
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _busy(self, key: str) -> RateLimitError:
        return RateLimitError(
            f"another call writes to the context {key!r}, for longer than "
            f"{self._wait_seconds:g} seconds",
            hint="Ask again when it is over, or fork the context.",
            status=429,
            retry_after=1.0,
        )
