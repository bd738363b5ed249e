"""What the tools of a turn have to tell, in the order in which it happens."""

import asyncio
from collections import deque
from typing import Generic, TypeVar

__all__ = ["Inbox"]

_T = TypeVar("_T")

MOST_UPDATES = 1_000
"""So many updates wait for a slow reader; older ones give way to newer ones."""


class Inbox(Generic[_T]):
    """A queue with one reader. ``put`` keeps everything, ``offer`` may drop; both from the loop's thread."""

    def __init__(self) -> None:
        self.dropped = 0
        self._items: deque[tuple[bool, _T]] = deque()
        self._offered = 0
        self._arrived: asyncio.Future[None] | None = None

    def __len__(self) -> int:
        return len(self._items)

    def put(self, item: _T) -> None:
        """What must be read."""
        self._items.append((False, item))
        self._wake()

    def offer(self, item: _T) -> None:
        """What is worth reading, if there is not too much of it."""
        if self._offered >= MOST_UPDATES:
            self.dropped += 1
            self._items.remove(next(each for each in self._items if each[0]))
            self._offered -= 1
        self._items.append((True, item))
        self._offered += 1
        self._wake()

    def take(self) -> _T | None:
        """The next item, None if nothing is there."""
        if not self._items:
            return None
        offered, item = self._items.popleft()
        self._offered -= offered
        return item

    async def get(self) -> _T:
        """The next item, as soon as there is one."""
        while (item := self.take()) is None:
            self._arrived = asyncio.get_running_loop().create_future()
            try:
                await self._arrived
            finally:
                self._arrived = None
        return item

    def _wake(self) -> None:
        if self._arrived is not None and not self._arrived.done():
            self._arrived.set_result(None)
