"""smolagents: ``ToolCallingAgent.run``, which is synchronous and ends by calling a tool."""

import os

# Before the import: nothing is asked of any hub.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"

import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from smolagents import ActionStep, LogLevel, OpenAIModel, TaskStep, ToolCallingAgent, tool
from smolagents.monitoring import Timing

from bench.contenders import NAP_SECONDS, Pairs

VERSIONS = ["smolagents", "openai"]

_THREADS = 100
"""As many as there are calls: by default there would be some more than processors."""


@tool
def add(a: int, b: int) -> int:
    """Add two numbers.

    Args:
        a: The one.
        b: The other.
    """
    return a + b


@tool
def nap() -> str:
    """Sleep for a moment."""
    time.sleep(NAP_SECONDS)
    return "slept"


@asynccontextmanager
async def agent(url: str) -> AsyncGenerator[Callable[[str, Any], Awaitable[str]]]:
    model = OpenAIModel("gpt-5-mini", api_base=f"{url}/v1", api_key="none")
    made = ToolCallingAgent(
        [add, nap],
        model,
        max_tool_threads=_THREADS,
        max_steps=1_000,
        verbosity_level=LogLevel.OFF,
    )

    async def run(prompt: str, history: list[Any]) -> str:
        made.memory.reset()
        made.memory.steps += history
        return str(made.run(prompt, reset=False))

    yield run


def history(pairs: Pairs) -> list[Any]:
    """The conversation in its form."""
    found: list[Any] = []
    for number, (asked, told) in enumerate(pairs, 1):
        found.append(TaskStep(asked))
        found.append(ActionStep(number, Timing(0.0, 1.0), model_output=told))
    return found
