"""The transport that is always there: aiohttp, behind the seam of ``polyvox.http``."""

import asyncio
import os
from typing import TYPE_CHECKING

from polyvox.http import HttpRequest, HttpResponse
from polyvox.transport.environment import Proxies, tls_context
from polyvox.transport.per_loop import PerLoop

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from polyvox.transport.aiohttp_pool import Pool


class AiohttpTransport(PerLoop["Pool"]):
    """Sends requests with aiohttp, which is imported when the first one is sent.

    One transport serves any number of event loops and threads: each loop has a pool of its own, and
    all share one TLS context. At most ``max_connections`` are open per loop, in use or kept alive
    for ``keep_alive`` seconds; further requests wait for a free one, as long as their
    ``connect_timeout`` allows. Proxies and trusted certificates come from the environment, read at
    the first request; an ``ssl_context`` given here stands above it. Redirects are not followed,
    cookies are not kept, compressed bodies arrive decompressed.

    With ``may_reach`` only addresses of which it says so are connected to, such as ``is_public``:
    for URLs from outside, which must not lead to what only this machine can reach. It is asked about
    the very addresses that are connected to, so that no answer of a name server comes in between,
    and a name is refused if one of its addresses is. Proxies would look names up by themselves and
    are not used then. What is refused is a ``BadRequestError``.

    A pool is closed with its loop where the loop is run by ``asyncio.run`` or ``asyncio.Runner``,
    otherwise by ``aclose`` or ``async with``.

    **A request is never sent twice behind the caller's back**, a GET excepted. When the server
    closes a kept-alive connection just as we send on it, nobody can know whether the request was
    processed (RFC 9110, section 9.2.2: no automatic retry unless the method is idempotent), and
    another answer may cost money. So this is a ``NetworkError`` that says so and is ``retryable``:
    whoever holds the retry policy decides. That it stays rare, connections which were closed while
    nobody looked are sorted out before each send.

    >>> import asyncio
    >>> from polyvox.http import HttpRequest
    >>> async def status(url):
    ...     async with AiohttpTransport() as transport:
    ...         response = await transport.send(HttpRequest("GET", url, {}))
    ...         await response.aclose()
    ...         return response.status
    >>> asyncio.run(status("http://127.0.0.1:9/"))  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    polyvox.errors.NetworkError: can't connect to 127.0.0.1:9: ...
    """

    def __init__(
        self,
        *,
        max_connections: int = 1000,
        keep_alive: float = 30.0,
        ssl_context: "ssl.SSLContext | None" = None,
        may_reach: "Callable[[str], bool] | None" = None,
    ) -> None:
        super().__init__()
        self._max_connections = max_connections
        self._keep_alive = keep_alive
        self._ssl_context = ssl_context
        self._may_reach = may_reach
        self._proxies: Proxies | None = None

    async def send(self, request: HttpRequest) -> HttpResponse:
        """Send, and wait for the head of the answer, whatever its status.

        Raises ``NetworkError``, ``RequestTimeoutError("connect")``, ``ProtocolError`` for a head
        that is no HTTP, ``ConfigurationError`` for an address or environment that can't be used.
        """
        pool = self._pools.get(asyncio.get_running_loop()) or await self._open_pool()
        proxies = self._proxies or Proxies({})
        return await pool.send(request, proxies.for_url(request.url))

    def _new_pool(self) -> "Pool":
        from polyvox.transport.aiohttp_pool import Pool

        if self._proxies is None:
            self._ssl_context = self._ssl_context or tls_context()
            self._proxies = Proxies(os.environ if self._may_reach is None else {})
        return Pool(self._max_connections, self._keep_alive, self._ssl_context, self._may_reach)
