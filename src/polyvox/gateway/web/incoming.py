"""One HTTP request and its answer, over ASGI, without anything in between that a call would pay for.

Source of the messages: "HTTP Connection Scope" in the ASGI specification.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, TypeAlias

from polyvox.errors import AbortedError
from polyvox.gateway.web.bodies import too_long
from polyvox.gateway.web.crowd import Crowd
from polyvox.gateway.web.door import Scope, headers_of

__all__ = ["Incoming", "Receive", "Send"]

_LARGE = 8 << 10

Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]


class Incoming:
    """A request as it came, and the way back.

    ``status`` is that of the answer, 0 until one has begun; ``left`` whether the caller is gone.
    ``notes`` are headers that every answer to it has; ``crowd`` knows all who wait for one.
    """

    __slots__ = (
        "_body",
        "_receive",
        "_send",
        "crowd",
        "headers",
        "left",
        "method",
        "notes",
        "path",
        "scope",
        "status",
    )

    def __init__(
        self, scope: Scope, receive: Receive, send: Send, crowd: Crowd | None = None
    ) -> None:
        self.scope = scope
        self.crowd = crowd or Crowd()
        self._receive = receive
        self._send = send
        self._body: bytes | None = None
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.headers = headers_of(scope)
        self.status = 0
        self.left = False
        self.notes: dict[str, str] = {}

    @property
    def query(self) -> str:
        """What follows the question mark."""
        return self.scope["query_string"].decode("latin-1")

    async def body(self, most: int) -> bytes:
        """The whole body, which stays to be had again.

        Raises ``BadRequestError`` of status 413, ``AbortedError`` when the caller left.
        """
        if self._body is None:
            self._body = await self._read(most)
        return self._body

    async def _read(self, most: int) -> bytes:
        length = self.headers.get("content-length", "")
        if length.isdecimal() and int(length) > most:
            raise too_long(most)
        message = await self._receive()
        if message["type"] == "http.request" and not message.get("more_body"):
            body: bytes = message.get("body", b"")
            if len(body) > most:
                raise too_long(most)
            return body
        parts, size = list[bytes](), 0
        while message["type"] == "http.request":
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            if size > most:
                raise too_long(most)
            if not message.get("more_body"):
                return b"".join(parts)
            message = await self._receive()
        self.left = True
        raise AbortedError("the caller left before the request was whole")

    async def gone(self) -> None:
        """Wait until the caller leaves; the body must have been read."""
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self.left = True

    async def answer(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        """Answer as a whole."""
        await self.begin(status, {**headers, "content-length": str(len(body))})
        await self.end(body)

    async def begin(self, status: int, headers: Mapping[str, str]) -> None:
        """The head of an answer."""
        self.status = status
        pairs = [
            (name.encode(), value.encode("latin-1", "replace"))
            for name, value in {**headers, **self.notes}.items()
        ]
        await self.say({"type": "http.response.start", "status": status, "headers": pairs})

    async def piece(self, data: bytes) -> None:
        """A piece of its body, as soon as the connection takes it.

        After a large one others have their turn: between a provider and a caller who are both fast,
        nothing else would ever wait, nor would it be seen that the caller has left.
        """
        await self.say({"type": "http.response.body", "body": data, "more_body": True})
        if len(data) > _LARGE:
            await asyncio.sleep(0)
            if self.left:  # whoever watches for that is told in this turn, and may end it all
                await asyncio.sleep(0)

    async def end(self, data: bytes = b"") -> None:
        """The body is over with this."""
        await self.say({"type": "http.response.body", "body": data})

    async def say(self, message: Message) -> None:
        """A message to the server; none where nobody listens any more."""
        if self.left:
            return
        try:
            await self._send(message)
        except (OSError, RuntimeError):  # what servers raise where nobody listens any more
            self.left = True
