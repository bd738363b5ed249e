"""Proxies that are believed: who stands behind them is who they say.

Anybody can write ``X-Forwarded-For``; a proxy puts at its end the address that it was asked from. So it is
read from its end, as long as a proxy that is named in ``[gateway] proxies`` has written it, and what such a
one was asked from is where the request is from: for the ``addresses`` of a key, and in the log. No other
header of a proxy means anything.

Source: "X-Forwarded-For" of the MDN reference on HTTP headers, "Selecting an IP address".
"""

from collections.abc import Sequence

from polyvox.gateway.tenants.addresses import is_from
from polyvox.gateway.web.asgi import ASGIApp, Receive, Scope, Send

__all__ = ["Proxied", "behind", "with_proxies"]

_HEADER = b"x-forwarded-for"
_LONGEST = 64


def with_proxies(app: ASGIApp, proxies: Sequence[str]) -> ASGIApp:
    """The application behind these proxies; without any it is the application itself."""
    return Proxied(app, proxies) if proxies else app


class Proxied:
    """Tells the application the address of whoever asked the proxies."""

    def __init__(self, app: ASGIApp, proxies: Sequence[str]) -> None:
        self._app = app
        self._proxies = tuple(proxies)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request or WebSocket; everything else is passed on as it is."""
        client = scope.get("client")
        if client and is_from(self._proxies, client[0]):
            said = [value for name, value in scope["headers"] if name == _HEADER]
            if said:
                told = b",".join(said).decode("latin-1")
                scope = {**scope, "client": (behind(told, self._proxies), 0)}
        await self._app(scope, receive, send)


def behind(told: str, proxies: Sequence[str]) -> str:
    """Who asked the first of the proxies that can be believed, by what they told one another.

    >>> behind("6.6.6.6, 8.8.8.8, 10.0.0.2", ["10.0.0.0/8"])
    '8.8.8.8'
    """
    addresses = [_address(each) for each in told.split(",")]
    others = (each for each in reversed(addresses) if not is_from(proxies, each))
    return next(others, addresses[0])


def _address(text: str) -> str:
    """An address without its port: "1.2.3.4:80", "[::1]:80", "::1"."""
    text = text.strip()[:_LONGEST]
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.partition(":")[0] if text.count(":") == 1 else text
