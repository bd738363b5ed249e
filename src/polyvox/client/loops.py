"""Event loops for synchronous code.

The loop runs in the caller's own thread, and only while the caller waits: no other thread, no hop
per event, Ctrl-C works, and back-pressure is free. Only where a loop is already running in the
thread (a notebook, a callback of an asynchronous program) does the work go to a helper thread.
"""

import asyncio
import os
import threading
from _thread import start_new_thread
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any, Generic, TypeVar

_T = TypeVar("_T")

_LOOK_SECONDS = 0.5


class LoopDriver:
    """One event loop, driven by whoever calls, one caller at a time."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._helper: _Helper | None = None

    def run(self, work: Callable[[], Coroutine[Any, Any, _T]]) -> _T:
        """Run a coroutine to its end."""
        return self._outside_any_loop(lambda: self._complete(work()))

    def run_until_stopped(self) -> None:
        """Run the loop until something in it calls ``loop.stop()``."""
        self._outside_any_loop(self.loop.run_forever)

    def close(self) -> None:
        """Finish what generators are left, and close the loop."""
        self.run(self.loop.shutdown_asyncgens)
        self.run(self.loop.shutdown_default_executor)
        self.loop.close()
        if self._helper is not None:
            self._helper.close()

    def _complete(self, coroutine: Coroutine[Any, Any, _T]) -> _T:
        task = self.loop.create_task(coroutine)
        try:
            return self.loop.run_until_complete(task)
        except BaseException:
            if not task.done():  # Ctrl-C: the loop stopped, the work did not
                task.cancel()
                with suppress(asyncio.CancelledError):
                    self.loop.run_until_complete(task)
            raise

    def _outside_any_loop(self, work: Callable[[], _T]) -> _T:
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return work()
        if self._helper is None:
            self._helper = _Helper()
        return self._helper.run(work, self._interrupted)

    def _interrupted(self, is_over: Callable[[], bool]) -> None:
        """Ctrl-C stopped the caller's waiting, not the helper's work."""

        def cancel() -> None:
            if not is_over():  # else this is some later work's turn
                for task in asyncio.all_tasks(self.loop):
                    task.cancel()

        self.loop.call_soon_threadsafe(cancel)


class _Helper:
    """A thread that works while its caller waits.

    The garbage collector may find a forgotten client in the middle of anything, also while a thread is
    being started or given work, and the client is closed then. So nothing here holds a lock that the
    same thread could want again, as executors and ``threading.Thread`` do.
    """

    def __init__(self) -> None:
        self._jobs: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        start_new_thread(_work_off, (self._jobs,))

    def run(self, work: Callable[[], _T], interrupted: Callable[[Callable[[], bool]], None]) -> _T:
        """Do it there, and wait; ``interrupted`` is called when Ctrl-C ends the waiting before."""
        done: SimpleQueue[None] = SimpleQueue()
        values: list[_T] = []
        failures: list[BaseException] = []

        def job() -> None:
            try:
                values.append(work())
            except BaseException as failure:  # noqa: BLE001 - handed to the caller's thread
                failures.append(failure)
            done.put(None)

        self._jobs.put(job)
        try:
            _wait(done)
        except BaseException:
            if not (values or failures):
                interrupted(lambda: bool(values or failures))
                _wait(done)
            raise
        if failures:
            raise failures[0]
        return values[0]

    def close(self) -> None:
        """Let the thread end."""
        self._jobs.put(None)


def _wait(done: SimpleQueue[None]) -> None:
    """Until it is done. A Ctrl-C just before a wait is seen when that ends, so it ends now and then."""
    while True:
        with suppress(Empty):
            return done.get(timeout=_LOOK_SECONDS)


def _work_off(jobs: SimpleQueue[Callable[[], None] | None]) -> None:
    while (job := jobs.get()) is not None:
        job()
        del job  # and with it whoever was waiting


class LoopPool:
    """Idle loops, handed out to whichever thread asks, so that their connections are used again.

    A process that is forked off has loops of its own: it shares the selectors of those that were here
    with its parent, which would hear of the one what belongs to the other.
    """

    def __init__(self) -> None:
        # Reentrant: the garbage collector may find a forgotten stream, which gives its loop back.
        self._lock = threading.RLock()
        self._idle: list[LoopDriver] = []
        self._parents: list[LoopDriver] = []
        self._pid = os.getpid()
        self._closed = False

    def take(self) -> LoopDriver:
        """A loop for this caller alone. Raises ``RuntimeError`` after ``close``."""
        with self._own_lock():
            if self._closed:
                raise RuntimeError("the client is closed")
            return self._idle.pop() if self._idle else LoopDriver()

    def give_back(self, driver: LoopDriver) -> None:
        """The caller is done with it."""
        with self._own_lock():
            if not self._closed:
                self._idle.append(driver)
                return
        driver.close()

    def run(self, work: Callable[[], Coroutine[Any, Any, _T]]) -> _T:
        """Run a coroutine to its end on some idle loop."""
        driver = self.take()
        try:
            return driver.run(work)
        finally:
            self.give_back(driver)

    def close(self, last_words: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Close all idle loops, running ``last_words`` in each; those in use close when given back.

        Where none is idle they are said in one of their own: they may be about more than connections.
        """
        with self._own_lock():
            self._closed, idle = True, self._idle
            self._idle = []
        for driver in idle or [LoopDriver()]:
            driver.run(last_words)
            driver.close()

    def _own_lock(self) -> threading.RLock:
        if self._pid != os.getpid():
            self._pid, self._lock = os.getpid(), threading.RLock()
            # Kept, since whatever is forgotten is closed, and takes its sockets out of the selector.
            self._parents, self._idle = self._parents + self._idle, []
        return self._lock


class Pump(Generic[_T]):
    """Pulls an asynchronous iterator from synchronous code, as much at a time as has arrived.

    One task serves the whole stream. The loop stands still while the caller is busy, so nothing is
    read ahead of what one turn of the loop delivers.
    """

    def __init__(self, driver: LoopDriver, source: AsyncIterator[_T]) -> None:
        self._driver = driver
        self._source = source
        self._ready: deque[_T] = deque()
        self._task: asyncio.Task[None] | None = None
        self._over = False
        self._failure: BaseException | None = None

    @property
    def waiting(self) -> bool:
        """Whether somebody, in some thread, waits for the next item."""
        return self._driver.loop.is_running()

    def next(self) -> _T:
        """The next item. Raises ``StopIteration`` at the end, or what the iterator raised."""
        while not self._ready:
            if self._task is None:
                self._task = self._driver.loop.create_task(self._pull())
                self._task.add_done_callback(self._end)
            elif self._over:
                failure, self._failure = self._failure, None
                raise failure or StopIteration
            self._driver.run_until_stopped()
        return self._ready.popleft()

    def stop(self) -> None:
        """Cancel what is under way and wait until it has let go."""
        if self._task is not None:
            self._task.cancel()
            while not self._over:
                self._driver.run_until_stopped()
        self._ready.clear()

    async def _pull(self) -> None:
        loop = self._driver.loop
        try:
            async for item in self._source:
                if not self._ready:  # once is enough for all that this turn delivers
                    loop.stop()
                self._ready.append(item)
        except BaseException as failure:  # noqa: BLE001 - handed to the caller's thread by next()
            self._failure = failure

    def _end(self, task: asyncio.Task[None]) -> None:
        # The last thing this pump leaves in the loop: a stop still waiting there when the loop is
        # given back would end somebody else's run.
        self._over = True
        self._driver.loop.stop()
