"""A streamed answer, for synchronous code."""

import weakref
from collections.abc import Callable, Iterator

from polyvox.client.async_stream import AsyncStream
from polyvox.client.loops import LoopDriver, Pump
from polyvox.closing import Closing
from polyvox.events import Event, TextDelta
from polyvox.messages import AssistantMessage
from polyvox.model import Call


class Stream(Closing):
    """The events of one answer; leaving the ``with`` block closes the socket.

    Iterating gives every event up to and including ``Done``. A failure is raised as a
    ``PolyvoxError`` whose ``message`` is the partial answer.

    >>> with client.stream("simulated/echo", "hello") as stream:  # doctest: +SKIP
    ...     for piece in stream.text():
    ...         print(piece, end="")
    ...     print(stream.message.usage.cost)
    """

    def __init__(
        self, stream: AsyncStream, driver: LoopDriver, give_back: Callable[[LoopDriver], None]
    ) -> None:
        self._stream = stream
        self._pump: Pump[Event] = Pump(driver, aiter(stream))
        # Also for a stream that nobody closed: when it is forgotten, or the program ends.
        self._close = weakref.finalize(self, _close, self._pump, stream, driver, give_back)

    @property
    def message(self) -> AssistantMessage:
        """The message as it stands; the final one after the end. See ``AsyncStream.message``."""
        return self._stream.message

    @property
    def call(self) -> Call:
        """The call, whose ``attempts`` tell who was asked, and what that cost."""
        return self._stream.call

    def __iter__(self) -> Iterator[Event]:
        return self

    def __next__(self) -> Event:
        if not self._close.alive:
            raise StopIteration
        try:
            return self._pump.next()
        except BaseException:
            self.close()
            raise

    def text(self) -> Iterator[str]:
        """The pieces of text alone, as they arrive."""
        for event in self:
            if isinstance(event, TextDelta):
                yield event.text

    def result(self) -> AssistantMessage:
        """Read on to the end and return the message. Raises ``PolyvoxError`` if the call failed."""
        for _ in self:
            pass
        return self.message

    def close(self) -> None:
        """Stop here: closes the socket at once. The message so far stays.

        While another thread waits for the next event only an interrupt ends the stream; closing it
        raises ``RuntimeError``.
        """
        if self._close.alive and self._pump.waiting:
            raise RuntimeError("another thread is reading this stream; give it an interrupt to set")
        self._close()


def _close(
    pump: Pump[Event],
    stream: AsyncStream,
    driver: LoopDriver,
    give_back: Callable[[LoopDriver], None],
) -> None:
    pump.stop()
    driver.run(stream.aclose)
    give_back(driver)
