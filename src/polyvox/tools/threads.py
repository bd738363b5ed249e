"""Threads for functions that block, which may be left behind.

The pools of the standard library wait for their threads when the interpreter ends: one function
that hangs would hold the whole program. These threads are daemons, and their number is bounded, so
that functions which hang can't pile up without end.
"""

import asyncio
import contextvars
import functools
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

__all__ = ["Threads"]

_T = TypeVar("_T")
_LIMIT = 128
_LINGER = 10.0


class Threads:
    """As many threads as there is work, up to ``limit``; one without work ends after ``linger`` seconds."""

    def __init__(self, limit: int = _LIMIT, linger: float = _LINGER) -> None:
        self._limit = limit
        self._linger = linger
        self._changed = threading.Condition()
        self._waiting: deque[tuple[Future[Any], Callable[[], Any]]] = deque()
        self._running = 0
        self._idle = 0

    async def run(self, work: Callable[[], _T]) -> _T:
        """What ``work`` returns, called in a thread, with the context variables of here.

        When the waiting is cancelled, work that has not begun never does; else it goes on by
        itself, and what it returns is dropped.
        """
        future: Future[_T] = Future()
        self._submit(future, functools.partial(contextvars.copy_context().run, work))
        return await asyncio.wrap_future(future)

    def _submit(self, future: Future[Any], work: Callable[[], Any]) -> None:
        with self._changed:
            self._waiting.append((future, work))
            if len(self._waiting) > self._idle and self._running < self._limit:
                self._start()
            else:
                self._changed.notify()

    def _start(self) -> None:
        """One thread more; where the system has none left, those that run do the work."""
        thread = threading.Thread(target=self._serve, name="polyvox-tool", daemon=True)
        try:
            thread.start()
        except RuntimeError:
            if not self._running:
                self._waiting.pop()
                raise
        else:
            self._running += 1

    def _serve(self) -> None:
        while (taken := self._next()) is not None:
            _carry_out(*taken)
            del taken  # an idle thread holds on to nobody's result

    def _next(self) -> tuple[Future[Any], Callable[[], Any]] | None:
        with self._changed:
            self._idle += 1
            there = self._changed.wait_for(lambda: self._waiting, self._linger)
            self._idle -= 1
            if there:
                return self._waiting.popleft()
            self._running -= 1
            return None


def _carry_out(future: Future[Any], work: Callable[[], Any]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        value = work()
    except StopIteration as error:  # no future takes one
        future.set_exception(RuntimeError(f"the function raised {error!r}"))
    except BaseException as error:  # noqa: BLE001 - it is raised where the result is waited for
        future.set_exception(error)
    else:
        future.set_result(value)
