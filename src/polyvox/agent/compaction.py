"""Making a conversation shorter before it no longer fits."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from polyvox.agent.events import Compacted
from polyvox.messages import Message
from polyvox.model import Call

if TYPE_CHECKING:
    from polyvox.agent.role import Role

__all__ = ["Compacting"]


class Compacting(Protocol):
    """Decides when a conversation is too long, and makes it shorter."""

    def due(self, messages: Sequence[Message], role: "Role") -> bool:
        """Whether it is time; asked before each turn."""
        ...

    async def compact(
        self, messages: Sequence[Message], role: "Role", call: Call
    ) -> Compacted | None:
        """What stands in the place of the older part; None if nothing can be made shorter.

        Raises ``PolyvoxError``.
        """
        ...
