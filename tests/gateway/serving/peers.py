"""uvicorn in the test's own event loop, what their application is asked, and callers who say every byte."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, NamedTuple

from polyvox.gateway.serving import servers
from waiting import soon, turns, until

PLAIN = b"GET /plain HTTP/1.1\r\nhost: x\r\n\r\n"


class Asked:
    """One request, as the application sees it."""

    def __init__(self, scope: Any, receive: Any, send: Any) -> None:
        self.scope, self.receive, self.send = scope, receive, send

    @property
    def path(self) -> str:
        return self.scope["path"]

    async def body(self) -> bytes:
        body = b""
        while True:
            message = await self.receive()
            assert message["type"] == "http.request"
            body += message["body"]
            if not message["more_body"]:
                return body

    async def begin(self, *headers: tuple[bytes, bytes]) -> None:
        start = {"type": "http.response.start", "status": 200, "headers": list(headers)}
        await self.send(start)

    async def say(self, body: bytes = b"", *, more: bool = True) -> None:
        await self.send({"type": "http.response.body", "body": body, "more_body": more})

    async def answer(self, body: bytes = b"ok", *headers: tuple[bytes, bytes]) -> None:
        await self.begin(*headers, (b"content-length", b"%d" % len(body)))
        await self.say(body, more=False)

    async def left(self) -> None:
        """Until it is told that the caller left, whatever comes before."""
        while (await self.receive())["type"] != "http.disconnect":
            pass


async def echo(asked: Asked) -> None:
    """Answers with what it was asked."""
    text = f"{asked.scope['method']} {asked.path} ".encode()
    await asked.answer(text + await asked.body())


class Answer(NamedTuple):
    status: int
    headers: dict[bytes, bytes]
    body: bytes


class Caller:
    """One connection of somebody who says exactly what a test wants."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._seen = b""

    async def say(self, data: bytes) -> None:
        self._writer.write(data)
        await soon(self._writer.drain())

    async def head(self) -> tuple[int, dict[bytes, bytes]]:
        lines = (await self._upto(b"\r\n\r\n")).split(b"\r\n")
        fields = [line.partition(b": ") for line in lines[1:]]
        headers = {name: value for name, _, value in fields}
        assert len(headers) == len(fields), lines
        return int(lines[0].removeprefix(b"HTTP/1.1 ")[:3]), headers

    async def chunk(self) -> bytes:
        """A piece of a stream; nothing at its end."""
        size = int(await self._upto(b"\r\n"), 16)
        return (await self.bytes(size + 2))[:-2]

    async def bytes(self, count: int) -> bytes:
        while len(self._seen) < count:
            await self._read()
        told, self._seen = self._seen[:count], self._seen[count:]
        return told

    async def _upto(self, end: bytes) -> bytes:
        while end not in self._seen:
            await self._read()
        told, _, self._seen = self._seen.partition(end)
        return told

    async def _read(self) -> None:
        piece = await soon(self._reader.read(1 << 20))
        if not piece:
            raise EOFError("the other side has hung up")
        self._seen += piece

    async def answer(self) -> Answer:
        status, headers = await self.head()
        body = b""
        if b"transfer-encoding" in headers:
            while piece := await self.chunk():
                body += piece
        else:
            body = await self.bytes(int(headers.get(b"content-length", b"0")))
        return Answer(status, headers, body)

    async def ask(self, data: bytes) -> Answer:
        await self.say(data)
        return await self.answer()

    async def rest(self) -> bytes:
        """All that comes until the other side hangs up."""
        told, self._seen = self._seen, b""
        with suppress(ConnectionError):
            while piece := await soon(self._reader.read(1 << 16)):
                told += piece
        return told

    def half_close(self) -> None:
        self._writer.write_eof()

    def close(self) -> None:
        self._writer.close()

    def reset(self) -> None:
        pipe = self._writer.get_extra_info("socket")
        pipe.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()

    async def closed(self) -> None:
        self._writer.close()
        with suppress(ConnectionError):
            await self._writer.wait_closed()


class Served:
    """A server, and who calls there."""

    def __init__(self, server: Any, address: Any, serving: "asyncio.Task[None]") -> None:
        self.server, self.address, self.serving = server, address, serving
        self.complaints: list[dict[str, Any]] = []
        """What the event loop was told that nobody else wanted to know."""
        self._callers: list[Caller] = []

    async def connect(self) -> Caller:
        pipe = socket.socket(proto=socket.IPPROTO_TCP)  # else asyncio leaves its delays on
        pipe.setblocking(False)
        await soon(asyncio.get_running_loop().sock_connect(pipe, self.address))
        caller = Caller(*await asyncio.open_connection(sock=pipe))
        self._callers.append(caller)
        return caller

    async def stop(self) -> None:
        """Stop it, and wait until it has begun to."""
        self.server.stop()
        await until(self._refuses)

    def _refuses(self) -> bool:
        with socket.socket() as pipe:
            return pipe.connect_ex(self.address) != 0

    async def end(self) -> None:
        for caller in self._callers:
            await caller.closed()
        self.server.stop()
        await soon(self.serving)


@asynccontextmanager
async def serving(
    handler: Callable[[Asked], Awaitable[None]],
) -> AsyncIterator[Served]:
    """Serve, and leave no task behind."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await handler(Asked(scope, receive, send))

    listening = socket.create_server(("127.0.0.1", 0))
    listening.setblocking(False)
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    address = listening.getsockname()
    before = asyncio.all_tasks()
    server: Any = servers.server_of("uvicorn", app, listening)
    served = Served(server, address, asyncio.create_task(server.serve()))
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: served.complaints.append(context))
    await turns()
    try:
        yield served
    finally:
        await served.end()
    await turns()
    loop.set_exception_handler(None)
    assert asyncio.all_tasks() <= before
    assert served.complaints == []
