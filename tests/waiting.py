"""How tests wait: for an event, and never for long."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

__all__ = ["PATIENCE", "soon", "turns", "until"]

T = TypeVar("T")

PATIENCE = 30.0
"""Seconds after which a test that waits for an event has failed."""


async def soon(awaitable: Awaitable[T]) -> T:
    return await asyncio.wait_for(awaitable, PATIENCE)


async def turns(count: int = 20) -> None:
    """Let the loop go round: whatever is ready to run has run then."""
    for _ in range(count):
        await asyncio.sleep(0)


async def until(condition: Callable[[], bool]) -> None:
    """For what the kernel does without telling."""
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0)
