"""What a store of answers does, and what a cache counts."""

from typing import Protocol

import msgspec

from polyvox.usage import Cost

__all__ = ["CacheStats", "CacheStore"]


class CacheStore(Protocol):
    """Keeps bytes under a key, for a time.

    All of it may raise, and may forget at will: a fault is a miss, and is counted. None of it may
    wait for long, since calls wait for it.
    """

    async def get(self, key: bytes) -> bytes | None:
        """What is stored under the key; None if there is nothing, or its time is over."""
        ...

    async def put(self, key: bytes, value: bytes, ttl: float) -> None:
        """Store it for so many seconds, in the place of what was there."""
        ...

    async def delete(self, key: bytes) -> None:
        """Forget what is stored under the key, if anything is."""
        ...

    async def clear(self) -> None:
        """Forget everything."""
        ...


class CacheStats(msgspec.Struct):
    """What a cache did so far.

    ``hits`` were answered without asking, ``joined`` of them by an identical call under way;
    ``misses`` were asked; ``skipped`` neither looked nor stored, since the call wants it so or can't be
    told from others. ``stored`` answers were handed to the store, of ``bytes`` in all. ``faults`` of
    the store or the embedding were taken for misses. ``saved_nanos`` is what the answers given again
    had cost, as far as that is known.
    """

    hits: int = 0
    joined: int = 0
    misses: int = 0
    skipped: int = 0
    stored: int = 0
    bytes: int = 0
    faults: int = 0
    saved_nanos: int = 0

    @property
    def saved(self) -> Cost:
        """What the answers given again had cost."""
        return Cost("known", self.saved_nanos)
