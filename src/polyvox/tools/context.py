"""What a tool may know of the run it is called in, and how it tells of its progress."""

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Generic

from polyvox.messages import Message, Text, ToolCall, ToolResultBlock
from polyvox.model import Call
from polyvox.tools.result import ToolResult
from polyvox.waiting import soon

__all__ = ["ToolContext"]

if TYPE_CHECKING:  # defaults, which typing has from Python 3.13 on: a bare ToolContext is one, too
    from typing_extensions import TypeVar

    Deps = TypeVar("Deps", default=Any)
else:
    from typing import TypeVar

    Deps = TypeVar("Deps")


def _ignore(*_: object) -> None:
    """Nobody listens."""


class ToolContext(Generic[Deps]):
    """Given to a tool that has a parameter of this type; the model does not see that parameter.

    ``call`` is what is asked of a model inside the tool goes through, so that it is on the books of
    the run and ends with it. ``tool_call`` is what the model wrote, ``messages`` the conversation up
    to it, ``deps`` what the program gave to the run: a database, a user. ``attempt`` is 1, and one
    more for each time in a row that the tool raised ``ToolRetry``.
    """

    def __init__(
        self,
        *,
        call: Call,
        tool_call: ToolCall,
        deps: Deps,
        messages: Sequence[Message] = (),
        attempt: int = 1,
        on_update: Callable[[ToolResult], None] = _ignore,
        on_nested: Callable[[list[str], Any], None] = _ignore,
    ) -> None:
        self.call = call
        self.tool_call = tool_call
        self.deps = deps
        self.messages = messages
        self.attempt = attempt
        self._on_update = on_update
        self._on_nested = on_nested
        self._over = False
        try:
            self._loop = asyncio.get_running_loop()
        except RuntimeError:  # made outside any loop, such as in a test: told where it happens
            self._loop = None

    @property
    def abandoned(self) -> bool:
        """Whether nobody waits for the result any more: a long synchronous tool may as well stop."""
        return self._over

    def update(self, *content: str | ToolResultBlock, details: Any = None) -> None:
        """Tell how far it is; from any thread. Once nobody waits for the tool it does nothing."""
        blocks = [Text(part) if isinstance(part, str) else part for part in content]
        partial = ToolResult(content=blocks, details=details)
        if self._loop is None or self._loop is _running_loop():
            self._tell(partial)
            return
        soon(self._loop, lambda: self._tell(partial))

    def nested(self, event: Any, *path: str) -> None:
        """Pass on an event of what runs inside the tool, such as another agent; from the loop's thread."""
        if not self._over:
            self._on_nested(list(path), event)

    def end(self) -> None:
        """Said by whoever runs the tool: its result is there, or nobody waits for it."""
        self._over = True

    def _tell(self, partial: ToolResult) -> None:
        if not self._over:
            self._on_update(partial)


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
