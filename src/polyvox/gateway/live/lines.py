"""The calls that may be gone on with from another connection, and how long each is kept."""

import asyncio
from collections.abc import Callable

from polyvox.errors import NotFoundError, RateLimitError
from polyvox.gateway.live.line import Line
from polyvox.gateway.tenants.access import Access

__all__ = ["Lines"]


class Lines:
    """Keeps calls while their connection lasts, and for a while afterwards.

    Args:
        most: how many a key may have.
        grace_seconds: how long one is kept that nobody listens to.
    """

    def __init__(self, most: int, grace_seconds: float) -> None:
        self._most = most
        self._grace = grace_seconds
        self._kept: dict[str, Line] = {}
        self._timers: dict[str, asyncio.TimerHandle] = {}

    def __len__(self) -> int:
        return len(self._kept)

    def add(self, line: Line) -> None:
        """Keep a call that begins. Raises ``RateLimitError`` when its key has too many."""
        theirs = [each for each in self._kept.values() if _key(each) == _key(line)]
        over = [each for each in theirs if each.over]
        if len(theirs) - len(over) >= self._most:
            raise RateLimitError(
                f"this key has {self._most} calls that can be resumed, and may have no more",
                hint="Start it without resumable, or wait until others are over.",
            )
        for each in over[: max(0, len(theirs) - self._most + 1)]:
            self._forget(each)
        self._kept[line.id] = line

    def find(self, call: str, access: Access) -> Line:
        """The call of that name, if it is this key's. Raises ``NotFoundError``."""
        line = self._kept.get(call)
        if line is None or _key(line) != access.key:
            raise NotFoundError(
                f"there is no call {call!r} to go on with",
                hint=f"One is kept for {self._grace:g} s, by the process that has begun it.",
            )
        self._stop(line)
        return line

    def release(self, line: Line) -> None:
        """Nobody listens to it any more, or it is over: it is given up after a while."""
        if line.id in self._kept:
            self._stop(line)
            later: Callable[..., asyncio.TimerHandle] = asyncio.get_running_loop().call_later
            self._timers[line.id] = later(self._grace, self._forget, line)

    def _forget(self, line: Line) -> None:
        self._stop(line)
        self._kept.pop(line.id, None)
        if not line.over:
            line.drop()

    def _stop(self, line: Line) -> None:
        timer = self._timers.pop(line.id, None)
        if timer is not None:
            timer.cancel()


def _key(line: Line) -> str:
    return line.asked.access.key
