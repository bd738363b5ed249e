"""Tools for the tests to serve, in this process or in another."""

import asyncio
from typing import Any

from polyvox import messages
from polyvox.tools import ToolContext, ToolResult, ToolRetry, tool

PIXEL = b"\x89PNG\r\n\x1a\n"
cancelled: list[asyncio.Event] = []


@tool
def add(a: int, b: int) -> int:
    """Add two numbers.

    Args:
        a: the first
        b: the second
    """
    print("something on stdout, which is not the protocol's")
    return a + b


@tool
async def count(to: int, context: ToolContext[Any]) -> str:
    """Count, and tell each number."""
    for number in range(1, to + 1):
        context.update(f"at {number}")
    return "counted"


@tool
def show() -> ToolResult:
    """Give one block of every kind."""
    return ToolResult(
        content=[
            messages.Text("hello"),
            messages.Image(PIXEL),
            messages.Image(url="http://127.0.0.1/cat.png", media_type="image/png"),
            messages.File(b"RIFF", media_type="audio/wav"),
            messages.File(b"%PDF", media_type="application/pdf", name="a b%20/c?.pdf"),
        ],
        details={"pages": 1},
    )


@tool
def refuse() -> str:
    """Ask for another try."""
    raise ToolRetry("not on a Sunday")


@tool(needs_approval=True)
def delete() -> str:
    """Delete everything."""
    raise AssertionError("nobody has approved")


@tool
async def hang(context: ToolContext[Any]) -> str:
    """Say that it has begun, and wait for ever."""
    over = asyncio.Event()
    cancelled.append(over)
    try:
        context.update("begun")
        await asyncio.Event().wait()
    finally:
        over.set()
    return "never"


@tool
async def was_cancelled() -> str:
    """Wait until hang was."""
    await cancelled[-1].wait()
    return "yes"


@tool
def odd() -> ToolResult:
    """Give what is no proper text, nor JSON."""
    around: dict[str, Any] = {}
    around["around"] = around
    return ToolResult(content=[messages.Text("half \ud83d")], details=around)


def _unsure(values: dict[str, Any], context: ToolContext[Any]) -> bool:
    raise LookupError("who is asking?")


@tool(needs_approval=_unsure)
def buy() -> str:
    """Buy everything."""
    raise AssertionError("nobody has approved")
