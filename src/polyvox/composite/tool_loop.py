"""Tools that the last stage of a composite calls, run by a function of the program."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple, TypeAlias

from polyvox.errors import (
    ConfigurationError,
    in_words,
)
from polyvox.messages import ToolCall
from polyvox.model import Call
from polyvox.tools import ToolResult, as_result, error_result
from polyvox.waiting import Waiter

__all__ = ["ToolExecutor", "ToolLoop", "tool_loop"]

ToolExecutor: TypeAlias = Callable[[ToolCall], object | Awaitable[object]]
"""Runs a tool that the last stage has called, and gives its result: text, blocks, or any JSON."""


class ToolLoop(NamedTuple):
    """Who runs the tools that the last stage calls, and how often in a row."""

    run: ToolExecutor
    rounds: int = 5

    async def result(self, wanted: ToolCall, call: Call) -> ToolResult:
        """What a tool comes to. Raises ``PolyvoxError`` when the call is over before that."""
        if not wanted.executable:
            return error_result(f"{wanted.name} was not run: its arguments did not come whole")
        try:
            with Waiter(call) as waiter:
                return await waiter.result(_executed(self.run, wanted))
        finally:
            await asyncio.sleep(0)  # one that was stopped has its turn to end


def tool_loop(executor: ToolExecutor | ToolLoop | None) -> ToolLoop | None:
    """The loop that an argument means. Raises ``ConfigurationError`` for a wrong one."""
    if executor is None:
        return None
    loop = executor if isinstance(executor, ToolLoop) else ToolLoop(executor)
    if not callable(loop.run) or loop.rounds < 0:
        raise ConfigurationError(
            f"{loop} runs no tools",
            hint="tool_executor is a function of a ToolCall, or ToolLoop(function, rounds).",
        )
    return loop


async def _executed(run: Any, wanted: ToolCall) -> ToolResult:
    try:
        if inspect.iscoroutinefunction(run):
            return as_result(await run(wanted))
        value = await asyncio.to_thread(run, wanted)
        return as_result(await value if inspect.isawaitable(value) else value)
    except Exception as error:  # noqa: BLE001 - what a tool raises is for the model to see
        return error_result(f"{in_words(error)}")
