"""The connections of one event loop, in polyvox-native. Imported with the first request."""

from asyncio import AbstractEventLoop
from base64 import b64encode
from collections.abc import AsyncGenerator, Callable, Mapping
from types import TracebackType
from typing import NoReturn
from urllib.parse import unquote, urlsplit

from polyvox_native import Client, Exchange, Failure, Target

from polyvox.errors import ConfigurationError
from polyvox.http import HttpRequest
from polyvox.transport.environment import Proxies
from polyvox.transport.native_errors import broken_body, not_answered
from polyvox.transport.network_errors import closed_before_sending, no_address
from polyvox.transport.urls import AS_IT_IS, encoded

_MOST_TARGETS = 1000
"""So many URLs are remembered; programs ask few, but for those whose paths hold somebody's numbers."""

_Way = tuple[bool, str, int, str | None]
"""How to speak to a proxy: over TLS or not, its host and port, what to say in proxy-authorization."""


class NativePool:
    """A pool in Rust, which works when the loop calls it: for the descriptor that the loop watches."""

    def __init__(self, client: Client, loop: AbstractEventLoop, proxies: Proxies) -> None:
        self._native = client.pool(loop)
        self._loop = loop
        self._proxies = proxies
        self._targets: dict[str, Target] = {}
        self._closed = False
        self._guard: AsyncGenerator[None] | None = None
        try:
            loop.add_reader(self._native.fileno(), self._native.turn)
        except NotImplementedError as error:
            raise ConfigurationError(
                f"{type(loop).__name__}, the event loop that runs here, can't watch a descriptor",
                hint="Say POLYVOX_TRANSPORT=aiohttp, or run a loop that can.",
            ) from error

    async def send(self, request: HttpRequest) -> "NativeResponse":
        """Send, and wait for the head of the answer."""
        if self._closed:
            raise closed_before_sending()
        target = self._targets.get(request.url) or self._target(request)
        try:
            exchange = self._native.send(
                target, request.method, request.headers, request.body, request.connect_timeout
            )
        except Failure as failure:
            raise not_answered(failure, request) from failure
        try:
            while not isinstance(head := exchange.head(), tuple):
                await head
        except Failure as failure:
            raise not_answered(failure, request) from failure
        except BaseException:
            exchange.cancel()
            raise
        return NativeResponse(exchange, request, *head)

    async def close_with_loop(self, closed: Callable[[], object]) -> None:
        """Have the loop close this pool when it shuts its asynchronous generators down.

        ``asyncio.run`` does that before it closes its loop, and no other hook is called there.
        """

        async def guard() -> AsyncGenerator[None]:
            try:
                yield
            finally:
                closed()
                self._close()

        self._guard = guard()
        await anext(self._guard)

    async def aclose(self) -> None:
        """Close all connections, those in use too."""
        if self._guard is not None:
            await self._guard.aclose()

    def abandon(self) -> None:
        """Let go of a loop that was closed under us: nothing can run on it any more."""
        self._closed = True
        self._native.close()

    def _target(self, request: HttpRequest) -> Target:
        """Where the request's URL leads to, remembered for the next request."""
        url, authorization = request.url, None
        if "@" in url or AS_IT_IS.fullmatch(url) is None:
            url, authorization = _mended(request)
        proxy = self._proxies.for_url(request.url)
        way = _way_to(proxy) if proxy else None
        try:
            target = self._native.target(url, way, authorization)
        except Failure as failure:
            raise not_answered(failure, request) from failure
        if len(self._targets) >= _MOST_TARGETS:
            del self._targets[next(iter(self._targets))]
        self._targets[request.url] = target
        return target

    def _close(self) -> None:
        self._closed = True
        self._loop.remove_reader(self._native.fileno())
        self._native.close()
        self._native.turn()  # whoever waits looks, and finds that it is closed


class NativeResponse(AsyncGenerator[bytes]):
    """An answer whose head is there: ``polyvox.http.HttpResponse``, and its own body.

    A generator of Python's would cost more than what it passes on, and so does each further object.
    """

    __slots__ = ("_exchange", "_request", "headers", "status")

    def __init__(
        self, exchange: Exchange, request: HttpRequest, status: int, headers: Mapping[str, str]
    ) -> None:
        self._exchange = exchange
        self._request = request
        self.status = status
        self.headers = headers

    @property
    def body(self) -> "NativeResponse":
        """The pieces of the body."""
        return self

    def whole(self) -> bytes | None:
        """What is left of the body, if all of it has come by now, so that nothing is to be awaited."""
        return self._exchange.whole()

    async def __anext__(self) -> bytes:
        try:
            while not isinstance(piece := self._exchange.read(), bytes):
                await piece
        except Failure as failure:
            raise broken_body(failure, self._request) from failure
        except BaseException:
            self._exchange.cancel()
            raise
        if piece:
            return piece
        raise StopAsyncIteration

    async def asend(self, value: None, /) -> bytes:
        return await self.__anext__()

    async def athrow(
        self,
        kind: type[BaseException] | BaseException,
        error: BaseException | object = None,
        traceback: TracebackType | None = None,
        /,
    ) -> NoReturn:
        """End it, as a generator that does not catch what is thrown into it."""
        self._exchange.cancel()
        raise kind

    async def aclose(self) -> None:
        """Close the socket, unless the body is over: then the connection is in the pool again."""
        self._exchange.cancel()


def _mended(request: HttpRequest) -> tuple[str, str | None]:
    """The URL with all encoded that needs it, and a name and password in it as the header they mean."""
    try:
        url = encoded(request.url)
    except ValueError as error:
        raise no_address(request) from error
    user, at, _ = urlsplit(url).netloc.rpartition("@")
    if not at:
        return url, None
    return url.replace(f"{user}@", "", 1), _basic(user)


def _way_to(proxy: str) -> _Way:
    parts = urlsplit(proxy)
    user, at, _ = parts.netloc.rpartition("@")
    is_tls = parts.scheme == "https"
    port = parts.port or (443 if is_tls else 80)
    return is_tls, parts.hostname or "", port, _basic(user) if at else None


def _basic(user: str) -> str:
    """RFC 7617."""
    name, _, password = user.partition(":")
    secret = f"{unquote(name)}:{unquote(password)}"
    return "Basic " + b64encode(secret.encode()).decode("ascii")
