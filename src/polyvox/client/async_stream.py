"""A streamed answer, for asynchronous code."""

from collections.abc import AsyncGenerator, AsyncIterator

from polyvox.assembly import fold
from polyvox.closing import AsyncClosing
from polyvox.errors import ProtocolError
from polyvox.events import Done, Event, Failed, TextDelta
from polyvox.messages import AssistantMessage
from polyvox.model import Call, Model
from polyvox.request import Request


class AsyncStream(AsyncClosing):
    """The events of one answer; leaving the ``async with`` block closes the socket.

    Iterating gives every event up to and including ``Done``. A failure is raised as a
    ``PolyvoxError`` whose ``message`` is the partial answer.

    >>> async with client.stream("simulated/echo", "hello") as stream:  # doctest: +SKIP
    ...     async for event in stream:
    ...         print(event)
    ...     print(stream.message.usage)
    """

    def __init__(self, model: Model, request: Request, call: Call) -> None:
        self.model = model
        self.request = request
        self.call = call
        self._seen: list[Event] = []
        self._events = _read(model, request, call, self._seen)

    @property
    def message(self) -> AssistantMessage:
        """The message as it stands: built now while the stream runs, the final one after its end.

        After an interrupt, a cancelled task or an early close it is what had arrived, with stop
        reason "aborted" and the usage so far.
        """
        last = self._seen[-1] if self._seen else None
        if isinstance(last, (Done, Failed)):
            return last.message
        return self.call.partial or fold(self._seen)

    def __aiter__(self) -> AsyncGenerator[Event]:
        return self._events

    async def __anext__(self) -> Event:
        return await self._events.__anext__()

    async def text(self) -> AsyncIterator[str]:
        """The pieces of text alone, as they arrive."""
        async for event in self._events:
            if isinstance(event, TextDelta):
                yield event.text

    async def result(self) -> AssistantMessage:
        """Read on to the end and return the message. Raises ``PolyvoxError`` if the call failed."""
        async for _ in self._events:
            pass
        return self.message

    async def aclose(self) -> None:
        """Stop here: closes the socket at once. The message so far stays.

        While another task waits for the next event only an interrupt, or cancelling that task, ends
        the stream; closing it raises ``RuntimeError``.
        """
        await self._events.aclose()


# No method: a generator that knew its stream would keep both, and the socket, until the garbage
# collector comes by. Like this a forgotten stream is closed at once.
async def _read(
    model: Model, request: Request, call: Call, seen: list[Event]
) -> AsyncGenerator[Event]:
    """Every event of the answer, remembered in ``seen``; a failure is raised."""
    source = model.stream(request, call)
    see = seen.append
    try:
        async for event in source:
            see(event)
            if type(event) is Failed:
                raise event.error
            yield event
    finally:
        await source.aclose()
    if not any(type(event) is Done for event in reversed(seen)):
        raise ProtocolError(f"{model.name} ended its stream without an ending")
