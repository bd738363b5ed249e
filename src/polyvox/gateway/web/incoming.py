"""One HTTP request and its answer, over ASGI, without anything in between that a call would pay for.

Source of the messages: "HTTP Connection Scope" in the ASGI specification.
"""

import asyncio
from collections.abc import Awaitable, Sequence
from typing import TypeAlias

from polyvox.errors import AbortedError
from polyvox.gateway.web.asgi import Message, Receive, Scope, Send
from polyvox.gateway.web.bodies import too_long
from polyvox.gateway.web.crowd import Crowd
from polyvox.gateway.web.door import REQUEST_ID, headers_of

__all__ = ["Headers", "Incoming"]

_LARGE = 8 << 10

Headers: TypeAlias = Sequence[tuple[bytes, bytes]]


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
        self.notes: Headers = ()

    @property
    def id(self) -> str:
        """The request's id, as the answer's headers have it."""
        return self.scope.get(REQUEST_ID, "")

    @property
    def query(self) -> str:
        """What follows the question mark."""
        return self.scope["query_string"].decode("latin-1")

    async def body(self, most: int) -> bytes:
        """The whole body, which stays to be had again.

        Raises ``BadRequestError`` of status 413, ``AbortedError`` when the caller left.
        """
        if self._body is not None:
            return self._body
        length = self.headers.get("content-length", "")
        if length.isdecimal() and int(length) > most:
            raise too_long(most)
        message = await self._receive()
        body: bytes = message.get("body", b"")
        if message["type"] != "http.request" or message.get("more_body"):
            body = await self._rest(message, most)
        elif len(body) > most:
            raise too_long(most)
        self._body = body
        return body

    async def _rest(self, message: Message, most: int) -> bytes:
        """A body that comes in pieces, of which this is the first."""
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

    def answer(self, status: int, body: bytes, headers: Headers) -> Awaitable[None]:
        """Answer as a whole."""
        length = b"content-length", b"%d" % len(body)
        head = self._head(status, [*headers, length, *self.notes])
        return self.say(head, {"type": "http.response.body", "body": body})

    def begin(self, status: int, headers: Headers) -> Awaitable[None]:
        """The head of an answer."""
        return self.say(self._head(status, [*headers, *self.notes]))

    def _head(self, status: int, headers: Headers) -> Message:
        self.status = status
        return {"type": "http.response.start", "status": status, "headers": headers}

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

    def end(self, data: bytes = b"") -> Awaitable[None]:
        """The body is over with this."""
        return self.say({"type": "http.response.body", "body": data})

    async def say(self, *messages: Message) -> None:
        """Messages to the server; none where nobody listens any more."""
        try:
            for message in messages:
                if not self.left:
                    await self._send(message)
        except (OSError, RuntimeError):  # what servers raise where nobody listens any more
            self.left = True
