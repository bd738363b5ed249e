"""A model that is asked the same thing once."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from functools import partial
from os import PathLike

from polyvox.around import Around
from polyvox.caching.answers import Answer, asked, pack, refused, replay, unpack
from polyvox.caching.flights import Flights, Seat
from polyvox.caching.keys import KeyMaker
from polyvox.caching.memory import MemoryCache
from polyvox.caching.store import CacheStats, CacheStore
from polyvox.errors import AbortedError, ConfigurationError, PolyvoxError
from polyvox.events import Event
from polyvox.model import Call, Model
from polyvox.request import Request

__all__ = ["Cached", "checked_ttl"]


class Cached(Around):
    """Give the stored answer to a request that was answered before; ask only what was not.

    Of identical calls at the same time one asks, and the others get its answer. An answer given
    again is a stream like any other; its message is ``cached``, used nothing and cost nothing. Kept
    are finished answers only. A fault of the store is a miss. The call's ``caching`` may skip or
    refresh what is stored, its ``caching_ttl`` says for how long.

    Args:
        model: who is asked. Models that answer differently must not have one name in one store.
        store: where the answers are; in this process by default.
        ttl: how many seconds an answer is kept.
        scope: who shares answers within a tenant: all of it ("tenant"), a "session", or the calls
            with the same value of a tag ("tag:user"). A call that has no such value is not cached.
        variant: what the model of this name is made of, where that may change.
        patience: how many seconds a call waits for an identical one before it asks for itself; the
            one under way is only as fast as its reader.

    Raises ``ConfigurationError`` for a wrong ``ttl`` or ``scope``.
    """

    def __init__(
        self,
        model: Model,
        store: CacheStore | None = None,
        *,
        ttl: float = 3600.0,
        scope: str = "tenant",
        variant: str = "",
        patience: float = 60.0,
    ) -> None:
        super().__init__(model)
        if isinstance(store, (str, PathLike)):  # its faults would be misses, and nobody told
            raise ConfigurationError(
                f"Cached takes a store, and {str(store)!r} is a path",
                hint=f"Give DiskCache({str(store)!r}).",
            )
        self.store: CacheStore = MemoryCache() if store is None else store
        self.ttl = checked_ttl(ttl)
        self.stats = CacheStats()
        self._patience = patience
        self._keys = KeyMaker(scope, variant)
        self._flights = Flights()

    def stream(self, request: Request, call: Call) -> AsyncGenerator[Event]:
        """The stored answer, or that of an identical call under way, or a new one."""
        key = None if call.caching == "skip" else self._keys.key(self.name, request, call)
        if key is None:
            self.stats.skipped += 1
            return self.model.stream(request, call)
        return self._stream(key, request, call)

    async def forget(self, request: Request, call: Call | None = None) -> None:
        """Forget the answer that this call would be given. Raises what the store raises."""
        key = self._keys.key(self.name, request, call or Call())
        if key is not None:
            await self.store.delete(key)

    async def _stream(self, key: bytes, request: Request, call: Call) -> AsyncGenerator[Event]:
        seat = self._flights.board(key) if call.caching == "use" else Seat()
        try:
            try:
                source = await self._source(seat, key, request, call)
            except PolyvoxError as error:
                seat.leave()
                yield refused(error, self)
                return
            async with aclosing(source) as events:
                async for event in events:
                    yield event
        finally:
            seat.leave()

    async def _source(
        self, seat: Seat, key: bytes, request: Request, call: Call
    ) -> AsyncGenerator[Event]:
        """Where the answer comes from. Raises ``PolyvoxError`` when the call may wait no longer."""
        interrupt = call.interrupt
        if interrupt is not None and interrupt.is_set:
            raise AbortedError(interrupt.reason or "interrupted by the caller")
        await seat.wait(call, self._patience)
        joined = seat.answer is not None
        data = await self._stored(key) if not joined and call.caching == "use" else seat.answer
        answer = self._read(data)
        if answer is None:
            self.stats.misses += 1
            return asked(self.model, request, call, partial(self._finish, seat, key, call))
        seat.land(data)
        self.stats.hits += 1
        self.stats.joined += joined
        self.stats.saved_nanos += answer.message.usage.cost.nanos
        return replay(answer, call)

    async def _stored(self, key: bytes) -> bytes | None:
        try:
            return await self.store.get(key)
        except Exception:  # noqa: BLE001 - whatever it is, the provider can still be asked
            self.stats.faults += 1
            return None

    def _read(self, data: bytes | None) -> Answer | None:
        try:
            return None if data is None else unpack(data)
        except ValueError:  # somebody else's, or damaged
            self.stats.faults += 1
            return None

    async def _finish(self, seat: Seat, key: bytes, call: Call, answer: Answer | None) -> None:
        """Hand the answer to those who wait, then to the store."""
        if answer is None:
            seat.land(None, failed=True)
            return
        ttl = self.ttl if call.caching_ttl is None else call.caching_ttl
        try:
            data = pack(answer)
            seat.land(data)
            # What comes from a cache within has its time there; stored again it would begin anew.
            if ttl > 0 and not answer.message.cached:
                await self.store.put(key, data, ttl)
                self.stats.stored += 1
                self.stats.bytes += len(data)
        except Exception:  # noqa: BLE001 - the answer is there; that it is not kept is no failure
            self.stats.faults += 1


def checked_ttl(ttl: float) -> float:
    """The seconds. Raises ``ConfigurationError`` unless they are some."""
    if not ttl > 0:
        raise ConfigurationError(f"ttl is {ttl}; give seconds, more than 0")
    return ttl
