"""The conversations that were used last, in memory.

Messages are only ever added to a conversation, so that what is known of one holds for ever: only what
has come behind it since must be read.
"""

from collections import OrderedDict
from collections.abc import Sequence

from polyvox.messages import Message

__all__ = ["Memory"]


class Memory:
    """Bounded by the bytes that the messages have in the database; the one not used for longest goes."""

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.bytes = 0
        self._known: OrderedDict[str, tuple[list[Message], int]] = OrderedDict()

    def count(self, id: str) -> int:
        """How many of its messages are known."""
        known = self._known.get(id)
        return len(known[0]) if known else 0

    def with_more(self, id: str, place: int, more: Sequence[Message], size: int) -> list[Message]:
        """All messages, where ``more`` are those from this place on.

        Raises ``KeyError`` when those before are no longer known.
        """
        messages, before = self._known.pop(id, ([], 0))
        if len(messages) < place:
            raise KeyError(id)
        self.bytes -= before
        messages = [*messages[:place], *more]
        if before + size <= self.max_bytes:
            self._known[id] = messages, before + size
            self.bytes += before + size
        while self.bytes > self.max_bytes:
            _, (_, freed) = self._known.popitem(last=False)
            self.bytes -= freed
        return messages

    def forget(self, id: str) -> None:
        """It is deleted."""
        self.bytes -= self._known.pop(id, ([], 0))[1]
