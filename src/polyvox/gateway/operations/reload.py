"""Reloading: a new configuration takes the old one's place, or is refused, without a call noticing.

What can fail is done first, beside the running gateway; then the new one is put in place, which can't
fail. Calls that are under way end with what they began with.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Generic, Literal, TypeAlias, TypeVar

from polyvox.errors import PolyvoxError, in_words

__all__ = ["Outcome", "Reload"]

_T = TypeVar("_T")

Outcome: TypeAlias = Literal["swapped", "refused"]
Stamp: TypeAlias = tuple[int, int, int] | None


class Reload(Generic[_T]):
    """Prepares a new configuration, and swaps it in.

    Args:
        prepare: reads and builds everything anew. Whatever it raises, nothing has changed.
        swap: puts that in place. It doesn't fail, and waits for nothing.
        tell: is told in words how it went: (what, why it was refused or None).
        path: the file that is watched; None: there is none.
        every_seconds: how often it is looked at.
        sleep: how to wait; a test gives its own.
    """

    def __init__(
        self,
        prepare: Callable[[], Awaitable[_T]],
        swap: Callable[[_T], None],
        tell: Callable[[str, str | None], None],
        *,
        path: Path | None = None,
        every_seconds: float = 2.0,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._prepare, self._swap, self._tell = prepare, swap, tell
        self._path = path
        self._seconds = every_seconds
        self._sleep = sleep
        self._turn = asyncio.Lock()
        self._stamp = _stamp(path)
        self._tasks: set[asyncio.Task[Outcome]] = set()
        self.failure: str | None = None

    async def reload(self, why: str) -> Outcome:
        """Read it anew, because of a signal, a change or a request. One at a time.

        ``failure`` says why the newest one is not in place, None if it is.
        """
        async with self._turn:
            self._stamp = _stamp(self._path)
            try:
                made = await self._prepare()
            except PolyvoxError as error:
                return self._refuse(why, str(error))
            except Exception as error:  # noqa: BLE001 -- whatever is wrong with it, the old one goes on
                return self._refuse(why, in_words(error))
            self._swap(made)
            self.failure = None
            self._tell(f"the configuration was read anew: {why}", None)
            return "swapped"

    def ask(self, why: str) -> None:
        """Reload soon; for signal handlers. To be called on the event loop."""
        task = asyncio.get_running_loop().create_task(self.reload(why))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def watch(self) -> None:
        """Reload whenever the file has changed, until the task is cancelled.

        A file that is gone for a moment, as while an editor replaces it, is no change.
        """
        while self._path is not None:
            await self._sleep(self._seconds)
            stamp = await asyncio.to_thread(_stamp, self._path)
            if stamp is not None and stamp != self._stamp:
                await self.reload("its file has changed")

    def _refuse(self, why: str, problem: str) -> Outcome:
        self.failure = problem
        self._tell(f"the configuration was refused, and the one before goes on: {why}", problem)
        return "refused"


def _stamp(path: Path | None) -> Stamp:
    """What changes with a file; None if it isn't there."""
    if path is None:
        return None
    try:
        about = os.stat(path)
    except OSError:
        return None
    return about.st_mtime_ns, about.st_size, about.st_ino
