"""``AsyncClient.stream`` over whichever dialect the prompt names, as in "flow gemini 5000"."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager

import polyvox
from bench.contenders import Tell, polyvox_async
from polyvox.dialects import DIALECTS

VERSIONS = polyvox_async.VERSIONS


@asynccontextmanager
async def connect(url: str) -> AsyncGenerator[Callable[[str, Tell], Awaitable[int]]]:
    rows: dict[str, dict[str, object]] = {
        name: {"dialect": name, "base_url": url, "auth": "none"} for name in DIALECTS
    }
    async with polyvox.AsyncClient(providers=rows) as client:

        async def read(prompt: str, tell: Tell) -> int:
            dialect = prompt.split()[1]
            return await polyvox_async.read_stream(client.stream(f"{dialect}/m", prompt), tell)

        yield read
