"""Endpoints asked over ASGI, without a server."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec
from starlette.routing import Router

from polyvox.dialects.openai_errors import encode_error
from polyvox.errors import PolyvoxError
from polyvox.gateway.tenants.directory import Directory
from polyvox.gateway.web.door import Door
from polyvox.gateway.web.endpoints import DOOR, MAX_BODY, Endpoint, routes_of

Asked = Callable[..., Awaitable["Answer"]]


class Answer(msgspec.Struct):
    status: int
    text: str

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.text)

    @property
    def error(self) -> str:
        return self.json["error"]["message"]


class Over:
    """The endpoints behind a door."""

    def __init__(self, endpoints: Sequence[Endpoint], directory: Directory, key: str) -> None:
        self._router = Router(routes_of(endpoints))
        self._door = Door(directory)
        self._key = key

    async def __call__(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        key: str | None = None,
        client: str = "127.0.0.1",
        headers: dict[str, str] | None = None,
    ) -> Answer:
        """The answer to one request. ``path`` may have a query."""
        path, _, query = path.partition("?")
        said = {"authorization": f"Bearer {key or self._key}"} | (headers or {})
        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "root_path": "",
            "query_string": query.encode(),
            "headers": [(name.encode(), value.encode()) for name, value in said.items()],
            "client": (client, 5000),
            DOOR: self._door,
            MAX_BODY: 1 << 20,
        }
        sent: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            data = body if isinstance(body, bytes) else msgspec.json.encode(body)
            return {"type": "http.request", "body": b"" if body is None else data}

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        try:
            await self._router(scope, receive, send)
        except PolyvoxError as error:
            status, told = encode_error(error)
            return Answer(error.status or status, told.decode())
        text = b"".join(message.get("body", b"") for message in sent)
        return Answer(sent[0]["status"], text.decode())
