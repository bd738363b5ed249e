"""A glance at the database for the sake of what is not known here: another process may just have made it."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Hashable

from polyvox.errors import OverloadedError

__all__ = ["Glance"]

_DISTANCE_SECONDS = 0.1
_VAIN_SECONDS = 2.0
_PATIENCE_SECONDS = 5.0
_MOST_KEPT = 10_000
_MOST_WAITING = 1_000
_RETRY_SECONDS = 2.0


class Glance:
    """Reads anew for whoever asks for something unknown.

    However many ask, and for whatever, there is one reading at a time, and a distance between two; what was
    looked for in vain isn't looked for again for a moment. So guesses are no load for the database.

    Args:
        read: reads what has changed: all that was written before it was called.
        clock: the time in seconds, from any point on.
        sleep: how to wait; a test gives its own.
    """

    def __init__(
        self,
        read: Callable[[], Awaitable[object]],
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._read = read
        self._clock = clock
        self._sleep = sleep
        self._turn = asyncio.Lock()
        self._begun = clock() - _DISTANCE_SECONDS
        self._next: asyncio.Task[None] | None = None
        self._waiting = 0
        self._vain: dict[Hashable, float] = {}

    async def look_for(self, what: Hashable) -> None:
        """Read anew, unless this was looked for a moment ago. Afterwards it is known, if it is there.

        Where the database can't be read nothing is done. Raises ``OverloadedError`` where it takes too long.
        """
        if self._vain.get(what, -_VAIN_SECONDS) + _VAIN_SECONDS > self._clock():
            return
        if self._waiting >= _MOST_WAITING:
            raise _untold()
        self._waiting += 1
        try:
            reading = self._reading()
            await asyncio.wait([reading], timeout=_PATIENCE_SECONDS)
        finally:
            self._waiting -= 1
        if not reading.done():
            raise _untold()
        if reading.cancelled() or reading.exception() is not None:
            return
        if len(self._vain) >= _MOST_KEPT:
            self._vain.clear()
        self._vain[what] = self._clock()

    def _reading(self) -> asyncio.Task[None]:
        """The reading that begins next: one that is under way may have missed something."""
        if self._next is None:
            self._next = asyncio.get_running_loop().create_task(self._in_turn())
            self._next.add_done_callback(lambda task: task.cancelled() or task.exception())
        return self._next

    async def _in_turn(self) -> None:
        async with self._turn:
            await self._sleep(max(0.0, self._begun + _DISTANCE_SECONDS - self._clock()))
            self._next = None
            self._begun = self._clock()
            await self._read()


def _untold() -> OverloadedError:
    return OverloadedError(
        "the gateway can't tell just now whether it knows this",
        hint="It is busy reading what has changed; this is no fault of yours. Ask again in a moment.",
        status=503,
        retry_after=_RETRY_SECONDS,
    )
