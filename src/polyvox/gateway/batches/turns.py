"""Whose line is next: one organisation after the other, and only where nobody else wants the room."""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable
from typing import Protocol

from polyvox.errors import PolyvoxError
from polyvox.gateway.operations.admission import Admission

__all__ = ["FreeRoom", "Room", "Turns"]

_PAUSE = 0.05


class Room(Protocol):
    """Where calls are worked on."""

    async def enter(self) -> bool:
        """Come in if there is room to spare, without waiting; False: not now."""
        ...

    def leave(self) -> None:
        """Go again."""
        ...


class FreeRoom:
    """What interactive calls leave free: never while one of them waits, and never the last quarter.

    Args:
        admission: where they come in.
        most: how many may be in at once.
    """

    def __init__(self, admission: Admission, most: Callable[[], int]) -> None:
        self._admission = admission
        self._most = most

    async def enter(self) -> bool:
        """Come in if there is room to spare."""
        most = self._most()
        if self._admission.queued or self._admission.in_flight >= max(1, most - most // 4):
            return False
        try:
            await self._admission.enter()  # at once, for there is room
        except PolyvoxError:  # it takes nothing new
            return False
        return True

    def leave(self) -> None:
        """Go again."""
        self._admission.leave()


class Turns:
    """Gives out turns, so many at once.

    Args:
        most: how many.
        room: where each must find room, too; None: everywhere.
        pause: waits a moment until it looks for room again.
    """

    def __init__(
        self,
        most: int,
        room: Room | None = None,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._free = most
        self._room = room
        self._pause = pause
        self._waiting: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()
        self._giving: asyncio.Task[None] | None = None

    async def take(self, organisation: str) -> None:
        """Wait for a turn; whoever has had it gives it ``back``."""
        mine: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(organisation, deque()).append(mine)
        self._give()
        try:
            await mine
        except asyncio.CancelledError:
            if mine.done() and not mine.cancelled():
                self.back()
            raise

    async def aclose(self) -> None:
        """Give out no more; whoever waits has been cancelled."""
        if self._giving is not None:
            self._giving.cancel()
            await asyncio.gather(self._giving, return_exceptions=True)

    def back(self) -> None:
        """A turn is over."""
        self._free += 1
        if self._room is not None:
            self._room.leave()
        self._give()

    def _give(self) -> None:
        if self._waiting and self._free > 0 and self._giving is None:
            self._giving = asyncio.get_running_loop().create_task(self._give_out())

    async def _give_out(self) -> None:
        try:
            while self._waiting and self._free > 0:
                if self._room is not None and not await self._room.enter():
                    await self._pause(_PAUSE)
                    continue
                mine = self._next()
                if mine is not None:
                    self._free -= 1
                    mine.set_result(None)
                elif self._room is not None:
                    self._room.leave()
        finally:
            self._giving = None

    def _next(self) -> asyncio.Future[None] | None:
        """Who is next; their organisation then comes last."""
        while self._waiting:
            organisation, queue = self._waiting.popitem(last=False)
            mine = queue.popleft()
            if queue:
                self._waiting[organisation] = queue
            if not mine.done():
                return mine
        return None
