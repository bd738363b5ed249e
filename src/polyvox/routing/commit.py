"""The commit point: with its first content an answer is the answer, and is never begun anew.

What comes before (the start, warnings, blocks that are still empty) is held back, and dropped when
another attempt is made: a reader never sees two beginnings. What comes after is passed on untouched.
"""

from collections.abc import AsyncGenerator
from typing import NamedTuple

from polyvox.events import (
    Done,
    Event,
    Failed,
    Nested,
    Start,
    TextDelta,
    TextEnd,
    TextStart,
    ThinkingDelta,
    ThinkingEnd,
    ToolCallDelta,
    ToolCallEnd,
)

__all__ = ["MOST_HELD", "Opening", "is_content", "opening"]

MOST_HELD = 1_000
"""An answer with so many events before its first content is committed as it is."""

_BEFORE = (Start, TextStart)
"""With these nearly every answer begins; whether the others are content takes a look at them."""


class Opening(NamedTuple):
    """The beginning of an answer: its events up to the commit point, or up to the failure before it."""

    events: list[Event]
    failed: Failed | None


async def opening(events: AsyncGenerator[Event]) -> Opening:
    """Read until the answer is committed or has failed; the rest stays to be read."""
    held: list[Event] = []
    async for event in events:
        held.append(event)
        if type(event) in _BEFORE and len(held) < MOST_HELD:
            continue
        if type(event) is Failed:
            return Opening(held, event)
        if is_content(event) or len(held) >= MOST_HELD:
            break
    return Opening(held, None)


def is_content(event: Event) -> bool:
    """Whether something of the answer would be lost, or told twice, if it were begun anew.

    A block that was opened and broke off before its first piece ends empty: nothing is lost with it.
    """
    match event:
        case TextDelta() | ThinkingDelta() | ToolCallDelta():
            return bool(event.text)
        case TextEnd():
            return bool(event.block.text)
        case ThinkingEnd(block=block):
            return bool(block.text or block.signature or block.redacted)
        case ToolCallEnd():
            return event.block.executable
        case Nested():
            return is_content(event.event)
        case _:
            return type(event) is Done
