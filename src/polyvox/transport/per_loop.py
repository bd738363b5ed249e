"""A transport's pools of connections: one for each event loop, closed with it."""

import asyncio
import threading
from abc import abstractmethod
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from polyvox.closing import AsyncClosing

_CLOSING_SECONDS = 5.0
"""How long ``aclose`` waits for a loop in another thread to close its connections."""


class LoopPool(Protocol):
    """The connections of one event loop."""

    async def close_with_loop(self, closed: Callable[[], object]) -> None:
        """Have the loop close it when it shuts its asynchronous generators down."""
        ...

    async def aclose(self) -> None:
        """Close all connections, those in use too. In the loop."""
        ...

    def abandon(self) -> None:
        """Let go of a loop that was closed under us: nothing can run on it any more."""
        ...


_P = TypeVar("_P", bound=LoopPool)


class PerLoop(AsyncClosing, Generic[_P]):
    """Keeps the pools, for a transport that is used from any number of event loops and threads."""

    def __init__(self) -> None:
        self._pools: dict[asyncio.AbstractEventLoop, _P] = {}
        self._lock = threading.Lock()
        self._closed = False

    @abstractmethod
    def _new_pool(self) -> _P:
        """A pool for the running loop. Called by one thread at a time."""

    async def aclose(self) -> None:
        """Close all connections, also in the middle of an answer. Sending is an error from now on."""
        with self._lock:
            self._closed = True
            pools = dict(self._pools)
        here = pools.pop(asyncio.get_running_loop(), None)
        elsewhere = [
            asyncio.wrap_future(asyncio.run_coroutine_threadsafe(pool.aclose(), loop))
            for loop, pool in pools.items()
            if loop.is_running()
        ]
        if here is not None:
            await here.aclose()
        if elsewhere:
            await asyncio.wait(elsewhere, timeout=_CLOSING_SECONDS)
        self._drop_closed_loops()

    async def _open_pool(self) -> _P:
        self._drop_closed_loops()
        loop = asyncio.get_running_loop()
        with self._lock:
            if self._closed:
                raise RuntimeError("this transport is closed")
            pool = self._pools[loop] = self._new_pool()
        await pool.close_with_loop(lambda: self._pools.pop(loop, None))
        return pool

    def _drop_closed_loops(self) -> None:
        """Forget pools whose loop was closed without its asynchronous generators being shut down."""
        with self._lock:
            for loop in [loop for loop in self._pools if loop.is_closed()]:
                self._pools.pop(loop).abandon()
