"""Who reads slowly costs no memory, and whatever is large leaves room for others to be answered."""

import asyncio
import json
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from gateway.running import Running

from .process import memory
from .rig import get, metric, until

PIECE = "x" * 8_000
READY_TO_SEND = 400 << 20
STUCK_SECONDS = 1.0
MOST_SENT, MOST_GROWTH = 32 << 20, 16 << 20
STREAMS, STREAM_BYTES = 30, 2 << 20
BODY = 10 << 20
PATHS = ("/v1/chat/completions", "/v1/messages")

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"
CONFIG = """
[gateway]
server = "{server}"
max_in_flight = 100
[providers.hose]
dialect = "openai-chat"
base_url = "{url}/v1"
key = "provider-key"
[prices."hose/m"]
input = 2
output = 6
"""


class Hose:
    """A provider that says more and more, as fast as it is taken."""

    def __init__(self) -> None:
        self.url = ""
        self.sent = 0
        self.open = 0
        self.stuck = 0

    @asynccontextmanager
    async def serving(self) -> AsyncIterator["Hose"]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with server:
            yield self

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open += 1
        with suppress(ConnectionError):
            await self._answer(reader, writer)
        self.open -= 1
        writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        await reader.readexactly(int(head.partition("content-length:")[2].split()[0]))
        writer.write(HEAD)
        piece = _chunk(PIECE)
        for _ in range(READY_TO_SEND // len(piece)):
            writer.write(piece)
            await self._drained(writer)
            self.sent += len(piece)

    async def _drained(self, writer: asyncio.StreamWriter) -> None:
        draining = asyncio.ensure_future(writer.drain())
        done, _ = await asyncio.wait((draining,), timeout=STUCK_SECONDS)
        if not done:
            self.stuck += 1
            try:
                await draining
            finally:
                self.stuck -= 1
        draining.result()


def _chunk(content: str) -> bytes:
    choice = {"index": 0, "delta": {"content": content}, "finish_reason": None}
    body = {"id": "c", "object": "chat.completion.chunk", "model": "m", "choices": [choice]}
    return f"data: {json.dumps(body)}\n\n".encode()


async def open_stream(
    gateway: Running, path: str, content: str = "Go on."
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A stream of which nothing is read but what is asked for."""
    body = json.dumps(
        {
            "model": "hose/m",
            "messages": [{"role": "user", "content": content}],
            "max_tokens": 1_000_000,
            "stream": True,
        }
    ).encode()
    host, port = gateway.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port), limit=1_024)
    head = f"POST {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {gateway.key}\r\n"
    head += f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    writer.write(head.encode() + body)
    await writer.drain()
    assert b" 200 " in await reader.readline()
    return reader, writer


@pytest.fixture(params=["uvicorn", "granian"])
def server(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.mark.parametrize("path", PATHS)
async def test_a_slow_reader_of_a_fast_stream_holds_the_provider_up_and_no_memory(
    path: str, server: str, running
) -> None:
    async with Hose().serving() as hose:
        gateway = running(CONFIG.format(server=server, url=hose.url), watched=False)
        pid = gateway.process.pid

        async def it_is_left() -> bool:
            return hose.open == 0 and await metric(gateway, "in_flight") == 0

        for _ in range(3):
            await look_in(gateway, path)
            await until(it_is_left)
        before, hose.sent = memory(pid), 0
        most = before
        reader, writer = await open_stream(gateway, path)

        async def is_held_up() -> bool:
            nonlocal most
            await asyncio.wait_for(reader.readexactly(100), 10)  # about 1 KB a second
            most = max(most, memory(pid))
            return hose.stuck == 1

        await until(is_held_up, every=0.1)
        print(f"sent {hose.sent:,}, memory grew by {most - before:,}")
        assert hose.sent < MOST_SENT
        assert most - before < MOST_GROWTH
        assert await metric(gateway, "in_flight") == 1
        writer.close()
        await until(it_is_left)


async def look_in(gateway: Running, path: str) -> None:
    """Read a little, and leave."""
    reader, writer = await open_stream(gateway, path)
    await reader.readexactly(100_000)
    writer.close()


async def test_health_is_answered_beside_large_bodies_and_streams_that_are_dropped(
    server: str, running
) -> None:
    async with Hose().serving() as hose:
        gateway = running(CONFIG.format(server=server, url=hose.url), watched=False)
        await asyncio.gather(*(look_in(gateway, path) for path in PATHS))

        async def nobody_is_there() -> bool:
            return hose.open == 0 and (await get(gateway, "/health"))["in_flight"] == 0

        streams = await asyncio.gather(*(held_stream(gateway) for _ in range(STREAMS)))

        async def all_are_held_up() -> bool:
            return hose.stuck == STREAMS

        await until(all_are_held_up)
        async with looking_at_health(gateway) as seconds:
            large = asyncio.gather(send_large(gateway), count_large(gateway))
            for each in streams:
                each.transport.abort()
            await large
            await until(nobody_is_there)
        assert large.result()[1] >= BODY // 4
        seconds.sort()
        p99 = seconds[int(len(seconds) * 0.99)]
        print(f"{len(seconds)} answers, p50 {seconds[len(seconds) // 2]:.4f} s, p99 {p99:.4f} s")
        assert seconds


@asynccontextmanager
async def looking_at_health(gateway: Running) -> AsyncIterator[list[float]]:
    """How long each answer took, to be had afterwards; all of them came."""
    looker = str(Path(__file__).with_name("looker.py"))
    process = await asyncio.create_subprocess_exec(
        sys.executable, looker, gateway.url, stdin=PIPE, stdout=PIPE
    )
    seconds: list[float] = []
    try:
        yield seconds
    finally:
        told, _ = await process.communicate(b"")
    assert process.returncode == 0
    seconds += json.loads(told)


async def held_stream(gateway: Running) -> asyncio.StreamWriter:
    """A stream of which much was read, and then no more."""
    reader, writer = await open_stream(gateway, PATHS[0])
    await reader.readexactly(STREAM_BYTES)
    return writer


async def send_large(gateway: Running) -> None:
    _, writer = await open_stream(gateway, PATHS[0], "y" * BODY)
    writer.transport.abort()


async def count_large(gateway: Running) -> int:
    """How many tokens it thinks a long prompt has."""
    reader, writer = await open_stream(gateway, "/v1/messages/count_tokens", "y" * BODY)
    told = await reader.readuntil(b"}")
    writer.close()
    return json.loads(told[told.index(b"{") :])["input_tokens"]
