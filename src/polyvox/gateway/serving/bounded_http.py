"""uvicorn's reading of HTTP, with bounds that it has not: on heads, and on how long a peer may do nothing.

What stands here costs a request nothing that comes in one piece: timers run only while one is unfinished,
or while its answer is not taken; and one for the whole of a connection, which looks whether it is still used.

Codes: "Request Header Fields Too Large" in RFC 6585, "Bad Request" in RFC 9110.
"""

import asyncio
import fcntl
import socket
import struct
import termios
from collections import deque
from typing import Any
from urllib.parse import unquote

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from polyvox.dialects.openai_errors import encode_error
from polyvox.errors import BadRequestError
from polyvox.gateway.serving.exchange import Exchange

__all__ = ["BoundedHttp"]

_REASONS = {400: b"Bad Request", 431: b"Request Header Fields Too Large"}


class _TooLargeError(Exception):
    """A head is over the bounds."""


class BoundedHttp(HttpToolsProtocol):
    """One connection.

    ``head_bytes``      how long a head may be, its first line with it; more is told 431
    ``head_fields``     how many headers there may be; more is told 431
    ``arrive_seconds``  how long a head may take, and how long nothing may come of a body
    ``leave_seconds``   how long a caller may take nothing of an answer
    ``unread_bytes``    how much of a body may still come when its answer is given
    ``requests_ahead``  how many requests may come before the answer to an earlier one
    """

    head_bytes = 64 << 10
    head_fields = 100
    arrive_seconds = 60.0
    leave_seconds = 120.0
    unread_bytes = 1 << 20
    requests_ahead = 10

    app: Any

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self._in_head = self._unfinished = self._came = False
        self._loose = 0  # bytes since something whole came: a head, a piece of a body
        self._unread = self._size = 0
        self._now: Exchange | None = None  # the request that is being answered, or was last
        self._next = deque[Exchange]()  # those that came before its answer
        self._arrival: asyncio.TimerHandle | None = None
        self._leaving: asyncio.TimerHandle | None = None
        self._keeper: asyncio.TimerHandle | None = None
        self._quiet_since = 0.0
        self._refused: int | None = None

    # ------------------------------------------------------------------------------ the connection

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._await_more()

    def connection_lost(self, exc: Exception | None) -> None:
        self._rest()
        self._keep_no_longer()
        self.resume_writing()
        super().connection_lost(exc)
        if self._next and self._now is not None:  # uvicorn tells the last one, which has not begun
            self._now.disconnected = True
            self._now.message_event.set()
        self._next.clear()

    def data_received(self, data: bytes) -> None:
        if self._refused is not None:
            return
        self._came = False
        super().data_received(data)
        self._loose = 0 if self._came else self._loose + len(data)
        if self._loose > self.head_bytes:
            self._refuse(431)
        elif self._refused is None and (self._unfinished or self._idle()):
            self._await_more()
        else:
            self._rest()

    def handle_websocket_upgrade(self) -> None:
        self._rest()
        self._keep_no_longer()
        self._unfinished = False
        super().handle_websocket_upgrade()

    def send_400_response(self, msg: str) -> None:
        self._refuse(400)

    # ------------------------------------------------------------------------------- what is parsed

    def on_message_begin(self) -> None:
        self._in_head = self._unfinished = True
        self._unread = self._size = 0
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._in_head:  # what comes behind a body is no header, and decides nothing
            self._size += len(name) + len(value)
            name = name.lower()
            self.headers.append((name, value))
            if name == b"expect" and value.lower() == b"100-continue":
                self.expect_100_continue = True

    def on_headers_complete(self) -> None:
        self._came = True
        if self._size + len(self.url) > self.head_bytes or len(self.headers) > self.head_fields:
            self._refuse(431)
            raise _TooLargeError
        self._in_head = False
        parser: Any = self.parser
        scope = self.scope
        scope["method"] = parser.get_method().decode("ascii")
        scope["http_version"] = version = parser.get_http_version()
        if parser.should_upgrade() and self._should_upgrade():
            return
        url = httptools.parse_url(self.url)
        path: str = url.path.decode("ascii")
        scope["path"] = unquote(path) if "%" in path else path
        scope["raw_path"] = url.path
        scope["query_string"] = url.query or b""
        self._begin(keep_alive=version != "1.0" and parser.should_keep_alive())

    def _begin(self, *, keep_alive: bool) -> None:
        """Have the request answered, when all before it on this connection are."""
        is_next = self._answered()
        self.cycle = exchange = Exchange(
            scope=self.scope,
            transport=self.transport,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=False,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=self.expect_100_continue,
            keep_alive=keep_alive,
            on_response=self.on_response_complete,
        )
        if is_next:
            self._start(exchange)
        else:
            self._next.append(exchange)
            if len(self._next) >= self.requests_ahead:  # else it is seen when the caller leaves
                self.flow.pause_reading()

    def _start(self, exchange: Exchange) -> None:
        self._now = exchange
        task = self.loop.create_task(exchange.run_asgi(self.app))
        task.add_done_callback(self.tasks.discard)
        self.tasks.add(task)

    def on_body(self, body: bytes) -> None:
        self._came = True
        if self._answered():
            self._unread += len(body)
            if self._unread > self.unread_bytes:
                self.transport.close()
                self._leave()
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._came, self._unfinished = True, False
        super().on_message_complete()

    def _refuse(self, status: int) -> None:
        """Hang up when what came before is answered. A request whose body is wrong is never answered."""
        if self._refused is not None:
            return
        self._refused = status
        self._rest()
        in_body = self._unfinished and not self._in_head
        if in_body and self._next:
            self._next.pop()
        elif in_body or self._answered():
            self._hang_up(status)

    def _hang_up(self, status: int) -> None:
        """Tell what is wrong, unless another answer is on its way."""
        if self._answered():
            self.transport.write(_told(status, self.head_bytes, self.head_fields))
        self.transport.close()
        self._leave()

    # ----------------------------------------------------------------------------- who does nothing

    def _answered(self) -> bool:
        cycle: Any = self.cycle  # None before the first request
        return cycle is None or bool(cycle.response_complete)

    def _idle(self) -> bool:
        """Whether nobody waits for anything, and nobody looks whether the connection is used."""
        return self._answered() and self._keeper is None and not self.transport.is_closing()

    def _await_more(self) -> None:
        if self._arrival is None:
            self._arrival = self.loop.call_later(self.arrive_seconds, self._late)

    def _rest(self) -> None:
        if self._arrival is not None:
            self._arrival.cancel()
            self._arrival = None

    def _late(self) -> None:
        self._arrival = None
        in_body = self._unfinished and not self._in_head
        behind = self._in_head and not self._answered()  # an answer that takes its time
        if behind or (in_body and (self._came or self.flow.read_paused)):
            self._came = False
            self._await_more()
        else:
            self.transport.abort()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._leave()

    def resume_writing(self) -> None:
        if self._leaving is not None:
            self._leaving.cancel()
            self._leaving = None
        super().resume_writing()

    def on_response_complete(self) -> None:
        """Go on with the next request, if there is one; else look some time whether one has come."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            self._leave()
            return
        self.flow.resume_reading()
        if self._next:
            self._start(self._next.popleft())
            return
        if self._refused is not None:
            self._hang_up(self._refused)
            return
        self._quiet_since = self.loop.time()
        if self._keeper is None:
            self._keep(self.timeout_keep_alive)

    def _keep(self, seconds: float) -> None:
        self._keeper = self.loop.call_later(seconds, self._look)

    def _keep_no_longer(self) -> None:
        if self._keeper is not None:
            self._keeper.cancel()
            self._keeper = None

    def _look(self) -> None:
        """Whether the connection is still used. A timer for each answer would cost more than this one."""
        self._keeper = None
        if self._unfinished or not self._answered():
            return  # its answer sees to it that somebody looks again
        left = self._quiet_since + self.timeout_keep_alive - self.loop.time()
        if left > 0:
            self._keep(left)
        else:
            self.transport.close()
            self._leave()

    def _leave(self) -> None:
        """What was written is to be taken, or at least some of it, ever again within so many seconds."""
        if self._leaving is None:
            self._leaving = self.loop.call_later(
                self.leave_seconds, self._not_taken, _waiting(self.transport)
            )

    def _not_taken(self, waiting: int) -> None:
        self._leaving = None
        if _waiting(self.transport) < waiting:
            self._leave()
        else:
            self.transport.abort()


def _waiting(transport: asyncio.Transport) -> int:
    """How many bytes were written and did not arrive; the kernel's part where it tells."""
    ours = transport.get_write_buffer_size()
    pipe: socket.socket | None = transport.get_extra_info("socket")
    if pipe is None or pipe.fileno() < 0:
        return ours
    try:
        told = fcntl.ioctl(pipe.fileno(), termios.TIOCOUTQ, b"\0" * 4)
    except OSError:
        return ours
    return ours + struct.unpack("i", told)[0]


def _told(status: int, most_bytes: int, most_fields: int) -> bytes:
    if status == 431:
        error = BadRequestError(
            f"the head of the request has more than {most_bytes:,} bytes or {most_fields} headers",
            hint="Send less in headers and in the address; what is long belongs into the body.",
        )
    else:
        error = BadRequestError("this is no HTTP request")
    _, body = encode_error(error)
    head = (
        b"HTTP/1.1 %d %s\r\ncontent-type: application/json\r\ncontent-length: %d\r\n"
        b"connection: close\r\n\r\n"
    )
    return head % (status, _REASONS[status], len(body)) + body
