"""OpenAI's own SDK: ``AsyncOpenAI``, chat completions, streamed."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager

import openai

from bench.contenders import Tell

VERSIONS = ["openai"]


@asynccontextmanager
async def connect(url: str) -> AsyncGenerator[Callable[[str, Tell], Awaitable[int]]]:
    async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="none") as client:

        async def read(prompt: str, tell: Tell) -> int:
            seen = 0
            stream = await client.chat.completions.create(
                model="gpt-5-mini",
                messages=[{"role": "user", "content": prompt}],
                stream=True,
                stream_options={"include_usage": True},
            )
            async for chunk in stream:
                if chunk.choices and chunk.choices[0].delta.content:
                    seen += 1
                    tell(seen)
            return seen

        yield read
