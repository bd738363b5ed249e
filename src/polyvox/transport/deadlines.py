"""Deadlines and the interrupt around any transport.

``exchange`` sends a request and watches over the answer until the block is left.
"""

from collections.abc import AsyncGenerator, AsyncIterable, Callable, Mapping
from contextlib import suppress
from typing import Any, Self

from msgspec.structs import replace

from polyvox.errors import PolyvoxError, ProtocolError
from polyvox.http import HttpRequest, Timeouts, Transport
from polyvox.model import Call
from polyvox.transport.watch import Watch


class exchange:  # noqa: N801
    """Send a request, and be its answer, with the deadlines and the interrupt kept.

    Entering the block and reading the body raise ``RequestTimeoutError`` with the phase whose time
    is up, ``AbortedError`` when ``call.interrupt`` is set, and whatever the transport raises.
    ``timeouts.connect`` goes to the transport in place of the request's own. The time a reader
    takes between two pieces counts towards ``total`` and ``call.deadline`` only. When the block is
    left, the connection is closed, or free again if the body was over.

        async with exchange(transport, request, timeouts=Timeouts(), call=call) as response:
            async for piece in response.body:
                ...
    """

    __slots__ = (
        "_call",
        "_request",
        "_response",
        "_timeouts",
        "_transport",
        "_watch",
        "body",
        "headers",
        "status",
    )

    def __init__(
        self, transport: Transport, request: HttpRequest, *, timeouts: Timeouts, call: Call
    ) -> None:
        self._transport = transport
        self._request = request
        self._timeouts = timeouts
        self._call = call

    async def __aenter__(self) -> Self:
        request, connect = self._request, self._timeouts.connect
        if request.connect_timeout != connect:
            request = replace(request, connect_timeout=connect)
        watch = self._watch = Watch(self._timeouts, self._call)
        try:
            with watch:
                response = self._response = await self._transport.send(request)
        except BaseException:
            watch.close()
            raise
        self.status: int = response.status
        self.headers: Mapping[str, str] = response.headers
        self.body: AsyncGenerator[bytes] = _WatchedBody(response.body, watch)
        return self

    async def __aexit__(self, *_: object) -> None:
        try:
            await self.aclose()
        finally:
            self._watch.close()

    async def drain(self, seconds: float) -> None:
        """Read what is left, so that the connection serves again; but no longer than this."""
        self._watch.hurry(seconds)
        with suppress(PolyvoxError):
            async for _ in self.body:
                pass

    async def aclose(self) -> None:
        """Let go at once, also in the middle of the body."""
        # The socket first: a reader in another task ends by that, and its generator can't be closed.
        await self._response.aclose()
        with suppress(RuntimeError):
            await self.body.aclose()


async def read_all(body: AsyncIterable[bytes], limit_bytes: int) -> bytes:
    """The whole body. Raises ``ProtocolError`` as soon as it is longer than ``limit_bytes``."""
    if isinstance(body, _WatchedBody) and (rest := body.rest()) is not None:
        return rest
    whole = bytearray()
    async for piece in body:
        whole += piece
        if len(whole) > limit_bytes:
            raise ProtocolError(f"the answer is longer than {limit_bytes} bytes")
    return bytes(whole)


class _WatchedBody(AsyncGenerator[bytes]):
    """A body that is watched while somebody waits for a piece.

    A class, because what a generator costs around each piece is more than most transports take.
    """

    __slots__ = ("_body", "_is_first", "_is_over", "_pull", "_watch")

    def __init__(self, body: AsyncGenerator[bytes], watch: Watch) -> None:
        self._body = body
        self._pull = body.__anext__
        self._watch = watch
        self._is_first = True
        self._is_over = False

    async def __anext__(self) -> bytes:
        try:
            with self._watch:
                piece = await self._pull()
        except StopAsyncIteration:
            self._is_over = True
            raise
        if self._is_first:
            self._is_first = False
            self._watch.first_byte()
        return piece

    def rest(self) -> bytes | None:
        """What is left, if the transport has all of it by now, so that nobody need wait: at most some
        hundreds of kilobytes, which is what a transport reads ahead.
        """
        whole: Callable[[], bytes | None] | None = getattr(self._body, "whole", None)
        rest = None if whole is None else whole()
        self._is_over = self._is_over or rest is not None
        return rest

    async def asend(self, value: None, /) -> bytes:
        return await self.__anext__()

    async def athrow(self, *error: Any) -> bytes:
        return await self._body.athrow(*error)

    async def aclose(self) -> None:
        if not self._is_over:
            await self._body.aclose()
