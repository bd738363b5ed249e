"""The accounts as calls see them: who is let in by nobody is told so, and not where they are kept."""

from collections.abc import Sequence

from polyvox.errors import NetworkError, OverloadedError
from polyvox.limits.store import Hold, LimitStore, Standing

__all__ = ["Counting"]

_RETRY_SECONDS = 1.0


class Counting:
    """A store of accounts that may be away: then whoever asks is told 503, and to come again."""

    def __init__(self, store: LimitStore) -> None:
        self._store = store

    async def reserve(self, reservation: str, holds: Sequence[Hold]) -> list[Standing]:
        """As the store does. Raises ``OverloadedError`` where that can't be reached."""
        try:
            return await self._store.reserve(reservation, holds)
        except NetworkError as error:
            raise OverloadedError(
                "the gateway can't count just now what may be spent, and lets no call in uncounted",
                hint="Ask again in a moment; nothing was sent to a provider.",
                status=503,
                retry_after=_RETRY_SECONDS,
            ) from error

    async def settle(
        self, reservation: str, holds: Sequence[Hold], actual: Sequence[float]
    ) -> None:
        """As the store does."""
        await self._store.settle(reservation, holds, actual)
