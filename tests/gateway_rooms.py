"""The endpoints of a room, asked in this process as a server would."""

from collections.abc import Sequence
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import msgspec
from starlette.responses import Response
from starlette.routing import Router

from polyvox.dialects.openai_errors import encode_error
from polyvox.errors import AuthenticationError, PolyvoxError
from polyvox.gateway.tenants.access import Access
from polyvox.gateway.web.door import Door
from polyvox.gateway.web.endpoints import DOOR, MAX_BODY, Endpoint, routes_of

__all__ = ["Answer", "Room"]


class Answer(NamedTuple):
    """What came back."""

    status: int
    body: bytes
    kind: str

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.body)


class Room:
    """Endpoints behind a door that knows these keys; a key's secret is its id."""

    def __init__(self, endpoints: Sequence[Endpoint], *known: Access) -> None:
        self._router = Router(routes_of(endpoints))
        self._known = {access.key: access for access in known}
        self._door = Door(self)

    async def look_for(self, secret: str) -> None:
        """Nobody else makes any."""

    def find(self, secret: str, address: str | None) -> Access:
        if secret not in self._known:
            raise AuthenticationError("this key is not known")
        return self._known[secret]

    async def ask(self, key: str, method: str, path: str, body: Any = None) -> Answer:
        parts = urlsplit(path)
        data = (
            body if isinstance(body, bytes) else b"" if body is None else msgspec.json.encode(body)
        )
        scope = {
            "type": "http",
            "method": method,
            "path": parts.path,
            "query_string": parts.query.encode(),
            "headers": [(b"authorization", f"Bearer {key}".encode())],
            "client": ("127.0.0.1", 1),
            DOOR: self._door,
            MAX_BODY: 1 << 20,
        }
        sent: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": data}

        async def send(message: Any) -> None:
            sent.append(message)

        try:
            await self._router(scope, receive, send)
        except PolyvoxError as error:
            status, told = encode_error(error)
            await Response(told, error.status or status)(scope, receive, send)
        headers = dict(sent[0]["headers"])
        whole = b"".join(each.get("body", b"") for each in sent[1:])
        return Answer(sent[0]["status"], whole, headers.get(b"content-type", b"").decode())
