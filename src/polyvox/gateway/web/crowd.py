"""All who wait for an answer: most of them not for long, and what is done for each of them must be cheap."""

import asyncio
from typing import Protocol

__all__ = ["Crowd", "Waits"]

_SECONDS = 0.1


class Waits(Protocol):
    """Somebody who waits."""

    def lasts(self) -> None:
        """They have waited for a while."""
        ...


class Crowd:
    """Tells of those who wait for longer than one to two tenths of a second, by one timer for all.

    While nobody waits there is none. To be used on one event loop.
    """

    def __init__(self) -> None:
        self._new, self._older = set[Waits](), set[Waits]()
        self._timer: asyncio.TimerHandle | None = None

    def join(self, one: Waits) -> set[Waits]:
        """Somebody begins to wait: among these, until they are taken out."""
        among = self._new
        among.add(one)
        if self._timer is None:
            self._look_later()
        return among

    def _look_later(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(_SECONDS, self._look)

    def _look(self) -> None:
        self._timer = None
        lasting, self._older, self._new = self._older, self._new, set[Waits]()
        if self._older:
            self._look_later()
        for one in lasting:
            one.lasts()
