"""One session with a server: connecting, listing, calling, and the end of it.

The session is entered and left by a task of its own. The scopes of anyio, which the ``mcp`` package is
made with, belong to the task that opened them, whereas tools are used and closed from anywhere; only
requests, which leave no scope open, are made by the task that wants the answer.
"""

import asyncio
from collections.abc import Awaitable
from contextlib import AsyncExitStack
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, TypeVar, cast

from polyvox.errors import NetworkError, PolyvoxError, ProtocolError, RequestTimeoutError
from polyvox.tools.mcp.wires import Wire

if TYPE_CHECKING:
    from mcp import Client
    from mcp.shared.dispatcher import ProgressFnT
    from mcp.types import CallToolResult, Implementation, Tool

__all__ = ["Session", "SessionForgottenError"]

_T = TypeVar("_T")

_CHANGED = "notifications/tools/list_changed"
_MOST_PAGES = 1_000
_A_MOMENT = 1.0
_MOST_TOLD = 300


class SessionForgottenError(NetworkError):
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
        self._gone = False
        self._stale = False
        self._asking = 0
        self._failure: PolyvoxError | None = None
        self._ready: asyncio.Future[Client] = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(self._live(), name=f"polyvox-mcp-{name}")
        self._task.add_done_callback(self._finish)

    @property
    def over(self) -> bool:
        """Whether nothing more can be asked; what was asked before may still be answered."""
        return self._stale or self._over.is_set()

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
        self, tool: str, arguments: dict[str, Any], on_progress: "ProgressFnT"
    ) -> "CallToolResult":
        """What the server answers. When the waiting is cancelled, the server is told so.

        Raises ``PolyvoxError``, and ``SessionForgottenError`` when it may be asked again.
        """
        client = await self._client()
        return await self._asked(client.call_tool(tool, arguments, progress_callback=on_progress))

    async def aclose(self) -> None:
        """End the connection, and the process if there is one; from any task of the loop.

        Who is cancelled here is so only after the end, which takes a server that does not want to end
        some seconds: a process must not be left behind.
        """
        self.stop()
        cancelled: asyncio.CancelledError | None = None
        while not self._task.done():
            try:
                await asyncio.wait({self._task})
            except asyncio.CancelledError as error:
                cancelled = error
        if cancelled is not None:
            raise cancelled

    def stop(self) -> None:
        """Begin to end it; from the loop's thread."""
        self._over.set()
        if not self._ready.done():  # it is still being made
            self._task.cancel()

    async def _client(self) -> "Client":
        await asyncio.wait(
            {self._ready}
        )  # to cancel a waiter does not stop it: others may wait too
        return self._ready.result()

    async def _asked(self, answer: Awaitable[_T], seconds: float | None = None) -> _T:
        from mcp import MCPError
        from mcp.types import CONNECTION_CLOSED

        self._asking += 1
        try:
            async with asyncio.timeout(seconds):
                return await answer
        except MCPError as error:
            if self._wire.forgotten:
                self._stale = True
                raise SessionForgottenError(
                    f"the MCP server {self._name!r} refuses the session: {error.message}"
                ) from error
            if error.code != CONNECTION_CLOSED:
                raise
            raise await self._broken() from error
        except ValueError as error:  # the package's own: it is not read by its types
            text = " ".join(str(error).split())[:_MOST_TOLD]
            raise ProtocolError(
                f"the MCP server {self._name!r} answered what the protocol does not know: {text}"
            ) from error
        except TimeoutError as error:
            if seconds is None:
                raise
            raise self._too_long(seconds) from error
        finally:
            self._asking -= 1
            if self._stale and not self._asking:
                self.stop()

    async def _broken(self) -> PolyvoxError:
        """Why there was no answer; it ends first, so that all is known that can be."""
        self._stale = True
        await asyncio.wait({self._task}, timeout=None if self._over.is_set() else _A_MOMENT)
        return self._failure or NetworkError(
            f"the connection to the MCP server {self._name!r} broke off before it answered"
        )

    async def _live(self) -> None:
        from mcp import Client

        wire = self._wire.streams(self._lose)
        client = Client(wire, message_handler=self._hear, cache=None, client_info=_ourselves())
        try:
            async with AsyncExitStack() as stack:
                async with asyncio.timeout(self._patience):
                    await stack.enter_async_context(client)
                self._ready.set_result(client)
                await self._stay(client)
            if self._gone:
                self._failure = await self._wire.explain(ConnectionResetError())
        except TimeoutError:
            self._failure = self._too_long(self._patience)
        except Exception as error:  # noqa: BLE001 - told to whoever asks for the tools
            self._failure = await self._wire.explain(_innermost(error))

    def _finish(self, _: object) -> None:
        self._over.set()
        if not self._ready.done():
            closed = NetworkError(f"the MCP server {self._name!r} was closed")
            self._ready.set_exception(self._failure or closed)
            self._ready.exception()  # it need not be that somebody waits for it

    async def _stay(self, client: "Client") -> None:
        listening = asyncio.create_task(self._listen(client))
        try:
            await self._over.wait()
        finally:
            listening.cancel()
            await asyncio.wait({listening})

    async def _listen(self, client: "Client") -> None:
        """Hear of other tools from servers that tell only those who ask for it."""
        from mcp import MCPError
        from mcp.client.subscriptions import ListenNotSupportedError, SubscriptionLost

        tools = client.server_capabilities.tools
        while tools is not None and tools.list_changed:
            try:
                async with client.listen(tools_list_changed=True) as subscription:
                    async for _ in subscription:
                        self.changes += 1
            except SubscriptionLost:
                self.changes += 1  # what was said meanwhile is not known
            except (MCPError, ListenNotSupportedError):
                return
            await asyncio.sleep(_A_MOMENT)

    async def _hear(self, message: object) -> None:
        if getattr(message, "method", None) == _CHANGED:
            self.changes += 1

    def _lose(self) -> None:
        self._gone = not self._over.is_set()
        self._over.set()

    def _too_long(self, seconds: float) -> RequestTimeoutError:
        return RequestTimeoutError(
            f"the MCP server {self._name!r} did not answer within {seconds:g} s",
            phase="connect",
            hint="connect_timeout= says how long it may take.",
        )


def _ourselves() -> "Implementation":
    from mcp.types import Implementation

    return Implementation(name="polyvox", version=version("polyvox"))


def _innermost(error: BaseException) -> BaseException:
    """The error itself, out of the groups that tasks wrap it in."""
    while isinstance(error, BaseExceptionGroup):
        error = cast("BaseExceptionGroup[BaseException]", error).exceptions[0]
    return error
