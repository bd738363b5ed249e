"""Answers that several processes share, in Redis."""

from polyvox.transport.redis_link import RedisLink, RedisState

__all__ = ["RedisCache"]

_LONGEST = 10 * 366 * 86_400.0
_BATCH = 500


class RedisCache:
    """Keep answers in a Redis, which lets them go when their time is over.

    How much it keeps is Redis' own setting (``maxmemory`` and its policy). No operation takes longer
    than ``timeout``; a Redis that is down is asked now and then, not by every call.

    Args:
        url: where Redis is: redis://host:6379/0, rediss:// with TLS, unix://path.
        prefix: how all keys begin.
        timeout: how long an operation may take, in seconds.

    Raises ``ConfigurationError`` without the extra ``redis``, or for a malformed URL.
    """

    def __init__(
        self,
        url: str = "redis://localhost:6379/0",
        *,
        prefix: str = "polyvox",
        timeout: float = 0.5,
    ) -> None:
        self._link = RedisLink(url, purpose="the cache", timeout=timeout)
        self._prefix = f"{prefix}:answers:v1:"

    @property
    def state(self) -> RedisState:
        """Whether Redis answered when it was last asked: "untried", "up" or "down"."""
        return self._link.state

    async def get(self, key: bytes) -> bytes | None:
        """What is stored under the key. Raises ``NetworkError``."""
        value = await self._link.run(lambda client: client.get(self._name(key)))
        return value.encode() if isinstance(value, str) else value  # the URL may ask for strings

    async def put(self, key: bytes, value: bytes, ttl: float) -> None:
        """Store it for so many seconds, at most ten years. Raises ``NetworkError``."""
        milliseconds = max(1, round(min(ttl, _LONGEST) * 1000))
        await self._link.run(lambda client: client.set(self._name(key), value, px=milliseconds))

    async def delete(self, key: bytes) -> None:
        """Forget what is stored under the key. Raises ``NetworkError``."""
        await self._link.run(lambda client: client.unlink(self._name(key)))

    async def clear(self) -> None:
        """Forget all answers with this prefix, in batches. Raises ``NetworkError``."""
        cursor = 0
        pattern = f"{_literally(self._prefix)}*"
        while True:
            at = cursor
            cursor, names = await self._link.run(
                lambda client, at=at: client.scan(at, match=pattern, count=_BATCH)  # pyright: ignore[reportUnknownMemberType]
            )
            if names:
                await self._link.run(lambda client, names=names: client.unlink(*names))
            if not cursor:
                return

    async def aclose(self) -> None:
        """Close the connections of the running loop."""
        await self._link.aclose()

    def _name(self, key: bytes) -> str:
        return self._prefix + key.hex()


def _literally(text: str) -> str:
    """The text as a pattern that means nothing but itself."""
    return "".join(f"\\{each}" if each in "*?[]^-\\" else each for each in text)
