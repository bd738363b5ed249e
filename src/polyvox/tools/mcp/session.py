"""One session with a server: connecting, listing, calling, and the end of it.

The session is entered and left by a task of its own. The scopes of anyio, which the ``mcp`` package is
made with, belong to the task that opened them, whereas tools are used and closed from anywhere; only
requests, which leave no scope open, are made by the task that wants the answer.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeAlias

from polyvox.errors import NetworkError, PolyvoxError, ProtocolError, RequestTimeoutError
from polyvox.tools.mcp.wires import Wire

if TYPE_CHECKING:
    from mcp import Client
    from mcp.types import CallToolResult, Tool

__all__ = ["OnProgress", "Session", "SessionForgotten"]

OnProgress: TypeAlias = Callable[[float, float | None, str | None], Awaitable[None]]

_LOGGER = logging.getLogger("polyvox.mcp")
_CHANGED = "notifications/tools/list_changed"
_FORGOTTEN = "Session terminated"
_MOST_PAGES = 1_000


class SessionForgotten(Exception):  # noqa: N818 - never leaves this room
    """The server does not know the session any more, and so has not done what was asked."""


class Session:
    """A connection that is made at once, and kept until ``aclose`` or until the server goes.

    ``changes`` counts how often the server has said that its tools are others now.
    """

    def __init__(self, name: str, wire: Wire, patience: float) -> None:
        self.changes = 0
        self._name = name
        self._wire = wire
        self._patience = patience
        self._over = asyncio.Event()
        self._ready: asyncio.Future[Client] = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(self._live(), name=f"polyvox-mcp-{name}")

    @property
    def over(self) -> bool:
        """Whether nothing can be asked any more."""
        return self._over.is_set()

    async def list(self) -> "list[Tool]":
        """The server's tools, from all its pages. Raises ``PolyvoxError``."""
        client = await self._client()
        found: list[Tool] = []
        cursors: set[str] = set()
        cursor: str | None = None
        while True:
            page = await self._asked(client.list_tools(cursor=cursor), self._patience)
            found += page.tools
            cursor = page.next_cursor
            if not cursor:
                return found
            if cursor in cursors or len(cursors) == _MOST_PAGES:
                raise ProtocolError(f"the MCP server {self._name!r} lists its tools without end")
            cursors.add(cursor)

    async def call(
        self, tool: str, arguments: dict[str, Any], on_progress: OnProgress
    ) -> "CallToolResult":
        """What the server answers. When the waiting is cancelled, the server is told so.

        Raises ``PolyvoxError``, and ``SessionForgotten`` when it may be asked again.
        """
        client = await self._client()
        return await self._asked(client.call_tool(tool, arguments, progress_callback=on_progress))

    async def aclose(self) -> None:
        """End the connection, and the process if there is one; from any task of the loop."""
        self.stop()
        await asyncio.wait({self._task})  # a waiter that is cancelled does not stop the closing

    def stop(self) -> None:
        """Begin to end it; from the loop's thread."""
        self._over.set()

    async def _client(self) -> "Client":
        await asyncio.wait({self._ready})
        return self._ready.result()

    async def _asked[T](self, answer: Awaitable[T], seconds: float | None = None) -> T:
        raise NotImplementedError
