"""``AsyncClient.stream``, every event of it."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager

import polyvox
from bench.contenders import Tell

VERSIONS: list[str] = []  # this tree is measured, whatever its number
MODEL = "openai/gpt-5-mini"

_PIECES = (polyvox.TextDelta, polyvox.ToolCallDelta)


@asynccontextmanager
async def connect(
    url: str, model: str = MODEL
) -> AsyncGenerator[Callable[[str, Tell], Awaitable[int]]]:
    async with polyvox.AsyncClient(
        base_urls={"openai": f"{url}/v1", "anthropic": url},
        keys={"openai": "none", "anthropic": "none"},
    ) as client:

        async def read(prompt: str, tell: Tell) -> int:
            return await read_stream(client.stream(model, prompt), tell)

        yield read


async def read_stream(stream: polyvox.AsyncStream, tell: Tell) -> int:
    """How many pieces there were, each told when it was seen."""
    seen = 0
    async with stream:
        async for event in stream:
            if isinstance(event, _PIECES):
                seen += 1
                tell(seen)
    return seen
