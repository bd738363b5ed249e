"""A worker that passes requests on, and who asks it as fast as it answers.

``python -m bench.passing upstream`` answers everything with ``ANSWER``; ``python -m bench.passing
NAME URL`` passes everything on to there, by whoever moves the bytes under this name. Each prints its
address and serves until stdin is closed. Both speak only as much HTTP as is needed here, so that
little is measured but the passing on.
"""

import asyncio
import re
import sys
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import TypeAlias

Answerer: TypeAlias = Callable[[bytes], Awaitable[bytes]]

_BODY = b'{"choices": [{"message": {"content": "%b"}}]}' % (b"a word " * 130)
_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
ANSWER = _HEAD % len(_BODY) + _BODY

_PROMPT = b'{"model": "gpt-5-mini", "messages": [{"role": "user", "content": "%b"}]}' % (
    b"why? " * 40
)
_REQUEST = (
    b"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
    b"content-length: %d\r\n\r\n%b"
) % (len(_PROMPT), _PROMPT)
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


@asynccontextmanager
async def _canned() -> AsyncGenerator[Answerer]:
    async def answer(body: bytes) -> bytes:
        return ANSWER

    yield answer


@asynccontextmanager
async def _by_aiohttp(url: str) -> AsyncGenerator[Answerer]:
    import aiohttp

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def answer(body: bytes) -> bytes:
            headers = {"content-type": "application/json"}
            async with session.post(f"{url}/x", data=body, headers=headers) as response:
                got = b"".join([piece async for piece in response.content.iter_any()])
            return _HEAD % len(got) + got

        yield answer


@asynccontextmanager
async def _by_polyvox(transport: str, url: str) -> AsyncGenerator[Answerer]:
    from polyvox.http import HttpRequest
    from polyvox.transport import default_transport

    async with default_transport(transport) as sender:

        async def answer(body: bytes) -> bytes:
            headers = {"content-type": "application/json"}
            response = await sender.send(HttpRequest("POST", f"{url}/x", headers, body))
            got = b"".join([piece async for piece in response.body])
            return _HEAD % len(got) + got

        yield answer


WORKERS: dict[str, Callable[[str], AbstractAsyncContextManager[Answerer]]] = {
    "bare": _by_aiohttp,
    "polyvox": partial(_by_polyvox, "aiohttp"),
    "polyvox native": partial(_by_polyvox, "native"),
}


class _Served(asyncio.Protocol):
    """One connection, and one request at a time on it."""

    def __init__(self, answer: Answerer, tasks: set[asyncio.Task[None]]) -> None:
        self._answer = answer
        self._tasks = tasks
        self._pending = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._pending += data
        head, end, body = self._pending.partition(b"\r\n\r\n")
        found = _LENGTH.search(head)
        if end and found and len(body) >= int(found[1]):
            self._pending = b""
            task = asyncio.ensure_future(self._reply(body))
            self._tasks.add(task)  # or it might be collected
            task.add_done_callback(self._tasks.discard)

    async def _reply(self, body: bytes) -> None:
        self._transport.write(await self._answer(body))


class _Asking(asyncio.Protocol):
    """One connection that asks again when it has been answered, until enough has been asked."""

    def __init__(self, budget: list[int], done: asyncio.Future[None]) -> None:
        self._budget = budget
        self._done = done
        self._missing = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._ask()

    def data_received(self, data: bytes) -> None:
        self._missing -= len(data)
        if self._missing == 0:
            self._ask()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._done.done():
            self._done.set_exception(exc or ConnectionError("the worker hung up"))

    def _ask(self) -> None:
        if self._budget[0] == 0:
            if not self._done.done():
                self._done.set_result(None)
            return
        self._budget[0] -= 1
        self._missing = len(ANSWER)
        self._transport.write(_REQUEST)


async def ask(url: str, connections: int, requests: int) -> float:
    """So many requests over so many connections; returns the seconds that it took."""
    loop = asyncio.get_running_loop()
    host, _, port = url.removeprefix("http://").partition(":")
    budget = [requests]
    ends = [loop.create_future() for _ in range(connections)]
    began = time.perf_counter()
    opened = [
        await loop.create_connection(partial(_Asking, budget, end), host, int(port)) for end in ends
    ]
    await asyncio.gather(*ends)
    took = time.perf_counter() - began
    for transport, _ in opened:
        transport.abort()
    return took


async def serve(how: AbstractAsyncContextManager[Answerer]) -> None:
    """Print the address, and serve until stdin is closed."""
    loop = asyncio.get_running_loop()
    tasks: set[asyncio.Task[None]] = set()
    async with how as answer:
        server = await loop.create_server(lambda: _Served(answer, tasks), "127.0.0.1", 0)
        print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
        await asyncio.to_thread(sys.stdin.read)
        server.close()


def main(arguments: list[str]) -> None:
    name, *url = arguments
    asyncio.run(serve(WORKERS[name](*url) if url else _canned()))


if __name__ == "__main__":
    main(sys.argv[1:])
