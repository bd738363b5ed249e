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


class exchange(AsyncGenerator[bytes]):  # noqa: N801
    """Send a request, and be its answer, with the deadlines and the interrupt kept.

    Entering the block and reading the body raise ``RequestTimeoutError`` with the phase whose time
    is up, ``AbortedError`` when ``call.interrupt`` is set, and whatever the transport raises.
    ``timeouts.connect`` goes to the transport in place of the request's own. The time a reader
    takes between two pieces counts towards ``total`` and ``call.deadline`` only. When the block is
    left, the connection is closed, or free again if the body was over.

        async with exchange(transport, request, timeouts=Timeouts(), call=call) as response:
            async for piece in response.body:
                ...

    It is its own body: a generator around each piece costs more than most transports take, and so
    does each further object around a short answer.
    """

    __slots__ = (
        "_body",
        "_call",
        "_is_closed",
        "_is_first",
        "_is_over",
        "_request",
        "_response",
        "_timeouts",
        "_transport",
        "_watch",
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
        self._is_first = True
        self._is_over = False
        self._is_closed = False

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
        self._body = response.body
        self.status: int = response.status
        self.headers: Mapping[str, str] = response.headers
        return self

    async def __aexit__(self, *_: object) -> None:
        try:
            if not self._is_closed:
                await self.aclose()
        finally:
            self._watch.close()

    @property
    def body(self) -> Self:
        """The pieces of the body, each watched while somebody waits for it."""
        return self

    def rest(self) -> bytes | None:
        """What is left of the body, if the transport has all of it by now, as it mostly has of a short
        answer: then nobody need wait, nor close anything. None if something is still to come, be it
        that the call is to end here, which is told to whoever waits.
        """
        if self._is_over:
            return b""
        if self._watch.is_up:
            return None
        whole: Callable[[], bytes | None] | None = getattr(self._response, "whole", None)
        rest = None if whole is None else whole()
        self._is_over = self._is_closed = rest is not None
        return rest

    async def __anext__(self) -> bytes:
        if self._is_over:
            raise StopAsyncIteration
        try:
            with self._watch:
                piece = await self._body.__anext__()
        except StopAsyncIteration:
            self._is_over = True
            raise
        if self._is_first:
            self._is_first = False
            self._watch.first_byte()
        return piece

    async def asend(self, value: None, /) -> bytes:
        return await self.__anext__()

    async def athrow(self, *error: Any) -> bytes:
        return await self._body.athrow(*error)

    async def drain(self, seconds: float) -> None:
        """Read what is left, so that the connection serves again; but no longer than this."""
        self._watch.hurry(seconds)
        with suppress(PolyvoxError):
            async for _ in self:
                pass

    async def aclose(self) -> None:
        """Let go at once, also in the middle of the body."""
        if self._is_closed:
            return
        # The socket first: a reader in another task ends by that, and its generator can't be closed.
        await self._response.aclose()
        if not self._is_over:
            with suppress(RuntimeError):
                await self._body.aclose()


async def read_all(body: AsyncIterable[bytes], limit_bytes: int) -> bytes:
    """The whole body. Raises ``ProtocolError`` as soon as it is longer than ``limit_bytes``."""
    if type(body) is exchange and (rest := body.rest()) is not None:
        _check_length(rest, limit_bytes)
        return rest
    whole = bytearray()
    async for piece in body:
        whole += piece
        _check_length(whole, limit_bytes)
    return bytes(whole)


def _check_length(read: bytes | bytearray, limit_bytes: int) -> None:
    if len(read) > limit_bytes:
        raise ProtocolError(f"the answer is longer than {limit_bytes} bytes")
