"""Admission: how many calls are worked on at once, and how many may wait for their turn."""

import asyncio
from collections import deque
from contextlib import suppress

from polyvox.errors import OverloadedError, PolyvoxError, RateLimitError
from polyvox.model import Interrupt

__all__ = ["Admission"]

_RETRY_SECONDS = 1.0


class Admission:
    """Let in so many calls at once; a few more wait, in their order and not for long; the rest comes again.

    Whoever finds the queue full is refused with 429, whoever waited in vain with 503, and so is
    everybody once the worker drains; all of them are told when to come again, and none has cost
    anything. To be used on one event loop.

    Args:
        max_in_flight: how many calls at once.
        max_queued: how many more may wait.
        queue_seconds: how long they may.
        draining: set when the worker takes on nothing new.
    """

    def __init__(
        self,
        max_in_flight: int,
        max_queued: int,
        queue_seconds: float,
        *,
        draining: Interrupt | None = None,
    ) -> None:
        self._draining = draining or Interrupt()
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._in_flight = 0
        self.refused = {"full": 0, "waited": 0, "draining": 0}
        self.resize(max_in_flight, max_queued, queue_seconds)

    def resize(self, max_in_flight: int, max_queued: int, queue_seconds: float) -> None:
        """Other bounds from now on; whoever is in stays in, whoever waits goes on waiting."""
        self._most, self._most_queued, self._seconds = max_in_flight, max_queued, queue_seconds
        while self._waiting and self._in_flight < self._most:
            self._hand_on()

    @property
    def in_flight(self) -> int:
        """How many calls are in."""
        return self._in_flight

    @property
    def queued(self) -> int:
        """How many wait."""
        return len(self._waiting)

    async def enter(self) -> None:
        """Come in, at once or after a wait. Whoever came in must ``leave``, however the call ends.

        Raises ``RateLimitError`` (429) or ``OverloadedError`` (503) with ``retry_after``.
        """
        if not self.enter_at_once():
            await self._wait()

    def enter_at_once(self) -> bool:
        """Come in if there is room; False: ``enter`` would wait. Raises as that does."""
        if self._draining.is_set:
            raise self._refuse("draining", OverloadedError("the gateway is being stopped"), 503)
        if self._in_flight < self._most and not self._waiting:
            self._in_flight += 1
            return True
        if len(self._waiting) >= self._most_queued:
            text = f"the gateway is busy with {self._in_flight} calls, and {self.queued} more wait"
            raise self._refuse("full", RateLimitError(text), 429)
        return False

    def leave(self) -> None:
        """Go; who has waited longest comes in."""
        self._in_flight -= 1
        if self._waiting and self._in_flight < self._most:
            self._hand_on()

    async def _wait(self) -> None:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            async with asyncio.timeout(self._seconds):
                await turn
        except TimeoutError:
            if self._came(turn):
                return
            text = f"the gateway was busy for {self._seconds:g} s"
            raise self._refuse("waited", OverloadedError(text), 503) from None
        except asyncio.CancelledError:
            if self._came(turn):
                self.leave()
            raise

    def _came(self, turn: "asyncio.Future[None]") -> bool:
        """Whether its turn came in the last moment; else it waits no more."""
        if turn.done() and not turn.cancelled():
            return True
        with suppress(ValueError):  # it was passed over already
            self._waiting.remove(turn)
        return False

    def _hand_on(self) -> None:
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():  # else whoever waited was cancelled, and has not heard of it yet
                self._in_flight += 1
                turn.set_result(None)
                return

    def _refuse(self, why: str, error: PolyvoxError, status: int) -> PolyvoxError:
        self.refused[why] += 1
        error.status, error.retry_after = status, _RETRY_SECONDS
        error.hint = "Ask again in a moment; nothing was sent to a provider."
        return error
