"""Running a tool: whatever happens in it, a result comes of it, and nobody waits for ever.

Prepare, execute, finalise: ``Tool.read`` prepared the values; here they are executed.
"""

import asyncio
import logging
from contextlib import nullcontext
from typing import Any, cast

from polyvox.errors import in_words
from polyvox.tools.context import ToolContext
from polyvox.tools.errors import ToolRetry
from polyvox.tools.result import ToolResult, error_result
from polyvox.tools.tool import Tool

__all__ = ["run_tool"]

_LOGGER = logging.getLogger("polyvox.tools")


async def run_tool(tool: Tool, values: dict[str, Any], context: ToolContext[Any]) -> ToolResult:
    """Run a tool within its limits: its timeout, and so many at once.

    What the tool raises becomes an error result, for the model; where it was raised is told to the
    logger ``polyvox.tools`` (level INFO), for the tool's author. Only the cancellation of the task
    that waits here passes on; a function in a thread is then left behind, and what it returns or
    tells is dropped. So it is after the timeout, which does not count the wait for the others.
    """
    task = asyncio.current_task()
    assert task is not None
    cancelled = task.cancelling()
    deadline = asyncio.timeout(tool.timeout)
    try:
        async with tool.slots() or nullcontext(), deadline:
            return await tool.execute(values, context)
    except asyncio.CancelledError:
        if task.cancelling() > cancelled:
            raise
        return error_result(f"{tool.name} was cancelled")
    except TimeoutError as error:
        if not deadline.expired():
            return error_result(_told(error))
        return error_result(f"{tool.name} took longer than {tool.timeout:g} s, and was given up")
    except ToolRetry as error:
        return _asking_again(str(error), context.attempt > tool.max_retries)
    except (Exception, SystemExit) as error:
        _LOGGER.info("the tool %s failed", tool.name, exc_info=True)
        return error_result(_told(error))
    finally:
        context.end()


def _asking_again(text: str, last: bool) -> ToolResult:
    if last:
        return error_result(f"{text}\nThat was the last try: go on without this tool.")
    return error_result(text, retry=True)


def _told(error: BaseException) -> str:
    """The error in words that a model makes sense of."""
    if isinstance(error, BaseExceptionGroup):
        return "; ".join(map(_told, cast("BaseExceptionGroup[Any]", error).exceptions))
    return in_words(error)
