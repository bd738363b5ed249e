"""Answers that wait for one another: what shows that requests are under way at the same time."""

import asyncio

from polyvox.errors import BadRequestError


class Hold:
    """Keeps requests waiting until so many wait together, or somebody lets them go."""

    def __init__(self) -> None:
        self._waiting: set[asyncio.Future[None]] = set()

    async def wait(self, count: int, limit: float) -> None:
        """Wait until ``count`` do. Raises ``BadRequestError`` after ``limit`` seconds."""
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.add(turn)
        if len(self._waiting) >= count:
            self.release()
        try:
            async with asyncio.timeout(limit):
                await turn
        except TimeoutError:
            # Not for the server to be blamed: a client that asks again would only wait again.
            raise BadRequestError(
                f"the mock provider was told to hold its answers until {count} requests wait, and"
                f" {len(self._waiting)} did within {limit:g} s",
                hint="They are not sent at the same time, or too late.",
            ) from None
        finally:
            self._waiting.discard(turn)

    def release(self) -> None:
        """Let all go that wait now."""
        for turn in self._waiting:
            if not turn.done():
                turn.set_result(None)
        self._waiting.clear()
