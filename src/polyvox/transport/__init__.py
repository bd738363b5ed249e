"""Transport: bytes over the network, and the deadlines around them.

Belongs here: HTTP connections and their pools, TLS, proxies, deadlines, interrupts, and the
translation of an HTTP library's exceptions into ours.
Does not belong here: what the bytes mean, retries, keys, prices, anything a provider says.

``default_transport`` decides who moves the bytes: ``AiohttpTransport``, which is always there, or
``NativeTransport``, where the wheel polyvox-native is installed. ``exchange`` keeps the deadlines
around it or around any other ``polyvox.http.Transport``. Nothing is loaded before it is used: not
aiohttp, asyncio or ssl.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from polyvox.transport.aiohttp_transport import AiohttpTransport
    from polyvox.transport.choice import TransportName, choose_transport, default_transport
    from polyvox.transport.deadlines import exchange, read_all
    from polyvox.transport.public_addresses import is_public

__all__ = [
    "AiohttpTransport",
    "TransportName",
    "choose_transport",
    "default_transport",
    "exchange",
    "is_public",
    "read_all",
]

_HOMES = {
    "AiohttpTransport": "aiohttp_transport",
    "TransportName": "choice",
    "choose_transport": "choice",
    "default_transport": "choice",
    "exchange": "deadlines",
    "is_public": "public_addresses",
    "read_all": "deadlines",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
