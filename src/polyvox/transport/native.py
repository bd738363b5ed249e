"""The transport in Rust: the wheel polyvox-native, behind the seam of ``polyvox.http``."""

import os
import threading
from asyncio import get_running_loop
from os import getpid
from typing import TYPE_CHECKING

from polyvox.errors import ConfigurationError
from polyvox.http import HttpRequest, HttpResponse
from polyvox.transport.choice import choose_transport
from polyvox.transport.environment import Proxies, named_certificates
from polyvox.transport.per_loop import PerLoop

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from polyvox_native import Client

    from polyvox.transport.native_pool import NativePool


class NativeTransport(PerLoop["NativePool"]):
    """Sends requests with polyvox-native, which is imported when the first one is sent.

    What holds for ``AiohttpTransport`` holds here: one transport for any number of event loops and
    threads, each loop with a pool of its own that is closed with it, at most ``max_connections`` in
    use or kept alive for ``keep_alive`` seconds per loop, proxies and trusted certificates from the
    environment, no redirects, no cookies, decompressed bodies, no request sent twice.

    Rust does its work in the event loop's own thread, when there is something to read or to write. It
    reads ahead, up to about 256 KiB per answer, and a reader gets all that has come since it looked
    last. Small pieces that come in quick succession, more than about 4,000 a second, come in batches,
    a millisecond's at a time. Servers that know HTTP/2 are spoken to in it, over TLS; each of its
    streams counts as a connection in use. A forked process makes its own connections. A loop must
    be able to watch a descriptor, as all do but Windows' proactor.

    An ``ssl_context`` and ``may_reach`` are refused: only ``AiohttpTransport`` can keep to them.
    """

    def __init__(
        self,
        *,
        max_connections: int = 1000,
        keep_alive: float = 30.0,
        ssl_context: "ssl.SSLContext | None" = None,
        may_reach: "Callable[[str], bool] | None" = None,
    ) -> None:
        for name, given in (("ssl_context", ssl_context), ("may_reach", may_reach)):
            if given is not None:
                raise ConfigurationError(
                    f"NativeTransport can't keep to {name}", hint="AiohttpTransport can: use that."
                )
        super().__init__()
        self._max_connections = max_connections
        self._keep_alive = keep_alive
        self._client: Client | None = None
        self._proxies = Proxies({})
        self._process = getpid()
        self._inherited: list[object] = []

    async def send(self, request: HttpRequest) -> HttpResponse:
        """Send, and wait for the head of the answer, whatever its status.

        Raises ``NetworkError``, ``RequestTimeoutError("connect")``, ``ProtocolError`` for a head
        that is no HTTP, ``ConfigurationError`` for an address or environment that can't be used.
        """
        if self._process != getpid():
            self._begin_anew()
        pool = self._pools.get(get_running_loop()) or await self._open_pool()
        return await pool.send(request)

    async def aclose(self) -> None:
        """Close all connections, also in the middle of an answer. Sending is an error from now on."""
        if self._process != getpid():
            self._begin_anew()
        await super().aclose()
        client, self._client = self._client, None
        if client is not None:
            client.close()

    def _new_pool(self) -> "NativePool":
        choose_transport("native")  # says what to do where the wheel is not installed
        from polyvox.transport.native_pool import NativePool

        if self._client is None:
            self._client = self._new_client()
            self._proxies = Proxies(os.environ)
        return NativePool(self._client, get_running_loop(), self._proxies)

    def _new_client(self) -> "Client":
        from polyvox_native import Client

        found = named_certificates()
        places = None if found is None else (found.files, found.directories)
        return Client(self._max_connections, self._keep_alive, places)

    def _begin_anew(self) -> None:
        """In a forked process: the sockets, and what watches them, are the parent's."""
        # Kept for ever, so that nothing is closed; who held the lock, too, is not here.
        self._inherited += [self._client, self._pools, self._lock]
        self._client, self._pools, self._lock = None, {}, threading.Lock()
        self._process = getpid()
