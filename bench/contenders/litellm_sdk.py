"""LiteLLM: ``acompletion(stream=True)`` with its defaults."""

import os

# Before the import: otherwise it fetches its table of prices from the network.
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import litellm

from bench.contenders import Tell

VERSIONS = ["litellm", "openai"]


@asynccontextmanager
async def connect(url: str) -> AsyncGenerator[Callable[[str, Tell], Awaitable[int]]]:
    async def read(prompt: str, tell: Tell) -> int:
        return await read_stream(litellm.acompletion, prompt, tell, **settings(url))

    yield read


def settings(url: str) -> dict[str, Any]:
    """Whom to ask."""
    return {"model": "openai/gpt-5-mini", "api_base": f"{url}/v1", "api_key": "none"}


async def read_stream(
    ask: Any, prompt: str, tell: Tell, texts: list[str] | None = None, **settings: Any
) -> int:
    """How many pieces ``acompletion``, or a router's, brings; each is told when it was seen.

    Who gives a list for the texts finds them in there.
    """
    seen = 0
    stream = await ask(
        messages=[{"role": "user", "content": prompt}],
        stream=True,
        stream_options={"include_usage": True},
        **settings,
    )
    async for chunk in stream:
        if chunk.choices and chunk.choices[0].delta.content:
            seen += 1
            tell(seen)
            if texts is not None:
                texts.append(chunk.choices[0].delta.content)
    return seen
