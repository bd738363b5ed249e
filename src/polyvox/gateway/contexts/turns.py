"""A call that goes on with a conversation: what the model is given, and what is kept of it."""

from collections.abc import Awaitable, Callable, Sequence

from msgspec.structs import replace

from polyvox.gateway.tenants.access import Level
from polyvox.messages import AssistantMessage, Message
from polyvox.request import Request

__all__ = ["Turn"]

_BROKEN_OFF = ("error", "aborted")


class Turn:
    """Ask for ``request``, then ``keep`` the answer.

    ``level`` is what limits the context beside the caller's own limits, None if nothing does.
    """

    def __init__(
        self,
        request: Request,
        level: Level | None,
        new: Sequence[Message],
        add: Callable[[Sequence[Message]], Awaitable[bool]],
    ) -> None:
        self.request = request
        self.level = level
        self._new = new
        self._add = add

    async def keep(self, message: AssistantMessage) -> bool:
        """Put what the user said and this answer behind the conversation, both or neither.

        An answer that broke off is treated as people know it of chats: one that was interrupted
        stays, with what had arrived of it; one that failed leaves nothing, so that the same call may
        be sent again. It is to be called once. False: nothing was kept, or the context is deleted.
        """
        if not _is_worth_keeping(message):
            return False
        answer = [replace(message, trace=None)] if message.content else []
        return await self._add([*self._new, *answer])


def _is_worth_keeping(message: AssistantMessage) -> bool:
    if message.stop_reason not in _BROKEN_OFF:
        return True
    return message.stop_reason == "aborted" and bool(message.content)
