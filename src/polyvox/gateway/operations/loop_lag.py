"""How late the event loop is: what everybody waits for when something blocks it."""

import asyncio
import time
from collections.abc import Awaitable, Callable

__all__ = ["LoopLag"]

_EVERY_SECONDS = 0.25


class LoopLag:
    """Measures how much later than asked for the loop comes back.

    Args:
        told: is told of each measurement, in seconds.
        clock: the time, and ``sleep`` how to wait: a test gives its own.
    """

    def __init__(
        self,
        told: Callable[[float], None],
        *,
        clock: Callable[[], float] = time.perf_counter,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._told = told
        self._clock = clock
        self._sleep = sleep

    async def run(self) -> None:
        """Measure until the task is cancelled."""
        while True:
            asked = self._clock()
            await self._sleep(_EVERY_SECONDS)
            self._told(max(0.0, self._clock() - asked - _EVERY_SECONDS))
