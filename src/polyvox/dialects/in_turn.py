"""Blocks that grow side by side, told one after the other, as clients of some formats expect."""

from typing import TypeAlias

from polyvox.events import (
    TextDelta,
    TextEnd,
    TextStart,
    ThinkingDelta,
    ThinkingEnd,
    ThinkingStart,
    ToolCallDelta,
    ToolCallEnd,
    ToolCallStart,
)

__all__ = ["BLOCK_ENDS", "BlockEvent", "InTurn"]

BlockEvent: TypeAlias = (
    TextStart
    | TextDelta
    | TextEnd
    | ThinkingStart
    | ThinkingDelta
    | ThinkingEnd
    | ToolCallStart
    | ToolCallDelta
    | ToolCallEnd
)
BLOCK_ENDS = (TextEnd, ThinkingEnd, ToolCallEnd)


class InTurn:
    """Lets the events of one block pass, and holds those of others back until it has ended.

    >>> turns = InTurn()
    >>> turns.put(ToolCallStart(0, "a", "look")), turns.put(ToolCallStart(1, "b", "look"))
    ([ToolCallStart(index=0, id='a', name='look')], [])
    """

    def __init__(self) -> None:
        self._current: int | None = None  # the block that passes
        self._held: dict[int, list[BlockEvent]] = {}

    def put(self, event: BlockEvent) -> list[BlockEvent]:
        """The events that may be told now."""
        if self._current is None:
            self._current = event.index
        elif event.index != self._current:
            self._held.setdefault(event.index, []).append(event)
            return []
        passing = [event]
        while self._held and isinstance(passing[-1], BLOCK_ENDS):
            self._current = min(self._held)
            passing += self._held.pop(self._current)
        if isinstance(passing[-1], BLOCK_ENDS):
            self._current = None
        return passing
