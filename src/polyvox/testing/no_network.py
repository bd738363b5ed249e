"""A guard that keeps tests off the network."""

import ipaddress
import os
import socket
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from typing import Any
from urllib.parse import urlsplit

from polyvox.errors import ConfigurationError
from polyvox.http import HttpRequest, HttpResponse
from polyvox.transport.environment import Proxies
from polyvox.transport.native import NativeTransport

_HINT = (
    "Ask a simulated model or a MockProvider instead (see polyvox.testing), or take the test out of"
    " forbid_network."
)


class NetworkForbiddenError(ConfigurationError):
    """A program under ``forbid_network`` tried to leave this machine."""

    kind = "network_forbidden"


@contextmanager
def forbid_network() -> Generator[None]:
    """Let sockets reach only this machine while the context lasts, in all threads.

    Looking up a name other than "localhost", and connecting or sending to an address that is not the
    loopback's, raises ``NetworkForbiddenError``; Unix sockets work. It holds for whatever uses
    Python's ``socket`` module, asyncio included, and for our own transport in Rust, but not for other
    compiled code with sockets of its own (uvloop, aiodns' look-ups).

    >>> with forbid_network():
    ...     socket.create_connection(("api.openai.com", 443))
    Traceback (most recent call last):
    polyvox.testing.no_network.NetworkForbiddenError: the network is forbidden here: api.openai.com...
    """
    look_up, send = socket.getaddrinfo, NativeTransport.send
    connect, connect_ex, sendto = (
        socket.socket.connect,
        socket.socket.connect_ex,
        socket.socket.sendto,
    )

    def guarded_look_up(host: Any, *args: Any, **kwargs: Any) -> Any:
        _check_host(host)
        return look_up(host, *args, **kwargs)

    def guarded_connect(self: socket.socket, address: Any, /) -> None:
        _check_target(self, address)
        connect(self, address)

    def guarded_connect_ex(self: socket.socket, address: Any, /) -> int:
        _check_target(self, address)
        return connect_ex(self, address)

    def guarded_sendto(self: socket.socket, data: Any, /, *args: Any) -> int:
        _check_address(self, args[-1])
        return sendto(self, data, *args)

    async def guarded_send(self: NativeTransport, request: HttpRequest) -> HttpResponse:
        _check_url(Proxies(os.environ).for_url(request.url) or request.url)
        return await send(self, request)

    with ExitStack() as stack:
        stack.enter_context(_patched(socket, "getaddrinfo", guarded_look_up))
        stack.enter_context(_patched(socket.socket, "connect", guarded_connect))
        stack.enter_context(_patched(socket.socket, "connect_ex", guarded_connect_ex))
        stack.enter_context(_patched(socket.socket, "sendto", guarded_sendto))
        stack.enter_context(_patched(NativeTransport, "send", guarded_send))
        yield


@contextmanager
def _patched(owner: Any, name: str, guarded: object) -> Generator[None]:
    original = getattr(owner, name)
    setattr(owner, name, guarded)
    try:
        yield
    finally:
        setattr(owner, name, original)


def _check_host(host: object) -> None:
    if isinstance(host, bytes):
        host = host.decode("ascii", "replace")
    if host in (None, "") or not isinstance(host, str):
        return
    name = host.rstrip(".").casefold()
    if name == "localhost" or name.endswith(".localhost") or _ip_address(name) is not None:
        return  # an address is judged when something is sent there
    raise _forbidden(host)


def _check_target(sock: socket.socket, address: object) -> None:
    try:
        _check_address(sock, address)
    except NetworkForbiddenError:
        # Those who connect close their socket on an OSError. This is none, lest it be taken for a
        # failing network and tried again.
        sock.close()
        raise


def _check_address(sock: socket.socket, address: object) -> None:
    if sock.family in (socket.AF_INET, socket.AF_INET6) and isinstance(address, tuple):
        _check_destination(str(address[0]))  # pyright: ignore[reportUnknownArgumentType]


def _check_url(url: str) -> None:
    if host := urlsplit(url).hostname:  # without one nothing can be sent, and its sender says so
        _check_destination(host)


def _check_destination(host: str) -> None:
    parsed = _ip_address(host)
    if parsed is None:
        _check_host(host)
    elif not (parsed.is_loopback or parsed.is_unspecified):
        raise _forbidden(host)


def _ip_address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        parsed = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
    return mapped or parsed


def _forbidden(host: str) -> NetworkForbiddenError:
    return NetworkForbiddenError(f"the network is forbidden here: {host} was asked for", hint=_HINT)
