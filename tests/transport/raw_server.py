"""Servers that do exactly what a test says, byte by byte, and see when the client hangs up."""

import asyncio
import os
import ssl
import struct
from collections.abc import Awaitable, Callable
from contextlib import suppress
from socket import SO_LINGER, SOL_SOCKET
from typing import Self

from waiting import turns


def open_sockets() -> int:
    def target(fd: str) -> str:
        with suppress(OSError):
            return os.readlink(f"/proc/self/fd/{fd}")
        return ""

    return sum(target(fd).startswith("socket:") for fd in os.listdir("/proc/self/fd"))


class ClientHungUpError(Exception):
    """The script waited for more, but nobody is there."""


class Peer(asyncio.Protocol):
    """One connection, as its server sees it."""

    def __init__(self, server: "RawServer") -> None:
        self.server = server
        self.received = bytearray()
        self.total = 0
        self.gone = asyncio.Event()
        self._news = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.server.welcome(self)

    def data_received(self, data: bytes) -> None:
        self.received += data
        self.total += len(data)
        self._news.set()

    def eof_received(self) -> None:
        self._leave()

    def connection_lost(self, exc: Exception | None) -> None:
        self._leave()

    def _leave(self) -> None:
        self.gone.set()
        self._news.set()

    async def take(self, count: int) -> bytes:
        while len(self.received) < count:
            await self.news()
        taken = bytes(self.received[:count])
        del self.received[:count]
        return taken

    async def news(self) -> None:
        if self.gone.is_set():
            raise ClientHungUpError
        self._news.clear()
        await self._news.wait()

    async def head(self) -> bytes:
        while (end := self.received.find(b"\r\n\r\n")) < 0:
            await self.news()
        return await self.take(end + 4)

    async def request(self) -> bytes:
        """The next request, head and body."""
        head = await self.head()
        length = 0
        for line in head.lower().split(b"\r\n"):
            if line.startswith(b"content-length:"):
                length = int(line.partition(b":")[2])
        body = await self.take(length)
        self.server.paths.append(head.split()[1].decode())
        return head + body

    def send(self, *pieces: bytes) -> None:
        self.transport.write(b"".join(pieces))

    def answer(self, body: bytes = b"ok", *headers: bytes) -> None:
        self.begin(b"content-length: %d" % len(body), *headers)
        self.send(body)

    def begin(self, *headers: bytes) -> None:
        self.send(b"".join([b"HTTP/1.1 200 OK\r\n", *(h + b"\r\n" for h in headers), b"\r\n"]))

    def begin_chunked(self, *headers: bytes) -> None:
        self.begin(b"transfer-encoding: chunked", *headers)

    def chunk(self, data: bytes) -> None:
        """One piece of a chunked body; an empty one ends it."""
        self.send(b"%x\r\n%b\r\n" % (len(data), data))

    def hang_up(self) -> None:
        self.transport.close()

    def reset(self) -> None:
        sock = self.transport.get_extra_info("socket")
        sock.setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()


Script = Callable[[Peer], Awaitable[None]]


class RawServer:
    """Runs the script for each connection, on a port of 127.0.0.1 that the system chooses.

    A script that raises fails the test; `ClientHungUpError` is no failure.
    """

    def __init__(
        self, script: Script, *, tls: ssl.SSLContext | None = None, reading: bool = True
    ) -> None:
        self.peers: list[Peer] = []
        self.paths: list[str] = []  # of all requests that came whole
        self._script = script
        self._tls = tls
        self._reading = reading
        self._scripts: list[asyncio.Task[None]] = []
        self._arrival = asyncio.Event()

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: Peer(self), "127.0.0.1", 0, ssl=self._tls, backlog=300
        )
        self.port: int = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for peer in self.peers:
            peer.transport.abort()
        for script in self._scripts:
            script.cancel()
        ends = await asyncio.gather(*self._scripts, return_exceptions=True)
        await turns(3)
        for end in ends:
            if isinstance(end, Exception) and not isinstance(end, ClientHungUpError):
                raise end

    @property
    def authority(self) -> str:
        return f"127.0.0.1:{self.port}"

    def url(self, path: str = "/") -> str:
        return f"{'https' if self._tls else 'http'}://{self.authority}{path}"

    def welcome(self, peer: Peer) -> None:
        if not self._reading:
            peer.transport.pause_reading()
        self.peers.append(peer)
        self._arrival.set()
        self._scripts.append(asyncio.create_task(_run(self._script, peer)))

    async def peer(self, number: int = 0) -> Peer:
        """The connection of that number, when it has arrived."""
        while len(self.peers) <= number:
            self._arrival.clear()
            await self._arrival.wait()
        return self.peers[number]


async def _run(script: Script, peer: Peer) -> None:
    await script(peer)


async def silent(peer: Peer) -> None:
    """Say nothing."""


async def answering(peer: Peer) -> None:
    """Answer every request with "ok"."""
    while True:
        await peer.request()
        peer.answer()


class Proxy:
    """A forward proxy: CONNECT tunnels, and requests in absolute form. Every name leads to `target`."""

    def __init__(self, target: RawServer, refusal: bytes = b"") -> None:
        self.target = target
        self.heads: list[bytes] = []
        self._refusal = refusal

    async def script(self, peer: Peer) -> None:
        head = await peer.head()
        self.heads.append(head)
        if self._refusal:
            peer.send(b"HTTP/1.1 ", self._refusal, b"\r\ncontent-length: 0\r\n\r\n")
            return
        reader, writer = await asyncio.open_connection("127.0.0.1", self.target.port)
        if head.startswith(b"CONNECT "):
            peer.send(b"HTTP/1.1 200 OK\r\n\r\n")
        else:
            writer.write(head)
        back = asyncio.create_task(_copy(reader, peer))
        try:
            while True:
                writer.write(await peer.take(max(1, len(peer.received))))
        finally:
            back.cancel()
            writer.transport.abort()


async def _copy(reader: asyncio.StreamReader, peer: Peer) -> None:
    while data := await reader.read(65536):
        peer.send(data)
    peer.hang_up()
