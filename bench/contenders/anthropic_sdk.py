"""Anthropic's own SDK: ``AsyncAnthropic``, messages, raw events without its accumulating helper."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager

import anthropic

from bench.contenders import Tell

VERSIONS = ["anthropic"]


@asynccontextmanager
async def connect(url: str) -> AsyncGenerator[Callable[[str, Tell], Awaitable[int]]]:
    async with anthropic.AsyncAnthropic(base_url=url, api_key="none") as client:

        async def read(prompt: str, tell: Tell) -> int:
            seen = 0
            stream = await client.messages.create(
                model="claude-sonnet-4-5",
                max_tokens=4096,
                messages=[{"role": "user", "content": prompt}],
                stream=True,
            )
            async for event in stream:
                if event.type == "content_block_delta" and event.delta.type == "text_delta":
                    seen += 1
                    tell(seen)
            return seen

        yield read
