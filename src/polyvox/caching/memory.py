"""Answers in this process."""

import time
from collections import OrderedDict
from collections.abc import Callable
from threading import Lock

__all__ = ["MemoryCache"]

_OVERHEAD = 400
"""About what an entry takes beside its value: its key, its place, the objects around them."""


class MemoryCache:
    """Keep answers in memory, up to so many bytes; the one that was not used for longest goes first.

    All is done in constant time. One that is larger than the whole is not kept. It may be shared by
    models and event loops.

    Args:
        max_bytes: how much may be kept.
        clock: the time in seconds; a test gives its own.
    """

    def __init__(
        self, max_bytes: int = 64 * 1024 * 1024, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.max_bytes = max_bytes
        self._clock = clock
        self._lock = Lock()
        self._kept: OrderedDict[bytes, tuple[bytes, float]] = OrderedDict()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._kept)

    @property
    def size(self) -> int:
        """How many bytes are kept, with about what keeping them takes."""
        return self._bytes

    async def get(self, key: bytes) -> bytes | None:
        """What is stored under the key."""
        with self._lock:
            value, expires = self._kept.get(key, (None, 0.0))
            if value is None:
                return None
            if self._clock() >= expires:
                self._drop(key)
                return None
            self._kept.move_to_end(key)
            return value

    async def put(self, key: bytes, value: bytes, ttl: float) -> None:
        """Store it for so many seconds."""
        with self._lock:
            self._drop(key)
            size = len(value) + _OVERHEAD
            if size > self.max_bytes:
                return
            self._kept[key] = value, self._clock() + ttl
            self._bytes += size
            while self._bytes > self.max_bytes:
                self._drop(next(iter(self._kept)))

    async def delete(self, key: bytes) -> None:
        """Forget what is stored under the key."""
        with self._lock:
            self._drop(key)

    async def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._kept.clear()
            self._bytes = 0

    def _drop(self, key: bytes) -> None:
        value, _ = self._kept.pop(key, (None, 0.0))
        if value is not None:
            self._bytes -= len(value) + _OVERHEAD
