"""Who may open a WebSocket: from which pages, and with which key.

A browser lets any page open a WebSocket, and says whose page it is; so pages are refused unless the
configuration names them, those of the gateway's own address like all others. Programs send no origin,
and need a key alone. What stands in the address is no key here: addresses are written into logs.
"""

from collections.abc import Sequence

from polyvox.dialects.openai_errors import encode_error
from polyvox.errors import PermissionDeniedError, PolyvoxError
from polyvox.gateway.asking.refusals import status_of
from polyvox.gateway.tenants.access import Access
from polyvox.gateway.web.asgi import Scope, Send
from polyvox.gateway.web.door import FAILURE, KEY_HEADERS, UNSURE, Door, headers_of

__all__ = ["PROTOCOL", "Pass", "check_origin", "refuse"]

PROTOCOL = "polyvox"
"""The protocol that is agreed on, where the client names any."""

_KEY_PROTOCOL = "polyvox.key."


class Pass:
    """The key of one connection. It is looked at anew for each call: it may have been revoked."""

    def __init__(self, door: Door, scope: Scope) -> None:
        self._door = door
        # Gemini's key in the address, and whatever else stands in there, counts for nothing.
        self._scope: Scope = {**scope, "query_string": b""}
        headers = headers_of(scope)
        self._headers = {name: headers[name] for name in KEY_HEADERS if headers.get(name)}
        offered: list[str] = list(scope.get("subprotocols") or ())
        self.protocol = PROTOCOL if PROTOCOL in offered else None
        keys = [
            each.removeprefix(_KEY_PROTOCOL) for each in offered if each.startswith(_KEY_PROTOCOL)
        ]
        if keys and not self._headers:
            self.show(keys[0])

    @property
    def shown(self) -> bool:
        """Whether there is a key yet."""
        return bool(self._headers)

    def show(self, key: str) -> None:
        """Show the key."""
        self._headers = {"authorization": f"Bearer {key}"}

    def enter(self, use: str) -> Access:
        """Whose it is. Raises ``PolyvoxError`` where it is not good, or not for this use."""
        return self._door.enter(self._scope, self._headers, use)

    async def meet(self) -> None:
        """See for the first time whether it is good. Raises ``PolyvoxError``."""
        try:
            self.enter("")
        except UNSURE:
            await self._door.enter_after_all(self._scope, self._headers, "")


def check_origin(scope: Scope, origins: Sequence[str]) -> None:
    """Raises ``PermissionDeniedError`` for a page that is not among the origins."""
    origin = headers_of(scope).get("origin")
    if origin is not None and origin not in origins and "*" not in origins:
        raise PermissionDeniedError(
            "this page may not open a WebSocket here",
            hint="Name its origin in gateway.origins of the configuration.",
        )


async def refuse(scope: Scope, send: Send, error: PolyvoxError) -> None:
    """Refuse the connection: with a status and a reason, where the server can tell them.

    Source: "WebSocket Denial Response" among the extensions of the ASGI specification.
    """
    scope[FAILURE] = error
    if "websocket.http.response" not in (scope.get("extensions") or {}):
        await send({"type": "websocket.close", "code": 1008, "reason": error.text})
        return
    written, body = encode_error(error)
    headers = [(b"content-type", b"application/json")]
    status = status_of(error, written)
    start = {"type": "websocket.http.response.start", "status": status, "headers": headers}
    await send(start)
    await send({"type": "websocket.http.response.body", "body": body})
