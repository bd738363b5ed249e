"""OpenAI's Agents SDK: ``Runner.run`` over its model of chat completions, without tracing."""

import os

# Before the import: traces would be sent to OpenAI.
os.environ["OPENAI_AGENTS_DISABLE_TRACING"] = "1"

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from agents import (
    Agent,
    OpenAIChatCompletionsModel,
    RunConfig,
    Runner,
    function_tool,
    set_tracing_disabled,
)
from openai import AsyncOpenAI

from bench.contenders import NAP_SECONDS, Pairs

VERSIONS = ["openai-agents", "openai"]

set_tracing_disabled(True)


@function_tool
async def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


@function_tool
async def nap() -> str:
    """Sleep for a moment."""
    await asyncio.sleep(NAP_SECONDS)
    return "slept"


@asynccontextmanager
async def agent(url: str) -> AsyncGenerator[Callable[[str, Any], Awaitable[str]]]:
    quiet = RunConfig(tracing_disabled=True)
    async with AsyncOpenAI(base_url=f"{url}/v1", api_key="none") as client:
        model = OpenAIChatCompletionsModel("gpt-5-mini", client)
        made = Agent("agent", instructions="Use the tools.", model=model, tools=[add, nap])

        async def run(prompt: str, history: list[Any]) -> str:
            asked = [*history, {"role": "user", "content": prompt}]
            done = await Runner.run(made, asked, max_turns=1_000, run_config=quiet)
            return done.final_output

        yield run


def history(pairs: Pairs) -> list[Any]:
    """The conversation in its form."""
    found: list[Any] = []
    for asked, told in pairs:
        found.append({"role": "user", "content": asked})
        found.append({"role": "assistant", "content": told})
    return found
