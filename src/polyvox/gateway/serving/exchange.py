"""One request and its answer under uvicorn; head and body of a whole answer leave in one piece.

uvicorn writes the head by itself. That is one more call of the system for each answer, which costs as much
as everything that is done here; and without TCP_NODELAY the body would wait until the head has arrived.

Source of the messages: "HTTP Connection Scope" in the ASGI specification; of what a head may hold: "Field
Values" in RFC 9110.
"""

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

__all__ = ["Exchange"]

_SMALL = 64 << 10  # larger ones are not copied for the sake of one call
_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_CONTROLS = bytes(code for code in (*range(32), 127) if code != 9)
_NO_BODY = (204, 304)


class Exchange(RequestResponseCycle):
    """As uvicorn's, but for ``send``.

    The head of an answer whose length is known waits for the first piece of its body. That of any other
    is sent at once: a stream begins when its application says so.
    """

    _held = b""

    async def send(self, message: Any) -> None:
        """Take a message of the application."""
        if self.flow.write_paused and not self.disconnected:
            await self.flow.drain()
        if self.disconnected:
            return
        kind: str = message["type"]
        if kind == "http.response.start" and not self.response_started:
            self._begin(message["status"], message.get("headers", ()))
        elif kind == "http.response.body" and self.response_started and not self.response_complete:
            more = message.get("more_body", False)
            self._go_on(message.get("body", b""), more=more)
            if not more:
                self._end()
        else:
            raise RuntimeError(f"{kind!r} has no place here in an answer")

    def _begin(self, status: int, headers: Iterable[tuple[bytes, bytes]]) -> None:
        self.response_started = True
        self.waiting_for_100_continue = False
        lines = [STATUS_LINE[status]]
        says_close = False
        for name, value in (*self.default_headers, *headers):
            name = _checked(name)
            if name in _FRAMING:
                says_close = self._frame(name, value.lower()) or says_close
            lines.append(b"%b: %b\r\n" % (name, value))
        if not self.keep_alive and not says_close:
            lines.append(b"connection: close\r\n")
        if self.chunked_encoding is None and not self._is_bare(status):
            self.chunked_encoding = True
            lines.append(b"transfer-encoding: chunked\r\n")
        lines.append(b"\r\n")
        head = b"".join(lines)
        if len(head) - len(head.translate(None, _CONTROLS)) != 2 * len(lines):
            raise RuntimeError("there is a control character in the head of an answer")
        if self.chunked_encoding:
            self.transport.write(head)
        else:
            self._held = head

    def _is_bare(self, status: int) -> bool:
        return status in _NO_BODY or self.scope["method"] == "HEAD"

    def _frame(self, name: bytes, value: bytes) -> bool:
        """What a header says of the body's end; whether it says that the connection ends."""
        if name == b"content-length" and self.chunked_encoding is None:
            self.expected_content_length = int(value)
            self.chunked_encoding = False
        elif name == b"transfer-encoding" and value == b"chunked":
            self.expected_content_length = 0
            self.chunked_encoding = True
        elif name == b"connection" and b"close" in re.split(rb"[\s,]+", value):
            self.keep_alive = False
            return True
        return False

    def _go_on(self, body: bytes, *, more: bool) -> None:
        if self.scope["method"] == "HEAD":
            self.expected_content_length, body = 0, b""
        elif self.chunked_encoding:
            chunk = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
            body = chunk if more else chunk + b"0\r\n\r\n"
        elif len(body) > self.expected_content_length:
            raise RuntimeError("an answer is longer than its content-length")
        else:
            self.expected_content_length -= len(body)
        if self._held:
            held, self._held = self._held, b""
            if len(body) < _SMALL:
                body = held + body
            else:
                self.transport.write(held)
        if body:
            self.transport.write(body)

    def _end(self) -> None:
        if self.expected_content_length:
            raise RuntimeError("an answer is shorter than its content-length")
        self.response_complete = True
        self.message_event.set()
        if not self.keep_alive:
            self.transport.close()
        self.on_response()


_FRAMING = frozenset((b"content-length", b"transfer-encoding", b"connection"))


@lru_cache(256)
def _checked(name: bytes) -> bytes:
    """A header's name as it is written. Raises ``RuntimeError`` for what is none."""
    if not _NAME.fullmatch(name):
        raise RuntimeError("this is no name of a header")
    return name.lower()
