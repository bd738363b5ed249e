"""``AsyncClient.stream``, every event of it."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager

import polyvox
from bench.contenders import Tell

VERSIONS: list[str] = []  # this tree is measured, whatever its number
MODEL = "openai/gpt-5-mini"


@asynccontextmanager
async def connect(
    url: str, model: str = MODEL
) -> AsyncGenerator[Callable[[str, Tell], Awaitable[int]]]:
    pieces = (polyvox.TextDelta, polyvox.ToolCallDelta)

    async with polyvox.AsyncClient(
        base_urls={"openai": f"{url}/v1", "anthropic": url},
        keys={"openai": "none", "anthropic": "none"},
    ) as client:

        async def read(prompt: str, tell: Tell) -> int:
            seen = 0
            async with client.stream(model, prompt) as stream:
                async for event in stream:
                    if isinstance(event, pieces):
                        seen += 1
                        tell(seen)
            return seen

        yield read
