"""LiteLLM: ``acompletion(stream=True)`` with its defaults."""

import os

# Before the import: otherwise it fetches its table of prices from the network.
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager

import litellm

from bench.contenders import Tell

VERSIONS = ["litellm", "openai"]


@asynccontextmanager
async def connect(url: str) -> AsyncGenerator[Callable[[str, Tell], Awaitable[int]]]:
    async def read(prompt: str, tell: Tell) -> int:
        seen = 0
        stream = await litellm.acompletion(
            model="openai/gpt-5-mini",
            messages=[{"role": "user", "content": prompt}],
            api_base=f"{url}/v1",
            api_key="none",
            stream=True,
            stream_options={"include_usage": True},
        )
        async for chunk in stream:
            if chunk.choices and chunk.choices[0].delta.content:
                seen += 1
                tell(seen)
        return seen

    yield read
