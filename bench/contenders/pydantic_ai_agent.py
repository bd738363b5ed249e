"""Pydantic AI: ``Agent.run`` over its model of chat completions."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from pydantic_ai import Agent, UsageLimits
from pydantic_ai.messages import (
    ModelMessage,
    ModelRequest,
    ModelResponse,
    TextPart,
    UserPromptPart,
)
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

from bench.contenders import NAP_SECONDS, Pairs

VERSIONS = ["pydantic-ai-slim", "openai"]


async def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


async def nap() -> str:
    """Sleep for a moment."""
    await asyncio.sleep(NAP_SECONDS)
    return "slept"


@asynccontextmanager
async def agent(url: str) -> AsyncGenerator[Callable[[str, Any], Awaitable[str]]]:
    provider = OpenAIProvider(base_url=f"{url}/v1", api_key="none")
    model = OpenAIChatModel("gpt-5-mini", provider=provider)
    made = Agent(model, tools=[add, nap], instructions="Use the tools.")
    limits = UsageLimits(request_limit=None)

    async def run(prompt: str, history: list[ModelMessage]) -> str:
        return (await made.run(prompt, message_history=history, usage_limits=limits)).output

    async with made:
        yield run


def history(pairs: Pairs) -> list[ModelMessage]:
    """The conversation in its form."""
    found: list[ModelMessage] = []
    for asked, told in pairs:
        found.append(ModelRequest([UserPromptPart(asked)]))
        found.append(ModelResponse([TextPart(told)]))
    return found
