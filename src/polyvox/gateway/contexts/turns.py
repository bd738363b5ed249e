"""A call that goes on with a conversation: what the model is given, and what is kept of it."""

from collections.abc import Awaitable, Callable, Sequence

from msgspec.structs import replace

from polyvox.gateway.tenants.access import Level
from polyvox.messages import AssistantMessage, Message
from polyvox.request import Request

__all__ = ["Turn", "worth_keeping"]

_BROKEN_OFF = ("error", "aborted")


class Turn:
    """Ask for ``request``, then ``keep`` the answer.

    ``id`` and ``name`` are the context's. ``level`` is what limits it beside the caller's own limits,
    None if nothing does. ``dropped`` says how many of its messages had no room in the model's window.
    """

    def __init__(
        self,
        id: str,
        name: str,
        request: Request,
        *,
        level: Level | None,
        dropped: int,
        add: Callable[[Sequence[Message]], Awaitable[bool]],
        new: Sequence[Message],
    ) -> None:
        self.id = id
        self.name = name
        self.request = request
        self.level = level
        self.dropped = dropped
        self._add = add
        self._new = new

    async def keep(self, message: AssistantMessage, *, partial: bool | None = None) -> bool:
        """Put what the user said and this answer behind the conversation, both or neither.

        An answer that broke off is treated as people know it of chats: one that was interrupted
        stays, with what had arrived of it; one that failed leaves nothing, so that the same call may
        be sent again. ``partial`` says otherwise: True keeps whatever there is, False only whole
        answers. It is to be called once. False: nothing was kept, or the context is deleted.
        """
        if not worth_keeping(message, partial):
            return False
        answer = [replace(message, trace=None)] if message.content else []
        return await self._add([*self._new, *answer])


def worth_keeping(message: AssistantMessage, partial: bool | None) -> bool:
    """Whether a conversation goes on with this answer; see ``Turn.keep``."""
    if message.stop_reason not in _BROKEN_OFF:
        return True
    if partial is None:
        return message.stop_reason == "aborted" and bool(message.content)
    return partial
