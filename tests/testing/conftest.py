"""A client that only knows bytes, so that nothing stands between the tests and what a mock sends."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any
from urllib.parse import urlsplit

import pytest

CALL_PATHS = {
    "openai-chat": "/chat/completions",
    "anthropic-messages": "/v1/messages",
    "ollama": "/api/chat",
    "openai-responses": "/responses",
}


def call_path(dialect: str, stream: bool) -> str:
    if dialect == "gemini":
        method = "streamGenerateContent?alt=sse" if stream else "generateContent"
        return f"/v1beta/models/m:{method}"
    if dialect == "bedrock-converse":
        return f"/model/m/converse{'-stream' if stream else ''}"
    return CALL_PATHS[dialect]


def call_fields(dialect: str, text: str, stream: bool) -> dict[str, Any]:
    if dialect == "gemini":
        return {"contents": [{"role": "user", "parts": [{"text": text}]}]}
    if dialect == "bedrock-converse":
        return {"messages": [{"role": "user", "content": [{"text": text}]}]}
    message = {"role": "user", "content": text}
    if dialect == "openai-responses":
        return {"model": "m", "input": [message], "stream": stream}
    return {"model": "m", "max_tokens": 50, "messages": [message], "stream": stream}


class RawAnswer:
    """One HTTP exchange on a connection of its own."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.status = 0
        self.headers: dict[str, str] = {}

    async def head(self) -> "RawAnswer":
        lines = (await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        self.status = int(lines[0].split()[1])
        pairs = (line.partition(": ") for line in lines[1:] if line)
        self.headers = {name.lower(): value for name, _, value in pairs}
        return self

    async def pieces(self) -> AsyncIterator[bytes]:
        """The chunks of a chunked body, as HTTP frames them. Raises IncompleteReadError when cut."""
        while size := int(await self.reader.readuntil(b"\r\n"), 16):
            yield (await self.reader.readexactly(size + 2))[:-2]
        await self.reader.readexactly(2)

    async def body(self) -> bytes:
        if "content-length" in self.headers:
            return await self.reader.readexactly(int(self.headers["content-length"]))
        return b"".join([piece async for piece in self.pieces()])

    async def body_until_cut(self) -> bytes:
        """What came of a body whose connection was ended; fails if it came whole."""
        received = bytearray()
        with pytest.raises((asyncio.IncompleteReadError, ConnectionResetError)) as cut:
            await self._collect(received)
        self.cut_by = cut.value
        return bytes(received)

    async def _collect(self, received: bytearray) -> None:
        if "content-length" not in self.headers:
            async for piece in self.pieces():
                received += piece
            return
        for _ in range(int(self.headers["content-length"])):
            received += await self.reader.readexactly(1)

    async def hang_up(self) -> None:
        self.writer.close()
        await self.writer.wait_closed()


Ask = Callable[..., Any]


@pytest.fixture
async def ask() -> AsyncIterator[Ask]:
    """Send a request to a mock provider; returns before anything is read."""
    async with AsyncExitStack() as connections:

        async def send(mock: Any, text: str = "one two three", **more: Any) -> RawAnswer:
            headers: dict[str, str] = more.pop("headers", {})
            stream: bool = more.pop("stream", True)
            path = more.pop("path", call_path(mock.dialect.name, stream))
            method = more.pop("method", "POST")
            fields = {**call_fields(mock.dialect.name, text, stream), **more}
            body = json.dumps(fields).encode() if method == "POST" else b""
            url = urlsplit(mock.url)
            reader, writer = await asyncio.open_connection(url.hostname, url.port)
            connections.callback(writer.close)
            lines = [f"{method} {url.path}{path} HTTP/1.1", f"host: {url.netloc}"]
            lines += [f"content-length: {len(body)}"]
            lines += [f"{name}: {value}" for name, value in headers.items()]
            writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
            await writer.drain()
            return RawAnswer(reader, writer)

        yield send
