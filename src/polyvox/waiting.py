"""Waiting on purpose: for the time to ask again, or for the next word of a simulated model."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, TypeVar

from polyvox.errors import AbortedError, RequestTimeoutError
from polyvox.model import Call

__all__ = ["Waiter", "soon"]

_T = TypeVar("_T")


def soon(loop: asyncio.AbstractEventLoop, work: Callable[[], object]) -> None:
    """Have something done in a loop, from any thread; not at all if the loop is closed by then."""
    with suppress(RuntimeError):  # nobody waits in there any more
        loop.call_soon_threadsafe(work)


class Waiter:
    """Waits, but never past the call's deadline, and wakes up when the call is interrupted.

    ``until`` raises ``AbortedError`` or ``RequestTimeoutError`` then.

        with Waiter(call) as waiter:
            await waiter.until(time.monotonic() + 0.5)
    """

    def __init__(self, call: Call) -> None:
        self._interrupt = call.interrupt
        self._deadline = float("inf") if call.deadline is None else call.deadline
        self._woken = asyncio.Event()
        self._forget: Callable[[], None] = lambda: None
        self._loop = asyncio.get_running_loop()

    def __enter__(self) -> "Waiter":
        if self._interrupt is not None:
            self._forget = self._interrupt.listen(self.wake)
        return self

    def __exit__(self, *_: object) -> None:
        self._forget()

    def wake(self) -> None:
        """End the wait that is under way, or else the next one; from any thread."""
        soon(self._loop, self._woken.set)

    async def until(self, due: float) -> None:
        """Wait until ``due``; when that is past, only give others their turn."""
        self._check()
        seconds = min(due, self._deadline) - time.monotonic()
        if seconds <= 0:
            await asyncio.sleep(0)
        else:
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._woken.wait()
            self._woken.clear()
        self._check()

    async def result(self, work: Awaitable[_T]) -> _T:
        """What ``work`` comes to. When the wait ends early, it is cancelled and left to itself.

        Raises ``RuntimeError`` when it was cancelled by somebody else.
        """
        task = asyncio.ensure_future(work)
        task.add_done_callback(self._done)
        try:
            while not task.done():
                await self.until(float("inf"))
            if task.cancelled():
                raise RuntimeError("it was cancelled")
            return task.result()
        finally:
            task.cancel()

    def _done(self, task: asyncio.Future[Any]) -> None:
        if not task.cancelled():
            task.exception()  # seen: it may come after the wait has ended, when nobody asks for it
        self._woken.set()

    def _check(self) -> None:
        if self._interrupt is not None and self._interrupt.is_set:
            raise AbortedError(self._interrupt.reason or "interrupted by the caller")
        if time.monotonic() >= self._deadline:
            raise RequestTimeoutError("the call's deadline has passed", phase="total")
