"""The least one can do: aiohttp and msgspec, a dozen lines, no errors, no tools, no usage."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager

import aiohttp
import msgspec

from bench.contenders import Tell

VERSIONS = ["aiohttp", "msgspec"]


class _Delta(msgspec.Struct):
    content: str | None = None


class _Choice(msgspec.Struct):
    delta: _Delta


class _Chunk(msgspec.Struct):
    choices: list[_Choice]


@asynccontextmanager
async def connect(url: str) -> AsyncGenerator[Callable[[str, Tell], Awaitable[int]]]:
    decoder = msgspec.json.Decoder(_Chunk)
    connector = aiohttp.TCPConnector(limit=0)  # its 100 would hold a thousand streams back
    async with aiohttp.ClientSession(connector=connector) as session:

        async def read(prompt: str, tell: Tell) -> int:
            body = {
                "model": "gpt-5-mini",
                "messages": [{"role": "user", "content": prompt}],
                "stream": True,
                "stream_options": {"include_usage": True},
            }
            texts: list[str] = []
            rest = b""
            async with session.post(f"{url}/v1/chat/completions", json=body) as response:
                async for data in response.content.iter_any():
                    *events, rest = (rest + data).split(b"\n\n")
                    for event in events:
                        if event == b"data: [DONE]":
                            break
                        chunk = decoder.decode(event[6:])
                        text = chunk.choices[0].delta.content if chunk.choices else None
                        if text:
                            texts.append(text)
                            tell(len(texts))
            return len(texts)

        yield read
