"""The loopback server, in a process of its own: ready-made bytes over blocking sockets.

The prompt says what is wanted: a pattern, a kind, and a number of pieces, as in "flow text 5000".
The kind is "text" or "tool", or the name of one of our dialects, in which the answer then is. What
agents are told is in ``bench.scripts``.

flow: one write for each piece, as fast as the client reads. A reader that is slower than the
    server finds several pieces in its socket at a time.
step: a piece is written when the one before it has been told by the reader, through a counter in
    shared memory. Every reader, fast or slow, gets one piece at a time.
late: as in flow, after 0.2 s.
"""

import mmap
import re
import socket
import socketserver
import sys
import threading
import time
from functools import cache
from pathlib import Path

from bench.answers import Answer, make_answer, own_answer
from bench.contenders import LATE_SECONDS
from bench.scripts import reply

PROMPT = re.compile(rb"(flow|step|late) ([a-z-]+) (\d+)")
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: %b\r\n"
    b"x-request-id: req-bench\r\ntransfer-encoding: chunked\r\n\r\n"
)
_LAST_CHUNK = b"0\r\n\r\n"
_PATIENCE = 1.0
"""Seconds to wait for a reader that holds a piece back before the next one is written anyway."""


class Counter:
    """How many pieces the reader has seen: eight bytes of a file that both sides have mapped."""

    def __init__(self, path: str | Path) -> None:
        with open(path, "r+b") as file:
            self._cell = memoryview(mmap.mmap(file.fileno(), 8)).cast("Q")

    def tell(self, seen: int) -> None:
        """In the reader."""
        self._cell[0] = seen

    def wait_for(self, seen: int) -> None:
        """In the server: spins, for a sleep would be longer than what is measured."""
        until = time.perf_counter() + _PATIENCE
        while self._cell[0] < seen and time.perf_counter() < until:
            pass


class Server(socketserver.ThreadingTCPServer):
    """Answers whoever connects; connections are kept alive."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, counter: Counter) -> None:
        super().__init__(("127.0.0.1", 0), _Connection)
        self.counter = counter

    @property
    def url(self) -> str:
        """Its address, without a path."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request: object, client_address: object) -> None:
        """A reader that hangs up is no news; anything else is."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


class _Connection(socketserver.BaseRequestHandler):
    server: Server
    request: socket.socket

    def handle(self) -> None:
        self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        pending = b""
        while True:
            while b"\r\n\r\n" not in pending:
                received = self.request.recv(65536)
                if not received:
                    return
                pending += received
            head, _, body = pending.partition(b"\r\n\r\n")
            found = _LENGTH.search(head)
            length = int(found[1]) if found else 0
            while len(body) < length:
                body += self.request.recv(65536)
            self._answer(head, body[:length])
            pending = body[length:]

    def _answer(self, head: bytes, body: bytes) -> None:
        if (scripted := reply(body)) is not None:
            self.request.sendall(scripted)
            return
        asked = PROMPT.search(body)
        if asked is None:
            self.request.sendall(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n")
            return
        path = head.split(b" ", 2)[1].split(b"?")[0]
        answer = _prepared(path.endswith(b"/messages"), asked[2].decode(), int(asked[3]))
        if asked[1] == b"late":
            time.sleep(LATE_SECONDS)
        counter = self.server.counter
        counter.tell(0)
        send = self.request.sendall
        send(_HEAD % answer.media_type.encode())
        send(answer.head)
        for index, piece in enumerate(answer.pieces):
            if asked[1] == b"step":
                counter.wait_for(index)
            send(piece)
        send(answer.tail + _LAST_CHUNK)


@cache
def _prepared(to_anthropic: bool, kind: str, count: int) -> Answer:
    if kind == "text" or kind == "tool":
        return make_answer("anthropic" if to_anthropic else "openai", kind, count)
    return own_answer(kind, count)


def main() -> None:
    """``python -m bench.server COUNTER``: prints the address and serves until stdin is closed."""
    with Server(Counter(sys.argv[1])) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        print(server.url, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
