"""A mock provider in a thread of its own, for synchronous programs."""

import asyncio
import threading
from collections.abc import Awaitable
from concurrent.futures import Future
from typing import TypeVar

from polyvox.testing.knobs import Knobs
from polyvox.testing.ledger import Ledger
from polyvox.testing.mock import MockProvider
from polyvox.testing.record import ReceivedRequest, SentAnswer

_T = TypeVar("_T")


class ThreadedMock:
    """A ``MockProvider`` that serves from a thread with an event loop of its own, until ``close``.

    Its record may be read from any thread. ``knobs`` may be set and hold from the next request on.
    """

    def __init__(self, mock: MockProvider) -> None:
        self.mock = mock
        self._stop: Future[None] = Future()
        self._ready: Future[asyncio.AbstractEventLoop] = Future()
        self._thread = threading.Thread(target=self._run, name="polyvox-mock", daemon=True)
        self._thread.start()
        self._loop = self._ready.result()

    @property
    def url(self) -> str:
        """The base URL, as programs want it in OPENAI_BASE_URL or ANTHROPIC_BASE_URL."""
        return self.mock.url

    @property
    def knobs(self) -> Knobs:
        """How answers are bent."""
        return self.mock.knobs

    @knobs.setter
    def knobs(self, knobs: Knobs) -> None:
        self.mock.knobs = knobs

    @property
    def requests(self) -> list[ReceivedRequest]:
        """Every HTTP request that came, in order."""
        return self.mock.requests

    @property
    def answers(self) -> list[SentAnswer]:
        """What was sent for each of ``requests``."""
        return self.mock.answers

    def ledger(self) -> Ledger:
        """As ``MockProvider.ledger``."""
        return self.mock.ledger()

    def release(self) -> None:
        """As ``MockProvider.release``."""
        self._loop.call_soon_threadsafe(self.mock.release)

    def wait_for_request(self, timeout: float | None = 30.0) -> ReceivedRequest:
        """As ``MockProvider.wait_for_request``. Raises ``TimeoutError`` after so many seconds."""
        return self._wait(self.mock.wait_for_request(), timeout)

    def wait_for_hangup(self, timeout: float | None = 30.0) -> SentAnswer:
        """As ``MockProvider.wait_for_hangup``. Raises ``TimeoutError`` after so many seconds."""
        return self._wait(self.mock.wait_for_hangup(), timeout)

    def close(self) -> None:
        """Stop serving; answers under way are broken off. Closing twice does nothing."""
        if not self._stop.done():
            self._stop.set_result(None)
        self._thread.join()

    def _wait(self, waiting: Awaitable[_T], timeout: float | None) -> _T:
        async def within() -> _T:
            async with asyncio.timeout(timeout):
                return await waiting

        return asyncio.run_coroutine_threadsafe(within(), self._loop).result()

    def _run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        try:
            async with self.mock:
                self._ready.set_result(asyncio.get_running_loop())
                await asyncio.wrap_future(self._stop)
        except BaseException as error:
            if self._ready.done():
                raise
            self._ready.set_exception(error)
