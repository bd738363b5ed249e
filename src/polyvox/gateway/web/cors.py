"""Which web pages may call the gateway from a browser: those that the configuration names, else none.

A page needs a key like everybody else, and sends it in a header; cookies count for nothing here, so
nothing is ever said to be allowed with credentials.

Source of the headers: "CORS protocol" in the Fetch standard.
"""

from collections.abc import Sequence
from typing import TypeAlias

from polyvox.gateway.web.asgi import ASGIApp, Message, Receive, Scope, Send

__all__ = ["Cors", "with_cors"]

_Headers: TypeAlias = list[tuple[bytes, bytes]]

_METHODS = b"GET, POST, PUT, PATCH, DELETE"
_SHOWN = (
    b"x-request-id, request-id, x-polyvox-call-id, x-polyvox-model, x-polyvox-cost, x-polyvox-error, "
    b"retry-after, retry-after-ms"
)
_KEPT_SECONDS = b"600"


def with_cors(app: ASGIApp, origins: Sequence[str]) -> ASGIApp:
    """The application, for these pages too; without any it is the application itself."""
    return Cors(app, origins) if origins else app


class Cors:
    """Tells browsers that pages of these origins may call; "*" stands for all pages.

    It is around everything else, so that a page can read refusals and failures as well.
    """

    def __init__(self, app: ASGIApp, origins: Sequence[str]) -> None:
        self._app = app
        self._all = "*" in origins
        self._origins = frozenset(origin.encode("latin-1", "replace") for origin in origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request; everything else than requests is passed on as it is."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers: dict[bytes, bytes] = dict(scope["headers"])
        allowed = self._allowed(headers.get(b"origin"))
        if scope["method"] == "OPTIONS" and b"access-control-request-method" in headers:
            await _answer(send, headers, allowed, [*allowed, *self._vary()])
            return
        added = [*allowed, *self._vary()]
        if allowed:
            added.append((b"access-control-expose-headers", _SHOWN))

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", ()), *added]}
            await send(message)

        await self._app(scope, receive, sending)

    def _allowed(self, origin: bytes | None) -> _Headers:
        if origin is None or not (self._all or origin in self._origins):
            return []
        return [(b"access-control-allow-origin", b"*" if self._all else origin)]

    def _vary(self) -> _Headers:
        """What is answered to one page must not be given to another one by a cache."""
        return [] if self._all else [(b"vary", b"Origin")]


async def _answer(
    send: Send, headers: dict[bytes, bytes], allowed: _Headers, answer: _Headers
) -> None:
    """What a browser asks before the request itself."""
    if allowed:
        answer.append((b"access-control-allow-methods", _METHODS))
        answer.append((b"access-control-max-age", _KEPT_SECONDS))
        wanted = headers.get(b"access-control-request-headers")
        if wanted:  # "*" would leave the key's own header out
            answer.append((b"access-control-allow-headers", wanted))
    status = 204 if allowed else 403
    await send({"type": "http.response.start", "status": status, "headers": answer})
    await send({"type": "http.response.body", "body": b""})
