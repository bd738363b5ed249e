"""What a program may have a say in: each tool call before and after, and what the model gets to read."""

import inspect
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeAlias, TypeVar, cast

import msgspec

from polyvox.agent.state import Approval
from polyvox.messages import Message, ToolCall
from polyvox.tools import Tool, ToolContext, ToolResult

__all__ = ["AfterTool", "Approve", "Ask", "BeforeTool", "ToolUse", "Transform", "settled"]

_T = TypeVar("_T")


class ToolUse(msgspec.Struct, frozen=True):
    """A tool that is about to be run, or was: ``arguments`` are those that it gets."""

    tool: Tool
    call: ToolCall
    arguments: dict[str, Any]
    context: ToolContext[Any]


class Ask(msgspec.Struct, frozen=True):
    """The answer of ``before_tool`` that somebody must approve of the call; ``reason`` says why."""

    reason: str = ""


BeforeTool: TypeAlias = Callable[
    [ToolUse], Approval | Ask | Awaitable[Approval | Ask | None] | None
]
"""Decides before a tool is run: None or True, go on; a dict, with these arguments; False or a text
that says why, don't; ``Ask``, when somebody approves."""

AfterTool: TypeAlias = Callable[
    [ToolUse, ToolResult], ToolResult | Awaitable[ToolResult | None] | None
]
"""Sees a result before the model does, and may give another in its place."""

Approve: TypeAlias = Callable[[ToolUse, str], Approval | Awaitable[Approval | None] | None]
"""Approves of a call, or not; the text is why it is asked. None: it can't be decided now."""

Transform: TypeAlias = Callable[
    [Sequence[Message]], Sequence[Message] | Awaitable[Sequence[Message]]
]
"""Makes what the model reads out of the conversation, which stays as it is."""


async def settled(answer: _T | Awaitable[_T]) -> _T:
    """The answer of a function of the program's, which may be a coroutine's."""
    return (
        await cast("Awaitable[_T]", answer) if inspect.isawaitable(answer) else cast("_T", answer)
    )
