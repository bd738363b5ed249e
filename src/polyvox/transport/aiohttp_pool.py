"""The connections of one event loop, in aiohttp. Imported with the first request."""

import asyncio
import io
import ssl
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import suppress

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from yarl import URL

from polyvox.http import HttpRequest
from polyvox.transport.aiohttp_errors import BODY_ERRORS, SEND_ERRORS, broken_body, not_answered
from polyvox.transport.aiohttp_guard import GuardedResolver, guarded_sockets
from polyvox.transport.network_errors import closed_before_sending
from polyvox.transport.urls import AS_IT_IS

_LINE_BYTES = 64 * 1024
"""Longest status line or header accepted; some gateways put whole policies into headers."""

_LARGE_BODY = 2**20
"""From here on aiohttp wants a body as a file, to send it in pieces."""


class Pool:
    """The connections of one event loop: a ``ClientSession`` with aiohttp's conveniences off."""

    def __init__(
        self,
        max_connections: int,
        keep_alive: float,
        ssl_context: ssl.SSLContext | None,
        may_reach: Callable[[str], bool] | None = None,
    ) -> None:
        connector = aiohttp.TCPConnector(
            limit=max_connections,
            keepalive_timeout=keep_alive,
            ssl=ssl_context or True,
            # The system's own resolver: the same answers as every other program on the machine.
            resolver=GuardedResolver(may_reach) if may_reach else aiohttp.ThreadedResolver(),
            socket_factory=guarded_sockets(may_reach) if may_reach else None,
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"user-agent": "polyvox"},
            response_class=_Response,
            max_line_size=_LINE_BYTES,
            max_field_size=_LINE_BYTES,
        )
        self._latest: dict[ResponseHandler, aiohttp.ClientResponse] = {}  # by connection
        self._guard: AsyncGenerator[None] | None = None

    async def send(self, request: HttpRequest, proxy: str | None) -> "AiohttpResponse":
        """Send, and wait for the head of the answer."""
        await _notice_hangups()
        if self._session.closed:
            raise closed_before_sending()
        large = len(request.body) >= _LARGE_BODY
        try:
            response = await self._session.request(
                request.method,
                _address(request.url),
                headers=request.headers,
                data=(io.BytesIO(request.body) if large else request.body) or None,
                proxy=proxy,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(connect=request.connect_timeout),
            )
        except asyncio.CancelledError:
            if self._session.closed and not _is_cancelled():
                raise closed_before_sending() from None
            raise
        except SEND_ERRORS as error:
            raise not_answered(error, request) from error
        self._follow(response)
        return AiohttpResponse(response, request)

    async def close_with_loop(self, closed: Callable[[], object]) -> None:
        """Have the loop close this pool when it shuts its asynchronous generators down.

        ``asyncio.run`` does that before it closes its loop, and no other hook is called there.
        """

        async def guard() -> AsyncGenerator[None]:
            try:
                yield
            finally:
                closed()
                await self._session.close()

        self._guard = guard()
        await anext(self._guard)

    async def aclose(self) -> None:
        """Close all connections, those in use too."""
        if self._guard is not None:
            await self._guard.aclose()

    def abandon(self) -> None:
        """Let go of a loop that was closed under us: nothing can run on it any more."""
        connector = self._session.connector
        self._session.detach()
        if connector is not None:
            # With its loop closed this does not wait for anything: one step is all of it.
            next(connector.close().__await__(), None)

    def _follow(self, response: aiohttp.ClientResponse) -> None:
        """See to it that a body learns of its connection's end.

        When aiohttp itself ends the connection, because of a malformed chunk or because the session
        is closed, it leaves whoever reads from the body waiting for ever.
        """
        protocol = response.connection.protocol if response.connection else None
        if protocol is None:
            return  # the whole body is here
        closed = protocol.closed
        if closed is not None and protocol not in self._latest:
            closed.add_done_callback(lambda closed: self._lost(protocol, closed))
        self._latest[protocol] = response

    def _lost(self, protocol: ResponseHandler, closed: asyncio.Future[None]) -> None:
        if not closed.cancelled():
            closed.exception()  # seen; asyncio would complain
        response = self._latest.pop(protocol)
        if not response.content.is_eof() and response.content.exception() is None:
            response.content.set_exception(aiohttp.ClientPayloadError("the connection was closed"))
            response.close()


class AiohttpResponse:
    """An answer whose head is there: ``polyvox.http.HttpResponse``."""

    def __init__(self, response: aiohttp.ClientResponse, request: HttpRequest) -> None:
        self._response = response
        self._request = request
        self._wire = getattr(response, "wire", None)
        self._closed = False
        self._begun = False
        self.status: int = response.status
        self.headers: Mapping[str, str] = _lower(response.headers)
        self.body: AsyncGenerator[bytes] = self._pieces()

    def whole(self) -> bytes | None:
        """The body, if all of it has come by now, so that nothing is to be awaited.

        None if some of it was read already: a generator that was begun wants to be ended.
        """
        content = self._response.content
        if self._begun or self._closed or not content.is_eof() or content.exception() is not None:
            return None
        rest = content.read_nowait()
        self._close()
        return rest

    async def aclose(self) -> None:
        """Close the socket, unless the body is over: then the connection is in the pool again."""
        self._close()

    async def _pieces(self) -> AsyncGenerator[bytes]:
        self._begun = True
        content = self._response.content
        try:
            while piece := await content.readany():
                yield piece
        except BODY_ERRORS as error:
            # aiohttp raises at once and keeps what had arrived before; it belongs to the answer.
            rest = content._read_nowait(-1)  # pyright: ignore[reportPrivateUsage]
            if rest and not self._closed:
                yield rest
            raise broken_body(error, self._request) from error
        finally:
            self._close()

    def _close(self) -> None:
        self._closed = True
        wire = self._wire
        # A wire that is closing still sends what is buffered, which a stalled server never takes.
        if wire is not None and (self._response.connection is not None or wire.is_closing()):
            wire.abort()
        self._response.close()


class _Response(aiohttp.ClientResponse):
    """aiohttp's response, closing its socket at once when waiting for the head is given up.

    aiohttp closes it only after what is still buffered was sent (a long prompt to a server that
    stalls: never) and, with TLS, after the other side has said goodbye too.
    """

    wire: asyncio.Transport | None = None

    async def start(self, connection: Connection) -> aiohttp.ClientResponse:
        self.wire = connection.transport
        try:
            return await super().start(connection)
        except BaseException:
            if self.wire is not None:
                self.wire.abort()
            raise


async def _notice_hangups() -> None:
    """Let the loop look at its sockets before one is taken from the pool.

    While the loop did not run, or a callback kept it busy, servers may have closed idle connections.
    The first turn polls, and the hang-ups it finds are handled by the time the second one is over.
    """
    await asyncio.sleep(0)
    await asyncio.sleep(0)


def _address(url: str) -> URL | str:
    """The URL as it is sent; what is no proper one is left to aiohttp, which mends or refuses it."""
    if AS_IT_IS.fullmatch(url) is None:
        return url
    with suppress(ValueError):
        address = URL(url, encoded=True)
        if address.host and address.port:  # read from the text only now
            return address
    return url


def _is_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _lower(headers: Mapping[str, str]) -> dict[str, str]:
    """By lower-case name; a repeated header's values are joined by commas (RFC 9110, section 5.3)."""
    lower: dict[str, str] = {}
    for name, value in headers.items():
        name = name.lower()
        lower[name] = f"{lower[name]}, {value}" if name in lower else value
    return lower
