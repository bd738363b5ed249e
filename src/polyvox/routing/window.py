"""How much was used in the last minute."""

from collections import deque

__all__ = ["MinuteWindow", "Used"]

_MINUTE = 60

Used = list[int]
"""A second, and what was used in it."""


class MinuteWindow:
    """At most so much in any 60 seconds, counted second by second.

    What a call will use is added before it, and corrected after it; a window that is in debt so lets
    nothing pass until enough of it is a minute old.
    """

    __slots__ = ("_seconds", "_used", "limit")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._seconds: deque[Used] = deque()
        self._used = 0

    def room_at(self, amount: int, now: float) -> float:
        """From when on so much has room; more than the limit has room when nothing else is there."""
        self._forget(now)
        excess = self._used + min(amount, self.limit) - self.limit
        if excess <= 0:
            return 0.0
        for second, used in self._seconds:
            excess -= used
            if excess <= 0:
                return float(second + 1 + _MINUTE)
        return 0.0  # not reached: an empty window has room for all

    def add(self, amount: int, now: float) -> Used:
        """So much is used now; returns the second, for ``correct``."""
        self._forget(now)
        second = int(now // 1)
        if not self._seconds or self._seconds[-1][0] != second:
            self._seconds.append([second, 0])
        entry = self._seconds[-1]
        entry[1] += amount
        self._used += amount
        return entry

    def correct(self, entry: Used, change: int, now: float) -> None:
        """It was so much more, or less, that was used in that second."""
        self._forget(now)
        if entry[0] + 1 + _MINUTE > now:
            entry[1] += change
            self._used += change

    def _forget(self, now: float) -> None:
        seconds = self._seconds
        while seconds and seconds[0][0] + 1 + _MINUTE <= now:
            self._used -= seconds.popleft()[1]
