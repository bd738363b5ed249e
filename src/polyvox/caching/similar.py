"""Texts by the direction of their vectors: which of those kept is nearest."""

import asyncio
import math
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import suppress
from threading import Lock
from typing import TypeAlias

import msgspec

__all__ = ["Direction", "SimilarTexts", "direction"]

Direction: TypeAlias = tuple[float, ...]
"""A vector with length one."""

_AT_ONCE = 200_000
"""So many subtractions may be done in the event loop; more are left to a thread."""

_OVERHEAD = 600


class _Kept(msgspec.Struct):
    text: str
    vector: Direction
    value: bytes
    expires: float

    @property
    def size(self) -> int:
        return len(self.vector) * 32 + len(self.text) + len(self.value) + _OVERHEAD


class SimilarTexts:
    """Keeps texts with their vectors and what belongs to them, in this process, in groups.

    Finding looks at every text of a group, which is good for a few thousand. What is used least
    goes first.

    Args:
        max_entries: how many texts are kept in all groups together.
        max_bytes: how much they may take.
        clock: the time in seconds; a test gives its own.
    """

    def __init__(
        self,
        max_entries: int = 1_000,
        max_bytes: int = 64 * 1024 * 1024,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self._clock = clock
        self._groups: dict[bytes, dict[str, _Kept]] = {}
        self._order: OrderedDict[tuple[bytes, str], None] = OrderedDict()
        self._bytes = 0
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._order)

    async def find(
        self,
        group: bytes,
        vector: Direction,
        threshold: float,
        fits: Callable[[str], bool],
    ) -> tuple[bytes, float] | None:
        """What belongs to the nearest text that fits, and how near it is; None: none is near enough."""
        now = self._clock()
        with self._lock:
            kept = [each for each in self._groups.get(group, {}).values() if each.expires > now]
        if len(kept) * len(vector) > _AT_ONCE:
            near = await asyncio.to_thread(_near, kept, vector, threshold)
        else:
            near = _near(kept, vector, threshold)
        for likeness, each in near:
            if fits(each.text):
                with self._lock, suppress(KeyError):  # it may have gone meanwhile
                    self._order.move_to_end((group, each.text))
                return each.value, likeness
        return None

    def add(self, group: bytes, text: str, vector: Direction, value: bytes, ttl: float) -> None:
        """Keep it for so many seconds, in the place of what the same text had."""
        kept = _Kept(text, vector, value, self._clock() + ttl)
        with self._lock:
            self._drop(group, text)
            if kept.size > self._max_bytes:
                return
            self._groups.setdefault(group, {})[text] = kept
            self._order[group, text] = None
            self._bytes += kept.size
            while len(self._order) > self._max_entries or self._bytes > self._max_bytes:
                self._drop(*next(iter(self._order)))

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._groups.clear()
            self._order.clear()
            self._bytes = 0

    def _drop(self, group: bytes, text: str) -> None:
        if (group, text) in self._order:
            del self._order[group, text]
            texts = self._groups[group]
            self._bytes -= texts.pop(text).size
            if not texts:
                del self._groups[group]


def direction(vector: Sequence[float]) -> Direction:
    """The vector with length one. Raises ``ValueError`` if it points nowhere."""
    length = math.hypot(*vector)
    if not 0 < length < math.inf:
        raise ValueError("the vector has no direction")
    return tuple(part / length for part in vector)


def _near(kept: Sequence[_Kept], vector: Direction, threshold: float) -> list[tuple[float, _Kept]]:
    """Those near enough, the nearest first. Vectors of another length are of another model."""
    # Between directions the distance tells the cosine, and is what Python computes fastest.
    likenesses = (
        (1 - math.dist(each.vector, vector) ** 2 / 2, each)
        for each in kept
        if len(each.vector) == len(vector)
    )
    near = [found for found in likenesses if found[0] >= threshold]
    return sorted(near, key=lambda found: found[0], reverse=True)
