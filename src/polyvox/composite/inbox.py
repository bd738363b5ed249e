"""What members tell, on its way to one reader: in order, bounded, and with few wake-ups.

The reader is woken up once for all that has come by its turn. Pieces of one block that wait behind one
another are told as one: whoever is read more slowly than it speaks is read in longer pieces.
"""

import asyncio
from collections import deque
from typing import Generic, TypeVar

import msgspec
from msgspec.structs import replace

from polyvox.events import Event, Nested, TextDelta, ThinkingDelta, ToolCallDelta

__all__ = ["Inbox", "Line", "nested"]

_T = TypeVar("_T")

_MOST_WAITING = 256
"""So many events of one member wait for a slow reader; then the member waits."""

_PIECES = (TextDelta, ThinkingDelta, ToolCallDelta)


class Line:
    """One member's way into the inbox; ``path`` is what its events are told under."""

    def __init__(self, inbox: "Inbox[_T]", *path: str) -> None:
        self.path = path
        self._inbox = inbox
        self._waiting = 0
        self._taken = asyncio.Event()

    async def tell(self, event: Event) -> None:
        """Put an event in; waits when the reader is far behind."""
        if self._waiting >= _MOST_WAITING:
            self._taken.clear()
            await self._taken.wait()
        self._waiting += 1
        self._inbox.add(self, event)

    def taken(self, count: int) -> None:
        """So many events were taken out; once all are, the member goes on."""
        self._waiting -= count
        if not self._waiting:
            self._taken.set()


class _Told(msgspec.Struct):
    """An event that waits, and the pieces that continue it."""

    line: Line
    event: Event
    pieces: list[str] = []


class Inbox(Generic[_T]):
    """Events of several lines, and notes of the program's own among them, in the order they came."""

    def __init__(self) -> None:
        self._waiting: deque[_Told | _T] = deque()
        self._woken = asyncio.Event()

    def note(self, note: _T) -> None:
        """Put in what is no event."""
        self._waiting.append(note)
        self._woken.set()

    def add(self, line: Line, event: Event) -> None:
        """Put in an event of a line."""
        last = self._waiting[-1] if self._waiting else None
        if (
            isinstance(event, _PIECES)
            and isinstance(last, _Told)
            and last.line is line
            and isinstance(last.event, type(event))
            and last.event.index == event.index
        ):
            last.pieces.append(event.text)
        else:
            self._waiting.append(_Told(line, event))
            self._woken.set()

    async def get(self) -> Nested | _T:
        """The next that has come; waits for it."""
        while not self._waiting:
            self._woken.clear()
            await self._woken.wait()
        told = self._waiting.popleft()
        if not isinstance(told, _Told):
            return told
        event = told.event
        if told.pieces and isinstance(event, _PIECES):
            event = replace(event, text="".join([event.text, *told.pieces]))
        told.line.taken(1 + len(told.pieces))
        return nested(event, *told.line.path)


def nested(event: Event, *path: str) -> Nested:
    """The event as it is told outside, with the way to it."""
    if isinstance(event, Nested):
        return Nested([*path, *event.path], event.event)
    return Nested([*path], event)
