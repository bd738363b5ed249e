"""Who asks a gateway, in a process of its own: over plain sockets, so that asking takes little.

``python -m bench.gateway_load rate|turns|streams JSON`` prints what it found as JSON.

rate: as much as is answered over so many connections, for so many seconds; for where wrk is not.
turns: one connection to each gateway; they are asked in turns, so that what the machine does besides
    happens to all of them. Each time is from the first byte of the request to the end of the answer,
    or to the first word of it.
streams: several streams at once, each read to its end as fast as it comes; or one, of which each piece
    is asked for when the one before has been seen (see ``bench.server``).
"""

import asyncio
import json
import re
import socket
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from bench.server import Counter

PIECE = b'" w0'
"""Every piece of an answer of ``bench.server`` has this once."""

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_END = b"0\r\n\r\n"
_PATIENCE = 60.0


def request_of(way: dict[str, str], prompt: str, *, stream: bool = False) -> bytes:
    """The bytes of a request; ``way`` says where, for which model, and with which key."""
    asked: dict[str, Any] = {"model": way["model"], "messages": [_said(prompt)]}
    if stream:
        asked |= {"stream": True, "stream_options": {"include_usage": True}}
    body = json.dumps(asked).encode()
    url = urlsplit(way["url"])
    lines = [f"POST {url.path} HTTP/1.1", f"host: {url.netloc}", "content-type: application/json"]
    lines += [f"authorization: Bearer {way['key']}", f"content-length: {len(body)}", "", ""]
    return "\r\n".join(lines).encode() + body


def _said(prompt: str) -> dict[str, str]:
    return {"role": "user", "content": prompt}


def _connected(way: dict[str, str]) -> socket.socket:
    url = urlsplit(way["url"])
    connection = socket.create_connection((url.hostname or "", url.port or 80), _PATIENCE)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


# ------------------------------------------------------------------------------------------- in turns


def turns(
    ways: list[dict[str, str]], prompt: str, rounds: int, each: list[int], *, first: bool
) -> list[list[float]]:
    """Microseconds of each call, by way: to the end, or with ``first`` to the first piece."""
    connections = [_connected(way) for way in ways]
    requests = [request_of(way, prompt, stream=first) for way in ways]
    took: list[list[float]] = [[] for _ in ways]
    for number in range(rounds + 1):
        for connection, request, times, found in zip(
            connections, requests, each, took, strict=True
        ):
            spent = [_asked(connection, request, first=first) for _ in range(times)]
            if number:  # the first round warms up
                found += spent
    return took


def _asked(connection: socket.socket, request: bytes, *, first: bool) -> float:
    received, until = b"", 0.0
    began = time.perf_counter()
    connection.sendall(request)
    while not _whole(received):
        if not (more := connection.recv(1 << 18)):
            raise SystemExit(f"hung up after {received[:200]!r}")
        received += more
        if first and not until and PIECE in received:
            until = time.perf_counter()
    if not received.startswith(b"HTTP/1.1 200"):
        raise SystemExit(f"answered {received[:300]!r}")
    return ((until or time.perf_counter()) - began) * 1e6


def _whole(received: bytes) -> bool:
    head, end, body = received.partition(b"\r\n\r\n")
    if not end:
        return False
    if found := _LENGTH.search(head):
        return len(body) >= int(found[1])
    return body.endswith(_END)


# -------------------------------------------------------------------------------------------- streams


def streams(way: dict[str, str], prompt: str, at_once: int, counter: str) -> None:
    """Read so many streams at once; each must have all its pieces. Tells the counter if it is one."""
    request = request_of(way, prompt, stream=True)
    wanted = int(prompt.rpartition(" ")[2])
    told = Counter(counter) if at_once == 1 else None
    with ThreadPoolExecutor(at_once) as pool:
        for seen in pool.map(lambda _: _read(way, request, told), range(at_once)):
            if not 0.99 * wanted <= seen <= wanted:  # a proxy may cut one in two, between chunks
                raise SystemExit(f"{seen} pieces of {wanted} came")


def _read(way: dict[str, str], request: bytes, told: Counter | None) -> int:
    seen, left = 0, b""
    with _connected(way) as connection:
        connection.sendall(request)
        while True:
            if not (more := connection.recv(1 << 18)):
                raise SystemExit(f"hung up after {seen} pieces: {left!r}")
            received = left + more
            seen += received.count(PIECE)
            left = received[-len(PIECE) + 1 :]
            if told is not None:
                told.tell(seen)
            if received.endswith(_END):
                return seen


# ----------------------------------------------------------------------------------------------- rate


class _Asking(asyncio.Protocol):
    """One connection that asks again as soon as it is answered."""

    def __init__(self, request: bytes, answered: list[float]) -> None:
        self._request = request
        self._answered = answered
        self._pending = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._ask()

    def data_received(self, data: bytes) -> None:
        self._pending += data
        if _whole(self._pending):
            if not self._pending.startswith(b"HTTP/1.1 200"):
                raise SystemExit(f"answered {self._pending[:300]!r}")
            self._pending = b""
            self._answered.append(time.perf_counter() - self._began)
            self._ask()

    def _ask(self) -> None:
        self._began = time.perf_counter()
        self._transport.write(self._request)


async def rate(
    way: dict[str, str], prompt: str, connections: int, seconds: float
) -> dict[str, float]:
    """What wrk would tell."""
    loop = asyncio.get_running_loop()
    url = urlsplit(way["url"])
    answered: list[float] = []
    make = partial(_Asking, request_of(way, prompt), answered)
    began = time.perf_counter()
    opened = [
        await loop.create_connection(make, url.hostname or "", url.port or 80)
        for _ in range(connections)
    ]
    await asyncio.sleep(seconds)
    took = time.perf_counter() - began
    for transport, _ in opened:
        transport.abort()
    return {"requests": len(answered), "seconds": took, "failed": 0}


def main(what: str, wanted: dict[str, Any]) -> None:
    found: Any = None
    if what == "turns":
        found = turns(**wanted)
    elif what == "streams":
        streams(**wanted)
    else:
        found = asyncio.run(rate(**wanted))
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1], json.loads(sys.argv[2]))
